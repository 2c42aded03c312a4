// What both schema translations have in common: local references, `allOf`, exclusive bounds, and a bound on the work.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";

/** Callers write schemas: neither depth nor the blow-up of inlined references may exhaust the process. */
const DEPTH_MAX = 64;
const NODES_MAX = 10_000;

/** One schema under translation. `problem` is the first reason why it cannot be translated. */
export interface SchemaWork {
  root: JsonObject;
  nodes: number;
  problem: string | undefined;
}

/** Where the walk stands: how deep, and which references are being inlined. */
export interface SchemaPlace {
  depth: number;
  refs: string[];
}

export function schemaWork(root: JsonObject): SchemaWork {
  return { root, nodes: 0, problem: undefined };
}

/** Counts a node; false when the schema is too large to go on. */
export function admit(work: SchemaWork, place: SchemaPlace): boolean {
  work.nodes += 1;
  if (work.nodes <= NODES_MAX && place.depth <= DEPTH_MAX) return true;
  work.problem ??= "the schema is too deep or too large";
  return false;
}

/** The target of a JSON pointer into the same schema, or `undefined` when there is none. */
export function resolveRef(root: JsonObject, ref: string): JsonObject | undefined {
  if (ref === "#") return root;
  if (!ref.startsWith("#/")) return undefined;
  let node: unknown = root;
  for (const step of ref.slice(2).split("/")) {
    const key = percentDecoded(step).replace(/~1/g, "/").replace(/~0/g, "~");
    if (Array.isArray(node)) node = node[Number(key)];
    else node = isObject(node) && Object.hasOwn(node, key) ? node[key] : undefined;
  }
  return isObject(node) ? node : undefined;
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The branches of `allOf` folded into the node: properties and `required` add up, otherwise the first one wins. The
 * references taken in on the way count as being inlined below; one that is already leaves its `$ref` in the node.
 */
export function mergeAllOf(
  node: JsonObject,
  work: SchemaWork,
  at: SchemaPlace,
): { node: JsonObject; place: SchemaPlace } {
  if (!Array.isArray(node.allOf)) return { node, place: at };
  const place = { depth: at.depth + 1, refs: [...at.refs] };
  if (!admit(work, place)) return { node: {}, place };
  const { allOf, ...rest } = node;
  let merged: JsonObject = rest;
  for (const branch of objectsIn(allOf)) {
    const ref = typeof branch.$ref === "string" ? branch.$ref : undefined;
    const target = ref === undefined || place.refs.includes(ref) ? undefined : resolveRef(work.root, ref);
    if (ref !== undefined && target !== undefined) place.refs.push(ref);
    merged = addBranch(merged, target === undefined ? branch : { ...target, ...withoutRef(branch) });
  }
  // A branch may bring an `allOf` of its own.
  return mergeAllOf(merged, work, place);
}

function addBranch(node: JsonObject, branch: JsonObject): JsonObject {
  const merged = { ...branch, ...node };
  if (isObject(branch.properties) || isObject(node.properties))
    merged.properties = { ...members(branch.properties), ...members(node.properties) };
  if (Array.isArray(branch.required) && Array.isArray(node.required))
    merged.required = [...new Set([...node.required, ...branch.required])];
  return merged;
}

function members(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function withoutRef(node: JsonObject): JsonObject {
  const { $ref, ...rest } = node;
  return rest;
}

/**
 * `exclusiveMinimum` and `exclusiveMaximum` as inclusive bounds: exact for integers, one value too wide for numbers.
 * Draft 4 wrote them as booleans beside `minimum` and `maximum`.
 */
export function inclusiveBounds(node: JsonObject): JsonObject {
  if (node.exclusiveMinimum === undefined && node.exclusiveMaximum === undefined) return node;
  const { exclusiveMinimum, exclusiveMaximum, ...rest } = node;
  const types = Array.isArray(node.type) ? node.type : [node.type];
  const step = types.includes("integer") && !types.includes("number") ? 1 : 0;
  const minimum = bound(exclusiveMinimum, rest.minimum, step, Math.max);
  const maximum = bound(exclusiveMaximum, rest.maximum, -step, Math.min);
  return { ...rest, ...(minimum !== undefined && { minimum }), ...(maximum !== undefined && { maximum }) };
}

function bound(
  exclusive: unknown,
  inclusive: unknown,
  step: number,
  tighter: (a: number, b: number) => number,
): number | undefined {
  const plain = typeof inclusive === "number" ? inclusive : undefined;
  if (exclusive === true) return plain === undefined ? undefined : plain + step;
  if (typeof exclusive !== "number") return plain;
  return plain === undefined ? exclusive + step : tighter(plain, exclusive + step);
}

/** A root that says nothing about any argument: such a function takes none. */
export function isEmptySchema(schema: JsonObject): boolean {
  const says = ["$ref", "anyOf", "oneOf", "allOf", "items", "enum", "const"].some((key) => schema[key] !== undefined);
  const isObjectType = schema.type === undefined || schema.type === "object";
  const hasProperties = isObject(schema.properties) && Object.keys(schema.properties).length > 0;
  return isObjectType && !says && !hasProperties && !isObject(schema.additionalProperties);
}

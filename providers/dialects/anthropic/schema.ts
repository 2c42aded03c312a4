// JSON Schemas in the subset Anthropic compiles (structured outputs, strict tools), and the roots of tool schemas.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";

export interface Sanitised {
  schema: JsonObject;
  /** Something the caller allowed is forbidden now: `additionalProperties` was not false. */
  narrowed: boolean;
}

/** Keywords the compiler refuses. What they said moves into the description, where the model still reads it. */
const UNSUPPORTED = new Set([
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "maxItems",
  "uniqueItems",
  "minProperties",
  "maxProperties",
  "patternProperties",
  "propertyNames",
  "contains",
  "not",
  "if",
  "then",
  "else",
  "dependentRequired",
]);
const FORMATS = ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/** Look-around, back-references and word boundaries are beyond the compiler's regular expressions. */
const UNSUPPORTED_PATTERN = /\(\?[=!<]|\\[1-9]|\\k|\\b/i;
const DEPTH_MAX = 64;

/** `undefined` when the schema cannot be compiled at all: recursive, with references outside itself, or too deep. */
export function sanitiseSchema(schema: JsonObject): Sanitised | undefined {
  if (!isSelfContained(schema)) return undefined;
  const state = { narrowed: false };
  const sanitised = sanitiseNode(schema, state);
  return { schema: sanitised, narrowed: state.narrowed };
}

function sanitiseNode(node: JsonObject, state: { narrowed: boolean }): JsonObject {
  const result: JsonObject = {};
  const removed: string[] = [];
  for (const [key, value] of Object.entries(node)) {
    if (key === "$schema" || key === "$id") continue;
    if (isUnsupported(key, value)) removed.push(`${key}: ${JSON.stringify(value)}`);
    else if (key === "properties" || key === "$defs" || key === "definitions") {
      result[key] = sanitiseEach(value, state);
    } else if (key === "items") result.items = isObject(value) ? sanitiseNode(value, state) : value;
    else if (key === "anyOf" || key === "allOf") result[key] = objectsIn(value).map((one) => sanitiseNode(one, state));
    else if (key === "oneOf") result.anyOf = objectsIn(value).map((one) => sanitiseNode(one, state));
    else if (key !== "additionalProperties") result[key] = value;
  }
  if (describesObject(node)) {
    const { additionalProperties } = node;
    if (additionalProperties === true || isObject(additionalProperties)) state.narrowed = true;
    result.additionalProperties = false;
  }
  if (removed.length > 0) {
    const note = `{${removed.join(", ")}}`;
    result.description = typeof node.description === "string" ? `${node.description} ${note}` : note;
  }
  return result;
}

function sanitiseEach(value: unknown, state: { narrowed: boolean }): unknown {
  if (!isObject(value)) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([name, one]) => [name, isObject(one) ? sanitiseNode(one, state) : one]));
}

function isUnsupported(key: string, value: unknown): boolean {
  if (key === "minItems") return typeof value === "number" && value > 1;
  if (key === "format") return !FORMATS.includes(String(value));
  if (key === "pattern") return UNSUPPORTED_PATTERN.test(String(value));
  return UNSUPPORTED.has(key);
}

function describesObject({ type, properties }: JsonObject): boolean {
  return type === "object" || (Array.isArray(type) && type.includes("object")) || isObject(properties);
}

/** Every reference stays inside the schema and none leads back to itself. */
function isSelfContained(root: JsonObject): boolean {
  const definitions = new Map<string, unknown>();
  for (const section of ["$defs", "definitions"]) {
    for (const [name, value] of Object.entries(isObject(root[section]) ? root[section] : {})) {
      definitions.set(`#/${section}/${name}`, value);
    }
  }
  const checked = new Set<string>();
  const visit = (value: unknown, path: string[], depth: number): boolean => {
    if (depth > DEPTH_MAX) return false;
    if (Array.isArray(value)) return value.every((one) => visit(one, path, depth + 1));
    if (!isObject(value)) return true;
    const ref = value.$ref;
    if (typeof ref === "string" && !checked.has(ref)) {
      if (!definitions.has(ref) || path.includes(ref)) return false;
      if (!visit(definitions.get(ref), [...path, ref], depth + 1)) return false;
      checked.add(ref);
    }
    return Object.values(value).every((one) => visit(one, path, depth + 1));
  };
  return visit(root, [], 0);
}

const COMBINATORS = ["anyOf", "oneOf", "allOf"] as const;

export interface ToolSchema {
  schema: JsonObject & { type: "object" };
  /** A combinator at the root was flattened away; its JSON, for the tool's description. */
  flattened: string | undefined;
}

/**
 * A tool's parameters with the root Anthropic demands; everything below stays as it is. `undefined` when the root is
 * no object. Combinators at the root are a 400 ("input_schema does not support oneOf, allOf, or anyOf at the top
 * level", anomalyco/opencode#35516).
 */
export function toolSchema(parameters: unknown): ToolSchema | undefined {
  if (!isObject(parameters) || Object.keys(parameters).length === 0) {
    return { schema: { type: "object", properties: {} }, flattened: undefined };
  }
  const type = parameters.type ?? "object";
  if (type !== "object") return undefined;
  const used = COMBINATORS.filter((combinator) => Array.isArray(parameters[combinator]));
  if (used.length === 0) {
    // The caller's object keeps its key order; only a missing type is added.
    return { schema: { ...parameters, type: "object" }, flattened: undefined };
  }
  const root: JsonObject = { ...parameters, type: "object" };
  const removed: JsonObject = {};
  for (const combinator of used) {
    removed[combinator] = root[combinator];
    delete root[combinator];
    mergeBranches(root, objectsIn(parameters[combinator]), combinator);
  }
  return { schema: { ...root, type: "object" }, flattened: JSON.stringify(removed) };
}

/** All properties of all branches, the first definition of each. `anyOf` requires only what every branch requires. */
function mergeBranches(root: JsonObject, branches: JsonObject[], combinator: (typeof COMBINATORS)[number]): void {
  const properties: JsonObject = isObject(root.properties) ? { ...root.properties } : {};
  for (const branch of branches) {
    for (const [name, value] of Object.entries(isObject(branch.properties) ? branch.properties : {})) {
      properties[name] ??= value;
    }
  }
  const lists = branches.map((branch) => (Array.isArray(branch.required) ? branch.required : []));
  const demanded =
    combinator === "allOf"
      ? lists.flat()
      : (lists[0] ?? []).filter((name) => lists.every((list) => list.includes(name)));
  const required = [...new Set([...(Array.isArray(root.required) ? root.required : []), ...demanded])];
  root.properties = properties;
  if (required.length > 0) root.required = required;
}

/** What the compiler limits per request, for one schema: properties that may be missing, and types that are unions. */
export function strictCost(schema: JsonObject): { optional: number; unions: number } {
  const cost = { optional: 0, unions: 0 };
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const one of node) visit(one);
      return;
    }
    if (!isObject(node)) return;
    if (Array.isArray(node.anyOf) || Array.isArray(node.type)) cost.unions += 1;
    if (isObject(node.properties)) {
      const required = Array.isArray(node.required) ? node.required : [];
      cost.optional += Object.keys(node.properties).filter((name) => !required.includes(name)).length;
    }
    for (const one of Object.values(node)) visit(one);
  };
  visit(schema);
  return cost;
}

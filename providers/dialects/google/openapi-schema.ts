// The subset of OpenAPI that `parameters` and `responseSchema` take. Any other key is a 400 for the whole request.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";
import {
  admit,
  inclusiveBounds,
  isEmptySchema,
  mergeAllOf,
  resolveRef,
  type SchemaPlace,
  type SchemaWork,
  schemaWork,
  withoutRef,
} from "./schema-rules.ts";

/** Keys that go through as they are; the others are built below or have no counterpart. */
const KEPT = [
  ...["title", "description", "nullable", "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum"],
  ...["maximum", "minProperties", "maxProperties", "propertyOrdering", "default", "example"],
];

/** Formats Gemini knows, by the type they go with; all others move to the description. */
const FORMATS: Record<string, string> = {
  "date-time": "string",
  int32: "integer",
  int64: "integer",
  float: "number",
  double: "number",
};

const TYPES = new Set(["string", "number", "integer", "boolean", "array", "object"]);

/**
 * `schema` is `undefined` for an object without properties: Gemini wants such a schema left out altogether. `problem`
 * says why a schema cannot be translated. `unknown` are keywords that this model was found to refuse.
 */
export function toOpenApiSchema(
  schema: JsonObject,
  unknown: ReadonlySet<string> = new Set(),
): { schema: JsonObject | undefined } | { problem: string } {
  const work = schemaWork(schema);
  if (isEmptySchema(schema)) return { schema: undefined };
  const converted = convert(schema, work, { depth: 0, refs: [] });
  if (work.problem !== undefined) return { problem: work.problem };
  return { schema: converted && unknown.size > 0 ? without(converted, unknown) : converted };
}

/** A translated schema without some keywords; a property may well have such a name. */
function without(schema: JsonObject, keywords: ReadonlySet<string>): JsonObject {
  const below = (value: unknown) => (isObject(value) ? without(value, keywords) : value);
  const entries = Object.entries(schema)
    .filter(([key]) => !keywords.has(key))
    .map(([key, value]) => {
      if (key === "properties" && isObject(value))
        return [key, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, below(one)]))];
      if (key === "items") return [key, below(value)];
      return [key, key === "anyOf" && Array.isArray(value) ? value.map(below) : value];
    });
  return Object.fromEntries(entries);
}

/** `undefined` for the schema `false`, which nothing satisfies. */
function convert(node: unknown, work: SchemaWork, place: SchemaPlace): JsonObject | undefined {
  if (node === false) return undefined;
  if (!isObject(node) || !admit(work, place)) return { type: "OBJECT" };
  if (typeof node.$ref === "string") return inline(node, node.$ref, work, place);
  const merged = mergeAllOf(node, work, place);
  if (merged.node !== node) return convert(merged.node, work, merged.place);
  const bounded = inclusiveBounds(node);
  const below = { ...place, depth: place.depth + 1 };
  const branches = branchesOf(bounded);
  return branches === undefined ? convertPlain(bounded, work, below) : convertUnion(bounded, branches, work, below);
}

function inline(node: JsonObject, ref: string, work: SchemaWork, place: SchemaPlace): JsonObject | undefined {
  const target = resolveRef(work.root, ref);
  if (target === undefined) work.problem ??= `the reference '${ref}' leads nowhere`;
  if (target === undefined || place.refs.includes(ref)) return { type: "OBJECT" };
  const refs = [...place.refs, ref];
  return convert({ ...target, ...withoutRef(node) }, work, { depth: place.depth + 1, refs });
}

/** The alternatives of a node, from `anyOf`, `oneOf` or a list of types; `undefined` when it has only one form. */
function branchesOf(node: JsonObject): unknown[] | undefined {
  const alternatives = [node.anyOf, node.oneOf].find((one) => Array.isArray(one));
  // "Either a or b is required" beside properties says nothing the subset could: the properties matter more.
  if (alternatives !== undefined) {
    const isRefinement = isObject(node.properties) && !alternatives.some(hasForm);
    return isRefinement ? undefined : alternatives;
  }
  if (node.type === "null") return [node];
  return Array.isArray(node.type) ? node.type.map((type) => ({ type })) : undefined;
}

function hasForm(branch: unknown): boolean {
  const forms = ["type", "properties", "$ref", "items", "prefixItems", "enum", "const", "anyOf", "oneOf", "allOf"];
  return isObject(branch) && forms.some((key) => branch[key] !== undefined);
}

function convertUnion(node: JsonObject, branches: unknown[], work: SchemaWork, place: SchemaPlace) {
  const { anyOf, oneOf, type, ...rest } = node;
  const others = branches.filter((branch) => !isNull(branch));
  if (others.length < branches.length) rest.nullable = true;
  if (others.length === 0) return { ...kept(rest), type: "STRING", nullable: true };
  // A list of types shares the keywords of the node; real alternatives share only its properties.
  const isTypeList = anyOf === undefined && oneOf === undefined;
  const whole = (branch: unknown) => (isTypeList ? ofType(rest, branch) : withProperties(rest, branch));
  if (others.length === 1) {
    const { properties, required, ...about } = rest;
    const only = whole(others[0]);
    return convert(isObject(only) ? { ...only, ...about } : rest, work, place);
  }
  const alternatives = others.map((branch) => convert(whole(branch), work, place)).filter((one) => one !== undefined);
  return { ...kept(isTypeList ? description(rest) : rest), anyOf: alternatives };
}

function isNull(branch: unknown): boolean {
  return isObject(branch) && (branch.type === "null" || branch.const === null);
}

/** What describes a node rather than restricts it. */
function description({ title, description, nullable }: JsonObject): JsonObject {
  return { title, description, nullable };
}

/** One type of a list, with the keywords of the node that belong to it. */
function ofType(node: JsonObject, branch: unknown): unknown {
  if (!isObject(branch)) return branch;
  if (branch.type === "array") return { items: node.items, prefixItems: node.prefixItems, ...branch };
  if (branch.type === "object") return { properties: node.properties, required: node.required, ...branch };
  return branch.type === "string" ? { enum: node.enum, format: node.format, ...branch } : branch;
}

/** An alternative with the properties that all of them share. */
function withProperties({ properties, required }: JsonObject, branch: unknown): unknown {
  if (!isObject(properties) || !isObject(branch)) return branch;
  return { allOf: [branch, { type: "object", properties, required }] };
}

function kept(node: JsonObject): JsonObject {
  return Object.fromEntries(KEPT.filter((key) => node[key] !== undefined).map((key) => [key, node[key]]));
}

function convertPlain(node: JsonObject, work: SchemaWork, place: SchemaPlace): JsonObject {
  const result = kept(node);
  const type = typeOf(node);
  result.type = type.toUpperCase();
  addEnum(result, node, type);
  addFormat(result, node.format, type);
  if (type === "array") result.items = itemsOf(node, work, place);
  if (type === "object") addProperties(result, node, work, place);
  return result;
}

function typeOf(node: JsonObject): string {
  if (typeof node.type === "string" && TYPES.has(node.type.toLowerCase())) return node.type.toLowerCase();
  if (isObject(node.properties)) return "object";
  if (node.items !== undefined || node.prefixItems !== undefined) return "array";
  const values = enumValues(node).filter((value) => value !== null);
  if (values.length > 0 && values.every((value) => typeof value === "number")) return "number";
  return values.length > 0 && values.every((value) => typeof value === "boolean") ? "boolean" : "string";
}

function enumValues(node: JsonObject): unknown[] {
  if (node.const !== undefined) return [node.const];
  return Array.isArray(node.enum) ? node.enum : [];
}

/** Enumerations hold strings upstream, whatever the type: "Invalid value at enum[0] (TYPE_STRING), 7". */
function addEnum(result: JsonObject, node: JsonObject, type: string): void {
  const all = enumValues(node);
  if (all.includes(null)) result.nullable = true;
  // "enum[0]: cannot be empty"
  const values = all.filter((value) => value !== null && value !== "");
  if (values.length === 0) return;
  if (values.every((value) => typeof value === "string")) Object.assign(result, { type: "STRING", enum: values });
  else if (values.every((value) => typeof value === "number" || typeof value === "boolean")) {
    Object.assign(result, { type: type.toUpperCase(), format: "enum", enum: values.map(String) });
  } else describe(result, `one of: ${JSON.stringify(values).slice(1, -1)}`);
}

function addFormat(result: JsonObject, format: unknown, type: string): void {
  if (typeof format !== "string" || format === "" || result.format !== undefined) return;
  if (FORMATS[format] === type || format === "enum") result.format = format;
  else describe(result, `format: ${format}`);
}

function describe(result: JsonObject, note: string): void {
  const before = typeof result.description === "string" && result.description !== "" ? `${result.description} ` : "";
  result.description = `${before}(${note})`;
}

/** An array must say what it holds ("items: missing field"); a tuple becomes an array of its members' types. */
function itemsOf(node: JsonObject, work: SchemaWork, place: SchemaPlace): JsonObject {
  const tuple = Array.isArray(node.items) ? node.items : node.prefixItems;
  if (!Array.isArray(tuple)) return (isObject(node.items) && convert(node.items, work, place)) || { type: "STRING" };
  const forms = new Map(
    objectsIn(tuple)
      .map((schema) => convert(schema, work, place))
      .map((schema) => [JSON.stringify(schema), schema]),
  );
  const [first, ...others] = forms.values();
  return others.length === 0 ? (first ?? { type: "STRING" }) : { anyOf: [first, ...others] };
}

function addProperties(result: JsonObject, node: JsonObject, work: SchemaWork, place: SchemaPlace): void {
  if (!isObject(node.properties)) return;
  const entries = Object.entries(node.properties)
    .map(([name, schema]) => [name, convert(schema, work, place)] as const)
    .filter(([, schema]) => schema !== undefined);
  if (entries.length === 0) return;
  const properties = Object.fromEntries(entries);
  result.properties = properties;
  const required = Array.isArray(node.required) ? node.required : [];
  const known = required.filter((name) => typeof name === "string" && Object.hasOwn(properties, name));
  if (known.length > 0) result.required = known;
}

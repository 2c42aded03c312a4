// The smallest sensible instance of a JSON schema, the same every time. Both dialects of schema: JSON Schema and Gemini's.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { text } from "./face.ts";

/** Deeper than this only what is required is produced, so that recursive schemas end. */
const depthMax = 6;
/** Bounds what schemas that require themselves several times over can grow to. */
const nodesMax = 5_000;

interface Walk {
  root: unknown;
  nodesLeft: number;
}

const formats: Record<string, string> = {
  "date-time": "2026-01-02T03:04:05Z",
  date: "2026-01-02",
  time: "03:04:05Z",
  duration: "PT1H",
  email: "ada@example.com",
  hostname: "example.com",
  uri: "https://example.com/",
  uuid: "123e4567-e89b-42d3-a456-426614174000",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
};

/** An instance of `schema`. Honours type, required, enum, const, $ref, combinators, formats, lengths and bounds; not `pattern`. */
export function sample(schema: unknown): unknown {
  return instance(schema, { root: schema, nodesLeft: nodesMax }, 0);
}

function instance(schema: unknown, walk: Walk, depth: number): unknown {
  walk.nodesLeft -= 1;
  if (!isObject(schema) || depth > 2 * depthMax || walk.nodesLeft < 0) return schema === false ? null : "example";
  if (typeof schema.$ref === "string") return instance(resolve(schema.$ref, walk.root), walk, depth + 1);
  if ("const" in schema) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  const branches = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(branches)) {
    const branch = branches.find((one) => isObject(one) && typeOf(one) !== "null") ?? branches[0];
    return instance({ ...without(schema), ...(isObject(branch) ? branch : {}) }, walk, depth + 1);
  }
  if (Array.isArray(schema.allOf)) return instance(merged(schema, walk.root), walk, depth + 1);
  switch (typeOf(schema)) {
    case "object":
      return sampleObject(schema, walk, depth);
    case "array":
      return sampleArray(schema, walk, depth);
    case "integer":
    case "number":
      return sampleNumber(schema);
    case "boolean":
      return true;
    case "null":
      return null;
    default:
      return sampleString(schema);
  }
}

function typeOf(schema: JsonObject): string {
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
  if (typeof type === "string") return type.toLowerCase();
  if (isObject(schema.properties)) return "object";
  return schema.items === undefined ? "string" : "array";
}

function sampleObject(schema: JsonObject, walk: Walk, depth: number): JsonObject {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === "string") : [];
  // Nothing required: show all of them, since `{}` would make a dull tool call.
  const names = required.length > 0 || depth > depthMax ? required : Object.keys(properties);
  return Object.fromEntries(names.map((name) => [name, instance(properties[name] ?? {}, walk, depth + 1)]));
}

function sampleArray(schema: JsonObject, walk: Walk, depth: number): unknown[] {
  if (Array.isArray(schema.prefixItems)) return schema.prefixItems.map((item) => instance(item, walk, depth + 1));
  const least = depth > depthMax ? 0 : 1;
  const count = typeof schema.minItems === "number" ? schema.minItems : schema.maxItems === 0 ? 0 : least;
  return Array.from({ length: Math.min(count, 100) }, () => instance(schema.items ?? {}, walk, depth + 1));
}

function sampleNumber(schema: JsonObject): number {
  const whole = typeOf(schema) === "integer";
  const bound = (name: string) => (typeof schema[name] === "number" ? (schema[name] as number) : undefined);
  const above = bound("exclusiveMinimum");
  const below = bound("exclusiveMaximum");
  const low = above === undefined ? bound("minimum") : whole ? Math.floor(above) + 1 : above + 0.5;
  const high = below === undefined ? bound("maximum") : whole ? Math.ceil(below) - 1 : below - 0.5;
  const value = Math.min(Math.max(1, low ?? 1), high ?? Number.POSITIVE_INFINITY);
  const step = bound("multipleOf");
  if (step !== undefined && step > 0) return Math.ceil(value / step) * step;
  return whole ? Math.ceil(value) : value;
}

function sampleString(schema: JsonObject): string {
  const value = formats[text(schema.format)] ?? "example";
  const least = typeof schema.minLength === "number" ? Math.min(schema.minLength, 10_000) : 0;
  const most = typeof schema.maxLength === "number" ? schema.maxLength : Number.POSITIVE_INFINITY;
  return value.padEnd(least, "x").slice(0, most);
}

function resolve(ref: string, root: unknown): unknown {
  if (!ref.startsWith("#")) return {};
  let node = root;
  for (const step of ref.slice(1).split("/").filter(Boolean)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    node = isObject(node) ? node[name] : Array.isArray(node) ? node[Number(name)] : undefined;
  }
  return node;
}

function without(schema: JsonObject): JsonObject {
  const { anyOf: _any, oneOf: _one, ...rest } = schema;
  return rest;
}

function merged(schema: JsonObject, root: unknown): JsonObject {
  const { allOf, ...own } = schema;
  const parts = [own, ...objectsIn(allOf)].map((part) =>
    typeof part.$ref === "string" ? resolve(part.$ref, root) : part,
  );
  const branches = parts.filter(isObject);
  const all: JsonObject = Object.assign({}, ...branches);
  const properties = Object.assign({}, ...branches.map((branch) => branch.properties));
  const required = branches.flatMap((branch) => (Array.isArray(branch.required) ? branch.required : []));
  return Object.keys(properties).length === 0 ? all : { ...all, properties, required: [...new Set(required)] };
}

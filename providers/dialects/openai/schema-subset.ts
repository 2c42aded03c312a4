// Moonshot's subset of JSON schema ("MFJS"): the root is an object, tuples are `prefixItems`, `type` is not beside `anyOf`.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";

/** Deeper schemas are handed on as they are: callers decide how deep. */
const DEPTH_MAX = 64;

export function toMfjs(schema: unknown): unknown {
  const converted = convert(schema, 0);
  const isTyped = isObject(converted) && (converted.type !== undefined || converted.anyOf !== undefined);
  return isObject(converted) && !isTyped ? { type: "object", ...converted } : converted;
}

function convert(schema: unknown, depth: number): unknown {
  if (depth > DEPTH_MAX) return schema;
  if (Array.isArray(schema)) return schema.map((inner) => convert(inner, depth + 1));
  if (!isObject(schema)) return schema;
  const entries = Object.entries(schema)
    // With it, kimi-k2.5 answers nonsense (vercel/ai#18921).
    .filter(([key]) => key !== "$schema")
    .map(([key, value]) => [nameFor(key, value), valueFor(key, value, depth)] as const);
  return withTypeInBranches(Object.fromEntries(entries));
}

function nameFor(key: string, value: unknown): string {
  return key === "items" && Array.isArray(value) ? "prefixItems" : key;
}

/** Members whose values are no schemas, whatever they look like. */
const DATA = ["enum", "const", "default", "examples", "required"];
/** Members whose keys are names, not keywords. */
const MAPS = ["properties", "patternProperties", "$defs", "definitions"];

function valueFor(key: string, value: unknown, depth: number): unknown {
  if (DATA.includes(key)) return value;
  if (!MAPS.includes(key) || !isObject(value)) return convert(value, depth + 1);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, convert(inner, depth + 1)]));
}

function withTypeInBranches(schema: JsonObject): JsonObject {
  const { type, anyOf, ...rest } = schema;
  if (type === undefined || !Array.isArray(anyOf)) return schema;
  const branches = anyOf.map((branch: unknown) => (isObject(branch) ? { type, ...branch } : branch));
  return { ...rest, anyOf: branches };
}

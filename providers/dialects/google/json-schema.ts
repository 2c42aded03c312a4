// JSON Schema for `parametersJsonSchema` and `responseJsonSchema`: nearly as it came, without what Gemini trips over.
import type { JsonObject } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";
import {
  admit,
  inclusiveBounds,
  mergeAllOf,
  resolveRef,
  type SchemaPlace,
  type SchemaWork,
  schemaWork,
  withoutRef,
} from "./schema-rules.ts";

/** A copy Gemini honours (the caller's object is never touched), or the reason why there is none. */
export function toJsonSchema(schema: JsonObject): { schema: JsonObject } | { problem: string } {
  const work = schemaWork(schema);
  const copy = convert(schema, work, { depth: 0, refs: [] });
  return work.problem === undefined ? { schema: isObject(copy) ? copy : {} } : { problem: work.problem };
}

const MAPS_OF_SCHEMAS = new Set(["properties", "$defs", "definitions"]);
const SCHEMAS = new Set(["items", "prefixItems", "anyOf", "oneOf", "additionalProperties"]);

function convert(node: unknown, work: SchemaWork, place: SchemaPlace): unknown {
  if (!isObject(node) || !admit(work, place)) return node;
  if (typeof node.$ref === "string" && !isBareRef(node)) return inline(node, node.$ref, work, place);
  const merged = mergeAllOf(node, work, place);
  if (merged.node !== node) return convert(merged.node, work, merged.place);
  const { $schema, ...rest } = inclusiveBounds(node);
  if (rest.const !== undefined) {
    rest.enum = [rest.const];
    delete rest.const;
  }
  const below = { ...place, depth: place.depth + 1 };
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => member(key, value, work, below)));
}

function member(key: string, value: unknown, work: SchemaWork, place: SchemaPlace): [string, unknown] {
  if (MAPS_OF_SCHEMAS.has(key) && isObject(value)) {
    const entries = Object.entries(value).map(([name, schema]) => [name, convert(schema, work, place)]);
    return [key === "definitions" ? "$defs" : key, Object.fromEntries(entries)];
  }
  if (key === "$ref" && typeof value === "string") return [key, value.replace(/^#\/definitions\//, "#/$defs/")];
  if (!SCHEMAS.has(key)) return [key, value];
  if (Array.isArray(value)) return [key, value.map((schema) => convert(schema, work, place))];
  return [key, convert(value, work, place)];
}

/** A reference may have no siblings but those that start with `$`. */
function isBareRef(node: JsonObject): boolean {
  return Object.keys(node).every((key) => key.startsWith("$"));
}

/** The target with the siblings laid over it. Inside itself a reference stays one, or this would never end. */
function inline(node: JsonObject, ref: string, work: SchemaWork, place: SchemaPlace): unknown {
  const target = resolveRef(work.root, ref);
  if (target === undefined || place.refs.includes(ref)) return convert({ $ref: ref }, work, place);
  const refs = [...place.refs, ref];
  return convert({ ...target, ...withoutRef(node) }, work, { depth: place.depth + 1, refs });
}

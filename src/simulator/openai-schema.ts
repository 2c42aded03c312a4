// The rules strict schemas must keep at OpenAI.
import { isObject } from "../json.ts";
import type { Violations } from "./check.ts";
import { invalid } from "./openai-words.ts";

/** Strict schemas close every object and require every property. */
export function* strictViolations(of: string, param: string, schema: unknown, context: string[] = []): Violations {
  if (!isObject(schema)) return;
  const where = `Invalid schema for ${of}: In context=(${context.map((step) => `'${step}'`).join(", ")}${context.length === 1 ? "," : ""}),`;
  const properties = isObject(schema.properties) ? schema.properties : {};
  if (schema.type === "object" || isObject(schema.properties)) {
    if (schema.additionalProperties !== false) {
      yield invalid(param, null, `${where} 'additionalProperties' is required to be supplied and to be false.`);
    }
    const required = Array.isArray(schema.required) ? schema.required : [];
    const absent = Object.keys(properties).find((name) => !required.includes(name));
    if (absent !== undefined) {
      const rule = "'required' is required to be supplied and to be an array including every key in properties.";
      yield invalid(param, null, `${where} ${rule} Missing '${absent}'.`);
    }
  }
  for (const [name, property] of Object.entries(properties)) {
    yield* strictViolations(of, param, property, [...context, "properties", name]);
  }
  yield* strictViolations(of, param, schema.items, [...context, "items"]);
}

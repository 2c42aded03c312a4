// A caller's schema in the member that this model reads: JSON Schema where it can, the OpenAPI subset otherwise.
import type { JsonObject } from "../../../src/chat.ts";
import type { Translation } from "./context.ts";
import { toJsonSchema } from "./json-schema.ts";
import { toOpenApiSchema } from "./openapi-schema.ts";

/** Names of the two members; they exclude each other. */
export interface SchemaMembers {
  json: string;
  openApi: string;
}

/** `at` is the path of the schema in the request. Nothing for a schema that says nothing. */
export function schemaMember(
  schema: JsonObject,
  at: string,
  members: SchemaMembers,
  { gates, repairs, report }: Pick<Translation, "gates" | "repairs" | "report">,
): JsonObject {
  if (repairs.plainSchemas) report.note("repaired", "schema");
  const result = gates.jsonSchema ? toJsonSchema(schema) : toOpenApiSchema(schema, repairs.schemaKeywords);
  if ("problem" in result) {
    report.refuse("invalid_schema", at, `Invalid schema: ${result.problem}.`, "unsupported");
    return {};
  }
  if (result.schema === undefined) return {};
  return { [gates.jsonSchema ? members.json : members.openApi]: result.schema };
}

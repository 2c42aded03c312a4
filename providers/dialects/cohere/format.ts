// `response_format`: one JSON mode, with or without a schema, and none beside tools.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";

export interface AnswerFormat {
  /** `response_format` upstream. */
  member?: JsonObject;
  /** Asks for it in words instead. */
  instruction?: string;
}

export function toFormat(body: ChatBody, report: Report): AnswerFormat {
  const format = isObject(body.response_format) ? body.response_format : {};
  if (format.type === undefined || format.type === "text") return {};
  if (format.type !== "json_object" && format.type !== "json_schema") {
    const message = `Invalid value: '${firstText(format.type)}'; use one of: text, json_object, json_schema.`;
    report.refuse("invalid_value", "response_format.type", message);
    return {};
  }
  const schema = schemaOf(format);
  // "response_format is not supported with RAG", and with tools neither.
  if ([body.tools, body.functions, body.documents].some((list) => objectsIn(list).length > 0)) {
    report.note("downgraded", "response_format");
    const told = JSON.stringify(schema);
    const fitting = schema === undefined ? "" : `, and with a value that this JSON schema accepts: ${told}`;
    return { instruction: `Answer with JSON only${fitting}` };
  }
  return { member: { type: "json_object", ...(schema !== undefined && { json_schema: schema }) } };
}

function schemaOf({ json_schema: described }: JsonObject): JsonObject | undefined {
  const schema = isObject(described) ? described.schema : undefined;
  return isObject(schema) && Object.keys(schema).length > 0 ? schema : undefined;
}

// The form of the answer that `response_format` asks for, and which of three ways gets it from this model.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import { sanitiseSchema } from "./schema.ts";
import type { Terms } from "./terms.ts";

/**
 * `native`: the API enforces the schema · `tool`: a tool whose input is the answer, for models without that ·
 * `instruct`: words in the system prompt, and a code fence around the answer is taken off.
 */
export type AnswerForm =
  | { kind: "text" }
  | { kind: "native"; schema: JsonObject; narrowed: boolean }
  | { kind: "tool"; name: string; description: string; schema: JsonObject }
  | { kind: "instruct"; schema: JsonObject | undefined };

/** Encoder and decoder both ask, so the decision depends on the request and the model alone. */
export function answerForm(body: ChatBody, terms: Terms): AnswerForm {
  const format = body.response_format;
  if (!isObject(format)) return vendorForm(body.output_config, terms);
  if (format.type === "json_object") return { kind: "instruct", schema: undefined };
  if (format.type !== "json_schema") return vendorForm(body.output_config, terms);
  const named = isObject(format.json_schema) ? format.json_schema : {};
  const schema = isObject(named.schema) ? named.schema : {};
  if (terms.instructsJson) return { kind: "instruct", schema };
  if (!terms.structuredOutputs) {
    const description = firstText(named.description, "Return the answer in this form.");
    if (terms.forcedTools && canBeToolInput(schema)) {
      return { kind: "tool", name: unusedName(body), description, schema };
    }
    return { kind: "instruct", schema };
  }
  const sanitised = sanitiseSchema(schema);
  return sanitised === undefined ? { kind: "instruct", schema } : { kind: "native", ...sanitised };
}

/** Anthropic's own `output_config.format` is sent as it is. */
function vendorForm(config: unknown, terms: Terms): AnswerForm {
  const format = isObject(config) && isObject(config.format) ? config.format : {};
  if (!isObject(format.schema)) return { kind: "text" };
  const { schema } = format;
  return terms.instructsJson ? { kind: "instruct", schema } : { kind: "native", schema, narrowed: false };
}

function canBeToolInput({ type }: JsonObject): boolean {
  return type === undefined || type === "object";
}

function unusedName(body: ChatBody): string {
  const tools = [...objectsIn(body.tools).map((tool) => tool.function ?? tool.custom), ...objectsIn(body.functions)];
  const taken = tools.map((tool) => (isObject(tool) ? tool.name : undefined));
  return taken.includes("json_output") ? "json_output_1" : "json_output";
}

/** System text that asks for JSON where nothing can enforce it. */
export function jsonInstruction(schema: JsonObject | undefined): string {
  const ask = "Respond with a single valid JSON object and nothing else.";
  return schema === undefined ? ask : `${ask} It must match this JSON Schema:\n${JSON.stringify(schema)}`;
}

// The form of the answer that `response_format` asks for, and which of three ways gets it from this model.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { ModelProfile } from "./profile.ts";
import { sanitiseSchema } from "./schema.ts";

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
export function answerForm(body: ChatBody, profile: ModelProfile): AnswerForm {
  const format = body.response_format;
  if (!isObject(format)) return { kind: "text" };
  if (format.type === "json_object") return { kind: "instruct", schema: undefined };
  if (format.type !== "json_schema") return { kind: "text" };
  const named = isObject(format.json_schema) ? format.json_schema : {};
  const schema = isObject(named.schema) ? named.schema : {};
  if (!profile.structuredOutputs) {
    const description = firstText(named.description, "Return the answer in this form.");
    if (profile.forcedTools && canBeToolInput(schema)) {
      return { kind: "tool", name: unusedName(body), description, schema };
    }
    return { kind: "instruct", schema };
  }
  const sanitised = sanitiseSchema(schema);
  return sanitised === undefined ? { kind: "instruct", schema } : { kind: "native", ...sanitised };
}

function canBeToolInput({ type }: JsonObject): boolean {
  return type === undefined || type === "object";
}

function unusedName(body: ChatBody): string {
  const tools = [...objectsIn(body.tools).map((tool) => tool.function), ...objectsIn(body.functions)];
  const taken = tools.map((tool) => (isObject(tool) ? tool.name : undefined));
  return taken.includes("json_output") ? "json_output_1" : "json_output";
}

/** System text that asks for JSON where nothing can enforce it. */
export function jsonInstruction(schema: JsonObject | undefined): string {
  const ask = "Respond with a single valid JSON object and nothing else.";
  return schema === undefined ? ask : `${ask} It must match this JSON Schema:\n${JSON.stringify(schema)}`;
}

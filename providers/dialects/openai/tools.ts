// Tools, the choice among them, and the form of the answer, in the variants providers know.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { toMfjs } from "./schema-subset.ts";

export function setTools(body: JsonObject, profile: OpenAiChatProfile, report: Report): void {
  if (profile.toolChoice !== undefined && body.tool_choice != null) setToolChoice(body, profile.toolChoice, report);
  if (!Array.isArray(body.tools)) return;
  if (profile.toolParameters === "as_sent" && profile.toolSchema === "as_sent") return;
  body.tools = body.tools.map((tool: unknown) => {
    if (!isObject(tool) || !isObject(tool.function)) return tool;
    return { ...tool, function: withParameters(tool.function, profile) };
  });
}

/** OpenAI refuses an empty list, and settings about calls without one; what they mean is its default. */
export function dropEmptyTools(body: JsonObject): void {
  if (!Array.isArray(body.tools) || body.tools.length > 0) return;
  delete body.tools;
  delete body.parallel_tool_calls;
  if (body.tool_choice === "auto" || body.tool_choice === "none") delete body.tool_choice;
}

function withParameters(body: JsonObject, { toolParameters, toolSchema }: OpenAiChatProfile): JsonObject {
  const hasParameters = isObject(body.parameters) && Object.keys(body.parameters).length > 0;
  if (!hasParameters && toolParameters === "required") return { ...body, parameters: EMPTY_OBJECT };
  return hasParameters && toolSchema === "mfjs" ? { ...body, parameters: toMfjs(body.parameters) } : body;
}

const EMPTY_OBJECT = { type: "object", properties: {} };

/** Only strings are known: what names tools filters them, and then asks for "some tool". */
function setToolChoice(
  body: JsonObject,
  { required, none }: NonNullable<OpenAiChatProfile["toolChoice"]>,
  report: Report,
): void {
  const choice = body.tool_choice;
  if (choice === "none" && none === "no_tools") {
    delete body.tools;
    delete body.tool_choice;
  } else if (choice === "required") {
    setRequired(body, required, "required", report);
  } else if (isObject(choice)) {
    const allowed = isObject(choice.allowed_tools) ? choice.allowed_tools : { mode: "required", tools: [choice] };
    const names = objectsIn(allowed.tools).map(nameOf);
    if (Array.isArray(body.tools)) body.tools = objectsIn(body.tools).filter((tool) => names.includes(nameOf(tool)));
    if (allowed.mode === "auto") body.tool_choice = "auto";
    else setRequired(body, required, firstText(choice.type), report);
  }
}

function setRequired(body: JsonObject, word: "required" | "any" | "auto", asked: string, report: Report): void {
  body.tool_choice = word;
  if (word === "auto") report.note("downgraded", "tool_choice", `${asked}->auto`);
}

function nameOf(tool: JsonObject): string {
  const body = isObject(tool.function) ? tool.function : isObject(tool.custom) ? tool.custom : {};
  return firstText(body.name);
}

/** Answers with the messages, to which a schema may have to be added. */
export function setResponseFormat(
  body: JsonObject,
  messages: ChatMessage[],
  { responseFormat }: OpenAiChatProfile,
  report: Report,
): ChatMessage[] {
  const format = body.response_format;
  if (responseFormat === "keep" || !isObject(format)) return messages;
  const told = isObject(format.json_schema) ? format.json_schema : {};
  if (responseFormat === "schema_in_prompt") {
    if (format.type !== "json_schema") return messages;
    body.response_format = { type: "json_object" };
    report.note("downgraded", "response_format");
    return withSystemText(messages, promptFor(told.schema));
  }
  const isAnyObject = format.type === "json_object";
  if (!isAnyObject && format.type !== "json_schema") return messages;
  const schema = isAnyObject ? { type: "object" } : told.schema;
  if (responseFormat === "bare_schema") body.response_format = { type: "json_schema", json_schema: { schema } };
  else if (isAnyObject) body.response_format = { type: "json_schema", json_schema: { name: "response", schema } };
  return messages;
}

/** Providers with a bare JSON mode insist on the word "JSON" in the prompt. */
function promptFor(schema: unknown): string {
  return `Answer with JSON only, and with a value that this JSON schema accepts: ${JSON.stringify(schema ?? {})}`;
}

function withSystemText(messages: ChatMessage[], text: string): ChatMessage[] {
  const [first, ...rest] = messages;
  if (first?.role !== "system") return [{ role: "system", content: text }, ...messages];
  const content = Array.isArray(first.content)
    ? [...first.content, { type: "text", text }]
    : [first.content, text].filter(Boolean).join("\n\n");
  return [{ ...first, content }, ...rest];
}

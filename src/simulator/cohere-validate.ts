// What Cohere's chat API refuses: fields and members that are not its own, values out of bounds, turns that do not fit.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn, parseJson } from "../json.ts";
import { firstOf, given, isInteger, type Violations } from "./check.ts";
import { type Call, type Fault, text } from "./face.ts";

const FIELDS = [
  ..."model messages stream tools strict_tools tool_choice documents citation_options response_format".split(" "),
  ..."safety_mode max_tokens stop_sequences temperature seed frequency_penalty presence_penalty".split(" "),
  ..."k p logprobs thinking priority raw_prompting".split(" "),
];

const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  system: ["role", "content"],
  user: ["role", "content"],
  assistant: ["role", "content", "tool_calls", "tool_plan", "citations"],
  tool: ["role", "tool_call_id", "content"],
};

const BOUNDS: Readonly<Record<string, readonly [min: number, max: number]>> = {
  temperature: [0, 1],
  p: [0.01, 0.99],
  k: [0, 500],
  frequency_penalty: [0, 1],
  presence_penalty: [0, 1],
};

export const validateCohere = firstOf(violations);

function invalid(message: string): Fault {
  return { status: 400, message: `invalid request: ${message}` };
}

function* violations({ body }: Call): Violations {
  const unknown = Object.keys(body).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined)
    yield { status: 422, message: `unknown field: parameter '${unknown}' is not a valid field` };
  const nothing = Object.keys(body).find((field) => body[field] === null);
  if (nothing !== undefined) yield invalid(`${nothing} must not be null.`);
  if (text(body.model) === "") yield invalid("model is required.");
  if (objectsIn(body.messages).length === 0) yield invalid("messages must have at least one message.");
  for (const [at, message] of objectsIn(body.messages).entries()) yield* messageViolations(message, at);
  yield* turnViolations(objectsIn(body.messages));
  yield* toolViolations(body);
  yield* settingViolations(body);
}

function* messageViolations(message: JsonObject, at: number): Violations {
  const role = text(message.role);
  const members = MEMBERS[role];
  if (members === undefined) yield invalid(`messages[${at}].role must be one of ${Object.keys(MEMBERS).join(", ")}.`);
  const unknown = Object.keys(message).find((member) => members?.includes(member) === false);
  if (unknown !== undefined) yield { status: 422, message: `unknown field: messages[${at}].${unknown}` };
  if (role === "assistant" && objectsIn(message.tool_calls).length > 0) {
    if (message.content !== undefined) yield invalid(`messages[${at}] has tool calls, and must have no content.`);
    for (const call of objectsIn(message.tool_calls)) yield* callViolations(call, at);
    return;
  }
  const isText = typeof message.content === "string" && message.content !== "";
  const parts = objectsIn(message.content);
  if (!isText && parts.length === 0) yield invalid("all messages must have content.");
  for (const part of parts) yield* partViolations(part, role, at);
}

function* partViolations(part: JsonObject, role: string, at: number): Violations {
  if (part.type === "text" && text(part.text) !== "") return;
  const url = isObject(part.image_url) ? text(part.image_url.url) : "";
  if (part.type === "image_url" && role === "user" && /^(data:image\/|https?:)/.test(url)) return;
  yield invalid(`messages[${at}].content holds a part that is not valid.`);
}

function* callViolations(call: JsonObject, at: number): Violations {
  const made = isObject(call.function) ? call.function : {};
  const isWhole = text(call.id) !== "" && call.type === "function" && text(made.name) !== "";
  if (!isWhole) yield invalid(`messages[${at}].tool_calls holds a call without id, type or name.`);
  const unknown = Object.keys(call).find((member) => !["id", "type", "function"].includes(member));
  if (unknown !== undefined) yield { status: 422, message: `unknown field: messages[${at}].tool_calls.${unknown}` };
  if (!isObject(parseJson(text(made.arguments)))) yield invalid("arguments of a tool call must be a JSON object.");
}

/** Every call is answered, and every result belongs to a call of the turn before it. */
function* turnViolations(messages: JsonObject[]): Violations {
  let open = new Set<string>();
  for (const message of messages) {
    if (message.role === "tool") {
      if (open.delete(text(message.tool_call_id))) continue;
      yield invalid(`no tool call with id ${text(message.tool_call_id)} found in the previous turn.`);
    }
    if (open.size > 0) yield invalid(`missing results for tool calls ${[...open].join(", ")}.`);
    open = new Set(objectsIn(message.tool_calls).map((call) => text(call.id)));
  }
  if (open.size > 0) yield invalid(`missing results for tool calls ${[...open].join(", ")}.`);
}

function* toolViolations(body: JsonObject): Violations {
  if (Array.isArray(body.tools) && body.tools.length === 0) yield invalid("tools must not be empty.");
  for (const tool of objectsIn(body.tools)) {
    const declared = isObject(tool.function) ? tool.function : {};
    const unknown = Object.keys(declared).find((member) => !["name", "description", "parameters"].includes(member));
    if (unknown !== undefined) yield { status: 422, message: `unknown field: tools.function.${unknown}` };
    const isWhole = tool.type === "function" && text(declared.name) !== "" && isObject(declared.parameters);
    if (!isWhole) yield invalid("a tool must be a function with a name and parameters.");
    const required = isObject(declared.parameters) ? declared.parameters.required : undefined;
    if (body.strict_tools === true && !(Array.isArray(required) && required.length > 0))
      yield invalid("with strict_tools each tool must have at least one required parameter.");
  }
  const choice = body.tool_choice;
  if (given(choice) && choice !== "REQUIRED" && choice !== "NONE")
    yield invalid("tool_choice must be REQUIRED or NONE.");
  if (given(choice) && !given(body.tools)) yield invalid("tool_choice needs tools.");
}

function* settingViolations(body: JsonObject): Violations {
  for (const [field, [min, max]] of Object.entries(BOUNDS)) {
    const value = body[field];
    if (!given(value)) continue;
    if (typeof value !== "number" || value < min || value > max)
      yield invalid(`${field} must be between ${min} and ${max} inclusive.`);
  }
  for (const field of ["max_tokens", "seed"])
    if (given(body[field]) && !isInteger(body[field])) yield invalid(`${field} must be an integer.`);
  const stops = body.stop_sequences;
  if (given(stops) && !(Array.isArray(stops) && stops.length > 0 && stops.length <= 5))
    yield invalid("stop_sequences must hold between 1 and 5 strings.");
  if (isObject(body.response_format)) {
    if (body.response_format.type !== "text" && body.response_format.type !== "json_object")
      yield invalid("response_format.type must be text or json_object.");
    if (body.response_format.type === "json_object" && given(body.tools))
      yield invalid("response_format is not supported with tools.");
  }
  if (!isObject(body.thinking)) return;
  if (body.thinking.type !== "enabled" && body.thinking.type !== "disabled")
    yield invalid("thinking.type must be enabled or disabled.");
}

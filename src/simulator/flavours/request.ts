// What a compatible provider refuses: the rules of its flavour, and what none of them can do without.
import type { JsonObject } from "../../chat.ts";
import { isObject, objectsIn, parseJson } from "../../json.ts";
import { given, type Violations } from "../check.ts";
import { type Call, type Fault, text } from "../face.ts";
import { type Flavour, type RequestRules, thinks } from "./flavour.ts";

const ROLES = ["system", "user", "assistant", "tool"];
/** Every provider knows these. */
const COMMON_FIELDS = ["model", "messages", "stream"];

export function* flavourViolations(flavour: Flavour, call: Call): Violations {
  const { body } = call;
  const rules = flavour.request;
  yield* fieldViolations(rules, call);
  if (!given(body.model) || body.model === "") yield invalid({ message: "you must provide a model parameter" });
  if (!Array.isArray(body.messages) || body.messages.length === 0) {
    yield invalid({ message: "messages must be an array with at least one message", param: "messages" });
    return;
  }
  if (rules.nulls === "refused") {
    const none = Object.keys(body).find((field) => body[field] === null);
    if (none !== undefined) yield invalid({ message: `Input validation error: ${none} must not be null`, param: none });
  }
  for (const [at, message] of objectsIn(body.messages).entries()) yield* messageViolations(rules, message, at);
  yield* turnViolations(rules, objectsIn(body.messages));
  yield* callViolations(rules, objectsIn(body.messages));
  yield* toolViolations(rules, body);
  yield* formatViolations(rules, body);
  yield* reasoningViolations(flavour, call);
}

function invalid(fault: Partial<Fault>): Fault {
  return { status: 400, type: "invalid_request_error", message: "Input validation error", ...fault };
}

function* fieldViolations({ fields, unknownField, refused }: RequestRules, { body, model }: Call): Violations {
  const unknown = Object.keys(body).find((field) => !COMMON_FIELDS.includes(field) && !fields?.includes(field));
  if (fields !== undefined && unknown !== undefined) yield invalid(unknownField?.(unknown) ?? {});
  for (const { field, models, when, fault } of refused ?? []) {
    if (!given(body[field]) || models?.test(model) === false) continue;
    if (when?.(body[field], body) ?? true) yield invalid(fault);
  }
}

function* messageViolations(rules: RequestRules, message: JsonObject, at: number): Violations {
  const role = text(message.role);
  const roles = rules.roles ?? ROLES;
  if (!roles.includes(role)) {
    yield invalid({ message: `messages[${at}].role: must be one of ${roles.join(", ")}, found '${role}'` });
  }
  const unknown = Object.keys(message).find((key) => rules.messageKeys?.includes(key) === false);
  if (unknown !== undefined) yield invalid(rules.unknownKey?.(at, role, unknown) ?? {});
  if (rules.nullCalls === "refused" && message.tool_calls === null) {
    yield invalid(rules.unknownKey?.(at, role, "tool_calls") ?? {});
  }
  yield* contentViolations(rules, message, at);
}

function* contentViolations({ textParts, images }: RequestRules, message: JsonObject, at: number): Violations {
  const { content, role } = message;
  const parts = objectsIn(content);
  const mayLack = role === "assistant" && (Array.isArray(message.tool_calls) || content === "");
  if (!given(content) && !mayLack) yield invalid({ message: `messages[${at}].content must be a string or an array` });
  if (textParts === "refused" && Array.isArray(content) && parts.every(({ type }) => type === "text")) {
    const message = `Failed to deserialize the JSON body into the target type: messages[${at}]: invalid type: sequence, expected a string`;
    yield invalid({ message });
  }
  for (const part of parts) {
    if (!given(part.type)) yield invalid({ message: `messages[${at}].content: a part has no type` });
    if (part.type !== "image_url") continue;
    const url = isObject(part.image_url) ? text(part.image_url.url) : "";
    if (url === "") yield invalid({ message: `messages[${at}].content: an image has no url` });
    if (images === "none") yield invalid({ message: "images are not supported" });
    const isInline = url.startsWith("data:") || url.startsWith("ms://");
    if (images === "inline" && !isInline) yield invalid({ message: "unsupported image url: only base64 is accepted" });
  }
}

function* turnViolations(rules: RequestRules, messages: JsonObject[]): Violations {
  const firstOther = messages.findIndex(({ role }) => role !== "system");
  const systems = messages.filter(({ role }) => role === "system").length;
  const isOutOfPlace = messages.some(({ role }, at) => role === "system" && firstOther !== -1 && at > firstOther);
  if (rules.systemMessages === "one_at_the_start" && (systems > 1 || isOutOfPlace)) {
    yield invalid({ status: 200, message: "invalid params, invalid message role: system", code: "2013" });
  }
  if (rules.alternates) {
    const turns = messages.slice(firstOther);
    const isWrong = turns.some(({ role }, at) => at > 0 && role === turns[at - 1]?.role && role !== "tool");
    const message =
      "After the (optional) system message(s), user or tool message(s) should alternate with assistant message(s).";
    if (isWrong || isOutOfPlace || turns[0]?.role === "assistant") yield invalid({ message, type: "invalid_message" });
  }
  const last = messages.at(-1) ?? {};
  const isPrefix = last.role === "assistant" && last.prefix === true;
  if (rules.lastRoles !== undefined && !rules.lastRoles.includes(text(last.role)) && !isPrefix) {
    const wanted = rules.lastRoles.join(" or ");
    yield invalid({ message: `Expected last role ${wanted} but got ${last.role}`, code: "3230" });
  }
}

/** Calls are answered, answers belong to calls, ids and arguments are what the provider can read. */
function* callViolations({ callIds, tools }: RequestRules, messages: JsonObject[]): Violations {
  let open = new Set<string>();
  for (const message of messages) {
    if (message.role === "tool") {
      if (!open.delete(text(message.tool_call_id))) {
        yield invalid({
          message: `tool_call_id ${text(message.tool_call_id)} is not found in 'tool_calls' of a previous message`,
        });
      }
      continue;
    }
    if (open.size > 0) break;
    const calls = objectsIn(message.tool_calls);
    if (Array.isArray(message.tool_calls) && calls.length === 0)
      yield invalid({ message: "tool_calls must not be empty" });
    for (const call of calls) {
      const id = text(call.id);
      const made = isObject(call.function) ? call.function : {};
      if (id === "") yield invalid({ message: "a tool call has no id" });
      if (typeof made.arguments !== "string") yield invalid({ message: "arguments of a tool call must be a string" });
      if (callIds?.pattern.test(id) === false) yield invalid(callIds.fault(id));
      if (tools === "checked" && !isObject(parseJson(text(made.arguments)))) {
        yield invalid({ status: 200, message: "invalid params, invalid function arguments json string", code: "2013" });
      }
    }
    open = new Set(calls.map(({ id }) => text(id)));
  }
  if (open.size > 0) {
    yield invalid({ message: `tool_calls without answers: ${[...open].join(", ")}` });
  }
}

function* toolViolations({ emptyTools, toolChoices, tools }: RequestRules, body: JsonObject): Violations {
  if (emptyTools === "refused" && Array.isArray(body.tools) && body.tools.length === 0) {
    yield invalid({ message: "tools must not be empty", param: "tools" });
  }
  for (const tool of objectsIn(body.tools)) {
    const parameters = isObject(tool.function) ? tool.function.parameters : undefined;
    const isEmpty = !isObject(parameters) || Object.keys(parameters).length === 0;
    if (tools === "checked" && isEmpty) {
      yield invalid({ status: 200, message: "invalid params, function parameters is empty", code: "2013" });
    }
  }
  const choice = body.tool_choice;
  if (toolChoices === undefined || !given(choice)) return;
  const isTaken = typeof choice === "string" ? toolChoices.words.includes(choice) : toolChoices.named;
  if (!isTaken) yield invalid(toolChoices.fault(choice));
}

function* formatViolations({ formats }: RequestRules, body: JsonObject): Violations {
  const format = body.response_format;
  if (!isObject(format)) return;
  const type = text(format.type);
  if (formats?.types.includes(type) === false) yield invalid(formats.fault(type));
  if (type === "json_object" && !/json/i.test(JSON.stringify(body.messages))) {
    yield invalid({
      message: "Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.",
    });
  }
}

function* reasoningViolations(flavour: Flavour, call: Call): Violations {
  const rule = flavour.request.reasoningBack;
  if (rule === undefined || !thinks(flavour, call)) return;
  for (const [at, message] of objectsIn(call.body.messages).entries()) {
    if (message.role !== "assistant") continue;
    if (rule.turns === "tool_calls" && objectsIn(message.tool_calls).length === 0) continue;
    const { reasoning_content: told } = message;
    if (typeof told !== "string" || (rule.isFilled && told === "")) yield invalid(rule.fault(at));
  }
}

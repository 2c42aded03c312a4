// What OpenAI refuses about messages: roles, content, and the pairing of tool calls with their answers.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { given, isText, type Violations } from "./check.ts";
import { text } from "./face.ts";
import {
  choices,
  emptyArray,
  invalid,
  missing,
  pattern,
  tooLong,
  unknownParameter,
  wrongType,
} from "./openai-words.ts";

const roles = ["system", "assistant", "user", "function", "tool", "developer"];

const messageKeys: Record<string, string[]> = {
  system: ["role", "content", "name"],
  developer: ["role", "content", "name"],
  user: ["role", "content", "name"],
  // `annotations` is no documented input, but clients send answers back whole and the API takes them.
  assistant: ["role", "content", "name", "refusal", "audio", "function_call", "tool_calls", "annotations"],
  tool: ["role", "content", "tool_call_id", "name"],
  function: ["role", "content", "name"],
};

const partTypes: Record<string, string[]> = {
  system: ["text"],
  developer: ["text"],
  user: ["text", "image_url", "input_audio", "file"],
  assistant: ["text", "refusal"],
  tool: ["text"],
};

const partKeys: Record<string, string[]> = {
  text: ["type", "text", "prompt_cache_breakpoint"],
  image_url: ["type", "image_url", "prompt_cache_breakpoint"],
  input_audio: ["type", "input_audio", "prompt_cache_breakpoint"],
  file: ["type", "file", "prompt_cache_breakpoint"],
  refusal: ["type", "refusal"],
};

export function* messageViolations(messages: unknown[]): Violations {
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (!isObject(message)) yield wrongType(at, "object", message);
    else yield* oneMessage(message, at, index);
  }
  yield* pairingViolations(messages as JsonObject[]);
}

function* oneMessage(message: JsonObject, at: string, index: number): Violations {
  if (!given(message.role)) yield missing(`${at}.role`);
  const role = text(message.role);
  if (!roles.includes(role)) yield choices(`${at}.role`, message.role, roles);
  const unknown = Object.keys(message).find((key) => !messageKeys[role]?.includes(key));
  if (unknown !== undefined) yield unknownParameter(`${at}.${unknown}`);
  if (role === "tool" && !given(message.tool_call_id)) yield missing(`${at}.tool_call_id`);
  if (role === "function" && !given(message.name)) yield missing(`${at}.name`);
  yield* contentViolations(message, at, index);
  if (given(message.tool_calls)) yield* callViolations(message.tool_calls, `${at}.tool_calls`);
}

function* contentViolations(message: JsonObject, at: string, index: number): Violations {
  const { role, content } = message;
  if (!given(content)) {
    const mayLack =
      role === "function" || [message.tool_calls, message.function_call, message.refusal, message.audio].some(given);
    if (role === "assistant" && mayLack) return;
    if (role === "function" && content === null) return;
    yield invalid(`messages.[${index}].content`, null, "Invalid value for 'content': expected a string, got null.");
  }
  if (isText(content) || !given(content)) return;
  if (!Array.isArray(content)) yield wrongType(`${at}.content`, "string or array", content);
  else if (content.length === 0) yield emptyArray(`${at}.content`);
  else
    for (const [part, value] of content.entries()) yield* partViolations(value, `${at}.content[${part}]`, text(role));
}

function* partViolations(part: unknown, at: string, role: string): Violations {
  if (!isObject(part)) {
    yield wrongType(at, "object", part);
    return;
  }
  const type = text(part.type);
  if (!given(part.type)) yield missing(`${at}.type`);
  const types = partTypes[role] ?? ["text"];
  if (!types.includes(type)) yield choices(`${at}.type`, part.type, types);
  const unknown = Object.keys(part).find((key) => !partKeys[type]?.includes(key));
  if (unknown !== undefined) yield unknownParameter(`${at}.${unknown}`);
  if (!given(part[type])) yield missing(`${at}.${type}`);
  if (type === "text" && !isText(part.text)) yield wrongType(`${at}.text`, "string", part.text);
  if (type === "image_url") yield* imageViolations(part.image_url, `${at}.image_url`);
  if (type === "input_audio" && isObject(part.input_audio) && !["wav", "mp3"].includes(text(part.input_audio.format))) {
    yield choices(`${at}.input_audio.format`, part.input_audio.format, ["wav", "mp3"]);
  }
}

function* imageViolations(image: unknown, at: string): Violations {
  if (!isObject(image)) {
    yield wrongType(at, "object", image);
    return;
  }
  if (!given(image.url)) yield missing(`${at}.url`);
  const url = text(image.url);
  if (url.startsWith("data:")) {
    if (/^data:image\/(png|jpe?g|gif|webp);base64,/.test(url)) return;
    const message =
      "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].";
    yield invalid(`${at}.url`, "invalid_image_format", message);
  } else if (!/^https?:\/\//.test(url)) {
    const message = `Invalid '${at}.url'. Expected a valid URL, but got a value with an invalid format.`;
    yield invalid(`${at}.url`, "invalid_value", message);
  }
}

function* callViolations(calls: unknown, at: string): Violations {
  if (!Array.isArray(calls)) yield wrongType(at, "array", calls);
  else if (calls.length === 0) yield emptyArray(at);
  for (const [index, call] of objectsIn(calls).entries()) {
    const here = `${at}[${index}]`;
    const id = text(call.id);
    if (!given(call.id)) yield missing(`${here}.id`);
    if (id.length > 40) yield tooLong(`${here}.id`, 40, id.length);
    if (!given(call.type)) yield missing(`${here}.type`);
    const unknown = Object.keys(call).find((key) => !["id", "type", "function", "custom", "index"].includes(key));
    if (unknown !== undefined) yield unknownParameter(`${here}.${unknown}`);
    if (call.type === "custom") continue;
    if (call.type !== "function") yield choices(`${here}.type`, call.type, ["function", "custom"]);
    if (!isObject(call.function)) yield missing(`${here}.function`);
    else {
      if (!/^[a-zA-Z0-9_-]+$/.test(text(call.function.name))) yield pattern(`${here}.function.name`);
      const made = call.function.arguments;
      if (!given(made)) yield missing(`${here}.function.arguments`);
      if (!isText(made)) yield wrongType(`${here}.function.arguments`, "string", made);
    }
  }
}

/** Every call is answered directly after the turn that made it, and nothing else is. */
function* pairingViolations(messages: JsonObject[]): Violations {
  let open = new Set<string>();
  let answering = false;
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      const id = text(message.tool_call_id);
      if (!answering) {
        const rule = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
        yield invalid(`messages.[${index}].role`, null, `Invalid parameter: ${rule}`);
      }
      if (!open.delete(id)) {
        const message = `Invalid parameter: 'tool_call_id' of '${id}' not found in 'tool_calls' of previous message.`;
        yield invalid(`messages.[${index}].tool_call_id`, null, message);
      }
      continue;
    }
    if (open.size > 0) yield unanswered(index, open);
    open = new Set(objectsIn(message.tool_calls).map((call) => text(call.id)));
    answering = open.size > 0;
  }
  if (open.size > 0) yield unanswered(messages.length, open);
}

function unanswered(index: number, open: Set<string>) {
  const rule =
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.";
  const ids = [...open].join(", ");
  return invalid(
    `messages.[${index}].role`,
    null,
    `${rule} The following tool_call_ids did not have response messages: ${ids}`,
  );
}

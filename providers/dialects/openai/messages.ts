// The conversation as one provider takes it: foreign members out, roles, ids, reasoning and turns as it wants them.
import { createHash } from "node:crypto";
import type { ChatMessage, ContentPart, ToolCall } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import { isObject, parseJson } from "../../../src/json.ts";
import type { Context } from "./context.ts";
import { imageUrl, inlined } from "./images.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { withReasoning } from "./replay.ts";
import { toProviderTurns } from "./turns.ts";

/**
 * Members our answers add to an assistant message for other providers to read back. Strict providers answer 400 to
 * them ("property 'reasoning_content' is unsupported": janhq/jan#8136), so they are sent only where the profile says.
 */
const ANSWER_KEYS = [
  "reasoning",
  "reasoning_content",
  "reasoning_details",
  "thinking_blocks",
  "extra_content",
  "annotations",
  "images",
  "citations",
  "content_blocks",
  // Left in messages by the OpenAI SDK's own stream and parse helpers.
  "parsed",
  "parsed_arguments",
];

/** Members whose loss takes nothing from the conversation. */
const UNREPORTED_KEYS = [...ANSWER_KEYS, "cache_control", "refusal", "audio", "metadata", "id", "index"];

/** The messages as they are when nothing in them needs changing: the usual case allocates nothing but the list. */
export function toProviderMessages(context: Context): ChatMessage[] {
  const { messages } = context.call.request.body;
  refusePastCalls(context);
  const last = messages.length - 1;
  const changed = messages.map((message, index) => toProviderMessage(message, index, index === last, context));
  const isSame = changed.every((message, index) => message === messages[index]);
  return toProviderTurns(isSame ? messages : changed, context);
}

function refusePastCalls({ call, profile, report }: Context): void {
  if (profile.pastCalls === "keep") return;
  for (const [index, { role, tool_calls: calls, function_call: oldCall }] of call.request.body.messages.entries()) {
    const isResult = role === "tool" || role === "function";
    if (!isResult && !calls?.length && !oldCall) continue;
    const member = isResult ? "role" : oldCall ? "function_call" : "tool_calls";
    const message = "This model has no tools, and takes no conversation in which some were called.";
    report.refuse("unsupported_value", `messages[${index}].${member}`, message);
  }
}

/** Each step answers with its argument when it has nothing to do. */
function toProviderMessage(original: ChatMessage, index: number, isLast: boolean, context: Context): ChatMessage {
  const { profile } = context;
  let message = withKnownKeys(original, index, context);
  if (message.role === "developer" && !knowsDevelopers(context)) message = { ...message, role: "system" };
  if (Array.isArray(message.content)) message = withContent(message, message.content, context);
  if (message.role === "assistant") message = toAssistantMessage(message, original, index, context);
  const id = message.tool_call_id;
  if (id !== undefined && idOf(id, profile) !== id) message = { ...message, tool_call_id: idOf(id, profile) };
  const isPrefix = isLast && message.role === "assistant" && !message.tool_calls?.length;
  return isPrefix && profile.prefixField !== undefined ? { ...message, [profile.prefixField]: true } : message;
}

function knowsDevelopers({ profile, call }: Context): boolean {
  return profile.developerRole === "keep" && call.target.entry?.features?.developerRole !== false;
}

function toAssistantMessage(message: ChatMessage, original: ChatMessage, index: number, context: Context): ChatMessage {
  let changed = message;
  if (message.tool_calls?.length) {
    const calls = message.tool_calls.map((toolCall) => toProviderCall(toolCall, context));
    if (calls.some((toolCall, at) => toolCall !== message.tool_calls?.[at]))
      changed = { ...message, tool_calls: calls };
    const isEmpty = message.content === "" || (Array.isArray(message.content) && message.content.length === 0);
    if (isEmpty && context.profile.callContent === "null") changed = { ...changed, content: null };
  } else if (Array.isArray(message.tool_calls) || message.tool_calls === null) {
    // An empty list is what serialisers make of "none"; most providers answer 4xx to it.
    const { tool_calls: _, ...rest } = message;
    if (context.profile.messageKeys !== undefined) changed = rest as ChatMessage;
  }
  return withReasoning(changed, original, index, context);
}

function isForeign(key: string, role: string, { messageKeys, keep }: OpenAiChatProfile): boolean {
  if (keep.includes(key)) return false;
  if (messageKeys !== undefined) return !messageKeys.includes(key);
  return key === "cache_control" || (role === "assistant" && ANSWER_KEYS.includes(key));
}

function withKnownKeys(message: ChatMessage, index: number, { profile, report }: Context): ChatMessage {
  const foreign = Object.keys(message).filter((key) => isForeign(key, message.role, profile));
  if (foreign.length === 0) return message;
  for (const key of foreign) {
    const isReported = !UNREPORTED_KEYS.includes(key) && message[key] !== null && message[key] !== undefined;
    if (isReported) report.note("dropped", `messages[${index}].${key}`);
  }
  return without(message, foreign);
}

function without<T extends object>(holder: T, keys: string[]): T {
  return Object.fromEntries(Object.entries(holder).filter(([key]) => !keys.includes(key))) as T;
}

const CALL_KEYS = ["id", "type", "function", "custom"];
const FUNCTION_KEYS = ["name", "arguments"];

function toProviderCall(toolCall: ToolCall, context: Context): ToolCall {
  const { profile } = context;
  let changed = withoutForeign(toolCall, CALL_KEYS, profile);
  // Nobody has looked into the calls of a caller's history.
  const body = toolCall.function;
  if (isObject(body)) {
    const cleaned = withArguments(withoutForeign(body, FUNCTION_KEYS, profile), context);
    if (cleaned !== body) changed = { ...changed, function: cleaned };
  }
  const id = toolCall.id;
  return typeof id !== "string" || idOf(id, profile) === id ? changed : { ...changed, id: idOf(id, profile) };
}

function withoutForeign<T extends object>(holder: T, known: string[], { messageKeys, keep }: OpenAiChatProfile): T {
  const isOut = (key: string) => (messageKeys === undefined ? ANSWER_KEYS.includes(key) : !known.includes(key));
  const foreign = Object.keys(holder).filter((key) => isOut(key) && !keep.includes(key));
  return foreign.length === 0 ? holder : without(holder, foreign);
}

/** Arguments that are no object: under the key the other dialects use for them. */
function withArguments<T extends NonNullable<ToolCall["function"]>>(body: T, { profile, report }: Context): T {
  if (profile.pastArguments === "keep") return body;
  const text = typeof body.arguments === "string" ? body.arguments : JSON.stringify(body.arguments ?? {});
  if (isObject(parseJson(text))) return typeof body.arguments === "string" ? body : { ...body, arguments: text };
  const wrapped = text.trim() === "" ? {} : { _raw_arguments: text };
  if (text.trim() !== "") report.note("repaired", "tool_arguments");
  return { ...body, arguments: JSON.stringify(wrapped) };
}

function idOf(id: string, { toolCallId }: OpenAiChatProfile): string {
  if (toolCallId === undefined || toolCallId.pattern.test(id)) return id;
  return createHash("sha256").update(id).digest("hex").slice(0, toolCallId.length);
}

function withContent(message: ChatMessage, parts: ContentPart[], context: Context): ChatMessage {
  const { profile, call } = context;
  const changed = parts.map((part) => inlined(withKnownPartKeys(part, profile), call, profile));
  const isText = changed.every((part) => part.type === "text" && typeof part.text === "string");
  if (profile.textParts === "flat" && isText) {
    return { ...message, content: changed.map((part) => part.text).join("\n") };
  }
  return changed.some((part, at) => part !== parts[at]) ? { ...message, content: changed } : message;
}

/** A part of type `x` has its value under `x`. */
function withKnownPartKeys(part: ContentPart, { messageKeys, keep }: OpenAiChatProfile): ContentPart {
  const isOut = (key: string) => {
    if (keep.includes(key)) return false;
    return messageKeys === undefined ? key === "cache_control" : key !== "type" && key !== part.type;
  };
  const foreign = Object.keys(part).filter(isOut);
  return foreign.length === 0 ? part : without(part, foreign);
}

/** URLs of the images a provider that fetches none needs inline. */
export function imagesToFetch({ request }: Call, { images }: OpenAiChatProfile): string[] {
  if (images === "url") return [];
  const parts = request.body.messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  return parts.map(imageUrl).filter((url) => url !== undefined);
}

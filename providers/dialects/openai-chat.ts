// OpenAI Chat Completions as a client of a provider: bodies pass through, only what the profile names is changed.
import type { ChatBody, ChatMessage, JsonObject, ToolCall } from "../../src/chat.ts";
import type { Call, Encoded, Outbound, Refusal } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./openai/decode.ts";
import { decodeError } from "./openai/errors.ts";

/** How one provider departs from OpenAI, as data. */
export interface OpenAiChatProfile {
  /** Name of the output limit; the caller's `max_tokens` / `max_completion_tokens` is renamed to it. */
  outputLimitField: "max_tokens" | "max_completion_tokens" | "as_sent";
  /** Knows `stream_options.include_usage`. Without it most providers report no usage for streams. */
  streamUsage: boolean;
  developerRole: "keep" | "system";
  /** Request fields the provider refuses; dropped and reported. */
  drop: string[];
  /** Message fields of our own answers that the provider wants back (reasoning); all others are taken out. */
  replay: string[];
}

const DEFAULT_PROFILE: OpenAiChatProfile = {
  outputLimitField: "as_sent",
  streamUsage: true,
  developerRole: "system",
  drop: [],
  replay: [],
};

/** Read by the router, meaningless or an error at a provider. */
const ROUTER_FIELDS = ["usage", "provider", "models", "route", "transforms", "plugins"];

/**
 * Members our answers add to an assistant message for other providers to read back. Strict providers answer 400 to
 * them ("property 'reasoning_content' is unsupported": janhq/jan#8136), so they are sent only where the profile says.
 */
const ANSWER_FIELDS = [
  "reasoning",
  "reasoning_content",
  "reasoning_details",
  "thinking_blocks",
  "extra_content",
  "annotations",
  "images",
  // Left in messages by the OpenAI SDK's own stream and parse helpers.
  "parsed",
  "parsed_arguments",
];

/** The outbound face for providers that speak Chat Completions. */
export function openaiChat(changes: Partial<OpenAiChatProfile> = {}): Outbound {
  const profile = { ...DEFAULT_PROFILE, ...changes };
  return {
    id: "openai-chat",
    encode: (call) => encode(call, profile),
    decoder,
    decodeBody,
    decodeError,
  };
}

function encode({ request, target }: Call, profile: OpenAiChatProfile): Encoded | Refusal {
  const warnings: string[] = [];
  const body: JsonObject = { ...request.body, model: target.model };
  for (const field of ROUTER_FIELDS) delete body[field];
  for (const field of profile.drop) {
    if (body[field] === undefined) continue;
    const isNoOp = body[field] === null || body[field] === OPENAI_DEFAULTS[field];
    if (!isNoOp && request.strict) return refused(field, target.provider.name);
    if (!isNoOp) warnings.push(`dropped:${field}`);
    delete body[field];
  }
  renameOutputLimit(body, profile.outputLimitField);
  body.messages = toProviderMessages(request.body, profile);
  // Those who do not know the option tell usage unasked, and some refuse it.
  if (!profile.streamUsage) delete body.stream_options;
  else if (request.stream) {
    body.stream_options = { ...(request.body.stream_options as JsonObject | null | undefined), include_usage: true };
  }
  return {
    kind: "encoded",
    wire: {
      path: "/chat/completions",
      headers: {},
      body: JSON.stringify(body),
    },
    relay: request.dialect === "openai-chat",
    warnings,
  };
}

/** Values that change nothing: dropping them is not worth a report. */
const OPENAI_DEFAULTS: Record<string, unknown> = {
  n: 1,
  frequency_penalty: 0,
  presence_penalty: 0,
  logprobs: false,
  store: false,
  parallel_tool_calls: true,
  service_tier: "auto",
};

function refused(field: string, provider: string): Refusal {
  const message = `'${field}' is not supported by ${provider}, and x-signalbox-strict forbids dropping it.`;
  return {
    kind: "refusal",
    error: {
      kind: "unsupported",
      message,
      code: "unsupported_parameter",
      param: field,
    },
  };
}

function renameOutputLimit(body: JsonObject, field: OpenAiChatProfile["outputLimitField"]): void {
  if (field === "as_sent") return;
  const other = field === "max_tokens" ? "max_completion_tokens" : "max_tokens";
  // Under the right name already: nothing moves.
  if (body[other] === undefined && body[field] !== null) return;
  const limit = body.max_completion_tokens ?? body.max_tokens;
  delete body.max_completion_tokens;
  delete body.max_tokens;
  if (limit !== undefined && limit !== null) body[field] = limit;
}

/** The messages as they are when nothing in them needs changing: the usual case allocates nothing. */
function toProviderMessages(body: ChatBody, profile: OpenAiChatProfile): ChatMessage[] {
  const needsChange = (message: ChatMessage) =>
    (profile.developerRole === "system" && message.role === "developer") ||
    (message.role === "assistant" && hasAnswerFields(message, profile));
  if (!body.messages.some(needsChange)) return body.messages;
  return body.messages.map((message) => (needsChange(message) ? toProviderMessage(message, profile) : message));
}

function hasAnswerFields(message: ChatMessage, profile: OpenAiChatProfile): boolean {
  const isForeign = (holder: object) =>
    ANSWER_FIELDS.some((field) => field in holder && !profile.replay.includes(field));
  const isForeignCall = (toolCall: ToolCall) => isForeign(toolCall) || isForeign(toolCall.function ?? {});
  return isForeign(message) || (message.tool_calls?.some(isForeignCall) ?? false);
}

function toProviderMessage(message: ChatMessage, profile: OpenAiChatProfile): ChatMessage {
  const changed = withoutAnswerFields(message, profile);
  if (profile.developerRole === "system" && message.role === "developer") changed.role = "system";
  if (message.tool_calls) {
    changed.tool_calls = message.tool_calls.map((toolCall) => {
      const kept = withoutAnswerFields(toolCall, profile);
      if (toolCall.function) kept.function = withoutAnswerFields(toolCall.function, profile);
      return kept;
    });
  }
  return changed;
}

function withoutAnswerFields<T extends object>(holder: T, profile: OpenAiChatProfile): T {
  const isKept = ([field]: [string, unknown]) => !ANSWER_FIELDS.includes(field) || profile.replay.includes(field);
  return Object.fromEntries(Object.entries(holder).filter(isKept)) as T;
}

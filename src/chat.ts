// The vocabulary of a conversation: what a caller asks, what a model answers, what it used, and how it can fail.

export type { Period, PriceBasis, PriceStatus, Prices, RateCard, Rates, Tier } from "./prices.ts";

/** A parsed JSON object whose keys nobody has checked yet. */
export type JsonObject = Record<string, unknown>;

/**
 * A message in hub form: an OpenAI Chat Completions message. Keys beyond those named here (`reasoning_details`,
 * `cache_control`, `extra_content`, …) are extensions that a dialect may read; unknown ones are kept for relays.
 */
export interface ChatMessage {
  role: string;
  content?: string | ContentPart[] | null;
  name?: string;
  tool_calls?: ToolCall[] | null;
  tool_call_id?: string;
  refusal?: string | null;
  [extension: string]: unknown;
}

export interface ContentPart {
  type: string;
  text?: string;
  image_url?: { url: string; detail?: string };
  [extension: string]: unknown;
}

export interface ToolCall {
  id?: string;
  type?: string;
  function?: { name: string; arguments?: unknown };
  custom?: { name: string; input: string };
  [extension: string]: unknown;
}

export interface Tool {
  type: string;
  function?: {
    name: string;
    description?: string;
    parameters?: JsonObject | null;
    strict?: boolean | null;
    [extension: string]: unknown;
  };
  [extension: string]: unknown;
}

/** The request in hub form: OpenAI Chat Completions. Other front doors translate to it before they translate on. */
export interface ChatBody {
  model: string;
  messages: ChatMessage[];
  tools?: Tool[] | null;
  [field: string]: unknown;
}

export type DialectId = "openai-chat" | "anthropic-messages" | "google-generate" | "bedrock-converse" | "cohere-chat";

/** One request of a caller, parsed once at the edge. */
export interface ChatRequest {
  /** The wire protocol the caller speaks. A target that speaks the same one gets a relay instead of a translation. */
  dialect: DialectId;
  body: ChatBody;
  stream: boolean;
  /** The caller asked for the usage chunk at the end of the stream (`stream_options.include_usage`). */
  includeUsage: boolean;
  /** The caller asked for `usage.cost` (OpenRouter's `usage: {include: true}`). */
  includeCost: boolean;
  /** `x-signalbox-strict: true`: whatever would be dropped, clamped or downgraded is refused instead. */
  strict: boolean;
}

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call";

/**
 * What one attempt used, as the provider told it. `inputTokens` is the whole prompt:
 * fresh + cacheRead + cacheWrite + cacheWrite1h (the two writes are disjoint). `reasoningTokens` ⊂ `outputTokens`.
 * `undefined` means "not told": it is never zero and never estimated here.
 */
export interface Usage {
  inputTokens?: number | undefined;
  cacheReadTokens?: number | undefined;
  /** Written to a cache that lives five minutes (or the provider's only lifetime). */
  cacheWriteTokens?: number | undefined;
  cacheWrite1hTokens?: number | undefined;
  outputTokens?: number | undefined;
  reasoningTokens?: number | undefined;
  /** ⊂ inputTokens */
  audioInputTokens?: number | undefined;
  /** ⊂ audioInputTokens and ⊂ cacheReadTokens */
  audioCacheReadTokens?: number | undefined;
  /** ⊂ outputTokens */
  audioOutputTokens?: number | undefined;
  /** ⊂ inputTokens */
  imageInputTokens?: number | undefined;
  /** ⊂ outputTokens */
  imageOutputTokens?: number | undefined;
  /** Tokens of sources, beside input and output (Perplexity). */
  citationTokens?: number | undefined;
  /** Searches on the web the provider made for the answer. */
  searches?: number | undefined;
  /** What is billed, where the provider says that it is not the whole prompt or answer. */
  billedInputTokens?: number | undefined;
  billedOutputTokens?: number | undefined;
  /** The tier that answered, in the provider's word (`flex`, `priority`, `fast`, …): not always the one asked for. */
  serviceTier?: string | undefined;
  /** Where it was computed, in the provider's word (`us`, `global`). */
  region?: string | undefined;
  /** What the provider says it charged for the call, in nanodollars. */
  reportedCostNanoUsd?: number | undefined;
}

/** Reasoning that the caller must send back unchanged for the provider to accept or use it (OpenRouter's item shape). */
export interface ReasoningDetail {
  type: "reasoning.text" | "reasoning.encrypted";
  text?: string;
  signature?: string;
  data?: string;
  format: string;
  index: number;
  text_offset: number;
  tool_offset: number;
}

/** A source the answer quotes: characters `startIndex` to `endIndex` (UTF-16, end exclusive) of the choice's text. */
export interface UrlCitation {
  url: string;
  title: string;
  startIndex: number;
  endIndex: number;
}

/** The one neutral stream inside. Grammar: `start content* finish* usage* (end | continue | error)`; usage may come at any
 *  point after start and is cumulative (the last one wins). Exactly one terminal event. `index` is the choice. */
export type ChatEvent =
  | { type: "start"; id: string; model: string }
  | { type: "text_delta"; index: number; text: string }
  | { type: "refusal_delta"; index: number; text: string }
  | { type: "reasoning_delta"; index: number; text: string }
  | { type: "reasoning_detail"; index: number; detail: ReasoningDetail }
  /** `call` counts the tool calls of the choice from 0. `extra` is returned as `extra_content` and must come back.
   *  `custom`: the tool takes free text, and the deltas are that text instead of JSON arguments. */
  | {
      type: "tool_call_start";
      index: number;
      call: number;
      id: string;
      name: string;
      extra?: JsonObject;
      custom?: true;
    }
  | { type: "tool_call_delta"; index: number; call: number; argumentsText: string }
  | { type: "annotation"; index: number; annotation: UrlCitation }
  /** Members without a neutral meaning (`service_tier`, `logprobs`, `images`, …), put as they are on the answer, the choice
   *  or its message. Whole values: a later one replaces an earlier one of the same name. */
  | { type: "extra"; at: "answer" | "choice" | "message"; index: number; members: JsonObject }
  | { type: "finish"; index: number; reason: FinishReason; nativeReason: string }
  | { type: "usage"; usage: Usage }
  /** Never shown: what a later request that comes back with `key` (a tool call's id) needs and its caller may have dropped. */
  | { type: "remember"; key: string; value: JsonObject }
  | { type: "end" }
  /** The provider paused: the answer goes on in another call of the same target, made with this state. */
  | { type: "continue"; state: JsonObject }
  | { type: "error"; error: ProviderError };

/** The branches the loop can take; `taxonomy.ts` says what each one leads to. */
export type ErrorKind =
  | "rate_limited"
  | "overloaded"
  | "server"
  | "network"
  | "timeout"
  | "truncated"
  | "malformed"
  | "auth"
  | "quota"
  | "not_found"
  | "context_length"
  | "unsupported"
  | "invalid_request"
  | "content_filter"
  /** Ours: what the caller may spend does not cover the call. */
  | "budget"
  | "cancelled"
  /** Ours: another call of the same request answered sooner. */
  | "hedge_lost";

/** Tells failures of one kind apart where they lead to something else: see `taxonomy.ts`. */
export type ErrorSubkind =
  | "slow_down"
  | "no_spare_capacity"
  | "daily_quota"
  | "repeated"
  | "connect"
  | "certificate"
  | "broken"
  | "empty"
  | "told"
  | "permission"
  | "transient"
  | "no_allowance"
  | "in_flight";

/** Why an attempt failed, in words that may be shown to the caller (keys and account ids already masked). */
export interface ProviderError {
  kind: ErrorKind;
  subkind?: ErrorSubkind | undefined;
  message: string;
  /** HTTP status the provider answered with, when it answered at all. */
  status?: number | undefined;
  /** OpenAI-style `code` for the caller, e.g. `context_length_exceeded`. */
  code?: string | undefined;
  /** The provider's own code, for whoever looks into it: `1305`, `engine_overloaded_error`. */
  providerCode?: string | undefined;
  /** Path of the offending field in the caller's request, OpenAI's notation: `messages[2].content`. */
  param?: string | undefined;
  retryAfterMs?: number | undefined;
  /** Which of the account's daily quotas is used up, in the provider's words. */
  quotaId?: string | undefined;
  upstreamRequestId?: string | undefined;
}

/** Of a call that nobody waits for any more. As the reason of an abort it ends a call at once, also one that would be read on. */
export const HEDGE_LOST: ProviderError = {
  kind: "hedge_lost",
  message: "Another provider answered the same request sooner.",
};

/** The answer to a buffered request, and what a stream amounts to once it is over. */
export interface ChatAnswer {
  id: string;
  model: string;
  choices: ChatChoice[];
  usage: Usage | undefined;
  error: ProviderError | undefined;
  /** Members for the answer itself. */
  extra: JsonObject;
}

export interface ChatChoice {
  index: number;
  text: string;
  refusal: string;
  reasoning: string;
  reasoningDetails: ReasoningDetail[];
  toolCalls: ChatToolCall[];
  annotations: UrlCitation[];
  /** Members for the choice and for its message. */
  extra: JsonObject;
  messageExtra: JsonObject;
  finishReason: FinishReason | undefined;
  nativeReason: string | undefined;
}

export interface ChatToolCall {
  id: string;
  name: string;
  argumentsText: string;
  extra?: JsonObject;
  custom?: true;
}

/** Folds the events of one answer into the whole answer. Total: events out of grammar are folded as far as they make sense. */
export function fold(events: Iterable<ChatEvent>): ChatAnswer {
  const answer: ChatAnswer = { id: "", model: "", choices: [], usage: undefined, error: undefined, extra: {} };
  for (const event of events) foldInto(answer, event);
  return answer;
}

/** Adds one event to an answer under construction. */
export function foldInto(answer: ChatAnswer, event: ChatEvent): void {
  switch (event.type) {
    case "start":
      answer.id = event.id;
      answer.model = event.model;
      return;
    case "usage":
      answer.usage = mergeUsage(answer.usage, event.usage);
      return;
    case "error":
      answer.error = event.error;
      return;
    case "end":
    case "continue":
    case "remember":
      return;
    case "extra":
      if (event.at === "answer") Object.assign(answer.extra, event.members);
      else foldChoice(choiceAt(answer, event.index), event);
      return;
    default:
      foldChoice(choiceAt(answer, event.index), event);
  }
}

function foldChoice(choice: ChatChoice, event: ChatEvent): void {
  if (event.type === "text_delta") choice.text += event.text;
  else if (event.type === "refusal_delta") choice.refusal += event.text;
  else if (event.type === "reasoning_delta") choice.reasoning += event.text;
  else if (event.type === "reasoning_detail") choice.reasoningDetails.push(event.detail);
  else if (event.type === "tool_call_start") {
    const call: ChatToolCall = { id: event.id, name: event.name, argumentsText: "" };
    if (event.extra !== undefined) call.extra = event.extra;
    if (event.custom !== undefined) call.custom = event.custom;
    choice.toolCalls[event.call] = call;
  } else if (event.type === "tool_call_delta") {
    const call = choice.toolCalls[event.call];
    if (call !== undefined) call.argumentsText += event.argumentsText;
  } else if (event.type === "annotation") choice.annotations.push(event.annotation);
  else if (event.type === "extra") {
    Object.assign(event.at === "choice" ? choice.extra : choice.messageExtra, event.members);
  } else if (event.type === "finish") {
    choice.finishReason = event.reason;
    choice.nativeReason = event.nativeReason;
  }
}

function choiceAt(answer: ChatAnswer, index: number): ChatChoice {
  const found = answer.choices.find((choice) => choice.index === index);
  if (found !== undefined) return found;
  const choice: ChatChoice = {
    index,
    text: "",
    refusal: "",
    reasoning: "",
    reasoningDetails: [],
    toolCalls: [],
    annotations: [],
    extra: {},
    messageExtra: {},
    finishReason: undefined,
    nativeReason: undefined,
  };
  answer.choices.push(choice);
  answer.choices.sort((a, b) => a.index - b.index);
  return choice;
}

/** Later usage replaces earlier usage field by field; a field that is not told keeps its value. Never adds. */
export function mergeUsage(before: Usage | undefined, after: Usage): Usage {
  const merged: Record<string, number | string | undefined> = { ...before };
  // Some providers count in every chunk: no lists in between.
  for (const field in after) {
    const value = after[field as keyof Usage];
    if (value !== undefined) merged[field] = value;
  }
  return merged as Usage;
}

/** The usage of several calls together: a class that no call told stays untold, and words are those of the last call. */
export function addUsage(total: Usage | undefined, more: Usage): Usage {
  const sum: Record<string, number | string | undefined> = { ...total };
  for (const [field, value] of Object.entries(more)) {
    const before = sum[field];
    if (value !== undefined)
      sum[field] = typeof value === "number" && typeof before === "number" ? before + value : value;
  }
  return sum as Usage;
}

// Chat Completions answers, buffered or streamed, as neutral events.
import type { ChatEvent, FinishReason, JsonObject, ProviderError, Usage } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { errorInBody } from "./errors.ts";

interface ChoiceState {
  finished: boolean;
  hasOutput: boolean;
  /** Open tool calls by the key the provider uses for them. */
  calls: Map<string, OpenCall>;
  callCount: number;
  latestKey: string | undefined;
}

interface OpenCall {
  /** Position among the calls of the choice, once it has a name and was told. */
  call: number | undefined;
  /** As the provider told it; "" while it has not. */
  id: string;
  extra: JsonObject | undefined;
  hasArguments: boolean;
  /** Arguments that came before the name. */
  held: string;
}

interface StreamState {
  call: Call;
  started: boolean;
  over: boolean;
  choices: Map<number, ChoiceState>;
}

/** A decoder for one stream. Comments, unknown events and placeholder chunks are skipped. */
export function decoder(call: Call): Decoder {
  const state: StreamState = { call, started: false, over: false, choices: new Map() };
  return {
    push: (frame) => (state.over ? [] : decodeFrame(state, frame)),
    end: (rest) => (state.over ? [] : decodeEnd(state, rest)),
  };
}

function decodeFrame(state: StreamState, frame: Frame): ChatEvent[] {
  const data = frame.data.trim();
  if (data === "") return [];
  if (data === "[DONE]") return terminal(state);
  const chunk = parseJson(data);
  if (!isObject(chunk)) return failed(state, malformed("the provider sent a stream chunk that is not JSON"));
  const error = errorInBody(frame.event === "error" && chunk.error === undefined ? { error: chunk } : chunk);
  // A provider that breaks off may still say what it will bill.
  if (error !== undefined) return [...(state.started ? usageEvents(chunk) : []), ...failed(state, error)];
  return decodeChunk(state, chunk);
}

/** A stream request may be answered with one JSON document (usually an error), which arrives here as `rest`. */
function decodeEnd(state: StreamState, rest: string): ChatEvent[] {
  const document = parseJson(rest);
  if (!isObject(document)) return terminal(state);
  const error = errorInBody(document);
  if (error !== undefined) return failed(state, error);
  return state.started ? terminal(state) : decodeDocument(state, document);
}

/** A whole answer, in a body of its own or instead of a stream. */
function decodeDocument(state: StreamState, document: JsonObject): ChatEvent[] {
  const events = decodeChunk(state, document);
  return state.over ? events : [...events, ...terminal(state)];
}

/** `[DONE]` or the end of the bytes. Without a finish reason the answer is not whole, whatever the provider says. */
function terminal(state: StreamState): ChatEvent[] {
  const choices = [...state.choices.values()];
  if (choices.length === 0 || choices.some((choice) => !choice.finished)) {
    return failed(state, truncated());
  }
  state.over = true;
  return [{ type: "end" }];
}

function failed(state: StreamState, error: ProviderError): ChatEvent[] {
  state.over = true;
  return [{ type: "error", error }];
}

function decodeChunk(state: StreamState, chunk: JsonObject): ChatEvent[] {
  const events: ChatEvent[] = [];
  if (!state.started) {
    state.started = true;
    events.push(startOf(chunk, state.call));
  }
  let failure: ProviderError | undefined;
  for (const choice of objectsIn(chunk.choices)) failure ??= decodeChoice(state, choice, events);
  events.push(...usageEvents(chunk));
  return failure === undefined ? events : [...events, ...failed(state, failure)];
}

function usageEvents(chunk: JsonObject): ChatEvent[] {
  const usage = usageOf(chunk);
  return usage === undefined ? [] : [{ type: "usage", usage }];
}

function startOf(body: JsonObject, call: Call): ChatEvent {
  const id = typeof body.id === "string" && body.id !== "" ? body.id : call.newId("chatcmpl-");
  const model = typeof body.model === "string" && body.model !== "" ? body.model : call.target.model;
  return { type: "start", id, model };
}

/** Appends the events of one choice; returns an error when the finish reason says that the answer failed. */
function decodeChoice(state: StreamState, choice: JsonObject, events: ChatEvent[]): ProviderError | undefined {
  const index = typeof choice.index === "number" ? choice.index : 0;
  const known = state.choices.get(index) ?? {
    finished: false,
    hasOutput: false,
    calls: new Map(),
    callCount: 0,
    latestKey: undefined,
  };
  state.choices.set(index, known);
  const at = { known, index, events, call: state.call };
  const before = events.length;
  if (isObject(choice.delta)) decodeDelta(at, choice.delta, objectsIn(choice.delta.tool_calls));
  // After deltas a `message` is the whole answer once more (MiniMax).
  else if (isObject(choice.message) && !known.hasOutput) decodeMessage(at, choice.message);
  known.hasOutput ||= events.length > before || known.calls.size > 0;
  return decodeFinish(at, choice.finish_reason);
}

/** Where events of a choice go. */
interface At {
  known: ChoiceState;
  index: number;
  events: ChatEvent[];
  call: Call;
}

/** In a whole message every entry of `tool_calls` is a call of its own, with or without an id. */
function decodeMessage(at: At, message: JsonObject): void {
  const calls = objectsIn(message.tool_calls).map((toolCall, position) => {
    return typeof toolCall.index === "number" ? toolCall : { ...toolCall, index: position };
  });
  decodeDelta(at, message, calls);
}

function decodeDelta(at: At, delta: JsonObject, toolCalls: JsonObject[]): void {
  const { events, index } = at;
  const reasoning = reasoningOf(delta);
  if (reasoning !== "") events.push({ type: "reasoning_delta", index, text: reasoning });
  const text = textOf(delta.content);
  if (text !== "") events.push({ type: "text_delta", index, text });
  const refusal = firstText(delta.refusal);
  if (refusal !== "") events.push({ type: "refusal_delta", index, text: refusal });
  for (const toolCall of toolCalls) decodeToolCall(at, toolCall);
}

/**
 * Assembly of tool calls: by `index`, else by id, else the latest. A new non-empty id on a used index is a new call
 * (Ollama numbers every call 0); ids and names repeated on later deltas are ignored, names that come late are waited for.
 */
function decodeToolCall(at: At, toolCall: JsonObject): void {
  const { known } = at;
  const body = isObject(toolCall.function) ? toolCall.function : isObject(toolCall.custom) ? toolCall.custom : {};
  const id = firstText(toolCall.id);
  const key = typeof toolCall.index === "number" ? `#${toolCall.index}` : id !== "" ? id : (known.latestKey ?? "#0");
  let open = known.calls.get(key);
  if (open === undefined || (id !== "" && open.id !== "" && id !== open.id)) {
    if (open !== undefined) startCall(at, open, "");
    open = { call: undefined, id: "", extra: undefined, hasArguments: false, held: "" };
    known.calls.set(key, open);
  }
  known.latestKey = key;
  if (open.id === "") open.id = id;
  if (isObject(toolCall.extra_content)) open.extra ??= toolCall.extra_content;
  const name = firstText(body.name);
  if (name !== "") startCall(at, open, name);
  addArguments(at, open, argumentsOf(body.arguments ?? body.input));
}

function startCall(at: At, open: OpenCall, name: string): void {
  if (open.call !== undefined) return;
  const { known, index, events, call } = at;
  open.call = known.callCount;
  known.callCount += 1;
  const id = open.id === "" ? call.newId("call_") : open.id;
  const extra = open.extra === undefined ? {} : { extra: open.extra };
  events.push({ type: "tool_call_start", index, call: open.call, id, name, ...extra });
  const { held } = open;
  open.held = "";
  addArguments(at, open, held);
}

function addArguments({ index, events }: At, open: OpenCall, argumentsText: string): void {
  // Cohere's word for "no arguments".
  if (argumentsText === "" || (argumentsText === "null" && !open.hasArguments && open.held === "")) return;
  if (open.call === undefined) {
    open.held += argumentsText;
    return;
  }
  open.hasArguments = true;
  events.push({ type: "tool_call_delta", index, call: open.call, argumentsText });
}

function argumentsOf(value: unknown): string {
  if (typeof value === "string") return value;
  return isObject(value) ? JSON.stringify(value) : "";
}

/** By the lower-case spelling. A Map, because providers' words must not reach into an object's prototype. */
const FINISH = new Map<string, FinishReason>([
  ...words("stop", "stop eos eos_token end_turn stop_sequence complete end normal"),
  ...words("length", "length max_tokens model_length model_context_window_exceeded length_limit"),
  ...words("tool_calls", "tool_calls tool_use tool_call tool-calls"),
  ...words("function_call", "function_call"),
  ...words("content_filter", "content_filter content_filtered sensitive safety moderation guardrail_intervened"),
]);
const FAILED_FINISH = /^(error|network_error|insufficient_system_resource|timeout|function_call_filter)/i;
const CUT_FINISH = /^(abort|cancelled)/i;

function words(reason: FinishReason, spellings: string): [string, FinishReason][] {
  return spellings.split(" ").map((spelling) => [spelling, reason]);
}

/** Appends the finish event; returns an error when the reason says that the answer failed. */
function decodeFinish(at: At, told: unknown): ProviderError | undefined {
  const { known, index, events } = at;
  if (typeof told !== "string" || told === "" || known.finished) return undefined;
  if (CUT_FINISH.test(told)) return truncated();
  const mapped = FINISH.get(told.toLowerCase());
  if (FAILED_FINISH.test(told) || (mapped === undefined && !known.hasOutput)) {
    return { kind: "server", message: `The provider ended the answer with "${told}".`, code: "upstream_error" };
  }
  known.finished = true;
  for (const open of known.calls.values()) startCall(at, open, "");
  events.push({ type: "finish", index, reason: finishReason(mapped ?? "stop", known), nativeReason: told });
  return undefined;
}

/** Whether there are tool calls is seen, not believed. */
function finishReason(mapped: FinishReason, known: ChoiceState): FinishReason {
  if (known.callCount > 0) return mapped === "stop" || mapped === "function_call" ? "tool_calls" : mapped;
  return mapped === "tool_calls" ? "stop" : mapped;
}

/** The events of a buffered answer. A body without choices is an error, never an empty success. */
export function decodeBody(body: unknown, call: Call): ChatEvent[] {
  const state: StreamState = { call, started: false, over: false, choices: new Map() };
  if (!isObject(body)) return failed(state, malformed("the provider's answer is not a JSON object"));
  const error = errorInBody(body);
  if (error !== undefined) return failed(state, error);
  if (objectsIn(body.choices).length === 0) return failed(state, malformed("the provider's answer has no choices"));
  return decodeDocument(state, body);
}

/**
 * Usage wherever it is told (`usage`, Groq's `x_groq.usage`, Moonshot's `choices[0].usage`); `undefined` when it is not.
 * OpenAI's `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning.
 */
function usageOf(body: JsonObject): Usage | undefined {
  const choice = objectsIn(body.choices)[0];
  const groq = isObject(body.x_groq) ? body.x_groq.usage : undefined;
  const usage = [body.usage, groq, choice?.usage].find(isObject);
  if (usage === undefined) return undefined;
  const prompt = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const completion = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {};
  const inputTokens = tokens(usage.prompt_tokens);
  const reasoningTokens = tokens(completion.reasoning_tokens);
  const outputTokens = outputOf(usage, inputTokens, reasoningTokens);
  // DeepSeek, Moonshot and Together, Mistral.
  const cacheReads = [
    prompt.cached_tokens,
    usage.prompt_cache_hit_tokens,
    usage.cached_tokens,
    usage.num_cached_tokens,
  ];
  return {
    inputTokens,
    cacheReadTokens: atMost(firstTokens(...cacheReads), inputTokens),
    cacheWriteTokens: firstTokens(prompt.cache_write_tokens, prompt.cache_creation_input_tokens),
    outputTokens,
    reasoningTokens: atMost(reasoningTokens, outputTokens),
    audioInputTokens: tokens(prompt.audio_tokens),
    audioOutputTokens: tokens(completion.audio_tokens),
  };
}

/** xAI counts reasoning beside `completion_tokens`; only the total shows it (vercel/ai#12425). */
function outputOf(usage: JsonObject, input: number | undefined, reasoning: number | undefined): number | undefined {
  const output = tokens(usage.completion_tokens);
  if (input === undefined || output === undefined || reasoning === undefined) return output;
  return tokens(usage.total_tokens) === input + output + reasoning ? output + reasoning : output;
}

function firstTokens(...told: unknown[]): number | undefined {
  return told.map(tokens).find((count) => count !== undefined);
}

function tokens(value: unknown): number | undefined {
  const count = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

function atMost(value: number | undefined, bound: number | undefined): number | undefined {
  return value === undefined || bound === undefined ? value : Math.min(value, bound);
}

/** The first field that holds some; providers that fill two put the same text into both. */
function reasoningOf(delta: JsonObject): string {
  const thinking = objectsIn(delta.content).map((part) => firstText(part.thinking) || textOf(part.thinking));
  const details = objectsIn(delta.reasoning_details).map((detail) => firstText(detail.text, detail.summary));
  return firstText(delta.reasoning_content, delta.reasoning, details.join(""), thinking.join(""));
}

/** Content is a string, null, or (Mistral) an array of parts. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return objectsIn(content)
    .map((part) => firstText(part.text))
    .join("");
}

function malformed(message: string): ProviderError {
  return { kind: "malformed", message, code: "upstream_malformed" };
}

function truncated(): ProviderError {
  const message = "The upstream stream ended before the message was complete.";
  return { kind: "truncated", message, code: "upstream_stream_truncated" };
}

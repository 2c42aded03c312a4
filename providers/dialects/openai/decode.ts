// Chat Completions answers, buffered or streamed, as neutral events.
import type { ChatEvent, FinishReason, JsonObject, ProviderError, Usage } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { errorInBody } from "./errors.ts";

interface ChoiceState {
  finished: boolean;
  /** Open tool calls by the key the provider uses for them. */
  calls: Map<string, { call: number; id: string }>;
  callCount: number;
  latestKey: string | undefined;
}

interface StreamState {
  call: Call;
  started: boolean;
  over: boolean;
  choices: Map<number, ChoiceState>;
}

/** A decoder for one stream. Comments, unknown events and placeholder chunks are skipped. */
export function decoder(call: Call): Decoder {
  const state: StreamState = {
    call,
    started: false,
    over: false,
    choices: new Map(),
  };
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
  if (error !== undefined) return failed(state, error);
  return decodeChunk(state, chunk);
}

/** A stream request may be answered with one JSON document (usually an error), which arrives here as `rest`. */
function decodeEnd(state: StreamState, rest: string): ChatEvent[] {
  const document = parseJson(rest);
  if (isObject(document)) {
    const error = errorInBody(document);
    if (error !== undefined) return failed(state, error);
  }
  return terminal(state);
}

/** `[DONE]` or the end of the bytes. Without a finish reason the answer is not whole, whatever the provider says. */
function terminal(state: StreamState): ChatEvent[] {
  const choices = [...state.choices.values()];
  if (choices.length === 0 || choices.some((choice) => !choice.finished)) {
    const message = "The upstream stream ended before the message was complete.";
    return failed(state, {
      kind: "truncated",
      message,
      code: "upstream_stream_truncated",
    });
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
  for (const choice of objectsIn(chunk.choices)) {
    const finish = decodeChoice(state, choice, events);
    if (finish !== undefined) {
      events.push({ type: "error", error: finish });
      state.over = true;
      return events;
    }
  }
  const usage = usageOf(chunk);
  if (usage !== undefined) events.push({ type: "usage", usage });
  return events;
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
    calls: new Map(),
    callCount: 0,
    latestKey: undefined,
  };
  state.choices.set(index, known);
  const delta = choice.delta ?? choice.message;
  if (isObject(delta)) decodeDelta(known, index, delta, events, state.call);
  return decodeFinish(known, index, choice.finish_reason, events);
}

function decodeDelta(known: ChoiceState, index: number, delta: JsonObject, events: ChatEvent[], call: Call): void {
  const reasoning = firstText(delta.reasoning_content, delta.reasoning);
  if (reasoning !== "") events.push({ type: "reasoning_delta", index, text: reasoning });
  const text = textOf(delta.content);
  if (text !== "") events.push({ type: "text_delta", index, text });
  const refusal = firstText(delta.refusal);
  if (refusal !== "") events.push({ type: "refusal_delta", index, text: refusal });
  for (const toolCall of objectsIn(delta.tool_calls)) decodeToolCall(known, index, toolCall, events, call);
}

/**
 * Assembly of tool calls: by `index`, else by id, else the latest. A new non-empty id on a used index is a new call
 * (Ollama numbers every call 0); ids and names repeated on later deltas are ignored.
 */
function decodeToolCall(known: ChoiceState, index: number, toolCall: JsonObject, events: ChatEvent[], call: Call) {
  const body = isObject(toolCall.function) ? toolCall.function : isObject(toolCall.custom) ? toolCall.custom : {};
  const id = typeof toolCall.id === "string" ? toolCall.id : "";
  const key = typeof toolCall.index === "number" ? `#${toolCall.index}` : id !== "" ? id : (known.latestKey ?? "#0");
  let open = known.calls.get(key);
  if (open === undefined || (id !== "" && open.id !== "" && id !== open.id)) {
    const newId = id === "" ? call.newId("call_") : id;
    open = { call: known.callCount, id: newId };
    known.callCount += 1;
    known.calls.set(key, open);
    const extra = isObject(toolCall.extra_content) ? { extra: toolCall.extra_content } : {};
    events.push({
      type: "tool_call_start",
      index,
      call: open.call,
      id: newId,
      name: firstText(body.name),
      ...extra,
    });
  }
  known.latestKey = key;
  const argumentsText = argumentsOf(body.arguments ?? body.input);
  if (argumentsText !== "")
    events.push({
      type: "tool_call_delta",
      index,
      call: open.call,
      argumentsText,
    });
}

function argumentsOf(value: unknown): string {
  if (typeof value === "string") return value;
  return isObject(value) ? JSON.stringify(value) : "";
}

const FINISH: Record<string, FinishReason> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  end_turn: "stop",
  stop_sequence: "stop",
  length: "length",
  max_tokens: "length",
  model_length: "length",
  model_context_window_exceeded: "length",
  length_limit: "length",
  tool_calls: "tool_calls",
  tool_use: "tool_calls",
  "tool-calls": "tool_calls",
  function_call: "function_call",
  content_filter: "content_filter",
  content_filtered: "content_filter",
  sensitive: "content_filter",
  safety: "content_filter",
};
const FAILED_FINISH =
  /^(error|network_error|insufficient_system_resource|timeout|abort|cancelled|function_call_filter)/i;

function decodeFinish(
  known: ChoiceState,
  index: number,
  told: unknown,
  events: ChatEvent[],
): ProviderError | undefined {
  if (typeof told !== "string" || told === "" || known.finished) return undefined;
  if (FAILED_FINISH.test(told)) {
    return {
      kind: "server",
      message: `The provider ended the answer with "${told}".`,
      code: "upstream_error",
    };
  }
  known.finished = true;
  const mapped = FINISH[told] ?? "stop";
  const reason = mapped === "stop" && known.callCount > 0 ? "tool_calls" : mapped;
  events.push({ type: "finish", index, reason, nativeReason: told });
  return undefined;
}

/** The events of a buffered answer. A body without choices is an error, never an empty success. */
export function decodeBody(body: unknown, call: Call): ChatEvent[] {
  if (!isObject(body))
    return [
      {
        type: "error",
        error: malformed("the provider's answer is not a JSON object"),
      },
    ];
  const error = errorInBody(body);
  if (error !== undefined) return [{ type: "error", error }];
  if (objectsIn(body.choices).length === 0) {
    return [
      {
        type: "error",
        error: malformed("the provider's answer has no choices"),
      },
    ];
  }
  const state: StreamState = {
    call,
    started: false,
    over: false,
    choices: new Map(),
  };
  const events = decodeChunk(state, body);
  return state.over ? events : [...events, ...terminal(state)];
}

/**
 * Usage wherever it is told (`usage`, Groq's `x_groq.usage`, Moonshot's `choices[0].usage`); `undefined` when it is not.
 * OpenAI's `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning.
 */
export function usageOf(body: JsonObject): Usage | undefined {
  const choice = objectsIn(body.choices)[0];
  const groq = isObject(body.x_groq) ? body.x_groq.usage : undefined;
  const usage = [body.usage, groq, choice?.usage].find(isObject);
  if (usage === undefined) return undefined;
  const prompt = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const completion = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {};
  const inputTokens = tokens(usage.prompt_tokens);
  const outputTokens = tokens(usage.completion_tokens);
  return {
    inputTokens,
    cacheReadTokens: atMost(tokens(prompt.cached_tokens ?? usage.prompt_cache_hit_tokens), inputTokens),
    cacheWriteTokens: tokens(prompt.cache_write_tokens),
    outputTokens,
    reasoningTokens: atMost(tokens(completion.reasoning_tokens), outputTokens),
    audioInputTokens: tokens(prompt.audio_tokens),
    audioOutputTokens: tokens(completion.audio_tokens),
  };
}

function tokens(value: unknown): number | undefined {
  const count = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof count === "number" && Number.isInteger(count) && count >= 0 ? count : undefined;
}

function atMost(value: number | undefined, bound: number | undefined): number | undefined {
  return value === undefined || bound === undefined ? value : Math.min(value, bound);
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

// Anthropic answers, streamed or buffered, as neutral events. A buffered answer takes the same steps as a stream.
import type { ChatEvent, JsonObject, ProviderError, ReasoningDetail } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { answerForm } from "./answer-form.ts";
import { CodeFence } from "./code-fence.ts";
import { errorInBody } from "./errors.ts";
import { finishReason, refusalText } from "./finish.ts";
import { profileOf } from "./profile.ts";
import { excludesReasoning } from "./reasoning.ts";
import { THINKING_FORMAT } from "./replay.ts";
import { overlayCounts, toUsage } from "./usage.ts";

type OpenBlock =
  | { kind: "text" }
  | { kind: "thinking"; text: string; signature: string; detail: Offsets }
  /** `call` is undefined for the tool whose input is the answer itself. */
  | { kind: "tool"; call: number | undefined; input: unknown; argumentsSeen: boolean }
  | { kind: "ignored" };

type Offsets = Pick<ReasoningDetail, "format" | "index" | "text_offset" | "tool_offset">;

interface MessageState {
  call: Call;
  /** Name of the tool whose input is the answer (models without structured outputs). */
  answerTool: string | undefined;
  fence: CodeFence | undefined;
  hidesReasoning: boolean;
  messageId: string | undefined;
  /** Content has begun: what breaks off now cannot be undone. */
  committed: boolean;
  over: boolean;
  blocks: Map<number, OpenBlock>;
  textLength: number;
  calls: number;
  thinkingBlocks: number;
  hasReasoningText: boolean;
  stopReason: string | undefined;
  stopDetails: JsonObject;
  counts: JsonObject;
}

/** Choices do not exist here: everything belongs to choice 0. */
const index = 0;

/** A decoder for one stream. Pings, unknown events and unknown deltas are skipped. */
export function decoder(call: Call): Decoder {
  const state = newState(call);
  return {
    push: (frame) => (state.over ? [] : decodeFrame(state, frame)),
    end: (rest) => (state.over ? [] : decodeEnd(state, rest)),
  };
}

/** The events of a buffered answer. A 200 with an error or without content is an error, never an empty success. */
export function decodeBody(body: unknown, call: Call): ChatEvent[] {
  if (!isObject(body)) return [malformed("The provider's answer is not a JSON object.")];
  const error = errorInBody(body);
  if (error !== undefined) return [{ type: "error", error }];
  if (!Array.isArray(body.content)) return [malformed("The provider's answer has no content.")];
  const state = newState(call);
  const started = startMessage(state, { ...body, usage: undefined });
  return [...started, ...messageDelta(state, { delta: body, usage: body.usage }), ...finish(state)];
}

function newState(call: Call): MessageState {
  const { body } = call.request;
  const form = answerForm(body, profileOf(call.target));
  return {
    call,
    answerTool: form.kind === "tool" ? form.name : undefined,
    fence: form.kind === "instruct" ? new CodeFence() : undefined,
    hidesReasoning: excludesReasoning(body),
    messageId: undefined,
    committed: false,
    over: false,
    blocks: new Map(),
    textLength: 0,
    calls: 0,
    thinkingBlocks: 0,
    hasReasoningText: false,
    stopReason: undefined,
    stopDetails: {},
    counts: {},
  };
}

function decodeFrame(state: MessageState, frame: Frame): ChatEvent[] {
  const data = frame.data.trim();
  // Compatible servers end with OpenAI's marker.
  if (data === "" || data === "[DONE]") return [];
  const event = parseJson(data);
  if (!isObject(event)) return ended(state, [malformed("The provider sent a stream event that is not JSON.")]);
  return decodeEvent(state, event);
}

function decodeEvent(state: MessageState, event: JsonObject): ChatEvent[] {
  const at = typeof event.index === "number" ? event.index : 0;
  switch (event.type) {
    case "message_start":
      return startMessage(state, isObject(event.message) ? event.message : {});
    case "content_block_start":
      return [...begun(state), ...openBlock(state, at, isObject(event.content_block) ? event.content_block : {})];
    case "content_block_delta":
      return [...begun(state), ...blockDelta(state, at, isObject(event.delta) ? event.delta : {})];
    case "content_block_stop":
      return closeBlock(state, at);
    case "message_delta":
      return [...begun(state), ...messageDelta(state, event)];
    case "message_stop":
      return [...begun(state), ...finish(state)];
    default: {
      const error = errorInBody(event);
      return error === undefined ? [] : brokenOff(state, error);
    }
  }
}

/** The bytes ended. With a stop reason the answer is whole, whatever is missing after it. */
function decodeEnd(state: MessageState, rest: string): ChatEvent[] {
  if (state.stopReason !== undefined) return finish(state);
  const document = parseJson(rest);
  const error = isObject(document) ? errorInBody(document) : undefined;
  if (error !== undefined) return brokenOff(state, error);
  const message = "The upstream stream ended before the message was complete.";
  return brokenOff(state, { kind: "truncated", message, code: "upstream_stream_truncated" });
}

/** After output a content filter is an end of the answer, not a failure of the transport. */
function brokenOff(state: MessageState, error: ProviderError): ChatEvent[] {
  if (error.kind !== "content_filter" || !state.committed) return ended(state, [{ type: "error", error }]);
  const reason = "content_filter";
  return ended(state, [...flushed(state), { type: "finish", index, reason, nativeReason: reason }, { type: "end" }]);
}

function ended(state: MessageState, events: ChatEvent[]): ChatEvent[] {
  state.over = true;
  return events;
}

function malformed(message: string): ChatEvent {
  return { type: "error", error: { kind: "malformed", message } };
}

/** Servers repeat `message_start`; another id means another answer's bytes. */
function startMessage(state: MessageState, message: JsonObject): ChatEvent[] {
  const id = firstText(message.id);
  if (state.messageId !== undefined) {
    if (id === "" || id === state.messageId) return [];
    return ended(state, [malformed("The provider started a second message in one stream.")]);
  }
  const newId = id === "" ? state.call.newId("msg_") : id;
  state.messageId = newId;
  const events: ChatEvent[] = [{ type: "start", id: newId, model: firstText(message.model, state.call.target.model) }];
  // `output_tokens` is a placeholder here: the real count comes with `message_delta`.
  const told = isObject(message.usage) ? { ...message.usage, output_tokens: undefined } : undefined;
  events.push(...usageEvents(state, told));
  objectsIn(message.content).forEach((block, at) => {
    events.push(...openBlock(state, at, block), ...closeBlock(state, at));
  });
  return events;
}

/** Streams of compatible servers may begin without `message_start`. */
function begun(state: MessageState): ChatEvent[] {
  return state.messageId === undefined ? startMessage(state, {}) : [];
}

function openBlock(state: MessageState, at: number, block: JsonObject): ChatEvent[] {
  state.committed = true;
  switch (block.type) {
    case "text":
      state.blocks.set(at, { kind: "text" });
      return textEvents(state, firstText(block.text));
    case "thinking": {
      const open = {
        kind: "thinking" as const,
        text: "",
        signature: firstText(block.signature),
        detail: offsets(state),
      };
      state.blocks.set(at, open);
      return thinkingEvents(state, open, firstText(block.thinking));
    }
    case "redacted_thinking": {
      const detail = { type: "reasoning.encrypted" as const, data: firstText(block.data), ...offsets(state) };
      return state.hidesReasoning ? [] : [{ type: "reasoning_detail", index, detail }];
    }
    case "tool_use":
      return openTool(state, at, block);
    default:
      // Server tools and their results are the provider's own business: the caller could not run them. Their JSON must
      // not leak into a caller's call, so the block stays known by its index.
      state.blocks.set(at, { kind: "ignored" });
      return [];
  }
}

/** Where a thinking block stands in the answer, so that a replay can put it back there. */
function offsets(state: MessageState): Offsets {
  const at = { text_offset: state.textLength, tool_offset: state.calls };
  const detail = { format: THINKING_FORMAT, index: state.thinkingBlocks, ...at };
  state.thinkingBlocks += 1;
  return detail;
}

function openTool(state: MessageState, at: number, block: JsonObject): ChatEvent[] {
  const name = firstText(block.name);
  const isAnswer = name !== "" && name === state.answerTool;
  const call = isAnswer ? undefined : state.calls;
  state.blocks.set(at, { kind: "tool", call, input: block.input, argumentsSeen: false });
  if (call === undefined) return [];
  // Counts client calls from 0; the block's index counts text and thinking too (BerriAI/litellm#21331).
  state.calls += 1;
  const id = firstText(block.id);
  return [{ type: "tool_call_start", index, call, id: id === "" ? state.call.newId("toolu_") : id, name }];
}

function blockDelta(state: MessageState, at: number, delta: JsonObject): ChatEvent[] {
  state.committed = true;
  const open = state.blocks.get(at);
  switch (delta.type) {
    case "text_delta":
      return open === undefined || open.kind === "text" ? textEvents(state, firstText(delta.text)) : [];
    case "thinking_delta":
      return open?.kind === "thinking" ? thinkingEvents(state, open, firstText(delta.thinking)) : [];
    case "signature_delta":
      if (open?.kind === "thinking") open.signature = firstText(delta.signature);
      return [];
    case "input_json_delta":
      return open?.kind === "tool" ? argumentEvents(state, open, firstText(delta.partial_json)) : [];
    default:
      return [];
  }
}

function textEvents(state: MessageState, text: string): ChatEvent[] {
  // The answer is the tool's input; words around it would break the caller's JSON (BerriAI/litellm#8291).
  if (state.answerTool !== undefined) return [];
  return shownText(state, state.fence === undefined ? text : state.fence.push(text));
}

function shownText(state: MessageState, text: string): ChatEvent[] {
  if (text === "") return [];
  state.textLength += text.length;
  return [{ type: "text_delta", index, text }];
}

function thinkingEvents(state: MessageState, open: { text: string }, text: string): ChatEvent[] {
  if (text === "") return [];
  const separator = open.text === "" && state.hasReasoningText ? "\n\n" : "";
  open.text += text;
  state.hasReasoningText = true;
  return state.hidesReasoning ? [] : [{ type: "reasoning_delta", index, text: separator + text }];
}

function argumentEvents(state: MessageState, open: Extract<OpenBlock, { kind: "tool" }>, text: string): ChatEvent[] {
  if (text === "") return [];
  open.argumentsSeen = true;
  if (open.call === undefined) return shownText(state, text);
  return [{ type: "tool_call_delta", index, call: open.call, argumentsText: text }];
}

function closeBlock(state: MessageState, at: number): ChatEvent[] {
  const open = state.blocks.get(at);
  state.blocks.delete(at);
  if (open?.kind === "tool" && !open.argumentsSeen) {
    // "" is no JSON: a call without arguments says {} (BerriAI/litellm#5063). Input told at the start counts only when
    // no deltas came, else it would stand twice (Wei-Shaw/sub2api#6336).
    return argumentEvents(state, open, JSON.stringify(isObject(open.input) ? open.input : {}));
  }
  if (open?.kind !== "thinking" || state.hidesReasoning) return [];
  // A block without text is kept: its signature is the payload.
  if (open.text === "" && open.signature === "") return [];
  const signed = open.signature === "" ? {} : { signature: open.signature };
  const detail: ReasoningDetail = { type: "reasoning.text", text: open.text, ...signed, ...open.detail };
  return [{ type: "reasoning_detail", index, detail }];
}

function messageDelta(state: MessageState, event: JsonObject): ChatEvent[] {
  const delta = isObject(event.delta) ? event.delta : {};
  const stopReason = firstText(delta.stop_reason);
  if (stopReason !== "") {
    state.stopReason = stopReason;
    state.committed = true;
  }
  if (isObject(delta.stop_details)) state.stopDetails = delta.stop_details;
  return usageEvents(state, event.usage);
}

function usageEvents(state: MessageState, told: unknown): ChatEvent[] {
  if (!isObject(told)) return [];
  state.counts = overlayCounts(state.counts, told);
  return [{ type: "usage", usage: toUsage(state.counts) }];
}

/** Closes blocks the stream left open and gives back what was held. */
function flushed(state: MessageState): ChatEvent[] {
  const events = [...state.blocks.keys()].flatMap((at) => closeBlock(state, at));
  return [...events, ...shownText(state, state.fence?.end() ?? "")];
}

function finish(state: MessageState): ChatEvent[] {
  const events = flushed(state);
  const nativeReason = state.stopReason ?? "";
  if (nativeReason === "refusal") events.push({ type: "refusal_delta", index, text: refusalText(state.stopDetails) });
  const reason = finishReason(nativeReason, state.calls);
  const isLegacy = reason === "tool_calls" && asksForFunctions(state.call);
  events.push({ type: "finish", index, reason: isLegacy ? "function_call" : reason, nativeReason });
  return ended(state, [...events, { type: "end" }]);
}

/** Callers of the API before `tools` wait for `function_call`. */
function asksForFunctions({ request: { body } }: Call): boolean {
  return objectsIn(body.functions).length > 0 && objectsIn(body.tools).length === 0;
}

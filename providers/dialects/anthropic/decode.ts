// Anthropic answers, streamed or buffered, as neutral events. A buffered answer takes the same steps as a stream.
import type { ChatEvent, FinishReason, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { type AnswerState, newState, pauseState } from "./answer-state.ts";
import { blockDelta, closeBlock, openBlock, shownText } from "./blocks.ts";
import { errorInBody } from "./errors.ts";
import { finishReason, refusalText } from "./finish.ts";
import { pausedContent } from "./pause.ts";
import { overlayCounts, serviceTierOf, toUsage } from "./usage.ts";

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

function decodeFrame(state: AnswerState, frame: Frame): ChatEvent[] {
  const data = frame.data.trim();
  // Compatible servers end with OpenAI's marker.
  if (data === "" || data === "[DONE]") return [];
  const event = parseJson(data);
  if (!isObject(event)) return ended(state, [malformed("The provider sent a stream event that is not JSON.")]);
  return decodeEvent(state, event);
}

function decodeEvent(state: AnswerState, event: JsonObject): ChatEvent[] {
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
function decodeEnd(state: AnswerState, rest: string): ChatEvent[] {
  if (state.stopReason !== undefined) return finish(state);
  const document = parseJson(rest);
  const error = isObject(document) ? errorInBody(document) : undefined;
  if (error !== undefined) return brokenOff(state, error);
  const message = "The upstream stream ended before the message was complete.";
  return brokenOff(state, { kind: "truncated", message, code: "upstream_stream_truncated" });
}

/** After output a content filter is an end of the answer, not a failure of the transport. */
function brokenOff(state: AnswerState, error: ProviderError): ChatEvent[] {
  if (error.kind !== "content_filter" || !state.committed) return ended(state, [{ type: "error", error }]);
  return ended(state, [...closeAll(state), ...finishEvents(state, "content_filter", "content_filter")]);
}

function ended(state: AnswerState, events: ChatEvent[]): ChatEvent[] {
  state.over = true;
  return events;
}

function malformed(message: string): ChatEvent {
  return { type: "error", error: { kind: "malformed", message } };
}

/** Servers repeat `message_start`; another id means another answer's bytes. */
function startMessage(state: AnswerState, message: JsonObject): ChatEvent[] {
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
function begun(state: AnswerState): ChatEvent[] {
  return state.messageId === undefined ? startMessage(state, {}) : [];
}

function messageDelta(state: AnswerState, event: JsonObject): ChatEvent[] {
  const delta = isObject(event.delta) ? event.delta : {};
  const stopReason = firstText(delta.stop_reason);
  if (stopReason !== "") {
    state.stopReason = stopReason;
    state.committed = true;
  }
  if (isObject(delta.stop_details)) state.stopDetails = delta.stop_details;
  if (typeof delta.stop_sequence === "string") state.stopSequence = delta.stop_sequence;
  return usageEvents(state, event.usage);
}

function usageEvents(state: AnswerState, told: unknown): ChatEvent[] {
  if (!isObject(told)) return [];
  state.counts = overlayCounts(state.counts, told);
  return [{ type: "usage", usage: toUsage(state.counts) }];
}

function finish(state: AnswerState): ChatEvent[] {
  const nativeReason = state.stopReason ?? "";
  const closed = closeAll(state);
  // Without anything to send back the same request would be made again.
  if (nativeReason === "pause_turn" && pausedContent(state.content).length > 0) {
    return ended(state, [...closed, { type: "continue", state: pauseState(state) }]);
  }
  const reason = finishReason(nativeReason, state.calls);
  const isLegacy = reason === "tool_calls" && asksForFunctions(state.call);
  return ended(state, [...closed, ...finishEvents(state, isLegacy ? "function_call" : reason, nativeReason)]);
}

/** Closes blocks the stream left open. */
export function closeAll(state: AnswerState): ChatEvent[] {
  return [...state.blocks.keys()].flatMap((at) => closeBlock(state, at));
}

/** What was held back until the end, the members beside the text, and the end. */
function finishEvents(state: AnswerState, reason: FinishReason, nativeReason: string): ChatEvent[] {
  const events = shownText(state, state.fence?.end() ?? "");
  if (nativeReason === "refusal") events.push({ type: "refusal_delta", index, text: refusalText(state.stopDetails) });
  const { citations, content, showsContent, stopSequence, stopDetails } = state;
  const told = (members: JsonObject) => Object.entries(members).filter(([, value]) => value !== undefined);
  const extras = {
    message: told({
      citations: citations.length > 0 ? citations : undefined,
      content_blocks: showsContent ? content : undefined,
    }),
    choice: told({
      stop_sequence: stopSequence,
      stop_details: Object.keys(stopDetails).length > 0 ? stopDetails : undefined,
    }),
    answer: told({ service_tier: serviceTierOf(state.counts) }),
  };
  for (const at of ["message", "choice", "answer"] as const) {
    if (extras[at].length > 0) events.push({ type: "extra", at, index, members: Object.fromEntries(extras[at]) });
  }
  return [...events, { type: "finish", index, reason, nativeReason }, { type: "end" }];
}

/** Callers of the API before `tools` wait for `function_call`. */
export function asksForFunctions({ request: { body } }: Call): boolean {
  return objectsIn(body.functions).length > 0 && objectsIn(body.tools).length === 0;
}

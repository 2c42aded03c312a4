// Converse's answers, streamed or buffered, as neutral events. A buffered answer takes the same steps as a stream.
import type { ChatEvent, FinishReason, JsonObject } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { type AnswerState, newState } from "../anthropic/answer-state.ts";
import { blockDelta, closeBlock, openBlock, shownText } from "../anthropic/blocks.ts";
import { asksForFunctions, closeAll } from "../anthropic/decode.ts";
import { toUsage } from "../anthropic/usage.ts";
import { streamError } from "./errors.ts";
import { converseTerms } from "./families.ts";
import { callersNames } from "./tools.ts";

/** Choices do not exist here: everything belongs to choice 0. */
const index = 0;

const REASONS: ReadonlyMap<string, FinishReason> = new Map([
  ["end_turn", "stop"],
  ["stop_sequence", "stop"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_use", "tool_calls"],
  ["guardrail_intervened", "content_filter"],
  ["content_filtered", "content_filter"],
]);

/** The model wrote what Bedrock could not read: what there is of the answer is no answer. */
const MALFORMED = ["malformed_model_output", "malformed_tool_use"];

interface State {
  /** Blocks are what they are at Anthropic: text, calls, signed reasoning. */
  answer: AnswerState;
  names: ReadonlyMap<string, string>;
}

function newStateOf(call: Call): State {
  return { answer: newState(call, converseTerms(call)), names: callersNames(call.request.body) };
}

/** A decoder for one stream of frames named after their events. Unknown events and deltas are skipped. */
export function decoder(call: Call): Decoder {
  const state = newStateOf(call);
  return {
    push: (frame) => (state.answer.over ? [] : decodeFrame(state, frame)),
    end: () => (state.answer.over ? [] : decodeEnd(state.answer)),
  };
}

/** The events of a buffered answer. A 200 without a message is an error, never an empty success. */
export function decodeBody(body: unknown, call: Call): ChatEvent[] {
  const message = isObject(body) && isObject(body.output) ? body.output.message : undefined;
  if (!isObject(body) || !isObject(message) || !Array.isArray(message.content)) {
    return [malformed("The provider's answer has no message.")];
  }
  const state = newStateOf(call);
  const blocks = objectsIn(message.content).flatMap((block, at) => [
    ...wholeBlock(state, at, block),
    ...closeBlock(state.answer, at),
  ]);
  const told = [...begun(state.answer), ...blocks, ...stopped(state.answer, firstText(body.stopReason))];
  return state.answer.over ? told : [...told, ...closed(state.answer, body)];
}

function decodeFrame(state: State, { event = "", data }: Frame): ChatEvent[] {
  const { answer } = state;
  const payload = parseJson(data);
  if (event.startsWith("exception:")) {
    return ended(answer, [{ type: "error", error: streamError(event.slice("exception:".length), payload) }]);
  }
  if (!isObject(payload)) return ended(answer, [malformed("The provider sent a stream event that is not JSON.")]);
  const at = typeof payload.contentBlockIndex === "number" ? payload.contentBlockIndex : 0;
  switch (event) {
    case "messageStart":
      return begun(answer);
    case "contentBlockStart":
      return [...begun(answer), ...startBlock(state, at, isObject(payload.start) ? payload.start : {})];
    case "contentBlockDelta":
      return [...begun(answer), ...delta(answer, at, isObject(payload.delta) ? payload.delta : {})];
    case "contentBlockStop":
      return closeBlock(answer, at);
    case "messageStop":
      return [...begun(answer), ...stopped(answer, firstText(payload.stopReason))];
    case "metadata":
      // Always the last event. Without a stop reason before it the answer is not known to be whole.
      return answer.stopReason === undefined ? usageEvents(payload) : closed(answer, payload);
    default:
      return [];
  }
}

/** The bytes ended. With a stop reason the answer is whole, though nobody told its usage. */
function decodeEnd(answer: AnswerState): ChatEvent[] {
  if (answer.stopReason !== undefined) return closed(answer, {});
  const message = "The upstream stream ended before the message was complete.";
  return ended(answer, [{ type: "error", error: { kind: "truncated", message, code: "upstream_stream_truncated" } }]);
}

function ended(answer: AnswerState, events: ChatEvent[]): ChatEvent[] {
  answer.over = true;
  return events;
}

function malformed(message: string): ChatEvent {
  return { type: "error", error: { kind: "malformed", message, code: "upstream_malformed" } };
}

/** The answer's id is the request's, which only a header tells. */
function begun(answer: AnswerState): ChatEvent[] {
  if (answer.messageId !== undefined) return [];
  answer.messageId = answer.call.newId("msg_");
  return [{ type: "start", id: answer.messageId, model: answer.call.target.model }];
}

/** Only calls are announced; other blocks begin with their first delta. */
function startBlock({ answer, names }: State, at: number, { toolUse }: JsonObject): ChatEvent[] {
  return isObject(toolUse) ? openBlock(answer, at, callBlock(toolUse, names)) : [];
}

function callBlock({ toolUseId, name, input }: JsonObject, names: State["names"]): JsonObject {
  const sent = firstText(name);
  return { type: "tool_use", id: toolUseId, name: names.get(sent) ?? sent, input };
}

function delta(answer: AnswerState, at: number, { text, toolUse, reasoningContent }: JsonObject): ChatEvent[] {
  if (typeof text === "string") return blockDelta(answer, at, { type: "text_delta", text });
  if (isObject(toolUse)) return blockDelta(answer, at, { type: "input_json_delta", partial_json: toolUse.input });
  return isObject(reasoningContent) ? reasoningDelta(answer, at, reasoningContent) : [];
}

function reasoningDelta(
  answer: AnswerState,
  at: number,
  { text, signature, redactedContent }: JsonObject,
): ChatEvent[] {
  if (typeof redactedContent === "string")
    return openBlock(answer, at, { type: "redacted_thinking", data: redactedContent });
  const opened = answer.blocks.has(at) ? [] : openBlock(answer, at, { type: "thinking" });
  const told =
    typeof text === "string"
      ? blockDelta(answer, at, { type: "thinking_delta", thinking: text })
      : blockDelta(answer, at, { type: "signature_delta", signature });
  return [...opened, ...told];
}

function wholeBlock({ answer, names }: State, at: number, block: JsonObject): ChatEvent[] {
  const { text, toolUse, reasoningContent } = block;
  if (typeof text === "string") return openBlock(answer, at, { type: "text", text });
  if (isObject(toolUse)) return openBlock(answer, at, callBlock(toolUse, names));
  if (!isObject(reasoningContent)) return [];
  const { reasoningText, redactedContent } = reasoningContent;
  if (typeof redactedContent === "string")
    return openBlock(answer, at, { type: "redacted_thinking", data: redactedContent });
  const { text: thinking, signature } = isObject(reasoningText) ? reasoningText : {};
  return openBlock(answer, at, { type: "thinking", thinking, signature });
}

/** The stop reason decides, but is told with the end only: what breaks off between the two is no whole answer. */
function stopped(answer: AnswerState, nativeReason: string): ChatEvent[] {
  if (MALFORMED.includes(nativeReason)) {
    return ended(answer, [malformed(`The model's answer could not be read by the provider (${nativeReason}).`)]);
  }
  if (answer.stopReason !== undefined) return [];
  answer.stopReason = nativeReason;
  return [...closeAll(answer), ...shownText(answer, answer.fence?.end() ?? "")];
}

/** `calls` leaves out the tool whose input is the answer: an answer by that way is an ordinary one. */
function reasonOf(nativeReason: string, { calls, call }: AnswerState): FinishReason {
  const told = REASONS.get(nativeReason) ?? "stop";
  if (told !== "tool_calls" && told !== "stop") return told;
  if (calls === 0) return "stop";
  return asksForFunctions(call) ? "function_call" : "tool_calls";
}

function closed(answer: AnswerState, told: JsonObject): ChatEvent[] {
  const tier = isObject(told.serviceTier) ? firstText(told.serviceTier.type) : "";
  const members = { service_tier: tier };
  const extra: ChatEvent[] = tier === "" ? [] : [{ type: "extra", at: "answer", index, members }];
  const nativeReason = answer.stopReason ?? "";
  const finish: ChatEvent = { type: "finish", index, reason: reasonOf(nativeReason, answer), nativeReason };
  return ended(answer, [...extra, finish, ...usageEvents(told, tier), { type: "end" }]);
}

/** `inputTokens` leaves out what was read from caches and written to them, like Anthropic's. */
function usageEvents({ usage }: JsonObject, tier = ""): ChatEvent[] {
  if (!isObject(usage)) return [];
  const counts = {
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    cache_read_input_tokens: usage.cacheReadInputTokens,
    cache_creation_input_tokens: usage.cacheWriteInputTokens,
    service_tier: tier === "" ? undefined : tier,
  };
  return [{ type: "usage", usage: toUsage(counts) }];
}

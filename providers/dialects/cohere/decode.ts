// Answers of `POST /v2/chat`, buffered or streamed, as neutral events.
import type { ChatEvent, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { addArguments, type Calls, callIn, closeCall, closeCalls, newCalls, startCall } from "./calls.ts";
import { citationEvents } from "./citations.ts";
import { errorIn } from "./errors.ts";
import { finishOf, malformed, truncated } from "./finish.ts";
import { tokensOf } from "./logprobs.ts";
import { hidesThoughts } from "./thinking.ts";
import { usageOf } from "./usage.ts";

interface AnswerState {
  call: Call;
  isMute: boolean;
  started: boolean;
  over: boolean;
  text: string;
  hasThought: boolean;
  /** Where each block of content begins in the text. */
  starts: Map<number, number>;
  calls: Calls;
  citations: JsonObject[];
  logprobs: JsonObject[];
}

function newState(call: Call): AnswerState {
  return {
    call,
    isMute: hidesThoughts(call.request.body),
    started: false,
    over: false,
    text: "",
    hasThought: false,
    starts: new Map(),
    calls: newCalls(),
    citations: [],
    logprobs: [],
  };
}

/** A decoder for one stream. Comments and unknown events are skipped. */
export function decoder(call: Call): Decoder {
  const state = newState(call);
  return {
    push: (frame) => (state.over ? [] : decodeFrame(state, frame)),
    end: (rest) => (state.over ? [] : decodeEnd(state, rest)),
  };
}

function decodeFrame(state: AnswerState, frame: Frame): ChatEvent[] {
  const data = frame.data.trim();
  // Not Cohere's way to end, but that of gateways in front of it.
  if (data === "" || data === "[DONE]") return [];
  const event = parseJson(data);
  if (!isObject(event)) return failed(state, malformed("the provider sent a stream event that is not JSON"));
  const error = errorIn(event);
  if (error !== undefined) return failed(state, error);
  const decode = EVENTS.get(firstText(event.type, frame.event));
  if (decode === undefined) return [];
  const delta = isObject(event.delta) ? event.delta : {};
  const message = isObject(delta.message) ? delta.message : {};
  const at = typeof event.index === "number" ? event.index : 0;
  return [...startOf(state, event), ...decode(state, { event, delta, message, at })];
}

/** A stream request may be answered with one JSON document (usually an error), which arrives here as `rest`. */
function decodeEnd(state: AnswerState, rest: string): ChatEvent[] {
  const document = parseJson(rest);
  if (!isObject(document)) return failed(state, truncated());
  const error = errorIn(document);
  if (error !== undefined) return failed(state, error);
  return state.started || !isObject(document.message) ? failed(state, truncated()) : decodeDocument(state, document);
}

/** The events of a buffered answer. A body without a message is an error, never an empty success. */
export function decodeBody(body: unknown, call: Call): ChatEvent[] {
  const state = newState(call);
  if (!isObject(body)) return failed(state, malformed("the provider's answer is not a JSON object"));
  const error = errorIn(body);
  if (error !== undefined) return failed(state, error);
  if (!isObject(body.message)) return failed(state, malformed("the provider's answer has no message"));
  return decodeDocument(state, body);
}

function decodeDocument(state: AnswerState, document: JsonObject): ChatEvent[] {
  const message = isObject(document.message) ? document.message : {};
  const events = startOf(state, document);
  if (typeof message.content === "string") events.push(...addBlock(state, 0, { text: message.content }));
  for (const [at, block] of objectsIn(message.content).entries()) addAll(events, addBlock(state, at, block));
  events.push(...addThought(state, message.tool_plan));
  for (const [at, told] of objectsIn(message.tool_calls).entries())
    addAll(events, [...startCall(state.calls, at, told, state.call), ...closeCall(state.calls, at)]);
  addAll(state.citations, objectsIn(message.citations));
  addAll(state.logprobs, tokensOf(document.logprobs));
  return [...events, ...finished(state, document)];
}

interface Told {
  event: JsonObject;
  delta: JsonObject;
  message: JsonObject;
  /** Of the block or the call. */
  at: number;
}

/** By `type`. A Map, because the provider's words must not reach into an object's prototype. */
const EVENTS = new Map<string, (state: AnswerState, told: Told) => ChatEvent[]>([
  ["message-start", () => []],
  ["content-start", addContent],
  ["content-delta", addContent],
  ["tool-plan-delta", (state, { message }) => addThought(state, message.tool_plan)],
  ["tool-call-start", (state, { at, message }) => startCall(state.calls, at, callIn(message.tool_calls), state.call)],
  ["tool-call-delta", ({ calls }, { at, message }) => addArguments(calls, at, callIn(message.tool_calls))],
  ["tool-call-end", ({ calls }, { at }) => closeCall(calls, at)],
  ["citation-start", addCitations],
  ["message-end", (state, { delta }) => finished(state, delta)],
]);

function startOf(state: AnswerState, told: JsonObject): ChatEvent[] {
  if (state.started) return [];
  state.started = true;
  const id = firstText(told.id) || state.call.newId("chatcmpl-");
  // No answer names its model.
  return [{ type: "start", id, model: state.call.target.model }];
}

function addContent(state: AnswerState, { event, delta, message, at }: Told): ChatEvent[] {
  addAll(state.logprobs, tokensOf(event.logprobs ?? delta.logprobs));
  return isObject(message.content) ? addBlock(state, at, message.content) : [];
}

/** A block of content, or a piece of one. */
function addBlock(state: AnswerState, at: number, block: JsonObject): ChatEvent[] {
  const text = firstText(block.text);
  const events = addThought(state, block.thinking);
  if (!state.starts.has(at)) state.starts.set(at, state.text.length);
  if (text === "") return events;
  state.text += text;
  return [...events, { type: "text_delta", index: 0, text }];
}

function addThought(state: AnswerState, told: unknown): ChatEvent[] {
  const text = firstText(told);
  if (text === "") return [];
  state.hasThought = true;
  return state.isMute ? [] : [{ type: "reasoning_delta", index: 0, text }];
}

/** Kept until the text they are about is whole. */
function addCitations(state: AnswerState, { message }: Told): ChatEvent[] {
  const told = message.citations;
  addAll(state.citations, isObject(told) ? [told] : objectsIn(told));
  return [];
}

/** `told` holds the finish reason, the usage, and what went wrong. */
function finished(state: AnswerState, told: JsonObject): ChatEvent[] {
  const { calls, text, call } = state;
  state.over = true;
  const events = [...closeCalls(calls), ...citationEvents(state.citations, text, state.starts)];
  if (state.logprobs.length > 0) {
    const members = { logprobs: { content: state.logprobs, refusal: null } };
    events.push({ type: "extra", at: "choice", index: 0, members });
  }
  const usage = usageOf(told.usage);
  const counted: ChatEvent[] = usage === undefined ? [] : [{ type: "usage", usage }];
  const nativeReason = firstText(told.finish_reason);
  const reason = finishOf({
    told: nativeReason,
    reason: firstText(told.error, isObject(told.error) ? told.error.message : ""),
    hasCalls: calls.count > 0,
    hasOutput: text !== "" || calls.count > 0 || state.hasThought,
    isLegacy: objectsIn(call.request.body.functions).length > 0,
  });
  // A provider that breaks off may still say what it will bill.
  if (typeof reason !== "string") return [...counted, { type: "error", error: reason }];
  return [...events, { type: "finish", index: 0, reason, nativeReason }, ...counted, { type: "end" }];
}

function failed(state: AnswerState, error: ProviderError): ChatEvent[] {
  state.over = true;
  return [{ type: "error", error }];
}

/** Upstream decides how many there are, and `push(...more)` overflows the stack with a hundred thousand. */
function addAll<T>(list: T[], more: T[]): void {
  for (const one of more) list.push(one);
}

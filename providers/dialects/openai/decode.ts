// Chat Completions answers, buffered or streamed, as neutral events.
import type { ChatEvent, FinishReason, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson, shortWord } from "../../../src/json.ts";
import { type At, type ChoiceState, newChoice } from "./choice.ts";
import { errorInBody } from "./errors.ts";
import {
  type Beside,
  besideEvents,
  choiceEvents,
  collectLogprobs,
  collectMembers,
  logprobsEvents,
  memberEvents,
  newBeside,
} from "./extras.ts";
import { malformed, meaningOf, truncated } from "./finish.ts";
import { forModel, isRelayed, type OpenAiChatProfile } from "./profile.ts";
import { toRemember } from "./replay.ts";
import type { Span } from "./text-filter.ts";
import { decodeToolCall, startNamelessCalls } from "./tool-calls.ts";
import { usageOf } from "./usage.ts";

interface StreamState {
  call: Call;
  profile: OpenAiChatProfile;
  isRelayed: boolean;
  started: boolean;
  over: boolean;
  choices: Map<number, ChoiceState>;
  beside: Beside;
  /** The tier that answers, told in any chunk. */
  serviceTier: string | undefined;
}

function newState(call: Call, base: OpenAiChatProfile): StreamState {
  const profile = forModel(base, call.target.model);
  const rest = { started: false, over: false, choices: new Map(), beside: newBeside(), serviceTier: undefined };
  return { call, profile, isRelayed: isRelayed(call, profile), ...rest };
}

/** A decoder for one stream. Comments, unknown events and placeholder chunks are skipped. */
export function decoder(call: Call, profile: OpenAiChatProfile): Decoder {
  const state = newState(call, profile);
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
  const told = frame.event === "error" && chunk.error === undefined ? { error: chunk } : chunk;
  const error = errorInBody(told, state.profile);
  // A provider that breaks off may still say what it will bill.
  if (error !== undefined) return [...(state.started ? usageEvents(state, chunk) : []), ...failed(state, error)];
  return decodeChunk(state, chunk);
}

/** A stream request may be answered with one JSON document (usually an error), which arrives here as `rest`. */
function decodeEnd(state: StreamState, rest: string): ChatEvent[] {
  const document = parseJson(rest);
  if (!isObject(document)) return terminal(state);
  const error = errorInBody(document, state.profile);
  if (error !== undefined) return failed(state, error);
  return state.started ? terminal(state) : decodeDocument(state, document);
}

/** The events of a buffered answer. A body without choices is an error, never an empty success. */
export function decodeBody(body: unknown, call: Call, profile: OpenAiChatProfile): ChatEvent[] {
  const state = newState(call, profile);
  if (!isObject(body)) return failed(state, malformed("the provider's answer is not a JSON object"));
  const error = errorInBody(body, state.profile);
  if (error !== undefined) return failed(state, error);
  if (objectsIn(body.choices).length === 0) return failed(state, malformed("the provider's answer has no choices"));
  return decodeDocument(state, body);
}

/** A whole answer, in a body of its own or instead of a stream. */
function decodeDocument(state: StreamState, document: JsonObject): ChatEvent[] {
  const events = decodeChunk(state, document);
  return state.over ? events : [...events, ...terminal(state)];
}

/** `[DONE]` or the end of the bytes. Without a finish reason the answer is not whole, whatever the provider says. */
function terminal(state: StreamState): ChatEvent[] {
  const choices = [...state.choices.values()];
  if (choices.length === 0 || choices.some((choice) => !choice.finished)) return failed(state, truncated());
  state.over = true;
  return [...choices.flatMap(({ heldFinish }) => heldFinish), { type: "end" }];
}

function failed(state: StreamState, error: ProviderError): ChatEvent[] {
  state.over = true;
  return [{ type: "error", error }];
}

function decodeChunk(state: StreamState, chunk: JsonObject): ChatEvent[] {
  const events: ChatEvent[] = [];
  if (!state.started && !state.isRelayed && isPlaceholder(chunk)) return events;
  if (!state.started) {
    state.started = true;
    events.push(startOf(chunk, state.call));
  }
  if (!state.isRelayed) events.push(...besideEvents(chunk, state.beside, state.profile));
  let failure: ProviderError | undefined;
  for (const choice of objectsIn(chunk.choices)) failure ??= decodeChoice(state, choice, events);
  events.push(...usageEvents(state, chunk));
  return failure === undefined ? events : [...events, ...failed(state, failure)];
}

/** Says nothing yet, and not by which id the answer goes (zai-org/GLM-5#91). */
function isPlaceholder({ id, choices, usage }: JsonObject): boolean {
  return !id && !isObject(usage) && objectsIn(choices).length === 0;
}

function usageEvents(state: StreamState, chunk: JsonObject): ChatEvent[] {
  state.serviceTier = shortWord(chunk.service_tier) ?? state.serviceTier;
  const usage = usageOf(chunk, state.profile.usage);
  if (usage === undefined) return [];
  if (state.serviceTier !== undefined) usage.serviceTier = state.serviceTier;
  return [{ type: "usage", usage }];
}

function startOf(body: JsonObject, call: Call): ChatEvent {
  const id = typeof body.id === "string" && body.id !== "" ? body.id : call.newId("chatcmpl-");
  const model = typeof body.model === "string" && body.model !== "" ? body.model : call.target.model;
  return { type: "start", id, model };
}

/** Appends the events of one choice; returns an error when the finish reason says that the answer failed. */
function decodeChoice(state: StreamState, choice: JsonObject, events: ChatEvent[]): ProviderError | undefined {
  const index = typeof choice.index === "number" ? choice.index : 0;
  const { call, profile } = state;
  const known = state.choices.get(index) ?? newChoice(call, profile);
  state.choices.set(index, known);
  const at: At = { known, index, events, call, profile, isRelayed: state.isRelayed };
  const before = events.length;
  if (isObject(choice.delta)) decodeDelta(at, choice.delta, objectsIn(choice.delta.tool_calls));
  // After deltas a `message` is the whole answer once more (MiniMax).
  else if (isObject(choice.message) && !known.hasOutput) decodeMessage(at, choice.message);
  if (isObject(choice.logprobs)) collectLogprobs(at, choice.logprobs);
  known.hasOutput ||= events.length > before || known.calls.size > 0;
  return decodeFinish(at, choice);
}

/** In a whole message every entry of `tool_calls` is a call of its own, with or without an id. */
function decodeMessage(at: At, message: JsonObject): void {
  const calls = objectsIn(message.tool_calls).map((toolCall, position) => {
    return typeof toolCall.index === "number" ? toolCall : { ...toolCall, index: position };
  });
  decodeDelta(at, message, calls);
}

function decodeDelta(at: At, delta: JsonObject, toolCalls: JsonObject[]): void {
  const { known, events, index } = at;
  collectMembers(at, delta);
  addReasoning(at, newIn(at, "reasoningSeen", reasoningOf(delta)));
  const text = newIn(at, "textSeen", textOf(delta.content));
  if (text !== "") addSpans(at, known.filter?.push(text) ?? [{ isReasoning: false, text }]);
  const refusal = firstText(delta.refusal);
  if (refusal !== "") events.push({ type: "refusal_delta", index, text: refusal });
  if (toolCalls.length === 0 || isAnsweredInText(at)) return;
  flush(at);
  for (const toolCall of toolCalls) decodeToolCall(at, toolCall);
}

/** The text is the JSON that was asked for: the tool calls beside it say it once more. */
function isAnsweredInText({ known, call, profile }: At): boolean {
  if (!profile.jsonAsCalls || !known.hasText) return false;
  const format = call.request.body.response_format;
  return isObject(format) && format.type === "json_schema";
}

/** What is new in a delta that repeats everything before it. */
function newIn({ known, profile }: At, seen: "textSeen" | "reasoningSeen", text: string): string {
  if (!profile.snapshots || text === "") return text;
  const isSnapshot = text.startsWith(known[seen]);
  const fresh = isSnapshot ? text.slice(known[seen].length) : text;
  known[seen] += fresh;
  return fresh;
}

function addReasoning({ known, index, events }: At, text: string): void {
  if (text === "") return;
  events.push({ type: "reasoning_delta", index, text });
  if (known.toRemember !== undefined) known.toRemember += text;
}

function addSpans(at: At, spans: Span[]): void {
  for (const { isReasoning, text } of spans) {
    if (isReasoning) addReasoning(at, text);
    else {
      at.known.hasText = true;
      at.events.push({ type: "text_delta", index: at.index, text });
    }
  }
}

function flush(at: At): void {
  addSpans(at, at.known.filter?.end() ?? []);
}

/** Appends the finish event; returns an error when the reason says that the answer failed. */
function decodeFinish(at: At, choice: JsonObject): ProviderError | undefined {
  const { finish_reason: told } = choice;
  const { known, index, events, call, profile } = at;
  if (typeof told !== "string" || told === "" || known.finished) return undefined;
  flush(at);
  known.hasOutput ||= known.hasText;
  const meaning = meaningOf(told, known.hasOutput);
  if (typeof meaning === "object") return meaning;
  known.finished = true;
  startNamelessCalls(at);
  if (known.firstCallId !== undefined)
    events.push(...toRemember(call, profile, known.firstCallId, known.toRemember ?? ""));
  events.push(...logprobsEvents(at), ...choiceEvents(at, choice), ...memberEvents(at));
  const finish: ChatEvent = { type: "finish", index, reason: finishReason(meaning, known), nativeReason: told };
  // Sources may come behind it, and clients stop reading at the finish of a choice.
  if (profile.citations && !at.isRelayed) known.heldFinish.push(finish);
  else events.push(finish);
  return undefined;
}

/** Whether there are tool calls is seen, not believed. */
function finishReason(mapped: FinishReason, known: ChoiceState): FinishReason {
  if (known.callCount > 0) return mapped === "stop" || mapped === "function_call" ? "tool_calls" : mapped;
  return mapped === "tool_calls" ? "stop" : mapped;
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

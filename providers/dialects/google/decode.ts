// Gemini's answers, buffered or streamed, as neutral events.
import type { ChatEvent, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { errorIn } from "./errors.ts";
import { finishOf, isBroken, malformed } from "./finish.ts";
import { type FunctionNames, functionNames } from "./names.ts";
import { addPartialArgs, type OpenCall } from "./partial-args.ts";
import { REASONING_FORMAT, signatureExtra } from "./signatures.ts";
import { toUsage } from "./usage.ts";

const NOT_AN_ANSWER = "The provider's answer is not a JSON object.";
const NOT_JSON = "The provider sent a stream event that is not JSON.";
const NO_CANDIDATE = "The model returned an empty response.";
const CUT: ProviderError = {
  kind: "truncated",
  message: "The upstream stream ended before the message was complete.",
  code: "upstream_stream_truncated",
};

/** Upstream decides the index of a choice; more than OpenAI ever allows is garbage. */
const CHOICES_MAX = 128;

interface ChoiceState {
  index: number;
  /** UTF-16 units so far. */
  textLength: number;
  calls: number;
  details: number;
  hasMedia: boolean;
  openCall: OpenCall | undefined;
  nativeReason: string | undefined;
  finishMessage: string;
}

interface AnswerState {
  call: Call;
  names: FunctionNames;
  started: boolean;
  over: boolean;
  choices: Map<number, ChoiceState>;
  blockReason: string | undefined;
  /** Field by field the last one told: later frames may hold less. */
  usageMetadata: JsonObject;
}

function answerState(call: Call): AnswerState {
  return {
    call,
    names: functionNames(call.request.body),
    started: false,
    over: false,
    choices: new Map(),
    blockReason: undefined,
    usageMetadata: {},
  };
}

export function decoder(call: Call): Decoder {
  const state = answerState(call);
  return {
    push: (frame) => (state.over ? [] : decodeFrame(state, frame)),
    end: (rest) => (state.over ? [] : decodeEnd(state, rest)),
  };
}

/** The events of a buffered answer. A broken one is only its error: none of its calls may be run. */
export function decodeBody(body: unknown, call: Call): ChatEvent[] {
  const state = answerState(call);
  const chunks = Array.isArray(body) ? body : [body];
  if (!chunks.some(isObject)) return [{ type: "error", error: malformed("invalid_response", NOT_AN_ANSWER) }];
  const events = chunks.flatMap((chunk) => (state.over ? [] : decodeChunk(state, chunk)));
  if (state.over) return events;
  const terminal = endOfAnswer(state, false);
  if (terminal.at(-1)?.type !== "error") return [...events, ...terminal];
  return [...events.filter(({ type }) => type === "start" || type === "usage"), ...terminal];
}

function decodeFrame(state: AnswerState, frame: Frame): ChatEvent[] {
  const data = frame.data.trim();
  // Only proxies send `[DONE]`; the end of the bytes says the same.
  if (data === "" || data === "[DONE]") return [];
  const parsed = parseJson(data);
  if (parsed === undefined) return failed(state, malformed("upstream_malformed", NOT_JSON));
  const events: ChatEvent[] = [];
  for (const chunk of Array.isArray(parsed) ? parsed : [parsed]) {
    if (!state.over) events.push(...decodeChunk(state, chunk));
  }
  return events;
}

/** Gemini has no end marker, and sheds load by closing after a bare JSON error (theopenco/llmgateway#3616). */
function decodeEnd(state: AnswerState, rest: string): ChatEvent[] {
  const error = errorIn(parseJson(rest), state.call.nowMs);
  if (error !== undefined) return failed(state, error);
  return endOfAnswer(state, true);
}

/** One `GenerateContentResponse` or an error. Anything else is skipped (maximhq/bifrost#5188). */
function decodeChunk(state: AnswerState, chunk: unknown): ChatEvent[] {
  if (!isObject(chunk)) return [];
  const error = errorIn(chunk, state.call.nowMs);
  if (error !== undefined) return failed(state, error);
  const events: ChatEvent[] = state.started ? [] : [startOf(state, chunk)];
  objectsIn(chunk.candidates).forEach((candidate, position) => {
    events.push(...decodeCandidate(state, candidate, position));
  });
  const feedback = isObject(chunk.promptFeedback) ? firstText(chunk.promptFeedback.blockReason) : "";
  if (feedback !== "") state.blockReason = feedback;
  if (isObject(chunk.usageMetadata)) events.push(...usageEvents(state, chunk.usageMetadata));
  return events;
}

function startOf(state: AnswerState, chunk: JsonObject): ChatEvent {
  state.started = true;
  const id = firstText(chunk.responseId);
  return {
    type: "start",
    id: id === "" ? state.call.newId("chatcmpl-") : `chatcmpl-${id}`,
    model: firstText(chunk.modelVersion, state.call.target.model),
  };
}

function usageEvents(state: AnswerState, metadata: JsonObject): ChatEvent[] {
  for (const [field, value] of Object.entries(metadata)) if (value != null) state.usageMetadata[field] = value;
  // At once and not only at the end, so that a broken stream is still billed for what it used.
  const usage = toUsage(state.usageMetadata);
  return usage === undefined ? [] : [{ type: "usage", usage }];
}

function decodeCandidate(state: AnswerState, candidate: JsonObject, position: number): ChatEvent[] {
  // An index of 0 is left out on the wire.
  const index = typeof candidate.index === "number" ? candidate.index : position;
  const choice = choiceAt(state, index);
  if (choice === undefined) return [];
  const content = isObject(candidate.content) ? candidate.content : {};
  const events = objectsIn(content.parts).flatMap((part) => decodePart(state, choice, part));
  // Old models repeat STOP in every chunk, new ones send it in a chunk of its own: only the end of the bytes ends.
  choice.nativeReason = firstText(candidate.finishReason) || choice.nativeReason;
  choice.finishMessage = firstText(candidate.finishMessage, choice.finishMessage);
  return events;
}

function choiceAt(state: AnswerState, index: number): ChoiceState | undefined {
  if (!Number.isInteger(index) || index < 0 || index >= CHOICES_MAX) return undefined;
  const found = state.choices.get(index);
  if (found !== undefined) return found;
  const choice: ChoiceState = {
    index,
    textLength: 0,
    calls: 0,
    details: 0,
    hasMedia: false,
    openCall: undefined,
    nativeReason: undefined,
    finishMessage: "",
  };
  state.choices.set(index, choice);
  return choice;
}

function decodePart(state: AnswerState, choice: ChoiceState, part: JsonObject): ChatEvent[] {
  if (isObject(part.functionCall)) return decodeCall(state, choice, part);
  if (typeof part.text === "string") return decodeText(choice, part.text, part);
  // Draft images of the thinking phase are no output.
  if ((isObject(part.inlineData) || isObject(part.fileData)) && part.thought !== true) choice.hasMedia = true;
  // Code that Google ran, its own tool calls and kinds to come are not part of the answer.
  return [];
}

function decodeText(choice: ChoiceState, text: string, part: JsonObject): ChatEvent[] {
  const { index } = choice;
  if (part.thought === true) return text === "" ? [] : [{ type: "reasoning_delta", index, text }];
  const events: ChatEvent[] = [];
  const signature = firstText(part.thoughtSignature);
  if (signature !== "") {
    const at = { index: choice.details, text_offset: choice.textLength, tool_offset: choice.calls };
    const detail = { type: "reasoning.encrypted" as const, data: signature, format: REASONING_FORMAT, ...at };
    events.push({ type: "reasoning_detail", index, detail });
    choice.details += 1;
  }
  if (text !== "") events.push({ type: "text_delta", index, text });
  choice.textLength += text.length;
  return events;
}

/** Calls come whole, unless argument streaming was asked for: then pieces are gathered until the call is closed. */
function decodeCall(state: AnswerState, choice: ChoiceState, part: JsonObject): ChatEvent[] {
  const call = part.functionCall as JsonObject;
  const name = firstText(call.name);
  const events: ChatEvent[] = [];
  if (name !== "") {
    events.push(...closeCall(state, choice));
    choice.openCall = { id: call.id, name, signature: part.thoughtSignature, args: {} };
  }
  if (choice.openCall === undefined) return events;
  addPartialArgs(choice.openCall.args, call.partialArgs);
  // Pieces follow when it says so. The part that closes a call may be missing (vercel/ai#15438), so pieces stay open.
  if (call.willContinue === true || call.partialArgs !== undefined) return events;
  return [...events, ...closeCall(state, choice, call.args)];
}

function closeCall(state: AnswerState, choice: ChoiceState, args?: unknown): ChatEvent[] {
  const { index, openCall: open } = choice;
  if (open === undefined) return [];
  choice.openCall = undefined;
  const call = choice.calls;
  choice.calls += 1;
  const id = firstText(open.id) || state.call.newId("call_");
  const signature = firstText(open.signature);
  const extra = signature === "" ? {} : { extra: signatureExtra(signature) };
  const argumentsText = typeof args === "string" ? args : JSON.stringify(args ?? open.args);
  return [
    { type: "tool_call_start", index, call, id, name: state.names.fromWire(open.name), ...extra },
    { type: "tool_call_delta", index, call, argumentsText },
  ];
}

/** The end of the bytes. The choices of a stream must have said why they end, or it was cut. */
function endOfAnswer(state: AnswerState, isStream: boolean): ChatEvent[] {
  state.over = true;
  const choices = [...state.choices.values()].sort((a, b) => a.index - b.index);
  if (choices.length === 0 && state.blockReason !== undefined) {
    // A blocked prompt is an answer in OpenAI's terms, and it has a price.
    return [{ type: "finish", index: 0, reason: "content_filter", nativeReason: state.blockReason }, { type: "end" }];
  }
  const broken = choices.find(({ nativeReason }) => isBroken(nativeReason));
  const isCut = isStream && (choices.length === 0 || choices.some(({ nativeReason }) => nativeReason === undefined));
  if (isCut && broken === undefined) return [{ type: "error", error: CUT }];
  if (choices.length === 0) return [{ type: "error", error: malformed("empty_response", NO_CANDIDATE) }];
  const events: ChatEvent[] = [];
  for (const choice of broken === undefined ? choices : [broken]) {
    events.push(...closeCall(state, choice));
    const { nativeReason, finishMessage, hasMedia } = choice;
    const has = { hasText: choice.textLength > 0, hasCalls: choice.calls > 0, hasMedia };
    const reason = finishOf({ nativeReason, finishMessage, ...has });
    if (typeof reason !== "string") return [{ type: "error", error: reason }];
    const inCallerTerms = reason === "tool_calls" && isLegacy(state) ? "function_call" : reason;
    events.push({ type: "finish", index: choice.index, reason: inCallerTerms, nativeReason: nativeReason ?? "" });
  }
  return [...events, { type: "end" }];
}

/** The caller declared `functions`, from before there were `tools`. */
function isLegacy({ call }: AnswerState): boolean {
  return objectsIn(call.request.body.functions).length > 0;
}

function failed(state: AnswerState, error: ProviderError): ChatEvent[] {
  state.over = true;
  return [{ type: "error", error }];
}

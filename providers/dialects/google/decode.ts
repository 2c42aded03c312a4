// Gemini's answers, buffered or streamed, as neutral events.
import type { ChatEvent, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Call, Decoder, Frame } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { Report } from "../report.ts";
import {
  type AnswerContext,
  type Carried,
  type ChoiceState,
  carriedBy,
  choiceState,
  decodePart,
  endOfCall,
  endOfChoice,
  lengthOf,
} from "./choice.ts";
import { errorIn } from "./errors.ts";
import { extensionOf } from "./extension.ts";
import { finishOf, isBroken, malformed } from "./finish.ts";
import { hasOutput, MEDIA_CHARS_MAX } from "./gathered.ts";
import { tokensOf } from "./logprobs.ts";
import { functionNames } from "./names.ts";
import type { GoogleProfile } from "./profile.ts";
import { mixesTools } from "./tools.ts";
import { toUsage } from "./usage.ts";

const NOT_AN_ANSWER = "The provider's answer is not a JSON object.";
const NOT_JSON = "The provider sent a stream event that is not JSON.";
const NO_CANDIDATE = "The model returned an empty response.";
const TOO_LARGE = "The media of the provider's answer are larger than the router holds.";
const CUT: ProviderError = {
  kind: "truncated",
  message: "The upstream stream ended before the message was complete.",
  code: "upstream_stream_truncated",
};

/** Upstream decides the index of a choice; more than OpenAI ever allows is garbage. */
const CHOICES_MAX = 128;

interface AnswerState {
  call: Call;
  profile: GoogleProfile;
  context: AnswerContext;
  started: boolean;
  over: boolean;
  choices: Map<number, ChoiceState>;
  blockReason: string | undefined;
  /** Field by field the last one told: later frames may hold less. */
  usageMetadata: JsonObject;
}

function answerState(call: Call, profile: GoogleProfile): AnswerState {
  const { body } = call.request;
  const extension = extensionOf({ body, profile, report: new Report(false) });
  const context: AnswerContext = {
    names: functionNames(body),
    newId: call.newId,
    keepsParts: mixesTools(body, extension.tools),
    showsMetadata: extension.includeMetadata,
  };
  return {
    call,
    profile,
    context,
    started: false,
    over: false,
    choices: new Map(),
    blockReason: undefined,
    usageMetadata: {},
  };
}

export function decoder(call: Call, profile: GoogleProfile): Decoder {
  const state = answerState(call, profile);
  return {
    push: (frame) => (state.over ? [] : decodeFrame(state, frame)),
    end: (rest) => (state.over ? [] : decodeEnd(state, rest)),
  };
}

/** The events of a buffered answer. A broken one is only its error: none of its calls may be run. */
export function decodeBody(body: unknown, call: Call, profile: GoogleProfile): ChatEvent[] {
  const state = answerState(call, profile);
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
    if (!state.over) addAll(events, decodeChunk(state, chunk));
  }
  return events;
}

/** Gemini has no end marker, and sheds load by closing after a bare JSON error (theopenco/llmgateway#3616). */
function decodeEnd(state: AnswerState, rest: string): ChatEvent[] {
  const error = errorIn(parseJson(rest), state.call.nowMs, state.profile);
  if (error !== undefined) return failed(state, error);
  return endOfAnswer(state, true);
}

/** One `GenerateContentResponse` or an error. Anything else is skipped (maximhq/bifrost#5188). */
function decodeChunk(state: AnswerState, chunk: unknown): ChatEvent[] {
  if (!isObject(chunk)) return [];
  const error = errorIn(chunk, state.call.nowMs, state.profile);
  if (error !== undefined) return failed(state, error);
  const events: ChatEvent[] = state.started ? [] : [startOf(state, chunk)];
  objectsIn(chunk.candidates).forEach((candidate, position) => {
    const { createTime, modelStatus } = chunk;
    addAll(events, decodeCandidate(state, { ...candidate, createTime, modelStatus }, position));
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
  const { content, finishReason, finishMessage, continuationToken, logprobsResult, ...told } = candidate;
  const parts = objectsIn(isObject(content) ? content.parts : undefined);
  const events = parts.flatMap((part, at) => decodePart(choice, part, at, state.context));
  // Old models repeat STOP in every chunk, new ones send it in a chunk of its own: only the end of the bytes ends.
  choice.nativeReason = firstText(finishReason) || choice.nativeReason;
  choice.finishMessage = firstText(finishMessage, choice.finishMessage);
  choice.continuationToken = firstText(continuationToken, choice.continuationToken);
  addAll(choice.gathered.logprobs, tokensOf(logprobsResult));
  // Grounding comes before the last chunk, which may hold `null` in its place (vercel/ai#13123).
  for (const [name, value] of Object.entries(told)) if (value != null) choice.told[name] = value;
  if (choice.gathered.mediaChars <= MEDIA_CHARS_MAX) return events;
  return [...events, ...failed(state, malformed("answer_too_large", TOO_LARGE))];
}

function choiceAt(state: AnswerState, index: number): ChoiceState | undefined {
  if (!Number.isInteger(index) || index < 0 || index >= CHOICES_MAX) return undefined;
  const found = state.choices.get(index);
  if (found !== undefined) return found;
  // Only an answer with a single choice goes on in another call.
  const carried = index === 0 ? (state.call.continuation?.carried as Carried | undefined) : undefined;
  const choice = choiceState(index, structuredClone(carried));
  state.choices.set(index, choice);
  return choice;
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
  const [only, second] = choices;
  if (only === undefined) return [{ type: "error", error: malformed("empty_response", NO_CANDIDATE) }];
  if (only.nativeReason === "CONTINUATION" && only.continuationToken !== "" && second === undefined) {
    const events = endOfCall(only, state.context);
    return [...events, { type: "continue", state: { token: only.continuationToken, carried: carriedBy(only) } }];
  }
  const events: ChatEvent[] = serviceTier(state);
  for (const choice of broken === undefined ? choices : [broken]) {
    const ending = endOfOne(state, choice);
    if (ending.at(-1)?.type === "error") return ending;
    addAll(events, ending);
  }
  return [...events, { type: "end" }];
}

function endOfOne(state: AnswerState, choice: ChoiceState): ChatEvent[] {
  const { index, nativeReason, finishMessage } = choice;
  const events = endOfChoice(choice, state.context);
  const reason = finishOf({
    nativeReason,
    finishMessage,
    hasCalls: choice.calls > 0,
    hasOutput: lengthOf(choice) > 0 || hasOutput(choice.gathered),
  });
  if (typeof reason !== "string") return [{ type: "error", error: reason }];
  const inCallerTerms = reason === "tool_calls" && isLegacy(state) ? "function_call" : reason;
  return [...events, { type: "finish", index, reason: inCallerTerms, nativeReason: nativeReason ?? "" }];
}

/** The tier that was used, in OpenAI's words. */
function serviceTier({ usageMetadata }: AnswerState): ChatEvent[] {
  const tier = firstText(usageMetadata.serviceTier).toLowerCase();
  if (tier === "") return [];
  const members = { service_tier: tier === "standard" ? "default" : tier };
  return [{ type: "extra", at: "answer", index: 0, members }];
}

/** The caller declared `functions`, from before there were `tools`. */
function isLegacy({ call }: AnswerState): boolean {
  return objectsIn(call.request.body.functions).length > 0;
}

function failed(state: AnswerState, error: ProviderError): ChatEvent[] {
  state.over = true;
  return [{ type: "error", error }];
}

/** Upstream decides how many there are, and `push(...more)` overflows the stack with a hundred thousand. */
function addAll<T>(list: T[], more: T[]): void {
  for (const one of more) list.push(one);
}

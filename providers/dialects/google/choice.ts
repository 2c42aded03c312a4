// One choice of an answer under construction: its parts as events, and what has to wait for its end.
import type { ChatEvent, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import { citationsOf } from "./citations.ts";
import { type Gathered, gather, messageMembers, nothingGathered } from "./gathered.ts";
import { type Kept, type KnownCall, keep, nothingKept, rememberCall, worthKeeping } from "./memory.ts";
import type { FunctionNames } from "./names.ts";
import { addPartialArgs, type OpenCall } from "./partial-args.ts";
import { REASONING_FORMAT, signatureExtra } from "./signatures.ts";

/** The same for all choices of an answer. */
export interface AnswerContext {
  names: FunctionNames;
  newId(prefix: string): string;
  /** Parts must be kept whole: Google's own tools run beside functions. */
  keepsParts: boolean;
  /** The caller asked to see what has no place in OpenAI's answer. */
  showsMetadata: boolean;
}

/** What an answer that goes on in another call hands on to it. Plain data. */
export interface Carried {
  textLength: number;
  calls: number;
  details: number;
  gathered: Gathered;
  kept: Kept;
  firstCall?: { call: KnownCall; signature: string };
}

export interface ChoiceState extends Omit<Carried, "textLength"> {
  index: number;
  /** UTF-16 units of the calls before this one. */
  lengthBefore: number;
  text: string;
  /** Where each part begins in `text`; pieces of a stream that go on with a part are none. */
  starts: number[];
  lastKind: string;
  openCall: OpenCall | undefined;
  nativeReason: string | undefined;
  finishMessage: string;
  continuationToken: string;
  /** The candidate's other members, each as it was told last. */
  told: JsonObject;
}

export function choiceState(index: number, carried: Carried | undefined): ChoiceState {
  const before = carried ?? { textLength: 0, calls: 0, details: 0, gathered: nothingGathered(), kept: nothingKept() };
  const { textLength, ...handedOn } = before;
  return {
    ...handedOn,
    index,
    lengthBefore: textLength,
    text: "",
    starts: [],
    lastKind: "",
    openCall: undefined,
    nativeReason: undefined,
    finishMessage: "",
    continuationToken: "",
    told: {},
  };
}

export function carriedBy({ calls, details, gathered, kept, firstCall, ...choice }: ChoiceState): Carried {
  const textLength = lengthOf(choice);
  return { textLength, calls, details, gathered, kept, ...(firstCall !== undefined && { firstCall }) };
}

/** UTF-16 units of the whole answer so far. */
export function lengthOf({ lengthBefore, text }: Pick<ChoiceState, "lengthBefore" | "text">): number {
  return lengthBefore + text.length;
}

/** `position` is that of the part in its chunk. */
export function decodePart(
  choice: ChoiceState,
  part: JsonObject,
  position: number,
  context: AnswerContext,
): ChatEvent[] {
  beginPart(choice, part, position);
  if (context.keepsParts) keep(choice.kept, part);
  if (isObject(part.functionCall)) return decodeCall(choice, part, context);
  if (typeof part.text === "string") return decodeText(choice, part.text, part);
  // Kinds to come are not part of the answer.
  gather(choice.gathered, part);
  return [];
}

function beginPart(choice: ChoiceState, part: JsonObject, position: number): void {
  const kind = typeof part.text !== "string" ? "other" : part.thought === true ? "thought" : "text";
  const goesOn = position === 0 && kind !== "other" && kind === choice.lastKind;
  if (!goesOn) choice.starts.push(choice.text.length);
  choice.lastKind = kind;
}

function decodeText(choice: ChoiceState, text: string, part: JsonObject): ChatEvent[] {
  const { index } = choice;
  if (part.thought === true) return text === "" ? [] : [{ type: "reasoning_delta", index, text }];
  const events: ChatEvent[] = [];
  const signature = firstText(part.thoughtSignature);
  if (signature !== "") {
    choice.gathered.textSignature = signature;
    const at = { index: choice.details, text_offset: lengthOf(choice), tool_offset: choice.calls };
    const detail = { type: "reasoning.encrypted" as const, data: signature, format: REASONING_FORMAT, ...at };
    events.push({ type: "reasoning_detail", index, detail });
    choice.details += 1;
  }
  if (text !== "") events.push({ type: "text_delta", index, text });
  choice.text += text;
  return events;
}

/** Calls come whole, unless argument streaming was asked for: then pieces are gathered until the call is closed. */
function decodeCall(choice: ChoiceState, part: JsonObject, context: AnswerContext): ChatEvent[] {
  const call = part.functionCall as JsonObject;
  const name = firstText(call.name);
  const events: ChatEvent[] = [];
  if (name !== "") {
    events.push(...closeCall(choice, context));
    choice.openCall = { id: call.id, name, signature: part.thoughtSignature, args: {} };
  }
  if (choice.openCall === undefined) return events;
  addPartialArgs(choice.openCall.args, call.partialArgs);
  // Pieces follow when it says so. The part that closes a call may be missing (vercel/ai#15438), so pieces stay open.
  if (call.willContinue === true || call.partialArgs !== undefined) return events;
  return [...events, ...closeCall(choice, context, call.args)];
}

function closeCall(choice: ChoiceState, { names, newId }: AnswerContext, args?: unknown): ChatEvent[] {
  const { index, openCall: open } = choice;
  if (open === undefined) return [];
  choice.openCall = undefined;
  const call = choice.calls;
  choice.calls += 1;
  const id = firstText(open.id) || newId("call_");
  const name = names.fromWire(open.name);
  const signature = firstText(open.signature);
  const extra = signature === "" ? {} : { extra: signatureExtra(signature) };
  const argumentsText = typeof args === "string" ? args : JSON.stringify(args ?? open.args);
  const known = { id, name, args: argumentsText };
  choice.firstCall ??= { call: known, signature };
  return [
    { type: "tool_call_start", index, call, id, name, ...extra },
    { type: "tool_call_delta", index, call, argumentsText },
    ...rememberCall(known, signature),
  ];
}

/** Everything that has to wait until the choice is complete, its finish excepted. */
export function endOfChoice(choice: ChoiceState, context: AnswerContext): ChatEvent[] {
  return [...endOfCall(choice, context), ...rememberParts(choice), ...extras(choice, context)];
}

/** What this call can still say when the answer goes on in another one: citations count within its own text. */
export function endOfCall(choice: ChoiceState, context: AnswerContext): ChatEvent[] {
  const { index, lengthBefore, told } = choice;
  const citations = isObject(told.groundingMetadata) ? citationsOf(told.groundingMetadata, choice) : [];
  const events = closeCall(choice, context);
  for (const { startIndex, endIndex, ...page } of citations) {
    const range = { startIndex: startIndex + lengthBefore, endIndex: endIndex + lengthBefore };
    events.push({ type: "annotation", index, annotation: { ...page, ...range } });
  }
  return events;
}

function rememberParts({ firstCall, kept }: ChoiceState): ChatEvent[] {
  if (firstCall === undefined || !worthKeeping(kept)) return [];
  return rememberCall(firstCall.call, firstCall.signature, kept.parts);
}

function extras(choice: ChoiceState, { newId, showsMetadata }: AnswerContext): ChatEvent[] {
  const { index, gathered } = choice;
  const showSignature = showsMetadata && choice.calls === 0;
  const ofMessage = messageMembers(gathered, showSignature, () => newId("audio_"));
  const google = choiceMembers(choice, showsMetadata);
  const ofChoice: JsonObject = {
    ...(gathered.logprobs.length > 0 && { logprobs: { content: gathered.logprobs, refusal: null } }),
    ...(Object.keys(google).length > 0 && { extra_content: { google } }),
  };
  const events: ChatEvent[] = [];
  if (Object.keys(ofMessage).length > 0) events.push({ type: "extra", at: "message", index, members: ofMessage });
  if (Object.keys(ofChoice).length > 0) events.push({ type: "extra", at: "choice", index, members: ofChoice });
  return events;
}

const METADATA = {
  safetyRatings: "safety_ratings",
  avgLogprobs: "avg_logprobs",
  urlContextMetadata: "url_context_metadata",
  citationMetadata: "citation_metadata",
  createTime: "create_time",
  modelStatus: "model_status",
};

function choiceMembers({ told, nativeReason, finishMessage }: ChoiceState, showsMetadata: boolean): JsonObject {
  const { webSearchQueries, searchEntryPoint }: JsonObject = isObject(told.groundingMetadata)
    ? told.groundingMetadata
    : {};
  const grounding = {
    ...(webSearchQueries !== undefined && { web_search_queries: webSearchQueries }),
    ...(isObject(searchEntryPoint) && { rendered_content: searchEntryPoint.renderedContent }),
  };
  // What Google wants shown beside a grounded answer is shown without being asked for.
  const members: JsonObject = Object.keys(grounding).length > 0 ? { grounding_metadata: grounding } : {};
  if (!showsMetadata) return members;
  if (nativeReason !== undefined) members.finish_reason = nativeReason;
  if (finishMessage !== "") members.finish_message = finishMessage;
  for (const [name, shown] of Object.entries(METADATA)) if (told[name] != null) members[shown] = told[name];
  return members;
}

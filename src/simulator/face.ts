// What every simulated provider must be able to do, and the small words they share.
import type { JsonObject } from "../chat.ts";
import type { FaultName } from "./script.ts";

export type ProviderId = "openai" | "anthropic" | "google" | "bedrock-converse" | "cohere";

/** One request as the wire brought it. */
export interface Call {
  /** Without directives. */
  model: string;
  body: JsonObject;
  stream: boolean;
  /** Gemini without `alt=sse`: the stream is one JSON array. */
  arrayStream: boolean;
  /** By lower-case name. */
  header(name: string): string | undefined;
}

/** What an answer depends on, whatever the dialect. */
export interface Prompt {
  label: string;
  model: string;
  tokens: number;
  lastUserText: string;
  /** Texts of the tool results the conversation ends with; undefined when it ends otherwise. */
  toolResults: string[] | undefined;
  tools: { name: string; schema: JsonObject | undefined }[];
  toolChoice: "auto" | "none" | "required" | { name: string };
  parallelTools: boolean;
  /** JSON output was asked for; `{}` when any object will do. */
  jsonSchema: JsonObject | undefined;
  stop: string[];
  maxTokens: number | undefined;
  choices: number;
  /** Reasoning was asked for. */
  reasoning: boolean;
}

export type Finish = "stop" | "length" | "tool" | "filter";

export interface AnswerCall {
  name: string;
  /** JSON text; incomplete when the answer ends for `length`. */
  argumentsText: string;
}

export interface AnswerChoice {
  text: string;
  calls: AnswerCall[];
  finish: Finish;
  stopSequence: string | undefined;
  /** The halves of surrogate pairs come in different pieces. */
  halves: boolean;
}

export interface Answer {
  reasoning: string;
  choices: AnswerChoice[];
  promptTokens: number;
  cachedTokens: number;
  /** Text and tool calls of all choices, without reasoning. */
  outputTokens: number;
  reasoningTokens: number;
}

/** What identifies one answer. `serial` counts the requests of a simulator from 1; ids are made of it. */
export interface Head {
  call: Call;
  serial: number;
  nowMs: number;
}

/** One piece of a stream. `tokens` is what it costs in time at a given rate. */
export interface Frame {
  bytes: string;
  tokens: number;
  phase: "preamble" | "content" | "end";
}

/** A failure, before the provider gives it its shape. */
export interface Fault {
  status: number;
  message: string;
  type?: string;
  code?: string | null;
  param?: string | null;
  details?: JsonObject[];
  retryAfterS?: number;
}

export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

export interface Face {
  id: ProviderId;
  /** Bytes of frames are written one a character, since the stream is no text. */
  isBinary?: true;
  streamType(call: Call): string;
  /** Headers of every answer: request id, rate limits. */
  headers(head: Head): Record<string, string>;
  checkCredentials(header: Call["header"]): Fault | undefined;
  /** Brings a body into the spelling the other functions read. */
  read?(body: JsonObject): JsonObject;
  validate(call: Call): Fault | undefined;
  prompt(call: Call): Prompt;
  body(answer: Answer, head: Head): JsonObject;
  frames(answer: Answer, head: Head): Iterable<Frame>;
  /** The provider's in-band error, as bytes of the stream. */
  streamFault(head: Head): string;
  /** An event whose JSON is broken, as bytes of the stream. */
  brokenFrame(head: Head): string;
  scriptedFault(status: number, call: Call): Fault;
  /** Absent where the provider has no error of that name. */
  namedFault(name: FaultName, call: Call): Fault | undefined;
  reply(fault: Fault, head: Head): Reply;
  models(): JsonObject;
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A simulated token is four UTF-16 units of text: simple, exact, and near enough to real ones. */
export function countTokens(value: string): number {
  return Math.ceil(value.length / 4);
}

/** Text in pieces of `tokens` tokens. A surrogate pair is never cut, so a piece may be one unit longer or shorter; with
 *  `halves` every pair is, and its halves come in pieces of their own. */
export function* pieces(value: string, tokens: number, halves = false): Generator<string> {
  if (halves) return yield* value.split(/(?<=[\ud800-\udbff])|(?=[\udc00-\udfff])/);
  for (let start = 0; start < value.length; ) {
    let end = Math.min(value.length, start + tokens * 4);
    const last = value.charCodeAt(end - 1);
    if (end < value.length && last >= 0xd800 && last < 0xdc00) end += 1;
    yield value.slice(start, end);
    start = end;
  }
}

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** `length` letters and digits that look random and depend on nothing but `serial` and `salt`. */
export function letters(serial: number, salt: number, length: number): string {
  let state = (Math.imul(serial, 0x9e3779b1) ^ Math.imul(salt + 1, 0x85ebca6b)) >>> 0;
  let out = "";
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    out += ALPHABET[(state >>> 16) % 62];
  }
  return out;
}

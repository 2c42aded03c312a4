// A text that one model began and another is to go on with: when that may be asked, how, and where the two meet. Pure.
import type { ChatBody, ChatEvent, ChatMessage, ChatRequest } from "../chat.ts";
import { isObject } from "../json.ts";
import { textMeter } from "../tokens/text.ts";

/** How a model is asked to go on: with the text as the beginning of its own answer, or by a word from the user. */
export type ContinuationStyle = "prefill" | "user_turn";

const CONTINUE =
  "Your answer was cut off. Go on exactly where it stops: write only what follows, repeat nothing of it, and do not mention the interruption.";

/** Whether the answer can be nothing but one text. What has a form (calls, JSON, several choices, log-probabilities) would
 *  come out broken where two models meet. */
export function asksForPlainText({ body }: ChatRequest): boolean {
  const { response_format: format, modalities, n, logprobs } = body;
  const isText = format == null || (isObject(format) && format.type === "text");
  const isOnlyText = modalities == null || (Array.isArray(modalities) && modalities.every((kind) => kind === "text"));
  const hasTools = [body.tools, body.functions].some((list) => Array.isArray(list) && list.length > 0);
  const isSingle = n == null || n === 1;
  const isMore = hasTools || body.web_search_options != null || body.audio != null;
  return isText && isOnlyText && isSingle && !isMore && !logprobs && body.top_logprobs == null;
}

/** Longer texts are not kept: memory per stream is bounded. */
const CHARS_MAX = 400_000;

/** What a caller was given of an answer so far. */
export class DeliveredText {
  #text = "";
  #isPlain = true;

  get text(): string {
    return this.#text;
  }

  /** There is text, nothing but text, and it is not finished. */
  get isPlain(): boolean {
    return this.#isPlain && this.#text.trim() !== "";
  }

  observe(events: readonly ChatEvent[]): void {
    if (!this.#isPlain) return;
    for (const event of events) {
      if (event.type === "text_delta" && event.index === 0) this.#text += event.text;
      else if (!isBesideText(event)) this.#isPlain = false;
    }
    if (this.#text.length > CHARS_MAX) this.#isPlain = false;
    if (!this.#isPlain) this.#text = "";
  }
}

function isBesideText(event: ChatEvent): boolean {
  if (event.type === "extra") return event.at !== "message";
  return event.type === "start" || event.type === "usage" || event.type === "error";
}

/** The request that asks for the rest of `text`. Its bound on the output is what the text has left of it. */
export function continuedRequest(request: ChatRequest, text: string, style: ContinuationStyle): ChatRequest {
  const messages = withAnswer(request.body.messages, text);
  if (style === "user_turn") messages.push({ role: "user", content: CONTINUE });
  return { ...request, body: { ...request.body, messages, ...outputBounds(request.body, text) } };
}

/** A conversation that ended with the assistant had its answer begun by the caller. */
function withAnswer(messages: readonly ChatMessage[], text: string): ChatMessage[] {
  const last = messages.at(-1);
  if (last?.role !== "assistant") return [...messages, { role: "assistant", content: text }];
  const { content } = last;
  const joined = Array.isArray(content) ? [...content, { type: "text", text }] : `${content ?? ""}${text}`;
  return [...messages.slice(0, -1), { ...last, content: joined }];
}

function outputBounds(body: ChatBody, text: string): Partial<ChatBody> {
  const bounds: Partial<ChatBody> = {};
  for (const field of ["max_tokens", "max_completion_tokens"]) {
    const bound = body[field];
    if (typeof bound === "number") bounds[field] = Math.max(1, bound - Math.ceil(textMeter()(text) / 1_000));
  }
  return bounds;
}

const OVERLAP_CHARS_MAX = 200;

/**
 * Takes from the beginning of a continuation what it repeats of the end of the text before it, at most 200 characters.
 * Holds back what may still turn out to be a repetition; the result does not depend on how the text is cut.
 */
export class OverlapFilter {
  readonly #tail: string;
  readonly #style: ContinuationStyle;
  #held: string | undefined = "";
  /** Characters that were taken away. */
  dropped = 0;

  constructor(before: string, style: ContinuationStyle) {
    this.#tail = before.slice(-OVERLAP_CHARS_MAX);
    this.#style = style;
  }

  /** What can be shown by now. */
  push(text: string): string {
    if (this.#held === undefined) return text;
    this.#held += text;
    return this.#mayGrow(this.#held) ? "" : this.flush();
  }

  /** Nothing more comes that could be a repetition. */
  flush(): string {
    const held = this.#held ?? "";
    this.#held = undefined;
    for (let length = Math.min(held.length, this.#tail.length); length > 0; length -= 1) {
      if (!this.#tail.endsWith(held.slice(0, length)) || !this.#isRepetition(length)) continue;
      this.dropped = length;
      return held.slice(length);
    }
    return held;
  }

  #mayGrow(held: string): boolean {
    if (held === "") return true;
    for (let from = this.#tail.indexOf(held); from !== -1; from = this.#tail.indexOf(held, from + 1)) {
      if (from + held.length < this.#tail.length) return true;
    }
    return false;
  }

  /** That the last letter and the next one are the same says nothing: a repetition begins with a word, or is long. One who was
   *  given the beginning goes on with it, except that blanks at its end are not sent. */
  #isRepetition(length: number): boolean {
    const overlap = this.#tail.slice(-length);
    const wordChars = overlap.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
    if (this.#style === "prefill") return wordChars === 0 ? overlap.trim() === "" : length >= PREFILL_CHARS_MIN;
    const before = this.#tail.at(-length - 1) ?? " ";
    const isAtWord = !/[\p{L}\p{N}]/u.test(before) || !/[\p{L}\p{N}]/u.test(overlap.charAt(0));
    return wordChars >= WORD_CHARS_MIN && (isAtWord || length >= INNER_CHARS_MIN);
  }
}

const PREFILL_CHARS_MIN = 20;
const WORD_CHARS_MIN = 3;
const INNER_CHARS_MIN = 8;

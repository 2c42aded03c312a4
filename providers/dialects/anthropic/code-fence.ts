// Takes one Markdown code fence off an answer that was asked for as bare JSON, while it streams.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";

const OPENING = /^\s*```[a-zA-Z]*[ \t]*\n/;
/** What may still become an opening fence. */
const OPENING_PREFIX = /^\s*(?:`{0,2}|```[a-zA-Z]*[ \t]*)$/;
const CLOSING_TAIL = /\n?\s*`{0,3}\s*$/;
/** A fence opens within this many characters or not at all. */
const OPENING_CHARS_MAX = 64;

type Phase = "start" | "fenced" | "plain";

export class CodeFence {
  #held: string;
  #phase: Phase;

  /** Goes on where the fence of an earlier part of the answer stopped (`state`). */
  constructor(state: unknown = undefined) {
    const { held, phase } = isObject(state) ? state : {};
    this.#held = firstText(held);
    this.#phase = phase === "fenced" || phase === "plain" ? phase : "start";
  }

  get state(): JsonObject {
    return { held: this.#held, phase: this.#phase };
  }

  /** The text that can be passed on now. */
  push(text: string): string {
    if (this.#phase === "plain") return text;
    this.#held += text;
    if (this.#phase === "start") {
      const opening = OPENING.exec(this.#held);
      if (opening !== null) {
        this.#phase = "fenced";
        this.#held = this.#held.slice(opening[0].length);
      } else if (this.#held.length <= OPENING_CHARS_MAX && OPENING_PREFIX.test(this.#held)) return "";
      else {
        this.#phase = "plain";
        return this.#take(this.#held.length);
      }
    }
    const tail = CLOSING_TAIL.exec(this.#held);
    return this.#take(tail === null ? this.#held.length : tail.index);
  }

  /** The rest, without the closing fence. */
  end(): string {
    if (this.#phase === "fenced") this.#held = this.#held.replace(/\n?\s*```\s*$/, "");
    return this.#take(this.#held.length);
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}

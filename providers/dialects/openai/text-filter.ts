// Text as some providers write it: with the reasoning in it between tags, or with the caller's own prefix before it.

export interface Span {
  isReasoning: boolean;
  text: string;
}

/** Holds text back as long as it may still turn out to be something else; does not depend on where deltas end. */
export interface TextFilter {
  push(text: string): Span[];
  /** The text is over: what is held back is what it looks like. */
  end(): Span[];
}

/** `first`, then `second` on what is text after it. */
export function chained(first: TextFilter, second: TextFilter): TextFilter {
  const onward = (spans: Span[]) => spans.flatMap((span) => (span.isReasoning ? [span] : second.push(span.text)));
  return {
    push: (text) => onward(first.push(text)),
    end: () => [...onward(first.end()), ...second.end()],
  };
}

function span(text: string, isReasoning = false): Span[] {
  return text === "" ? [] : [{ isReasoning, text }];
}

/** Takes away a beginning that repeats `prefix` to the letter. */
export function withoutEcho(prefix: string): TextFilter {
  let held = "";
  let isDone = prefix === "";
  return {
    push(text) {
      if (isDone) return span(text);
      held += text;
      if (held.length < prefix.length && prefix.startsWith(held)) return [];
      isDone = true;
      return span(held.startsWith(prefix) ? held.slice(prefix.length) : held);
    },
    end() {
      const rest = isDone ? "" : held;
      isDone = true;
      return span(rest);
    },
  };
}

/**
 * Takes `<tag>…</tag>` at the very start of the text for reasoning; later tags are text. `isOpen`: the model's template
 * already ends in the opening tag, so that the text starts inside of it.
 */
export function thinkTagSplitter(tag: string, isOpen: boolean): TextFilter {
  const splitter = new ThinkTagSplitter(`<${tag}>`, `</${tag}>`, isOpen);
  return { push: (text) => splitter.push(text), end: () => splitter.end() };
}

type TagState = "start" | "opened" | "inside" | "closed" | "outside";

class ThinkTagSplitter {
  readonly #open: string;
  readonly #close: string;
  readonly #isOpen: boolean;
  #state: TagState = "start";
  #held = "";

  constructor(open: string, close: string, isOpen: boolean) {
    this.#open = open;
    this.#close = close;
    this.#isOpen = isOpen;
  }

  push(text: string): Span[] {
    if (this.#is("outside")) return span(text);
    this.#held += text;
    if (this.#is("start") && !this.#leaveStart()) return [];
    const spans: Span[] = [];
    if (this.#is("opened")) this.#skipSpace("inside");
    if (this.#is("inside")) spans.push(...this.#readInside());
    if (this.#is("closed")) this.#skipSpace("outside");
    return this.#is("outside") ? [...spans, ...span(this.#take(this.#held.length))] : spans;
  }

  end(): Span[] {
    const isReasoning = this.#is("inside") || (this.#is("start") && this.#isOpen);
    const rest = this.#take(this.#held.length);
    this.#state = "outside";
    return span(rest, isReasoning);
  }

  #is(state: TagState): boolean {
    return this.#state === state;
  }

  /** False while the text may still become the opening tag. */
  #leaveStart(): boolean {
    const text = this.#held.trimStart();
    if (text.length < this.#open.length && this.#open.startsWith(text)) return false;
    if (text.startsWith(this.#open)) {
      this.#held = text.slice(this.#open.length);
      this.#state = "opened";
    } else this.#state = this.#isOpen ? "opened" : "outside";
    return true;
  }

  #skipSpace(next: "inside" | "outside"): void {
    this.#held = this.#held.trimStart();
    if (this.#held !== "") this.#state = next;
  }

  #readInside(): Span[] {
    const end = this.#held.indexOf(this.#close);
    if (end === -1) return span(this.#take(this.#held.length - this.#partOfClose()), true);
    const reasoning = this.#take(end);
    this.#take(this.#close.length);
    this.#state = "closed";
    return span(reasoning, true);
  }

  /** Length of the longest end of the text that the closing tag begins with. */
  #partOfClose(): number {
    for (let length = Math.min(this.#close.length - 1, this.#held.length); length > 0; length -= 1)
      if (this.#held.endsWith(this.#close.slice(0, length))) return length;
    return 0;
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}

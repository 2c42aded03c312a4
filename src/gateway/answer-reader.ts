// The bytes of a streamed answer as pieces: events beside the frames they came in, ending in one terminal event.
import { strict as assert } from "node:assert";
import type { ChatEvent, ProviderError } from "../chat.ts";
import type { Decoder, Outbound } from "../dialect.ts";
import { EventStreamParser } from "../event-stream.ts";
import { parseJson } from "../json.ts";
import { type RawFrame, SseParser } from "../sse.ts";
import type { Chunks, Opened } from "../upstream.ts";

/** Events with the bytes they came in, when they came as a frame that a relay may pass on. */
export interface Piece {
  events: ChatEvent[];
  frame: RawFrame | undefined;
}

export type Terminal = Extract<ChatEvent, { type: "end" | "continue" | "error" }>;

/** What one chunk of bytes amounted to. */
export interface Batch {
  pieces: Piece[];
  /** In the last piece, when the answer is over. */
  terminal: Terminal | undefined;
  /** The first event that decides whether the answer is one: content, a finish, or the terminal event. */
  decisive: ChatEvent | undefined;
}

/** Inline images make single events of several megabytes. */
const MAX_FRAME_BYTES = 32 * 1024 ** 2;

function isTerminal(event: ChatEvent): event is Terminal {
  return event.type === "end" || event.type === "continue" || event.type === "error";
}

const CONTENT: ReadonlySet<ChatEvent["type"]> = new Set([
  "text_delta",
  "reasoning_delta",
  "refusal_delta",
  "reasoning_detail",
  "tool_call_start",
  "tool_call_delta",
]);

/** Content: what a caller could show or act on. */
export function isContent(event: ChatEvent): boolean {
  // Images and sound come as members of the message.
  return CONTENT.has(event.type) || (event.type === "extra" && event.at === "message");
}

/** Looks at every event once. */
export function batchOf(pieces: Piece[]): Batch {
  const batch: Batch = { pieces, terminal: undefined, decisive: undefined };
  for (const { events } of pieces) {
    for (const event of events) {
      if (isTerminal(event)) batch.terminal ??= event;
      else if (!isContent(event) && event.type !== "finish") continue;
      batch.decisive ??= event;
    }
  }
  return batch;
}

/** Throws what it cannot go on from. `isCut`: the bytes ended inside a frame. */
interface FrameParser {
  push(chunk: Uint8Array): RawFrame[];
  end(): { frames: RawFrame[]; rest: string; isCut?: boolean };
}

/** Chunks of bytes as batches, the last of which holds the terminal event. */
export class AnswerReader {
  readonly #opened: Opened;
  readonly #chunks: Chunks;
  readonly #decoder: Decoder;
  readonly #parser: FrameParser;
  #isOver = false;

  constructor(opened: Opened, decoder: Decoder, framing: Outbound["framing"] = "sse") {
    this.#opened = opened;
    this.#parser = framing === "sse" ? new SseParser(MAX_FRAME_BYTES) : new EventStreamParser(MAX_FRAME_BYTES);
    this.#chunks = opened.chunks();
    this.#decoder = decoder;
  }

  /** The next chunk. Not to be called after the terminal event. */
  async read(): Promise<Batch> {
    assert(!this.#isOver, "read after the end of the answer");
    const step = await this.#chunks.next();
    const batch = batchOf(this.#guarded(() => (step.done ? this.#finish(step.value) : this.#decode(step.value))));
    this.#isOver = batch.terminal !== undefined;
    // A finish is progress too: what is left are the last bytes.
    if (batch.decisive !== undefined) this.#opened.progress();
    return batch;
  }

  #guarded(pieces: () => Piece[]): Piece[] {
    try {
      return pieces();
    } catch (error) {
      assert(error instanceof Error);
      return failure({ kind: "malformed", message: error.message, code: "upstream_malformed" });
    }
  }

  #decode(chunk: Uint8Array): Piece[] {
    return this.#piecesOf(this.#parser.push(chunk));
  }

  /** What comes after the terminal event is no part of the answer: a relay must not pass it on. */
  #piecesOf(frames: readonly RawFrame[]): Piece[] {
    const pieces: Piece[] = [];
    for (const frame of frames) {
      const events = this.#decoder.push(frame);
      pieces.push({ events, frame });
      if (events.some(isTerminal)) break;
    }
    return pieces;
  }

  #finish(error: ProviderError | undefined): Piece[] {
    if (error !== undefined && error.kind !== "network") return failure(error);
    const { frames, rest, isCut } = this.#parser.end();
    if (isCut) {
      const message = "The upstream stream ended inside an event.";
      return failure({ kind: "truncated", message, code: "upstream_stream_truncated" });
    }
    const last = this.#piecesOf(frames.filter(isWhole));
    // The decoder knows best whether the answer was whole, and may find the provider's own reason in the rest; an answer
    // that merely stops is `truncated`, whether the connection was closed or broke.
    return [...last, { events: this.#decoder.end(rest), frame: undefined }];
  }

  /** After the end the socket goes back to the pool; before it, it is cut. */
  close(): void {
    if (this.#isOver) this.#opened.drain();
    else this.#opened.close();
  }
}

/** An event without its blank line may be all there or cut anywhere; one that is cut says nothing. */
function isWhole({ data }: RawFrame): boolean {
  return data.trim() === "[DONE]" || parseJson(data) !== undefined;
}

function failure(error: ProviderError): Piece[] {
  return [{ events: [{ type: "error", error }], frame: undefined }];
}

/** How much of an answer the event brings, in characters of text, reasoning and arguments. */
export function charsOf(event: ChatEvent): number {
  if (event.type === "text_delta" || event.type === "reasoning_delta") return event.text.length;
  return event.type === "tool_call_delta" ? event.argumentsText.length : 0;
}

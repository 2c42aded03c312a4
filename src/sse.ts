// Server-sent events from bytes, whatever the cuts: chunk boundaries, split UTF-8, CRLF, missing last blank line.
import type { Frame } from "./dialect.ts";

/** A frame with the exact bytes it was made of (blank line included), so that a relay can pass them on untouched. */
export interface RawFrame extends Frame {
  raw: Uint8Array;
}

const LF = 10;
const CR = 13;
const EMPTY = Buffer.alloc(0);

/**
 * A parser for one stream. `push` returns the frames completed by a chunk; blocks without a `data` line (comments,
 * keep-alives) come out as frames with `data: ""` so that relays keep their bytes. Throws `FrameTooLarge` when one
 * event exceeds `maxFrameBytes`: the caller's buffer must stay bounded.
 */
export class SseParser {
  #pending: Buffer = EMPTY;
  /** What `#pending` is the end of, with room behind it: of a large event each byte is copied once or twice, not with every
   *  chunk. Bytes once written are not written again, since frames point at them. */
  #room: Buffer = EMPTY;
  /** Of `#pending`, or of what was before it. */
  #hasCr = false;
  /** Text of blocks that are neither fields nor comments: some providers end a stream with a bare JSON error. */
  #stray = "";
  /** Bytes of `#pending` already searched for the end of an event. */
  #scanned = 0;
  readonly #maxFrameBytes: number;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  push(chunk: Uint8Array): RawFrame[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // Nearly every stream ends its lines with a bare LF, which the native search finds much faster.
    this.#hasCr = (this.#hasCr && this.#pending.length > 0) || bytes.includes(CR);
    this.#pending = this.#pending.length === 0 ? bytes : this.#append(bytes);
    const frames: RawFrame[] = [];
    let start = 0;
    for (;;) {
      const end = endOfEvent(this.#pending, Math.max(start, this.#scanned), this.#hasCr);
      if (end === -1) break;
      frames.push(this.#frame(this.#pending.subarray(start, end)));
      start = end;
      this.#scanned = end;
    }
    this.#pending = start === 0 ? this.#pending : this.#pending.subarray(start);
    // The last three bytes may be the first part of a blank line.
    this.#scanned = Math.max(0, this.#pending.length - 3);
    if (this.#pending.length > this.#maxFrameBytes) throw new FrameTooLarge(this.#maxFrameBytes);
    return frames;
  }

  #append(bytes: Buffer): Buffer {
    const length = this.#pending.length + bytes.length;
    const isInRoom = this.#pending.buffer === this.#room.buffer;
    const start = isInRoom ? this.#pending.byteOffset - this.#room.byteOffset : 0;
    if (isInRoom && start + length <= this.#room.length) {
      bytes.copy(this.#room, start + this.#pending.length);
      return this.#room.subarray(start, start + length);
    }
    if (length < ROOMY_BYTES) return Buffer.concat([this.#pending, bytes]);
    this.#room = Buffer.allocUnsafeSlow(2 * length);
    this.#pending.copy(this.#room);
    bytes.copy(this.#room, this.#pending.length);
    return this.#room.subarray(0, length);
  }

  /** What is left at the end of the bytes: a last event without its blank line, and the text of what was no event. */
  end(): { frames: RawFrame[]; rest: string } {
    const left = this.#pending;
    this.#pending = EMPTY;
    this.#room = EMPTY;
    this.#scanned = 0;
    const frame = left.length === 0 ? undefined : this.#frame(left);
    const rest = this.#stray;
    this.#stray = "";
    return { frames: frame === undefined || frame.data === "" ? [] : [frame], rest };
  }

  #frame(raw: Buffer): RawFrame {
    const frame = toFrame(raw);
    if (frame.data === "" && frame.event === undefined) this.#collectStray(raw);
    return frame;
  }

  #collectStray(raw: Buffer): void {
    const text = raw.toString("utf8");
    const isComment = text.split(/\r\n|\n|\r/).every((line) => line === "" || FIELD_OR_COMMENT.test(line));
    if (!isComment && this.#stray.length + text.length <= STRAY_CHARS_MAX) this.#stray += text;
  }
}

/** From this size on what is unfinished gets room to grow. */
const ROOMY_BYTES = 131_072;

const FIELD_OR_COMMENT = /^(:|(data|event|id|retry)(:|$))/;
const STRAY_CHARS_MAX = 65_536;

export class FrameTooLarge extends Error {
  constructor(maxBytes: number) {
    super(`one event of the stream is larger than ${maxBytes} bytes`);
  }
}

/** Index just after the first blank line at or after `from`, or -1. The search starts early enough to see line ends
 *  that straddle `from`. A CR at the very end waits for its LF. */
function endOfEvent(bytes: Buffer, from: number, hasCr: boolean): number {
  if (!hasCr) {
    const end = bytes.indexOf("\n\n", from);
    return end === -1 ? -1 : end + 2;
  }
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte !== LF && byte !== CR) continue;
    const lineEnd = byte === CR && bytes[at + 1] === LF ? at + 2 : at + 1;
    const next = bytes[lineEnd];
    if (next === LF) return lineEnd + 1;
    if (next === CR) {
      if (lineEnd + 1 >= bytes.length) return -1;
      return bytes[lineEnd + 1] === LF ? lineEnd + 2 : lineEnd + 1;
    }
    at = lineEnd - 1;
  }
  return -1;
}

function toFrame(raw: Buffer): RawFrame {
  const text = raw.toString("utf8");
  // The common shape, `data: {…}\n\n`, needs no splitting.
  const isPlain = text.indexOf("\n") === text.length - 2 && !text.includes("\r");
  if (isPlain && text.startsWith("data: ") && text.endsWith("\n\n")) {
    return { event: undefined, data: text.slice(6, -2), raw };
  }
  let event: string | undefined;
  const data: string[] = [];
  for (const line of text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const field = line.slice(0, colon);
    const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
  }
  return { event, data: data.join("\n"), raw };
}

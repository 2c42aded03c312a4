// The binary framing of Amazon's streams (`application/vnd.amazon.eventstream`) from bytes, whatever the cuts.
import { crc32 } from "node:zlib";
import type { RawFrame } from "./sse.ts";

/** Total length, length of the headers, CRC-32 of these two: big-endian, four bytes each. */
const PRELUDE_BYTES = 12;
/** CRC-32 of everything before it. */
const TRAILER_BYTES = 4;
/** The format's own limit. */
const HEADERS_BYTES_MAX = 131_072;
const EMPTY = Buffer.alloc(0);

/** The bytes are no stream of this format, or were changed on the way. */
class DamagedStream extends Error {}

/**
 * A parser for one stream. A frame is named after its event, and `exception:<type>` when the stream tells a failure.
 * `push` throws when the bytes are damaged or a frame exceeds `maxFrameBytes`, after it has returned the frames before:
 * what follows damage cannot be found again, so every further call throws too.
 */
export class EventStreamParser {
  #pending: Buffer = EMPTY;
  #damage: DamagedStream | undefined;
  readonly #maxFrameBytes: number;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  push(chunk: Uint8Array): RawFrame[] {
    if (this.#damage !== undefined) throw this.#damage;
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const frames: RawFrame[] = [];
    try {
      for (let raw = this.#next(); raw !== undefined; raw = this.#next()) frames.push(toFrame(raw));
    } catch (error) {
      if (!(error instanceof DamagedStream)) throw error;
      this.#damage = error;
      this.#pending = EMPTY;
      if (frames.length === 0) throw error;
    }
    return frames;
  }

  /** `isCut`: the bytes ended inside a frame, so whatever the last whole one said, the stream is not complete. */
  end(): { frames: RawFrame[]; rest: string; isCut: boolean } {
    if (this.#damage !== undefined) throw this.#damage;
    const isCut = this.#pending.length > 0;
    this.#pending = EMPTY;
    return { frames: [], rest: "", isCut };
  }

  /** The next whole frame, with both checksums right. The prelude is checked first: nobody waits for a length made of noise. */
  #next(): Buffer | undefined {
    if (this.#pending.length < PRELUDE_BYTES) return undefined;
    const total = this.#pending.readUInt32BE(0);
    const headers = this.#pending.readUInt32BE(4);
    if (this.#pending.readUInt32BE(8) !== crc32(this.#pending.subarray(0, 8))) {
      throw new DamagedStream("the stream is damaged: a frame's head does not match its checksum");
    }
    if (total > this.#maxFrameBytes) {
      throw new DamagedStream(`one event of the stream is larger than ${this.#maxFrameBytes} bytes`);
    }
    if (headers > HEADERS_BYTES_MAX || total < PRELUDE_BYTES + headers + TRAILER_BYTES) {
      throw new DamagedStream("the stream is damaged: a frame's lengths contradict each other");
    }
    if (this.#pending.length < total) return undefined;
    const raw = this.#pending.subarray(0, total);
    this.#pending = this.#pending.subarray(total);
    if (raw.readUInt32BE(total - TRAILER_BYTES) !== crc32(raw.subarray(0, total - TRAILER_BYTES))) {
      throw new DamagedStream("the stream is damaged: a frame does not match its checksum");
    }
    return raw;
  }
}

function toFrame(raw: Buffer): RawFrame {
  const headersEnd = PRELUDE_BYTES + raw.readUInt32BE(4);
  const headers = stringHeaders(raw.subarray(PRELUDE_BYTES, headersEnd));
  const data = raw.toString("utf8", headersEnd, raw.length - TRAILER_BYTES);
  switch (headers.get(":message-type")) {
    case "event":
      return { event: headers.get(":event-type"), data, raw };
    case "exception":
      return { event: `exception:${headers.get(":exception-type") ?? ""}`, data, raw };
    case "error": {
      // A failure without a model of its own: code and words are headers, and there is no payload.
      const message = headers.get(":error-message") ?? "";
      return { event: `exception:${headers.get(":error-code") ?? ""}`, data: JSON.stringify({ message }), raw };
    }
    default:
      throw new DamagedStream("the stream is damaged: a frame is neither an event nor an error");
  }
}

/** Bytes of a value by its type; types 6 and 7 (bytes, string) say their length in two bytes of their own. */
const VALUE_BYTES: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 };
const BYTES_TYPE = 6;
const STRING_TYPE = 7;

function stringHeaders(bytes: Buffer): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new DamagedStream("the stream is damaged: a header does not fit its frame");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const name = take(take(1).readUInt8()).toString("utf8");
    const type = take(1).readUInt8();
    const fixed = VALUE_BYTES[type];
    if (fixed === undefined && type !== BYTES_TYPE && type !== STRING_TYPE) {
      throw new DamagedStream("the stream is damaged: a header is of no known type");
    }
    const value = take(fixed ?? take(2).readUInt16BE());
    if (type === STRING_TYPE) headers.set(name, value.toString("utf8"));
  }
  return headers;
}

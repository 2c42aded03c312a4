// The only file of the simulator that knows time: the clock, waits that end when the client leaves, paced streams.
import type { ServerResponse } from "node:http";
import type { Frame } from "./face.ts";

/** How a stream is left: properly, with a dropped connection, or open and silent for ever. */
export type Ending = "end" | "cut" | "silence";

/** Bytes gathered before a write; also what may lie unsent for a slow reader besides the socket's own buffer. */
const batchCharsMax = 32_768;

export function nowMs(): number {
  return Date.now();
}

/** Waits `ms`, or until the client has left. */
export function pause(ms: number, response: ServerResponse): Promise<void> {
  if (ms <= 0 || response.closed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      response.off("close", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    response.on("close", done);
  });
}

interface Manner {
  tokensPerSecond: number | undefined;
  ending: Ending;
  encoding: "utf8" | "latin1";
}

/** Writes frames, each token when it is due. Without a rate everything goes out at once, as far as the reader keeps up. */
export async function play(
  response: ServerResponse,
  frames: Iterable<Frame>,
  { tokensPerSecond, ending, encoding }: Manner,
): Promise<void> {
  const startMs = performance.now();
  let tokens = 0;
  let batch = "";
  for (const frame of frames) {
    if (response.closed) return;
    if (tokensPerSecond !== undefined) {
      const waitMs = startMs + (tokens * 1000) / tokensPerSecond - performance.now();
      tokens += frame.tokens;
      if (waitMs > 0) {
        if (batch !== "") response.write(batch, encoding);
        batch = "";
        await pause(waitMs, response);
      }
    }
    batch += frame.bytes;
    if (batch.length > batchCharsMax) {
      if (!response.write(batch, encoding)) await drained(response);
      batch = "";
    }
  }
  leave(response, Buffer.from(batch, encoding), ending);
}

/** Sends the last bytes and leaves as told. A cut drops the socket only after the bytes are out. */
export function leave(response: ServerResponse, bytes: string | Uint8Array, ending: Ending): void {
  if (response.closed) return;
  if (ending === "end") response.end(bytes);
  else if (ending === "silence") {
    // With nothing to say yet, the status line alone must still arrive.
    if (bytes.length > 0) response.write(bytes);
    else response.flushHeaders();
  } else if (bytes.length > 0) response.write(bytes, () => drop(response));
  else drop(response);
}

/** Drops the connection from our side; `response.errored` then tells it from a client that left. */
export function drop(response: ServerResponse): void {
  response.destroy(new Error("dropped by the simulator"));
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

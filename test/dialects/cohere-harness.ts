// What the tests of this dialect share: calls, and streams from bytes.

import { cohere } from "../../providers/cohere.ts";
import { cohereChat } from "../../providers/dialects/cohere-chat.ts";
import type { ChatBody, ChatEvent, JsonObject } from "../../src/chat.ts";
import type { Call } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";

export interface CallOptions extends Pick<Call, "repairs"> {
  strict?: boolean;
}

const QUESTION: ChatBody = { model: "command-a", messages: [{ role: "user", content: "q" }] };

/** A call whose ids count up (`call_000…1`), so that two decodings of the same answer are equal. */
export function callOf(body: ChatBody = QUESTION, { strict = false, ...more }: CallOptions = {}): Call {
  let ids = 0;
  return {
    ...more,
    request: {
      dialect: "openai-chat",
      body,
      stream: body.stream === true,
      includeUsage: true,
      includeCost: false,
      strict,
    },
    target: {
      provider: { ...cohere, baseUrl: cohere.baseUrl ?? "", key: undefined, models: new Map() },
      model: body.model,
      entry: undefined,
    },
    nowMs: 0,
    newId: (prefix) => {
      ids += 1;
      return `${prefix}${String(ids).padStart(24, "0")}`;
    },
  };
}

/** What goes over the wire, with its warnings; or why nothing does. */
export function recordOf(call: Call): JsonObject {
  const encoded = cohereChat.encode(call);
  if (encoded.kind === "refusal") return { refusal: encoded.error };
  return { path: encoded.wire.path, body: JSON.parse(encoded.wire.body) as unknown, warnings: encoded.warnings };
}

const FRAME_BYTES_MAX = 1_000_000;

/** Decodes a stream that arrives in the given chunks. */
export function decodeChunks(chunks: Uint8Array[], call: Call = callOf()): ChatEvent[] {
  const parser = new SseParser(FRAME_BYTES_MAX);
  const decoder = cohereChat.decoder(call);
  const events = chunks.flatMap((chunk) => parser.push(chunk)).flatMap((frame) => decoder.push(frame));
  const { frames, rest } = parser.end();
  return [...events, ...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end(rest)];
}

export function decodeText(sse: string, call?: Call): ChatEvent[] {
  return decodeChunks([Buffer.from(sse)], call);
}

export function sseOf(events: JsonObject[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

/** Without members that are `undefined`, as JSON has none. */
export function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

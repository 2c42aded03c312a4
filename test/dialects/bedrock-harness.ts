// What the tests of this dialect share: calls, binary streams, and answers read from them the way the router does.
import { bedrockConverse } from "../../providers/bedrock-converse.ts";
import type { ChatBody, ChatEvent, JsonObject } from "../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../src/dialect.ts";
import { AnswerReader } from "../../src/gateway/answer-reader.ts";
import { eventFrame, exceptionFrame } from "../../src/simulator/event-frame.ts";
import { type CallOptions, callOf } from "./google-harness.ts";

export const { dialect } = bedrockConverse;

export function converseCall(body: ChatBody, options: CallOptions = {}): Call {
  return callOf(body, { provider: bedrockConverse, ...options });
}

export function encode(body: ChatBody, options: CallOptions = {}): Encoded | Refusal {
  return dialect.encode(converseCall(body, options));
}

/** The JSON that goes over the wire; a refusal fails the test. */
export function wireBody(body: ChatBody, options: CallOptions = {}): JsonObject {
  const encoded = encode(body, options);
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  return JSON.parse(encoded.wire.body) as JsonObject;
}

/** Native events as `{<event>: payload}`, `{exception: {type, message}}`, and `{truncatedFrame: true}` for half a frame. */
export function streamOf(events: JsonObject[]): Buffer {
  const frames = events.map((event) => {
    const [[name, payload] = ["", {}]] = Object.entries(event);
    if (name === "truncatedFrame") return eventFrame("contentBlockDelta", { delta: { text: "lost" } }).slice(0, -9);
    if (name !== "exception") return eventFrame(name, payload);
    const { type, message } = payload as { type: string; message: string };
    return exceptionFrame(type, message);
  });
  return Buffer.from(frames.join(""), "latin1");
}

/** Decodes a stream that arrives in the given chunks. */
export async function decodeChunks(chunks: Uint8Array[], call: Call): Promise<ChatEvent[]> {
  const opened = {
    kind: "opened" as const,
    status: 200,
    headers: {},
    text: async () => ({ text: "" }),
    async *chunks() {
      for (const chunk of chunks) yield chunk;
      return undefined;
    },
    progress() {},
    drain() {},
    close() {},
  };
  const reader = new AnswerReader(opened, dialect.decoder(call), dialect.framing);
  const events: ChatEvent[] = [];
  for (;;) {
    const { pieces, terminal } = await reader.read();
    events.push(...pieces.flatMap((piece) => piece.events));
    if (terminal !== undefined) return events;
  }
}

export function decodeEvents(events: JsonObject[], call: Call): Promise<ChatEvent[]> {
  return decodeChunks([streamOf(events)], call);
}

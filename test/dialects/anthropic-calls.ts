// Calls and streams for the tests of the Anthropic dialect.
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import type { ChatBody, ChatEvent, JsonObject } from "../../src/chat.ts";
import type { Call, ModelEntry } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";

export interface CallOptions extends Pick<Call, "repairs" | "continuation" | "downloads"> {
  strict?: boolean | undefined;
  entry?: ModelEntry;
}

/** A call of the model the request names, at a provider that is configured but never reached. */
export function anthropicCall(
  body: ChatBody = { model: "claude-opus-5", messages: [] },
  { strict = false, entry, ...more }: CallOptions = {},
): Call {
  const provider = {
    id: "anthropic",
    name: "Anthropic",
    docs: "",
    baseUrl: "https://anthropic.test",
    baseUrlEnv: [],
    keyEnv: [],
    enabledBy: "key" as const,
    dialect: anthropicMessages,
    authorize: () => ({}),
    key: undefined,
    models: new Map(),
  };
  return {
    request: {
      dialect: "openai-chat",
      body,
      stream: body.stream === true,
      includeUsage: false,
      includeCost: false,
      strict,
    },
    target: { provider, model: body.model, entry },
    nowMs: 0,
    newId: (prefix) => prefix + "x".repeat(24),
    ...more,
  };
}

/** The wire body of a call that must not be refused. */
export function wireOf(call: Call): { body: JsonObject; warnings: string[]; headers: Record<string, string> } {
  const encoded = anthropicMessages.encode(call);
  if (encoded.kind !== "encoded") throw new Error(`refused: ${encoded.error.message}`);
  return { body: JSON.parse(encoded.wire.body), warnings: encoded.warnings, headers: encoded.wire.headers };
}

/** A stream of these events (parsed `data`) as bytes. */
export function sseOf(events: JsonObject[]): Buffer {
  return Buffer.from(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
}

/** The bytes in pieces that end at the given offsets. */
export function cutAt(bytes: Buffer, offsets: number[]): Buffer[] {
  const ends = [...offsets.filter((offset) => offset > 0 && offset < bytes.length).sort((a, b) => a - b), bytes.length];
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

/** The events of a stream that arrives in these pieces. */
export function decodeChunks(chunks: Buffer[], call: Call): ChatEvent[] {
  const parser = new SseParser(1_000_000);
  const decoder = anthropicMessages.decoder(call);
  const frames = chunks.flatMap((chunk) => parser.push(chunk));
  const last = parser.end();
  const pushed = [...frames, ...last.frames].flatMap((frame) => decoder.push(frame));
  return [...pushed, ...decoder.end(last.rest)];
}

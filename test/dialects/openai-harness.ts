// What the tests of this dialect share: targets, calls, streams from bytes.
import { type OpenAiChatProfile, openaiChat } from "../../providers/dialects/openai-chat.ts";
import { providers } from "../../providers/index.ts";
import type { ChatBody, ChatEvent } from "../../src/chat.ts";
import type { Call, Decoder, Encoded, Provider, Refusal } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";

export interface CallOptions {
  stream?: boolean;
  strict?: boolean;
  /** Id of a provider of the list, or the departures of one that is made up. */
  provider?: string | Partial<OpenAiChatProfile>;
  model?: string;
}

/** A call whose ids count up (`call_000…1`), so that two decodings of the same answer are equal. */
export function callOf(body: ChatBody, options: CallOptions = {}): Call {
  const provider = providerOf(options.provider ?? {});
  let ids = 0;
  return {
    request: {
      dialect: "openai-chat",
      body,
      stream: options.stream ?? body.stream === true,
      includeUsage: true,
      includeCost: false,
      strict: options.strict ?? false,
    },
    target: {
      provider: { ...provider, baseUrl: provider.baseUrl ?? "", key: undefined, models: new Map() },
      model: options.model ?? body.model,
      entry: undefined,
    },
    nowMs: 0,
    newId: (prefix) => {
      ids += 1;
      return `${prefix}${String(ids).padStart(24, "0")}`;
    },
  };
}

function providerOf(named: string | Partial<OpenAiChatProfile>): Provider {
  const like = typeof named === "string" ? providers.find(({ id }) => id === named) : undefined;
  if (like !== undefined) return like;
  return {
    id: "acme",
    name: "Acme",
    docs: "https://example.com",
    baseUrlEnv: [],
    keyEnv: [],
    enabledBy: "key",
    dialect: openaiChat(typeof named === "string" ? {} : named),
    authorize: () => ({}),
  };
}

export function encode(body: ChatBody, options: CallOptions = {}): Encoded | Refusal {
  const call = callOf(body, options);
  return call.target.provider.dialect.encode(call);
}

const ANY_CALL: ChatBody = { model: "model-asked", messages: [{ role: "user", content: "q" }] };

export function anyCall(): Call {
  return callOf(ANY_CALL, { stream: true });
}

export function decodeBody(body: unknown): ChatEvent[] {
  return openaiChat().decodeBody(body, anyCall());
}

const FRAME_BYTES_MAX = 1_000_000;

/** Decodes a stream that arrives in the given chunks. */
export function decodeChunks(chunks: Uint8Array[]): ChatEvent[] {
  const parser = new SseParser(FRAME_BYTES_MAX);
  const decoder: Decoder = openaiChat().decoder(anyCall());
  const events = chunks.flatMap((chunk) => parser.push(chunk)).flatMap((frame) => decoder.push(frame));
  const { frames, rest } = parser.end();
  return [...events, ...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end(rest)];
}

export function decodeText(sse: string): ChatEvent[] {
  return decodeChunks([Buffer.from(sse)]);
}

export function sseOf(chunks: unknown[]): string {
  return chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
}

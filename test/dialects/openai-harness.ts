// What the tests of this dialect share: targets, calls, streams from bytes.
import { type OpenAiChatProfile, openaiChat } from "../../providers/dialects/openai-chat.ts";
import { providers } from "../../providers/index.ts";
import type { ChatBody, ChatEvent } from "../../src/chat.ts";
import type { Call, Decoder, Encoded, ModelEntry, Provider, Refusal } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";

export interface CallOptions {
  stream?: boolean;
  strict?: boolean;
  /** Id of a provider of the list, or the departures of one that is made up. */
  provider?: string | Partial<OpenAiChatProfile>;
  model?: string;
  recall?: Call["recall"];
  repairs?: string[];
  downloads?: Call["downloads"];
  entry?: Partial<ModelEntry>;
  baseUrl?: string;
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
      provider: { ...provider, baseUrl: options.baseUrl ?? provider.baseUrl ?? "", key: undefined, models: new Map() },
      model: options.model ?? body.model,
      entry: options.entry && { id: options.model ?? body.model, ...options.entry },
    },
    nowMs: 0,
    newId: (prefix) => {
      ids += 1;
      return `${prefix}${String(ids).padStart(24, "0")}`;
    },
    ...(options.recall && { recall: options.recall }),
    ...(options.repairs && { repairs: options.repairs }),
    ...(options.downloads && { downloads: options.downloads }),
  };
}

export function providerOf(named: string | Partial<OpenAiChatProfile>): Provider {
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

const QUESTION: ChatBody = { model: "model-asked", messages: [{ role: "user", content: "q" }] };

/** A call that merely asks something, as a stream. */
export function anyCall(options: CallOptions = {}, body: ChatBody = QUESTION): Call {
  return callOf(body, { stream: true, ...options });
}

export function decodeBody(body: unknown, call = anyCall()): ChatEvent[] {
  return call.target.provider.dialect.decodeBody(body, call);
}

const FRAME_BYTES_MAX = 1_000_000;

/** Decodes a stream that arrives in the given chunks. */
export function decodeChunks(chunks: Uint8Array[], call = anyCall()): ChatEvent[] {
  const parser = new SseParser(FRAME_BYTES_MAX);
  const decoder: Decoder = call.target.provider.dialect.decoder(call);
  const events = chunks.flatMap((chunk) => parser.push(chunk)).flatMap((frame) => decoder.push(frame));
  const { frames, rest } = parser.end();
  return [...events, ...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end(rest)];
}

export function decodeText(sse: string, call = anyCall()): ChatEvent[] {
  return decodeChunks([Buffer.from(sse)], call);
}

export function sseOf(chunks: unknown[]): string {
  return chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
}

// What the tests of this dialect share: calls, streams from bytes, answers in OpenAI's shape.

import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { google } from "../../providers/google.ts";
import {
  type ChatAnswer,
  type ChatBody,
  type ChatEvent,
  fold,
  type JsonObject,
  type UrlCitation,
} from "../../src/chat.ts";
import type { Call, Encoded, ModelEntry, Outbound, Provider, Refusal } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";

export interface CallOptions extends Pick<Call, "repairs" | "recall" | "downloads" | "continuation"> {
  stream?: boolean;
  strict?: boolean;
  entry?: ModelEntry | undefined;
  nowMs?: number;
  provider?: Provider;
}

/** A call whose ids count up (`call_000…1`), so that two decodings of the same answer are equal. */
export function callOf(body: ChatBody, options: CallOptions = {}): Call {
  const { stream = false, strict = false, entry, nowMs = 0, provider = google, ...more } = options;
  let ids = 0;
  return {
    ...more,
    request: { dialect: "openai-chat", body, stream, includeUsage: true, includeCost: false, strict },
    target: {
      provider: { ...provider, baseUrl: provider.baseUrl ?? "", key: undefined, models: new Map() },
      model: body.model,
      entry,
    },
    nowMs,
    newId: (prefix) => {
      ids += 1;
      return `${prefix}${String(ids).padStart(24, "0")}`;
    },
  };
}

export function encodeBody(body: ChatBody, options: CallOptions = {}): Encoded | Refusal {
  return (options.provider ?? google).dialect.encode(callOf(body, options));
}

/** The JSON that goes over the wire; a refusal fails the test. */
export function wireBody(body: ChatBody, options: CallOptions = {}): JsonObject {
  const encoded = encodeBody(body, options);
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  return JSON.parse(encoded.wire.body) as JsonObject;
}

const FRAME_BYTES_MAX = 1_000_000;

/** Decodes a stream that arrives in the given chunks. */
export function decodeChunks(chunks: Uint8Array[], call: Call, dialect: Outbound = googleGenerate): ChatEvent[] {
  const parser = new SseParser(FRAME_BYTES_MAX);
  const decoder = dialect.decoder(call);
  const events = chunks.flatMap((chunk) => parser.push(chunk)).flatMap((frame) => decoder.push(frame));
  const { frames, rest } = parser.end();
  return [...events, ...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end(rest)];
}

export function decodeText(sse: string, call: Call): ChatEvent[] {
  return decodeChunks([Buffer.from(sse)], call);
}

/** Google separates events with CRLF CRLF. */
export function sseOf(payloads: unknown[]): string {
  return payloads.map((payload) => `data: ${JSON.stringify(payload)}\r\n\r\n`).join("");
}

/** The answer as a Chat Completions body, as far as the vectors look at it. */
export function toCompletion(events: ChatEvent[]): JsonObject {
  const answer = fold(events);
  return {
    id: answer.id,
    choices: answer.choices.map(toOpenAiChoice),
    usage: answer.usage && toOpenAiUsage(answer.usage),
    error: answer.error,
  };
}

function toOpenAiChoice(choice: ChatAnswer["choices"][number]): JsonObject {
  const calls = choice.toolCalls.map(({ id, name, argumentsText, extra }) => ({
    ...{ id, type: "function", function: { name, arguments: argumentsText } },
    ...(extra && { extra_content: extra }),
  }));
  const hasNone = calls.length > 0 || choice.finishReason === "content_filter";
  const message = {
    role: "assistant",
    content: choice.text === "" && hasNone ? null : choice.text,
    ...(choice.reasoning !== "" && { reasoning_content: choice.reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(choice.annotations.length > 0 && { annotations: choice.annotations.map(toOpenAiCitation) }),
    ...choice.messageExtra,
  };
  return { index: choice.index, message, ...choice.extra, finish_reason: choice.finishReason };
}

function toOpenAiCitation({ url, title, startIndex, endIndex }: UrlCitation): JsonObject {
  return { type: "url_citation", url_citation: { start_index: startIndex, end_index: endIndex, title, url } };
}

function toOpenAiUsage(usage: NonNullable<ChatAnswer["usage"]>): JsonObject {
  const { inputTokens = 0, outputTokens = 0 } = usage;
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cacheReadTokens, audio_tokens: usage.audioInputTokens ?? 0 },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens, audio_tokens: usage.audioOutputTokens ?? 0 },
  };
}

/** A store as the router keeps it: filled by answers, asked by requests. */
export interface Memory {
  recall(key: string): JsonObject | undefined;
  observe(events: ChatEvent[]): void;
  keys(): string[];
}

export function memory(): Memory {
  const kept = new Map<string, JsonObject>();
  return {
    recall: (key) => kept.get(key),
    observe(events) {
      for (const event of events) if (event.type === "remember") kept.set(event.key, event.value);
    },
    keys: () => [...kept.keys()],
  };
}

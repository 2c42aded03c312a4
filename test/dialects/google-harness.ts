// What the tests of this dialect share: calls, streams from bytes, answers in OpenAI's shape.

import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { google } from "../../providers/google.ts";
import { type ChatAnswer, type ChatBody, type ChatEvent, fold, type JsonObject } from "../../src/chat.ts";
import type { Call, Encoded, ModelEntry, Refusal } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";

export interface CallOptions {
  stream?: boolean;
  strict?: boolean;
  entry?: ModelEntry | undefined;
  nowMs?: number;
}

/** A call whose ids count up (`call_000…1`), so that two decodings of the same answer are equal. */
export function callOf(body: ChatBody, { stream = false, strict = false, entry, nowMs = 0 }: CallOptions = {}): Call {
  let ids = 0;
  return {
    request: { dialect: "openai-chat", body, stream, includeUsage: true, includeCost: false, strict },
    target: {
      provider: { ...google, baseUrl: google.baseUrl ?? "", key: undefined, models: new Map() },
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
  return googleGenerate.encode(callOf(body, options));
}

/** The JSON that goes over the wire; a refusal fails the test. */
export function wireBody(body: ChatBody, options: CallOptions = {}): JsonObject {
  const encoded = encodeBody(body, options);
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  return JSON.parse(encoded.wire.body) as JsonObject;
}

const FRAME_BYTES_MAX = 1_000_000;

/** Decodes a stream that arrives in the given chunks. */
export function decodeChunks(chunks: Uint8Array[], call: Call): ChatEvent[] {
  const parser = new SseParser(FRAME_BYTES_MAX);
  const decoder = googleGenerate.decoder(call);
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
  };
  return { index: choice.index, message, finish_reason: choice.finishReason };
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

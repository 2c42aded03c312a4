// OpenAI Chat Completions as a client of a provider: one engine, and what is different about a provider as its profile.
import type { Outbound } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./openai/decode.ts";
import { encode } from "./openai/encode.ts";
import { decodeError } from "./openai/errors.ts";
import { fieldsOf } from "./openai/fields.ts";
import { readLimits } from "./openai/limits.ts";
import { imagesToFetch } from "./openai/messages.ts";
import { DEFAULT_PROFILE, type OpenAiChatProfile } from "./openai/profile.ts";
import { repair } from "./openai/repair.ts";

export { codes, efforts, type OpenAiChatProfile, words } from "./openai/profile.ts";

/** The outbound face for providers that speak Chat Completions. */
export function openaiChat(changes: Partial<OpenAiChatProfile> = {}): Outbound {
  const profile = { ...DEFAULT_PROFILE, ...changes };
  return {
    id: "openai-chat",
    fields: fieldsOf(profile),
    encode: (call) => encode(call, profile),
    decoder: (call) => decoder(call, profile),
    decodeBody: (body, call) => decodeBody(body, call, profile),
    decodeError: (response) => decodeError(response, profile),
    readLimits: (headers, nowMs) => readLimits(headers, nowMs, profile.limits),
    repair: (error, call) => repair(error, call, profile),
    prefills: () => profile.prefixField !== undefined,
    attachments: (call) => imagesToFetch(call, profile),
  };
}

// Gemini's `generateContent` as a client of Google. The native API, not Google's OpenAI endpoint: that one says `stop`
// for streamed tool calls (googleapis/python-genai#2868) and hides thought signatures.
import type { Outbound } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./google/decode.ts";
import { attachments, encode } from "./google/encode.ts";
import { decodeError } from "./google/errors.ts";
import { FIELDS } from "./google/fields.ts";
import { DEVELOPER_API, type GoogleProfile } from "./google/profile.ts";
import { repair } from "./google/repair.ts";

/** One protocol, two platforms: what tells them apart is data. */
export function googleDialect(profile: GoogleProfile): Outbound {
  return {
    id: "google-generate",
    fields: FIELDS,
    encode: (call) => encode(call, profile),
    decoder: (call) => decoder(call, profile),
    decodeBody: (body, call) => decodeBody(body, call, profile),
    decodeError: (response) => decodeError(response, profile),
    // Google tells no limits in headers; how long to wait is in the body of a 429.
    readLimits: () => ({ windows: [] }),
    repair: (error, call) => repair(error, call, profile),
    attachments: (call) => attachments(call, profile),
  };
}

export const googleGenerate: Outbound = googleDialect(DEVELOPER_API);

// Not part of a chat: other endpoints ask for them.
export { countedTokens, countTokensCall } from "./google/count-tokens.ts";
export { embeddingMethod, toEmbeddingCalls, toEmbeddingList } from "./google/embeddings.ts";

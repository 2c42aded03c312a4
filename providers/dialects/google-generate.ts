// Gemini's `generateContent` as a client of Google. The native API, not Google's OpenAI endpoint: that one says `stop`
// for streamed tool calls (googleapis/python-genai#2868) and hides thought signatures.
import type { Outbound } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./google/decode.ts";
import { encode } from "./google/encode.ts";
import { decodeError } from "./google/errors.ts";

export const googleGenerate: Outbound = { id: "google-generate", encode, decoder, decodeBody, decodeError };

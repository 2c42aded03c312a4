// Cohere's `POST /v2/chat` as a client of Cohere. The native API, not its OpenAI endpoint: that one ignores what it does
// not know without a word, and hides tool plans and citations.
import type { Outbound } from "../../src/dialect.ts";
import { decodeBody, decoder } from "./cohere/decode.ts";
import { encode } from "./cohere/encode.ts";
import { decodeError } from "./cohere/errors.ts";
import { FIELDS } from "./cohere/fields.ts";
import { repair } from "./cohere/repair.ts";
import { type LimitHeaders, readLimits } from "./openai/limits.ts";

/** No header says when a window ends. */
const LIMITS: LimitHeaders = {
  more: [
    { window: "requests/month", limit: "x-endpoint-monthly-call-limit" },
    {
      window: "trial_requests",
      limit: "x-trial-endpoint-call-limit",
      remaining: "x-trial-endpoint-call-remaining",
    },
  ],
};

export const cohereChat: Outbound = {
  id: "cohere-chat",
  fields: FIELDS,
  encode,
  decoder,
  decodeBody,
  decodeError,
  readLimits: (headers, nowMs) => readLimits(headers, nowMs, LIMITS),
  repair,
};

// Cohere's usage as neutral counts.
import type { Usage } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";

/** `tokens` is what the model read and wrote; `billed_units` leaves out what Cohere adds to a prompt. `undefined`: not told. */
export function usageOf(told: unknown): Usage | undefined {
  if (!isObject(told) || !isObject(told.tokens)) return undefined;
  const inputTokens = count(told.tokens.input_tokens);
  const cached = count(told.cached_tokens);
  return {
    inputTokens,
    cacheReadTokens: cached === undefined || inputTokens === undefined ? cached : Math.min(cached, inputTokens),
    outputTokens: count(told.tokens.output_tokens),
  };
}

/** Counts are floats on the wire. */
function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

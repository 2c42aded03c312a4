// Cohere's usage as neutral counts.
import type { Usage } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";

/** `tokens` is what the model read and wrote; `billed_units` leaves out what Cohere adds to a prompt. `undefined`: not told.
 *  What is billed is told apart only where it is less: an invoice for more than was read would be a mistake to believe. */
export function usageOf(told: unknown): Usage | undefined {
  if (!isObject(told) || !isObject(told.tokens)) return undefined;
  const inputTokens = count(told.tokens.input_tokens);
  const outputTokens = count(told.tokens.output_tokens);
  const cached = count(told.cached_tokens);
  const billed = isObject(told.billed_units) ? told.billed_units : {};
  return {
    inputTokens,
    cacheReadTokens: cached === undefined || inputTokens === undefined ? cached : Math.min(cached, inputTokens),
    outputTokens,
    billedInputTokens: less(count(billed.input_tokens), inputTokens),
    billedOutputTokens: less(count(billed.output_tokens), outputTokens),
  };
}

function less(billed: number | undefined, counted: number | undefined): number | undefined {
  return billed !== undefined && counted !== undefined && billed < counted ? billed : undefined;
}

/** Counts are floats on the wire. */
function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

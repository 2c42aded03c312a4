// Log-probabilities of tokens in OpenAI's shape.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";

/** Cohere tells them per piece of text, which may be several tokens: their probabilities multiply. */
export function tokensOf(told: unknown): JsonObject[] {
  return (Array.isArray(told) ? told : [told]).filter(isObject).flatMap((piece) => {
    const each: unknown[] = Array.isArray(piece.logprobs) ? piece.logprobs : [];
    if (each.length === 0) return [];
    const token = firstText(piece.text);
    const logprob = each.reduce<number>((sum, value) => sum + (typeof value === "number" ? value : 0), 0);
    return [{ token, logprob, bytes: [...Buffer.from(token)], top_logprobs: [] }];
  });
}

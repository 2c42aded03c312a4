// Log-probabilities of tokens in OpenAI's shape.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";

/** Tokens of one chunk; the chunks of a stream add up. */
export function tokensOf(logprobsResult: unknown): JsonObject[] {
  if (!isObject(logprobsResult)) return [];
  const alternatives = Array.isArray(logprobsResult.topCandidates) ? logprobsResult.topCandidates : [];
  return objectsIn(logprobsResult.chosenCandidates).map((chosen, i) => {
    const step: unknown = alternatives[i];
    return { ...tokenOf(chosen), top_logprobs: isObject(step) ? objectsIn(step.candidates).map(tokenOf) : [] };
  });
}

function tokenOf({ token, logProbability }: JsonObject): JsonObject {
  const text = firstText(token);
  // A certain token has the logarithm 0, and Google's JSON leaves zeros out.
  const logprob = typeof logProbability === "number" ? logProbability : 0;
  return { token: text, logprob, bytes: [...Buffer.from(text)] };
}

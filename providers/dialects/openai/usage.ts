// The usage object of Chat Completions and its many variants, as neutral counts.
import type { JsonObject, Usage } from "../../../src/chat.ts";
import { isObject, objectsIn } from "../../../src/json.ts";
import { chargedNanoUsd } from "./charged.ts";
import type { UsageQuirks } from "./profile.ts";

/**
 * Usage wherever it is told (`usage`, Groq's `x_groq.usage`, Moonshot's `choices[0].usage`); `undefined` when it is not.
 * OpenAI's `prompt_tokens` includes cached tokens and `completion_tokens` includes reasoning.
 */
export function usageOf(body: JsonObject, quirks: UsageQuirks): Usage | undefined {
  const choice = objectsIn(body.choices)[0];
  const groq = isObject(body.x_groq) ? body.x_groq.usage : undefined;
  const usage = [body.usage, groq, choice?.usage].find(isObject);
  if (usage === undefined) return undefined;
  const prompt = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const completion = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {};
  // Perplexity tells reasoning outside the details.
  const reasoningTokens = firstTokens(completion.reasoning_tokens, usage.reasoning_tokens);
  const cacheReadTokens = cacheReadOf(body, usage, prompt);
  const inputTokens = inputOf(usage, cacheReadTokens, quirks);
  const outputTokens = outputOf(usage, reasoningTokens, quirks);
  return {
    inputTokens,
    cacheReadTokens: atMost(cacheReadTokens, inputTokens),
    cacheWriteTokens: firstTokens(prompt.cache_write_tokens, prompt.cache_creation_input_tokens),
    outputTokens,
    reasoningTokens: atMost(reasoningTokens, outputTokens),
    audioInputTokens: tokens(prompt.audio_tokens),
    audioOutputTokens: tokens(completion.audio_tokens),
    imageInputTokens: tokens(prompt.image_tokens),
    imageOutputTokens: tokens(completion.image_tokens),
    // Perplexity's.
    citationTokens: tokens(usage.citation_tokens),
    searches: tokens(usage.num_search_queries),
    reportedCostNanoUsd: chargedNanoUsd(usage, quirks.charged),
  };
}

function cacheReadOf(body: JsonObject, usage: JsonObject, prompt: JsonObject): number | undefined {
  // Mistral has two spellings, llama.cpp tells it among its timings.
  const misspelt = isObject(usage.prompt_token_details) ? usage.prompt_token_details.cached_tokens : undefined;
  const timings = isObject(body.timings) ? body.timings.cache_n : undefined;
  return firstTokens(
    prompt.cached_tokens,
    usage.prompt_cache_hit_tokens,
    usage.cached_tokens,
    usage.num_cached_tokens,
    misspelt,
    timings,
  );
}

/** xAI may count cached tokens beside `prompt_tokens` (vercel/ai#12485). */
function inputOf(usage: JsonObject, cached: number | undefined, { cachedApart }: UsageQuirks): number | undefined {
  const input = tokens(usage.prompt_tokens);
  if (!cachedApart || input === undefined || cached === undefined) return input;
  return cached > input ? input + cached : input;
}

/**
 * Reasoning counted beside `completion_tokens`: a total that holds it shows that (xAI: vercel/ai#12425), and so does
 * reasoning that is more than the completion it should be part of (Gemini and Gemma at DeepInfra: vercel/ai#12242).
 */
function outputOf(usage: JsonObject, reasoning: number | undefined, quirks: UsageQuirks): number | undefined {
  const input = tokens(usage.prompt_tokens);
  const output = tokens(usage.completion_tokens);
  if (output === undefined || reasoning === undefined) return output;
  const total = tokens(usage.total_tokens);
  const isToldApart = input !== undefined && reasoning > 0 && total === input + output + reasoning;
  const isLarger = quirks.reasoningApart !== undefined && reasoning > output;
  const isUntold = quirks.reasoningApart === "always" && total === undefined;
  return isToldApart || isLarger || isUntold ? output + reasoning : output;
}

function firstTokens(...told: unknown[]): number | undefined {
  return told.map(tokens).find((count) => count !== undefined);
}

function tokens(value: unknown): number | undefined {
  const count = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

function atMost(value: number | undefined, bound: number | undefined): number | undefined {
  return value === undefined || bound === undefined ? value : Math.min(value, bound);
}

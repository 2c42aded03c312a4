// What a candidate is expected to cost, in money and in time, for this very request.
import type { Rates, Usage } from "../chat.ts";
import { costNanoUsd } from "../pricing.ts";
import type { Candidate } from "./candidates.ts";
import { type Asked, maxOutputTokens } from "./facts.ts";
import type { Affinity, FleetView } from "./fleet-view.ts";
import { applySet } from "./parameters.ts";

export interface Score {
  inputTokens: number;
  /** Of the prompt, expected to be read from the target's cache: hit probability × what was cached. */
  cachedTokens: number;
  outputTokens: number;
  /** `undefined`: no price. */
  costNanoUsd: number | undefined;
  latencyMs: number;
  /** Neither first byte nor speed of this target is known: `latencyMs` is the prior. */
  isGuess: boolean;
  failureRate: number;
  /** Cost + value of time × latency + cost of failing, in nanodollars; lower is better. Without a price: Infinity. */
  utility: number;
}

export interface Pricing {
  asked: Asked;
  fleet: FleetView;
  ruleName: string;
  /** The conversation's cache, unless the rule leaves it out of account. */
  affinity: Affinity | undefined;
  valueOfSecondNanoUsd: number;
}

/** What a second is worth where a rule does not say: a tenth of a cent. */
export const VALUE_OF_SECOND_NANO_USD = 1_000_000;

// A target nobody has measured is taken for an ordinary one.
const PRIOR_FIRST_BYTE_MS = 1_500;
const PRIOR_MS_PER_TOKEN = 20;
const PRIOR_OUTPUT_TOKENS = 300;

export function score(candidate: Candidate, pricing: Pricing, quantile = 0.5): Score {
  const { fleet } = pricing;
  const usage = expectedUsage(candidate, pricing);
  const rates = candidate.target.entry?.rates;
  const cost = rates === undefined ? undefined : costNanoUsd(usage, rates, pricing.asked.nowMs);
  const { inputTokens = 0, cacheReadTokens = 0, outputTokens = 0 } = usage;
  const firstByteMs = fleet.firstByteMs(candidate.name, inputTokens - cacheReadTokens, quantile);
  const msPerToken = fleet.msPerOutputToken(candidate.name, quantile);
  const latencyMs = (firstByteMs ?? PRIOR_FIRST_BYTE_MS) + outputTokens * (msPerToken ?? PRIOR_MS_PER_TOKEN);
  const failureRate = fleet.failureRate(candidate.name);
  const valueOfMs = pricing.valueOfSecondNanoUsd / 1000;
  const detectionMs = firstByteMs ?? PRIOR_FIRST_BYTE_MS;
  const utility =
    cost === undefined
      ? Number.POSITIVE_INFINITY
      : cost + valueOfMs * latencyMs + failureRate * (valueOfMs * detectionMs + cost);
  return {
    inputTokens,
    cachedTokens: cacheReadTokens,
    outputTokens,
    costNanoUsd: cost,
    latencyMs,
    isGuess: firstByteMs === undefined && msPerToken === undefined,
    failureRate,
    utility,
  };
}

/** Expected cost in nanodollars; `undefined` without a price. */
export function expectedCost(candidate: Candidate, pricing: Pricing): number | undefined {
  const rates = candidate.target.entry?.rates;
  return rates === undefined ? undefined : costNanoUsd(expectedUsage(candidate, pricing), rates, pricing.asked.nowMs);
}

/**
 * The usage this request would have here. A conversation whose prompt is cached somewhere is one that caches: what is not
 * read from the cache is written to it, wherever it goes, and costs what writing costs there. So leaving a warm target
 * only pays when the discount makes up for the write.
 */
function expectedUsage(candidate: Candidate, pricing: Pricing): Usage {
  const { asked, fleet, affinity, ruleName } = pricing;
  const inputTokens = Math.round(asked.inputTokens(candidate.name));
  const isHome = affinity?.target === candidate.name;
  const warm = isHome ? affinity.hitProbability * Math.min(affinity.cachedTokens, inputTokens) : 0;
  const cacheReadTokens = Math.floor(warm);
  const rates = candidate.target.entry?.rates;
  const isCaching = (affinity?.cachedTokens ?? 0) > 0 && rates?.cacheWrite !== undefined;
  return {
    inputTokens,
    cacheReadTokens,
    cacheWriteTokens: isCaching ? inputTokens - cacheReadTokens : 0,
    outputTokens: expectedOutput(candidate, asked, fleet, ruleName),
    serviceTier: expectedTier(candidate, asked, rates),
  };
}

/** The tier that is asked for, where it has a price here: elsewhere the field is dropped, or the tier is an ordinary one. */
function expectedTier(candidate: Candidate, asked: Asked, rates: Rates | undefined): string | undefined {
  if (rates?.serviceTiers === undefined) return undefined;
  const { service_tier: tier } = applySet(asked.request.body, candidate.set).body;
  return typeof tier === "string" && Object.hasOwn(rates.serviceTiers, tier) ? tier : undefined;
}

function expectedOutput(candidate: Candidate, asked: Asked, fleet: FleetView, rule: string): number {
  // As the rule leaves it: under that bound answers are given, and their lengths learnt.
  const maxTokens = maxOutputTokens(applySet(asked.request.body, candidate.set).body);
  const scope = { rule, key: asked.caller.key, model: candidate.target.model, maxTokens };
  const expected = fleet.expectedOutputTokens(scope) ?? PRIOR_OUTPUT_TOKENS;
  return Math.max(0, Math.round(Math.min(expected, maxTokens ?? Number.POSITIVE_INFINITY)));
}

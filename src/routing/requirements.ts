// Hard filters: what the request needs, what the rule demands, what the caller allows. Each rejection says why; an empty
// set is an error that lists them, never a silent relaxation.
import type { Prices } from "../chat.ts";
import type { ModelEntry } from "../dialect.ts";
import { isObject } from "../json.ts";
import { formatUsd, pricesAt } from "../pricing.ts";
import type { Candidate, Reason, ReasonCode } from "./candidates.ts";
import type { FactsHas } from "./conditions.ts";
import { type Asked, contentOf, maxOutputTokens, neededFeatures } from "./facts.ts";
import type { FleetView } from "./fleet-view.ts";
import type { ModelMatcher } from "./key-models.ts";
import { type Cutoffs, type Narrowing, slugMatches } from "./narrowing.ts";
import type { DataPolicy, Feature, Requirements } from "./schema.ts";
import { expectedCost, type Pricing } from "./scores.ts";

/** The estimate may be this far over the window before it counts as too long: the provider knows better. */
const WINDOW_TOLERANCE = 1.05;

/** Notes on every candidate why it is out, if it is. */
export function applyRequirements(candidates: Candidate[], wishes: Narrowing | undefined, pricing: Pricing): void {
  const { asked, fleet } = pricing;
  const has = contentOf(asked.request.body);
  const needed = neededFeatures(has);
  for (const candidate of candidates) {
    const { entry } = candidate.target;
    candidate.reasons.push(
      ...permitted(candidate, asked.caller.models),
      ...fits(entry, candidate.name, asked),
      ...accepts(candidate.name, asked),
      ...can(entry, needed, isUnableTo),
      ...required(candidate, candidate.rule?.require ?? {}, pricing),
    );
    if (wishes === undefined || candidate.rule?.callerMayNarrow === false) continue;
    candidate.reasons.push(...allowed(candidate, wishes, asked.nowMs));
    if (wishes.requireParameters) candidate.reasons.push(...supportsAll(candidate, has, asked));
    candidate.isSecondChoice = fallsShort(candidate.name, wishes, asked, fleet);
  }
}

/** What the operator gave the key, whatever the rule and the caller say. */
function permitted({ target, isAllowedByAlias }: Candidate, models: ModelMatcher | undefined): Reason[] {
  if (models === undefined || isAllowedByAlias || models.allowsTarget(target)) return [];
  return [{ code: "allowed_models", detail: `the key allows only ${listed(models.patterns)}` }];
}

const LISTED_MAX = 10;

/** For messages: the first few, and how many more there are. */
export function listed(patterns: readonly string[]): string {
  const more = patterns.length - LISTED_MAX;
  return `${patterns.slice(0, LISTED_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function fits(entry: ModelEntry | undefined, name: string, asked: Asked): Reason[] {
  const window = asked.learnt?.windowOf(name) ?? entry?.contextTokens;
  // Most prompts are far smaller than any window, and need no estimate to know it.
  if (window === undefined || asked.bodyBytes < window / 2) return [];
  const tokens = asked.inputTokens(name);
  if (tokens <= window * WINDOW_TOLERANCE) return [];
  return [{ code: "context_length", detail: `about ${Math.round(tokens)} tokens do not fit its window of ${window}` }];
}

/** A field of the request that the target refused a short while ago. */
function accepts(name: string, { request: { body }, learnt }: Asked): Reason[] {
  const lost = (learnt?.lacksOf(name) ?? []).filter((field) => body[field] !== undefined && body[field] !== null);
  if (lost.length === 0) return [];
  return [{ code: "require_parameters", detail: `it refused ${lost.join(", ")} within the last hour` }];
}

function can(
  entry: ModelEntry | undefined,
  features: readonly Feature[],
  isOut: (entry: ModelEntry | undefined, feature: Feature) => boolean,
): Reason[] {
  return features
    .filter((feature) => isOut(entry, feature))
    .map((feature) => ({ code: "require_parameters", detail: `it does not support ${feature}` }));
}

/** The catalogue says that it cannot; what the catalogue does not say is let through. */
function isUnableTo(entry: ModelEntry | undefined, feature: Feature): boolean {
  return supports(entry, feature) === false;
}

/** A rule's `supports` wants to be sure. */
function isNotKnownTo(entry: ModelEntry | undefined, feature: Feature): boolean {
  return supports(entry, feature) !== true;
}

/** What the catalogue says; `undefined` where it says nothing. */
export function supports(entry: ModelEntry | undefined, feature: Feature): boolean | undefined {
  const takes = (modality: "image" | "audio" | "file") => entry?.input?.includes(modality);
  switch (feature) {
    case "tools":
      return entry?.tools;
    case "vision":
      return takes("image");
    case "audio":
      return takes("audio");
    case "files":
      return takes("file");
    case "json_schema":
      return entry?.structuredOutputs;
    case "reasoning":
      return entry?.reasoning;
  }
}

function required(candidate: Candidate, require: Requirements, pricing: Pricing): Reason[] {
  const reasons: Reason[] = [];
  const { entry, provider } = candidate.target;
  const { min_context: minContext, regions, data_policy: policy, max_ttft: maxTtftMs, quality } = require;
  if (minContext !== undefined && (entry?.contextTokens ?? 0) < minContext) {
    const found = entry?.contextTokens === undefined ? "not known" : String(entry.contextTokens);
    reasons.push({ code: "context_length", detail: `its window must be at least ${minContext}; it is ${found}` });
  }
  reasons.push(...can(entry, require.supports ?? [], isNotKnownTo), ...affordable(candidate, require, pricing));
  if (regions !== undefined && !provider.regions?.some((region) => regions.includes(region))) {
    const found = provider.regions?.join(", ") ?? "not known";
    reasons.push({ code: "data_region", detail: `its region must be ${regions.join(" or ")}; it is ${found}` });
  }
  if (policy !== undefined && !keeps(provider.dataPolicy, policy)) {
    reasons.push({
      code: policyCode(policy),
      detail: `it must promise ${policy}; found ${provider.dataPolicy ?? "nothing"}`,
    });
  }
  const ttftMs =
    maxTtftMs === undefined ? undefined : pricing.fleet.firstByteMs(candidate.name, pricing.asked.inputTokens(), 0.5);
  if (ttftMs !== undefined && maxTtftMs !== undefined && ttftMs > maxTtftMs) {
    const detail = `its first content takes ${Math.round(ttftMs)} ms, more than ${maxTtftMs} ms`;
    reasons.push({ code: "max_latency", detail });
  }
  if (quality !== undefined && (candidate.quality ?? -1) < quality) {
    const detail = `its quality must be at least ${quality}; it is ${candidate.quality ?? "not given"}`;
    reasons.push({ code: "quality", detail });
  }
  return reasons;
}

function keeps(promised: DataPolicy | undefined, wanted: DataPolicy): boolean {
  return promised === wanted || promised === "no_retention";
}

/** OpenRouter's words for the two. */
function policyCode(wanted: DataPolicy): ReasonCode {
  return wanted === "no_retention" ? "data_policy:zdr" : "data_policy:training";
}

/** A bound on price is a promise to whoever pays, so a target without a price cannot keep it. */
function affordable(candidate: Candidate, require: Requirements, pricing: Pricing): Reason[] {
  const { max_cost: maxCost, max_input_price: maxInput, max_output_price: maxOutput } = require;
  const rates = pricesNow(candidate, pricing.asked.nowMs);
  const reasons: Reason[] = [];
  if (maxCost !== undefined) {
    const cost = expectedCost(candidate, pricing);
    const found = cost === undefined ? "its price is not known" : `this request would cost about $${formatUsd(cost)}`;
    if (cost === undefined || cost > maxCost)
      reasons.push({ code: "max_cost", detail: `${found}, the bound is $${formatUsd(maxCost)}` });
  }
  for (const [bound, price, what] of [
    [maxInput, rates?.input, "input"],
    [maxOutput, rates?.output, "output"],
  ] as const) {
    if (bound === undefined || (price !== undefined && price <= bound)) continue;
    reasons.push({ code: "max_price", detail: priceDetail(what, price, bound) });
  }
  return reasons;
}

function pricesNow({ target: { entry } }: Candidate, nowMs: number): Prices | undefined {
  return entry?.rates && pricesAt(entry.rates, nowMs);
}

function priceDetail(what: string, microUsdPerMTok: number | undefined, bound: number): string {
  const found = microUsdPerMTok === undefined ? "not known" : `$${microUsdPerMTok / 1e6}`;
  return `its ${what} price per million tokens is ${found}, the bound is $${bound / 1e6}`;
}

function allowed(candidate: Candidate, wish: Narrowing, nowMs: number): Reason[] {
  const { provider, entry } = candidate.target;
  const rates = pricesNow(candidate, nowMs);
  const reasons: Reason[] = [];
  const isNamed = (slugs: readonly string[]) =>
    slugs.some((slug) => slugMatches(slug, provider.id, provider.standsInFor));
  if (wish.only !== undefined && !isNamed(wish.only)) {
    reasons.push({ code: "allowed_providers", detail: `the caller allows only ${wish.only.join(", ")}` });
  }
  if (isNamed(wish.ignore)) reasons.push({ code: "allowed_providers", detail: "the caller ignores this provider" });
  if (!wish.allowFallbacks && wish.order.length > 0 && !isNamed(wish.order)) {
    reasons.push({ code: "allowed_providers", detail: `the caller allows only its order: ${wish.order.join(", ")}` });
  }
  if (wish.dataPolicy !== undefined && !keeps(provider.dataPolicy, wish.dataPolicy)) {
    const detail = `the caller wants ${wish.dataPolicy}; found ${provider.dataPolicy ?? "nothing"}`;
    reasons.push({ code: policyCode(wish.dataPolicy), detail });
  }
  const quantization = isObject(entry?.features) ? String(entry.features.quantization ?? "unknown") : "unknown";
  if (wish.quantizations !== undefined && !wish.quantizations.includes(quantization)) {
    reasons.push({ code: "quantization", detail: `its quantization is ${quantization}` });
  }
  for (const [bound, price, what] of [
    [wish.maxPrice.prompt, rates?.input, "input"],
    [wish.maxPrice.completion, rates?.output, "output"],
  ] as const) {
    if (bound === undefined || (price !== undefined && price <= bound)) continue;
    reasons.push({ code: "max_price", detail: priceDetail(what, price, bound) });
  }
  // Few models have a price for audio; the others either bill it as text or do not take it.
  const audio = rates?.audioInput;
  if (wish.maxPrice.audio !== undefined && audio !== undefined && audio > wish.maxPrice.audio) {
    reasons.push({ code: "max_price", detail: priceDetail("audio", audio, wish.maxPrice.audio) });
  }
  return reasons;
}

/** `require_parameters`: every parameter sent must be one that the target honours. */
function supportsAll({ target }: Candidate, has: FactsHas, asked: Asked): Reason[] {
  const { body, dialect } = asked.request;
  const { fields, id } = target.provider.dialect;
  const lost = Object.keys(body).filter((field) => {
    if (body[field] === null || fields === undefined) return false;
    const handling = Object.hasOwn(fields, field) ? fields[field]?.class : undefined;
    // A translation leaves out what it does not know.
    return handling === undefined ? id !== dialect : handling === "dropped" || handling === "refused";
  });
  if (has.reasoning && target.entry?.reasoning === false) lost.push("reasoning");
  if (has.files && supports(target.entry, "files") === false) lost.push("files");
  const limit = maxOutputTokens(body);
  const most = target.entry?.maxOutputTokens;
  if (limit !== undefined && most !== undefined && limit > most) lost.push(`max_tokens above ${most}`);
  if (lost.length === 0) return [];
  return [{ code: "require_parameters", detail: `it does not support ${lost.join(", ")}` }];
}

const QUANTILES = { p50: 0.5, p75: 0.75, p90: 0.9, p99: 0.99 } as const;

/** Preferences move a target to the end and never exclude it; what was never measured has not failed them. */
function fallsShort(name: string, wish: Narrowing, asked: Asked, fleet: FleetView): boolean {
  const isAbove = (cutoffs: Cutoffs, measure: (quantile: number) => number | undefined) =>
    Object.entries(cutoffs).some(([quantile, bound]) => {
      const value = measure(QUANTILES[quantile as keyof typeof QUANTILES]);
      return value !== undefined && bound !== undefined && value > bound;
    });
  const isSlow = isAbove(wish.maxLatencyS, (quantile) => {
    const ms = fleet.firstByteMs(name, asked.inputTokens(), quantile);
    return ms === undefined ? undefined : ms / 1000;
  });
  // A throughput of at least x tokens a second is at most 1000/x ms a token; both sides turned so that "above" is worse.
  const slowest = Object.entries(wish.minThroughput).map(([quantile, bound]) => [
    quantile,
    bound === undefined ? bound : 1000 / bound,
  ]);
  return isSlow || isAbove(Object.fromEntries(slowest), (quantile) => fleet.msPerOutputToken(name, quantile));
}

// One provider's section: what both sources say of each model, under the overrides that always win.
import type { PriceBasis, RateCard, Rates, Tier } from "../../src/chat.ts";
import type { Modality, ModelEntry } from "../../src/dialect.ts";
import { mapCards, tierStart } from "../../src/pricing/rates.ts";
import { withConditions } from "./conditions.ts";
import type { LimitRow } from "./limits.ts";
import { microUsd } from "./money.ts";
import { type ModelOverride, matchesAny, type ProviderOverrides, type UsdRates } from "./overrides.ts";
import type { PriceRow } from "./prices.ts";

export interface Inputs {
  /** By lower-case id, as `limits`. */
  prices: ReadonlyMap<string, PriceRow>;
  limits: ReadonlyMap<string, LimitRow>;
  overrides: ProviderOverrides;
  /** Labels of the sources: `genai-prices@0.1.8 2026-09-23`. */
  priceLabel: string;
  limitLabel: string;
}

/** Two sources, more than one percent apart, and what settles it: an override of the model or of its provider, or nothing. */
export interface Disagreement {
  model: string;
  what: string;
  decidedBy: "model" | "provider" | undefined;
}

export interface Section {
  models: ModelEntry[];
  disagreements: Disagreement[];
}

interface Price {
  rates: Rates;
  source: string;
  pricedAs?: string;
}

export function mergeProvider(inputs: Inputs): Section {
  const { prices, limits, overrides } = inputs;
  const written = new Map(
    Object.entries(overrides.models ?? {}).map(([id, model]) => [id.toLowerCase(), { id, model }]),
  );
  const disagreements: Disagreement[] = [];
  const models: ModelEntry[] = [];
  for (const key of new Set([...limits.keys(), ...prices.keys(), ...written.keys()])) {
    const price = prices.get(key);
    const limit = limits.get(key);
    // The limits' spelling is the one the provider lists; the prices compare without case.
    const id = limit?.id ?? price?.id ?? written.get(key)?.id ?? key;
    if (matchesAny(id, overrides.skip ?? [])) continue;
    const override = written.get(key)?.model ?? {};
    const what = price && limit ? differences(price.rates, limit.rates) : [];
    if (what.length > 0)
      disagreements.push({ model: id, what: what.join("; "), decidedBy: decidedBy(override, overrides) });
    models.push(toEntry(id, inputs, { price, limit, override }));
  }
  return { models, disagreements };
}

function decidedBy(model: ModelOverride, provider: ProviderOverrides): Disagreement["decidedBy"] {
  if (model.priceFrom ?? model.usdPerMTok ?? model.unpriced) return "model";
  return provider.priceFrom === undefined ? undefined : "provider";
}

interface Parts {
  price: PriceRow | undefined;
  limit: LimitRow | undefined;
  override: ModelOverride;
}

function toEntry(id: string, inputs: Inputs, parts: Parts): ModelEntry {
  const { price, limit, override } = parts;
  const entry: ModelEntry = { id };
  const name = limit?.name ?? price?.name;
  if (name !== undefined) entry.name = name;
  const contextTokens = limit?.contextTokens ?? price?.contextTokens;
  if (contextTokens !== undefined) entry.contextTokens = contextTokens;
  if (limit !== undefined) addLimits(entry, limit, inputs.overrides.imagesImply ?? [], price);
  const formula = imageFormulaOf(id, inputs.overrides);
  if (formula !== undefined) entry.features = { ...entry.features, imageFormula: formula };
  const limitsSource = limit ? inputs.limitLabel : contextTokens === undefined ? undefined : inputs.priceLabel;
  const corrected = applyLimits(entry, override);
  const label = corrected ? [limitsSource, "overrides"].filter(Boolean).join(" + ") : limitsSource;
  if (label !== undefined) entry.limitsSource = label;
  const priced = override.unpriced ? undefined : decidePrice(id, inputs, parts);
  if (priced !== undefined) {
    entry.rates = withConditions(id, priced.rates, inputs.overrides);
    entry.priceSource = priced.source;
    entry.priceStatus = statusOf(priced);
    if (priced.pricedAs !== undefined) entry.pricedAs = priced.pricedAs;
  }
  const listed = priced?.source.startsWith(inputs.priceLabel) ? (price?.notes ?? []) : [];
  const notes = [...new Set([...listed, ...(override.note === undefined ? [] : [override.note])])];
  if (notes.length > 0) entry.note = notes.join("; ");
  return entry;
}

/** What the source calls by another name is the same model; what it does not have, somebody decided. */
function statusOf({ source, pricedAs }: Price): PriceBasis {
  if (source === "overrides") return "override";
  return pricedAs === undefined ? "exact" : "alias";
}

function addLimits(entry: ModelEntry, limit: LimitRow, imagesImply: Modality[], price: PriceRow | undefined): void {
  if (limit.maxOutputTokens !== undefined) entry.maxOutputTokens = limit.maxOutputTokens;
  const input = new Set(limit.input);
  if (input.has("image")) for (const modality of imagesImply) input.add(modality);
  if (price?.audioInput) input.add("audio");
  entry.input = [...input];
  entry.output = price?.rates.audioOutput === undefined ? ["text"] : ["text", "audio"];
  // The source lists a chat model only when it can call tools.
  entry.tools = true;
  entry.reasoning = limit.reasoning;
  if (Object.keys(limit.features).length > 0) entry.features = limit.features;
}

function imageFormulaOf(id: string, { imageFormulas = [] }: ProviderOverrides): string | undefined {
  return imageFormulas.find(({ models }) => matchesAny(id, models))?.formula;
}

/** Writes the override's limits over the entry's and tells whether there were any. `features` are merged key by key. */
function applyLimits(entry: ModelEntry, override: ModelOverride): boolean {
  const { note: _note, priceFrom: _from, usdPerMTok: _usd, unpriced: _unpriced, features, ...limits } = override;
  const fields = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
  Object.assign(entry, fields);
  if (features !== undefined) entry.features = { ...entry.features, ...features };
  return features !== undefined || Object.keys(fields).length > 0;
}

function decidePrice(id: string, inputs: Inputs, { price, limit, override }: Parts): Price | undefined {
  const { overrides, priceLabel, limitLabel } = inputs;
  if (override.usdPerMTok !== undefined) return { rates: fromUsd(override.usdPerMTok), source: "overrides" };
  const preferLimits = (override.priceFrom ?? overrides.priceFrom) === "pi-ai";
  let chosen: Price | undefined;
  if (limit?.rates !== undefined && (price === undefined || preferLimits)) {
    chosen = { rates: withFees(limit.rates, price?.rates), source: limitLabel };
  } else if (price !== undefined) {
    const filled = fillCacheClasses(price.rates, limit?.rates);
    chosen = { rates: filled, source: filled === price.rates ? priceLabel : `${priceLabel} + ${limitLabel}` };
    if (price.pricedAs.toLowerCase() !== id.toLowerCase()) chosen.pricedAs = price.pricedAs;
  } else if (overrides.freeSuffix !== undefined && id.endsWith(overrides.freeSuffix)) {
    chosen = { rates: { input: 0, output: 0 }, source: "overrides" };
  }
  return chosen && withOneHourWrite(chosen, overrides.cacheWrite1hTimesInput);
}

/** A cache class only the other source lists is taken from it, provided the two agree on the plain prices. */
function fillCacheClasses(rates: Rates, other: Rates | undefined): Rates {
  if (other === undefined || rates.tiers || rates.periods || other.tiers) return rates;
  if (differences(rates, other).length > 0) return rates;
  const { cacheRead, cacheWrite } = other;
  const filled = {
    ...(rates.cacheRead === undefined && cacheRead !== undefined && { cacheRead }),
    ...(rates.cacheWrite === undefined && cacheWrite !== undefined && { cacheWrite }),
  };
  return Object.keys(filled).length === 0 ? rates : { ...rates, ...filled };
}

/** The source of limits lists no fees; what the other list says of them holds whatever it says of tokens. */
function withFees(rates: Rates, other: Rates | undefined): Rates {
  const { request, search } = other ?? {};
  const fees = { ...(request !== undefined && { request }), ...(search !== undefined && { search }) };
  return Object.keys(fees).length === 0 ? rates : mapCards(rates, (card) => ({ ...card, ...fees }));
}

function withOneHourWrite(price: Price, timesInput: number | undefined): Price {
  const { rates } = price;
  if (timesInput === undefined || rates.cacheWrite === undefined || rates.cacheWrite1h !== undefined) return price;
  const add = (card: RateCard) => ({ ...card, cacheWrite1h: Math.round(card.input * timesInput) });
  return { ...price, rates: mapCards(rates, add), source: `${price.source} + overrides` };
}

function fromUsd({ tiers, ...base }: UsdRates): Rates {
  const card = (usd: Record<string, number | undefined>) =>
    Object.fromEntries(
      Object.entries(usd).flatMap(([key, value]) => (value === undefined ? [] : [[key, microUsd(value).micro]])),
    ) as unknown as RateCard;
  if (tiers === undefined) return card(base);
  return {
    ...card(base),
    tiers: tiers.map(({ fromInputTokens, aboveInputTokens, ...tier }): Tier => {
      const bound = fromInputTokens === undefined ? { aboveInputTokens: aboveInputTokens ?? 0 } : { fromInputTokens };
      return { ...bound, rates: card(tier) };
    }),
  };
}

const COMPARED = ["input", "output", "cacheRead", "cacheWrite"] as const;

/** What two price lists say differently by more than one percent, in words. Classes only one of them lists do not count. */
function differences(ours: Rates, theirs: Rates | undefined): string[] {
  if (theirs === undefined) return [];
  const found = cardDifferences(ours, theirs);
  const [a, b] = [ours.tiers ?? [], theirs.tiers ?? []];
  if (a.length !== b.length) {
    found.push(`tiers ${a.map(tierStart).join(",") || "none"} / ${b.map(tierStart).join(",") || "none"}`);
    return found;
  }
  for (const [index, tier] of a.entries()) {
    const other = b[index];
    if (other === undefined) continue;
    const [start, theirStart] = [tierStart(tier), tierStart(other)];
    // One source writes ">= 272,000" as "> 271,999", the other as "> 272,000": the same tier.
    if (Math.abs(start - theirStart) > 1) found.push(`tier from ${start} / ${theirStart}`);
    found.push(...cardDifferences(tier.rates, other.rates).map((what) => `from ${start} ${what}`));
  }
  return found;
}

function cardDifferences(ours: RateCard, theirs: RateCard): string[] {
  return COMPARED.flatMap((name) => {
    const [a, b] = [ours[name], theirs[name]];
    if (a === undefined || b === undefined || Math.abs(a - b) * 100 <= Math.max(a, b)) return [];
    return `${name} $${a / 1e6} / $${b / 1e6}`;
  });
}

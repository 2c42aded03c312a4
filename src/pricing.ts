// What an attempt costs: integer prices, exact sums, one rounding.
import { createHash } from "node:crypto";
import type { PriceBasis, PriceStatus, RateCard, Rates, Usage } from "./chat.ts";
import { canonicalJson } from "./json.ts";
import { classesOf, INPUT_CLASSES, OUTPUT_CLASSES, priceOf, RATE_CLASSES, type RateClass } from "./pricing/classes.ts";
import { cardFor, dearestPrices, pricesFor, tierStart } from "./pricing/rates.ts";
import { rounded, roundedBig } from "./pricing/round.ts";

export { discounted, pricesAt, surcharged } from "./pricing/rates.ts";

const PICO_PER_NANO = 1000;

export interface PricedAttempt {
  usage: Usage | undefined;
  rates: Rates | undefined;
  /** How the rates were found. */
  basis: PriceBasis | undefined;
  /** When the attempt was opened: prices change by date and time of day. */
  atMs: number;
}

/**
 * The cost of one attempt in integer nanodollars, and how it is known. What the provider says it charged goes before any
 * table. `nanoUsd` is `undefined`, and `status` then `unknown`, when usage or price were not told.
 */
export function priceAttempt(attempt: PricedAttempt): { nanoUsd: number | undefined; status: PriceStatus } {
  const { usage, rates, basis = "exact", atMs } = attempt;
  if (usage?.reportedCostNanoUsd !== undefined) return { nanoUsd: usage.reportedCostNanoUsd, status: "reported" };
  const nanoUsd = usage === undefined || rates === undefined ? undefined : costNanoUsd(usage, rates, atMs);
  return { nanoUsd, status: nanoUsd === undefined ? "unknown" : basis };
}

/**
 * What the table says: Σ tokens × price exactly in picodollars, then one half-even rounding to integer nanodollars.
 * `undefined` when it cannot be known (usage not told, or a class or tier was used that has no price): never a guess, never 0.
 */
export function costNanoUsd(usage: Usage, rates: Rates, atMs: number): number | undefined {
  if (usage.inputTokens === undefined || usage.outputTokens === undefined) return undefined;
  const prices = pricesFor(rates, atMs, usage);
  if (prices === undefined) return undefined;
  const card = cardFor(prices, usage.inputTokens);
  const counts = classesOf(usage);
  let pico = 0;
  for (const rate of RATE_CLASSES) {
    if (counts[rate] === 0) continue;
    const price = priceOf(card, rate);
    if (price === undefined) return undefined;
    pico += counts[rate] * price;
  }
  // Up to $9,007 every step above was exact.
  return Number.isSafeInteger(pico) ? rounded(pico, PICO_PER_NANO) : roundedBig(exactPico(counts, card), PICO_PER_NANO);
}

function exactPico(counts: Record<RateClass, number>, card: RateCard): bigint {
  return RATE_CLASSES.reduce((sum, rate) => sum + BigInt(counts[rate]) * BigInt(priceOf(card, rate) ?? 0), 0n);
}

export interface WorstCase {
  /** At most so many, cached or not. */
  inputTokens: number;
  /** At most so many, reasoning included. */
  maxOutputTokens: number;
  rates: Rates | undefined;
  /** When the attempt is opened. */
  atMs: number;
  /** At most so many searches on the web; 0 for a request without such a tool. */
  searches?: number | undefined;
  /** Tiers that may answer; absent: all that have a price. */
  serviceTiers?: readonly string[] | undefined;
  /** Classes the call certainly does not use (audio, for one, may cost many times what text does). */
  never?: readonly RateClass[] | undefined;
}

/**
 * The most a call can cost by the table, in nanodollars: every token at the dearest class, prompt tier, service tier and region
 * it could be billed at. Never less than `costNanoUsd` of a usage within the bounds. `undefined` without a price, or
 * where nothing bounds the cost (sources billed by the token). What an aggregator reports may be more: it is not bound by a table.
 */
export function worstCostNanoUsd(bounds: WorstCase): number | undefined {
  const { rates, atMs, inputTokens, serviceTiers } = bounds;
  if (rates === undefined) return undefined;
  let worst: bigint | undefined;
  for (const prices of dearestPrices(rates, atMs, serviceTiers)) {
    const reachable = (prices.tiers ?? []).filter((tier) => tierStart(tier) <= inputTokens);
    for (const card of [prices, ...reachable.map((tier) => tier.rates)]) {
      const pico = worstOfCard(card, bounds);
      if (pico === undefined) return undefined;
      if (worst === undefined || pico > worst) worst = pico;
    }
  }
  return worst === undefined ? undefined : roundedBig(worst, PICO_PER_NANO);
}

function worstOfCard(card: RateCard, bounds: WorstCase): bigint | undefined {
  const { inputTokens, maxOutputTokens, searches = 0, never = [] } = bounds;
  if ((card.citation ?? 0) > 0 && !never.includes("citation")) return undefined;
  const dearest = (classes: readonly RateClass[]) =>
    BigInt(Math.max(...classes.map((rate) => (never.includes(rate) ? 0 : (priceOf(card, rate) ?? 0)))));
  const input = BigInt(Math.ceil(inputTokens)) * dearest(INPUT_CLASSES);
  const output = BigInt(Math.ceil(maxOutputTokens)) * dearest(OUTPUT_CLASSES);
  return input + output + BigInt(card.request ?? 0) + BigInt(searches) * BigInt(card.search ?? 0);
}

/** The prices as text that is the same for the same prices: what is needed to work out a cost again. */
export function ratesJson(rates: Rates): string {
  return canonicalJson(rates);
}

const RATE_KEY_CHARS = 16;

/** Gives each set of prices a short name made of its content. Remembers those it has seen, and forgets them with their catalogue. */
export function rateKeys(): (rates: Rates) => string {
  const known = new WeakMap<Rates, string>();
  return (rates) => {
    const seen = known.get(rates);
    if (seen !== undefined) return seen;
    const key = createHash("sha256").update(ratesJson(rates)).digest("hex").slice(0, RATE_KEY_CHARS);
    known.set(rates, key);
    return key;
  };
}

/** Nanodollars as a decimal string of dollars without trailing zeros: `0.000123456`. Exact. */
export function formatUsd(nanoUsd: number | bigint): string {
  const text = (nanoUsd < 0 ? -nanoUsd : nanoUsd).toString().padStart(10, "0");
  const fraction = text.slice(-9).replace(/0+$/, "");
  const sign = nanoUsd < 0 ? "-" : "";
  return `${sign}${text.slice(0, -9)}${fraction === "" ? "" : `.${fraction}`}`;
}

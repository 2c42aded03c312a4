// What an attempt costs: integer prices, exact sums, one rounding.
import type { RateCard, Rates, Usage } from "./chat.ts";

const PICO_PER_NANO = 1000n;

/**
 * Cost of one attempt in integer nanodollars: Σ tokens × price exactly in picodollars, then one half-even rounding.
 * `undefined` when it cannot be known (usage not told, or a class was used that has no price): never a guess, never 0.
 */
export function costNanoUsd(usage: Usage, rates: Rates): number | undefined {
  if (usage.inputTokens === undefined || usage.outputTokens === undefined) return undefined;
  const card = cardFor(rates, usage.inputTokens);
  let pico = 0n;
  for (const { tokens, price } of classes(usage, card)) {
    if (tokens === 0) continue;
    if (price === undefined) return undefined;
    pico += BigInt(tokens) * BigInt(price);
  }
  return Number(halfEven(pico));
}

/** The tier is chosen by the whole prompt and then prices every token of the request. */
function cardFor(rates: Rates, inputTokens: number): RateCard {
  let card: RateCard = rates;
  let above = -1;
  for (const tier of rates.tiers ?? []) {
    if (inputTokens <= tier.aboveInputTokens || tier.aboveInputTokens <= above) continue;
    above = tier.aboveInputTokens;
    card = tier.rates;
  }
  return card;
}

/**
 * Disjoint token classes with their price. A provider that lists no price for cached input bills it as fresh input, and
 * audio without a price of its own is billed as text; a one-hour cache write has no such fallback.
 */
function classes(usage: Usage, card: RateCard): { tokens: number; price: number | undefined }[] {
  const cacheRead = usage.cacheReadTokens ?? 0;
  const cacheWrite = usage.cacheWriteTokens ?? 0;
  const cacheWrite1h = usage.cacheWrite1hTokens ?? 0;
  const fresh = Math.max(0, (usage.inputTokens ?? 0) - cacheRead - cacheWrite - cacheWrite1h);
  const output = usage.outputTokens ?? 0;
  const audioIn = Math.min(usage.audioInputTokens ?? 0, fresh);
  const audioOut = Math.min(usage.audioOutputTokens ?? 0, output);
  return [
    { tokens: fresh - audioIn, price: card.input },
    { tokens: audioIn, price: card.audioInput ?? card.input },
    { tokens: cacheRead, price: card.cacheRead ?? card.input },
    { tokens: cacheWrite, price: card.cacheWrite ?? card.input },
    { tokens: cacheWrite1h, price: card.cacheWrite1h },
    { tokens: output - audioOut, price: card.output },
    { tokens: audioOut, price: card.audioOutput ?? card.output },
  ];
}

function halfEven(pico: bigint): bigint {
  const nano = pico / PICO_PER_NANO;
  const rest = pico % PICO_PER_NANO;
  const half = PICO_PER_NANO / 2n;
  if (rest > half || (rest === half && nano % 2n === 1n)) return nano + 1n;
  return nano;
}

/** Every price less a share of it, rounded half-even to whole micro-dollars per million tokens. */
export function discounted(rates: Rates, share: number): Rates {
  const { tiers, ...card } = rates;
  if (tiers === undefined) return lower(card, share);
  return { ...lower(card, share), tiers: tiers.map((tier) => ({ ...tier, rates: lower(tier.rates, share) })) };
}

function lower(card: RateCard, share: number): RateCard {
  const lowered = { ...card };
  for (const [name, price] of Object.entries(card)) lowered[name as keyof RateCard] = reduce(price, share);
  return lowered;
}

/** In millionths of the share, so that nothing is a fraction before the one rounding. */
function reduce(price: number, share: number): number {
  const kept = BigInt(1_000_000 - Math.round(share * 1_000_000));
  const exact = BigInt(price) * kept;
  const whole = exact / 1_000_000n;
  const rest = exact % 1_000_000n;
  return Number(rest > 500_000n || (rest === 500_000n && whole % 2n === 1n) ? whole + 1n : whole);
}

/** Nanodollars as a decimal string of dollars without trailing zeros: `0.000123456`. Exact. */
export function formatUsd(nanoUsd: number | bigint): string {
  const text = (nanoUsd < 0 ? -nanoUsd : nanoUsd).toString().padStart(10, "0");
  const fraction = text.slice(-9).replace(/0+$/, "");
  const sign = nanoUsd < 0 ? "-" : "";
  return `${sign}${text.slice(0, -9)}${fraction === "" ? "" : `.${fraction}`}`;
}

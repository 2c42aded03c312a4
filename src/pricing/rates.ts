// Which of a model's prices apply: by time, by the tier and the region that answered, by the size of the prompt.
import type { Period, Prices, RateCard, Rates, Tier } from "../chat.ts";
import { FEES, type RateClass } from "./classes.ts";
import { roundedProduct } from "./round.ts";

/** A whole share, in the millionths of `serviceTiers` and `regions`. */
export const WHOLE = 1_000_000;

/** Words for the tier whose prices are the ordinary ones. */
const ORDINARY_TIERS = ["", "default", "standard", "auto", "on_demand"];

/** The prices that hold for calls opened at that time, at the ordinary tier. */
export function pricesAt(rates: Rates, atMs: number): Prices {
  if (rates.periods === undefined) return rates;
  const now = new Date(atMs);
  return rates.periods.findLast((period) => holds(period, now))?.rates ?? rates;
}

function holds({ fromDate, untilDate, fromTime, untilTime, days }: Period, now: Date): boolean {
  const text = now.toISOString();
  const date = text.slice(0, 10);
  const time = text.slice(11, 16);
  if (fromDate !== undefined && date < fromDate) return false;
  if (untilDate !== undefined && date >= untilDate) return false;
  if (days !== undefined && !days.includes(now.getUTCDay())) return false;
  if (fromTime === undefined || untilTime === undefined) return true;
  const isOverMidnight = fromTime > untilTime;
  return isOverMidnight ? time >= fromTime || time < untilTime : time >= fromTime && time < untilTime;
}

/** `undefined`: the tier has a price, and nobody told it. A region without one costs what others cost. */
export function pricesFor(
  rates: Rates,
  atMs: number,
  { serviceTier, region }: { serviceTier?: string | undefined; region?: string | undefined },
): Prices | undefined {
  const prices = tierPrices(rates, pricesAt(rates, atMs), serviceTier);
  const uplift = region === undefined ? undefined : own(rates.regions, region);
  return prices === undefined || uplift === undefined ? prices : withShare(prices, uplift);
}

function tierPrices(rates: Rates, ordinary: Prices, serviceTier = ""): Prices | undefined {
  const told = own(rates.serviceTiers, serviceTier);
  if (told === undefined) return ORDINARY_TIERS.includes(serviceTier) ? ordinary : undefined;
  return typeof told === "number" ? withShare(ordinary, told) : told;
}

/** Names come from answers: `constructor` is none. */
function own<T>(record: Record<string, T> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}

/** The dearest sets of prices a call opened at that time may be billed by; `serviceTiers`: of those tiers only. None where
 *  no such tier has a price. Of multipliers only the largest counts: it makes every price the highest. */
export function dearestPrices(rates: Rates, atMs: number, serviceTiers?: readonly string[]): Prices[] {
  const names = serviceTiers ?? ["", ...Object.keys(rates.serviceTiers ?? {})];
  const found: Prices[] = [];
  let factor = 0;
  for (const name of names) {
    const told = own(rates.serviceTiers, name) ?? (ORDINARY_TIERS.includes(name) ? WHOLE : undefined);
    if (typeof told === "object") found.push(told);
    else if (told !== undefined && told > factor) factor = told;
  }
  if (factor > 0) found.push(withShare(pricesAt(rates, atMs), factor));
  const uplift = Math.max(WHOLE, ...Object.values(rates.regions ?? {}));
  return found.map((prices) => withShare(prices, uplift));
}

/** The first size of the whole prompt at which the tier holds. */
export function tierStart({ fromInputTokens, aboveInputTokens }: Omit<Tier, "rates">): number {
  return fromInputTokens ?? (aboveInputTokens ?? 0) + 1;
}

/** The tier is chosen by the whole prompt and then prices every token of the request. */
export function cardFor(prices: Prices, inputTokens: number): RateCard {
  let card: RateCard = prices;
  let highest = 0;
  for (const tier of prices.tiers ?? []) {
    const start = tierStart(tier);
    if (inputTokens < start || start < highest) continue;
    highest = start;
    card = tier.rates;
  }
  return card;
}

/** The same prices with every card, of tiers and periods too, put through `change`. */
export function mapCards(rates: Rates, change: (card: RateCard) => RateCard): Rates {
  const { periods, serviceTiers, regions, ...prices } = rates;
  const mapped: Rates = mapPrices(prices, change);
  if (periods !== undefined)
    mapped.periods = periods.map((period) => ({ ...period, rates: mapPrices(period.rates, change) }));
  if (serviceTiers !== undefined) {
    const changed = Object.entries(serviceTiers).map(
      ([name, told]) => [name, typeof told === "number" ? told : mapPrices(told, change)] as const,
    );
    mapped.serviceTiers = Object.fromEntries(changed);
  }
  if (regions !== undefined) mapped.regions = regions;
  return mapped;
}

function mapPrices({ tiers, ...card }: Prices, change: (card: RateCard) => RateCard): Prices {
  const mapped: Prices = change(card);
  if (tiers === undefined) return mapped;
  return { ...mapped, tiers: tiers.map((tier) => ({ ...tier, rates: change(tier.rates) })) };
}

/** Every price less a share of it (of 1), rounded half-even to whole micro-dollars per million. */
export function discounted(rates: Rates, share: number): Rates {
  const kept = WHOLE - Math.round(share * WHOLE);
  return mapCards(rates, (card) => scaled(card, kept));
}

/** Every token more by a share (of 1): what a region costs that has no prices of its own. */
export function surcharged(rates: Rates, share: number): Rates {
  const kept = WHOLE + Math.round(share * WHOLE);
  return mapCards(rates, (card) => scaled(card, kept, FEES));
}

function withShare(prices: Prices, millionths: number): Prices {
  if (millionths === WHOLE) return prices;
  const { periods: _, serviceTiers: __, regions: ___, ...own }: Rates = prices;
  return mapPrices(own, (card) => scaled(card, millionths, FEES));
}

/** Prices are published as numbers of their own, so each is rounded (half-even), and the sum of a call once more. */
function scaled(card: RateCard, millionths: number, except: readonly RateClass[] = []): RateCard {
  const changed = { ...card };
  for (const [name, price] of Object.entries(card) as [RateClass, number][]) {
    if (except.includes(name)) continue;
    changed[name] = roundedProduct(price, millionths, WHOLE);
  }
  return changed;
}

// Prices and models of the operator's own: `providers.*.models`, `discount`, `surcharge` and `service_tiers` of signalbox.yaml.
import { z } from "zod";
import type { Period, Prices, RateCard, Rates, Tier } from "../chat.ts";
import type { ModelEntry } from "../dialect.ts";
import { discounted, surcharged } from "../pricing.ts";
import { microUsd, nanoUsd, percentage, tokenCount } from "../units.ts";

/** Between a hundredth of a cent per million tokens and ten thousand dollars: what is outside was meant in another unit. */
const MICRO_USD_MIN = 100;
const MICRO_USD_MAX = 10_000_000_000;

const perMTok = microUsd.superRefine((micro, context) => {
  if (micro === 0 || (micro >= MICRO_USD_MIN && micro <= MICRO_USD_MAX)) return;
  const message =
    `expected 0, or from $0.0001 to $10,000 per million tokens; found $${micro / 1e6}: ` +
    "was it meant per token, per thousand tokens or in cents?";
  context.addIssue({ code: "custom", message });
});

const NANO_USD_MIN = 100;
const NANO_USD_MAX = 100_000_000_000;

/** `$0.01` each, as micro-dollars per million of them. */
const each = nanoUsd
  .superRefine((nano, context) => {
    if (nano === 0 || (nano >= NANO_USD_MIN && nano <= NANO_USD_MAX)) return;
    const message = `expected 0, or from $0.0000001 to $100 each; found $${nano / 1e9}: was it meant per thousand?`;
    context.addIssue({ code: "custom", message });
  })
  .transform((nano) => nano * 1000);

const CARD = {
  input: perMTok,
  output: perMTok,
  cache_read: perMTok.optional(),
  cache_write: perMTok.optional(),
  cache_write_1h: perMTok.optional(),
  audio_input: perMTok.optional(),
  audio_cache_read: perMTok.optional(),
  audio_output: perMTok.optional(),
  image_input: perMTok.optional(),
  image_output: perMTok.optional(),
  reasoning_output: perMTok.optional(),
  citation: perMTok.optional(),
  request: each.optional(),
  search: each.optional(),
};

const TIER = z
  .strictObject({ from_input: tokenCount.optional(), above_input: tokenCount.optional(), ...CARD })
  .refine((tier) => (tier.from_input === undefined) !== (tier.above_input === undefined), {
    error: "a tier needs either from_input (that many tokens, or more) or above_input (more than that)",
  });
const PRICES = { ...CARD, tiers: z.array(TIER).max(20).optional() };

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
const TIME = /^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/;
const day = z.iso.date("expected a day such as 2027-01-31");

const PERIOD = z
  .strictObject({
    from: day.optional(),
    until: day.optional(),
    time: z.string().regex(TIME, "expected a time of day in UTC such as 16:30-00:30").optional(),
    days: z.array(z.enum(DAYS)).min(1).optional(),
    ...PRICES,
  })
  .refine(({ from, until, time, days }) => [from, until, time, days].some((condition) => condition !== undefined), {
    error: "a period needs a condition: from, until, time or days",
  });

/** How many times the standard price; in millionths. */
const times = z
  .number()
  .min(0.01)
  .max(20)
  .transform((factor) => Math.round(factor * 1_000_000));
const SERVICE_TIERS = z.record(z.string(), z.union([times, z.strictObject(PRICES).transform(toPrices)]));

const PRICE = z.strictObject({
  ...PRICES,
  periods: z.array(PERIOD).max(100).optional(),
  service_tiers: SERVICE_TIERS.optional(),
  regions: z.record(z.string(), times).optional(),
});

const MODEL = z.strictObject({
  id: z.string().min(1),
  context: tokenCount.optional(),
  max_output: tokenCount.optional(),
  price: PRICE.optional(),
});

/** The members of a provider's settings that are about prices. */
export const PRICE_SETTINGS = {
  models: z.array(MODEL).optional(),
  /** Off every price of the catalogue. */
  discount: percentage.optional(),
  /** On every token price of the catalogue: a region that costs more than the list says. */
  surcharge: percentage.optional(),
  /** What the catalogue cannot know, such as tiers that are sold by contract. */
  service_tiers: z.record(z.string(), times).optional(),
};

type PriceSettings = z.output<z.ZodObject<typeof PRICE_SETTINGS>>;

/** The catalogue's models at the operator's prices: a discount on all of them, then models and prices of one's own. */
export function withOwnModels(catalogue: ReadonlyMap<string, ModelEntry>, settings: PriceSettings | undefined) {
  const models = new Map(catalogue);
  if (settings === undefined) return models;
  for (const [id, entry] of catalogue) models.set(id, adjusted(entry, settings));
  for (const { id, context, max_output, price } of settings.models ?? []) {
    const entry: ModelEntry = { ...models.get(id), id };
    if (context !== undefined) entry.contextTokens = context;
    if (max_output !== undefined) entry.maxOutputTokens = max_output;
    if (price !== undefined) {
      const { pricedAs: _, note: __, ...rest } = entry;
      models.set(id, { ...rest, rates: toRates(price), priceSource: "signalbox.yaml", priceStatus: "override" });
    } else models.set(id, entry);
  }
  return models;
}

function adjusted(entry: ModelEntry, { discount, surcharge, service_tiers: tiers }: PriceSettings): ModelEntry {
  if (entry.rates === undefined) return entry;
  let { rates, priceSource = "catalogue" } = entry;
  if (discount !== undefined && discount > 0) {
    rates = discounted(rates, discount);
    priceSource += ` less ${percent(discount)} %`;
  }
  if (surcharge !== undefined && surcharge > 0) {
    rates = surcharged(rates, surcharge);
    priceSource += ` plus ${percent(surcharge)} %`;
  }
  if (tiers !== undefined) rates = { ...rates, serviceTiers: { ...rates.serviceTiers, ...tiers } };
  if (rates === entry.rates) return entry;
  return { ...entry, rates, priceSource };
}

function percent(share: number): number {
  return Math.round(share * 1e6) / 1e4;
}

function toRates(price: z.output<typeof PRICE>): Rates {
  const { periods, service_tiers: serviceTiers, regions, ...prices } = price;
  const rates: Rates = toPrices(prices);
  if (periods !== undefined) rates.periods = periods.map(toPeriod);
  if (serviceTiers !== undefined) rates.serviceTiers = serviceTiers;
  if (regions !== undefined) rates.regions = regions;
  return rates;
}

function toPeriod({ from, until, time, days, ...prices }: z.output<typeof PERIOD>): Period {
  const period: Period = { rates: toPrices(prices) };
  if (from !== undefined) period.fromDate = from;
  if (until !== undefined) period.untilDate = until;
  if (time !== undefined) [period.fromTime, period.untilTime] = time.split("-") as [string, string];
  if (days !== undefined) period.days = days.map((name) => DAYS.indexOf(name));
  return period;
}

function toPrices({ tiers, ...card }: z.output<z.ZodObject<typeof PRICES>>): Prices {
  const prices: Prices = toCard(card);
  if (tiers !== undefined) prices.tiers = tiers.map(toTier);
  return prices;
}

function toTier({ from_input: from, above_input: above, ...card }: z.output<typeof TIER>): Tier {
  const rates = toCard(card);
  return from === undefined ? { aboveInputTokens: above ?? 0, rates } : { fromInputTokens: from, rates };
}

/** `cache_write_1h` → `cacheWrite1h`. */
function toCard(card: Record<string, number | undefined>): RateCard {
  const told = Object.entries(card).filter(([, price]) => price !== undefined);
  return Object.fromEntries(told.map(([name, price]) => [camelCase(name), price])) as unknown as RateCard;
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

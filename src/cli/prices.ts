// Prices as they are now: the configuration's (negotiated ones, discounts) over the catalogue's. The one place in which
// the commands work out a cost.
import { createHash } from "node:crypto";
import type { Rates, Usage } from "../chat.ts";
import { nearest } from "../nearest.ts";
import { costNanoUsd } from "../pricing.ts";
import type { Settings } from "../settings.ts";
import type { PriceNow } from "../store/reprice.ts";

export interface Prices {
  /** Of a provider that is enabled here; `undefined` for others and for models without a price. */
  rates(provider: string, model: string): Rates | undefined;
  isEnabled(provider: string): boolean;
  /** Those, or the catalogue's list price where the provider is not enabled. */
  listed(provider: string, model: string): Rates | undefined;
  /** Names that are like this one, as provider/model. */
  like(name: string): string[];
}

export function pricesNow({ config, catalog, file }: Settings): Prices {
  const rates = (provider: string, model: string) => config.providers.get(provider)?.models.get(model)?.rates;
  return {
    rates,
    isEnabled: (provider) => config.providers.has(provider),
    listed: (provider, model) => rates(provider, model) ?? catalog.models(provider).get(model)?.rates,
    like: (name) => {
      const ids = Object.entries(file.providers).flatMap(([id, { models }]) =>
        Object.keys(models).map((model) => `${id}/${model}`),
      );
      return nearest(name.slice(0, 100), ids, 3);
    },
  };
}

/** In nanodollars; `undefined` when tokens were not told or a class of them has no price. `atMs`: when it was called. */
export function costOf(usage: Usage, rates: Rates, _atMs: number): number | undefined {
  return costNanoUsd(usage, rates);
}

/** What reading a whole prompt from a cache saves against sending it fresh; `undefined` where there is no price for it. */
export function cacheSavingNanoUsd(inputTokens: number, rates: Rates, atMs: number): number | undefined {
  const fresh = costOf({ inputTokens, outputTokens: 0 }, rates, atMs);
  const read = costOf({ inputTokens, cacheReadTokens: inputTokens, outputTokens: 0 }, rates, atMs);
  return fresh === undefined || read === undefined ? undefined : fresh - read;
}

const RATES_KEY_CHARS = 16;

/** Unit prices as the ledger keeps them: the same text for the same prices, and a hash of it. */
function keptRates(rates: Rates): { key: string; json: string } {
  const json = JSON.stringify(rates, inOrder);
  return { key: createHash("sha256").update(json).digest("hex").slice(0, RATES_KEY_CHARS), json };
}

function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A cost worked out again, as the ledger books it; `undefined` where the prices do not say what so much costs. */
export function pricedNow(usage: Usage, rates: Rates, atMs: number): PriceNow | undefined {
  const cost = costOf(usage, rates, atMs);
  return cost === undefined ? undefined : { costNanoUsd: cost, priceStatus: "exact", rates: keptRates(rates) };
}

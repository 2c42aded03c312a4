// Prices as they are now: the configuration's (negotiated ones, discounts) over the catalogue's. The one place in which
// the commands work out a cost.
import type { Rates, Usage } from "../chat.ts";
import type { ModelEntry } from "../dialect.ts";
import { nearest } from "../nearest.ts";
import { costNanoUsd, priceAttempt, rateKeys, ratesJson } from "../pricing.ts";
import type { Settings } from "../settings.ts";
import type { RepriceQuery } from "../store/reprice.ts";

export interface Prices {
  /** Of a provider that is enabled here; `undefined` for others and for models without a price. */
  entry(provider: string, model: string): ModelEntry | undefined;
  isEnabled(provider: string): boolean;
  /** Those, or the catalogue's list price where the provider is not enabled. */
  listed(provider: string, model: string): Rates | undefined;
  /** Names that are like this one, as provider/model. */
  like(name: string): string[];
}

export function pricesNow({ config, catalog, file }: Settings): Prices {
  const entry = (provider: string, model: string) => config.providers.get(provider)?.models.get(model);
  return {
    entry,
    isEnabled: (provider) => config.providers.has(provider),
    listed: (provider, model) => entry(provider, model)?.rates ?? catalog.models(provider).get(model)?.rates,
    like: (name) => {
      const ids = Object.entries(file.providers).flatMap(([id, { models }]) =>
        Object.keys(models).map((model) => `${id}/${model}`),
      );
      return nearest(name.slice(0, 100), ids, 3);
    },
  };
}

/** In nanodollars; `undefined` when tokens were not told or a class of them has no price. `atMs`: when it was called. */
export function costOf(usage: Usage, rates: Rates, atMs: number): number | undefined {
  return costNanoUsd(usage, rates, atMs);
}

/** What reading a whole prompt from a cache saves against sending it fresh; `undefined` where there is no price for it. */
export function cacheSavingNanoUsd(inputTokens: number, rates: Rates, atMs: number): number | undefined {
  const fresh = costOf({ inputTokens, outputTokens: 0 }, rates, atMs);
  const read = costOf({ inputTokens, cacheReadTokens: inputTokens, outputTokens: 0 }, rates, atMs);
  return fresh === undefined || read === undefined ? undefined : fresh - read;
}

/** Costs worked out again, as the ledger books them; `undefined` where the prices do not say what so much costs. */
export function pricerOf(prices: Prices): RepriceQuery["price"] {
  const keyOf = rateKeys();
  return ({ provider, model, usage, openedAtMs }) => {
    const entry = prices.entry(provider, model);
    if (entry?.rates === undefined) return undefined;
    const { nanoUsd, status } = priceAttempt({ usage, rates: entry.rates, basis: entry.priceStatus, atMs: openedAtMs });
    if (nanoUsd === undefined) return undefined;
    const rates = { key: keyOf(entry.rates), json: ratesJson(entry.rates) };
    return { costNanoUsd: nanoUsd, priceStatus: status, rates };
  };
}

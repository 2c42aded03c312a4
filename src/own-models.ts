// Models and prices of the operator's own, in a provider's section of signalbox.yaml.
import { z } from "zod";
import type { ModelEntry } from "./dialect.ts";
import { discounted } from "./pricing.ts";
import { microUsd, tokenCount } from "./units.ts";

const PRICE = z.strictObject({
  input: microUsd,
  output: microUsd,
  cache_read: microUsd.optional(),
  cache_write: microUsd.optional(),
  cache_write_1h: microUsd.optional(),
});

const MODEL = z.strictObject({
  id: z.string().min(1),
  context: tokenCount.optional(),
  max_output: tokenCount.optional(),
  price: PRICE.optional(),
});

export const OWN_MODELS = z.array(MODEL);

interface OwnPrices {
  models?: z.output<typeof OWN_MODELS> | undefined;
  /** Share of the list price, 0 to 1. */
  discount?: number | undefined;
}

/** The catalogue's models at the operator's prices: a discount on all of them, then models and prices of one's own. */
export function withOwnModels(catalogue: ReadonlyMap<string, ModelEntry>, settings: OwnPrices | undefined) {
  const models = new Map(catalogue);
  const { discount = 0, models: own = [] } = settings ?? {};
  for (const [id, entry] of discount > 0 ? catalogue : []) {
    if (entry.rates === undefined) continue;
    const priceSource = `${entry.priceSource ?? "catalogue"} less ${Math.round(discount * 1e6) / 1e4} %`;
    models.set(id, { ...entry, rates: discounted(entry.rates, discount), priceSource });
  }
  for (const { id, context, max_output, price } of own) {
    const entry: ModelEntry = { ...models.get(id), id };
    if (context !== undefined) entry.contextTokens = context;
    if (max_output !== undefined) entry.maxOutputTokens = max_output;
    if (price !== undefined) {
      entry.rates = { input: price.input, output: price.output };
      if (price.cache_read !== undefined) entry.rates.cacheRead = price.cache_read;
      if (price.cache_write !== undefined) entry.rates.cacheWrite = price.cache_write;
      if (price.cache_write_1h !== undefined) entry.rates.cacheWrite1h = price.cache_write_1h;
      entry.priceSource = "signalbox.yaml";
    }
    models.set(id, entry);
  }
  return models;
}

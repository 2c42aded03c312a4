// What the overrides know of prices that neither list has: service tiers, regions, days of the week, fees for searches.
import type { Rates } from "../../src/chat.ts";
import { mapCards, WHOLE } from "../../src/pricing/rates.ts";
import { microUsd } from "./money.ts";
import { matchesAny, type ProviderOverrides } from "./overrides.ts";

/** The rates of one model with them; free models stay free. */
export function withConditions(id: string, rates: Rates, overrides: ProviderOverrides): Rates {
  if (rates.input === 0 && rates.output === 0) return rates;
  const isFor = ({ models }: { models: string[] }) => matchesAny(id, models);
  const serviceTiers = overrides.serviceTiers?.find(isFor)?.times;
  const regions = overrides.regions?.find(isFor)?.times;
  const days = overrides.timesOfDayHoldOn?.find(isFor)?.days;
  const known = withSearches(rates, overrides.usdPerThousandSearches);
  return {
    ...known,
    ...(known.periods && {
      periods: known.periods.map((period) => (days && period.fromTime !== undefined ? { ...period, days } : period)),
    }),
    ...(serviceTiers && { serviceTiers: millionths(serviceTiers) }),
    ...(regions && { regions: millionths(regions) }),
  };
}

function millionths(times: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(times).map(([name, factor]) => [name, Math.round(factor * WHOLE)]));
}

/** Where the list has a fee of its own, that one stays. */
function withSearches(rates: Rates, usdPerThousand: number | undefined): Rates {
  if (usdPerThousand === undefined || rates.search !== undefined) return rates;
  const search = microUsd(usdPerThousand * 1000).micro;
  return mapCards(rates, (card) => ({ ...card, search }));
}

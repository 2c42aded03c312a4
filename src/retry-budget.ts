// How many further attempts the whole process may make: a share of its requests, so that retries never multiply an outage.
import type { ProviderError } from "./chat.ts";

export interface RetryBudget {
  /** Each request earns a part of a retry. */
  onRequest(): void;
  /** May another attempt follow this failure? Takes its price when it may. `hadOutput`: the provider had begun to answer. */
  spend(error: ProviderError, hadOutput: boolean): boolean;
  level(): number;
}

const PER_REQUEST = 0.2;
const PER_SECOND = 1;
const LEVEL_MAX = 60;
/** A fresh process may retry before it has served anything. */
const LEVEL_AT_START = 10;

export function createRetryBudget({ nowMs }: { nowMs(): number }): RetryBudget {
  let level = LEVEL_AT_START;
  let atMs = nowMs();
  const earn = (more: number) => {
    const now = nowMs();
    level = Math.min(LEVEL_MAX, level + more + (PER_SECOND * Math.max(0, now - atMs)) / 1_000);
    atMs = now;
  };
  return {
    onRequest: () => earn(PER_REQUEST),
    spend: (error, hadOutput) => {
      earn(0);
      const price = priceOf(error, hadOutput);
      if (price > level) return false;
      level -= price;
      return true;
    },
    level: () => {
      earn(0);
      return level;
    },
  };
}

/** Nothing where no work was done: a refusal by a limit, a connection that was never made. */
function priceOf({ kind, status }: ProviderError, hadOutput: boolean): number {
  if (hadOutput) return 2;
  return kind === "rate_limited" || (kind === "network" && status === undefined) ? 0 : 1;
}

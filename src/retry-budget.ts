// How many further attempts the whole process may make, and what they may cost: a share of its requests and of its spend, so
// that retries never multiply an outage or a bill.
import type { ProviderError } from "./chat.ts";
import { policyOf } from "./taxonomy.ts";

/** What the failed attempt was worth. */
export interface Lost {
  /** The provider had begun to answer. */
  hadOutput: boolean;
  /** What is paid for it all the same; 0 where the provider billed nothing, `undefined` where that is not known and cannot
   *  be estimated: then only the number of retries is bounded. */
  costNanoUsd: number | undefined;
}

export interface RetryBudget {
  /** Each request earns a part of a retry. */
  onRequest(): void;
  /** An attempt was paid. */
  onCost(nanoUsd: number): void;
  /** May another attempt follow this failure? Takes its price when it may. */
  spend(error: ProviderError, lost: Lost): boolean;
  level(): number;
}

const PER_REQUEST = 0.2;
const PER_SECOND = 1;
const LEVEL_MAX = 60;
/** A fresh process may retry before it has served anything. */
const LEVEL_AT_START = 10;
const PRICE_WITH_OUTPUT = 2;

/** Of what was spent in the last hour, so much may have been paid twice. A failure that cost nothing is free to repeat: the
 *  next attempt costs what the request would have cost anyway. */
const MONEY_SHARE = 0.05;
/** An hour. Five percent of a small installation's spend would not pay one long prompt. */
const MONEY_FLOOR_NANO_USD = 500_000_000;

export function createRetryBudget({ nowMs }: { nowMs(): number }): RetryBudget {
  const spent = new TrailingHour();
  const lostAgain = new TrailingHour();
  let level = LEVEL_AT_START;
  let atMs = nowMs();
  const earn = (more: number) => {
    const now = nowMs();
    level = Math.min(LEVEL_MAX, level + more + (PER_SECOND * Math.max(0, now - atMs)) / 1_000);
    atMs = now;
  };
  return {
    onRequest: () => earn(PER_REQUEST),
    onCost: (nanoUsd) => spent.add(nanoUsd, nowMs()),
    spend: (error, { hadOutput, costNanoUsd = 0 }) => {
      earn(0);
      const price = hadOutput ? PRICE_WITH_OUTPUT : policyOf(error).retryPrice;
      if (price > level) return false;
      const moneyMax = Math.max(MONEY_FLOOR_NANO_USD, MONEY_SHARE * spent.total(atMs));
      if (costNanoUsd > 0 && lostAgain.total(atMs) + costNanoUsd > moneyMax) return false;
      level -= price;
      lostAgain.add(costNanoUsd, atMs);
      return true;
    },
    level: () => {
      earn(0);
      return level;
    },
  };
}

const MINUTE_MS = 60_000;
const MINUTES = 60;

/** A sum that forgets what is older than an hour, minute by minute. */
class TrailingHour {
  readonly #byMinute = new Float64Array(MINUTES);
  #minute = 0;
  #total = 0;

  add(amount: number, nowMs: number): void {
    this.#roll(nowMs);
    this.#total += amount;
    this.#byMinute[this.#minute % MINUTES] = (this.#byMinute[this.#minute % MINUTES] ?? 0) + amount;
  }

  total(nowMs: number): number {
    this.#roll(nowMs);
    return this.#total;
  }

  /** A clock that is set back adds to the newest minute. */
  #roll(nowMs: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute - this.#minute >= MINUTES) {
      this.#byMinute.fill(0);
      this.#total = 0;
      this.#minute = minute;
    }
    while (this.#minute < minute) {
      this.#minute += 1;
      this.#total -= this.#byMinute[this.#minute % MINUTES] ?? 0;
      this.#byMinute[this.#minute % MINUTES] = 0;
    }
  }
}

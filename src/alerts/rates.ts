// How fast money goes and requests fail: counts over sliding time in rings of fixed size.

import type { JsonObject } from "../chat.ts";
import { isObject } from "../json.ts";
import type { HourlySpend } from "./alert.ts";

const BUCKET_MS = 15_000;
/** Five minutes. */
const BUCKETS = 20;

/** Requests of the last five minutes, and how many of them failed. */
export class RequestCounts {
  readonly #requests = new Uint32Array(BUCKETS);
  readonly #failed = new Uint32Array(BUCKETS);
  /** Number of the newest bucket, counted from 1970. */
  #newest = 0;

  count(isOk: boolean, nowMs: number): void {
    this.#advance(nowMs);
    const at = this.#newest % BUCKETS;
    this.#requests[at] = (this.#requests[at] ?? 0) + 1;
    if (!isOk) this.#failed[at] = (this.#failed[at] ?? 0) + 1;
  }

  sums(nowMs: number): { requests: number; failed: number } {
    this.#advance(nowMs);
    return { requests: sum(this.#requests), failed: sum(this.#failed) };
  }

  #advance(nowMs: number): void {
    const bucket = Math.floor(nowMs / BUCKET_MS);
    for (let next = Math.max(this.#newest, bucket - BUCKETS) + 1; next <= bucket; next += 1) {
      this.#requests[next % BUCKETS] = 0;
      this.#failed[next % BUCKETS] = 0;
    }
    this.#newest = Math.max(this.#newest, bucket);
  }
}

const HOUR_MS = 3_600_000;
const HOURS = 7 * 24;
/** Less history than this says nothing about what is usual. */
const HISTORY_HOURS_MIN = 24;
/** Less than this in an hour is no alarm, however little was spent before: $2. */
const HOUR_NANO_USD_MIN = 2_000_000_000;

/** What was spent in each hour of the trailing week, and in the one that is running. */
export class SpendHistory {
  /** A ring by hour; one place more than a week, for the running one. */
  readonly #hours = new Float64Array(HOURS + 1);
  /** Hours since 1970; `undefined` before anything was spent. */
  #first: number | undefined;
  #current = 0;
  /** Of the hours that are over; `undefined` when the hour has changed since it was asked for. */
  #meanNanoUsd: number | undefined;

  add(nanoUsd: number, nowMs: number): void {
    this.#advance(nowMs);
    const at = this.#current % this.#hours.length;
    this.#hours[at] = (this.#hours[at] ?? 0) + nanoUsd;
  }

  /**
   * The running hour, when it has seen more than `factor` times a mean hour, else `undefined`; also while there is too
   * little history or too little money. Hours without any spend are not in the mean: with nights and weekends in it every
   * working hour of an office would be an alarm.
   */
  excess(factor: number): HourlySpend | undefined {
    const hourNanoUsd = this.#hours[this.#current % this.#hours.length] ?? 0;
    if (hourNanoUsd < HOUR_NANO_USD_MIN || this.#current - (this.#first ?? this.#current) < HISTORY_HOURS_MIN)
      return undefined;
    this.#meanNanoUsd ??= this.#mean();
    const meanNanoUsd = this.#meanNanoUsd;
    return hourNanoUsd > factor * meanNanoUsd ? { hourNanoUsd, meanNanoUsd } : undefined;
  }

  export(): JsonObject {
    return { first: this.#first ?? null, current: this.#current, hours: [...this.#hours] };
  }

  /** Ignores what it cannot use, such as hours to come. */
  restore(saved: unknown, nowMs: number): void {
    if (!isObject(saved) || !Array.isArray(saved.hours) || saved.hours.length !== this.#hours.length) return;
    const { first, current, hours } = saved;
    const areAmounts = hours.every((nanoUsd) => Number.isSafeInteger(nanoUsd) && Number(nanoUsd) >= 0);
    if (!areAmounts || !isHour(first) || !isHour(current)) return;
    if (first > current || current * HOUR_MS > nowMs) return;
    this.#first = first;
    this.#current = current;
    this.#hours.set(hours as number[]);
    this.#meanNanoUsd = undefined;
  }

  #mean(): number {
    const past = this.#hours.filter((nanoUsd, at) => nanoUsd > 0 && at !== this.#current % this.#hours.length);
    return past.length === 0 ? 0 : Math.round(sum(past) / past.length);
  }

  #advance(nowMs: number): void {
    const hour = Math.floor(nowMs / HOUR_MS);
    this.#first ??= hour;
    if (hour > this.#current) this.#meanNanoUsd = undefined;
    // A clock that was set back books into the newest hour it has seen.
    for (let next = Math.max(this.#current, hour - this.#hours.length) + 1; next <= hour; next += 1)
      this.#hours[next % this.#hours.length] = 0;
    this.#current = Math.max(this.#current, hour);
  }
}

function isHour(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function sum(counts: Uint32Array | Float64Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

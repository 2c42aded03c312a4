// One limit of a provider: what it allows, what was taken of it, and what its answers taught about it.
import type { LimitReading } from "../dialect.ts";
import type { PoolReaction } from "../taxonomy.ts";
import { type Amounts, COUNTED, type Dimension } from "./accounting.ts";
import { Bucket } from "./bucket.ts";
import { Places } from "./places.ts";
import { nextDayMs, Quota } from "./quota.ts";
import { RampGuard } from "./ramp-guard.ts";
import { UntoldWait } from "./untold-wait.ts";

/** What is allowed, per minute unless it says otherwise; absent = not known, and then not limited. */
export interface Allowance {
  requests?: number | undefined;
  tokens?: number | undefined;
  inputTokens?: number | undefined;
  outputTokens?: number | undefined;
  /** Calls at the same time. */
  concurrency?: number | undefined;
  requestsPerDay?: number | undefined;
  tokensPerDay?: number | undefined;
  /** How much time's worth may be taken at once. */
  burstMs?: number | undefined;
}

/** A bit below what is allowed: calls arrive at the provider closer together than they left. */
const MARGIN = 0.99;
const BURST_MS = 10_000;
const BURST_MS_MIN = 1_000;
const DECREASE = 0.85;
const DECREASE_SLOW_DOWN = 0.7;
const SCALE_MIN = 0.1;
const DECREASE_EVERY_MS = 1_000;
/** So long after the last refusal more is tried, by so much a second. */
const QUIET_MS = 8_000;
const INCREASE_PER_S = 0.02;
const GUESS_SCALE_MAX = 10_000;
const BURST_GROWS_EVERY_MS = 300_000;
/** So many calls at once, and their number is taken for what was passed: fewer at once are also fewer a minute. */
const MANY_PLACES = 4;
/** A minute: few calls before a refusal say little about the limit. */
const GUESS_MIN = 60;
/** Longer waits are a quota's: looked at again every hour. */
const BLOCKED_MS_MAX = 3_600_000;
const RATE_WINDOW_MS = 10_000;

type Source = "configured" | "headers" | "learnt";

interface Rate {
  bucket: Bucket;
  perMinute: number;
  source: Source;
}

export interface PoolStatus {
  name: string;
  rates: { counts: Dimension; per_minute: number; level: number; source: Source }[];
  quotas: { counts: "requests" | "tokens"; per_day: number; used: number; resets_at: string }[];
  in_flight: number;
  concurrency: number | null;
  /** Share of the limits that is used at present: below 1 after refusals. */
  scale: number;
  blocked_until: string | null;
}

export interface SavedPool {
  blockedUntilMs: number;
  /** Absent in what earlier versions saved. */
  triedUntilMs?: number;
  quotas: Record<string, { used: number; resetAtMs: number }>;
}

export interface Wait {
  ms: number;
  /** What there is too little of. */
  for: Dimension | "concurrency" | "day" | "blocked" | "growth" | undefined;
}

/** A provider's refusal for being one too many. */
export interface Refusal {
  /** When it said to come back. */
  waitMs: number | undefined;
  reaction: PoolReaction;
  /** Which daily quota is used up. */
  quotaId?: string | undefined;
}

export class Pool {
  readonly name: string;
  readonly #draw: () => number;
  readonly #allowance: Allowance;
  readonly #rates = new Map<Dimension, Rate>();
  readonly #quotas = new Map<"requests" | "tokens", Quota>();
  #burstMs: number;
  readonly #burstMsMax: number;
  readonly #places: Places;
  readonly #untold = new UntoldWait();
  #inFlight = 0;
  #scale = 1;
  #blockedUntilMs = 0;
  readonly #zone: string;
  readonly #ramp = new RampGuard();
  /** A daily quota that was refused for, and until when the wait it told is kept. */
  #daily: { quotaId: string; keptUntilMs: number } | undefined;
  /** While a quota is taken to be used up one call at a time finds out whether it is. */
  #triedUntilMs = 0;
  #refusedAtMs = Number.NEGATIVE_INFINITY;
  #loweredAtMs = Number.NEGATIVE_INFINITY;
  #grownAtMs = 0;
  #burstGrownAtMs = 0;
  /** Admissions of the current and the last window, to tell at which rate a refusal came. */
  #window = { startMs: 0, count: 0, lastCount: 0 };

  constructor(options: { name: string; allowance: Allowance; zone: string; draw(): number }) {
    const { allowance, zone } = options;
    this.name = options.name;
    this.#zone = zone;
    this.#draw = options.draw;
    this.#allowance = allowance;
    this.#burstMs = allowance.burstMs ?? BURST_MS;
    this.#burstMsMax = this.#burstMs;
    this.#places = new Places(allowance.concurrency);
    this.#configure();
    if (allowance.requestsPerDay !== undefined) this.#quotas.set("requests", new Quota(allowance.requestsPerDay, zone));
    if (allowance.tokensPerDay !== undefined) this.#quotas.set("tokens", new Quota(allowance.tokensPerDay, zone));
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Time of this pool that the amounts take up, whichever dimension is the narrowest: the currency of fairness. */
  costMs(amounts: Amounts, expectedMs: number): number {
    let cost = expectedMs / this.#places.limit;
    for (const [dimension, { bucket }] of this.#rates)
      cost = Math.max(cost, (60_000 * amounts[dimension]) / bucket.ratePerMinute);
    return Math.max(1, cost);
  }

  /** Until a call of these amounts may start. Where all places are taken that is a guess: the next call to end frees one. */
  wait(amounts: Amounts, nowMs: number, expectedMs: number): Wait {
    this.#recover(nowMs);
    let wait: Wait = { ms: 0, for: undefined };
    const consider = (ms: number, what: Wait["for"]) => {
      if (ms > wait.ms) wait = { ms, for: what };
    };
    consider(this.#blockedUntilMs - nowMs, "blocked");
    for (const [dimension, { bucket }] of this.#rates) consider(bucket.waitMs(amounts[dimension], nowMs), dimension);
    for (const [counts, quota] of this.#quotas) consider(quota.waitMs(amounts[counts], nowMs), "day");
    consider(this.#ramp.waitMs(amounts.tokens, nowMs), "growth");
    if (nowMs < this.#triedUntilMs && this.#inFlight > 0) consider(expectedMs, "day");
    if (this.#inFlight >= this.#places.limit) consider(expectedMs / this.#places.limit, "concurrency");
    consider(this.#untold.waitMs(nowMs), "blocked");
    return wait;
  }

  /** The share of its narrowest limit that is in use: 0 where none is known, Infinity while it is blocked. */
  used(nowMs: number): number {
    if (nowMs < this.#blockedUntilMs) return Number.POSITIVE_INFINITY;
    const shares = [...this.#rates.values()].map(({ bucket }) => 1 - bucket.level(nowMs) / bucket.capacity);
    return Math.max(this.#inFlight / this.#places.limit, ...shares);
  }

  /** At least half of all it is known to allow is free, and it has refused nothing lately. */
  hasPlenty(nowMs: number): boolean {
    return nowMs - this.#refusedAtMs >= QUIET_MS && this.used(nowMs) < 0.5;
  }

  take(amounts: Amounts, nowMs: number): void {
    this.#inFlight += 1;
    for (const [dimension, { bucket }] of this.#rates) bucket.take(amounts[dimension], nowMs);
    for (const [counts, quota] of this.#quotas) quota.add(amounts[counts], nowMs);
    this.#ramp.admit(amounts.tokens, nowMs);
    this.#roll(nowMs);
    this.#window.count += 1;
    this.#places.grow(this.#inFlight, nowMs);
    this.#untold.take(nowMs);
  }

  /** What a running call takes turns out to be another amount. */
  correct(reserved: Amounts, actual: Amounts, nowMs: number): void {
    for (const [dimension, { bucket }] of this.#rates) {
      const more = actual[dimension] - reserved[dimension];
      if (more > 0) bucket.take(more, nowMs);
      else if (more < 0) bucket.giveBack(-more);
    }
    for (const [counts, quota] of this.#quotas) quota.add(actual[counts] - reserved[counts], nowMs);
  }

  /** `hasAnswered`: the provider took the call. */
  release(hasAnswered: boolean, nowMs: number): void {
    this.#inFlight -= 1;
    if (!hasAnswered || nowMs < this.#blockedUntilMs) return;
    this.#daily = undefined;
    this.#triedUntilMs = 0;
  }

  /** Limits and rests that an answer told in its headers. */
  learn({ windows }: LimitReading, nowMs: number): void {
    for (const { name, limit, remaining, resetAtMs } of windows) {
      if (name.endsWith("/day") && remaining === 0 && resetAtMs !== undefined) this.#parkUntil(resetAtMs, nowMs);
      const counted = COUNTED[name];
      if (counted === undefined) continue;
      const { dimension, minutes } = counted;
      if (limit !== undefined && limit > 0) this.#hear(dimension, limit / minutes, nowMs);
      if (remaining !== undefined) this.#rates.get(dimension)?.bucket.clamp(remaining, nowMs);
    }
  }

  /** The provider refused a call for being too many. */
  refuse({ waitMs, reaction, quotaId = "" }: Refusal, nowMs: number): void {
    if (reaction === "day" && !this.#keepsWaitOf(quotaId, waitMs, nowMs)) {
      this.#parkUntil(nextDayMs(this.#zone, nowMs), nowMs);
      return;
    }
    const told = Math.min(waitMs ?? this.#untold.refuse(nowMs), BLOCKED_MS_MAX);
    if (waitMs !== undefined && waitMs > BLOCKED_MS_MAX) this.#parkUntil(nowMs + waitMs, nowMs);
    this.#blockedUntilMs = Math.max(this.#blockedUntilMs, nowMs + told * (1 + 0.1 * this.#draw()));
    if (reaction === "slow_down") this.#ramp.arm(nowMs);
    if (reaction === "lower" || reaction === "slow_down") {
      this.#lower(reaction === "slow_down" ? DECREASE_SLOW_DOWN : DECREASE, nowMs);
    }
  }

  /** Some providers tell a short wait beside a daily quota. It may be meant (then waiting helps) or not (then the same quota
   *  refuses again after it): it is kept once. */
  #keepsWaitOf(quotaId: string, waitMs: number | undefined, nowMs: number): boolean {
    if (waitMs === undefined || waitMs > BLOCKED_MS_MAX) return false;
    if (this.#daily?.quotaId !== quotaId) this.#daily = { quotaId, keptUntilMs: nowMs + waitMs };
    // What was under way together is refused together.
    return nowMs <= this.#daily.keptUntilMs;
  }

  /** Closed until then, except for one call at a time every hour. */
  #parkUntil(untilMs: number, nowMs: number): void {
    this.#triedUntilMs = Math.max(this.#triedUntilMs, untilMs);
    this.park(Math.min(untilMs, nowMs + BLOCKED_MS_MAX));
  }

  #lower(factor: number, nowMs: number): void {
    this.#refusedAtMs = nowMs;
    if (nowMs - this.#loweredAtMs < DECREASE_EVERY_MS) return;
    this.#loweredAtMs = nowMs;
    this.#roll(nowMs);
    this.#shortenBurst(nowMs);
    if (this.#rates.size > 0) this.#scale = Math.max(SCALE_MIN, this.#scale * factor);
    else if (this.#inFlight <= MANY_PLACES) this.#learnFromNothing(factor, nowMs);
    // Where rates were told, they are what was passed; where nothing was, it may as well have been the calls at once.
    const isTold = [...this.#rates.values()].some(({ source }) => source !== "learnt");
    if (!isTold) this.#places.refuse(this.#inFlight, nowMs);
    this.#grownAtMs = nowMs;
    this.#reshape(nowMs);
  }

  /** Forgets what refusals and headers taught: the operator knows that it no longer holds. */
  reset(): void {
    this.#blockedUntilMs = 0;
    this.#triedUntilMs = 0;
    this.#daily = undefined;
    this.#ramp.reset();
    this.#refusedAtMs = Number.NEGATIVE_INFINITY;
    this.#scale = 1;
    this.#burstMs = this.#burstMsMax;
    this.#places.reset();
    this.#untold.reset();
    this.#rates.clear();
    this.#configure();
  }

  #configure(): void {
    const { requests, tokens, inputTokens, outputTokens } = this.#allowance;
    this.#setRate("requests", requests, "configured", 0);
    this.#setRate("tokens", tokens, "configured", 0);
    this.#setRate("input_tokens", inputTokens, "configured", 0);
    this.#setRate("output_tokens", outputTokens, "configured", 0);
  }

  /** Nothing may go here for so long: the account is out of money, or its day is used up. */
  park(untilMs: number): void {
    this.#blockedUntilMs = Math.max(this.#blockedUntilMs, untilMs);
  }

  status(nowMs: number): PoolStatus {
    this.#recover(nowMs);
    return {
      name: this.name,
      rates: [...this.#rates].map(([counts, { bucket, perMinute, source }]) => {
        return { counts, per_minute: Math.round(perMinute), level: Math.round(bucket.level(nowMs)), source };
      }),
      quotas: [...this.#quotas].map(([counts, quota]) => {
        const used = quota.used(nowMs);
        return { counts, per_day: quota.limit, used, resets_at: new Date(quota.resetAtMs).toISOString() };
      }),
      in_flight: this.#inFlight,
      concurrency: Number.isFinite(this.#places.limit) ? this.#places.limit : null,
      scale: Number(this.#scale.toFixed(3)),
      blocked_until: this.#blockedUntilMs > nowMs ? new Date(this.#blockedUntilMs).toISOString() : null,
    };
  }

  /** What a later process should know; `undefined` when there is nothing. */
  export(nowMs: number): SavedPool | undefined {
    const quotas = Object.fromEntries(
      [...this.#quotas].map(([counts, quota]) => [counts, { used: quota.used(nowMs), resetAtMs: quota.resetAtMs }]),
    );
    const [blockedUntilMs, triedUntilMs] = [this.#blockedUntilMs, this.#triedUntilMs];
    if (Math.max(blockedUntilMs, triedUntilMs) <= nowMs && this.#quotas.size === 0) return undefined;
    return { blockedUntilMs, triedUntilMs, quotas };
  }

  restore(saved: SavedPool, nowMs: number): void {
    this.park(Math.min(saved.blockedUntilMs, nowMs + BLOCKED_MS_MAX));
    // A day, and an hour more for the one on which the clocks go back; a longer wait is told again by the next refusal.
    this.#triedUntilMs = Math.min(saved.triedUntilMs ?? 0, nowMs + 25 * BLOCKED_MS_MAX);
    for (const [counts, quota] of this.#quotas) {
      const known = saved.quotas[counts];
      if (known !== undefined) quota.restore(known.used, known.resetAtMs, nowMs);
    }
  }

  /** What the operator set holds where it is lower: part of the account may belong to others. */
  #hear(dimension: Dimension, perMinute: number, nowMs: number): void {
    const known = this.#rates.get(dimension);
    if (known?.perMinute === perMinute) return;
    if (known?.source === "configured" && known.perMinute < perMinute) return;
    this.#setRate(dimension, perMinute, known?.source === "configured" ? "configured" : "headers", nowMs);
  }

  #setRate(dimension: Dimension, perMinute: number | undefined, source: Source, nowMs: number): void {
    if (perMinute === undefined) return;
    const known = this.#rates.get(dimension);
    const rate = Math.max(1e-3, perMinute * MARGIN * this.#scale);
    if (known === undefined) {
      this.#rates.set(dimension, { bucket: new Bucket(rate, this.#burstMs), perMinute, source });
      return;
    }
    this.#rates.set(dimension, { bucket: known.bucket, perMinute, source });
    known.bucket.reshape(rate, this.#burstMs, nowMs);
  }

  /** Nothing was known and nothing was told: the rate at which the refusal came is the first guess. */
  #learnFromNothing(factor: number, nowMs: number): void {
    const elapsedMs = Math.max(1_000, nowMs - this.#window.startMs + (this.#window.lastCount > 0 ? RATE_WINDOW_MS : 0));
    const perMinute = (60_000 * (this.#window.count + this.#window.lastCount)) / elapsedMs;
    this.#setRate("requests", Math.max(GUESS_MIN, perMinute * factor), "learnt", nowMs);
  }

  /** Refused while the bucket still held a good part: the provider allows less at once than was taken. */
  #shortenBurst(nowMs: number): void {
    const isFull = [...this.#rates.values()].every(({ bucket }) => bucket.level(nowMs) > 0.3 * bucket.capacity);
    if (!isFull || this.#rates.size === 0) return;
    this.#burstMs = Math.max(BURST_MS_MIN, this.#burstMs / 2);
    this.#burstGrownAtMs = nowMs;
  }

  #recover(nowMs: number): void {
    if (nowMs - this.#refusedAtMs < QUIET_MS || nowMs - this.#grownAtMs < 250) return;
    const isLearnt = [...this.#rates.values()].some(({ source }) => source === "learnt");
    const quietS = (nowMs - Math.max(this.#grownAtMs, this.#refusedAtMs + QUIET_MS)) / 1_000;
    // A limit that was only guessed is tried beyond, and soon: nobody said that it is one.
    const scaleMax = isLearnt ? GUESS_SCALE_MAX : 1;
    const grown = isLearnt ? this.#scale * (1 + INCREASE_PER_S) ** quietS : this.#scale + INCREASE_PER_S * quietS;
    const isGrowing = this.#scale < scaleMax;
    if (isGrowing) this.#scale = Math.min(scaleMax, grown);
    this.#grownAtMs = nowMs;
    const isWidening = this.#burstMs < this.#burstMsMax && nowMs - this.#burstGrownAtMs >= BURST_GROWS_EVERY_MS;
    if (isWidening) {
      this.#burstMs = Math.min(this.#burstMsMax, 1.1 * this.#burstMs);
      this.#burstGrownAtMs = nowMs;
    }
    if (isGrowing || isWidening) this.#reshape(nowMs);
  }

  #reshape(nowMs: number): void {
    for (const [dimension, { perMinute, source }] of this.#rates) this.#setRate(dimension, perMinute, source, nowMs);
  }

  #roll(nowMs: number): void {
    const age = nowMs - this.#window.startMs;
    if (age < RATE_WINDOW_MS) return;
    const lastCount = age < 2 * RATE_WINDOW_MS ? this.#window.count : 0;
    this.#window = { startMs: nowMs, count: 0, lastCount };
  }
}

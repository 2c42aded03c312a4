// Keeps calls under the providers' limits: reserves before a call, lets callers wait in turn, learns from every answer.
import type { JsonObject, Usage } from "./chat.ts";
import { type Account, type EnabledProvider, type LimitReading, type Target, targetName } from "./dialect.ts";
import { type Amounts, amountsOf, type Need, settledAmounts } from "./limits/accounting.ts";
import { type Door, openOf } from "./limits/doors.ts";
import { FairQueue, type Place, type Priority, type QueueLimits, type Waiter } from "./limits/fair-queue.ts";
import { type Allowance, Pool, type PoolStatus, type Refusal, type SavedPool, type Wait } from "./limits/pool.ts";

export type { Need } from "./limits/accounting.ts";
export type { Door } from "./limits/doors.ts";
export type { Priority } from "./limits/fair-queue.ts";

/** What the operator knows of an account's limits. The first pool that matches a target is its pool; a target that none
 *  matches has one of its own, about which everything is learnt. */
export interface PoolConfig extends Allowance {
  name: string;
  matches(target: string): boolean;
  /** Where the targets are called with several keys: each has a pool of its own, by its name, and nothing is taken of this
   *  one. */
  accounts?: readonly AccountConfig[];
}

export interface AccountConfig extends Account {
  allowance: Allowance;
}

/** A target that would do, and what the call takes there. */
export interface Option {
  target: Target;
  /** One of those that `accountsOf` gives for the target; absent where it gives none. */
  account?: Account | undefined;
  need: Need;
  /** Told when the turn is granted, before anybody else is asked. */
  door?: Door | undefined;
}

export interface Ask {
  /** Whose turn it is: turns are shared fairly among keys. */
  key: string;
  priority: Priority;
  stream: boolean;
  bytes: number;
  /** In the order in which they are preferred: the first that is free is taken. */
  options: readonly Option[];
  /** How long the caller may be kept waiting. */
  maxWaitMs: number;
  signal: AbortSignal;
}

export type Turn =
  | { kind: "granted"; at: number; reservation: Reservation; queuedMs: number }
  /** It would take longer than the caller may wait. */
  | { kind: "refused"; retryAfterMs: number; lacks: string; queuedMs: number }
  | { kind: "cancelled"; queuedMs: number };

/** What one call has taken of its pool. */
export interface Reservation {
  /** Exact numbers, as far as they are known in mid-call. */
  correct(usage: Usage): void;
  learn(reading: LimitReading): void;
  /** The provider refused it for being one too many. */
  refuse(refusal: Refusal): void;
  /** Exactly once, when the call is over. `wasDone`: the provider did any work. */
  settle(usage: Usage | undefined, wasDone: boolean): void;
}

export interface Limits {
  /** Resolves at once where a place is free. */
  acquire(ask: Ask): Promise<Turn>;
  /** The accounts of a target that is called with several keys, none where it has but its provider's: those with the
   *  greatest share of their limits left first, then those with the fewest calls under way, then as it is drawn. */
  accountsOf(target: Target): readonly Account[];
  /** A call that belongs to one already admitted: takes what it needs, free or not. */
  take(key: string, option: Option): Reservation;
  /** For a call that could be done without: the first option whose pool has room at once and half of its limits to spare,
   *  while nobody waits for any. */
  takeSpare(key: string, options: readonly Option[]): { at: number; reservation: Reservation } | undefined;
  status(): LimitsStatus;
  /** Forgets what refusals and headers taught. Running calls keep their places. */
  reset(): void;
  /** What a later process should know: parked pools, and what is used up of the day. */
  export(): JsonObject;
  restore(json: unknown): void;
  close(): void;
}

export interface LimitsStatus {
  queued: number;
  pools: (PoolStatus & { queued: boolean })[];
}

export interface LimitsOptions {
  nowMs(): number;
  /** Calls back after `ms`, once, unless cancelled. */
  schedule(ms: number, callback: () => void): () => void;
  draw(): number;
  pools: readonly PoolConfig[];
  queue?: Partial<QueueLimits>;
}

const QUEUE: QueueLimits = { perKeyMax: 1_024, waitersMax: 2_048, bytesMax: 64 * 1024 ** 2 };
const POOLS_MAX = 1_024;
const RETRY_AFTER_MS_MIN = 1_000;
const RETRY_AFTER_MS_MAX = 300_000;

export function createLimits(options: LimitsOptions): Limits {
  return new PacedLimits(options);
}

class PacedLimits implements Limits {
  readonly #options: LimitsOptions;
  readonly #queue: FairQueue;
  /** By pool name. */
  readonly #pools = new Map<string, Pool>();
  readonly #poolOfTarget = new Map<string, Pool>();
  readonly #saved = new Map<string, SavedPool>();
  readonly #hasAccounts: boolean;
  #cancelTimer: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LimitsOptions) {
    this.#options = options;
    this.#queue = new FairQueue({ ...QUEUE, ...options.queue });
    this.#hasAccounts = options.pools.some(({ accounts }) => accounts !== undefined);
  }

  acquire(ask: Ask): Promise<Turn> {
    const nowMs = this.#options.nowMs();
    const places = ask.options.map((option) => this.#placeOf(option));
    if (ask.signal.aborted) return Promise.resolve({ kind: "cancelled", queuedMs: 0 });
    for (const [at, { pool, amounts, expectedMs, door }] of places.entries()) {
      if (this.#queue.size > 0 && this.#queue.isWaitedFor(pool)) continue;
      if (pool.wait(amounts, nowMs, expectedMs).ms > 0 || door?.isOpen() === false) continue;
      door?.enter();
      const reservation = this.#reserve(ask, ask.options[at] as Option, places[at] as Place);
      return Promise.resolve({ kind: "granted", at, reservation, queuedMs: 0 });
    }
    const expected = this.#expectedWait(ask, places, nowMs);
    if (expected.ms > ask.maxWaitMs || this.#isClosed || !this.#queue.makeRoomFor(ask, nowMs))
      return Promise.resolve(this.#refusal(expected, 0));
    return this.#wait(ask, places, nowMs);
  }

  accountsOf(target: Target): readonly Account[] {
    if (!this.#hasAccounts) return [];
    const accounts = this.#configOf(targetName(target))?.accounts ?? [];
    const { nowMs, draw } = this.#options;
    const ranked = accounts.map((account) => {
      const pool = this.#poolNamed(account.name, account.allowance, target.provider);
      return { account, used: pool.used(nowMs()), inFlight: pool.inFlight, drawn: draw() };
    });
    ranked.sort((a, b) => a.used - b.used || a.inFlight - b.inFlight || a.drawn - b.drawn);
    return ranked.map(({ account }) => account);
  }

  take(key: string, option: Option): Reservation {
    return this.#reserve({ key, priority: "default" }, option, this.#placeOf(option));
  }

  takeSpare(key: string, options: readonly Option[]): { at: number; reservation: Reservation } | undefined {
    const nowMs = this.#options.nowMs();
    if (this.#queue.size > 0 || this.#isClosed) return undefined;
    for (const [at, option] of options.entries()) {
      const place = this.#placeOf(option);
      const isFree = place.pool.wait(place.amounts, nowMs, place.expectedMs).ms <= 0;
      if (!isFree || !place.pool.hasPlenty(nowMs)) continue;
      return { at, reservation: this.#reserve({ key, priority: "batch" }, option, place) };
    }
    return undefined;
  }

  status(): LimitsStatus {
    const nowMs = this.#options.nowMs();
    const pools = [...this.#pools.values()].map((pool) => {
      return { ...pool.status(nowMs), queued: this.#queue.isWaitedFor(pool) };
    });
    return { queued: this.#queue.size, pools };
  }

  reset(): void {
    for (const pool of this.#pools.values()) pool.reset();
    this.#saved.clear();
    this.#dispatch();
  }

  export(): JsonObject {
    const nowMs = this.#options.nowMs();
    const known = [...this.#pools.values()].map((pool) => [pool.name, pool.export(nowMs)] as const);
    return Object.fromEntries(known.filter(([, saved]) => saved !== undefined));
  }

  restore(json: unknown): void {
    if (typeof json !== "object" || json === null) return;
    for (const [name, saved] of Object.entries(json).slice(0, POOLS_MAX)) {
      const { blockedUntilMs, triedUntilMs = 0, quotas } = (saved ?? {}) as Record<string, unknown>;
      if (
        typeof blockedUntilMs !== "number" ||
        typeof triedUntilMs !== "number" ||
        typeof quotas !== "object" ||
        quotas === null
      )
        continue;
      this.#saved.set(name, saved as SavedPool);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer?.();
    this.#queue.close();
  }

  #wait(ask: Ask, places: Place[], enqueuedMs: number): Promise<Turn> {
    return new Promise((resolve) => {
      const { key, priority, bytes, signal } = ask;
      const queuedMs = () => this.#options.nowMs() - enqueuedMs;
      const leave = () => {
        this.#queue.remove(waiter);
        resolve({ kind: "cancelled", queuedMs: queuedMs() });
        this.#dispatch();
      };
      const waiter: Waiter = {
        key,
        priority,
        bytes,
        places,
        prefersFresh: ask.stream && priority === "interactive",
        expiresAtMs: enqueuedMs + ask.maxWaitMs,
        grant: (at) => {
          signal.removeEventListener("abort", leave);
          places[at]?.door?.enter();
          const reservation = this.#reserve(ask, ask.options[at] as Option, places[at] as Place);
          resolve({ kind: "granted", at, reservation, queuedMs: queuedMs() });
        },
        refuse: (wait) => {
          signal.removeEventListener("abort", leave);
          resolve(this.#refusal(wait, queuedMs()));
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#queue.add(waiter, enqueuedMs);
      this.#dispatch();
    });
  }

  #dispatch(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#queue.size === 0 || this.#isClosed) return;
    const againMs = this.#queue.dispatch(this.#options.nowMs());
    if (this.#queue.size === 0 || !Number.isFinite(againMs)) return;
    this.#cancelTimer = this.#options.schedule(Math.max(1, Math.ceil(againMs)), () => this.#dispatch());
  }

  #expectedWait(ask: Ask, places: Place[], nowMs: number): Wait {
    let least: Wait = { ms: Number.POSITIVE_INFINITY, for: undefined };
    for (const { pool, amounts, expectedMs } of openOf(places)) {
      const own = pool.wait(amounts, nowMs, expectedMs);
      const ms = own.ms + this.#queue.backlogMs(pool, ask.key, ask.priority);
      if (ms < least.ms) least = { ms, for: own.for };
    }
    return least;
  }

  /** Spread a little, or all who were refused would come back at the same instant. */
  #refusal(wait: Wait, queuedMs: number): Turn {
    const spread = Number.isFinite(wait.ms) ? wait.ms * (1 + 0.2 * this.#options.draw()) : RETRY_AFTER_MS_MAX;
    const retryAfterMs = Math.min(RETRY_AFTER_MS_MAX, Math.max(RETRY_AFTER_MS_MIN, Math.ceil(spread)));
    return { kind: "refused", retryAfterMs, lacks: wait.for ?? "capacity", queuedMs };
  }

  #placeOf({ target, account, need, door }: Option): Place {
    const pool = (account === undefined ? undefined : this.#pools.get(account.name)) ?? this.#poolOf(target);
    return { pool, amounts: amountsOf(need, target.provider.accounting), expectedMs: need.expectedMs, door };
  }

  #poolOf(target: Target): Pool {
    const name = targetName(target);
    const known = this.#poolOfTarget.get(name);
    if (known !== undefined) return known;
    this.#makeRoom();
    const config = this.#configOf(name);
    const pool = this.#poolNamed(config?.name ?? name, config ?? {}, target.provider);
    this.#poolOfTarget.set(name, pool);
    return pool;
  }

  #configOf(target: string): PoolConfig | undefined {
    return this.#options.pools.find((pool) => pool.matches(target));
  }

  #poolNamed(name: string, allowance: Allowance, provider: EnabledProvider): Pool {
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const pool = new Pool({ name, allowance, zone: provider.quotaZone ?? "UTC", draw: this.#options.draw });
    const saved = this.#saved.get(name);
    if (saved !== undefined) pool.restore(saved, this.#options.nowMs());
    this.#pools.set(name, pool);
    return pool;
  }

  /** Callers may name models nobody knows; what was learnt about the oldest idle target is forgotten. Of a configured pool
   *  only the target's name is: it is matched again when it comes back. */
  #makeRoom(): void {
    if (this.#poolOfTarget.size < POOLS_MAX) return;
    for (const [name, pool] of this.#poolOfTarget) {
      const isConfigured = this.#options.pools.some((config) => config.name === pool.name);
      if (!isConfigured && pool.inFlight > 0) continue;
      this.#poolOfTarget.delete(name);
      if (!isConfigured) this.#pools.delete(pool.name);
      return;
    }
  }

  #reserve(whose: { key: string; priority: Priority }, { target }: Option, place: Place): Reservation {
    const { pool, amounts: reserved, expectedMs } = place;
    const { nowMs } = this.#options;
    pool.take(reserved, nowMs());
    let taken = reserved;
    let isSettled = false;
    const correctTo = (actual: Amounts) => {
      const costMs = pool.costMs(actual, expectedMs) - pool.costMs(taken, expectedMs);
      pool.correct(taken, actual, nowMs());
      taken = actual;
      this.#queue.correct(whose.key, whose.priority, costMs);
    };
    return {
      correct: (usage) => {
        const known = settledAmounts(reserved, usage, target.provider.accounting);
        // In mid-answer the output only grows: what is reserved for it stays until the end.
        const output_tokens = Math.max(taken.output_tokens, known.output_tokens);
        correctTo({ ...known, output_tokens, tokens: known.input_tokens + output_tokens });
      },
      learn: (reading) => pool.learn(reading, nowMs()),
      refuse: (refusal) => pool.refuse(refusal, nowMs()),
      settle: (usage, wasDone) => {
        if (isSettled) throw new Error("a reservation is settled once");
        isSettled = true;
        const nothing: Amounts = { requests: 1, tokens: 0, input_tokens: 0, output_tokens: 0 };
        if (!wasDone) correctTo(nothing);
        else if (usage !== undefined) correctTo(settledAmounts(reserved, usage, target.provider.accounting));
        pool.release(wasDone, nowMs());
        this.#dispatch();
      },
    };
  }
}

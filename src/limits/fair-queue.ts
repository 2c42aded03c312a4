// Who goes next when there is less than is asked for: the key that has been served least, counted in time of the narrowest
// limit (virtual token counter, Sheng et al., OSDI '24). Whoever is at the head may not be overtaken at the pools it waits
// for, so a large request is not starved by small ones.
import type { Amounts } from "./accounting.ts";
import { type Door, Doors, openOf } from "./doors.ts";
import type { Pool, Wait } from "./pool.ts";

export type Priority = "interactive" | "default" | "batch";
export const WEIGHTS: Readonly<Record<Priority, number>> = { interactive: 16, default: 4, batch: 1 };

export interface Place {
  pool: Pool;
  amounts: Amounts;
  expectedMs: number;
  /** Absent: always open. */
  door?: Door | undefined;
}

export interface Waiter {
  key: string;
  priority: Priority;
  /** Newer ones go first once the queue has stood for long: those who waited have mostly given up. */
  prefersFresh: boolean;
  bytes: number;
  /** In the order in which they are preferred. */
  places: readonly Place[];
  /** When it is too late. */
  expiresAtMs: number;
  /** Its turn has come: takes that place. */
  grant(at: number): void;
  /** It is too late, or the queue is closed. */
  refuse(wait: Wait): void;
}

export interface QueueLimits {
  perKeyMax: number;
  waitersMax: number;
  bytesMax: number;
}

const STANDING_MS = 20_000;
/** Doors open without a word: while somebody could go in but for one, it is looked at so often. */
const DOOR_MS = 100;

interface Line {
  waiters: Waiter[];
  bytes: number;
  weight: number;
  /** Pool time it was given, by its weight. */
  served: number;
}

/** Of one pool: time that is waited for, by line. */
interface Backlog {
  calls: number;
  lines: Map<Line, { calls: number; ms: number }>;
}

export class FairQueue {
  readonly #limits: QueueLimits;
  /** By priority and key. */
  readonly #lines = new Map<string, Line>();
  /** What waits for each pool, kept up with every coming and going: whoever comes asks for it, and the queue may be long. */
  readonly #backlogs = new Map<Pool, Backlog>();
  /** What each waiter was counted with: a pool's rates may change meanwhile. */
  readonly #shares = new Map<Waiter, ReadonlyMap<Pool, number>>();
  #size = 0;
  #bytes = 0;
  #since = 0;
  /** Nobody's time is up before. */
  #expiresAtMs = Number.POSITIVE_INFINITY;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether one more may wait. When the queue is full the newest of a line give way that takes up more of it: nobody keeps
   *  others out by filling it. */
  makeRoomFor({ key, priority, bytes }: Pick<Waiter, "key" | "priority" | "bytes">, nowMs: number): boolean {
    const { perKeyMax, waitersMax, bytesMax } = this.#limits;
    const own = this.#lines.get(lineOf(key, priority)) ?? { waiters: [], bytes: 0 };
    if (own.waiters.length >= perKeyMax || bytes > bytesMax) return false;
    const share = this.#shareOf(own.waiters.length + 1, own.bytes + bytes) / WEIGHTS[priority];
    while (this.#size >= waitersMax || this.#bytes + bytes > bytesMax) {
      const last = this.#largest(share)?.waiters.at(-1);
      if (last === undefined) return false;
      this.#refuse(last, nowMs);
    }
    return true;
  }

  isWaitedFor(pool: Pool): boolean {
    return this.#backlogs.has(pool);
  }

  /** Time the pool needs until a newcomer of this key has its turn, as things stand. */
  backlogMs(pool: Pool, key: string, priority: Priority): number {
    const backlog = this.#backlogs.get(pool);
    if (backlog === undefined) return 0;
    const weight = WEIGHTS[priority];
    let all = 0;
    let weights = 0;
    for (const [{ weight: lineWeight }, { ms }] of backlog.lines) {
      all += ms;
      weights += lineWeight;
    }
    const line = this.#lines.get(lineOf(key, priority));
    const own = (line === undefined ? undefined : backlog.lines.get(line)?.ms) ?? 0;
    // One's own calls before it and itself, each followed by the others' shares; never more than everything that waits.
    const others = own === 0 ? weights + weight : weights;
    return Math.min(all, ((own + all / backlog.calls) * others) / weight);
  }

  add(waiter: Waiter, nowMs: number): void {
    if (this.#size === 0) this.#since = nowMs;
    const name = lineOf(waiter.key, waiter.priority);
    let line = this.#lines.get(name);
    if (line === undefined) {
      // Whoever was idle has saved nothing up.
      const least = Math.min(...[...this.#lines.values()].map(({ served }) => served));
      line = { waiters: [], bytes: 0, weight: WEIGHTS[waiter.priority], served: Number.isFinite(least) ? least : 0 };
      this.#lines.set(name, line);
    }
    line.waiters.push(waiter);
    this.#count(waiter, line);
    this.#expiresAtMs = Math.min(this.#expiresAtMs, waiter.expiresAtMs);
    line.bytes += waiter.bytes;
    this.#size += 1;
    this.#bytes += waiter.bytes;
  }

  remove(waiter: Waiter): void {
    const name = lineOf(waiter.key, waiter.priority);
    const line = this.#lines.get(name);
    const at = line?.waiters.indexOf(waiter) ?? -1;
    if (line === undefined || at === -1) return;
    line.waiters.splice(at, 1);
    this.#uncount(waiter, line);
    line.bytes -= waiter.bytes;
    this.#size -= 1;
    this.#bytes -= waiter.bytes;
    if (line.waiters.length === 0) this.#lines.delete(name);
  }

  /** A call of this key turned out to take more or less than it was charged for. */
  correct(key: string, priority: Priority, byMs: number): void {
    const line = this.#lines.get(lineOf(key, priority));
    if (line !== undefined) line.served += byMs / line.weight;
  }

  /** Gives every turn that can be given. Answers with the time until it is worth looking again; Infinity: at an event only. */
  dispatch(nowMs: number): number {
    let againMs = this.#expire(nowMs);
    const claimed = new Set<Pool>();
    const done = new Set<Line>();
    const doors = new Doors();
    for (;;) {
      const line = this.#leastServed(done);
      if (line === undefined || this.#isAllClaimed(claimed)) return againMs;
      const found = this.#nextIn(line, { claimed, doors, nowMs });
      if (found.turn === undefined) {
        done.add(line);
        againMs = Math.min(againMs, found.waitMs);
        continue;
      }
      const { waiter, at } = found.turn;
      const place = waiter.places[at] as Place;
      line.served += place.pool.costMs(place.amounts, place.expectedMs) / line.weight;
      this.remove(waiter);
      waiter.grant(at);
      doors.look(place.door);
    }
  }

  close(): void {
    for (const { waiters } of [...this.#lines.values()]) for (const waiter of [...waiters]) this.#refuse(waiter, 0);
  }

  /** Of the queue's bounds, whichever is the narrower. */
  #shareOf(waiters: number, bytes: number): number {
    return Math.max(waiters / this.#limits.waitersMax, bytes / this.#limits.bytesMax);
  }

  /** The line with the largest share for its weight, if that is more than `share`. */
  #largest(share: number): Line | undefined {
    let most = share;
    let largest: Line | undefined;
    for (const line of this.#lines.values()) {
      const own = this.#shareOf(line.waiters.length, line.bytes) / line.weight;
      if (own <= most) continue;
      most = own;
      largest = line;
    }
    return largest;
  }

  #leastServed(done: Set<Line>): Line | undefined {
    let least: Line | undefined;
    for (const line of this.#lines.values())
      if (!done.has(line) && (least === undefined || line.served < least.served)) least = line;
    return least;
  }

  /** The first of a line for whom there is a place. Those who must wait claim their pools, as far as they might go in. */
  #nextIn({ waiters }: Line, { claimed, doors, nowMs }: Round): { turn: Granted | undefined; waitMs: number } {
    let waitMs = Number.POSITIVE_INFINITY;
    const isStanding = nowMs - this.#since >= STANDING_MS;
    const ordered = isStanding && waiters.every(({ prefersFresh }) => prefersFresh) ? waiters.toReversed() : waiters;
    let isBlocked = claimed.size > 0;
    for (const waiter of ordered) {
      if (this.#isAllClaimed(claimed)) break;
      if (isBlocked && waiter.places.every(({ pool }) => claimed.has(pool))) continue;
      for (const [at, { pool, amounts, expectedMs, door }] of waiter.places.entries()) {
        if (claimed.has(pool)) continue;
        const { ms } = pool.wait(amounts, nowMs, expectedMs);
        if (ms === 0 && doors.letIn(waiter.places, door)) return { turn: { waiter, at }, waitMs };
        waitMs = Math.min(waitMs, ms === 0 ? DOOR_MS : ms);
      }
      for (const { pool, door } of waiter.places) if (doors.isOpen(door)) claimed.add(pool);
      isBlocked = true;
    }
    return { turn: undefined, waitMs };
  }

  /** Refuses those for whom it is too late; until the next one's time is up. */
  #expire(nowMs: number): number {
    if (nowMs < this.#expiresAtMs) return this.#expiresAtMs - nowMs;
    const all = [...this.#lines.values()].flatMap(({ waiters }) => waiters);
    for (const waiter of all) if (waiter.expiresAtMs <= nowMs) this.#refuse(waiter, nowMs);
    const left = all.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    this.#expiresAtMs = left.reduce((least, each) => Math.min(least, each.expiresAtMs), Number.POSITIVE_INFINITY);
    return this.#expiresAtMs - nowMs;
  }

  /** Then nobody can be given anything more. */
  #isAllClaimed(claimed: Set<Pool>): boolean {
    return claimed.size > 0 && claimed.size >= this.#backlogs.size;
  }

  /** A request that may go to several pools weighs on each with its part; not where it cannot go in as things stand. */
  #count(waiter: Waiter, line: Line): void {
    const { places } = waiter;
    const open = openOf(places);
    const shares = new Map<Pool, number>();
    for (const { pool, amounts, expectedMs } of open)
      if (!shares.has(pool)) shares.set(pool, pool.costMs(amounts, expectedMs) / open.length);
    for (const { pool } of places) if (!shares.has(pool)) shares.set(pool, 0);
    this.#shares.set(waiter, shares);
    for (const [pool, ms] of shares) {
      const backlog = this.#backlogs.get(pool) ?? { calls: 0, lines: new Map() };
      const own = backlog.lines.get(line) ?? { calls: 0, ms: 0 };
      backlog.lines.set(line, { calls: own.calls + 1, ms: own.ms + ms });
      backlog.calls += 1;
      this.#backlogs.set(pool, backlog);
    }
  }

  #uncount(waiter: Waiter, line: Line): void {
    for (const [pool, ms] of this.#shares.get(waiter) ?? []) {
      const backlog = this.#backlogs.get(pool);
      const own = backlog?.lines.get(line);
      if (backlog === undefined || own === undefined) continue;
      if (own.calls === 1) backlog.lines.delete(line);
      else backlog.lines.set(line, { calls: own.calls - 1, ms: own.ms - ms });
      backlog.calls -= 1;
      if (backlog.calls === 0) this.#backlogs.delete(pool);
    }
    this.#shares.delete(waiter);
  }

  #refuse(waiter: Waiter, nowMs: number): void {
    this.remove(waiter);
    const waits = openOf(waiter.places).map(({ pool, amounts, expectedMs }) => pool.wait(amounts, nowMs, expectedMs));
    waiter.refuse(waits.reduce((least, wait) => (wait.ms < least.ms ? wait : least)));
  }
}

interface Granted {
  waiter: Waiter;
  at: number;
}

interface Round {
  /** Pools of those who go before and must wait. */
  claimed: Set<Pool>;
  doors: Doors;
  nowMs: number;
}

function lineOf(key: string, priority: Priority): string {
  return `${priority} ${key}`;
}

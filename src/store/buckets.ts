// Which sums cover a time: days where whole days are asked for, hours and minutes at its ends, as far as they are kept.
import type { Database } from "better-sqlite3";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export interface TimeRange {
  fromMs: number;
  /** Exclusive; absent: whatever comes. */
  toMs?: number | undefined;
}

export type Step = "minute" | "hour" | "day";

interface Level {
  step: Step;
  table: string;
  ms: number;
}

const LEVELS: readonly [Level, Level, Level] = [
  { step: "day", table: "rollup_days", ms: DAY_MS },
  { step: "hour", table: "rollup_hours", ms: HOUR_MS },
  { step: "minute", table: "rollup_minutes", ms: MINUTE_MS },
];

export interface Span {
  table: string;
  bucketMs: number;
  /** Buckets from (inclusive) to (exclusive). */
  from: number;
  to: number;
}

/** Sums that were pruned are asked for. The message is for people. */
export class SumsNotKept extends Error {
  override readonly name = "SumsNotKept";
}

/**
 * The time as sums can tell it: its ends are moved outwards to a full hour or day where finer sums are no longer kept.
 * To be asked in the transaction that reads the sums.
 */
export function tellable(db: Database, { fromMs, toMs }: TimeRange): TimeRange {
  return {
    fromMs: outwards(db, fromMs, Math.floor),
    ...(toMs !== undefined && { toMs: outwards(db, toMs, Math.ceil) }),
  };
}

function outwards(db: Database, ms: number, round: (value: number) => number): number {
  const [days, hours, minutes] = LEVELS;
  const atMinute = round(ms / MINUTE_MS) * MINUTE_MS;
  const isMinuteKept = lastIncomplete(db, minutes, hours, { fromMs: atMinute, toMs: atMinute + 1 }) === undefined;
  const atHour = atMinute % HOUR_MS === 0 || isMinuteKept ? atMinute : round(ms / HOUR_MS) * HOUR_MS;
  const isHourKept = lastIncomplete(db, hours, days, { fromMs: atHour, toMs: atHour + 1 }) === undefined;
  return atHour % DAY_MS === 0 || isHourKept ? atHour : round(ms / DAY_MS) * DAY_MS;
}

/** End of the last coarse bucket in that time whose finer sums do not add up to it, in ms: they have been pruned. */
function lastIncomplete(db: Database, fine: Level, coarse: Level, { fromMs, toMs }: TimeRange): number | undefined {
  const last = db
    .prepare(`
      SELECT max(c.bucket) FROM
        (SELECT bucket, sum(requests + attempts) AS n FROM ${coarse.table} WHERE bucket >= ? AND bucket < ? GROUP BY 1) c
      WHERE c.n <> (SELECT coalesce(sum(f.requests + f.attempts), 0) FROM ${fine.table} f
        WHERE f.bucket >= c.bucket * ? AND f.bucket < (c.bucket + 1) * ?)`)
    .pluck()
    .get(
      Math.floor(fromMs / coarse.ms),
      toMs === undefined ? Number.MAX_SAFE_INTEGER : Math.ceil(toMs / coarse.ms),
      coarse.ms / fine.ms,
      coarse.ms / fine.ms,
    ) as number | null;
  return last === null ? undefined : (last + 1) * coarse.ms;
}

/** Throws SumsNotKept where sums by `step` are no longer kept for all of the time. */
export function requireKept(db: Database, step: Step, range: TimeRange): void {
  const upTo = LEVELS.findIndex((level) => level.step === step);
  for (let at = upTo; at > 0; at -= 1) {
    const endMs = lastIncomplete(db, LEVELS[at] as Level, LEVELS[at - 1] as Level, range);
    if (endMs === undefined) continue;
    const since = `${new Date(endMs).toISOString().slice(0, 16)}Z`;
    throw new SumsNotKept(
      `this needs sums by ${step}, which are kept since ${since} only: ask for --since ${since} or later, or for ` +
        "days in UTC (no --time-zone)",
    );
  }
}

/** The fewest buckets, none longer than `longest`, that make up the time exactly (its ends are at full minutes). */
export function spansOf(range: TimeRange, longest: Step): Span[] {
  return cover(
    range.fromMs,
    range.toMs ?? Number.POSITIVE_INFINITY,
    LEVELS.findIndex(({ step }) => step === longest),
  );
}

function cover(fromMs: number, toMs: number, at: number): Span[] {
  const level = LEVELS[at];
  if (level === undefined || fromMs >= toMs) return [];
  const from = Math.ceil(fromMs / level.ms);
  const to = Math.floor(toMs / level.ms);
  if (from >= to) return cover(fromMs, toMs, at + 1);
  const middle = { table: level.table, bucketMs: level.ms, from, to: Math.min(to, Number.MAX_SAFE_INTEGER) };
  return [...cover(fromMs, from * level.ms, at + 1), middle, ...cover(to * level.ms, toMs, at + 1)];
}

// The check on the sums: what the rows add up to, against what was kept beside them.
import type { Database } from "better-sqlite3";
import { firstIdAt } from "./request-ids.ts";

/** A sum that is not what its rows add up to. */
export interface Difference {
  /** Days since 1970, UTC. */
  day: number;
  dimension: number;
  column: string;
  kept: number;
  summed: number;
}

/** Every row of attempts counts here as in booking.ts. How many requests reached a model is not compared: a request whose
 *  tries lie on both sides of midnight counts on the day it was first settled, which its rows no longer tell. */
const CHECKED = `
  SELECT a.opened_at_ms / 86400000 AS day, a.dimension, 0 AS requests, count(*) AS attempts,
    sum(coalesce(e.text IN ('failed', 'truncated'), 0)) AS failed_attempts,
    sum(coalesce(a.input_tokens, 0)) AS input_tokens, sum(coalesce(a.output_tokens, 0)) AS output_tokens,
    sum(coalesce(a.cache_read_tokens, 0)) AS cache_read_tokens,
    sum(coalesce(a.cache_write_tokens, 0) + coalesce(a.cache_write_1h_tokens, 0)) AS cache_write_tokens,
    sum(coalesce(a.reasoning_tokens, 0)) AS reasoning_tokens, sum(coalesce(a.cost_nano_usd, 0)) AS cost_nano_usd,
    sum(iif(a.cost_nano_usd IS NULL, coalesce(a.estimated_nano_usd, 0), 0)) AS estimated_nano_usd,
    sum(a.state = 2) AS unknown_attempts
  FROM attempt_rows a LEFT JOIN texts e ON e.id = a.end_reason
  WHERE a.state <> 0 AND a.opened_at_ms >= @fromMs AND a.opened_at_ms < @toMs AND a.request_id >= @fromId
    AND a.request_id < @toId
  GROUP BY 1, 2`;

const REQUESTS = `
  SELECT received_at_ms / 86400000 AS day, dimension, count(*) AS requests
  FROM request_rows WHERE received_at_ms >= @fromMs AND received_at_ms < @toMs AND request_id >= @fromId
    AND request_id < @toId
  GROUP BY 1, 2`;

const DAY_MS = 86_400_000;
const COLUMNS = [
  "attempts",
  "failed_attempts",
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "reasoning_tokens",
  "cost_nano_usd",
  "estimated_nano_usd",
  "unknown_attempts",
] as const;

type DayRow = { day: bigint; dimension: bigint } & Record<string, bigint>;

/** Request ids: from (inclusive) to (exclusive). */
export interface IdRange {
  from: string;
  to: string;
}

const ALL_IDS: IdRange = { from: "", to: "~" };

/** Rows of one piece. */
const ROWS_MAX = 4_000;

/** Compares one day at once; for tests, whose ids are of any form. */
export function differencesOf(db: Database, day: number, ids: IdRange = ALL_IDS): Difference[] {
  const steps = checkDay(db, day, ids);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/** The ids of a day's attempts: their requests were received on that day or, at the earliest, on the day before. */
export function idsAround(day: number): IdRange {
  return { from: firstIdAt((day - 1) * DAY_MS), to: firstIdAt((day + 2) * DAY_MS) };
}

/** Compares one day, piece by piece. The rows must not change in between: `db` is to be in a read transaction. */
export function* checkDay(db: Database, day: number, ids: IdRange = idsAround(day)): Generator<void, Difference[]> {
  const kept = new Map<string, DayRow>();
  const sums = db.prepare("SELECT bucket AS day, * FROM rollup_days WHERE bucket = ?").safeIntegers().all(day);
  for (const row of sums as DayRow[]) kept.set(String(row.dimension), row);
  const attempts = yield* sumUp(db, { sql: CHECKED, table: "attempt_rows" }, day, ids);
  const requests = yield* sumUp(db, { sql: REQUESTS, table: "request_rows" }, day, ids);
  const found: Difference[] = [];
  const compare = (row: DayRow, column: string) => {
    const have = kept.get(String(row.dimension))?.[column] ?? 0n;
    if (have === row[column]) return;
    const values = { kept: Number(have), summed: Number(row[column]) };
    found.push({ day, dimension: Number(row.dimension), column, ...values });
  };
  for (const row of attempts.values()) for (const column of COLUMNS) compare(row, column);
  // What died with a process has no row of its own: the sum may be larger.
  for (const row of requests.values()) {
    if ((kept.get(String(row.dimension))?.requests ?? 0n) < (row.requests ?? 0n)) compare(row, "requests");
  }
  for (const [dimension, row] of kept) {
    if (attempts.has(dimension) || row.attempts === 0n) continue;
    found.push({ day, dimension: Number(dimension), column: "attempts", kept: Number(row.attempts), summed: 0 });
  }
  return found;
}

/** The sums by dimension. */
function* sumUp(
  db: Database,
  { sql, table }: { sql: string; table: string },
  day: number,
  ids: IdRange,
): Generator<void, Map<string, DayRow>> {
  const sum = db.prepare(sql).safeIntegers();
  const end = db
    .prepare(
      `SELECT request_id FROM ${table} WHERE request_id > ? AND request_id < ? ORDER BY request_id LIMIT 1 OFFSET ?`,
    )
    .pluck();
  const summed = new Map<string, DayRow>();
  for (let from: string | undefined = ids.from; from !== undefined; ) {
    const next = end.get(from, ids.to, ROWS_MAX) as string | undefined;
    const piece = { fromMs: day * DAY_MS, toMs: (day + 1) * DAY_MS, fromId: from, toId: next ?? ids.to };
    for (const row of sum.all(piece) as DayRow[]) addTo(summed, row);
    from = next;
    yield;
  }
  return summed;
}

function addTo(summed: Map<string, DayRow>, row: DayRow): void {
  const key = String(row.dimension);
  const before = summed.get(key);
  if (before === undefined) summed.set(key, row);
  else for (const column of [...COLUMNS, "requests"]) before[column] = (before[column] ?? 0n) + (row[column] ?? 0n);
}

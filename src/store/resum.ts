// The check on the sums: what the rows add up to, against what was kept beside them.
import type { Database } from "better-sqlite3";

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
    sum(coalesce(a.cost_nano_usd, 0)) AS cost_nano_usd,
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
  "cost_nano_usd",
  "estimated_nano_usd",
  "unknown_attempts",
] as const;

type DayRow = { day: bigint; dimension: bigint } & Record<string, bigint>;

/** Compares one day. `ids`: request ids of that time begin with it; the default covers all ids. */
export function differencesOf(db: Database, day: number, ids = { from: "", to: "~" }): Difference[] {
  const when = { fromMs: day * DAY_MS, toMs: (day + 1) * DAY_MS, fromId: ids.from, toId: ids.to };
  const kept = new Map<string, DayRow>();
  const sums = db.prepare("SELECT bucket AS day, * FROM rollup_days WHERE bucket = ?").safeIntegers().all(day);
  for (const row of sums as DayRow[]) kept.set(String(row.dimension), row);
  const found: Difference[] = [];
  const compare = (row: DayRow, column: string) => {
    const have = kept.get(String(row.dimension))?.[column] ?? 0n;
    if (have === row[column]) return;
    const values = { kept: Number(have), summed: Number(row[column]) };
    found.push({ day, dimension: Number(row.dimension), column, ...values });
  };
  const attempts = db.prepare(CHECKED).safeIntegers().all(when) as DayRow[];
  for (const row of attempts) for (const column of COLUMNS) compare(row, column);
  // What died with a process has no row of its own: the sum may be larger.
  const requests = db.prepare(REQUESTS).safeIntegers().all(when) as DayRow[];
  for (const row of requests) {
    if ((kept.get(String(row.dimension))?.requests ?? 0n) < (row.requests ?? 0n)) compare(row, "requests");
  }
  const summed = new Set(attempts.map((row) => String(row.dimension)));
  for (const [dimension, row] of kept) {
    if (summed.has(dimension) || row.attempts === 0n) continue;
    found.push({ day, dimension: Number(dimension), column: "attempts", kept: Number(row.attempts), summed: 0 });
  }
  return found;
}

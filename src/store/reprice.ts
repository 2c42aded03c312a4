// Costs worked out again from the usage that was booked: rows and their sums, a few hundred in a transaction.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import type { Usage } from "../chat.ts";
import { idRange, USAGE_COLUMNS, type UsageColumns, usageOf } from "./attempt-stream.ts";
import type { TimeRange } from "./buckets.ts";
import { DATABASE_NAME, openForWriting } from "./database.ts";
import { Dictionary } from "./dictionary.ts";
import { dimensionsWhere, type UsageFilters } from "./filters.ts";
import { requireCurrentSchema } from "./migrate.ts";
import { reading } from "./reader.ts";
import { ROLLUPS } from "./rollups.ts";

export interface PriceNow {
  costNanoUsd: number;
  priceStatus: string;
  /** The unit prices it was worked out with. */
  rates: { key: string; json: string };
}

export interface RepriceQuery extends TimeRange {
  filters: UsageFilters;
  /** Nothing is written. */
  isDry: boolean;
  /** `undefined`: there is no price for it now, and the row stays as it is. */
  price(call: { provider: string; model: string; usage: Usage; openedAtMs: number }): PriceNow | undefined;
}

export interface Repriced {
  provider: string;
  model: string;
  /** Settled attempts with a usage. */
  attempts: number;
  /** Their cost is another now; `priced`: it was not known before. */
  changed: number;
  priced: number;
  /** Without a price now: left as they are. */
  leftOut: number;
  /** Known costs, before and after, of all of them. */
  beforeNanoUsd: bigint;
  afterNanoUsd: bigint;
}

const BATCH_ROWS = 500;
const BUSY_TIMEOUT_MS = 5_000;

/** What is told by the provider, or known to be nothing, is no matter of a price list. */
const NOT_BY_TABLE = "('reported', 'unmetered')";

interface Row extends UsageColumns {
  requestId: string;
  attempt: number;
  dimension: number;
  provider: string;
  model: string;
  openedAtMs: number;
  cost: number | null;
  estimated: number | null;
  rates: number | null;
}

/** Safe beside a running router, and to be interrupted or done again: each batch is a transaction of its own. Throws when
 *  another process keeps the database locked; what was done by then stays done. */
export function reprice(dir: string, query: RepriceQuery): Repriced[] {
  // Also says what is wrong with a folder without a ledger.
  if (query.isDry || !existsSync(join(dir, DATABASE_NAME))) return reading(dir, (db) => repriceAll(db, query));
  const db = openForWriting(join(dir, DATABASE_NAME), BUSY_TIMEOUT_MS);
  try {
    requireCurrentSchema(db);
    return repriceAll(db, query);
  } finally {
    db.close();
  }
}

function repriceAll(db: Database, query: RepriceQuery): Repriced[] {
  const found = new Map<string, Repriced>();
  const next = batches(db, query);
  const write = query.isDry ? undefined : prepareWrite(db);
  const step = db.transaction((after: Row | undefined) => {
    const rows = next(after);
    for (const row of rows) repriceOne(row, query, found, write);
    return rows;
  });
  let last: Row | undefined;
  for (;;) {
    const rows = query.isDry ? step(last) : step.immediate(last);
    last = rows.at(-1);
    if (last === undefined) break;
  }
  return [...found.values()].sort((a, b) => (`${a.provider}/${a.model}` < `${b.provider}/${b.model}` ? -1 : 1));
}

function batches(db: Database, { filters, ...range }: RepriceQuery): (after: Row | undefined) => Row[] {
  const matching = dimensionsWhere(filters);
  const statement = db.prepare(`
    SELECT a.request_id AS requestId, a.attempt, a.dimension, d.provider, d.model, a.opened_at_ms AS openedAtMs,
      a.cost_nano_usd AS cost, a.estimated_nano_usd AS estimated, a.rates, ${USAGE_COLUMNS}
    FROM attempt_rows a JOIN dimensions d ON d.id = a.dimension LEFT JOIN texts p ON p.id = a.price_status
    WHERE (a.request_id, a.attempt) > (?, ?) AND a.request_id < ? AND a.state = 1 AND a.opened_at_ms >= ?
      AND a.opened_at_ms < ? AND coalesce(p.text, '') NOT IN ${NOT_BY_TABLE}
      ${matching === undefined ? "" : `AND a.dimension IN (${matching.sql})`}
    ORDER BY a.request_id, a.attempt LIMIT ${BATCH_ROWS}`);
  const [first, end] = idRange(range);
  const values = [end, range.fromMs, range.toMs ?? Number.MAX_SAFE_INTEGER, ...(matching?.values ?? [])];
  return (after) => statement.all(after?.requestId ?? first, after?.attempt ?? 0, ...values) as Row[];
}

type Write = (row: Row, now: PriceNow) => void;

function repriceOne(row: Row, { price }: RepriceQuery, found: Map<string, Repriced>, write: Write | undefined): void {
  const { provider, model, cost, openedAtMs } = row;
  const usage = usageOf(row);
  if (usage === undefined) return;
  const name = `${provider}/${model}`;
  const none = { attempts: 0, changed: 0, priced: 0, leftOut: 0, beforeNanoUsd: 0n, afterNanoUsd: 0n };
  const sum = found.get(name) ?? { provider, model, ...none };
  found.set(name, sum);
  const now = price({ provider, model, usage, openedAtMs });
  sum.attempts += 1;
  sum.beforeNanoUsd += BigInt(cost ?? 0);
  sum.afterNanoUsd += BigInt(now?.costNanoUsd ?? cost ?? 0);
  if (now === undefined) {
    sum.leftOut += 1;
    return;
  }
  if (now.costNanoUsd !== cost) sum.changed += 1;
  if (cost === null) sum.priced += 1;
  write?.(row, now);
}

function prepareWrite(db: Database): Write {
  const words = new Dictionary(db);
  const update = db.prepare(`UPDATE attempt_rows SET cost_nano_usd = ?, price_status = ?, rates = ?
    WHERE request_id = ? AND attempt = ?`);
  // Sums that were pruned must not come back with a difference alone in them: no insert.
  const sums = ROLLUPS.map(({ table, bucketMs }) => ({
    bucketMs,
    statement: db.prepare(`UPDATE ${table} SET cost_nano_usd = cost_nano_usd + ?,
      estimated_nano_usd = estimated_nano_usd - ?, unpriced_attempts = unpriced_attempts - ?
      WHERE bucket = ? AND dimension = ?`),
  }));
  return (row, { costNanoUsd, priceStatus, rates }) => {
    words.saveRates(rates.key, rates.json);
    const ratesId = words.rates(rates.key);
    if (costNanoUsd === row.cost && ratesId === row.rates) return;
    update.run(costNanoUsd, words.text(priceStatus), ratesId, row.requestId, row.attempt);
    if (costNanoUsd === row.cost) return;
    const wasUnknown = row.cost === null;
    const difference = costNanoUsd - (row.cost ?? 0);
    for (const { bucketMs, statement } of sums) {
      const bucket = Math.floor(row.openedAtMs / bucketMs);
      statement.run(difference, wasUnknown ? (row.estimated ?? 0) : 0, wasUnknown ? 1 : 0, bucket, row.dimension);
    }
  };
}

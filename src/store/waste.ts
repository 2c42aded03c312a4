// What was paid for nothing, or for less than it could have been: answers cut off, the same asked twice, caches missed,
// failures that were billed. SQLite reads and sorts; only what was found comes here, row by row.
import type { Database } from "better-sqlite3";
import { idRange } from "./attempt-stream.ts";
import type { TimeRange } from "./buckets.ts";

export const WASTE_KINDS = ["cut_off", "repeated", "cache_missed", "failed_billed"] as const;
export type WasteKind = (typeof WASTE_KINDS)[number];

export interface WasteSum {
  count: number;
  nanoUsd: bigint;
  /** Those of `count` whose money is not known. */
  unpriced: number;
}

export interface Waste {
  kinds: Record<WasteKind, WasteSum & { keys: (WasteSum & { key: string })[] }>;
  attemptsLookedAt: number;
  requestsLookedAt: number;
}

export interface WasteQuery extends TimeRange {
  /** What reading a whole prompt from the cache saves; `undefined` when it has no price, 0 when caches cost the same. */
  cacheSavingNanoUsd(call: {
    provider: string;
    model: string;
    inputTokens: number;
    openedAtMs: number;
  }): number | undefined;
}

const KEYS_SHOWN = 5;

/** All from one state of the ledger. */
export function wasteReport(db: Database, query: WasteQuery): Waste {
  return db.transaction(() => {
    const found = new Map(WASTE_KINDS.map((kind) => [kind, new Map<string, WasteSum>()]));
    const add: Add = (kind, key, nanoUsd) => {
      const keys = found.get(kind) as Map<string, WasteSum>;
      const sum = keys.get(key) ?? { count: 0, nanoUsd: 0n, unpriced: 0 };
      sum.count += 1;
      if (nanoUsd === null) sum.unpriced += 1;
      else sum.nanoUsd += BigInt(nanoUsd);
      keys.set(key, sum);
    };
    const times = [...idRange(query), query.fromMs, query.toMs ?? Number.MAX_SAFE_INTEGER];
    const attempts = db.prepare(`SELECT count(*) FROM attempt_rows a WHERE ${IN_TIME}`).pluck();
    const requests = db.prepare(`SELECT count(*) FROM request_rows r WHERE ${RECEIVED_IN_TIME}`).pluck();
    addBadEnds(db, times, add);
    addRepeated(db, times, add);
    addCacheMisses(db, times, query, add);
    const kinds = Object.fromEntries(WASTE_KINDS.map((kind) => [kind, summed(found.get(kind) ?? new Map())]));
    return {
      kinds: kinds as Waste["kinds"],
      attemptsLookedAt: attempts.get(...times) as number,
      requestsLookedAt: requests.get(...times) as number,
    };
  })();
}

type Add = (kind: WasteKind, key: string, nanoUsd: number | null) => void;
type Times = (string | number)[];

const IN_TIME = "a.request_id >= ? AND a.request_id < ? AND a.opened_at_ms >= ? AND a.opened_at_ms < ? AND a.state = 1";
const RECEIVED_IN_TIME = "r.request_id >= ? AND r.request_id < ? AND r.received_at_ms >= ? AND r.received_at_ms < ?";

/** How providers say that the output met its limit. */
const LIMIT_REASONS = ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length"];

function addBadEnds(db: Database, times: Times, add: Add): void {
  const statement = db.prepare(`
    SELECT d.key, a.cost_nano_usd AS cost, e.text AS endReason
    FROM attempt_rows a JOIN dimensions d ON d.id = a.dimension LEFT JOIN texts e ON e.id = a.end_reason
      LEFT JOIN texts f ON f.id = a.finish_reason
    WHERE ${IN_TIME} AND (f.text IN (${LIMIT_REASONS.map(() => "?").join(", ")})
      OR (e.text IN ('failed', 'truncated') AND a.cost_nano_usd > 0))`);
  for (const row of statement.iterate(...times, ...LIMIT_REASONS)) {
    const { key, cost, endReason } = row as { key: string; cost: number | null; endReason: string | null };
    const isFailed = endReason === "failed" || endReason === "truncated";
    add(isFailed ? "failed_billed" : "cut_off", key, cost);
  }
}

/** Answered, and asked again word for word by the same key: all but the first. */
function addRepeated(db: Database, times: Times, add: Add): void {
  const statement = db.prepare(`
    SELECT key, (SELECT iif(count(*) = count(c.cost_nano_usd), sum(c.cost_nano_usd), NULL) FROM attempt_rows c
      WHERE c.request_id = n.request_id) AS cost
    FROM (SELECT r.request_id, d.key, row_number() OVER (PARTITION BY d.key, r.body_hash ORDER BY r.request_id) AS nth
      FROM request_rows r JOIN dimensions d ON d.id = r.dimension
      WHERE ${RECEIVED_IN_TIME} AND r.status < 400 AND r.body_hash IS NOT NULL) n
    WHERE nth > 1`);
  for (const row of statement.iterate(...times)) {
    const { key, cost } = row as { key: string; cost: number | null };
    add("repeated", key, cost);
  }
}

/** Shorter prompts are not cached by any provider that caches by itself. */
const CACHEABLE_TOKENS_MIN = 1_024;
/** The shortest of the lifetimes providers name. */
const CACHE_LIVES_MS = 5 * 60_000;

/** A prompt that could have been read from the cache of the one before it, in the same conversation or, where none was
 *  named, by the same key from the same model: it need not begin alike, so this is what there may be to gain. */
function addCacheMisses(db: Database, times: Times, { cacheSavingNanoUsd }: WasteQuery, add: Add): void {
  const statement = db.prepare(`
    SELECT key, provider, model, inputTokens, openedAtMs FROM (
      SELECT d.key, d.provider, d.model, a.input_tokens AS inputTokens, a.cache_read_tokens AS cacheRead,
        a.opened_at_ms AS openedAtMs, a.opened_at_ms - lag(a.opened_at_ms) OVER (
          PARTITION BY d.key, d.provider, d.model, coalesce(r.session, '') ORDER BY a.opened_at_ms, a.request_id) AS gapMs
      FROM attempt_rows a JOIN dimensions d ON d.id = a.dimension JOIN request_rows r ON r.request_id = a.request_id
      WHERE ${IN_TIME} AND a.input_tokens >= ${CACHEABLE_TOKENS_MIN})
    WHERE cacheRead = 0 AND gapMs <= ${CACHE_LIVES_MS}`);
  for (const row of statement.iterate(...times)) {
    const call = row as { key: string; provider: string; model: string; inputTokens: number; openedAtMs: number };
    const saving = cacheSavingNanoUsd(call);
    if (saving === undefined || saving > 0) add("cache_missed", call.key, saving ?? null);
  }
}

function summed(keys: Map<string, WasteSum>): WasteSum & { keys: (WasteSum & { key: string })[] } {
  const total: WasteSum = { count: 0, nanoUsd: 0n, unpriced: 0 };
  for (const { count, nanoUsd, unpriced } of keys.values()) {
    total.count += count;
    total.nanoUsd += nanoUsd;
    total.unpriced += unpriced;
  }
  const sorted = [...keys].map(([key, sum]) => ({ key, ...sum }));
  sorted.sort((a, b) => Number(b.nanoUsd - a.nanoUsd) || b.count - a.count);
  return { ...total, keys: sorted.slice(0, KEYS_SHOWN) };
}

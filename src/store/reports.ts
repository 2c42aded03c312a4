// Sums over the ledger for people: who used what, and what it cost. Reads beside a running server, never writes.
import { existsSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { DATABASE_NAME } from "./database.ts";
import { requireCurrentSchema } from "./migrate.ts";
import { attempts, requests } from "./schema.ts";
import { unpackStory } from "./story.ts";

export const USAGE_GROUPINGS = ["model", "provider", "key", "team", "tag", "rule", "day", "hour"] as const;
export type UsageGrouping = (typeof USAGE_GROUPINGS)[number];

export interface UsageOptions {
  dir: string;
  /** Attempts opened and requests received since then: to the minute within two days, to the hour within a month, to the
   *  day before that. */
  sinceMs: number;
  nowMs: number;
  by: UsageGrouping;
}

/** Sums are exact. Tokens and cost add up what is known; the last three columns say what is not in them. */
export interface UsageRow {
  /** "provider/model", a provider, a key, a team or a tag ("" where there is none), a rule, a UTC day or hour. */
  group: string;
  /** By model, provider or rule: requests that were tried there. Else all requests, also those refused untried; one with
   *  two tags counts under both. */
  requests: number;
  attempts: number;
  /** Ended as "failed" or "truncated". */
  failedAttempts: number;
  inputTokens: number;
  cacheReadTokens: number;
  /** Both lifetimes together. */
  cacheWriteTokens: number;
  outputTokens: number;
  costNanoUsd: number;
  /** What attempts without a known cost will have cost, at the most or about. */
  estimatedNanoUsd: number;
  /** Settled without a cost though there was something to pay: the price is unknown, or the tokens were not told. */
  unpricedAttempts: number;
  /** Sent, but the process died before it booked the outcome. */
  unknownAttempts: number;
}

/** Dearest first, days and hours in order. Throws with a text for the operator when there is no database of this version. */
export function usageReport(options: UsageOptions): UsageRow[] {
  const db = openForReading(options.dir);
  try {
    const rows = usageRows(db, options);
    return rows.sort(options.by === "day" || options.by === "hour" ? byGroup : byCost);
  } finally {
    db.close();
  }
}

export interface RequestReport {
  request: Omit<typeof requests.$inferSelect, "story" | "figures"> & { decision: string; trace: string | null };
  /** In the order they were made. */
  attempts: (typeof attempts.$inferSelect)[];
}

/** One finished request and its attempts; `undefined` where the ledger has none of this id. Throws like `usageReport`. */
export function requestReport(dir: string, requestId: string): RequestReport | undefined {
  const db = openForReading(dir);
  try {
    const query = drizzle(db);
    const row = query.select().from(requests).where(eq(requests.requestId, requestId)).get();
    if (row === undefined) return undefined;
    const { story, figures, ...rest } = row;
    const request = { ...rest, ...unpackStory({ text: story, figures }) };
    const calls = query
      .select()
      .from(attempts)
      .where(eq(attempts.requestId, requestId))
      .orderBy(attempts.attempt)
      .all();
    return { request, attempts: calls };
  } finally {
    db.close();
  }
}

/** Throws with a text for the operator when there is no database of this version. */
export function openForReading(dir: string): Database {
  const path = join(dir, DATABASE_NAME);
  if (!existsSync(path)) {
    throw new Error(
      `there is no ledger in ${dir} yet (${DATABASE_NAME} is missing): the server makes it when it starts`,
    );
  }
  const db = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
  try {
    requireCurrentSchema(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Sums are kept at least so long (retention never takes them earlier). */
const MINUTES_TRUSTED_MS = 47 * HOUR_MS;
const HOURS_TRUSTED_MS = 30 * DAY_MS;

interface Span {
  table: string;
  /** Buckets from (inclusive) to (exclusive). */
  from: number;
  to: number;
}

/** The fewest buckets that cover the time since then: minutes to the first full hour, hours to the first full day, days. */
function spansSince({ sinceMs, nowMs }: Pick<UsageOptions, "sinceMs" | "nowMs">): Span[] {
  const age = nowMs - sinceMs;
  const unit = age <= MINUTES_TRUSTED_MS ? 60_000 : age <= HOURS_TRUSTED_MS ? HOUR_MS : DAY_MS;
  const from = Math.floor(sinceMs / unit) * unit;
  const firstHour = Math.ceil(from / HOUR_MS) * HOUR_MS;
  const firstDay = Math.ceil(firstHour / DAY_MS) * DAY_MS;
  return [
    { table: "rollup_minutes", from: from / 60_000, to: firstHour / 60_000 },
    { table: "rollup_hours", from: firstHour / HOUR_MS, to: firstDay / HOUR_MS },
    { table: "rollup_days", from: firstDay / DAY_MS, to: Number.MAX_SAFE_INTEGER },
  ];
}

const GROUP_SQL: Record<UsageGrouping, { group: string; from?: string; isOfAttempts?: boolean }> = {
  model: { group: "d.provider || '/' || d.model", isOfAttempts: true },
  provider: { group: "d.provider", isOfAttempts: true },
  rule: { group: "d.rule", isOfAttempts: true },
  key: { group: "d.key" },
  team: { group: "d.team" },
  tag: { group: "coalesce(t.value, '')", from: "LEFT JOIN json_each(d.tags) t" },
  day: { group: "strftime('%Y-%m-%d', r.start_s, 'unixepoch')" },
  hour: { group: "strftime('%Y-%m-%dT%H:00Z', r.start_s, 'unixepoch')" },
};

const SECONDS_OF: Record<string, number> = { rollup_minutes: 60, rollup_hours: 3_600, rollup_days: 86_400 };

function usageRows(db: Database, options: UsageOptions): UsageRow[] {
  const { group, from = "", isOfAttempts = false } = GROUP_SQL[options.by];
  const spans = options.by === "hour" ? hourSpans(options) : spansSince(options);
  const parts = spans.map(
    ({ table }) => `SELECT *, bucket * ${SECONDS_OF[table]} AS start_s FROM ${table} WHERE bucket >= ? AND bucket < ?`,
  );
  const requestsIn = isOfAttempts ? "r.requests" : "iif(d.provider = '', r.requests, 0)";
  const rows = db
    .prepare(`
      SELECT ${group} AS "group", sum(${requestsIn}) AS requests, sum(r.attempts) AS attempts,
        sum(r.failed_attempts) AS failedAttempts, sum(r.input_tokens) AS inputTokens,
        sum(r.cache_read_tokens) AS cacheReadTokens, sum(r.cache_write_tokens) AS cacheWriteTokens,
        sum(r.output_tokens) AS outputTokens, sum(r.cost_nano_usd) AS costNanoUsd,
        sum(r.estimated_nano_usd) AS estimatedNanoUsd, sum(r.unpriced_attempts) AS unpricedAttempts,
        sum(r.unknown_attempts) AS unknownAttempts
      FROM (${parts.join(" UNION ALL ")}) r JOIN dimensions d ON d.id = r.dimension ${from}
      ${isOfAttempts ? "WHERE d.provider <> ''" : ""} GROUP BY 1`)
    .safeIntegers()
    .all(...spans.flatMap(({ from: first, to }) => [first, to]));
  return rows.map((row) => exactRow(row as Record<string, string | bigint>));
}

/** Every hour apart, so days will not do. */
function hourSpans(options: UsageOptions): Span[] {
  return spansSince(options).map((span) => {
    if (span.table !== "rollup_days") return span;
    return { table: "rollup_hours", from: span.from * 24, to: span.to };
  });
}

function exactRow(row: Record<string, string | bigint>): UsageRow {
  const exacted = Object.entries(row).map(([name, value]) => [name, typeof value === "bigint" ? exact(value) : value]);
  return Object.fromEntries(exacted) as unknown as UsageRow;
}

/** SQLite sums 64-bit integers; beyond 2^53 ($9 million in nanodollars) a number would lose units without a word. */
function exact(sum: bigint): number {
  if (Number.isSafeInteger(Number(sum))) return Number(sum);
  throw new RangeError(`a sum of about ${sum} is too large to be shown exactly: ask for a shorter time`);
}

function byGroup(a: UsageRow, b: UsageRow): number {
  return a.group < b.group ? -1 : 1;
}

function byCost(a: UsageRow, b: UsageRow): number {
  return b.costNanoUsd - a.costNanoUsd || byGroup(a, b);
}

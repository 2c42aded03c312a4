// Sums over the ledger for people: who used what, and what it cost. Reads beside a running server, never writes.
import { existsSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { count, countDistinct, eq, gte, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { DATABASE_NAME } from "./database.ts";
import { requireCurrentSchema } from "./migrate.ts";
import { attempts, requests } from "./schema.ts";

export type UsageGrouping = "model" | "provider" | "key" | "day";

export interface UsageOptions {
  dir: string;
  /** Attempts opened and requests received since then. */
  sinceMs: number;
  by: UsageGrouping;
}

/** Sums are exact. Tokens and cost add up what is known; the last two columns say how many attempts are not in it. */
export interface UsageRow {
  /** "provider/model", a provider, a caller key ("unknown" while the request is not finished) or a UTC day. */
  group: string;
  /** Requests that reached the model or provider; by key or day all requests, also those refused without an attempt. */
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
  /** Settled without a cost though there was something to pay: the price is unknown, or the tokens were not told. */
  unpricedAttempts: number;
  /** Sent, but the process died before it booked the outcome. */
  unknownAttempts: number;
}

/** Dearest first, days in order. Throws with a text for the operator when there is no database of this version. */
export function usageReport(options: UsageOptions): UsageRow[] {
  const db = openForReading(options.dir);
  try {
    const rows = attemptSums(db, options);
    if (options.by === "key" || options.by === "day") addRequests(rows, requestCounts(db, options));
    return [...rows.values()].sort(options.by === "day" ? byGroup : byCost);
  } finally {
    db.close();
  }
}

export interface RequestReport {
  request: typeof requests.$inferSelect;
  /** In the order they were made. */
  attempts: (typeof attempts.$inferSelect)[];
}

/** One finished request and its attempts; `undefined` where the ledger has none of this id. Throws like `usageReport`. */
export function requestReport(dir: string, requestId: string): RequestReport | undefined {
  const db = openForReading(dir);
  try {
    const query = drizzle(db);
    const request = query.select().from(requests).where(eq(requests.requestId, requestId)).get();
    if (request === undefined) return undefined;
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

function openForReading(dir: string): Database {
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

function attemptSums(db: Database, { by, sinceMs }: UsageOptions): Map<string, UsageRow> {
  const group = attemptGroup(by);
  // By key and day finished requests are counted in their own table.
  const seen =
    by === "key" || by === "day" ? sql`iif(${requests.requestId} is null, ${attempts.requestId}, null)` : null;
  const cost = attempts.costNanoUsd;
  const toldTokens = sql`coalesce(${attempts.inputTokens}, ${attempts.outputTokens}) is not null`;
  // A failed attempt for which no tokens were told is no bill; any other without a cost is one we cannot state.
  const unpriced = sql`${attempts.state} = 'settled' and ${cost} is null and ${attempts.priceStatus} <> 'unmetered'
    and (${attempts.endReason} <> 'failed' or ${toldTokens})`;
  const rows = drizzle(db)
    .select({
      group,
      requests: countDistinct(seen ?? attempts.requestId).mapWith(exact),
      attempts: count().mapWith(exact),
      failedAttempts: countWhere(sql`${attempts.endReason} in ('failed', 'truncated')`),
      inputTokens: total(sql`${attempts.inputTokens}`),
      cacheReadTokens: total(sql`${attempts.cacheReadTokens}`),
      cacheWriteTokens: total(
        sql`coalesce(${attempts.cacheWriteTokens}, 0) + coalesce(${attempts.cacheWrite1hTokens}, 0)`,
      ),
      outputTokens: total(sql`${attempts.outputTokens}`),
      costNanoUsd: total(sql`${cost}`),
      unpricedAttempts: countWhere(unpriced),
      unknownAttempts: countWhere(sql`${attempts.state} = 'unknown'`),
    })
    .from(attempts)
    .leftJoin(requests, eq(requests.requestId, attempts.requestId))
    .where(gte(attempts.openedAtMs, sinceMs))
    .groupBy(group)
    .all();
  return new Map(rows.map((row) => [row.group, row]));
}

function attemptGroup(by: UsageGrouping): SQL<string> {
  if (by === "model") return sql<string>`${attempts.provider} || '/' || ${attempts.model}`;
  if (by === "provider") return sql<string>`${attempts.provider}`;
  if (by === "key") return sql<string>`coalesce(${requests.callerKey}, 'unknown')`;
  return utcDay(sql`${attempts.openedAtMs}`);
}

function requestCounts(db: Database, { by, sinceMs }: UsageOptions): { group: string; requests: number }[] {
  const group = by === "key" ? sql<string>`${requests.callerKey}` : utcDay(sql`${requests.receivedAtMs}`);
  return drizzle(db)
    .select({ group, requests: count().mapWith(exact) })
    .from(requests)
    .where(gte(requests.receivedAtMs, sinceMs))
    .groupBy(group)
    .all();
}

function addRequests(rows: Map<string, UsageRow>, counted: { group: string; requests: number }[]): void {
  for (const { group, requests: finished } of counted) {
    const row = rows.get(group) ?? emptyRow(group);
    row.requests += finished;
    rows.set(group, row);
  }
}

function emptyRow(group: string): UsageRow {
  const counts = { requests: 0, attempts: 0, failedAttempts: 0, unpricedAttempts: 0, unknownAttempts: 0 };
  const tokens = { inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 0 };
  return { group, ...counts, ...tokens, costNanoUsd: 0 };
}

function utcDay(ms: SQL): SQL<string> {
  return sql<string>`strftime('%Y-%m-%d', ${ms} / 1000, 'unixepoch')`;
}

function total(value: SQL): SQL<number> {
  return sql`coalesce(sum(${value}), 0)`.mapWith(exact);
}

function countWhere(condition: SQL): SQL<number> {
  return sql`count(iif(${condition}, 1, null))`.mapWith(exact);
}

/** SQLite sums 64-bit integers; beyond 2^53 ($9 million in nanodollars) a number would lose units without a word. */
function exact(sum: number): number {
  if (Number.isSafeInteger(sum)) return sum;
  throw new RangeError(`a sum of about ${sum} is too large to be shown exactly: ask for a shorter time`);
}

function byGroup(a: UsageRow, b: UsageRow): number {
  return a.group < b.group ? -1 : 1;
}

function byCost(a: UsageRow, b: UsageRow): number {
  return b.costNanoUsd - a.costNanoUsd || byGroup(a, b);
}

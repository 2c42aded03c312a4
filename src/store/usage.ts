// Sums over the ledger for people: who used what, and what it cost. From the sums by minute, hour and day; never from rows.
import type { Database } from "better-sqlite3";
import { hasWholeHours, type Zone, zoneOf } from "../zones.ts";
import { requireKept, type Span, type Step, spansOf, type TimeRange, tellable } from "./buckets.ts";
import { dimensionsWhere, isAboutAttempts, type Sql, type UsageFilters } from "./filters.ts";

const NAMED = ["model", "provider", "key", "team", "organisation", "tag", "rule"] as const;
export const USAGE_GROUPINGS = [...NAMED, "day", "hour"] as const;
export type UsageGrouping = (typeof USAGE_GROUPINGS)[number];

export interface UsageQuery extends TimeRange {
  by: readonly UsageGrouping[];
  filters: UsageFilters;
  /** Whose days and hours; UTC when absent. */
  timeZone?: string | undefined;
  /** Now, for zones: how far their future matters. */
  nowMs: number;
  /** The first so many rows; all when absent. */
  rowsMax?: number | undefined;
}

/** What is summed, by the name it has in reports. Tokens and cost add up what is known. */
const SUMMED = {
  /** By model, provider or rule: requests that were tried there. Else all requests, also those refused untried; one with
   *  two tags counts under both. */
  requests: "requests",
  attempts: "attempts",
  /** Ended as "failed" or "truncated". */
  failedAttempts: "failed_attempts",
  inputTokens: "input_tokens",
  cacheReadTokens: "cache_read_tokens",
  /** Both lifetimes together. */
  cacheWriteTokens: "cache_write_tokens",
  outputTokens: "output_tokens",
  costNanoUsd: "cost_nano_usd",
  /** What attempts without a known cost will have cost, at the most or about. */
  estimatedNanoUsd: "estimated_nano_usd",
  /** Settled without a cost though there was something to pay: the price is unknown, or the tokens were not told. */
  unpricedAttempts: "unpriced_attempts",
  /** Sent, but the process died before it booked the outcome. */
  unknownAttempts: "unknown_attempts",
} as const;

export type UsageSums = Record<keyof typeof SUMMED, bigint>;
export const SUM_NAMES = Object.keys(SUMMED) as (keyof UsageSums)[];

export interface UsageGroup extends UsageSums {
  /** One text for each grouping: "provider/model", a key, a tag ("" where there is none), `2026-03-01` … */
  groups: string[];
}

export interface UsageSummary {
  /** Days and hours in order, all else dearest first. */
  rows: UsageGroup[];
  /** Rows that were left out for `rowsMax`. */
  moreRows: number;
  /** Of what the filters let through. A request counts once, but for each model where one is filtered for. */
  totals: UsageSums;
  /** The time that was summed: more than was asked for where finer sums are no longer kept. */
  range: TimeRange;
}

interface GroupSql {
  sql: string;
  from?: string;
  isOfAttempts?: boolean;
}

const GROUP_SQL: Record<(typeof NAMED)[number], GroupSql> = {
  model: { sql: "d.provider || '/' || d.model", isOfAttempts: true },
  provider: { sql: "d.provider", isOfAttempts: true },
  rule: { sql: "d.rule", isOfAttempts: true },
  key: { sql: "d.key" },
  team: { sql: "d.team" },
  organisation: { sql: "d.organisation" },
  tag: { sql: "coalesce(t.value, '')", from: "LEFT JOIN json_each(d.tags) t" },
};

/** All sums of one state of the ledger. Throws SumsNotKept, see `requireKept`. */
export function usageSummary(db: Database, query: UsageQuery): UsageSummary {
  return db.transaction(() => {
    const zone = query.timeZone === undefined || query.timeZone === "UTC" ? undefined : zoneOf(query.timeZone);
    const range = tellable(db, query);
    const longest = longestStep(query, zone, range);
    if (longest !== "day") requireKept(db, longest, range);
    if (zone !== undefined) nameTimes(db, zone);
    const spans = spansOf(range, longest);
    const rows = query.by.length === 0 ? [] : sums(db, { query, spans, zone, by: query.by });
    const [total] = sums(db, { query, spans, zone, by: [] });
    const totals = Object.fromEntries(SUM_NAMES.map((name) => [name, total?.[name] ?? 0n])) as UsageSums;
    const shown = sorted(rows, query.by).slice(0, query.rowsMax);
    return { rows: shown, moreRows: rows.length - shown.length, totals, range };
  })();
}

function longestStep({ by, nowMs }: UsageQuery, zone: Zone | undefined, { fromMs, toMs }: TimeRange): Step {
  const hasTimes = by.includes("hour") || (zone !== undefined && by.includes("day"));
  if (!hasTimes) return "day";
  if (zone === undefined || hasWholeHours(zone, Math.max(fromMs, 0), Math.min(toMs ?? nowMs, nowMs))) return "hour";
  return "minute";
}

/** SQL functions for the names of a zone's days and hours; rows come in order of time, so the last one is often right. */
function nameTimes(db: Database, zone: Zone): void {
  for (const step of ["day", "hour"] as const) {
    const known = new Map<number, string>();
    db.function(`local_${step}`, { deterministic: true }, (startS: number) => {
      const name = known.get(startS) ?? zone[step](startS * 1000);
      if (known.size > 10_000) known.clear();
      known.set(startS, name);
      return name;
    });
  }
}

function groupSql(grouping: UsageGrouping, zone: Zone | undefined): GroupSql {
  if (grouping !== "day" && grouping !== "hour") return GROUP_SQL[grouping];
  if (zone !== undefined) return { sql: `local_${grouping}(start_s)` };
  const format = grouping === "day" ? "%Y-%m-%d" : "%Y-%m-%dT%H:00Z";
  return { sql: `strftime('${format}', start_s, 'unixepoch')` };
}

interface Asked {
  query: UsageQuery;
  spans: readonly Span[];
  zone: Zone | undefined;
  by: readonly UsageGrouping[];
}

function sums(db: Database, asked: Asked): UsageGroup[] {
  const { query, spans, zone, by } = asked;
  if (spans.length === 0) return [];
  const groups = by.map((grouping) => groupSql(grouping, zone));
  const isOfAttempts = isAboutAttempts(query.filters) || groups.some((group) => group.isOfAttempts);
  const matching = dimensionsWhere(query.filters);
  const statement = db.prepare(`
    SELECT ${[...groups.map(({ sql }, at) => `${sql} AS g${at}`), ...sumsSql(isOfAttempts)].join(", ")}
    FROM ${isByModel(asked) ? byModel(spans) : byDimension(spans)} ${groups.map(({ from = "" }) => from).join(" ")}
    ${whereSql(isOfAttempts, matching)}
    ${by.length === 0 ? "HAVING count(*) > 0" : `GROUP BY ${by.map((_, at) => at + 1).join(", ")}`}`);
  const values = [...spans.flatMap(({ from, to }) => [from, to]), ...(matching?.values ?? [])];
  const rows = statement.safeIntegers().all(...values) as (UsageSums & Record<string, string>)[];
  return rows.map((row) => {
    const summed = Object.fromEntries(SUM_NAMES.map((name) => [name, row[name]])) as UsageSums;
    return { groups: by.map((_, at) => row[`g${at}`] as string), ...summed };
  });
}

function byDimension(spans: readonly Span[]): string {
  const parts = spans.map(
    ({ table, bucketMs }) =>
      `SELECT *, bucket * ${bucketMs / 1000} AS start_s FROM ${table} WHERE bucket >= ? AND bucket < ?`,
  );
  return `(${parts.join(" UNION ALL ")}) r JOIN dimensions d ON d.id = r.dimension`;
}

const BY_MODEL: readonly UsageGrouping[] = ["model", "provider", "day"];

/** Whole days are summed by model apart: a report that asks for no more reads a row for each model and day. */
function isByModel({ query, by, zone }: Asked): boolean {
  const isFiltered = Object.values(query.filters).some((patterns) => patterns !== undefined);
  return !isFiltered && zone === undefined && by.every((grouping) => BY_MODEL.includes(grouping));
}

function byModel(spans: readonly Span[]): string {
  const columns = Object.values(SUMMED).join(", ");
  const parts = spans.map(({ table, bucketMs }) => {
    const start = `bucket * ${bucketMs / 1000} AS start_s, provider, model, ${columns}`;
    const from = table === "rollup_days" ? "rollup_model_days" : `${table} JOIN dimensions d ON d.id = dimension`;
    return `SELECT ${start} FROM ${from} WHERE bucket >= ? AND bucket < ?`;
  });
  return `(${parts.join(" UNION ALL ")}) d`;
}

function sumsSql(isOfAttempts: boolean): string[] {
  return Object.entries(SUMMED).map(([name, column]) => {
    const isOfRequests = column === "requests" && !isOfAttempts;
    return `sum(${isOfRequests ? "iif(d.provider = '', requests, 0)" : column}) AS ${name}`;
  });
}

function whereSql(isOfAttempts: boolean, matching: Sql | undefined): string {
  const conditions = [
    ...(isOfAttempts ? ["d.provider <> ''"] : []),
    ...(matching === undefined ? [] : [`d.id IN (${matching.sql})`]),
  ];
  return conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
}

function isTime(grouping: UsageGrouping | undefined): boolean {
  return grouping === "day" || grouping === "hour";
}

function sorted(rows: UsageGroup[], by: readonly UsageGrouping[]): UsageGroup[] {
  const costOfFirst = new Map<string, bigint>();
  for (const { groups, costNanoUsd } of rows) {
    const [first = ""] = groups;
    costOfFirst.set(first, (costOfFirst.get(first) ?? 0n) + costNanoUsd);
  }
  const costIn = (row: UsageGroup, at: number) =>
    at === 0 ? (costOfFirst.get(row.groups[0] ?? "") ?? 0n) : row.costNanoUsd;
  return rows.sort((a, b) => {
    for (const [at, grouping] of by.entries()) {
      const costs = isTime(grouping) ? 0 : compare(costIn(b, at), costIn(a, at));
      const order = costs || compare(a.groups[at] ?? "", b.groups[at] ?? "");
      if (order !== 0) return order;
    }
    return 0;
  });
}

function compare(a: string | bigint, b: string | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// What the ledger says to people, in one call each: opens the database, reads, closes it.

import { exact, reading } from "./reader.ts";
import { type RequestReport, requestOf } from "./request-list.ts";
import {
  SUM_NAMES,
  type UsageGrouping,
  type UsageQuery,
  type UsageSummary,
  type UsageSums,
  usageSummary,
} from "./usage.ts";

export interface UsageOptions {
  dir: string;
  /** Attempts opened and requests received since then, to the minute as far as sums by minute are kept. */
  sinceMs: number;
  nowMs: number;
  by: UsageGrouping;
}

/** Sums are exact. The columns are those of `UsageSums`. */
export type UsageRow = Record<keyof UsageSums, number> & { group: string };

/** Dearest first, days and hours in order. Throws with a text for the operator when there is no database of this version. */
export function usageReport({ dir, sinceMs, nowMs, by }: UsageOptions): UsageRow[] {
  const { rows } = readUsage(dir, { fromMs: sinceMs, nowMs, by: [by], filters: {} });
  return rows.map((row) => {
    const sums = Object.fromEntries(SUM_NAMES.map((name) => [name, exact(row[name])])) as Record<
      keyof UsageSums,
      number
    >;
    return { group: row.groups[0] as string, ...sums };
  });
}

/** The same by up to two groupings, filtered, with totals, in integers of any size. */
export function readUsage(dir: string, query: UsageQuery): UsageSummary {
  return reading(dir, (db) => usageSummary(db, query));
}

/** One finished request and its attempts; `undefined` where the ledger has none of this id. Throws like `usageReport`. */
export function requestReport(dir: string, requestId: string): RequestReport | undefined {
  return reading(dir, (db) => requestOf(db, requestId));
}

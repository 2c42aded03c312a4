// Requests one by one, newest first, with the attempts each was answered by.
import type { Database } from "better-sqlite3";
import type { TimeRange } from "./buckets.ts";
import { dimensionsWhere, isAboutAttempts, type UsageFilters } from "./filters.ts";
import { unpackStory } from "./story.ts";
import { type AttemptView, attempts, type RequestView, requests } from "./views.ts";

export interface RequestReport {
  request: Omit<RequestView, "story" | "figures"> & { decision: string; trace: string | null };
  /** In the order they were made. */
  attempts: AttemptView[];
}

/** `undefined` where the ledger has no finished request of this id. */
export function requestOf(db: Database, requestId: string): RequestReport | undefined {
  const [row] = requests.select(db, "WHERE request_id = ?", requestId);
  if (row === undefined) return undefined;
  const { story, figures, ...rest } = row;
  const request = { ...rest, ...unpackStory({ text: story, figures }) };
  const calls = attempts.select(db, "WHERE request_id = ? ORDER BY attempt", requestId);
  return { request, attempts: calls };
}

export interface RequestQuery extends TimeRange {
  filters: UsageFilters;
  /** Statuses from (inclusive) to (inclusive). */
  status?: { from: number; to: number } | undefined;
  /** Of the request or of one of its attempts. */
  errorKind?: string | undefined;
  /** All attempts together, as far as costs are known. */
  minCostNanoUsd?: number | undefined;
  /** Only requests with a smaller id: the `next` of the page before. */
  before?: string | undefined;
  /** At most so many requests. */
  limit: number;
}

export interface RequestPage {
  rows: RequestReport[];
  /** Absent on the last page. A page may be short, or empty, and yet have a next one. */
  next?: string;
}

/** Requests a page looks at, at most: filters that let little through must not make one page read the whole ledger. */
const LOOKED_AT_MAX = 20_000;

/** Request ids begin with the time of the request, so they are in order and a time is a range of them. */
function idAt(ms: number): string {
  return `req_${Math.max(0, Math.floor(ms)).toString(16).padStart(12, "0")}`;
}

const AFTER_ALL_IDS = "~";

export function requestPage(db: Database, query: RequestQuery, lookedAtMax = LOOKED_AT_MAX): RequestPage {
  return db.transaction(() => {
    const { conditions, values } = conditionsOf(query);
    const end = query.toMs === undefined ? AFTER_ALL_IDS : idAt(query.toMs);
    const range = [idAt(query.fromMs), query.before !== undefined && query.before < end ? query.before : end];
    const looked = "FROM request_rows WHERE request_id >= ? AND request_id < ? ORDER BY request_id DESC LIMIT ?";
    const ids = db
      .prepare(`SELECT r.request_id FROM (SELECT * ${looked}) r ${conditions} ORDER BY 1 DESC LIMIT ?`)
      .pluck()
      .all(...range, lookedAtMax, ...values, query.limit) as string[];
    const rows = ids.map((id) => requestOf(db, id)).filter((row) => row !== undefined);
    if (ids.length === query.limit) return { rows, next: ids.at(-1) as string };
    const last = db.prepare(`SELECT request_id ${looked} OFFSET ?`).pluck();
    const next = last.get(...range, 1, lookedAtMax - 1) as string | undefined;
    return { rows, ...(next !== undefined && { next }) };
  })();
}

function conditionsOf({ filters, status, errorKind, minCostNanoUsd }: RequestQuery) {
  const conditions: string[] = [];
  const values: (string | number)[] = [];
  const matching = dimensionsWhere(filters);
  const ofRequest = "FROM attempt_rows a WHERE a.request_id = r.request_id";
  if (matching !== undefined) {
    const isOne = `dimension IN (${matching.sql})`;
    conditions.push(isAboutAttempts(filters) ? `EXISTS (SELECT 1 ${ofRequest} AND a.${isOne})` : `r.${isOne}`);
    values.push(...matching.values);
  }
  if (status !== undefined) {
    conditions.push("r.status BETWEEN ? AND ?");
    values.push(status.from, status.to);
  }
  if (errorKind !== undefined) {
    const kind = "(SELECT id FROM texts WHERE text = ?)";
    conditions.push(`(r.error_kind = ${kind} OR EXISTS (SELECT 1 ${ofRequest} AND a.error_kind = ${kind}))`);
    values.push(errorKind, errorKind);
  }
  if (minCostNanoUsd !== undefined) {
    conditions.push(`(SELECT coalesce(sum(a.cost_nano_usd), 0) ${ofRequest}) >= ?`);
    values.push(minCostNanoUsd);
  }
  return { conditions: conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`, values };
}

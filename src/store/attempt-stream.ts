// Attempts one after the other, never all in memory: for what sums cannot tell.
import type { Database } from "better-sqlite3";
import type { Usage } from "../chat.ts";
import type { TimeRange } from "./buckets.ts";
import { dimensionsWhere, type UsageFilters } from "./filters.ts";

export interface StreamedAttempt {
  requestId: string;
  attempt: number;
  key: string;
  team: string;
  organisation: string;
  tags: string[];
  rule: string;
  provider: string;
  model: string;
  openedAtMs: number;
  /** `undefined`: not told. */
  usage: Usage | undefined;
  costNanoUsd: number | undefined;
  priceStatus: string | undefined;
}

export interface StreamQuery extends TimeRange {
  filters: UsageFilters;
  /** At most so many, the newest. */
  limit: number;
}

/** A request may wait and be tried for so long before an attempt of it is opened: ids tell the time of the request. */
const OPENED_AFTER_MS_MAX = 24 * 3_600_000;

/** Ids of the requests whose attempts may lie in that time: from (inclusive) to (exclusive). */
export function idRange({ fromMs, toMs }: TimeRange): [from: string, to: string] {
  const idAt = (ms: number) => `req_${Math.max(0, Math.floor(ms)).toString(16).padStart(12, "0")}`;
  return [idAt(fromMs - OPENED_AFTER_MS_MAX), toMs === undefined ? "~" : idAt(toMs)];
}

/** Tokens and what else was used, as `Usage` names it. */
export const USAGE_COLUMNS = `a.input_tokens AS inputTokens, a.cache_read_tokens AS cacheReadTokens,
  a.cache_write_tokens AS cacheWriteTokens, a.cache_write_1h_tokens AS cacheWrite1hTokens,
  a.output_tokens AS outputTokens, a.reasoning_tokens AS reasoningTokens, a.audio_input_tokens AS audioInputTokens,
  a.audio_output_tokens AS audioOutputTokens, a.usage_more AS usageMore`;

export type UsageColumns = Record<keyof Usage, number | null> & { usageMore: string | null };

/** As it was booked; `undefined` where the provider told nothing. */
export function usageOf(row: UsageColumns): Usage | undefined {
  const { inputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens } = row;
  const { outputTokens, reasoningTokens, audioInputTokens, audioOutputTokens, usageMore } = row;
  const told = Object.entries({
    ...{ inputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens },
    ...{ outputTokens, reasoningTokens, audioInputTokens, audioOutputTokens },
  }).filter(([, tokens]) => tokens !== null);
  const usage = { ...Object.fromEntries(told), ...(usageMore === null ? {} : JSON.parse(usageMore)) };
  return Object.keys(usage).length === 0 ? undefined : usage;
}

/** Settled attempts, newest request first. */
export function* streamAttempts(db: Database, { filters, limit, ...range }: StreamQuery): Generator<StreamedAttempt> {
  const matching = dimensionsWhere(filters);
  const statement = db.prepare(`
    SELECT a.request_id AS requestId, a.attempt, d.key, d.team, d.organisation, d.tags, d.rule, d.provider, d.model,
      a.opened_at_ms AS openedAtMs, ${USAGE_COLUMNS}, a.cost_nano_usd AS costNanoUsd, p.text AS priceStatus
    FROM attempt_rows a JOIN dimensions d ON d.id = a.dimension LEFT JOIN texts p ON p.id = a.price_status
    WHERE a.request_id >= ? AND a.request_id < ? AND a.state = 1 AND a.opened_at_ms >= ? AND a.opened_at_ms < ?
      ${matching === undefined ? "" : `AND a.dimension IN (${matching.sql})`}
    ORDER BY a.request_id DESC, a.attempt LIMIT ?`);
  const ends = [range.fromMs, range.toMs ?? Number.MAX_SAFE_INTEGER];
  type Row = Omit<StreamedAttempt, "usage" | "tags"> & UsageColumns & { tags: string };
  for (const row of statement.iterate(...idRange(range), ...ends, ...(matching?.values ?? []), limit)) {
    const { costNanoUsd, priceStatus, tags, ...rest } = row as Row;
    yield {
      ...rest,
      tags: JSON.parse(tags) as string[],
      usage: usageOf(rest),
      costNanoUsd: costNanoUsd ?? undefined,
      priceStatus: priceStatus ?? undefined,
    };
  }
}

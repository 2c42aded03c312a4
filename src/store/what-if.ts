// What traffic would have cost elsewhere: at another model's prices, or at the dearest candidate that was weighed.
import type { Database } from "better-sqlite3";
import type { Usage } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { zoneOf } from "../zones.ts";
import { idRange, type StreamedAttempt, type StreamQuery, streamAttempts } from "./attempt-stream.ts";
import type { TimeRange } from "./buckets.ts";
import { unpackStory } from "./story.ts";
import type { UsageGrouping } from "./usage.ts";

export interface InsteadQuery extends StreamQuery {
  by: readonly UsageGrouping[];
  timeZone: string;
  /** What so much would cost there, in nanodollars; `undefined` when that cannot be said. */
  price(usage: Usage, atMs: number): number | undefined;
}

export interface InsteadRow {
  groups: string[];
  /** Attempts with known tokens and a known cost, in both columns of money. */
  compared: number;
  costNanoUsd: bigint;
  insteadNanoUsd: bigint;
  /** Attempts that cannot be compared. */
  leftOut: number;
}

export interface Instead {
  /** Days and hours in order, all else dearest first. */
  rows: InsteadRow[];
  total: InsteadRow;
  /** Rows that were looked at; `isCut` when there were more. */
  lookedAt: number;
  isCut: boolean;
}

export function insteadReport(db: Database, query: InsteadQuery): Instead {
  const rows = new Map<string, InsteadRow>();
  const total = emptyRow([]);
  const groupsOf = groupsBy(query.by, query.timeZone);
  let lookedAt = 0;
  for (const attempt of streamAttempts(db, { ...query, limit: query.limit + 1 })) {
    if (lookedAt === query.limit) return { ...finished(query, rows, total), lookedAt, isCut: true };
    lookedAt += 1;
    const { usage, costNanoUsd, openedAtMs } = attempt;
    // What was refused was not billed here and would not have been there.
    if (usage === undefined && costNanoUsd === 0) continue;
    const instead = usage === undefined ? undefined : query.price(usage, openedAtMs);
    for (const groups of groupsOf(attempt)) count(rowOf(rows, groups), costNanoUsd, instead);
    count(total, costNanoUsd, instead);
  }
  return { ...finished(query, rows, total), lookedAt, isCut: false };
}

function finished(
  { by: [first] }: InsteadQuery,
  rows: Map<string, InsteadRow>,
  total: InsteadRow,
): Pick<Instead, "rows" | "total"> {
  const isByTime = first === "day" || first === "hour";
  const sorted = [...rows.values()].sort((a, b) => {
    const costs = isByTime ? 0 : Number(b.costNanoUsd - a.costNanoUsd);
    return costs || (a.groups.join("\n") < b.groups.join("\n") ? -1 : 1);
  });
  return { rows: sorted, total };
}

function rowOf(rows: Map<string, InsteadRow>, groups: string[]): InsteadRow {
  const name = JSON.stringify(groups);
  const row = rows.get(name) ?? emptyRow(groups);
  rows.set(name, row);
  return row;
}

function emptyRow(groups: string[]): InsteadRow {
  return { groups, compared: 0, costNanoUsd: 0n, insteadNanoUsd: 0n, leftOut: 0 };
}

function count(row: InsteadRow, costNanoUsd: number | undefined, insteadNanoUsd: number | undefined): void {
  if (costNanoUsd === undefined || insteadNanoUsd === undefined) {
    row.leftOut += 1;
    return;
  }
  row.compared += 1;
  row.costNanoUsd += BigInt(costNanoUsd);
  row.insteadNanoUsd += BigInt(insteadNanoUsd);
}

/** The groups an attempt belongs to: several where it has several tags. */
function groupsBy(by: readonly UsageGrouping[], timeZone: string): (attempt: StreamedAttempt) => string[][] {
  const zone = zoneOf(timeZone);
  const valuesOf = (attempt: StreamedAttempt, grouping: UsageGrouping): string[] => {
    if (grouping === "tag") return attempt.tags.length === 0 ? [""] : attempt.tags;
    if (grouping === "model") return [`${attempt.provider}/${attempt.model}`];
    if (grouping === "day" || grouping === "hour") return [zone[grouping](attempt.openedAtMs)];
    return [attempt[grouping]];
  };
  return (attempt) => {
    const start: string[][] = [[]];
    return by.reduce(
      (groups, grouping) => groups.flatMap((group) => valuesOf(attempt, grouping).map((value) => [...group, value])),
      start,
    );
  };
}

export interface SavedByRule {
  rule: string;
  /** Answered requests for which at least two candidates were weighed by cost, the one that answered among them. */
  compared: number;
  /** What they cost in fact, as far as it is known. */
  costNanoUsd: bigint;
  /** What was expected of the candidate that answered, and of the dearest one that was allowed. */
  takenNanoUsd: bigint;
  dearestNanoUsd: bigint;
  /** Answered requests without such a choice. */
  leftOut: number;
}

export interface Savings {
  /** Largest saving first. */
  rows: SavedByRule[];
  lookedAt: number;
  isCut: boolean;
}

/** Both sides are expectations, made before the call by the same estimate, so their difference compares like with like. */
export function savingsByRule(db: Database, { fromMs, toMs, limit }: TimeRange & { limit: number }): Savings {
  const rows = new Map<string, SavedByRule>();
  const statement = db.prepare(`
    SELECT s.text AS text, r.figures, d.rule, d.provider || '/' || d.model AS taken,
      (SELECT sum(c.cost_nano_usd) FROM attempt_rows c WHERE c.request_id = r.request_id) AS costNanoUsd
    FROM request_rows r JOIN texts s ON s.id = r.story
      JOIN attempt_rows a ON a.request_id = r.request_id AND a.attempt = r.attempts JOIN dimensions d ON d.id = a.dimension
    WHERE r.request_id >= ? AND r.request_id < ? AND r.received_at_ms >= ? AND r.received_at_ms < ? AND r.status < 400
    ORDER BY r.request_id DESC LIMIT ?`);
  let lookedAt = 0;
  const ends = [fromMs, toMs ?? Number.MAX_SAFE_INTEGER];
  for (const row of statement.iterate(...idRange({ fromMs, toMs }), ...ends, limit + 1)) {
    if (lookedAt === limit) return { rows: bySaving(rows), lookedAt, isCut: true };
    lookedAt += 1;
    const { rule, taken, costNanoUsd, ...story } = row as StoryRow;
    const saved = rows.get(rule) ?? emptySaving(rule);
    rows.set(rule, saved);
    const weighed = weighedIn(unpackStory(story).trace);
    const expected = weighed.get(taken);
    if (expected === undefined || weighed.size < 2) {
      saved.leftOut += 1;
      continue;
    }
    saved.compared += 1;
    saved.costNanoUsd += BigInt(costNanoUsd ?? 0);
    saved.takenNanoUsd += BigInt(expected);
    saved.dearestNanoUsd += BigInt(Math.max(...weighed.values()));
  }
  return { rows: bySaving(rows), lookedAt, isCut: false };
}

interface StoryRow {
  text: string;
  figures: string;
  rule: string;
  taken: string;
  costNanoUsd: number | null;
}

function emptySaving(rule: string): SavedByRule {
  return { rule, compared: 0, costNanoUsd: 0n, takenNanoUsd: 0n, dearestNanoUsd: 0n, leftOut: 0 };
}

function bySaving(rows: Map<string, SavedByRule>): SavedByRule[] {
  const saving = ({ dearestNanoUsd, takenNanoUsd }: SavedByRule) => dearestNanoUsd - takenNanoUsd;
  return [...rows.values()].sort((a, b) => Number(saving(b) - saving(a)));
}

/** Expected cost in whole nanodollars by target, of those that were allowed. The short names are those of `traceText`. */
function weighedIn(trace: string | null): Map<string, number> {
  const parsed: unknown = trace === null ? undefined : JSON.parse(trace);
  if (!isObject(parsed)) return new Map();
  const allowed = objectsIn(parsed.targets).filter(({ c, x }) => typeof c === "number" && x === undefined);
  return new Map(allowed.map(({ t, c }) => [String(t), Math.round(c as number)]));
}

// What is older than the operator wants to keep, removed piece by piece: each piece is one short transaction, so that
// the journal never waits for long. Totals never change: sums by day that go are added to bucket 0.
import type { Database } from "better-sqlite3";
import type { Dictionary } from "./dictionary.ts";
import type { Notebook } from "./notes.ts";
import { firstIdAt } from "./request-ids.ts";
import { SUMS } from "./rollups.ts";
import { withoutTrace } from "./story.ts";

/** How long each part is kept, in ms; `undefined` for ever. */
export interface Retention {
  /** Requests and attempts, one row each. */
  requestsMs: number | undefined;
  /** What was weighed for a request, part of its row. */
  tracesMs: number | undefined;
  minutesMs: number | undefined;
  hoursMs: number | undefined;
  daysMs: number | undefined;
}

export interface Pruning {
  db: Database;
  words: Dictionary;
  notes: Notebook;
  retention: Retention;
  nowMs: number;
  /** Rows of requests with smaller ids are not to be booked again. */
  forgetBefore(requestId: string): void;
}

/** Rows of one transaction: some milliseconds of work, and one sync. */
const ROWS_MAX = 1_000;
const HOUR_MS = 3_600_000;
/** Sums of what was pruned, by dimension. */
const BUCKET_OF_PRUNED = 0;

/** Removes everything that is due; answers with the number of rows removed, by what they were. */
export function* prune(pruning: Pruning): Generator<void, Map<string, number>> {
  const { db, notes, retention } = pruning;
  const removed = new Map<string, number>();
  const count = (name: string, rows: number) => rows > 0 && removed.set(name, (removed.get(name) ?? 0) + rows);
  const before = cutoff(pruning, retention.requestsMs);
  if (before !== undefined) {
    const ids = { from: firstIdAt(0), to: firstIdAt(before) };
    // First the mark, then the rows: what a crash leaves in the journal is not to be booked a second time.
    if ((notes.get("rows_from") ?? "") < ids.to) notes.set("rows_from", ids.to);
    pruning.forgetBefore(ids.to);
    for (const table of ["attempt_rows", "request_rows"]) {
      const remove = db.prepare(`DELETE FROM ${table} WHERE request_id >= @from AND request_id < @to
        ORDER BY request_id LIMIT ${ROWS_MAX}`);
      for (const rows of untilNothing(() => remove.run(ids).changes)) {
        count(table === "attempt_rows" ? "attempts" : "requests", rows);
        yield;
      }
    }
  }
  for (const rows of pruneTraces(pruning)) {
    count("traces", rows);
    yield;
  }
  for (const { name, table, bucketMs, keepMs } of sumsOf(retention)) {
    const oldest = cutoff(pruning, keepMs);
    if (oldest === undefined) continue;
    const remove = table === "rollup_days" ? foldDays(db) : removeBuckets(db, table);
    for (const rows of untilNothing(() => remove(Math.floor(oldest / bucketMs)))) {
      count(name, rows);
      yield;
    }
  }
  return removed;
}

function sumsOf({ minutesMs, hoursMs, daysMs }: Retention) {
  return [
    { name: "sums by minute", table: "rollup_minutes", bucketMs: 60_000, keepMs: minutesMs },
    { name: "sums by hour", table: "rollup_hours", bucketMs: HOUR_MS, keepMs: hoursMs },
    { name: "sums by day", table: "rollup_days", bucketMs: 24 * HOUR_MS, keepMs: daysMs },
  ];
}

/** Full hours, so that a busy ledger is not pruned all the time. */
function cutoff({ nowMs }: Pruning, keepMs: number | undefined): number | undefined {
  return keepMs === undefined ? undefined : Math.floor((nowMs - keepMs) / HOUR_MS) * HOUR_MS;
}

function* untilNothing(remove: () => number): Generator<number> {
  for (let rows = remove(); rows > 0; rows = remove()) yield rows;
}

function removeBuckets(db: Database, table: string): (before: number) => number {
  const remove = db.prepare(`DELETE FROM ${table} WHERE bucket < ? ORDER BY bucket, dimension LIMIT ${ROWS_MAX}`);
  return (before) => remove.run(before).changes;
}

function foldDays(db: Database): (before: number) => number {
  const old = `bucket > ${BUCKET_OF_PRUNED} AND bucket < ? ORDER BY bucket, dimension LIMIT ${ROWS_MAX}`;
  const fold = db.prepare(`
    INSERT INTO rollup_days (bucket, dimension, ${SUMS.join(", ")})
    SELECT ${BUCKET_OF_PRUNED}, dimension, ${SUMS.map((name) => `sum(${name})`).join(", ")}
    FROM (SELECT * FROM rollup_days WHERE ${old}) GROUP BY dimension
    ON CONFLICT (bucket, dimension) DO UPDATE SET ${SUMS.map((name) => `${name} = ${name} + excluded.${name}`).join(", ")}`);
  const remove = db.prepare(`DELETE FROM rollup_days WHERE ${old}`);
  const both = db.transaction((before: number) => {
    fold.run(before);
    return remove.run(before).changes;
  });
  return (before) => both.immediate(before);
}

/** Of old requests only the decision stays. Goes on where it stopped. */
function* pruneTraces(pruning: Pruning): Generator<number> {
  const { db, words, notes, retention } = pruning;
  const before = cutoff(pruning, retention.tracesMs);
  if (before === undefined) return;
  const to = firstIdAt(before);
  const read = db.prepare(`
    SELECT r.request_id AS id, s.text, r.figures FROM request_rows r JOIN texts s ON s.id = r.story
    WHERE r.request_id > ? AND r.request_id < ? ORDER BY r.request_id LIMIT ${ROWS_MAX}`);
  const write = db.prepare("UPDATE request_rows SET story = ?, figures = ? WHERE request_id = ?");
  const pruneNext = db.transaction((after: string) => {
    const rows = read.all(after, to) as { id: string; text: string; figures: string }[];
    let changed = 0;
    for (const { id, ...story } of rows) {
      const short = withoutTrace(story);
      if (short.text === story.text) continue;
      write.run(words.text(short.text), short.figures, id);
      changed += 1;
    }
    const last = rows.at(-1)?.id;
    // Nothing before `to` is left to do; what is received later sorts behind it.
    notes.set("traces_from", last ?? to);
    return { last, changed };
  });
  let after = notes.get("traces_from") ?? firstIdAt(0);
  while (after < to) {
    const { last, changed } = pruneNext.immediate(after);
    after = last ?? to;
    yield changed;
  }
}

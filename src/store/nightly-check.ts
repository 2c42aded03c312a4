// Once a day: are the sums still what their rows add up to? Yesterday's, and those of one earlier day in rotation.
import SqliteDatabase, { type Database, type Statement } from "better-sqlite3";
import type { Notebook } from "./notes.ts";
import { checkDay, type Difference } from "./resum.ts";

const DAY_MS = 86_400_000;
/** A difference is an alarm; the log needs no more than some examples. */
const LOGGED_MAX = 10;

export interface Checking {
  path: string;
  notes: Notebook;
  nowMs: number;
  /** Rows received before are not there any more. */
  rowsFromMs: number;
  log(message: string): void;
}

/** Does nothing where yesterday was compared already. */
export function* nightlyCheck(checking: Checking): Generator<void> {
  const { notes, nowMs } = checking;
  const yesterday = Math.floor(nowMs / DAY_MS) - 1;
  if ((notes.number("checked") ?? 0) >= yesterday) return;
  const days = [yesterday, earlierDay(checking, yesterday)].filter((day) => day !== undefined);
  let differences = 0;
  for (const day of days) differences += yield* checkAndLog(checking, day);
  notes.set("checked", yesterday);
  notes.set("differences", differences);
  if (days[1] !== undefined) notes.set("rotated", days[1]);
}

/** The next older one than last time, of those whose rows are all there; the newest again after the oldest. */
function earlierDay({ path, notes, rowsFromMs }: Checking, yesterday: number): number | undefined {
  const db = openSnapshot(path);
  try {
    const oldest = Math.ceil(rowsFromMs / DAY_MS) + 1;
    const find = db
      .prepare("SELECT max(bucket) FROM rollup_days WHERE bucket >= ? AND bucket < ?")
      .pluck() as Statement;
    const last = Math.min(notes.number("rotated") ?? yesterday, yesterday);
    const found = find.get(oldest, last) ?? find.get(oldest, yesterday);
    return (found as number | null) ?? undefined;
  } finally {
    db.close();
  }
}

function* checkAndLog(checking: Checking, day: number): Generator<void, number> {
  const db = openSnapshot(checking.path);
  try {
    const differences = yield* checkDay(db, day);
    for (const difference of differences.slice(0, LOGGED_MAX))
      checking.log(`ALARM: ${describeDifference(db, difference)}`);
    const more = differences.length - LOGGED_MAX;
    if (more > 0) checking.log(`ALARM: ${more} more sums of ${dayText(day)} differ from their rows`);
    return differences.length;
  } finally {
    db.close();
  }
}

/** Sees the ledger as it is now until it is closed, whatever is booked meanwhile. */
function openSnapshot(path: string): Database {
  const db = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
  db.exec("BEGIN");
  return db;
}

/** 2026-03-01 */
export function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

export function describeDifference(db: Database, { day, dimension, column, kept, summed }: Difference): string {
  const names = db.prepare("SELECT key, provider, model FROM dimensions WHERE id = ?").get(dimension) as
    | { key: string; provider: string; model: string }
    | undefined;
  const where = names?.provider ? ` at ${names.provider}/${names.model}` : "";
  const whose = names === undefined ? `dimension ${dimension}` : `key "${names.key}"${where}`;
  return `the sum of ${column} of ${dayText(day)} for ${whose} is ${kept}, but its rows add up to ${summed}`;
}

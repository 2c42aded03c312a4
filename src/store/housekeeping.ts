// What the ledger does when nothing waits to be booked: it forgets what is old, gives the space back, and checks its
// sums. In the worker thread; each step is short, and rows of the journal go first between any two.
import type { Database } from "better-sqlite3";
import type { Booking } from "./booking.ts";
import type { Dictionary } from "./dictionary.ts";
import { nightlyCheck } from "./nightly-check.ts";
import { Notebook } from "./notes.ts";
import { prune, type Retention } from "./prune.ts";
import { sweep } from "./sweep.ts";

export interface Household {
  db: Database;
  words: Dictionary;
  booking: Booking;
  retention: Retention;
  log(message: string): void;
}

export interface Checked {
  /** Days since 1970, UTC: the last whose sums were compared with its rows. `undefined` before the first. */
  day: number | undefined;
  /** How many sums were not what the rows add up to. */
  differences: number;
}

const DAY_MS = 86_400_000;

/** Does what is due at `nowMs`, step by step. */
export function* housekeeping(household: Household, nowMs: number): Generator<void, Checked> {
  const { db, words, retention, log } = household;
  const notes = new Notebook(db);
  const removed = yield* pruneAndTell(household, notes, nowMs);
  const today = Math.floor(nowMs / DAY_MS);
  if (removed > 0 && notes.number("swept_on") !== today) {
    yield* sweep(db, words);
    notes.set("swept_on", today);
  }
  if (removed > 0) yield* giveBackSpace(db);
  const rowsFromMs = retention.requestsMs === undefined ? 0 : nowMs - retention.requestsMs;
  yield* nightlyCheck({ path: db.name, notes, nowMs, rowsFromMs, log });
  return { day: notes.number("checked"), differences: notes.number("differences") ?? 0 };
}

function* pruneAndTell(household: Household, notes: Notebook, nowMs: number): Generator<void, number> {
  const { booking, log } = household;
  const forgetBefore = (requestId: string) => booking.forgetBefore(requestId);
  const removed = yield* prune({ ...household, notes, nowMs, forgetBefore });
  const parts = [...removed].map(([name, rows]) => `${rows} ${name}`);
  if (parts.length > 0) log(`retention removed ${parts.join(", ")}`);
  return removed.values().reduce((sum, rows) => sum + rows, 0);
}

/** Pages of one step: each is moved, at some microseconds. */
const PAGES_PER_STEP = 500;

/** Cuts free pages off the file, but for some that the next rows will need anyway. */
function* giveBackSpace(db: Database): Generator<void> {
  for (let left = sparePages(db); left > 0; left = sparePages(db)) {
    db.pragma(`incremental_vacuum(${Math.min(left, PAGES_PER_STEP)})`);
    yield;
    if (sparePages(db) === left) return; // A file of an earlier version, made without that.
  }
  // The file itself becomes shorter at the next checkpoint.
  db.pragma("wal_checkpoint(PASSIVE)");
}

function sparePages(db: Database): number {
  const pages = (name: string) => Number(db.pragma(name, { simple: true }));
  return pages("freelist_count") - Math.max(64, pages("page_count") >> 6);
}

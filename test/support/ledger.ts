// A ledger in a temporary folder, booked in this thread: for tests of what reads it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { onTestFinished } from "vitest";
import { prepareBooking } from "../../src/store/booking.ts";
import { openForWriting } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import type { LedgerRow } from "../../src/store/rows.ts";

export interface BookedLedger {
  dir: string;
  db: Database;
  /** Rows that no table takes make the test fail. */
  book(rows: LedgerRow[]): void;
}

export function bookedLedger(rows: LedgerRow[] = [], onEnd: (end: () => void) => void = onTestFinished): BookedLedger {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-reports-"));
  const db = openForWriting(join(dir, "signalbox.db"), 1_000);
  db.pragma("synchronous = OFF");
  onEnd(() => {
    db.close();
    rmSync(dir, { recursive: true, force: true });
  });
  migrate(db);
  const booking = prepareBooking(db);
  const book = (more: LedgerRow[]) => {
    const [rejected] = booking.book(more);
    if (rejected !== undefined) throw new Error(`not booked: ${rejected.reason}`);
  };
  book(rows);
  return { dir, db, book };
}

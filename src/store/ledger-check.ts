// The nightly check for people who want to know now: the last days' sums against their rows, beside a running server.

import { dayText, describeDifference } from "./nightly-check.ts";
import { Notebook } from "./notes.ts";
import { openForReading } from "./reader.ts";
import { timeOfId } from "./request-ids.ts";
import { differencesOf, idsAround } from "./resum.ts";

const DAY_MS = 86_400_000;

export interface CheckedDay {
  /** 2026-03-01 */
  day: string;
  /** One sentence for each sum that is not what its rows add up to. */
  differences: string[];
}

/** Today and the days before it, newest first, as far as all rows of a day are still kept. Throws like `usageReport`. */
export function checkLedger(dir: string, nowMs: number, days: number): CheckedDay[] {
  const db = openForReading(dir);
  try {
    // Sums and rows of the same moment.
    db.exec("BEGIN");
    const rowsFrom = new Notebook(db).get("rows_from");
    const oldest = rowsFrom === undefined ? 0 : Math.ceil(timeOfId(rowsFrom) / DAY_MS) + 1;
    const today = Math.floor(nowMs / DAY_MS);
    const wanted = Array.from({ length: days }, (_, back) => today - back).filter((day) => day >= oldest);
    return wanted.map((day) => {
      const found = differencesOf(db, day, idsAround(day));
      return { day: dayText(day), differences: found.map((difference) => describeDifference(db, difference)) };
    });
  } finally {
    db.close();
  }
}

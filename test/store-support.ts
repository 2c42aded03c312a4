// What the tests of the ledger share: directories that are cleaned away, and a look into the database.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished } from "vitest";
import { type Difference, differencesOf } from "../src/store/resum.ts";
import { attempts, requests } from "../src/store/views.ts";

export function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-store-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function databasePath(dir: string): string {
  return join(dir, "signalbox.db");
}

/** Sums of any day that are not what their rows add up to: there must be none. */
export function wrongSums(dir: string): Difference[] {
  const db = new SqliteDatabase(databasePath(dir), { readonly: true });
  try {
    const days = db.prepare("SELECT DISTINCT bucket FROM rollup_days").pluck().all() as number[];
    const apart = db.prepare(`
      SELECT bucket, provider, model, sum(cost_nano_usd), sum(attempts), sum(requests) FROM (
        SELECT bucket, provider, model, cost_nano_usd, attempts, requests FROM rollup_model_days
        UNION ALL SELECT r.bucket, d.provider, d.model, -r.cost_nano_usd, -r.attempts, -r.requests
          FROM rollup_days r JOIN dimensions d ON d.id = r.dimension
      ) GROUP BY 1, 2, 3 HAVING sum(cost_nano_usd) <> 0 OR sum(attempts) <> 0 OR sum(requests) <> 0`);
    expect(apart.all()).toEqual([]);
    return days.flatMap((day) => differencesOf(db, day));
  } finally {
    db.close();
  }
}

/** Everything in the two tables, in key order. */
export function tables(dir: string) {
  const db = new SqliteDatabase(databasePath(dir), { readonly: true });
  try {
    return {
      attempts: attempts.select(db, "ORDER BY request_id, attempt"),
      requests: requests.select(db, "ORDER BY request_id"),
    };
  } finally {
    db.close();
  }
}

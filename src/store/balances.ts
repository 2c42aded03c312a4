// What was spent before the process started, from the sums: budgets begin with it.
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { DATABASE_NAME } from "./database.ts";

/** Integer nanodollars, costs and what was estimated where they are not known; for one caller at one provider. */
export interface OwnerBalance {
  key: string;
  keyId: string;
  team: string;
  organisation: string;
  provider: string;
  hour: number;
  day: number;
  week: number;
  month: number;
  total: number;
}

/** Start of the current calendar windows, UTC. */
export interface WindowStarts {
  hour: number;
  day: number;
  week: number;
  month: number;
}

const SPENT = "r.cost_nano_usd + r.estimated_nano_usd";
const DAYS = `
  SELECT d.key, d.key_id AS keyId, d.team, d.organisation, d.provider, 0 AS hour,
    sum(iif(r.bucket >= @day, ${SPENT}, 0)) AS day, sum(iif(r.bucket >= @week, ${SPENT}, 0)) AS week,
    sum(iif(r.bucket >= @month, ${SPENT}, 0)) AS month, sum(${SPENT}) AS total
  FROM rollup_days r JOIN dimensions d ON d.id = r.dimension WHERE d.provider <> '' GROUP BY 1, 2, 3, 4, 5`;
const HOUR = `
  SELECT d.key, d.key_id AS keyId, d.team, d.organisation, d.provider, sum(${SPENT}) AS hour, 0 AS day, 0 AS week,
    0 AS month, 0 AS total
  FROM rollup_hours r JOIN dimensions d ON d.id = r.dimension WHERE d.provider <> '' AND r.bucket >= @hour
  GROUP BY 1, 2, 3, 4, 5`;

/** For the start: reads the database on this thread, when the journal has been replayed. Throws what SQLite says, and a
 *  RangeError where a sum is more than a number holds. */
export function readBalances(dir: string, starts: WindowStarts): OwnerBalance[] {
  const db = new SqliteDatabase(join(dir, DATABASE_NAME), { readonly: true, fileMustExist: true });
  try {
    const DAY_MS = 86_400_000;
    const [day, week, month] = [starts.day, starts.week, starts.month].map((ms) => Math.floor(ms / DAY_MS));
    const days = db.prepare(DAYS).all({ day, week, month }) as OwnerBalance[];
    const hour = db.prepare(HOUR).all({ hour: Math.floor(starts.hour / 3_600_000) }) as OwnerBalance[];
    return [...days, ...hour];
  } finally {
    db.close();
  }
}

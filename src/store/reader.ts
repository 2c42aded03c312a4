// The ledger as reports open it: read-only, beside a running server.
import { existsSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { DATABASE_NAME } from "./database.ts";
import { requireCurrentSchema } from "./migrate.ts";

/** Throws with a text for the operator when there is no database of this version. */
export function openForReading(dir: string): Database {
  const path = join(dir, DATABASE_NAME);
  if (!existsSync(path)) {
    throw new Error(
      `there is no ledger in ${dir} yet (${DATABASE_NAME} is missing): the server makes it when it starts`,
    );
  }
  const db = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
  try {
    requireCurrentSchema(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Closes the database after `use`, whatever happens. */
export function reading<Result>(dir: string, use: (db: Database) => Result): Result {
  const db = openForReading(dir);
  try {
    return use(db);
  } finally {
    db.close();
  }
}

/** SQLite sums 64-bit integers; beyond 2^53 ($9 million in nanodollars) a number would lose units without a word. */
export function exact(sum: bigint): number {
  if (Number.isSafeInteger(Number(sum))) return Number(sum);
  throw new RangeError(`a sum of about ${sum} is too large to be shown exactly: ask for a shorter time`);
}

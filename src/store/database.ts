// The SQLite file as its one writer opens it.
import SqliteDatabase, { type Database } from "better-sqlite3";

export const DATABASE_NAME = "signalbox.db";

/** A long-running reader keeps the write-ahead log from being recycled; afterwards it is cut back to this. */
const WAL_BYTES_MAX = 16 * 1024 * 1024;

export function openForWriting(path: string, busyTimeoutMs: number): Database {
  const db = new SqliteDatabase(path, { timeout: busyTimeoutMs });
  try {
    db.pragma("journal_mode = WAL");
    // FULL syncs the write-ahead log at each commit; NORMAL could lose the last commits in a power cut.
    db.pragma("synchronous = FULL");
    db.pragma(`journal_size_limit = ${WAL_BYTES_MAX}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

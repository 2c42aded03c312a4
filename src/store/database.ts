// The SQLite file as its one writer opens it.
import SqliteDatabase, { type Database } from "better-sqlite3";

export const DATABASE_NAME = "signalbox.db";

/** A long-running reader keeps the write-ahead log from being recycled; afterwards it is cut back to this. */
const WAL_BYTES_MAX = 16 * 1024 * 1024;

export function openForWriting(path: string, busyTimeoutMs: number): Database {
  const db = new SqliteDatabase(path, { timeout: busyTimeoutMs });
  try {
    // Of a new file only, before its first table: without it, deleted rows would never make the file smaller.
    if (Number(db.pragma("page_count", { simple: true })) === 0) db.pragma("auto_vacuum = INCREMENTAL");
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

const INCREMENTAL = 2;
/** Rewriting so much takes about two seconds. */
const VACUUM_BYTES_MAX = 256 * 1024 * 1024;

/** Once, for a file of an earlier version: after this it can become smaller. Answers with what to tell the operator. */
export function allowShrinking(db: Database): string | undefined {
  if (Number(db.pragma("auto_vacuum", { simple: true })) === INCREMENTAL) return undefined;
  const bytes = Number(db.pragma("page_count", { simple: true })) * Number(db.pragma("page_size", { simple: true }));
  if (bytes > VACUUM_BYTES_MAX) {
    return (
      `${db.name} was made by an earlier version and will not become smaller when old rows are removed (their space is ` +
      "used again). A copy that can is made by: signalbox backup FILE. To use it, restore it"
    );
  }
  try {
    db.pragma("auto_vacuum = INCREMENTAL");
    db.exec("VACUUM");
    return undefined;
  } catch (error) {
    return `${db.name} cannot be rewritten and will not become smaller when old rows go: ${(error as Error).message}`;
  }
}

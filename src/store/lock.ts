// Makes this process the only one that writes to a data directory, for as long as it lives.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { LedgerRefused } from "./refusal.ts";

export interface DirectoryLock {
  dir: string;
  release(): void;
}

/** A killed predecessor takes a moment to die, and two that start at once must not both give up. */
const WAIT_MS = 500;

/** Throws with a text for the operator when another process has the directory. The lock is the operating system's (by
 *  way of SQLite, since Node offers none) and not a file with a process id, because ids repeat: in a container the
 *  crashed process and its successor are often both number 1. The id is only there for the message. */
export function lockDirectory(dir: string): DirectoryLock {
  const pidPath = join(dir, "signalbox.pid");
  const lock = new SqliteDatabase(join(dir, "signalbox.lock"), { timeout: WAIT_MS });
  try {
    lock.pragma("journal_mode = MEMORY"); // Nothing is ever written, so no journal file is to lie around.
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (!(error instanceof SqliteDatabase.SqliteError && error.code.startsWith("SQLITE_BUSY"))) throw error;
    const owner = existsSync(pidPath) ? readFileSync(pidPath, "utf8").trim() : "unknown";
    throw new LedgerRefused(
      "conflict",
      `the data directory ${dir} is in use by another Signalbox, process ${owner}: stop it or use another directory`,
    );
  }
  writeFileSync(pidPath, `${process.pid}\n`);
  return {
    dir,
    release() {
      rmSync(pidPath, { force: true });
      lock.close();
    },
  };
}

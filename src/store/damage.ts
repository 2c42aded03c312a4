// A database file that SQLite cannot read any more: how one is told, and where it goes when the router is to go on.
import { existsSync, renameSync, rmSync } from "node:fs";
import SqliteDatabase from "better-sqlite3";

export function isDamage(error: unknown): boolean {
  return error instanceof SqliteDatabase.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

/** Moves the file and its write-ahead log to a name of their own, where `sqlite3 … .recover` may find most of it.
 *  Answers with that name. No connection may be open. */
export function setAside(path: string, nowMs: number): string {
  const time = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  let aside = `${path}.damaged-${time}`;
  for (let number = 2; existsSync(aside); number += 1) aside = `${path}.damaged-${time}-${number}`;
  if (existsSync(`${path}-wal`)) renameSync(`${path}-wal`, `${aside}-wal`);
  renameSync(path, aside);
  // An index of the write-ahead log, which SQLite makes anew.
  rmSync(`${path}-shm`, { force: true });
  return aside;
}

// A copy of the ledger's database as it is at one moment, made while the router runs.
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { DATABASE_NAME } from "./database.ts";

export interface Backup {
  file: string;
  bytes: number;
  requests: number;
  attempts: number;
}

/**
 * Writes a copy that was checked and is on disk when this returns; a file of that name is never overwritten. Rows that
 * the router has journalled but not yet moved into the database (of the last milliseconds) are not in it. Throws with a
 * text for the operator; nothing is left behind then but, after a crash, `FILE.unfinished`.
 */
export function backUpLedger(dir: string, file: string): Backup {
  const source = join(dir, DATABASE_NAME);
  if (!existsSync(source)) throw new Error(`there is no ledger in ${dir} (${DATABASE_NAME} is missing)`);
  if (existsSync(file)) throw new Error(`${file} exists already and is not overwritten: name another file`);
  const unfinished = `${file}.unfinished`;
  try {
    copyDatabase(source, unfinished);
    const counted = verify(unfinished);
    if (existsSync(file)) throw new Error(`${file} has appeared meanwhile and is not overwritten`);
    renameSync(unfinished, file);
    syncPath(dirname(file));
    return { file, bytes: statSync(file).size, ...counted };
  } catch (error) {
    rmSync(unfinished, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new Error(`the folder ${dirname(file)} of the backup does not exist`);
    throw new Error(`no backup was made: ${message}`);
  }
}

/** On disk when this returns, under its final permissions: the ledger says who used what. Also for upgrades. */
export function copyDatabase(source: string, file: string): void {
  rmSync(file, { force: true });
  closeSync(openSync(file, "wx", 0o600));
  const db = new SqliteDatabase(source, { readonly: true, fileMustExist: true });
  try {
    // A copy of an earlier version's file can become smaller from then on. (Saying so again would be a write.)
    if (Number(db.pragma("auto_vacuum", { simple: true })) === 0) db.pragma("auto_vacuum = INCREMENTAL");
    db.prepare("VACUUM INTO ?").run(file);
  } finally {
    db.close();
  }
  syncPath(file);
}

function verify(file: string): { requests: number; attempts: number } {
  const db = new SqliteDatabase(file, { readonly: true, fileMustExist: true });
  try {
    const problem = String(db.pragma("integrity_check(1)", { simple: true }));
    if (problem !== "ok") throw new Error(`the copy is damaged, and so may be the ledger: ${problem}`);
    return { requests: countOf(db, "requests"), attempts: countOf(db, "attempts") };
  } finally {
    db.close();
  }
}

/** Of a ledger of any version: the views of today were tables once. */
function countOf(db: Database, name: "requests" | "attempts"): number {
  const rows = `${name.slice(0, -1)}_rows`;
  const isThere = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(rows) !== undefined;
  return Number(
    db
      .prepare(`SELECT count(*) FROM ${isThere ? rows : name}`)
      .pluck()
      .get(),
  );
}

function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

// Brings a database file to the schema this code knows: forward only, with a copy beside it before anything changes.
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Database } from "better-sqlite3";
import { copyDatabase } from "./backup.ts";
import { packStory } from "./story.ts";

interface Migration {
  version: number;
  path: string;
}

/** In a checkout this file is src/store/migrate.ts; compiled it is dist/src/store/migrate.js, one folder deeper. */
const MIGRATIONS_DIR = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../migrations/" : "../../../migrations/", import.meta.url),
);

/** Applies what is missing, each file in a transaction of its own. Throws with a text for the operator when the
 *  database is newer than this code; a migration that fails leaves the database as it was before that file. */
export function migrate(db: Database, migrationsDir: string = MIGRATIONS_DIR): void {
  const migrations = listMigrations(migrationsDir);
  const version = schemaVersion(db);
  const missing = migrations.slice(version);
  refuseNewerSchema(db, migrations.length);
  if (missing.length === 0) return;
  if (!isEmpty(db)) backUp(db, version + 1);
  // For 0004_accounts.sql.
  const story = (decision: unknown, trace: unknown) =>
    packStory(String(decision), trace === null ? undefined : String(trace));
  db.function("story_text", { deterministic: true }, (decision, trace) => story(decision, trace).text);
  db.function("story_figures", { deterministic: true }, (decision, trace) => story(decision, trace).figures);
  for (const migration of missing) {
    const sql = readFileSync(migration.path, "utf8");
    const apply = db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${migration.version}`);
    });
    apply.immediate();
  }
}

/** For readers, who may not change the schema: throws unless it is exactly the one this code knows. */
export function requireCurrentSchema(db: Database): void {
  const known = listMigrations(MIGRATIONS_DIR).length;
  refuseNewerSchema(db, known);
  const version = schemaVersion(db);
  if (version === known) return;
  throw new Error(
    `${db.name} has schema version ${version}, this Signalbox needs version ${known}: ` +
      "start the server once, it upgrades the database (and keeps a copy of the old one)",
  );
}

/** A newer Signalbox has written the database. */
export class NewerSchema extends Error {
  override readonly name = "NewerSchema";
}

function refuseNewerSchema(db: Database, known: number): void {
  const version = schemaVersion(db);
  if (version <= known) return;
  throw new NewerSchema(
    `${db.name} has schema version ${version}, but this Signalbox knows versions up to ${known}: a newer Signalbox ` +
      "has written it. Install that version again, or (losing what was recorded since the upgrade) replace the file " +
      `with the copy made before the upgrade, ${db.name}.before-${padded(known + 1)}`,
  );
}

function schemaVersion(db: Database): number {
  return Number(db.pragma("user_version", { simple: true }));
}

/** Sorted and without gaps: migration n is the n-th file. */
function listMigrations(dir: string): Migration[] {
  const names = readdirSync(dir)
    .filter((name) => /^\d{4}_.+\.sql$/.test(name))
    .sort();
  return names.map((name, index) => {
    const version = index + 1;
    if (name.startsWith(padded(version))) return { version, path: join(dir, name) };
    throw new Error(`${dir}: found ${name} where migration ${padded(version)} was expected; numbers must have no gaps`);
  });
}

function isEmpty(db: Database): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined;
}

/** VACUUM INTO sees one consistent state, including what is still in the write-ahead log. The copy gets its final name
 *  only when it is complete and on disk. */
function backUp(db: Database, version: number): void {
  const path = `${db.name}.before-${padded(version)}`;
  const unfinished = `${path}.unfinished`;
  copyDatabase(db.name, unfinished);
  renameSync(unfinished, path);
  fsyncPath(dirname(path));
}

function fsyncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function padded(version: number): string {
  return String(version).padStart(4, "0");
}

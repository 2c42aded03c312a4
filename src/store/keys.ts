// The table of callers' keys: written by the router and by its commands alike, since keys are few and change rarely.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { type ApiKey, displayOf, hashOf, KEYS_MAX, type KeyRefusal, type KeySettings } from "../api-keys.ts";
import { DATABASE_NAME, openForWriting } from "./database.ts";
import { lockDirectory } from "./lock.ts";
import { migrate, requireCurrentSchema } from "./migrate.ts";

const BUSY_TIMEOUT_MS = 5_000;

export interface KeyIdentity {
  id: string;
  secret: string;
}

/** How far a reader is: keys with a higher version are news, and another count of deletions means starting over. */
export interface KeysVersion {
  version: number;
  deletions: number;
}

/** A key with the hashes it is found by, in hexadecimal. Most keys rest, so that they are only looked into when used. */
export interface StoredKey {
  id: string;
  hash: string;
  previousHash: string | undefined;
  isRevoked: boolean;
  read(): ApiKey;
}

/** Reading. Every method throws when the database cannot be read. */
export interface KeyReader {
  version(): KeysVersion;
  /** Keys that were made or changed after the version, and the version they bring. */
  changedSince(version: number): StoredKey[];
  close(): void;
}

export interface KeyTable {
  create(identity: KeyIdentity, settings: KeySettings, nowMs: number): ApiKey | KeyRefusal;
  /** `change` gets the key as it is; what it answers with besides settings is passed on, and nothing is written. */
  update<Problem>(
    id: string,
    change: (key: ApiKey) => KeySettings | { problem: Problem },
  ): ApiKey | KeyRefusal | { problem: Problem };
  /** A new secret; the one before it is good for `graceMs` more. Any that was before that one ends at once. */
  rotate(identity: KeyIdentity, graceMs: number, nowMs: number): ApiKey | KeyRefusal;
  /** A key that was revoked before stays as it is. */
  revoke(id: string, nowMs: number): ApiKey | KeyRefusal;
  /** By id, or by the name of a key that is not revoked. */
  get(idOrName: string): ApiKey | undefined;
  /** In the order in which they were made; `after` is the id of the last one seen. */
  list(options: { after?: string | undefined; limit: number }): ApiKey[];
  close(): void;
}

/** The database of a running router, or of one that will run: it is made or brought up to date only while no router holds
 *  the directory. A write waits up to `busyTimeoutMs` for others and blocks the thread meanwhile. Throws with a text for the
 *  operator. */
export function openKeys(dir: string, busyTimeoutMs = BUSY_TIMEOUT_MS): KeyTable {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, DATABASE_NAME);
  if (!existsSync(path)) prepare(dir, path);
  let db = openForWriting(path, busyTimeoutMs);
  if (!isCurrent(db)) {
    db.close();
    prepare(dir, path);
    db = openForWriting(path, busyTimeoutMs);
  }
  return new SqliteKeys(db);
}

function prepare(dir: string, path: string): void {
  const lock = lockDirectory(dir);
  try {
    const db = openForWriting(path, BUSY_TIMEOUT_MS);
    try {
      migrate(db);
    } finally {
      db.close();
    }
  } finally {
    lock.release();
  }
}

function isCurrent(db: Database): boolean {
  try {
    requireCurrentSchema(db);
    return true;
  } catch {
    return false;
  }
}

/** For the router, whose ledger has brought the database up to date. */
export function openKeyReader(dir: string): KeyReader {
  const db = new SqliteDatabase(join(dir, DATABASE_NAME), { readonly: true, fileMustExist: true });
  const version = db.prepare<[], KeysVersion>("SELECT version, deletions FROM keys_version");
  const changed = db.prepare<[number], HashedRow>(
    `SELECT *, lower(hex(secret_hash)) AS hash, lower(hex(previous_hash)) AS previous
     FROM keys WHERE version > ? ORDER BY version`,
  );
  return {
    version: () => version.get() ?? { version: 0, deletions: 0 },
    changedSince: (since) => changed.all(since).map(storedKeyOf),
    close: () => void db.close(),
  };
}

/** Whether a key was ever made here. False where that cannot be told. */
export function hasKeys(dir: string): boolean {
  const path = join(dir, DATABASE_NAME);
  if (!existsSync(path)) return false;
  let db: Database | undefined;
  try {
    db = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
    return db.prepare("SELECT 1 FROM keys LIMIT 1").get() !== undefined;
  } catch {
    return false;
  } finally {
    db?.close();
  }
}

interface Row {
  id: string;
  name: string;
  display: string;
  team: string | null;
  organisation: string | null;
  tags: string;
  models: string | null;
  endpoints: string | null;
  budgets: string;
  allow_unpriced: number;
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  created_at_ms: number;
  expires_at_ms: number | null;
  revoked_at_ms: number | null;
  previous_until_ms: number | null;
}

function keyOf(row: Row): ApiKey {
  return {
    id: row.id,
    name: row.name,
    display: row.display,
    team: row.team ?? undefined,
    organisation: row.organisation ?? undefined,
    tags: JSON.parse(row.tags) as string[],
    models: listOf(row.models),
    endpoints: listOf(row.endpoints),
    budgets: JSON.parse(row.budgets) as string[],
    allowUnpriced: row.allow_unpriced === 1,
    rpm: row.rpm ?? undefined,
    tpm: row.tpm ?? undefined,
    concurrency: row.concurrency ?? undefined,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms ?? undefined,
    revokedAtMs: row.revoked_at_ms ?? undefined,
    previousUntilMs: row.previous_until_ms ?? undefined,
  };
}

function listOf(json: string | null): string[] | undefined {
  return json === null ? undefined : (JSON.parse(json) as string[]);
}

interface HashedRow extends Row {
  hash: string;
  /** Empty where there is none. */
  previous: string;
}

function storedKeyOf(row: HashedRow): StoredKey {
  const { id, hash, previous, revoked_at_ms: revokedAtMs } = row;
  const previousHash = previous === "" ? undefined : previous;
  return { id, hash, previousHash, isRevoked: revokedAtMs !== null, read: () => keyOf(row) };
}

function columnsOf(settings: KeySettings) {
  return {
    name: settings.name,
    team: settings.team ?? null,
    organisation: settings.organisation ?? null,
    tags: JSON.stringify(settings.tags),
    models: settings.models === undefined ? null : JSON.stringify(settings.models),
    endpoints: settings.endpoints === undefined ? null : JSON.stringify(settings.endpoints),
    budgets: JSON.stringify(settings.budgets),
    allowUnpriced: settings.allowUnpriced ? 1 : 0,
    rpm: settings.rpm ?? null,
    tpm: settings.tpm ?? null,
    concurrency: settings.concurrency ?? null,
    expiresAtMs: settings.expiresAtMs ?? null,
  };
}

const INSERT = `
  INSERT INTO keys (
    id, name, secret_hash, display, team, organisation, tags, models, endpoints, budgets, allow_unpriced,
    rpm, tpm, concurrency, created_at_ms, expires_at_ms
  ) VALUES (
    @id, @name, @hash, @display, @team, @organisation, @tags, @models, @endpoints, @budgets, @allowUnpriced,
    @rpm, @tpm, @concurrency, @createdAtMs, @expiresAtMs
  )`;

const UPDATE = `
  UPDATE keys SET
    name = @name, team = @team, organisation = @organisation, tags = @tags, models = @models, endpoints = @endpoints,
    budgets = @budgets, allow_unpriced = @allowUnpriced, rpm = @rpm, tpm = @tpm, concurrency = @concurrency,
    expires_at_ms = @expiresAtMs
  WHERE id = @id`;

const ROTATE = `
  UPDATE keys SET previous_hash = secret_hash, previous_until_ms = @until, secret_hash = @hash, display = @display
  WHERE id = @id`;

const FORGET_OLDEST = `
  DELETE FROM keys WHERE id =
    (SELECT id FROM keys WHERE revoked_at_ms IS NOT NULL ORDER BY revoked_at_ms LIMIT 1)`;

class SqliteKeys implements KeyTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  create({ id, secret }: KeyIdentity, settings: KeySettings, nowMs: number): ApiKey | KeyRefusal {
    return this.#inTransaction((): ApiKey | KeyRefusal => {
      const taken = this.#nameTaken(settings.name, id);
      if (taken !== undefined) return taken;
      if (this.#count() >= KEYS_MAX && this.#db.prepare(FORGET_OLDEST).run().changes === 0) {
        return { refused: "too_many", message: `There are ${KEYS_MAX} keys already; revoke some first.` };
      }
      const named = { id, hash: hashOf(secret), display: displayOf(secret), createdAtMs: nowMs };
      this.#db.prepare(INSERT).run({ ...columnsOf(settings), ...named });
      return this.#byId(id) as ApiKey;
    });
  }

  update<Problem>(id: string, change: (key: ApiKey) => KeySettings | { problem: Problem }) {
    return this.#inTransaction(() => {
      const key = this.#living(id);
      if ("refused" in key) return key;
      const settings = change(key);
      if ("problem" in settings) return settings;
      const taken = this.#nameTaken(settings.name, id);
      if (taken !== undefined) return taken;
      this.#db.prepare(UPDATE).run({ ...columnsOf(settings), id });
      return this.#byId(id) as ApiKey;
    });
  }

  rotate({ id, secret }: KeyIdentity, graceMs: number, nowMs: number): ApiKey | KeyRefusal {
    return this.#inTransaction(() => {
      const key = this.#living(id);
      if ("refused" in key) return key;
      const changed = { id, hash: hashOf(secret), display: displayOf(secret), until: nowMs + graceMs };
      this.#db.prepare(ROTATE).run(changed);
      return this.#byId(id) as ApiKey;
    });
  }

  revoke(id: string, nowMs: number): ApiKey | KeyRefusal {
    return this.#inTransaction(() => {
      this.#db.prepare("UPDATE keys SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL").run(nowMs, id);
      return this.#byId(id) ?? notFound(id);
    });
  }

  get(idOrName: string): ApiKey | undefined {
    const row = this.#db
      .prepare<[string, string], Row>("SELECT * FROM keys WHERE id = ? OR (name = ? AND revoked_at_ms IS NULL)")
      .get(idOrName, idOrName);
    return row && keyOf(row);
  }

  list({ after, limit }: { after?: string | undefined; limit: number }): ApiKey[] {
    const last = after === undefined ? undefined : this.#byId(after);
    const rows = this.#db
      .prepare<[number, string, number], Row>(
        "SELECT * FROM keys WHERE (created_at_ms, id) > (?, ?) ORDER BY created_at_ms, id LIMIT ?",
      )
      .all(last?.createdAtMs ?? -1, last?.id ?? "", limit);
    return rows.map(keyOf);
  }

  close(): void {
    this.#db.close();
  }

  /** Takes the write lock at once: a transaction that only asks for it later can fail for want of patience. */
  #inTransaction<Result>(work: () => Result): Result | KeyRefusal {
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      if (!(error instanceof SqliteDatabase.SqliteError && error.code.startsWith("SQLITE_BUSY"))) throw error;
      return { refused: "busy", message: "Somebody else is writing to the database; nothing was changed. Try again." };
    }
  }

  #count(): number {
    return this.#db.prepare<[], number>("SELECT count(*) FROM keys").pluck().get() ?? 0;
  }

  #byId(id: string): ApiKey | undefined {
    const row = this.#db.prepare<[string], Row>("SELECT * FROM keys WHERE id = ?").get(id);
    return row && keyOf(row);
  }

  #living(id: string): ApiKey | KeyRefusal {
    const key = this.#byId(id);
    if (key === undefined) return notFound(id);
    if (key.revokedAtMs === undefined) return key;
    const message = `The key ${id} ("${key.name}") is revoked and cannot be changed; create a new one.`;
    return { refused: "revoked", message };
  }

  #nameTaken(name: string, id: string): KeyRefusal | undefined {
    const other = this.#db
      .prepare<[string, string], string>("SELECT id FROM keys WHERE name = ? AND revoked_at_ms IS NULL AND id <> ?")
      .pluck()
      .get(name, id);
    if (other === undefined) return undefined;
    const message = `The name "${name}" is taken by ${other}; choose another, or revoke that key first.`;
    return { refused: "name_taken", message };
  }
}

function notFound(id: string): KeyRefusal {
  return { refused: "not_found", message: `There is no key ${id.slice(0, 64)}.` };
}

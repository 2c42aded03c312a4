// What the router has learnt, kept over a restart. Hides the pacing: the thread that serves requests never waits for
// SQLite, and however slow the disk is, at most one text of each name waits.
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import type { JsonObject } from "../chat.ts";
import { DATABASE_NAME } from "./database.ts";
import type { SavedStatistics, ToWorker } from "./messages.ts";

const TEXT_CHARS_MAX = 16 * 1024 * 1024;
const NAMES_MAX = 16;

/** The main thread's side. Statistics are worth a log line, never an error: they are learnt again. */
export class StatisticsMail {
  readonly #dir: string;
  readonly #post: (message: ToWorker) => void;
  readonly #log: (message: string) => void;
  /** By name; only the newest is worth writing. */
  readonly #waiting = new Map<string, SavedStatistics>();
  #isOnItsWay = false;

  constructor(dir: string, post: (message: ToWorker) => void, log: (message: string) => void) {
    this.#dir = dir;
    this.#post = post;
    this.#log = log;
  }

  save(name: string, json: JsonObject): void {
    const text = JSON.stringify(json);
    const refusal = this.#refusal(name, text);
    if (refusal !== undefined) {
      this.#log(`the statistics "${name}" are not saved: ${refusal}`);
      return;
    }
    this.#waiting.set(name, { name, updatedAtMs: Date.now(), text });
    if (!this.#isOnItsWay) this.#postOne();
  }

  /** The worker is done with the last one. */
  written(): void {
    this.#isOnItsWay = false;
    this.#postOne();
  }

  /** Sends all that waits: before the worker is asked to leave. */
  postAll(): void {
    while (this.#waiting.size > 0) this.#postOne();
  }

  /** For the start: reads the database on this thread. `undefined` when there is nothing, or nothing that can be read. */
  load(name: string): unknown {
    try {
      const text = readStatistics(join(this.#dir, DATABASE_NAME), name);
      return text === undefined ? undefined : JSON.parse(text);
    } catch (error) {
      this.#log(`the statistics "${name}" of the last run cannot be read and are ignored: ${(error as Error).message}`);
      return undefined;
    }
  }

  #postOne(): void {
    for (const [name, statistics] of this.#waiting) {
      this.#waiting.delete(name);
      this.#isOnItsWay = true;
      this.#post({ kind: "statistics", statistics });
      return;
    }
  }

  #refusal(name: string, text: string): string | undefined {
    if (text.length > TEXT_CHARS_MAX) return `${text.length} characters are more than ${TEXT_CHARS_MAX}`;
    if (this.#waiting.size >= NAMES_MAX && !this.#waiting.has(name)) return `${NAMES_MAX} others wait for the database`;
    return undefined;
  }
}

/** In the worker thread: overwrites what the name held, on disk when this returns. Throws what SQLite says. */
export function writeStatistics(db: Database, { name, updatedAtMs, text }: SavedStatistics): void {
  const write = db.prepare(`
    INSERT INTO statistics (name, updated_at_ms, json) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET updated_at_ms = excluded.updated_at_ms, json = excluded.json`);
  write.run(name, updatedAtMs, text);
}

function readStatistics(path: string, name: string): string | undefined {
  const db = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
  try {
    const text: unknown = db.prepare("SELECT json FROM statistics WHERE name = ?").pluck().get(name);
    return typeof text === "string" ? text : undefined;
  } finally {
    db.close();
  }
}

// What the ledger's housekeeping has to remember over a restart: how far it got, what it found.
import type { Database, Statement } from "better-sqlite3";

export interface Notes {
  /** Requests before this id were pruned: rows of theirs that are read from a journal again are not booked again. */
  rows_from: string;
  /** Requests before this id have no trace any more. */
  traces_from: string;
  /** The day (UTC, since 1970) in which what nobody refers to was last looked for. */
  swept_on: string;
  /** The last day whose sums were compared with its rows on the day after; how many differed then. */
  checked: string;
  differences: string;
  /** The last of the earlier days that are compared in rotation. */
  rotated: string;
}

export class Notebook {
  readonly #read: Statement;
  readonly #write: Statement;

  constructor(db: Database) {
    this.#read = db.prepare("SELECT text FROM notes WHERE name = ?").pluck();
    this.#write = db.prepare(
      "INSERT INTO notes (name, text) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text",
    );
  }

  get(name: keyof Notes): string | undefined {
    return this.#read.get(name) as string | undefined;
  }

  number(name: keyof Notes): number | undefined {
    const text = this.get(name);
    return text === undefined ? undefined : Number(text);
  }

  set(name: keyof Notes, value: string | number): void {
    this.#write.run(name, String(value));
  }
}

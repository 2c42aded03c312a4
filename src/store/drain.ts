// Moves the journal into SQLite, in the worker thread: booking, retrying, and removing what is booked.
import { closeSync, fstatSync, fsyncSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { type Booking, prepareBooking } from "./booking.ts";
import { isDamage, setAside } from "./damage.ts";
import { allowShrinking, DATABASE_NAME, openForWriting } from "./database.ts";
import { Dictionary } from "./dictionary.ts";
import { Housekeeper } from "./housekeeper.ts";
import { BATCH_BYTES_MAX, listSegments, type Position, readBatch, segmentPath } from "./journal.ts";
import type { FromWorker, SavedStatistics, ToWorker, WorkerOptions } from "./messages.ts";
import { migrate } from "./migrate.ts";
import type { Retention } from "./prune.ts";
import { writeStatistics } from "./statistics.ts";

const RETRY_MS_FIRST = 50;
const RETRY_MS_MAX = 5_000;

const KEEP_ALL: Retention = {
  requestsMs: undefined,
  tracesMs: undefined,
  minutesMs: undefined,
  hoursMs: undefined,
  daysMs: undefined,
};

/** A connection and what was prepared on it. */
interface Store {
  db: Database;
  words: Dictionary;
  booking: Booking;
}

/** Moves rows from segment files to the database. Everything here may block: nobody waits for this thread. */
export class Drain {
  readonly #options: WorkerOptions;
  readonly #send: (message: FromWorker) => void;
  readonly #closed: () => void;
  readonly #scratch = Buffer.allocUnsafe(BATCH_BYTES_MAX);
  #store: Store;
  readonly #housekeeper: Housekeeper;
  #at: Position = { segment: 0, offset: 0 };
  #fd: number | undefined;
  #upTo: Position = { segment: 0, offset: 0 };
  #failures = 0;
  #lastError: unknown;
  #didStatisticsFail = false;
  #isClosing = false;

  /** Opens (and migrates) the database. `closed` is called after a `close` message has been carried out. */
  constructor(options: WorkerOptions, send: (message: FromWorker) => void, closed: () => void) {
    this.#options = options;
    this.#send = send;
    this.#closed = closed;
    try {
      this.#store = this.#open();
    } catch (error) {
      this.#store = this.#replacement(error);
    }
    this.#housekeeper = new Housekeeper(send);
  }

  /** Books what earlier processes left behind. Answers with the number of the next segment. */
  recover(): number {
    try {
      return this.#recover();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#store.db.close();
      this.#store = this.#replacement(error);
      return this.#recover();
    }
  }

  #recover(): number {
    const segments = listSegments(this.#options.dir);
    let rows = 0;
    for (const segment of segments) {
      this.#at = { segment, offset: 0 };
      rows += this.#drainSegment(this.#segmentBytes());
      this.#removeSegment();
    }
    const unknown = this.#store.booking.markUnsettledAsUnknown();
    if (rows > 0) this.#log(`replayed ${rows} rows of the journal that the last process had not committed`);
    if (unknown > 0)
      this.#log(
        `${unknown} attempts were never settled: they are kept as "unknown", counted with what was reserved for them`,
      );
    const next = (segments.at(-1) ?? 0) + 1;
    this.#at = { segment: next, offset: 0 };
    return next;
  }

  receive(message: ToWorker): void {
    if (message.kind === "statistics") {
      this.#saveStatistics(message.statistics);
      return;
    }
    if (message.kind === "housekeep") {
      this.#housekeep(message.nowMs);
      return;
    }
    this.#upTo = message.upTo;
    this.#isClosing ||= message.kind === "close";
    // While it is failing, the retry timer is what goes on.
    if (this.#failures === 0) this.#drain();
  }

  #housekeep(nowMs: number): void {
    const log = (message: string) => this.#log(message);
    const { retention = KEEP_ALL } = this.#options;
    const household = { ...this.#store, retention, log };
    if (this.#failures > 0) this.#send({ kind: "housekept" });
    else this.#housekeeper.start(household, nowMs);
  }

  /** Never at the expense of rows: while those cannot be written, statistics are not even tried. */
  #saveStatistics(statistics: SavedStatistics): void {
    try {
      if (this.#failures === 0) writeStatistics(this.#store.db, statistics);
      this.#didStatisticsFail = false;
    } catch (error) {
      if (!this.#didStatisticsFail) this.#log(`statistics cannot be saved: ${(error as Error).message}`);
      this.#didStatisticsFail = true;
    }
    this.#send({ kind: "statisticsDone" });
  }

  #drain(): void {
    try {
      if (this.#failures > 0) this.#reopen();
      while (this.#at.segment < this.#upTo.segment) {
        this.#drainSegment(this.#segmentBytes());
        this.#removeSegment();
        this.#at = { segment: this.#at.segment + 1, offset: 0 };
      }
      this.#drainSegment(this.#upTo.offset);
      if (this.#failures > 0) this.#log("the ledger database works again");
      this.#failures = 0;
    } catch (error) {
      this.#retryLater(error);
      return;
    }
    if (this.#isClosing) this.#close();
  }

  /** Commits the current segment up to byte `limit`, batch by batch. Answers with the number of rows. */
  #drainSegment(limit: number): number {
    let rows = 0;
    while (this.#at.offset < limit) {
      const batch = readBatch(this.#currentFd(), this.#at.offset, limit, this.#scratch);
      const rejected = batch.rows.length === 0 ? [] : this.#store.booking.book(batch.rows);
      for (const { row, reason } of rejected) this.#log(`a row was not booked: ${reason}: ${JSON.stringify(row)}`);
      for (const torn of batch.torn) this.#logTorn(torn);
      const bytes = batch.end - this.#at.offset;
      this.#at.offset = batch.end;
      rows += batch.rows.length;
      this.#send({ kind: "committed", upTo: { ...this.#at }, rows: batch.rows.length, bytes });
    }
    return rows;
  }

  #currentFd(): number {
    this.#fd ??= openSync(segmentPath(this.#options.dir, this.#at.segment), "r");
    return this.#fd;
  }

  /** Length of the current segment, which nobody appends to any more. */
  #segmentBytes(): number {
    return fstatSync(this.#currentFd()).size;
  }

  #removeSegment(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    rmSync(segmentPath(this.#options.dir, this.#at.segment), { force: true });
  }

  #retryLater(error: unknown): void {
    this.#lastError = error;
    this.#housekeeper.stop();
    this.#failures += 1;
    const reason = error instanceof Error ? error.message : String(error);
    this.#send({ kind: "failing", reason });
    if (this.#failures === 1) this.#log(`the ledger database cannot be written: ${reason}; rows wait in the journal`);
    try {
      // Usually SQLite's sync is the only one needed. Now that it does not come, the journal has to be the durable copy.
      fsyncSync(this.#currentFd());
    } catch {
      // The same disk fails here, too: already reported above.
    }
    setTimeout(() => this.#drain(), Math.min(RETRY_MS_FIRST * 2 ** (this.#failures - 1), RETRY_MS_MAX));
  }

  /** After an I/O error a connection may be unusable for good. */
  #reopen(): void {
    const before = this.#store;
    if (this.#options.replacesDamaged === true && isDamage(this.#lastError)) {
      before.db.close();
      this.#store = this.#replacement(this.#lastError);
    } else {
      this.#store = this.#open(before.words);
      before.db.close();
    }
  }

  #open(before?: Dictionary): Store {
    const db = openForWriting(join(this.#options.dir, DATABASE_NAME), this.#options.busyTimeoutMs);
    try {
      migrate(db);
      const cannotShrink = allowShrinking(db);
      if (cannotShrink !== undefined) this.#log(cannotShrink);
      const words = new Dictionary(db, undefined, before);
      return { db, words, booking: prepareBooking(db, words) };
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** For a damaged database, where the operator wants to go on. The journal is kept: what the damaged file had not
   *  committed is booked in the new one. Throws `error` where there is nothing to replace. */
  #replacement(error: unknown): Store {
    if (this.#options.replacesDamaged !== true || !isDamage(error)) throw error;
    const aside = setAside(join(this.#options.dir, DATABASE_NAME), Date.now());
    this.#log(
      `ALARM: the ledger database is damaged (${(error as Error).message}) and was set aside as ${aside}; A NEW, EMPTY ` +
        "ONE TAKES ITS PLACE: sums and what is kept beside them begin anew. To have the past again, restore a backup",
    );
    return this.#open();
  }

  #close(): void {
    this.#housekeeper.stop();
    this.#removeSegment();
    this.#store.db.close();
    this.#closed();
  }

  #logTorn({ offset, bytes }: { offset: number; bytes: number }): void {
    const name = segmentPath(this.#options.dir, this.#at.segment);
    this.#log(`${name}: skipped ${bytes} bytes at offset ${offset} that are no complete row (a write was cut short)`);
  }

  #log(message: string): void {
    this.#send({ kind: "log", message });
  }
}

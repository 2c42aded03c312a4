// The ledger as the router sees it: one synchronous append per row. Hides the journal's pacing and the worker thread.
import { mkdirSync } from "node:fs";
import type { Worker } from "node:worker_threads";
import type { JsonObject } from "../chat.ts";
import { type OwnerBalance, readBalances, type WindowStarts } from "./balances.ts";
import { ForgetfulLedger } from "./forgetful-ledger.ts";
import { HousekeepingMail } from "./housekeeping-mail.ts";
import { encodeLine, JournalWriter, type Position } from "./journal.ts";
import { KeptRates } from "./kept-rates.ts";
import { type LedgerLimits, LIMITS } from "./ledger-limits.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import type { Retention } from "./prune.ts";
import { LedgerRefused, withAdvice } from "./refusal.ts";
import {
  type AttemptOpened,
  type AttemptSettled,
  type LedgerRow,
  type LedgerStatus,
  LedgerUnavailable,
  type RequestFinished,
} from "./rows.ts";
import { StatisticsMail } from "./statistics.ts";
import { started, startWorker } from "./worker-thread.ts";

export type { AttemptKey, AttemptOpened, AttemptSettled, EndReason, LedgerStatus, RequestFinished } from "./rows.ts";

/** Rows survive the death of the process as soon as a method returns, and a power cut about a tenth
 *  of a second later. */
export interface Ledger {
  /** Before the provider is called. Throws LedgerUnavailable when the row cannot be kept: then do not call. With the
   *  policy "continue" it never throws, and the row fares as those below. */
  openAttempt(row: AttemptOpened): void;
  /** Never throws: what the disk refuses is held in memory (up to a bound) and tried again. The first call counts. */
  settleAttempt(row: AttemptSettled): void;
  /** Before a settlement names `key`: unit prices, written once. Never throws. `json` is called when they are new. */
  keepRates(key: string, json: () => string): void;
  /** Never throws, as settleAttempt. */
  finishRequest(row: RequestFinished): void;
  /** Resolves when every row so far is in SQLite and fsynced; rejects when that has not happened for a long time. */
  flush(): Promise<void>;
  /** Replaces what the name held, soon. Serialises at once; what the database refuses is given up, with a log line. */
  saveStatistics(name: string, json: JsonObject): void;
  /** What an earlier process saved, unchecked. For the start: it reads the database. `undefined` when there is nothing,
   *  or nothing that can be read (that is logged). */
  loadStatistics(name: string): unknown;
  /** For the start: what was spent before. Reads the database on this thread; throws what SQLite says. */
  balances(starts: WindowStarts): OwnerBalance[];
  /** Removes what is older than it is to be kept and, once a day, compares sums with their rows, while no rows wait. To
   *  be called now and then; resolves when that is over, also when it was given up. */
  housekeep(nowMs: number): Promise<void>;
  /** Flushes, within a bound, and gives the directory free. What could not be flushed is replayed at the next start. */
  close(): Promise<void>;
  status(): LedgerStatus;
}

type Log = (message: string) => void;

export interface LedgerOptions {
  dir: string;
  log?: Log;
  /** What `housekeep` removes; absent: nothing. */
  retention?: Retention;
  /** Where rows cannot be kept: refuse to start, and to open attempts (the default), or go on and say so. */
  onFailure?: "refuse" | "continue";
  /** For tests and unusual disks. */
  limits?: Partial<LedgerLimits>;
}

/** Rows that arrive together share one commit: it starts this long after the first, or at so many rows. What a commit costs
 *  beside its rows is most of what booking costs: a request takes 450 µs of CPU alone, 150 in tens, 80 in thirties. */
const GROUP_MS = 100;
const GROUP_ROWS = 256;

/**
 * Replays what an earlier process left. Rejects with a text for the operator: directory in use, newer schema, damaged,
 * not writable … With the policy "continue" only the first two of these: a damaged file is set aside and a new one
 * begun, and where nothing can be written the ledger that is returned keeps nothing. Both are logged.
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const log = options.log ?? (() => {});
  try {
    return await openJournalled(options, log);
  } catch (error) {
    const advised = withAdvice(error, options.dir);
    const isConflict = error instanceof LedgerRefused && error.kind === "conflict";
    if (options.onFailure !== "continue" || isConflict) throw advised;
    return new ForgetfulLedger(error instanceof Error ? error.message : String(error), log);
  }
}

async function openJournalled(options: LedgerOptions, log: Log): Promise<Ledger> {
  const { dir, retention, onFailure = "refuse" } = options;
  const limits = { ...LIMITS, ...options.limits };
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockDirectory(dir);
  let worker: Worker | undefined;
  try {
    const replacesDamaged = onFailure === "continue";
    worker = startWorker({ dir, busyTimeoutMs: limits.busyTimeoutMs, retention, replacesDamaged });
    const firstSegment = await started(worker, log);
    const journal = new JournalWriter(dir, firstSegment, limits.segmentBytesMax);
    return new JournalledLedger({ lock, worker, journal, limits, log, onFailure });
  } catch (error) {
    await worker?.terminate();
    lock.release();
    throw error;
  }
}

interface Parts {
  /** Held by this thread: were it the worker's and the worker died, somebody else could take the living journal. */
  lock: DirectoryLock;
  worker: Worker;
  journal: JournalWriter;
  limits: LedgerLimits;
  log: Log;
  onFailure: "refuse" | "continue";
}

interface Waiter {
  rows: number;
  resolve(): void;
  reject(error: Error): void;
}

class JournalledLedger implements Ledger {
  readonly #lock: DirectoryLock;
  readonly #worker: Worker;
  readonly #journal: JournalWriter;
  readonly #limits: LedgerLimits;
  readonly #log: Log;
  readonly #onFailure: Parts["onFailure"];
  readonly #statistics: StatisticsMail;
  readonly #housekeeping: HousekeepingMail;
  readonly #waiters: Waiter[] = [];
  /** Lines that the disk refused. */
  readonly #held: string[] = [];
  #heldChars = 0;
  readonly #keptRates = new KeptRates();
  #droppedRows = 0;
  #appendedRows = 0;
  #committedRows = 0;
  #pendingBytes = 0;
  /** What the worker was last told. It is told again only after it got there, so that its queue holds one message. */
  #told: Position | undefined;
  #toldRows = 0;
  #toldAtMs = 0;
  #oldestPendingAtMs = 0;
  #groupTimer: NodeJS.Timeout | undefined;
  #journalFailure: string | undefined;
  #workerFailure: string | undefined;
  #isWorkerGone = false;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor({ lock, worker, journal, limits, log, onFailure }: Parts) {
    this.#lock = lock;
    this.#worker = worker;
    this.#journal = journal;
    this.#limits = limits;
    this.#log = log;
    this.#onFailure = onFailure;
    this.#statistics = new StatisticsMail(lock.dir, (message) => this.#post(message), log);
    this.#housekeeping = new HousekeepingMail((message) => this.#post(message));
    worker.on("message", (message: FromWorker) => this.#receive(message));
    worker.on("error", (error) => this.#workerEnded(`the ledger's worker thread failed: ${String(error)}`));
    worker.on("exit", () => this.#workerEnded("the ledger's worker thread has ended"));
    // What is not flushed when everything else is over is in the journal: no reason to keep the process alive.
    worker.unref();
  }

  openAttempt(row: AttemptOpened): void {
    if (this.#onFailure === "continue") {
      this.#appendOrHold({ kind: "opened", ...row });
      return;
    }
    if (this.#isClosed) throw new LedgerUnavailable("the ledger is closed");
    if (this.#pendingBytes >= this.#limits.journalBytesMax) {
      const reason = this.#workerFailure ?? "SQLite cannot keep up";
      throw new LedgerUnavailable(`${this.#pendingBytes} bytes of the journal wait for the database: ${reason}`);
    }
    try {
      this.#appendHeld();
      this.#append(encodeLine({ kind: "opened", ...row }));
    } catch (error) {
      throw new LedgerUnavailable(this.#noteJournalFailure(error));
    }
  }

  settleAttempt(row: AttemptSettled): void {
    this.#appendOrHold({ kind: "settled", ...row });
  }

  keepRates(key: string, json: () => string): void {
    if (this.#keptRates.isNew(key)) this.#appendOrHold({ kind: "rates", key, json: json() });
  }

  finishRequest(row: RequestFinished): void {
    this.#appendOrHold({ kind: "finished", ...row });
  }

  saveStatistics(name: string, json: JsonObject): void {
    if (!this.#isClosed) this.#statistics.save(name, json);
  }

  loadStatistics(name: string): unknown {
    return this.#statistics.load(name);
  }

  balances(starts: WindowStarts): OwnerBalance[] {
    return readBalances(this.#lock.dir, starts);
  }

  async flush(): Promise<void> {
    try {
      this.#appendHeld();
    } catch (error) {
      throw new LedgerUnavailable(this.#noteJournalFailure(error));
    }
    await this.#committed(this.#limits.flushTimeoutMs);
  }

  async housekeep(nowMs: number): Promise<void> {
    try {
      // Old rows that still wait for the database would otherwise count as booked and pruned.
      await this.#committed(this.#limits.flushTimeoutMs);
    } catch {
      return; // Said already; there is a next time.
    }
    if (!this.#isClosed && !this.#isWorkerGone) await this.#housekeeping.ask(nowMs);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  status(): LedgerStatus {
    const pendingRows = this.#appendedRows - this.#committedRows + this.#held.length;
    const lost = this.#droppedRows > 0 ? `${this.#droppedRows} rows were lost` : undefined;
    const failed = [this.#journalFailure, this.#workerFailure, lost].filter((text) => text !== undefined).join("; ");
    const lagMs = performance.now() - this.#oldestPendingAtMs;
    const checked = this.#housekeeping.status();
    return { pendingRows, ...(pendingRows > 0 && { lagMs }), ...(failed !== "" && { failed }), ...checked };
  }

  #appendOrHold(row: LedgerRow): void {
    const line = encodeLine(row);
    // Rows without an attempt behind them could otherwise grow the journal for as long as SQLite is down.
    if (this.#isClosed || this.#pendingBytes >= 1.5 * this.#limits.journalBytesMax) this.#drop(line);
    else {
      try {
        this.#appendHeld();
        this.#append(line);
      } catch (error) {
        this.#noteJournalFailure(error);
        this.#hold(line);
      }
    }
  }

  #hold(line: string): void {
    if (this.#heldChars + line.length > this.#limits.heldCharsMax) {
      this.#drop(line);
      return;
    }
    this.#held.push(line);
    this.#heldChars += line.length;
  }

  #drop(line: string): void {
    this.#droppedRows += 1;
    // The log is the last place where somebody could find the row.
    this.#log(`a ledger row cannot be kept any more: ${line.trimEnd()}`);
  }

  #appendHeld(): void {
    for (let line = this.#held[0]; line !== undefined; line = this.#held[0]) {
      this.#append(line);
      this.#held.shift();
      this.#heldChars -= line.length;
    }
  }

  #append(line: string): void {
    this.#pendingBytes += this.#journal.append(line);
    this.#journalFailure = undefined;
    if (this.#appendedRows === this.#committedRows) this.#oldestPendingAtMs = performance.now();
    this.#appendedRows += 1;
    this.#tellWorkerSoon();
  }

  #noteJournalFailure(error: unknown): string {
    const reason = `the journal cannot be written: ${error instanceof Error ? error.message : String(error)}`;
    if (this.#journalFailure === undefined) this.#log(reason);
    this.#journalFailure = reason;
    return reason;
  }

  #tellWorkerSoon(): void {
    if (this.#told !== undefined) return;
    if (this.#appendedRows - this.#toldRows >= GROUP_ROWS || this.#waiters.length > 0) this.#tellWorker();
    else this.#groupTimer ??= setTimeout(() => this.#tellWorker(), GROUP_MS).unref();
  }

  #tellWorker(): void {
    clearTimeout(this.#groupTimer);
    this.#groupTimer = undefined;
    this.#told = this.#journal.position;
    this.#toldRows = this.#appendedRows;
    this.#toldAtMs = performance.now();
    this.#post({ kind: "appended", upTo: this.#told });
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    if (message.kind === "log") this.#log(message.message);
    else if (message.kind === "failing") this.#workerFailure = `the database cannot be written: ${message.reason}`;
    else if (message.kind === "committed") this.#noteCommitted(message);
    else if (message.kind === "statisticsDone") this.#statistics.written();
    else if (message.kind === "housekept") this.#housekeeping.done(message.checked);
  }

  #noteCommitted({ upTo, rows, bytes }: Extract<FromWorker, { kind: "committed" }>): void {
    this.#workerFailure = undefined;
    this.#committedRows += rows;
    this.#pendingBytes = Math.max(0, this.#pendingBytes - bytes);
    if (upTo.segment === this.#told?.segment && upTo.offset === this.#told.offset) {
      this.#told = undefined;
      // Rows that a damaged disk swallowed are not waited for.
      this.#committedRows = this.#toldRows;
      // Whatever is still pending came after the worker was told.
      this.#oldestPendingAtMs = this.#toldAtMs;
    }
    while (this.#waiters[0] !== undefined && this.#waiters[0].rows <= this.#committedRows) {
      this.#waiters.shift()?.resolve();
    }
    if (this.#appendedRows > this.#committedRows) this.#tellWorkerSoon();
  }

  /** Resolves when all rows appended so far are committed. */
  async #committed(timeoutMs: number): Promise<void> {
    const rows = this.#appendedRows;
    if (rows <= this.#committedRows) return;
    if (this.#isWorkerGone) throw new Error(this.#workerFailure);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { rows, resolve, reject };
    this.#waiters.push(waiter);
    this.#tellWorkerSoon();
    // Not unref'd: it also keeps the process alive for the worker's answer.
    const timer = setTimeout(() => {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      const why = this.#workerFailure ?? "the database is slow";
      reject(new Error(`rows of the ledger are not committed after ${timeoutMs} ms (they are journalled): ${why}`));
    }, timeoutMs);
    await promise.finally(() => clearTimeout(timer));
  }

  async #close(): Promise<void> {
    let isFlushed = true;
    try {
      this.#appendHeld();
      await this.#committed(this.#limits.closeTimeoutMs);
    } catch (error) {
      isFlushed = false;
      this.#log(`closing the ledger early, the next start replays the journal: ${(error as Error).message}`);
    }
    this.#isClosed = true;
    clearTimeout(this.#groupTimer);
    this.#journal.close();
    for (const line of this.#held.splice(0)) this.#drop(line);
    if (isFlushed) await this.#workerLeaves();
    await this.#worker.terminate();
    this.#lock.release();
  }

  /** Waits, within a bound, until the thread has cleared away the journal and closed the database. */
  async #workerLeaves(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#worker.removeAllListeners("exit").once("exit", () => resolve());
    this.#statistics.postAll();
    this.#post({ kind: "close", upTo: this.#journal.position });
    const timer = setTimeout(resolve, this.#limits.closeTimeoutMs);
    await promise;
    clearTimeout(timer);
  }

  #workerEnded(reason: string): void {
    this.#isWorkerGone = true;
    this.#housekeeping.done();
    this.#workerFailure ??= `${reason}; rows stay in the journal until the router is restarted`;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new Error(reason));
  }
}

// Reports for a running server: read in a thread of their own, one after the other, each within a time.
import { Worker } from "node:worker_threads";
import type { RequestPage, RequestQuery, RequestReport } from "./request-list.ts";
import type { UsageQuery, UsageSummary } from "./usage.ts";

/** What a report could not be read for; `message` is for whoever asked. */
export interface ReportProblem {
  /** `busy`: too many wait. `timeout`: it took too long. `not_kept`: it needs sums that were pruned. */
  problem: "busy" | "timeout" | "not_kept" | "failed";
  message: string;
}

export interface ReportReader {
  usage(query: UsageQuery): Promise<UsageSummary | ReportProblem>;
  requests(query: RequestQuery): Promise<RequestPage | ReportProblem>;
  request(requestId: string): Promise<RequestReport | undefined | ReportProblem>;
  close(): Promise<void>;
}

/** What is asked of the thread, and what it answers. */
export type ReportAsk =
  | { name: "usage"; asked: UsageQuery }
  | { name: "requests"; asked: RequestQuery }
  | { name: "request"; asked: string };
export type ReportAnswer = { answer: unknown } | { problem: ReportProblem["problem"]; message: string };

export interface ReportReaderOptions {
  dir: string;
  /** A statement that runs longer is ended with its thread. It also bounds how long it keeps the write-ahead log. */
  timeoutMs?: number;
  waitingMax?: number;
}

const TIMEOUT_MS = 10_000;
const WAITING_MAX = 64;

/** Starts its thread with the first report. Never rejects. */
export function createReportReader(options: ReportReaderOptions): ReportReader {
  return new ThreadReader(options);
}

interface Job {
  ask: ReportAsk;
  done(answer: ReportAnswer): void;
}

class ThreadReader implements ReportReader {
  readonly #dir: string;
  readonly #timeoutMs: number;
  readonly #waitingMax: number;
  readonly #waiting: Job[] = [];
  #worker: Worker | undefined;
  #running: Job | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor({ dir, timeoutMs = TIMEOUT_MS, waitingMax = WAITING_MAX }: ReportReaderOptions) {
    this.#dir = dir;
    this.#timeoutMs = timeoutMs;
    this.#waitingMax = waitingMax;
  }

  usage(asked: UsageQuery): Promise<UsageSummary | ReportProblem> {
    return this.#read({ name: "usage", asked });
  }

  requests(asked: RequestQuery): Promise<RequestPage | ReportProblem> {
    return this.#read({ name: "requests", asked });
  }

  request(asked: string): Promise<RequestReport | undefined | ReportProblem> {
    return this.#read({ name: "request", asked });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#restart({ problem: "failed", message: "the router is stopping" });
    for (const { done } of this.#waiting.splice(0)) done({ problem: "failed", message: "the router is stopping" });
  }

  async #read<Answer>(ask: ReportAsk): Promise<Answer | ReportProblem> {
    if (this.#isClosed) return { problem: "failed", message: "the router is stopping" };
    if (this.#waiting.length >= this.#waitingMax) {
      return { problem: "busy", message: `${this.#waiting.length} reports are waiting already: try again soon` };
    }
    const answer = await new Promise<ReportAnswer>((done) => {
      this.#waiting.push({ ask, done });
      this.#next();
    });
    return "answer" in answer ? (answer.answer as Answer) : answer;
  }

  #next(): void {
    if (this.#running !== undefined || this.#isClosed) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    this.#running = job;
    const message = `the report took longer than ${this.#timeoutMs / 1000} s: ask for a shorter time or fewer groups`;
    this.#timer = setTimeout(() => void this.#restart({ problem: "timeout", message }), this.#timeoutMs).unref();
    this.#worker ??= this.#start();
    this.#worker.postMessage(job.ask);
  }

  #end(answer: ReportAnswer): void {
    clearTimeout(this.#timer);
    const job = this.#running;
    this.#running = undefined;
    job?.done(answer);
    this.#next();
  }

  /** SQLite cannot be interrupted from another thread; its thread can be ended, and nothing it holds outlives it. */
  async #restart(answer: ReportAnswer): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    worker?.removeAllListeners("exit");
    this.#end(answer);
    await worker?.terminate();
  }

  #start(): Worker {
    // As in ledger.ts: compiled files are .js, and the thread has no use for the arguments of the process.
    const isCheckout = import.meta.url.endsWith(".ts");
    const url = isCheckout
      ? new URL("./report-worker.ts", import.meta.url)
      : new URL("./report-worker.js", import.meta.url);
    const worker = new Worker(url, { workerData: this.#dir, name: "signalbox-reports", execArgv: [] });
    worker.on("message", (answer: ReportAnswer) => this.#end(answer));
    let reason = "the thread of the reports has ended";
    worker.on("error", (error) => {
      reason = `the thread of the reports failed: ${String(error)}`;
    });
    worker.on("exit", () => {
      if (this.#worker === worker) void this.#restart({ problem: "failed", message: reason });
    });
    worker.unref();
    return worker;
  }
}

// Starts the ledger's worker thread and waits until it has opened the database.
import { Worker } from "node:worker_threads";
import type { FromWorker, WorkerOptions } from "./messages.ts";
import { LedgerRefused, type RefusalKind } from "./refusal.ts";

/** What it makes is soon garbage: left to itself the heap grows to more than a hundred megabytes of that before it is looked
 *  through. */
const resourceLimits = { maxYoungGenerationSizeMb: 8 };

export function startWorker(workerData: WorkerOptions): Worker {
  // Compiled files are .js; tsc rewrites the extension of imports, but not of a URL.
  const isCheckout = import.meta.url.endsWith(".ts");
  const url = isCheckout ? new URL("./worker.ts", import.meta.url) : new URL("./worker.js", import.meta.url);
  // No execArgv: what the process was started with (--eval, --import, --inspect-brk) is not meant for this thread.
  return new Worker(url, { workerData, name: "signalbox-ledger", execArgv: [], resourceLimits });
}

/** Number of the first segment to write. Rejects with LedgerRefused once the thread that refused has ended and let go of
 *  its files. */
export function started(worker: Worker, log: (message: string) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    let reason = "the ledger's worker thread ended without a reason";
    let kind: RefusalKind = "unusable";
    worker.on("message", (message: FromWorker) => {
      if (message.kind === "log") log(message.message);
      if (message.kind === "refused") ({ reason, why: kind } = message);
      if (message.kind !== "ready") return;
      // By name: without one, the listeners go by which a Worker notices that somebody listens to its messages.
      for (const event of ["message", "error", "exit"]) worker.removeAllListeners(event);
      resolve(message.firstSegment);
    });
    worker.on("error", (error) => {
      reason = `the ledger's worker thread failed: ${String(error)}`;
    });
    worker.on("exit", () => reject(new LedgerRefused(kind, reason)));
  });
}

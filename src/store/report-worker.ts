// The thread of the reports: one read-only connection, one report at a time.
import { parentPort, workerData } from "node:worker_threads";
import type { Database } from "better-sqlite3";
import { SumsNotKept } from "./buckets.ts";
import { openForReading } from "./reader.ts";
import type { ReportAnswer, ReportAsk } from "./report-reader.ts";
import { requestOf, requestPage } from "./request-list.ts";
import { usageSummary } from "./usage.ts";

function answer(db: Database, { name, asked }: ReportAsk): unknown {
  if (name === "usage") return usageSummary(db, asked);
  return name === "requests" ? requestPage(db, asked) : requestOf(db, asked);
}

const open: { db?: Database } = {};

parentPort?.on("message", (ask: ReportAsk) => {
  let said: ReportAnswer;
  try {
    open.db ??= openForReading(workerData as string);
    said = { answer: answer(open.db, ask) };
  } catch (error) {
    said = { problem: error instanceof SumsNotKept ? "not_kept" : "failed", message: (error as Error).message };
  }
  parentPort?.postMessage(said);
});

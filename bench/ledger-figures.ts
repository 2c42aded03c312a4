// Fills a ledger through the booking code of the router and measures it: its size, its reports, what retention costs.
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "better-sqlite3";
import { prepareBooking } from "../src/store/booking.ts";
import { DATABASE_NAME, openForWriting } from "../src/store/database.ts";
import { type Ledger, openLedger } from "../src/store/ledger.ts";
import { migrate } from "../src/store/migrate.ts";
import type { Retention } from "../src/store/prune.ts";
import { usageReport } from "../src/store/reports.ts";
import type { LedgerRow } from "../src/store/rows.ts";
import type { UsageGrouping } from "../src/store/usage.ts";
import { ledgerRows } from "./ledger-fill.ts";
import { quantile } from "./statistics.ts";

export interface LedgerFigures {
  requests: number;
  fillMs: number;
  fileBytes: number;
  /** By table or index, the largest first; `unused` of its bytes hold nothing. */
  parts: { name: string; bytes: number; unused: number }[];
  reports: { by: UsageGrouping; days: number; ms: number }[];
  /** From a row's append until it is in the database, in ms. */
  bookingAlone: Spread;
  bookingBesideRetention: Spread;
  retention: { removed: string; ms: number; bytesAfter: number };
  /** A night's housekeeping: sums by minute of one day go, all rows are walked for unused texts, two days are checked. */
  nightMs: number;
}

export interface Spread {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export interface LedgerBenchOptions {
  dir: string;
  requests: number;
  days: number;
  /** How long bookings are timed without anything beside them. */
  aloneMs: number;
  tell(message: string): void;
}

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 2, 1);
const REQUESTS_PER_BATCH = 5_000;

const DEFAULTS: Retention = {
  requestsMs: 90 * DAY_MS,
  tracesMs: 90 * DAY_MS,
  minutesMs: 2 * DAY_MS,
  hoursMs: 90 * DAY_MS,
  daysMs: undefined,
};

export async function measureLedger(options: LedgerBenchOptions): Promise<LedgerFigures> {
  const { dir, days, tell } = options;
  const fillMs = fillLedger({ dir, requests: options.requests, fromMs: NOW_MS - days * DAY_MS, toMs: NOW_MS, tell });
  tell(`filled in ${(fillMs / 1000).toFixed(0)} s`);
  // As a ledger of that age looks: sums by minute are kept for two days only.
  const nightMs = await settleDown(dir);
  const { fileBytes, parts } = sizesOf(dir);
  tell(`measured the file, ${(fileBytes / 1e9).toFixed(2)} GB`);
  const reports = reportsOf(dir);
  const { bookingAlone, bookingBesideRetention, ...retention } = await retain(options, Math.ceil(days * 0.75));
  return {
    ...{ requests: options.requests, fillMs, fileBytes, parts, reports, bookingAlone, bookingBesideRetention, nightMs },
    retention: { ...retention, bytesAfter: sizesOf(dir).fileBytes },
  };
}

interface FillSpan {
  dir: string;
  requests: number;
  fromMs: number;
  toMs: number;
  tell(message: string): void;
}

/** How long it took, in ms. The directory must be nobody else's. */
export function fillLedger({ dir, requests, fromMs, toMs, tell }: FillSpan): number {
  const startedAtMs = performance.now();
  const db = openForWriting(join(dir, DATABASE_NAME), 0);
  try {
    migrate(db);
    db.pragma("synchronous = OFF");
    const booking = prepareBooking(db);
    let made = 0;
    for (const rows of ledgerRows({ requests, fromMs, toMs, seed: 1 }, REQUESTS_PER_BATCH)) {
      const [rejected] = booking.book(rows);
      if (rejected !== undefined) throw new Error(`a row was not booked: ${rejected.reason}`);
      made += REQUESTS_PER_BATCH;
      if (made % 500_000 === 0) tell(`${made / 1e6} million requests`);
    }
    db.pragma("wal_checkpoint(TRUNCATE)");
  } finally {
    db.close();
  }
  return performance.now() - startedAtMs;
}

async function settleDown(dir: string): Promise<number> {
  const log: string[] = [];
  const ledger = await openLedger({ dir, retention: DEFAULTS, log: (message) => log.push(message) });
  try {
    await ledger.housekeep(NOW_MS);
    const startedAtMs = performance.now();
    await ledger.housekeep(NOW_MS + DAY_MS);
    const alarms = log.filter((message) => message.startsWith("ALARM"));
    if (alarms.length > 0 || ledger.status().differences !== 0) throw new Error(`the sums are wrong: ${alarms[0]}`);
    return performance.now() - startedAtMs;
  } finally {
    await ledger.close();
  }
}

function sizesOf(dir: string): Pick<LedgerFigures, "fileBytes" | "parts"> {
  const db: Database = openForWriting(join(dir, DATABASE_NAME), 0);
  try {
    const pages = Number(db.pragma("page_count", { simple: true }));
    const read = db.prepare(`SELECT name, sum(pgsize) AS bytes, sum(unused) AS unused FROM dbstat
      WHERE aggregate = TRUE GROUP BY name ORDER BY bytes DESC`);
    const parts = read.all() as LedgerFigures["parts"];
    return { fileBytes: pages * Number(db.pragma("page_size", { simple: true })), parts };
  } finally {
    db.close();
  }
}

const REPORTS: [UsageGrouping, number][] = [
  ["day", 30],
  ["model", 30],
  ["day", 90],
  ["model", 90],
];

/** Each the median of five. */
function reportsOf(dir: string): LedgerFigures["reports"] {
  return REPORTS.map(([by, days]) => {
    const times = Array.from({ length: 5 }, () => {
      const startedAtMs = performance.now();
      usageReport({ dir, sinceMs: NOW_MS - days * DAY_MS, nowMs: NOW_MS, by });
      return performance.now() - startedAtMs;
    });
    return { by, days, ms: quantile(times, 0.5) };
  });
}

/** Removes the requests of all but the last `keptDays` while a little traffic is booked. */
async function retain({ dir, aloneMs }: LedgerBenchOptions, keptDays: number) {
  let removed = "";
  const log = (message: string) => {
    if (message.startsWith("retention")) removed = message;
  };
  const retention = { ...DEFAULTS, requestsMs: keptDays * DAY_MS, tracesMs: keptDays * DAY_MS };
  const ledger = await openLedger({ dir, retention, log });
  try {
    const rows = ledgerRows({ requests: 1e6, fromMs: NOW_MS + DAY_MS, toMs: NOW_MS + 2 * DAY_MS, seed: 2 }, 1);
    const bookingAlone = await timeBookings(ledger, rows, delay(aloneMs));
    const startedAtMs = performance.now();
    let ms = 0;
    const housekeeping = ledger.housekeep(NOW_MS + DAY_MS).then(() => {
      ms = performance.now() - startedAtMs;
    });
    const bookingBesideRetention = await timeBookings(ledger, rows, housekeeping);
    return { removed, ms, bookingAlone, bookingBesideRetention };
  } finally {
    await ledger.close();
  }
}

/** One request after the other, about fifty a second. */
async function timeBookings(ledger: Ledger, rows: Iterator<LedgerRow[]>, until: Promise<unknown>): Promise<Spread> {
  let isOver = false;
  void until.then(() => {
    isOver = true;
  });
  const times: number[] = [];
  while (!isOver) {
    for (const row of (rows.next().value ?? []) as LedgerRow[]) append(ledger, row);
    const startedAtMs = performance.now();
    await ledger.flush();
    times.push(performance.now() - startedAtMs);
    await delay(10);
  }
  return { count: times.length, p50: quantile(times, 0.5), p99: quantile(times, 0.99), max: Math.max(...times) };
}

function append(ledger: Ledger, row: LedgerRow): void {
  if (row.kind === "opened") ledger.openAttempt(row);
  else if (row.kind === "settled") ledger.settleAttempt(row);
  else if (row.kind === "finished") ledger.finishRequest(row);
}

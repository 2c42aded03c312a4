import { statSync, writeFileSync } from "node:fs";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { prepareBooking } from "../src/store/booking.ts";
import { openForWriting } from "../src/store/database.ts";
import { Dictionary } from "../src/store/dictionary.ts";
import { encodeLine, segmentPath } from "../src/store/journal.ts";
import { type Ledger, type LedgerOptions, openLedger } from "../src/store/ledger.ts";
import { migrate } from "../src/store/migrate.ts";
import type { Retention } from "../src/store/prune.ts";
import { usageReport } from "../src/store/reports.ts";
import { firstIdAt } from "../src/store/request-ids.ts";
import { unpackStory } from "../src/store/story.ts";
import { sweep } from "../src/store/sweep.ts";
import { finishedRow, openedRow, DAY_MS as START_MS, settledRow } from "./store-rows.ts";
import { databasePath, newDir, tables, wrongSums } from "./store-support.ts";

const DAY_MS = 86_400_000;
const KEEP: Retention = {
  requestsMs: 30 * DAY_MS,
  tracesMs: 10 * DAY_MS,
  minutesMs: 2 * DAY_MS,
  hoursMs: 31 * DAY_MS,
  daysMs: 62 * DAY_MS,
};

/** A request id of that time, as the router makes them. */
function idAt(ms: number, number = 0): string {
  return firstIdAt(ms) + String(number).padStart(20, "0");
}

async function openTestLedger(options: Partial<LedgerOptions> = {}) {
  const dir = options.dir ?? newDir();
  const log: string[] = [];
  const ledger = await openLedger({ dir, retention: KEEP, log: (message) => log.push(message), ...options });
  onTestFinished(() => ledger.close());
  return { dir, ledger, log };
}

/** One request a day, with an attempt, priced 1,000 nanodollars, by a key and a text of its own. */
function bookDay(ledger: Ledger, day: number, number = 0): void {
  const atMs = START_MS + day * DAY_MS + 3_600_000;
  const id = idAt(atMs, number);
  const key = `key-${day}`;
  ledger.openAttempt(openedRow(id, { openedAtMs: atMs, key }));
  ledger.settleAttempt(settledRow(id, { endedAtMs: atMs + 900, costNanoUsd: 1_000 }));
  const trace = `{"targets":[{"t":"acme/acme-1","c":${day},"ms":5}],"day":"of ${day}"}`;
  const decision = `rule ${day};cost=0.5`;
  ledger.finishRequest(finishedRow(id, { receivedAtMs: atMs, endedAtMs: atMs + 901, key, decision, trace }));
}

function query<Row>(dir: string, sql: string): Row[] {
  const db = new SqliteDatabase(databasePath(dir), { readonly: true });
  try {
    return db.prepare(sql).all() as Row[];
  } finally {
    db.close();
  }
}

const days = (rows: { openedAtMs?: number; receivedAtMs?: number }[]) =>
  rows.map((row) => Math.floor(((row.openedAtMs ?? row.receivedAtMs ?? 0) - START_MS) / DAY_MS));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

test("what is older than it is to be kept goes while the ledger serves, and nothing younger is touched", async () => {
  const { dir, ledger, log } = await openTestLedger();
  for (const day of range(0, 100)) bookDay(ledger, day);
  await ledger.flush();
  const nowMs = START_MS + 100 * DAY_MS;
  const housekeeping = ledger.housekeep(nowMs);
  bookDay(ledger, 100);
  await Promise.all([housekeeping, ledger.flush()]);

  const { attempts, requests } = tables(dir);
  expect(days(attempts)).toEqual(range(70, 101));
  expect(days(requests)).toEqual(range(70, 101));
  const traced = requests.filter((row) => unpackStory({ text: row.story, figures: row.figures }).trace !== null);
  expect(days(traced)).toEqual(range(90, 101));
  expect(requests.map((row) => unpackStory({ text: row.story, figures: row.figures }).decision)).toEqual(
    range(70, 101).map((day) => `rule ${day};cost=0.5`),
  );
  expect(unpackStory({ text: requests[30]?.story ?? "", figures: requests[30]?.figures ?? "" }).trace).toContain(
    '"c":100',
  );
  const buckets = (table: string, perDay: number) =>
    query<{ bucket: number }>(dir, `SELECT DISTINCT bucket FROM ${table} ORDER BY 1`).map(({ bucket }) =>
      bucket === 0 ? -1 : Math.floor(bucket / perDay - START_MS / DAY_MS),
    );
  expect(buckets("rollup_minutes", 1_440)).toEqual(range(98, 101));
  expect(buckets("rollup_hours", 24)).toEqual(range(69, 101));
  expect(buckets("rollup_days", 1)).toEqual([-1, ...range(38, 101)]);
  expect(log.find((line) => line.startsWith("retention"))).toBe(
    "retention removed 70 attempts, 70 requests, 20 traces, 196 sums by minute, 138 sums by hour, 76 sums by day",
  );
});

test("totals do not change by what is pruned: neither those of each day nor those of all time", async () => {
  const { dir, ledger } = await openTestLedger();
  for (const day of range(0, 100)) bookDay(ledger, day);
  await ledger.flush();
  const nowMs = START_MS + 100 * DAY_MS;
  const byDay = () => usageReport({ dir, sinceMs: START_MS + 40 * DAY_MS, nowMs, by: "day" });
  const totals = () =>
    query(
      dir,
      `SELECT key, sum(r.cost_nano_usd) AS cost, sum(r.requests) AS requests,
    sum(r.input_tokens) AS input FROM rollup_days r JOIN dimensions d ON d.id = r.dimension GROUP BY key ORDER BY key`,
    );
  const before = { byDay: byDay(), totals: totals() };
  expect(before.totals).toHaveLength(100);
  await ledger.housekeep(nowMs);
  expect({ byDay: byDay(), totals: totals() }).toEqual(before);
  expect(byDay()).toHaveLength(60);
});

test("texts, prices and dimensions nobody refers to any more are removed, and those in use are not", async () => {
  const { dir, ledger } = await openTestLedger({ retention: { ...KEEP, daysMs: undefined } });
  for (const day of range(0, 100)) bookDay(ledger, day);
  await ledger.flush();
  await ledger.housekeep(START_MS + 100 * DAY_MS);
  const stories = query<{ text: string }>(dir, "SELECT text FROM texts WHERE text LIKE 'rule %'").map(
    ({ text }) => text,
  );
  expect(stories.filter((text) => text.endsWith("\n"))).toHaveLength(20);
  expect(stories).toHaveLength(30);
  // Sums by day refer to every key, for ever.
  expect(query(dir, "SELECT DISTINCT key FROM dimensions")).toHaveLength(100);
  // What was removed is written anew when it comes again.
  bookDay(ledger, 3);
  bookDay(ledger, 100);
  await ledger.flush();
  expect(days(tables(dir).requests)).toEqual(range(70, 101));
});

test("the name of an account stays while a call that was made with it does", async () => {
  const { dir, ledger } = await openTestLedger();
  for (const [day, account] of [
    [0, "claude#old"],
    [99, "claude#2"],
  ] as const) {
    const atMs = START_MS + day * DAY_MS;
    const id = idAt(atMs);
    ledger.openAttempt(openedRow(id, { openedAtMs: atMs, account }));
    ledger.settleAttempt(settledRow(id, { endedAtMs: atMs + 900 }));
    ledger.finishRequest(finishedRow(id, { receivedAtMs: atMs, endedAtMs: atMs + 901 }));
  }
  await ledger.flush();
  await ledger.housekeep(START_MS + 100 * DAY_MS);
  expect(tables(dir).attempts.map(({ account }) => account)).toEqual(["claude#2"]);
  expect(query(dir, "SELECT text FROM texts WHERE text LIKE 'claude#%'")).toEqual([{ text: "claude#2" }]);
});

test("the dimensions of sums that were kept for a time only go with them", async () => {
  const { dir, ledger } = await openTestLedger();
  for (const day of range(0, 100)) bookDay(ledger, day);
  await ledger.flush();
  const db = openForWriting(databasePath(dir), 1_000);
  db.exec("DELETE FROM rollup_days");
  db.close();
  await ledger.housekeep(START_MS + 100 * DAY_MS);
  const keys = query<{ key: string }>(dir, "SELECT DISTINCT key FROM dimensions").map(({ key }) => key);
  expect(keys.sort()).toEqual(
    range(69, 100)
      .map((day) => `key-${day}`)
      .sort(),
  );
});

test("the file becomes smaller", async () => {
  const { dir, ledger } = await openTestLedger();
  for (const number of range(0, 6_000)) bookDay(ledger, 0, number);
  bookDay(ledger, 100);
  await ledger.flush();
  const pages = () => query<{ page_count: number }>(dir, "PRAGMA page_count")[0]?.page_count ?? 0;
  const before = pages();
  await ledger.housekeep(START_MS + 101 * DAY_MS);
  expect(pages()).toBeLessThan(before / 2);
  await ledger.close();
  expect(statSync(databasePath(dir)).size).toBe(pages() * 4_096);
  expect(query(dir, "PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
});

test("a journal that is read again after its rows were pruned counts nothing twice", async () => {
  const { dir, ledger } = await openTestLedger({ retention: { ...KEEP, daysMs: undefined } });
  bookDay(ledger, 0);
  bookDay(ledger, 100);
  await ledger.housekeep(START_MS + 101 * DAY_MS);
  await ledger.close();
  const total = () => query(dir, "SELECT sum(cost_nano_usd) AS cost, sum(attempts), sum(requests) FROM rollup_days");
  const before = total();
  expect(before).toMatchObject([{ cost: 2_000 }]);
  const id = idAt(START_MS + 3_600_000);
  const rows = [
    encodeLine({ kind: "opened", ...openedRow(id, { openedAtMs: START_MS + 3_600_000 }) }),
    encodeLine({ kind: "settled", ...settledRow(id, { costNanoUsd: 1_000 }) }),
  ];
  writeFileSync(segmentPath(dir, 1), rows.join(""));
  await openTestLedger({ dir });
  expect(total()).toEqual(before);
  expect(days(tables(dir).attempts)).toEqual([100]);
});

test("prices that this process may still name outlive the last row that was priced with them", () => {
  const db = openForWriting(databasePath(newDir()), 0);
  onTestFinished(() => void db.close());
  migrate(db);
  db.exec("INSERT INTO rates (key, json) VALUES ('of an earlier process', '{}')");
  const words = new Dictionary(db);
  const booking = prepareBooking(db, words);
  booking.book([
    { kind: "rates", key: "unused", json: "{}" },
    { kind: "rates", key: "used", json: "{}" },
    { kind: "opened", ...openedRow("a") },
    { kind: "settled", ...settledRow("a", { ratesKey: "used" }) },
  ]);
  for (const _ of sweep(db, words));
  const keys = () => db.prepare("SELECT key FROM rates ORDER BY key").pluck().all();
  expect(keys()).toEqual(["unused", "used"]);
  // The next process names them only after it has written them.
  for (const _ of sweep(db, new Dictionary(db)));
  expect(keys()).toEqual(["used"]);
});

test("what comes into use while unused rows are looked for stays", () => {
  const db = openForWriting(databasePath(newDir()), 0);
  onTestFinished(() => void db.close());
  migrate(db);
  const words = new Dictionary(db);
  const booking = prepareBooking(db, words);
  const book = (id: string) => {
    const rejected = booking.book([
      { kind: "opened", ...openedRow(id, { key: "old" }) },
      { kind: "settled", ...settledRow(id, { finishReason: "old" }) },
    ]);
    expect(rejected).toEqual([]);
  };
  booking.book([
    { kind: "opened", ...openedRow("a") },
    { kind: "settled", ...settledRow("a") },
  ]);
  booking.book([{ kind: "finished", ...finishedRow("a") }]);
  words.text("old");
  words.dimension({ ...openedRow("b"), key: "old" });
  const steps = sweep(db, words);
  let number = 0;
  // Between any two steps a row refers to what nothing referred to before.
  for (let step = steps.next(); !step.done; step = steps.next()) book(`b${number++}`);
  const seen = db.prepare("SELECT count(*) FROM attempts WHERE finish_reason = 'old' AND key = 'old'").pluck().get();
  expect(seen).toBe(number);
  expect(number).toBeGreaterThan(5);
});

test("without a word about retention everything is kept", async () => {
  const { dir, ledger, log } = await openTestLedger({ retention: undefined as never });
  bookDay(ledger, 0);
  await ledger.flush();
  await ledger.housekeep(START_MS + 5_000 * DAY_MS);
  expect(days(tables(dir).attempts)).toEqual([0]);
  expect(wrongSums(dir)).toEqual([]);
  expect(log).toEqual([]);
});

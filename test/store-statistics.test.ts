import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { type LedgerOptions, openLedger } from "../src/store/ledger.ts";
import { openedRow } from "./store-rows.ts";
import { databasePath, newDir, tables } from "./store-support.ts";

async function openTestLedger(options: Partial<LedgerOptions> = {}) {
  const dir = options.dir ?? newDir();
  const log: string[] = [];
  const ledger = await openLedger({ dir, log: (message) => log.push(message), ...options });
  onTestFinished(() => ledger.close());
  return { dir, ledger, log };
}

function openDatabase(dir: string) {
  const db = new SqliteDatabase(databasePath(dir));
  onTestFinished(() => void db.close());
  return db;
}

function saved(dir: string) {
  return openDatabase(dir).prepare("SELECT name, json FROM statistics ORDER BY name").raw().all();
}

test("statistics are there after a restart as they were saved last, also when they are saved just before the end", async () => {
  const { dir, ledger } = await openTestLedger();
  expect(ledger.loadStatistics("fleet")).toBeUndefined();
  for (let n = 1; n <= 50; n += 1) {
    ledger.saveStatistics("fleet", { n, text: "ünïcode 🚦\n", nothing: null });
    ledger.saveStatistics("other", { n: -n });
  }
  await ledger.close();
  const after = await openTestLedger({ dir });
  expect(after.ledger.loadStatistics("fleet")).toEqual({ n: 50, text: "ünïcode 🚦\n", nothing: null });
  expect(after.ledger.loadStatistics("other")).toEqual({ n: -50 });
  after.ledger.saveStatistics("fleet", { n: 51 });
  await after.ledger.close();
  expect(saved(dir)).toEqual([
    ["fleet", '{"n":51}'],
    ["other", '{"n":-50}'],
  ]);
});

test("when they were saved is kept with them", async () => {
  const startedMs = Date.now();
  const { dir, ledger } = await openTestLedger();
  ledger.saveStatistics("fleet", {});
  await ledger.close();
  const atMs = openDatabase(dir).prepare("SELECT updated_at_ms FROM statistics").pluck().get();
  expect(atMs).toBeGreaterThanOrEqual(startedMs);
  expect(atMs).toBeLessThanOrEqual(Date.now());
});

test("statistics of an earlier run that are no JSON are ignored with a log line", async () => {
  const { dir, ledger } = await openTestLedger();
  await ledger.close();
  openDatabase(dir).exec("INSERT INTO statistics VALUES ('fleet', 1, '{\"cut off')");
  const after = await openTestLedger({ dir });
  expect(after.ledger.loadStatistics("fleet")).toBeUndefined();
  expect(after.log).toEqual([
    expect.stringMatching(/^the statistics "fleet" of the last run cannot be read and are ignored: .*JSON/),
  ]);
});

test("while the database is locked saving never waits or fails, says so once, and the newest is written later", async () => {
  const { promise: failing, resolve } = Promise.withResolvers<string>();
  const log: string[] = [];
  const { dir, ledger } = await openTestLedger({
    log: (message) => {
      log.push(message);
      resolve(message);
    },
    limits: { busyTimeoutMs: 1 },
  });
  const other = openDatabase(dir);
  other.exec("BEGIN IMMEDIATE");
  ledger.saveStatistics("fleet", { n: 0 });
  expect(await failing).toBe("statistics cannot be saved: database is locked");
  for (let n = 1; n <= 1_000; n += 1) ledger.saveStatistics("fleet", { n });
  other.exec("COMMIT");
  ledger.saveStatistics("fleet", { n: 1_001 });
  ledger.openAttempt(openedRow("req-1"));
  await ledger.close();
  expect(log).toEqual(["statistics cannot be saved: database is locked"]);
  expect(saved(dir)).toEqual([["fleet", '{"n":1001}']]);
  expect(tables(dir).attempts).toHaveLength(1);
});

test("a table that cannot be written costs the statistics and no row of the ledger", async () => {
  const { dir, ledger, log } = await openTestLedger();
  openDatabase(dir).exec("DROP TABLE statistics");
  ledger.saveStatistics("fleet", {});
  ledger.openAttempt(openedRow("req-1"));
  expect(ledger.loadStatistics("fleet")).toBeUndefined();
  await ledger.close();
  expect(tables(dir).attempts).toHaveLength(1);
  expect(log.sort()).toEqual([
    expect.stringContaining("statistics cannot be saved: no such table"),
    expect.stringContaining("cannot be read and are ignored: no such table"),
  ]);
});

test("a text beyond the bound, and names beyond the bound, are refused with a log line; after close nothing is taken", async () => {
  const { dir, ledger, log } = await openTestLedger();
  ledger.saveStatistics("huge", { text: "x".repeat(17 * 1024 * 1024) });
  expect(log).toEqual([expect.stringMatching(/^the statistics "huge" are not saved: 178\d+ characters are more than/)]);
  for (let n = 0; n < 18; n += 1) ledger.saveStatistics(`name-${n}`, { n });
  // The first is on its way already, so that 16 wait.
  expect(log.slice(1)).toEqual(['the statistics "name-17" are not saved: 16 others wait for the database']);
  await ledger.close();
  ledger.saveStatistics("late", {});
  expect(saved(dir)).toHaveLength(17);
});

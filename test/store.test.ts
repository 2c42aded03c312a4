import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { openForWriting } from "../src/store/database.ts";
import { Dictionary } from "../src/store/dictionary.ts";
import { type LedgerOptions, openLedger } from "../src/store/ledger.ts";
import { migrate } from "../src/store/migrate.ts";
import { usageReport } from "../src/store/reports.ts";
import { type LedgerRow, LedgerUnavailable } from "../src/store/rows.ts";
import { packStory, unpackStory } from "../src/store/story.ts";
import type { UsageGrouping } from "../src/store/usage.ts";
import { attempts, requests } from "../src/store/views.ts";
import { DAY_MS, finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { databasePath, newDir, tables, wrongSums } from "./store-support.ts";
import { bookedLedger } from "./support/ledger.ts";

async function openTestLedger(options: Partial<LedgerOptions> = {}) {
  const dir = options.dir ?? newDir();
  const ledger = await openLedger({ dir, ...options });
  onTestFinished(() => ledger.close());
  return { dir, ledger };
}

/** Another program with a write transaction on the database, e.g. the sqlite3 shell. */
function lockDatabase(dir: string): { release(): void } {
  const db = new SqliteDatabase(databasePath(dir));
  db.exec("BEGIN IMMEDIATE");
  onTestFinished(() => void db.close());
  return { release: () => db.exec("COMMIT") };
}

test("what is told about an attempt and a request is read back exactly, and what was not told is NULL", async () => {
  const { dir, ledger } = await openTestLedger();
  const usage = {
    ...{ inputTokens: 9_000_000_000, cacheReadTokens: 0, cacheWriteTokens: 3, cacheWrite1hTokens: 4 },
    ...{ outputTokens: 5, reasoningTokens: 6, audioInputTokens: 7, audioOutputTokens: 8 },
  };
  ledger.openAttempt(openedRow("req-1", { model: 'ünïcode "quoted"\nmodel 🚦', account: "claude#2" }));
  ledger.settleAttempt(settledRow("req-1", { usage, costNanoUsd: Number.MAX_SAFE_INTEGER, firstByteMs: 12.6 }));
  ledger.finishRequest(finishedRow("req-1"));
  ledger.openAttempt(openedRow("req-2"));
  ledger.settleAttempt({
    ...settledRow("req-2", { firstByteMs: undefined, usage: undefined, costNanoUsd: undefined, httpStatus: undefined }),
    ...{ errorKind: "network", endReason: "failed", upstreamRequestId: undefined, finishReason: undefined },
  });
  ledger.finishRequest(finishedRow("req-2", { status: 502, errorKind: "network", stream: false, warnings: [] }));
  await ledger.flush();

  const { attempts: attemptRows, requests: requestRows } = tables(dir);
  expect(attemptRows[0]).toEqual({
    ...{ requestId: "req-1", attempt: 1, state: "settled", openedAtMs: DAY_MS, provider: "acme" },
    ...{ model: 'ünïcode "quoted"\nmodel 🚦', catalogVersion: "v1", endedAtMs: DAY_MS + 900, firstByteMs: 13 },
    ...{ key: "team-a", keyId: "", team: "growth", organisation: "", tags: ["beta"], rule: "chat-default" },
    ...usage,
    ...{ usageMore: null, estimatedNanoUsd: null, reservedNanoUsd: null, rates: null },
    ...{ costNanoUsd: Number.MAX_SAFE_INTEGER, priceStatus: "exact", httpStatus: 200, errorKind: null },
    ...{ endReason: "complete", upstreamRequestId: "up-1", finishReason: "stop", account: "claude#2" },
  });
  expect(attemptRows[1]).toMatchObject({
    ...{ requestId: "req-2", firstByteMs: null, inputTokens: null, cacheReadTokens: null, cacheWriteTokens: null },
    ...{ cacheWrite1hTokens: null, outputTokens: null, reasoningTokens: null, audioInputTokens: null },
    ...{ audioOutputTokens: null, costNanoUsd: null, httpStatus: null, errorKind: "network", endReason: "failed" },
    ...{ upstreamRequestId: null, finishReason: null, account: null },
  });
  const { key, errorKind: _, decision, trace, ...rest } = finishedRow("req-1");
  expect(requestRows[0]).toEqual({
    ...{ ...rest, callerKey: key, errorKind: null, keyId: "", team: "", organisation: "", tags: [] },
    ...{ story: `${decision}\n${trace}`, figures: "", queuedMs: null, user: null, app: null, session: null },
    bodyHash: null,
  });
  expect(requestRows[1]).toMatchObject({ status: 502, errorKind: "network", stream: false, warnings: [] });
});

test("fields that are not part of a row never reach the disk, and long texts are cut", async () => {
  const { dir, ledger } = await openTestLedger();
  const opened = { ...openedRow("req-1"), apiKey: "sk-secret" };
  ledger.openAttempt(opened);
  ledger.finishRequest(finishedRow("req-1", { modelRequested: "m".repeat(2_000_000), warnings: Array(999).fill("w") }));
  await ledger.flush();
  const [request] = tables(dir).requests;
  expect([request?.modelRequested.length, request?.warnings.length]).toEqual([1_000, 50]);
  for (const name of readdirSync(dir)) {
    if (name.startsWith("journal")) expect(readFileSync(join(dir, name), "utf8")).not.toContain("sk-secret");
  }
});

test("an attempt in flight is open, and the first settlement is the one that counts", async () => {
  const { dir, ledger } = await openTestLedger();
  ledger.openAttempt(openedRow("req-1"));
  await ledger.flush();
  expect(tables(dir).attempts[0]).toMatchObject({ state: "open", costNanoUsd: null, endReason: null });
  ledger.settleAttempt(settledRow("req-1", { costNanoUsd: 1 }));
  ledger.settleAttempt(settledRow("req-1", { costNanoUsd: 2 }));
  await ledger.flush();
  expect(tables(dir).attempts[0]).toMatchObject({ state: "settled", costNanoUsd: 1 });
});

test("a settlement whose opening is missing is booked, since the money is spent", async () => {
  const { dir, ledger } = await openTestLedger();
  ledger.settleAttempt(settledRow("req-1"));
  await ledger.flush();
  expect(tables(dir).attempts[0]).toMatchObject({ state: "settled", provider: "unknown", costNanoUsd: 123_457 });
});

test("a row that no table can take is logged whole and holds up nothing", async () => {
  const log: string[] = [];
  const { dir, ledger } = await openTestLedger({ log: (message) => log.push(message) });
  ledger.openAttempt(openedRow("req-1"));
  ledger.settleAttempt(settledRow("req-1", { costNanoUsd: 0.5 }));
  ledger.finishRequest(finishedRow("req-1"));
  await ledger.flush();
  expect(tables(dir)).toMatchObject({ attempts: [{ state: "open" }], requests: [{ requestId: "req-1" }] });
  expect(log).toEqual([expect.stringMatching(/a row was not booked: .*REAL.*INTEGER.*"costNanoUsd":0.5/)]);
});

test("the data directory is made, closed to other users, when it is missing", async () => {
  const dir = join(newDir(), "deep", "er");
  await openTestLedger({ dir });
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

test("segments that are in the database are removed, and a closed ledger leaves no journal", async () => {
  const { dir, ledger } = await openTestLedger({ limits: { segmentBytesMax: 1_000 } });
  for (let i = 0; i < 300; i += 1) ledger.openAttempt(openedRow(`req-${i}`));
  await ledger.flush();
  const left = readdirSync(dir).filter((name) => name.startsWith("journal"));
  expect(left).toEqual([expect.stringMatching(/^journal-000000[1-9]\d\.log$/)]);
  expect(ledger.status()).toEqual({ pendingRows: 0 });
  await ledger.close();
  expect(readdirSync(dir).filter((name) => /journal|pid|wal|shm/.test(name))).toEqual([]);
  expect(tables(dir).attempts).toHaveLength(300);
});

test("a closed ledger refuses attempts, and a settlement that comes too late is at least in the log", async () => {
  const log: string[] = [];
  const { dir, ledger } = await openTestLedger({ log: (message) => log.push(message) });
  await ledger.close();
  expect(() => ledger.openAttempt(openedRow("late"))).toThrow(LedgerUnavailable);
  ledger.settleAttempt(settledRow("late"));
  expect(log).toEqual([expect.stringMatching(/a ledger row cannot be kept any more: .*"requestId":"late"/)]);
  expect(tables(dir).attempts).toEqual([]);
});

test("the database is written so that a commit survives a power cut, and readers never wait", () => {
  const db = openForWriting(databasePath(newDir()), 0);
  onTestFinished(() => void db.close());
  const FULL = 2;
  expect(db.pragma("synchronous", { simple: true })).toBe(FULL);
  expect(db.pragma("journal_mode", { simple: true })).toBe("wal");
});

test("close() without flush() loses nothing, and both may be called again", async () => {
  const { dir, ledger } = await openTestLedger();
  ledger.openAttempt(openedRow("req-1"));
  const closing = ledger.close();
  ledger.settleAttempt(settledRow("req-1"));
  await Promise.all([closing, ledger.close(), ledger.flush()]);
  expect(tables(dir).attempts[0]).toMatchObject({ state: "settled" });
});

test("while another connection locks the database rows wait in the journal, and none is lost", async () => {
  const { promise: failing, resolve } = Promise.withResolvers<string>();
  const { dir, ledger } = await openTestLedger({ log: resolve, limits: { busyTimeoutMs: 1, segmentBytesMax: 2_000 } });
  const lock = lockDatabase(dir);
  for (let i = 0; i < 100; i += 1) ledger.openAttempt(openedRow(`req-${i}`));
  expect(await failing).toContain("database is locked; rows wait in the journal");
  expect(ledger.status()).toMatchObject({
    pendingRows: 100,
    failed: "the database cannot be written: database is locked",
  });
  expect(ledger.status().lagMs).toBeGreaterThan(0);
  for (let i = 100; i < 200; i += 1) ledger.openAttempt(openedRow(`req-${i}`));
  lock.release();
  await ledger.flush();
  expect(ledger.status()).toEqual({ pendingRows: 0 });
  expect(tables(dir).attempts).toHaveLength(200);
});

test("flush() gives up within its bound, and what a locked database kept out is booked at the next start", async () => {
  const limits = { busyTimeoutMs: 1, flushTimeoutMs: 20, closeTimeoutMs: 20 };
  const { dir, ledger } = await openTestLedger({ limits });
  const lock = lockDatabase(dir);
  ledger.openAttempt(openedRow("req-1"));
  ledger.settleAttempt(settledRow("req-1"));
  await expect(ledger.flush()).rejects.toThrow("not committed after 20 ms (they are journalled)");
  await ledger.close();
  lock.release();
  expect(tables(dir).attempts).toEqual([]);
  await (await openTestLedger({ dir })).ledger.close();
  expect(tables(dir).attempts).toMatchObject([{ requestId: "req-1", state: "settled" }]);
});

test("with a full journal no attempt is opened, but those that are open still settle", async () => {
  const { dir, ledger } = await openTestLedger({ limits: { busyTimeoutMs: 1, journalBytesMax: 600 } });
  const lock = lockDatabase(dir);
  let opened = 0;
  const openUntilRefused = () => {
    for (; ; opened += 1) ledger.openAttempt(openedRow(`req-${opened}`));
  };
  expect(openUntilRefused).toThrow(LedgerUnavailable);
  ledger.settleAttempt(settledRow("req-0"));
  lock.release();
  await ledger.flush();
  expect(tables(dir).attempts).toHaveLength(opened);
  expect(tables(dir).attempts[0]).toMatchObject({ state: "settled" });
  ledger.openAttempt(openedRow("req-again"));
});

test("rows beyond every bound are counted as lost and written to the log", async () => {
  const log: string[] = [];
  const limits = { busyTimeoutMs: 1, journalBytesMax: 100 };
  const { dir, ledger } = await openTestLedger({ limits, log: (message) => log.push(message) });
  const lock = lockDatabase(dir);
  for (let i = 0; i < 3; i += 1) ledger.finishRequest(finishedRow(`req-${i}`));
  expect(ledger.status().failed).toContain("2 rows were lost");
  expect(log.filter((message) => message.includes("cannot be kept any more"))).toHaveLength(2);
  lock.release();
  await ledger.flush();
  expect(tables(dir).requests).toHaveLength(1);
});

test("a second ledger on the same directory is refused, naming the directory and the process", async () => {
  const { dir, ledger } = await openTestLedger();
  const expected = `the data directory ${dir} is in use by another Signalbox, process ${process.pid}`;
  await expect(openLedger({ dir })).rejects.toThrow(expected);
  ledger.openAttempt(openedRow("req-1"));
  await ledger.close();
  await openTestLedger({ dir });
  expect(tables(dir).attempts).toMatchObject([{ requestId: "req-1", state: "unknown" }]);
});

test("the views and the migrated database have the same columns", () => {
  const db = openForWriting(databasePath(newDir()), 0);
  onTestFinished(() => void db.close());
  migrate(db);
  for (const { name, columns } of [attempts, requests]) {
    const inDatabase = db.prepare("SELECT name FROM pragma_table_info(?)").pluck().all(name);
    expect(columns.toSorted()).toEqual(inDatabase.sort());
  }
});

test("a database newer than the code is refused, saying which version it is and what to do", async () => {
  const dir = newDir();
  const db = openForWriting(databasePath(dir), 0);
  db.pragma("user_version = 99");
  db.close();
  const text =
    /signalbox\.db has schema version 99, but this Signalbox knows versions up to \d+: .*Install that version/;
  await expect(openLedger({ dir })).rejects.toThrow(text);
  expect(() => usageReport({ dir, sinceMs: 0, nowMs: DAY_MS, by: "day" })).toThrow(text);
});

test("an upgrade keeps a copy of the old database beside it, and a new database needs none", () => {
  const dir = newDir();
  const migrationsDir = newDir();
  const path = databasePath(dir);
  writeFileSync(join(migrationsDir, "0001_first.sql"), "CREATE TABLE one (a INTEGER) STRICT;");
  let db = openForWriting(path, 0);
  migrate(db, migrationsDir);
  db.exec("INSERT INTO one VALUES (1)");
  expect(readdirSync(dir).filter((name) => name.includes("before"))).toEqual([]);
  // Still in the write-ahead log: a copy of the file alone would miss it.
  expect(existsSync(`${path}-wal`)).toBe(true);

  writeFileSync(join(migrationsDir, "0002_second.sql"), "ALTER TABLE one ADD COLUMN b INTEGER; UPDATE one SET b = 2;");
  migrate(db, migrationsDir);
  expect(db.prepare("SELECT * FROM one").all()).toEqual([{ a: 1, b: 2 }]);
  db.close();
  expect(readdirSync(dir).filter((name) => name.includes("before"))).toEqual(["signalbox.db.before-0002"]);
  db = openForWriting(`${path}.before-0002`, 0);
  onTestFinished(() => void db.close());
  expect(db.pragma("user_version", { simple: true })).toBe(1);
  expect(db.prepare("SELECT * FROM one").all()).toEqual([{ a: 1 }]);
});

test("a ledger of the first version is upgraded with all that is in it, and a copy of it is kept", async () => {
  const dir = newDir();
  const first = newDir();
  const name = "0001_ledger.sql";
  copyFileSync(new URL(`../migrations/${name}`, import.meta.url), join(first, name));
  const old = openForWriting(databasePath(dir), 0);
  migrate(old, first);
  // As that version wrote them: the code of today writes columns that it did not have.
  old.exec(`
    INSERT INTO attempts (request_id, attempt, state, opened_at_ms, provider, model, catalog_version, cost_nano_usd)
      VALUES ('req-1', 1, 'settled', ${DAY_MS}, 'acme', 'acme-1', 'v1', 123457);
    INSERT INTO requests VALUES ('req-1', ${DAY_MS}, ${DAY_MS}, 'team-a', 'chat', 'auto', 1, 200, NULL, 1, 'direct', 'snap-1', '[]');
  `);
  old.close();
  const { ledger } = await openTestLedger({ dir });
  ledger.saveStatistics("fleet", { version: 1 });
  await ledger.close();
  expect(tables(dir)).toMatchObject({
    attempts: [{ requestId: "req-1", state: "settled", costNanoUsd: 123_457 }],
    requests: [{ requestId: "req-1", callerKey: "team-a", warnings: [], story: "direct\n" }],
  });
  expect(readdirSync(dir).filter((file) => file.includes("before"))).toEqual(["signalbox.db.before-0002"]);
  const copy = new SqliteDatabase(`${databasePath(dir)}.before-0002`, { readonly: true });
  onTestFinished(() => void copy.close());
  expect(copy.pragma("user_version", { simple: true })).toBe(1);
  expect(copy.prepare("SELECT request_id, cost_nano_usd FROM attempts").raw().all()).toEqual([["req-1", 123_457]]);
});

test("a migration that fails changes nothing, and a gap in the numbers is an error", () => {
  const migrationsDir = newDir();
  const db = openForWriting(databasePath(newDir()), 0);
  onTestFinished(() => void db.close());
  writeFileSync(join(migrationsDir, "0001_first.sql"), "CREATE TABLE one (a INTEGER) STRICT; CREATE TABLE one (a);");
  expect(() => migrate(db, migrationsDir)).toThrow("table one already exists");
  expect(db.pragma("user_version", { simple: true })).toBe(0);
  expect(db.prepare("SELECT count(*) FROM sqlite_schema").pluck().get()).toBe(0);
  writeFileSync(join(migrationsDir, "0003_third.sql"), "SELECT 1;");
  expect(() => migrate(db, migrationsDir)).toThrow("found 0003_third.sql where migration 0002 was expected");
});

test("a report without a database says where it looked", () => {
  const dir = newDir();
  expect(() => usageReport({ dir, sinceMs: 0, nowMs: DAY_MS, by: "day" })).toThrow(`there is no ledger in ${dir} yet`);
});

const DAY_2_MS = DAY_MS + 86_400_000;

/** Five requests on two days, seen before and after a restart that left one attempt unsettled. */
async function ledgerForReports(): Promise<string> {
  const { dir, ledger } = await openTestLedger();
  // a: overloaded at acme, then answered by zeta.
  ledger.openAttempt(openedRow("a"));
  const failed = { usage: undefined, costNanoUsd: undefined, endReason: "failed", errorKind: "overloaded" } as const;
  ledger.settleAttempt(settledRow("a", failed));
  ledger.openAttempt(openedRow("a", { attempt: 2, provider: "zeta", model: "z/1" }));
  ledger.settleAttempt(settledRow("a", { attempt: 2, costNanoUsd: 9_000_000_000_001 }));
  ledger.finishRequest(finishedRow("a", { attempts: 2 }));
  // b: answered, but its price is unknown. Both cache lifetimes.
  ledger.openAttempt(openedRow("b", { openedAtMs: DAY_2_MS - 1 }));
  const usage = { inputTokens: 50, cacheWriteTokens: 11, cacheWrite1hTokens: 22, outputTokens: 1 };
  ledger.settleAttempt(settledRow("b", { usage, costNanoUsd: undefined, priceStatus: "unknown" }));
  ledger.finishRequest(finishedRow("b", { receivedAtMs: DAY_2_MS - 1 }));
  // c: cut short the next day, by another key; nothing to pay on this model.
  ledger.openAttempt(openedRow("c", { openedAtMs: DAY_2_MS, key: "team-b" }));
  const unmetered = { costNanoUsd: undefined, priceStatus: "unmetered", endReason: "truncated" } as const;
  ledger.settleAttempt(settledRow("c", unmetered));
  ledger.finishRequest(finishedRow("c", { key: "team-b", receivedAtMs: DAY_2_MS }));
  // d: refused without an attempt.
  ledger.finishRequest(finishedRow("d", { key: "team-b", receivedAtMs: DAY_2_MS, status: 404, attempts: 0 }));
  // e: never settled.
  ledger.openAttempt(openedRow("e", { openedAtMs: DAY_2_MS }));
  await ledger.close();
  await openTestLedger({ dir }); // Reports are read beside a running server.
  return dir;
}

const NOTHING = {
  ...{ requests: 0, attempts: 0, failedAttempts: 0, inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
  ...{ outputTokens: 0, costNanoUsd: 0, estimatedNanoUsd: 0, unpricedAttempts: 0, unknownAttempts: 0 },
};

const ACME = {
  ...{ requests: 4, attempts: 4, failedAttempts: 2, inputTokens: 150, cacheReadTokens: 40, cacheWriteTokens: 33 },
  ...{ outputTokens: 8, costNanoUsd: 0, estimatedNanoUsd: 0, unpricedAttempts: 1, unknownAttempts: 1 },
};
const ZETA = { ...NOTHING, requests: 1, attempts: 1, inputTokens: 100, cacheReadTokens: 40, outputTokens: 7 };
const ZETA_NANO_USD = 9_000_000_000_001;

test("reports equal a computation by hand, in every grouping", async () => {
  const dir = await ledgerForReports();
  const report = (by: UsageGrouping, sinceMs = 0) => usageReport({ dir, sinceMs, nowMs: DAY_2_MS + 1, by });
  expect(report("model")).toEqual([
    { group: "zeta/z/1", ...ZETA, costNanoUsd: ZETA_NANO_USD },
    { group: "acme/acme-1", ...ACME },
  ]);
  expect(report("provider")).toEqual([
    { group: "zeta", ...ZETA, costNanoUsd: ZETA_NANO_USD },
    { group: "acme", ...ACME },
  ]);
  const teamA = {
    ...{ requests: 2, attempts: 3, failedAttempts: 1, inputTokens: 150, cacheReadTokens: 40, cacheWriteTokens: 33 },
    ...{ outputTokens: 8, costNanoUsd: ZETA_NANO_USD, estimatedNanoUsd: 0, unpricedAttempts: 1, unknownAttempts: 0 },
  };
  const truncated = { failedAttempts: 1, inputTokens: 100, cacheReadTokens: 40, outputTokens: 7 };
  expect(report("key")).toEqual([
    { group: "team-a", ...teamA, requests: 3, attempts: 4, unknownAttempts: 1 },
    { ...NOTHING, group: "team-b", ...truncated, requests: 2, attempts: 1 },
  ]);
  const day2 = { ...NOTHING, group: "2026-03-02", ...truncated, requests: 3, attempts: 2, unknownAttempts: 1 };
  expect(report("day")).toEqual([{ group: "2026-03-01", ...teamA }, day2]);
  expect(report("day", DAY_2_MS)).toEqual([day2]);
  expect(report("day", DAY_2_MS + 60_000)).toEqual([]);
});

test("sums are checked against their rows, and one that is off is named", async () => {
  const dir = await ledgerForReports();
  expect(wrongSums(dir)).toEqual([]);
  const db = openForWriting(databasePath(dir), 1_000);
  onTestFinished(() => void db.close());
  db.exec("UPDATE attempt_rows SET cost_nano_usd = cost_nano_usd + 1 WHERE cost_nano_usd > 0");
  const day = DAY_MS / 86_400_000;
  const off = { day, column: "cost_nano_usd", kept: ZETA_NANO_USD, summed: ZETA_NANO_USD + 1 };
  expect(wrongSums(dir)).toEqual([{ ...off, dimension: expect.any(Number) }]);
});

test("decision and trace are read back as they were, though their figures are kept apart", () => {
  const decision = "rule=fast%2C 2;pick=fastest;candidates=3;cost=0.000151;latency=7500ms";
  const trace = '{"rule":"fast, 2","targets":[{"t":"openai/gpt-6","c":151000,"ms":7500},{"t":"x/#","ms":12}]}';
  const story = packStory(decision, trace);
  expect(story).toEqual({
    text: expect.not.stringMatching(/151|7500/),
    figures: "0.000151 7500 151000 7500 12",
  });
  expect(unpackStory(story)).toEqual({ decision, trace });
  expect(unpackStory(packStory("direct", undefined))).toEqual({ decision: "direct", trace: null });
});

test("beyond a bound of dimensions new sets of tags are counted together, and nothing else is lost", () => {
  const db = openForWriting(databasePath(newDir()), 0);
  onTestFinished(() => void db.close());
  migrate(db);
  const dictionary = new Dictionary(db, 2);
  const one = dictionary.dimension({ key: "a", tags: ["x", "y"] });
  expect(dictionary.dimension({ key: "a", tags: ["y", "x", "x"] })).toBe(one);
  dictionary.dimension({ key: "a", tags: ["z"] });
  const together = dictionary.dimension({ key: "a", tags: ["1"] });
  expect(dictionary.dimension({ key: "a", tags: ["2"] })).toBe(together);
  expect(dictionary.dimension({ key: "b", tags: ["2"] })).not.toBe(together);
  expect(db.prepare("SELECT tags FROM dimensions WHERE id = ?").pluck().get(together)).toBe('["(other)"]');
});

test("what a transaction had counted before it failed is counted once when its rows are booked again", () => {
  const { dir, db, book } = bookedLedger([{ kind: "opened", ...openedRow("a") }]);
  const rows: LedgerRow[] = [
    { kind: "settled", ...settledRow("a") },
    { kind: "finished", ...finishedRow("a") },
  ];
  db.exec("ALTER TABLE request_rows RENAME TO away");
  expect(() => book(rows)).toThrow("no such table");
  db.exec("ALTER TABLE away RENAME TO request_rows");
  book(rows);
  expect(wrongSums(dir)).toEqual([]);
});

test("a sum beyond what a number can hold exactly is an error, not a rounded sum", async () => {
  const { dir, ledger } = await openTestLedger();
  for (const id of ["a", "b"]) {
    ledger.openAttempt(openedRow(id));
    ledger.settleAttempt(settledRow(id, { costNanoUsd: Number.MAX_SAFE_INTEGER }));
  }
  await ledger.flush();
  expect(() => usageReport({ dir, sinceMs: 0, nowMs: DAY_MS, by: "day" })).toThrow("too large to be shown exactly");
});

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { encodeLine, segmentPath } from "../src/store/journal.ts";
import { type LedgerOptions, openLedger } from "../src/store/ledger.ts";
import { LedgerUnavailable } from "../src/store/rows.ts";
import { fillDisk } from "./full-disk.ts";
import { finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { databasePath, newDir, tables, wrongSums } from "./store-support.ts";
import { startTestRouter } from "./support/router.ts";

async function openTestLedger(options: Partial<LedgerOptions> = {}) {
  const dir = options.dir ?? newDir();
  const log: string[] = [];
  const ledger = await openLedger({ dir, log: (message) => log.push(message), ...options });
  onTestFinished(() => ledger.close());
  return { dir, ledger, log };
}

/** A ledger of some pages with rows in it, and two rows more in a journal nobody has replayed. */
async function ledgerOfAFewPages(): Promise<string> {
  const { dir, ledger } = await openTestLedger();
  for (let number = 0; number < 500; number += 1) {
    ledger.openAttempt(openedRow(`old-${number}`));
    ledger.settleAttempt(settledRow(`old-${number}`));
  }
  await ledger.close();
  const rows = [
    encodeLine({ kind: "opened", ...openedRow("new") }),
    encodeLine({ kind: "settled", ...settledRow("new") }),
  ];
  writeFileSync(segmentPath(dir, 1), rows.join(""));
  return dir;
}

/** Overwrites all pages behind the first `keep`. */
function damage(dir: string, keep: number): void {
  const bytes = readFileSync(databasePath(dir));
  bytes.fill(0xee, keep * 4_096);
  writeFileSync(databasePath(dir), bytes);
}

const asideIn = (dir: string) => readdirSync(dir).filter((name) => name.startsWith("signalbox.db.damaged"));

test.each([
  ["is no database any more", 0, "file is not a database"],
  ["has damaged pages", 1, "malformed"],
])("a file that %s stops the start, saying what to do; the journal is kept", async (_, keep, reason) => {
  const dir = await ledgerOfAFewPages();
  damage(dir, keep);
  const before = readFileSync(databasePath(dir));
  const refused = openLedger({ dir });
  await expect(refused).rejects.toThrow(`the ledger in ${dir} is damaged: `);
  await expect(refused).rejects.toThrow(reason);
  await expect(refused).rejects.toThrow(
    /Put a backup .* in the place of signalbox\.db .*journal-\*\.log.* are replayed/,
  );
  expect(readFileSync(databasePath(dir)).equals(before)).toBe(true);
  expect(existsSync(segmentPath(dir, 1))).toBe(true);
  expect(asideIn(dir)).toEqual([]);
});

test.each([0, 1])(
  "told to continue, a start sets the damaged file aside and books the journal in a new one (%i)",
  async (keep) => {
    const dir = await ledgerOfAFewPages();
    damage(dir, keep);
    const damaged = readFileSync(databasePath(dir));
    const { ledger, log } = await openTestLedger({ dir, onFailure: "continue" });
    const [aside = ""] = asideIn(dir);
    expect(aside).toMatch(/^signalbox\.db\.damaged-\d{8}T\d{6}Z$/);
    expect(log[0]).toMatch(/^ALARM: the ledger database is damaged .* was set aside as .*damaged-.*A NEW, EMPTY ONE/);
    expect(log[0]).toContain(aside);
    expect(readFileSync(join(dir, aside)).equals(damaged)).toBe(true);
    ledger.openAttempt(openedRow("next"));
    ledger.settleAttempt(settledRow("next"));
    await ledger.flush();
    expect(tables(dir).attempts.map((row) => [row.requestId, row.state])).toEqual([
      ["new", "settled"],
      ["next", "settled"],
    ]);
    expect(wrongSums(dir)).toEqual([]);
    expect(ledger.status()).toEqual({ pendingRows: 0 });
  },
);

test("a database that is damaged while the router runs is replaced when it is told to continue, and no row of the journal is lost", async () => {
  const { dir, ledger, log } = await openTestLedger({ onFailure: "continue" });
  for (let number = 0; number < 500; number += 1) ledger.openAttempt(openedRow(`old-${number}`));
  await ledger.flush();
  // A careless program writes over the file.
  const other = new SqliteDatabase(databasePath(dir));
  other.pragma("wal_checkpoint(TRUNCATE)");
  other.close();
  damage(dir, 1);
  ledger.settleAttempt(settledRow("old-1"));
  ledger.openAttempt(openedRow("new"));
  await ledger.flush();
  expect(log.filter((line) => line.startsWith("ALARM"))).toHaveLength(1);
  expect(asideIn(dir)).toHaveLength(1);
  // Its opening is in the damaged file; the money is counted all the same.
  expect(tables(dir).attempts.map((row) => [row.requestId, row.provider, row.costNanoUsd])).toEqual([
    ["new", "acme", null],
    ["old-1", "unknown", 123_457],
  ]);
});

/** Where a directory cannot be written, whoever runs the tests: its name is taken by a file. */
function unwritableDir(): string {
  const parent = newDir();
  writeFileSync(join(parent, "data"), "");
  return join(parent, "data");
}

test("a folder that cannot be made or written stops the start, saying what to do", async () => {
  for (const dir of [unwritableDir(), join(unwritableDir(), "deeper")]) {
    const refused = openLedger({ dir });
    await expect(refused).rejects.toThrow(`the ledger in ${dir} cannot be opened: E`);
    await expect(refused).rejects.toThrow(
      "Make the folder writable, with room on its disk, or name another with --data",
    );
    await expect(refused).rejects.toThrow('"on_ledger_failure: continue" would start without a ledger');
  }
  const dir = newDir();
  mkdirSync(databasePath(dir));
  await expect(openLedger({ dir })).rejects.toThrow(/cannot be opened: unable to open database file\. Make/);
});

test("told to continue, a ledger whose folder cannot be written keeps nothing and says so for every row", async () => {
  const dir = unwritableDir();
  const { ledger, log } = await openTestLedger({ dir, onFailure: "continue" });
  expect(log).toEqual([expect.stringMatching(/^ALARM: .*calls are made and NOTHING IS KEPT of them/)]);
  ledger.openAttempt(openedRow("a"));
  ledger.settleAttempt(settledRow("a"));
  ledger.finishRequest(finishedRow("a"));
  ledger.saveStatistics("fleet", {});
  expect(ledger.loadStatistics("fleet")).toBeUndefined();
  expect(log).toHaveLength(4);
  expect(log[2]).toMatch(/^a ledger row cannot be kept any more: .*"kind":"settled","requestId":"a"/);
  expect(ledger.status()).toEqual({
    pendingRows: 0,
    failed: expect.stringMatching(/ENOTDIR|EEXIST.*; 3 rows were lost$/),
  });
  await expect(ledger.flush()).rejects.toThrow(LedgerUnavailable);
});

test("another router on the folder and a newer database stop the start whatever the policy is", async () => {
  const { dir } = await openTestLedger();
  await expect(openLedger({ dir, onFailure: "continue" })).rejects.toThrow("is in use by another Signalbox");
  const newer = newDir();
  const db = new SqliteDatabase(databasePath(newer));
  db.pragma("user_version = 99");
  db.close();
  await expect(openLedger({ dir: newer, onFailure: "continue" })).rejects.toThrow("has schema version 99");
  expect(asideIn(newer)).toEqual([]);
});

test("told to continue, a full disk stops no attempt: rows are held up to the bound, then dropped, logged and counted", async () => {
  const { dir, ledger, log } = await openTestLedger({ onFailure: "continue", limits: { heldCharsMax: 1_000 } });
  ledger.openAttempt(openedRow("before"));
  const disk = fillDisk(0);
  for (let number = 0; number < 6; number += 1) {
    ledger.openAttempt(openedRow(`req-${number}`));
    ledger.settleAttempt(settledRow(`req-${number}`));
  }
  const dropped = log.filter((line) => line.startsWith("a ledger row cannot be kept any more")).length;
  expect(dropped).toBeGreaterThan(6);
  expect(ledger.status()).toMatchObject({
    pendingRows: 13 - dropped,
    failed: expect.stringMatching(`ENOSPC.*; ${dropped} rows were lost`),
  });
  disk.release();
  await ledger.flush();
  expect(ledger.status()).toEqual({ pendingRows: 0, failed: `${dropped} rows were lost` });
  expect(tables(dir).attempts.map((row) => row.requestId)).toContain("before");
  expect(wrongSums(dir)).toEqual([]);
});

const CHAT = { model: "openai/gpt-6-luna", messages: [{ role: "user", content: "Hello!" }] };

test("a router whose ledger fails refuses calls with 503 and is not ready; told to continue it answers and is degraded", async () => {
  for (const [policy, chat, ready, status] of [
    ["refuse", 503, 503, "unavailable"],
    ["continue", 200, 200, "degraded"],
  ] as const) {
    const router = await startTestRouter({ config: `on_ledger_failure: ${policy}\n` });
    const disk = fillDisk(0);
    const answer = await router.post(CHAT);
    const health = await fetch(`${router.url}/health/ready`);
    disk.release();
    expect([policy, answer.status, health.status]).toEqual([policy, chat, ready]);
    expect(await health.json()).toMatchObject({ status, ledger: { failed: expect.stringContaining("ENOSPC") } });
    await answer.text();
  }
});

import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { backup, ledger as ledgerCommand } from "../src/cli/ledger.ts";
import { StartError } from "../src/settings.ts";
import { backUpLedger } from "../src/store/backup.ts";
import { type Ledger, openLedger } from "../src/store/ledger.ts";
import { firstIdAt } from "../src/store/request-ids.ts";
import { finishedRow, openedRow, DAY_MS as START_MS, settledRow } from "./store-rows.ts";
import { databasePath, newDir, tables, wrongSums } from "./store-support.ts";

const DAY_MS = 86_400_000;

async function openTestLedger(dir = newDir(), log: (message: string) => void = () => {}) {
  const ledger = await openLedger({ dir, log });
  onTestFinished(() => ledger.close());
  return { dir, ledger };
}

function book(ledger: Ledger, number: number, atMs = START_MS): void {
  const id = firstIdAt(atMs) + String(number).padStart(20, "0");
  ledger.openAttempt(openedRow(id, { openedAtMs: atMs }));
  ledger.settleAttempt(settledRow(id, { endedAtMs: atMs + 900 }));
  ledger.finishRequest(finishedRow(id, { receivedAtMs: atMs, endedAtMs: atMs + 901 }));
}

test("a backup made while the router books is whole, and restoring it brings back what was in it", async () => {
  const { dir, ledger } = await openTestLedger();
  for (let number = 0; number < 200; number += 1) book(ledger, number);
  await ledger.flush();
  const file = join(newDir(), "copy.db");
  for (let number = 200; number < 300; number += 1) book(ledger, number);
  const made = backUpLedger(dir, file);
  await ledger.close();
  expect(made).toEqual({
    file,
    bytes: statSync(file).size,
    requests: expect.any(Number),
    attempts: expect.any(Number),
  });
  expect(made.requests).toBeGreaterThanOrEqual(200);
  expect(statSync(file).mode & 0o777).toBe(0o600);

  for (const suffix of ["", "-wal", "-shm"]) rmSync(databasePath(dir) + suffix, { force: true });
  renameSync(file, databasePath(dir));
  const again = await openTestLedger(dir);
  expect(tables(dir).requests).toHaveLength(made.requests);
  book(again.ledger, 1_000);
  await again.ledger.flush();
  expect(tables(dir).requests).toHaveLength(made.requests + 1);
  expect(wrongSums(dir)).toEqual([]);
});

test("a backup does not overwrite, says where its folder is missing, and leaves nothing unfinished", async () => {
  const { dir, ledger } = await openTestLedger();
  book(ledger, 1);
  await ledger.flush();
  const target = newDir();
  const file = join(target, "copy.db");
  writeFileSync(file, "precious");
  expect(() => backUpLedger(dir, file)).toThrow(`${file} exists already and is not overwritten`);
  expect(readFileSync(file, "utf8")).toBe("precious");
  const lost = join(target, "missing", "copy.db");
  expect(() => backUpLedger(dir, lost)).toThrow(`the folder ${join(target, "missing")} of the backup does not exist`);
  expect(() => backUpLedger(target, join(target, "b.db"))).toThrow(`there is no ledger in ${target}`);
  writeFileSync(join(target, "b.db.unfinished"), "left by a crash");
  backUpLedger(dir, join(target, "b.db"));
  expect(readdirSync(target).sort()).toEqual(["b.db", "copy.db"]);
});

test("a backup of a damaged ledger is refused instead of kept", async () => {
  const { dir, ledger } = await openTestLedger();
  for (let number = 0; number < 500; number += 1) book(ledger, number);
  await ledger.close();
  const bytes = readFileSync(databasePath(dir));
  bytes.fill(0xee, 5 * 4_096, bytes.length - 4_096);
  writeFileSync(databasePath(dir), bytes);
  const file = join(newDir(), "copy.db");
  expect(() => backUpLedger(dir, file)).toThrow(/^no backup was made: .*malformed/);
  expect([existsSync(file), existsSync(`${file}.unfinished`)]).toEqual([false, false]);
});

test("the command says what is in the backup, also as JSON", async () => {
  const { dir, ledger } = await openTestLedger();
  book(ledger, 1);
  await ledger.flush();
  const target = newDir();
  const env = { SIGNALBOX_DATA: dir };
  const [first, second] = [join(target, "1.db"), join(target, "2.db")];
  expect(backup([first], env)).toMatch(/^.*1\.db: 1 requests, 1 attempts, \d+ bytes; checked\.\n.*last milliseconds/);
  expect(JSON.parse(backup([second, "--json"], env))).toMatchObject({ file: second, requests: 1, attempts: 1 });
  expect(() => backup([second], env)).toThrow(StartError);
  expect(() => backup([], env)).toThrow("expected the name of one file");
});

/** Attempts of three days; the row of the second is changed behind the ledger's back. */
async function ledgerWithDifference() {
  const { dir, ledger } = await openTestLedger();
  for (let day = 0; day < 3; day += 1) book(ledger, day, START_MS + day * DAY_MS);
  await ledger.close();
  const db = new SqliteDatabase(databasePath(dir));
  db.exec(`UPDATE attempt_rows SET output_tokens = 8 WHERE opened_at_ms = ${START_MS + DAY_MS}`);
  db.close();
  return dir;
}

test("the check names the day and the sum that differs from its rows, and exits with 1", async () => {
  const dir = await ledgerWithDifference();
  const env = { SIGNALBOX_DATA: dir };
  const nowMs = START_MS + 2 * DAY_MS + 5;
  expect(ledgerCommand(["check"], env, nowMs)).toEqual({
    text:
      'the sum of output_tokens of 2026-03-02 for key "team-a" at acme/acme-1 is 7, but its rows add up to 8\n' +
      "7 days: 1 sums differ from their rows.\n",
    exitCode: 1,
  });
  expect(ledgerCommand(["check", "--days", "1"], env, nowMs)).toEqual({
    text: "1 days: every sum is what its rows add up to.\n",
    exitCode: 0,
  });
  expect(() => ledgerCommand(["check", "--days", "0"], env, nowMs)).toThrow("--days: expected a number from 1");
});

test("every night yesterday and an earlier day are checked; a difference is an alarm and stays in the status", async () => {
  const dir = await ledgerWithDifference();
  const log: string[] = [];
  const { ledger } = await openTestLedger(dir, (message) => log.push(message));
  expect(ledger.status()).toEqual({ pendingRows: 0 });
  const nightOf = (day: number) => ledger.housekeep(START_MS + day * DAY_MS + 60_000);
  const alarm = /^ALARM: the sum of output_tokens of 2026-03-02 .* is 7, but its rows add up to 8$/;
  await nightOf(2);
  expect(ledger.status()).toEqual({ pendingRows: 0, checked: "2026-03-02", differences: 1 });
  expect(log).toEqual([expect.stringMatching(alarm)]);
  await nightOf(2);
  expect(log).toHaveLength(1);
  // Yesterday is the 3rd now; the day in rotation was the 1st before, so it is the newest earlier one again.
  await nightOf(3);
  expect(ledger.status()).toEqual({ pendingRows: 0, checked: "2026-03-03", differences: 1 });
  expect(log).toHaveLength(2);
  await nightOf(4);
  expect(ledger.status()).toEqual({ pendingRows: 0, checked: "2026-03-04", differences: 0 });
  await nightOf(5);
  expect(ledger.status()).toMatchObject({ checked: "2026-03-05", differences: 0 });
  expect(log).toHaveLength(2);
});

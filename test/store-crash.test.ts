import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, {
  appendFileSync,
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { Drain } from "../src/store/drain.ts";
import { encodeLine, readBatch, segmentPath } from "../src/store/journal.ts";
import { openLedger } from "../src/store/ledger.ts";
import { usageReport } from "../src/store/reports.ts";
import type { LedgerRow } from "../src/store/rows.ts";
import { LedgerUnavailable } from "../src/store/rows.ts";
import { fillDisk } from "./full-disk.ts";
import { finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { databasePath, newDir, tables, wrongSums } from "./store-support.ts";

const opened = (id: string, attempt = 1): LedgerRow => ({ kind: "opened", ...openedRow(id, { attempt }) });
const settled = (id: string, attempt = 1): LedgerRow => ({ kind: "settled", ...settledRow(id, { attempt }) });
const finished = (id: string): LedgerRow => ({ kind: "finished", ...finishedRow(id) });

/** What the worker thread does between start and its first message, without the thread. */
function restart(dir: string): { log: string[]; firstSegment: number } {
  const log: string[] = [];
  const drain = new Drain(
    { dir, busyTimeoutMs: 0 },
    (message) => message.kind === "log" && log.push(message.message),
    () => {},
  );
  const firstSegment = drain.recover();
  drain.receive({ kind: "close", upTo: { segment: firstSegment, offset: 0 } });
  return { log, firstSegment };
}

/** What a look into the database shows of the rows, short: "req#1 settled", "req finished". */
function booked(dir: string): string[] {
  const { attempts, requests } = tables(dir);
  const lines = attempts.map((row) => `${row.requestId}#${row.attempt} ${row.state} ${row.costNanoUsd}`);
  return [...lines, ...requests.map((row) => `${row.requestId} finished`)];
}

/** The same of rows that are all replayed, computed the slow way. */
function expectedOf(rows: LedgerRow[]): string[] {
  const attempts = new Map<string, string>();
  const requests = new Set<string>();
  for (const row of rows) {
    if (row.kind === "rates") continue;
    if (row.kind === "finished") requests.add(row.requestId);
    else if (row.kind === "settled") attempts.set(`${row.requestId}#${row.attempt}`, `settled ${row.costNanoUsd}`);
    else if (!attempts.has(`${row.requestId}#${row.attempt}`)) {
      attempts.set(`${row.requestId}#${row.attempt}`, "unknown null");
    }
  }
  const keys = [...attempts.keys()].sort();
  return [...keys.map((key) => `${key} ${attempts.get(key)}`), ...[...requests].sort().map((id) => `${id} finished`)];
}

function writeSegment(dir: string, segment: number, rows: LedgerRow[]): void {
  appendFileSync(segmentPath(dir, segment), rows.map(encodeLine).join(""));
}

test("wherever the journal was cut off, the rows before the cut are booked and the torn one is skipped with a log line", () => {
  const rows = [opened("a"), settled("a"), opened("b"), finished("a")];
  const lines = rows.map((row) => Buffer.byteLength(encodeLine(row)));
  const total = lines.reduce((sum, bytes) => sum + bytes);
  const empty = newDir();
  restart(empty);
  for (let cut = total; cut >= (lines[0] ?? 0); cut -= 1) {
    const dir = newDir();
    copyFileSync(databasePath(empty), databasePath(dir));
    writeSegment(dir, 1, rows);
    truncateSync(segmentPath(dir, 1), cut);
    let whole = 0;
    let end = 0;
    while (end + (lines[whole] ?? Number.POSITIVE_INFINITY) <= cut) end += lines[whole++] ?? 0;
    const { log } = restart(dir);
    expect(booked(dir)).toEqual(expectedOf(rows.slice(0, whole)));
    const torn = log.filter((message) => message.includes("are no complete row"));
    expect(torn).toEqual(cut === end ? [] : [expect.stringContaining(`skipped ${cut - end} bytes at offset ${end}`)]);
  }
}, 60_000);

/** Requests of one to three attempts, each a history that stops at any point, interleaved in any way. */
const journals = fc
  .array(fc.record({ attempts: fc.integer({ min: 1, max: 3 }), stop: fc.nat({ max: 7 }) }), {
    minLength: 1,
    maxLength: 6,
  })
  .chain((requests) => {
    const histories = requests.map(({ attempts, stop }, index) => {
      const id = `req-${index}`;
      const numbers = Array.from({ length: attempts }, (_, n) => n + 1);
      return [...numbers.flatMap((n) => [opened(id, n), settled(id, n)]), finished(id)].slice(0, stop);
    });
    const turns = histories.flatMap((history, index) => history.map(() => index));
    return fc.shuffledSubarray(turns, { minLength: turns.length }).map((order) => {
      const left = histories.map((history) => history[Symbol.iterator]());
      return order.map((index) => left[index]?.next().value as LedgerRow);
    });
  });

test("replaying is idempotent: whatever part was committed before a crash, and however often it is read again", () => {
  const crashes = fc.array(fc.nat(), { maxLength: 3 });
  fc.assert(
    fc.property(journals, crashes, fc.integer({ min: 1, max: 5 }), (rows, crashedAt, rowsPerSegment) => {
      const dir = newDir();
      const writeAll = () => {
        for (let at = 0; at < rows.length; at += rowsPerSegment) {
          writeSegment(dir, at / rowsPerSegment + 1, rows.slice(at, at + rowsPerSegment));
        }
      };
      // The process died after committing a prefix, before it could remove the segments…
      for (const count of crashedAt) {
        writeSegment(dir, 1, rows.slice(0, count % (rows.length + 1)));
        restart(dir);
      }
      // … and its successor finds all of them, twice.
      writeAll();
      restart(dir);
      const once = tables(dir);
      expect(booked(dir)).toEqual(expectedOf(rows));
      expect(wrongSums(dir)).toEqual([]);
      writeAll();
      const { firstSegment, log } = restart(dir);
      expect(tables(dir)).toEqual(once);
      expect(wrongSums(dir)).toEqual([]);
      expect(log.filter((message) => message.includes("not booked"))).toEqual([]);
      expect(firstSegment).toBe(Math.ceil(rows.length / rowsPerSegment) + 1);
      expect(readdirSync(dir).filter((name) => name.startsWith("journal"))).toEqual([]);
    }),
    { numRuns: 30 },
  );
}, 60_000);

test("damage in the middle of a segment costs only the lines it touches, whatever the size of the read buffer", () => {
  const rows = [opened("a"), settled("a"), finished("a"), opened("b")];
  const lines = rows.map(encodeLine);
  const longest = Math.max(...lines.map((line) => Buffer.byteLength(line)));
  const path = join(newDir(), "segment");
  fc.assert(
    fc.property(fc.nat({ max: lines.length }), fc.string(), fc.nat({ max: 2_000 }), (before, garbage, extra) => {
      writeFileSync(path, [...lines.slice(0, before), `${garbage}\n`, ...lines.slice(before)].join(""));
      const fd = openSync(path, "r");
      const { size } = fs.fstatSync(fd);
      const read: LedgerRow[] = [];
      for (let at = 0; at < size; ) {
        const batch = readBatch(fd, at, size, Buffer.alloc(longest + Buffer.byteLength(garbage) + extra));
        expect(batch.end).toBeGreaterThan(at);
        read.push(...batch.rows);
        at = batch.end;
      }
      closeSync(fd);
      expect(read.map(encodeLine)).toEqual(lines);
    }),
  );
});

test("a row that the disk garbles before it is booked is reported, and nobody waits for it", async () => {
  const log: string[] = [];
  const dir = newDir();
  const ledger = await openLedger({ dir, log: (message) => log.push(message) });
  ledger.openAttempt(openedRow("a"));
  ledger.openAttempt(openedRow("b"));
  const fd = openSync(segmentPath(dir, 1), "r+");
  fs.writeSync(fd, "X", 20);
  closeSync(fd);
  await ledger.flush();
  expect(ledger.status()).toEqual({ pendingRows: 0 });
  expect(log).toEqual([expect.stringContaining("at offset 0 that are no complete row")]);
  await ledger.close();
  expect(tables(dir).attempts.map((row) => row.requestId)).toEqual(["b"]);
});

test("rows beyond what may be held in memory for a full disk are counted as lost and written to the log", async () => {
  const log: string[] = [];
  const dir = newDir();
  const ledger = await openLedger({ dir, limits: { heldCharsMax: 1_000 }, log: (message) => log.push(message) });
  const disk = fillDisk(0);
  for (let i = 0; i < 5; i += 1) ledger.finishRequest(finishedRow(`req-${i}`));
  disk.release();
  await ledger.flush();
  const kept = tables(dir).requests.length;
  expect(kept).toBeGreaterThan(1);
  expect(log.filter((message) => message.includes("cannot be kept any more"))).toHaveLength(5 - kept);
  expect(ledger.status()).toEqual({ pendingRows: 0, failed: `${5 - kept} rows were lost` });
  await ledger.close();
});

test("closing with a full disk writes the rows that are only in memory to the log", async () => {
  const log: string[] = [];
  const dir = newDir();
  const ledger = await openLedger({ dir, log: (message) => log.push(message) });
  ledger.openAttempt(openedRow("a"));
  fillDisk(0);
  ledger.settleAttempt(settledRow("a"));
  await ledger.close();
  expect(log.at(-1)).toMatch(/cannot be kept any more: .*"kind":"settled","requestId":"a"/);
});

test("a full disk refuses new attempts, holds settlements, and loses nothing once there is room again", async () => {
  const log: string[] = [];
  const dir = newDir();
  const ledger = await openLedger({ dir, log: (message) => log.push(message) });
  ledger.openAttempt(openedRow("a"));
  ledger.openAttempt(openedRow("b"));
  const disk = fillDisk(30);
  ledger.settleAttempt(settledRow("a"));
  ledger.finishRequest(finishedRow("a"));
  expect(() => ledger.openAttempt(openedRow("c"))).toThrow(LedgerUnavailable);
  await expect(ledger.flush()).rejects.toThrow("the journal cannot be written: ENOSPC");
  expect(ledger.status()).toMatchObject({ pendingRows: 4, failed: expect.stringContaining("ENOSPC") });
  disk.release();
  ledger.settleAttempt(settledRow("b"));
  await ledger.flush();
  expect(ledger.status()).toEqual({ pendingRows: 0 });
  expect(booked(dir)).toEqual(["a#1 settled 123457", "b#1 settled 123457", "a finished"]);
  expect(log).toEqual([
    expect.stringContaining("the journal cannot be written: ENOSPC"),
    expect.stringContaining("skipped 30 bytes"),
  ]);
  await ledger.close();
});

const LEDGER_URL = new URL("../src/store/ledger.ts", import.meta.url).href;
const ROWS_URL = new URL("./store-rows.ts", import.meta.url).href;

/** A router without the routing: three rows a request. What was appended is acknowledged in a file, synchronously, since
 *  a line on stdout may still be in the process when it dies. Stdout tells the parent that it is alive. */
const WRITER = `
  import { openSync, writeSync } from "node:fs";
  const { openLedger } = await import(${JSON.stringify(LEDGER_URL)});
  const { openedRow, settledRow, finishedRow } = await import(${JSON.stringify(ROWS_URL)});
  const [dir, acknowledgements, prefix] = process.argv.slice(1);
  const fd = openSync(acknowledgements, "a");
  const ledger = await openLedger({ dir, limits: { segmentBytesMax: 20_000 } });
  for (let i = 0; ; i += 1) {
    const id = prefix + "-" + String(i).padStart(6, "0");
    ledger.openAttempt(openedRow(id));
    writeSync(fd, "opened " + id + "\\n");
    ledger.settleAttempt(settledRow(id, { costNanoUsd: i }));
    writeSync(fd, "settled " + id + "\\n");
    ledger.finishRequest(finishedRow(id));
    writeSync(fd, "finished " + id + "\\n");
    process.stdout.write(".");
    if (i % 8 === 7) await new Promise(setImmediate);
  }`;

function startWriter(dir: string, acknowledgements: string, prefix: string) {
  const args = ["--input-type=module", "--eval", WRITER, dir, acknowledgements, prefix];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function killAfter(requests: number, child: ReturnType<typeof startWriter>): Promise<void> {
  const exited = once(child, "exit");
  let seen = 0;
  for await (const dots of child.stdout) {
    seen += dots.length;
    if (seen >= requests) child.kill("SIGKILL");
  }
  expect((await exited)[1]).toBe("SIGKILL");
}

test("after kill -9 under load every row that was acknowledged is in the database", async () => {
  const dir = newDir();
  const acknowledgements = join(newDir(), "acknowledged");
  for (const [round, requests] of [1, 50, 1_000, 3_000].entries()) {
    await killAfter(requests, startWriter(dir, acknowledgements, `round${round}`));
  }
  // Reports work on what a dead process left, before anybody has recovered it.
  usageReport({ dir, sinceMs: 0, nowMs: Date.now(), by: "day" });
  await (await openLedger({ dir })).close();

  const { attempts, requests } = tables(dir);
  const states = new Map(attempts.map((row) => [row.requestId, row]));
  const finishedIds = new Set(requests.map((row) => row.requestId));
  const acknowledged = readFileSync(acknowledgements, "utf8").trimEnd().split("\n");
  for (const line of acknowledged) {
    const [kind, id = ""] = line.split(" ");
    if (kind === "opened") expect(states.get(id)?.provider, line).toBe("acme");
    else if (kind === "settled") {
      const costNanoUsd = Number(id.split("-")[1]);
      expect(states.get(id), line).toMatchObject({ state: "settled", costNanoUsd, inputTokens: 100 });
    } else expect(finishedIds.has(id), line).toBe(true);
  }
  expect(acknowledged.length).toBeGreaterThan(12_000);
  expect(attempts.filter((row) => row.state === "open")).toEqual([]);
  expect(wrongSums(dir)).toEqual([]);
  // One row a round can have been appended without being acknowledged.
  expect(
    attempts.length + finishedIds.size + attempts.filter((row) => row.state === "settled").length,
  ).toBeLessThanOrEqual(acknowledged.length + 4);
}, 60_000);

test("another process is refused while a router lives, and welcome as soon as it is killed", async () => {
  const dir = newDir();
  const child = startWriter(dir, join(newDir(), "acknowledged"), "first");
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  child.stdout.resume();
  const expected = `the data directory ${dir} is in use by another Signalbox, process ${child.pid}`;
  await expect(openLedger({ dir })).rejects.toThrow(expected);
  child.kill("SIGKILL");
  await exited;
  await (await openLedger({ dir })).close();
  expect(tables(dir).attempts[0]?.requestId).toBe("first-000000");
});

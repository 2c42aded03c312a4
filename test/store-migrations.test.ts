import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { openForWriting } from "../src/store/database.ts";
import { openLedger } from "../src/store/ledger.ts";
import { migrate } from "../src/store/migrate.ts";
import { usageReport } from "../src/store/reports.ts";
import { unpackStory } from "../src/store/story.ts";
import { openedRow, DAY_MS as START_MS } from "./store-rows.ts";
import { databasePath, newDir, tables, wrongSums } from "./store-support.ts";

const DAY_MS = 86_400_000;
const MIGRATIONS = new URL("../migrations/", import.meta.url).pathname;
const TRACE = '{"rule":"chat","pick":"cheapest","targets":[{"t":"acme/m","c":151000,"ms":7500}]}';

/** What an attempt of those versions held, columns in their order; what was not told is NULL. */
interface OldAttempt {
  id: string;
  attempt?: number;
  state?: "open" | "settled" | "unknown";
  openedAtMs?: number;
  target?: [provider: string, model: string];
  tokens?: (number | null)[];
  cost?: number | null;
  price?: string | null;
  end?: string | null;
}

/** As versions 1 to 3 wrote them. */
const ATTEMPTS: OldAttempt[] = [
  { id: "a", end: "failed", tokens: [], cost: 0, price: "unmetered" },
  { id: "a", attempt: 2, target: ["zeta", "z/1"], cost: 5_000 },
  // Tried twice on the same model: by model one request.
  { id: "b", end: "failed", tokens: [], cost: 0, price: "unmetered" },
  { id: "b", attempt: 2, openedAtMs: START_MS + 50 },
  // Nothing told at all, and a price nobody knows.
  { id: "c", openedAtMs: START_MS + DAY_MS, tokens: [], cost: null, price: "unknown", end: "cancelled" },
  { id: "d", openedAtMs: START_MS + DAY_MS, cost: null, price: null, end: null },
  { id: "e", openedAtMs: START_MS + DAY_MS, cost: null, price: "unmetered", end: "truncated" },
  // Requests that never ended: the process died, before this start and long ago.
  { id: "f", state: "open", openedAtMs: START_MS + DAY_MS },
  { id: "g", state: "unknown", openedAtMs: START_MS + DAY_MS },
  { id: "g", attempt: 2, state: "open", openedAtMs: START_MS + DAY_MS + 1 },
  // Settled, but the request was never finished.
  { id: "h", openedAtMs: START_MS + DAY_MS, cost: 7 },
];
const REQUESTS = [
  { id: "a", key: "team-a", status: 200, atMs: START_MS },
  { id: "b", key: "team-a", status: 200, atMs: START_MS },
  { id: "c", key: "team-b", status: 499, atMs: START_MS + DAY_MS },
  { id: "d", key: "team-b", status: 200, atMs: START_MS + DAY_MS },
  { id: "e", key: "team-b", status: 502, atMs: START_MS + DAY_MS },
  // Refused untried.
  { id: "r", key: "team-c", status: 404, atMs: START_MS },
];

function insertAttempt(db: SqliteDatabase.Database, given: OldAttempt): void {
  const { id, attempt = 1, state = "settled", openedAtMs = START_MS, target = ["acme", "m"] } = given;
  const isSettled = state === "settled";
  const {
    tokens = [100, 40, null, null, 7, null, null, null],
    cost = 1_000,
    price = "exact",
    end = "complete",
  } = given;
  const told = isSettled ? [...tokens, ...Array(8 - tokens.length).fill(null)] : Array(8).fill(null);
  const values = [
    ...[id, attempt, state, openedAtMs, ...target, "catalog-1"],
    ...[isSettled ? openedAtMs + 900 : null, isSettled && end === "complete" ? 250 : null, ...told],
    ...(isSettled ? [cost, price, end === "failed" ? 529 : 200, end === "failed" ? "overloaded" : null, end] : []),
    ...(isSettled ? [end === "complete" ? "up-1" : null, end === "complete" ? "stop" : null] : Array(7).fill(null)),
  ];
  db.prepare(`INSERT INTO attempts VALUES (${values.map(() => "?").join(", ")})`).run(...values);
}

/** A database of an earlier version with those rows. */
function oldDatabase(version: number): string {
  const dir = newDir();
  const earlier = newDir();
  for (const name of readdirSync(MIGRATIONS).sort().slice(0, version))
    copyFileSync(join(MIGRATIONS, name), join(earlier, name));
  const db = openForWriting(databasePath(dir), 0);
  migrate(db, earlier);
  for (const attempt of ATTEMPTS) insertAttempt(db, attempt);
  for (const { id, key, status, atMs } of REQUESTS) {
    const error = status === 404 ? "not_found" : null;
    const values = [id, atMs, atMs + 901, key, "chat", "auto", 1, status, error, status === 404 ? 0 : 1];
    const story = [`chat: cheapest;cost=0.0001;latency=7`, "snap-1", status === 200 ? "[]" : '["dropped:seed"]'];
    const all = [...values, ...story, ...(version >= 3 ? [id === "c" ? null : TRACE] : [])];
    db.prepare(`INSERT INTO requests VALUES (${all.map(() => "?").join(", ")})`).run(...all);
  }
  if (version >= 2) db.exec(`INSERT INTO statistics VALUES ('fleet', 1, '{"version":1}')`);
  db.close();
  return dir;
}

/** Everything version 1 to 3 knew, read through the views of today. */
function knownThen(dir: string) {
  const { attempts, requests } = tables(dir);
  const told = attempts.map((row) => [
    ...[
      row.requestId,
      row.attempt,
      row.state,
      row.openedAtMs,
      row.provider,
      row.model,
      row.catalogVersion,
      row.endedAtMs,
    ],
    ...[row.firstByteMs, row.inputTokens, row.cacheReadTokens, row.cacheWriteTokens, row.cacheWrite1hTokens],
    ...[row.outputTokens, row.reasoningTokens, row.audioInputTokens, row.audioOutputTokens, row.costNanoUsd],
    ...[row.priceStatus, row.httpStatus, row.errorKind, row.endReason, row.upstreamRequestId, row.finishReason],
  ]);
  const asked = requests.map((row) => {
    const { decision, trace } = unpackStory({ text: row.story, figures: row.figures });
    return [
      ...[row.requestId, row.receivedAtMs, row.endedAtMs, row.callerKey, row.endpoint, row.modelRequested],
      ...[Number(row.stream), row.status, row.errorKind, row.attempts, decision, row.snapshotId],
      ...[JSON.stringify(row.warnings), trace],
    ];
  });
  return { told, asked };
}

const NOTHING = {
  ...{ requests: 0, attempts: 0, failedAttempts: 0, inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
  ...{ outputTokens: 0, costNanoUsd: 0, estimatedNanoUsd: 0, unpricedAttempts: 0, unknownAttempts: 0 },
};

test.each([1, 2, 3])(
  "a ledger of version %i keeps every row, report and sum, and a copy beside it",
  async (version) => {
    const dir = oldDatabase(version);
    const old = new SqliteDatabase(databasePath(dir), { readonly: true });
    const attemptsThen = (
      old.prepare("SELECT * FROM attempts ORDER BY request_id, attempt").raw().all() as unknown[][]
    ).map((row) => row.with(2, row[2] === "open" ? "unknown" : row[2]));
    const requestsThen = old.prepare("SELECT * FROM requests ORDER BY request_id").raw().all() as unknown[][];
    old.close();
    const log: string[] = [];
    const ledger = await openLedger({ dir, log: (message) => log.push(message) });
    onTestFinished(() => ledger.close());
    expect(log).toEqual([]);
    const { told, asked } = knownThen(dir);
    // The columns of those versions in the order of their tables.
    const order = [...Array(17).keys(), 17, 18, 19, 20, 21, 22, 23];
    expect(told).toEqual(attemptsThen.map((row) => order.map((index) => row[index])));
    expect(asked).toEqual(requestsThen.map((row) => (version >= 3 ? row : [...row, null])));
    expect(wrongSums(dir)).toEqual([]);

    const report = (by: "key" | "model" | "day") => usageReport({ dir, sinceMs: 0, nowMs: START_MS + 2 * DAY_MS, by });
    const answered = { inputTokens: 100, cacheReadTokens: 40, outputTokens: 7 };
    const teamA = { ...NOTHING, inputTokens: 200, cacheReadTokens: 80, outputTokens: 14 };
    expect(report("key")).toEqual([
      { ...teamA, group: "team-a", requests: 2, attempts: 4, failedAttempts: 2, costNanoUsd: 6_000 },
      // f and g never ended and count as requests; h was settled, so nobody knows whether its caller was answered.
      { ...NOTHING, ...answered, group: "unknown", requests: 2, attempts: 4, costNanoUsd: 7, unknownAttempts: 3 },
      {
        ...{ ...NOTHING, group: "team-b", requests: 3, attempts: 3, failedAttempts: 1, unpricedAttempts: 2 },
        ...{ inputTokens: 200, cacheReadTokens: 80, outputTokens: 14 },
      },
      { ...NOTHING, group: "team-c", requests: 1 },
    ]);
    expect(report("model").map(({ group, requests, attempts }) => [group, requests, attempts])).toEqual([
      ["zeta/z/1", 1, 1],
      ["acme/m", 8, 10],
    ]);
    expect(report("day").map(({ group, requests, attempts }) => [group, requests, attempts])).toEqual([
      ["2026-03-01", 3, 4],
      ["2026-03-02", 5, 7],
    ]);
    expect(ledger.loadStatistics("fleet")).toEqual(version >= 2 ? { version: 1 } : undefined);

    const copy = `${databasePath(dir)}.before-${String(version + 1).padStart(4, "0")}`;
    expect(
      readdirSync(dir)
        .filter((name) => name.includes("before"))
        .map((name) => join(dir, name)),
    ).toEqual([copy]);
    const kept = new SqliteDatabase(copy, { readonly: true });
    onTestFinished(() => void kept.close());
    expect(kept.pragma("user_version", { simple: true })).toBe(version);
    expect(kept.prepare("SELECT * FROM requests ORDER BY request_id").raw().all()).toEqual(requestsThen);
  },
);

test("calls that were booked before accounts were told have none, and are otherwise as they were", async () => {
  const dir = newDir();
  const earlier = newDir();
  for (const name of readdirSync(MIGRATIONS).sort().slice(0, 5))
    copyFileSync(join(MIGRATIONS, name), join(earlier, name));
  const old = openForWriting(databasePath(dir), 0);
  migrate(old, earlier);
  old.exec(`
    INSERT INTO texts VALUES (1, 'catalog-1');
    INSERT INTO dimensions VALUES (1, 'team-a', '', '', '', '[]', 'chat', 'acme', 'm');
    INSERT INTO attempt_rows (request_id, attempt, state, dimension, opened_at_ms, catalog, total_ms, cost_nano_usd)
    VALUES ('a', 1, 1, 1, ${START_MS}, 1, 900, 7)`);
  const before = old.prepare("SELECT * FROM attempts").all();
  old.close();
  const ledger = await openLedger({ dir });
  ledger.openAttempt(openedRow("b", { account: "acme#2" }));
  await ledger.close();
  const db = new SqliteDatabase(databasePath(dir), { readonly: true });
  onTestFinished(() => void db.close());
  const now = db.prepare("SELECT * FROM attempts ORDER BY request_id").all() as { account: string | null }[];
  expect(now[0]).toEqual({ ...(before[0] as object), account: null });
  expect(now[1]).toMatchObject({ request_id: "b", account: "acme#2" });
});

test("a file of an earlier version can become smaller from then on", async () => {
  const dir = newDir();
  const old = new SqliteDatabase(databasePath(dir));
  old.exec("CREATE TABLE something (a); DROP TABLE something");
  expect(old.pragma("auto_vacuum", { simple: true })).toBe(0);
  old.close();
  await (await openLedger({ dir })).close();
  const db = new SqliteDatabase(databasePath(dir), { readonly: true });
  onTestFinished(() => void db.close());
  const INCREMENTAL = 2;
  expect(db.pragma("auto_vacuum", { simple: true })).toBe(INCREMENTAL);
});

// How long it takes to know a caller: by the number of keys there are. `node bench/keys.ts`. Timed: hashing the secret,
// looking it up, and noticing what other processes change. Exit code 1 when a target is missed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { hashOf } from "../src/api-keys.ts";
import { createKeyRing } from "../src/key-ring.ts";
import { openKeyReader, openKeys } from "../src/store/keys.ts";

/** Microseconds. */
const FIND_US_MAX = 10;
/** Ten thousand keys may cost so much more than one. */
const GROWTH_MAX = 3;
const LOOKUPS = 200_000;
const CHANGES = 200;

function measure(count: number) {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-keys-"));
  const table = openKeys(dir);
  const reader = openKeyReader(dir);
  try {
    const secrets = Array.from({ length: count }, (_, at) => `sk-sb-${String(at).padStart(40, "0")}`);
    fill(join(dir, "signalbox.db"), secrets);
    const clock = { ms: 0 };
    const [loadMs, ring] = timed(() => createKeyRing({ reader, nowMs: () => clock.ms, log: console.error }));
    const sample = secrets.filter((_, at) => at % Math.ceil(count / 1_000) === 0);
    const find = (secret: string) => {
      if (ring.find(hashOf(secret))?.kind !== "caller") throw new Error("not found");
    };
    for (let at = 0; at < LOOKUPS; at += 1) find(sample[at % sample.length] as string);
    const [findMs] = timed(() => {
      for (let at = 0; at < LOOKUPS; at += 1) find(sample[at % sample.length] as string);
    });
    const [checkMs] = timed(() => {
      for (let at = 0; at < LOOKUPS; at += 1) ring.refresh();
    });
    let changeMs = 0;
    for (let at = 0; at < CHANGES; at += 1) {
      table.update(`key_${at % count}`, (key) => ({ ...key, rpm: at + 1 }));
      changeMs += timed(() => ring.refresh())[0];
    }
    return {
      count,
      loadMs,
      findUs: us(findMs, LOOKUPS),
      checkUs: us(checkMs, LOOKUPS),
      changeUs: us(changeMs, CHANGES),
    };
  } finally {
    reader.close();
    table.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

function fill(path: string, secrets: readonly string[]): void {
  const db = new SqliteDatabase(path);
  const insert = db.prepare(`
    INSERT INTO keys (id, name, secret_hash, display, tags, budgets, allow_unpriced, models, created_at_ms)
    VALUES (?, ?, ?, 'sk-sb-0000', '["a"]', '["$5/day"]', 0, '["gpt-*"]', 0)`);
  db.transaction(() => {
    for (const [at, secret] of secrets.entries()) insert.run(`key_${at}`, `n${at}`, hashOf(secret));
  })();
  db.close();
}

/** CPU time, which neighbours on the machine do not lengthen as they do the wall's. */
function timed<Result>(work: () => Result): [ms: number, result: Result] {
  const before = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(before);
  return [(user + system) / 1_000, result];
}

function us(ms: number, times: number): number {
  return Number(((ms * 1_000) / times).toFixed(2));
}

const rows = [1, 1_000, 10_000, 100_000].map(measure);
console.table(
  rows.map(({ count, loadMs, findUs, checkUs, changeUs }) => ({
    keys: count,
    "read at the start, ms": Math.round(loadMs),
    "hash and find, µs": findUs,
    "ask for changes, µs": checkUs,
    "take up a change, µs": changeUs,
  })),
);
const [one, , tenThousand] = rows;
const isSlow = rows.some(({ findUs }) => findUs > FIND_US_MAX);
const grows = (tenThousand?.findUs ?? 0) > GROWTH_MAX * (one?.findUs ?? 0);
if (isSlow || grows) {
  console.error(`Missed: at most ${FIND_US_MAX} µs a call, and ten thousand keys at most ${GROWTH_MAX} × one.`);
  process.exitCode = 1;
}

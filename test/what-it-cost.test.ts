// What traffic would have cost elsewhere, what of it was wasted, and what it costs at the prices of now.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Usage } from "../src/chat.ts";
import { UsageError } from "../src/cli/arguments.ts";
import { reprice } from "../src/cli/reprice.ts";
import { usage } from "../src/cli/usage.ts";
import { IdSource } from "../src/ids.ts";
import { openLedger } from "../src/store/ledger.ts";
import { reprice as repriceRows } from "../src/store/reprice.ts";
import type { LedgerRow, RequestFinished } from "../src/store/rows.ts";
import { finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { tables, wrongSums } from "./store-support.ts";
import { bookedLedger } from "./support/ledger.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 12);
const ids = new IdSource();

/** $1 per million tokens is 1,000 nanodollars per token. */
const CONFIG = `
providers:
  acme:
    dialect: openai-chat
    base_url: http://127.0.0.1:1/v1
    models:
      - { id: one, price: { input: $1, output: $2, cache_read: $0.1 } }
      - { id: two, price: { input: $3, output: $5 } }
`;

interface Call {
  secondsAgo?: number;
  key?: string;
  model?: string;
  provider?: string;
  usage?: Usage | undefined;
  costNanoUsd?: number | undefined;
  finishReason?: string;
  endReason?: "complete" | "failed" | "truncated";
  priceStatus?: "exact" | "unknown" | "unmetered";
  status?: number;
  more?: Partial<RequestFinished>;
}

function rowsOf(calls: Call[]): LedgerRow[] {
  return calls.flatMap((call): LedgerRow[] => {
    const { secondsAgo = 600, key = "web", provider = "acme", model = "one", status = 200, more, ...settled } = call;
    const atMs = NOW_MS - secondsAgo * 1000;
    const id = ids.requestId(atMs);
    const finished = { receivedAtMs: atMs, endedAtMs: atMs + 10, key, status, trace: undefined, ...more };
    return [
      { kind: "opened", ...openedRow(id, { openedAtMs: atMs, key, provider, model }) },
      { kind: "settled", ...settledRow(id, { endedAtMs: atMs + 9, ...settled } as object) },
      { kind: "finished", ...finishedRow(id, finished) },
    ];
  });
}

function ledgerOf(calls: Call[]) {
  const ledger = bookedLedger(rowsOf(calls));
  const config = join(ledger.dir, "signalbox.yaml");
  writeFileSync(config, CONFIG);
  const flags = ["--data", ledger.dir, "--config", config];
  const env = { ACME_API_KEY: "x" };
  return {
    ...ledger,
    usage: (...args: string[]) => usage([...args, ...flags], env, NOW_MS),
    reprice: (...args: string[]) => reprice([...args, ...flags], env, NOW_MS),
  };
}

const TOKENS = { inputTokens: 1_000, outputTokens: 100 };

describe("signalbox usage --instead", () => {
  test("prices the same tokens at another model, by group, with the difference", () => {
    const ledger = ledgerOf([
      { usage: TOKENS, costNanoUsd: 1_200_000 },
      { usage: TOKENS, costNanoUsd: 1_200_000, key: "batch" },
      { usage: undefined, costNanoUsd: undefined, priceStatus: "unknown" },
    ]);
    const report = JSON.parse(ledger.usage("--instead", "acme/two", "--by", "key", "--json"));
    expect(report).toEqual({
      rows: [
        { groups: ["batch"], compared: 1, costNanoUsd: 1_200_000, insteadNanoUsd: 3_500_000, leftOut: 0 },
        { groups: ["web"], compared: 1, costNanoUsd: 1_200_000, insteadNanoUsd: 3_500_000, leftOut: 1 },
      ],
      total: { groups: [], compared: 2, costNanoUsd: 2_400_000, insteadNanoUsd: 7_000_000, leftOut: 1 },
      lookedAt: 3,
      isCut: false,
    });
    const text = ledger.usage("--instead", "acme/two", "--key", "batch");
    expect(text).toContain("0.0023");
    expect(text).toContain("1 rows looked at");
  });

  test("a model without a price is refused, and one of the catalogue that is not enabled is taken", () => {
    const ledger = ledgerOf([{ usage: TOKENS, costNanoUsd: 1 }]);
    expect(() => ledger.usage("--instead", "openai/gpt-6-lunar")).toThrow(UsageError);
    expect(() => ledger.usage("--instead", "openai/gpt-6-lunar")).toThrow("Did you mean openai/gpt-6-luna");
    expect(ledger.usage("--instead", "openai/gpt-6-luna", "--csv")).toMatch(/^model,compared,cost_usd,instead_usd/);
  });
});

test("signalbox usage savings: what was expected of the dearest candidate, less what was expected of the one taken", () => {
  const trace = (one: number, two: number) =>
    JSON.stringify({
      rule: "chat-default",
      targets: [
        { t: "acme/one", c: one, ms: 5 },
        { t: "acme/two", c: two, ms: 9 },
        { t: "acme/three", c: 9e9, x: ["price"] },
      ],
    });
  const ledger = ledgerOf([
    { costNanoUsd: 70, more: { trace: trace(100, 250) } },
    { costNanoUsd: 80, more: { trace: trace(110, 105) } },
    { costNanoUsd: 90, model: "elsewhere", more: { trace: trace(100, 250) } },
    { costNanoUsd: 90, status: 500, more: { trace: trace(100, 250) } },
  ]);
  expect(JSON.parse(ledger.usage("savings", "--json")).rows).toEqual([
    { rule: "chat-default", compared: 2, costNanoUsd: 150, takenNanoUsd: 210, dearestNanoUsd: 360, leftOut: 1 },
  ]);
  expect(ledger.usage("savings")).toContain("3 rows looked at");
});

describe("signalbox usage waste", () => {
  const wasteOf = (calls: Call[]) => JSON.parse(ledgerOf(calls).usage("waste", "--json"));

  test("counts answers that met their limit and failures that were billed, with their money and keys", () => {
    const { kinds, attemptsLookedAt, requestsLookedAt } = wasteOf([
      { finishReason: "length", costNanoUsd: 10 },
      { finishReason: "MAX_TOKENS", costNanoUsd: 20, key: "batch" },
      { finishReason: "max_tokens", costNanoUsd: undefined, priceStatus: "unknown", key: "batch" },
      { endReason: "truncated", costNanoUsd: 40 },
      { endReason: "failed", costNanoUsd: 0 },
      {},
    ]);
    expect(kinds.cut_off).toEqual({
      ...{ count: 3, nanoUsd: 30, unpriced: 1 },
      keys: [
        { key: "batch", count: 2, nanoUsd: 20, unpriced: 1 },
        { key: "web", count: 1, nanoUsd: 10, unpriced: 0 },
      ],
    });
    expect(kinds.failed_billed).toMatchObject({ count: 1, nanoUsd: 40 });
    expect([attemptsLookedAt, requestsLookedAt]).toEqual([6, 6]);
  });

  test("a body that its key has sent before and got an answer to is repeated; the first one is not", () => {
    const same = { bodyHash: "00112233445566aa" };
    const { repeated } = wasteOf([
      { secondsAgo: 90, more: same, costNanoUsd: 1 },
      { secondsAgo: 80, more: same, costNanoUsd: 10 },
      { secondsAgo: 70, more: same, costNanoUsd: 100 },
      { secondsAgo: 60, more: same, key: "batch" },
      { secondsAgo: 50, more: { bodyHash: "00112233445566ab" } },
      { secondsAgo: 95, more: same, status: 502 },
      { secondsAgo: 30 * 86_400, more: same },
    ]).kinds;
    expect(repeated).toMatchObject({ count: 2, nanoUsd: 110, keys: [{ key: "web", count: 2 }] });
  });

  test("a long prompt soon after another of its session that read nothing from the cache has missed it", () => {
    const long = (cacheReadTokens?: number) => ({
      inputTokens: 2_000,
      outputTokens: 1,
      ...(cacheReadTokens !== undefined && { cacheReadTokens }),
    });
    const { cache_missed: missed } = wasteOf([
      { secondsAgo: 3_000, usage: long(0), more: { session: "s" } },
      { secondsAgo: 2_900, usage: long(0), more: { session: "s" } },
      { secondsAgo: 2_850, usage: long(1_900), more: { session: "s" } },
      { secondsAgo: 2_840, usage: long(), more: { session: "s" } },
      { secondsAgo: 2_830, usage: long(0), more: { session: "other" } },
      { secondsAgo: 2_000, usage: long(0), more: { session: "s" } },
      { secondsAgo: 1_990, usage: { inputTokens: 1_023, outputTokens: 1, cacheReadTokens: 0 }, more: { session: "s" } },
      // Caches of this one cost as much as fresh input.
      { secondsAgo: 1_000, usage: long(0), model: "two" },
      { secondsAgo: 990, usage: long(0), model: "two" },
    ]).kinds;
    expect(missed).toMatchObject({ count: 1, nanoUsd: 2_000 * 900, unpriced: 0 });
  });

  test("the table names the kinds and says how many rows it looked at", () => {
    const text = ledgerOf([{ finishReason: "length", costNanoUsd: 1_000_000_000 }]).usage("waste");
    expect(text).toMatch(/cut off +web 1 \(\$1\) +1 +1 +0/);
    expect(text).toContain("1 attempts and 1 requests looked at");
  });
});

describe("signalbox reprice", () => {
  const CALLS: Call[] = [
    { usage: TOKENS, costNanoUsd: 5, secondsAgo: 100 },
    { usage: TOKENS, costNanoUsd: undefined, priceStatus: "unknown", model: "two" },
    { usage: TOKENS, costNanoUsd: 7, model: "gone" },
    { usage: undefined, costNanoUsd: 0, priceStatus: "unmetered", endReason: "failed" },
    { usage: TOKENS, costNanoUsd: 9, provider: "openai", model: "gpt-6-luna" },
  ];
  const costs = (dir: string) =>
    tables(dir)
      .attempts.map(({ model, costNanoUsd }) => `${model} ${costNanoUsd}`)
      .sort();

  test("corrects rows and sums together, prices what was unpriced, and changes nothing the second time", () => {
    const ledger = ledgerOf(CALLS);
    const text = ledger.reprice("--since", "1d");
    expect(text).toMatch(/acme\/one +1 +1 +0 +0 +0.000000005 +0.0012 +0.001199995/);
    expect(text).toMatch(/acme\/two +1 +1 +1 +0 +0 +0.0035/);
    expect(text).toMatch(/acme\/gone +1 +0 +0 +1/);
    expect(text).toContain("Not enabled here, so left as they are: openai.");
    expect(costs(ledger.dir)).toEqual(["gone 7", "gpt-6-luna 9", "one 0", "one 1200000", "two 3500000"]);
    expect(wrongSums(ledger.dir)).toEqual([]);
    const rates = tables(ledger.dir).attempts.find(({ model }) => model === "two")?.rates ?? "";
    expect(JSON.parse(rates)).toMatchObject({ input: 3_000_000, output: 5_000_000 });
    const before = tables(ledger.dir);
    expect(ledger.reprice("--since", "1d")).toMatch(/total +4 +0 +0 +2/);
    expect(tables(ledger.dir)).toEqual(before);
    const [total] = JSON.parse(ledger.usage("--by", "provider", "--json", "--provider", "acme"));
    expect(total).toMatchObject({ costNanoUsd: 4_700_007, unpricedAttempts: 0 });
  });

  test("--dry-run says the same and writes nothing; --model and --until leave out the others", () => {
    const ledger = ledgerOf(CALLS);
    const before = tables(ledger.dir);
    expect(ledger.reprice("--since", "1d", "--dry-run")).toContain("Nothing was written");
    expect(tables(ledger.dir)).toEqual(before);
    expect(ledger.reprice("--since", "1d", "--model", "tw*")).not.toContain("acme/one");
    expect(ledger.reprice("--since", "1d", "--until", "5m")).not.toContain("acme/one");
    expect(costs(ledger.dir)).toContain("one 5");
    expect(() => ledger.reprice()).toThrow("say from when on");
  });

  test("beside a running ledger neither loses a row or a cent to the other", async () => {
    const { dir } = bookedLedger();
    const ledger = await openLedger({ dir });
    onTestFinished(() => ledger.close());
    const price = ({ usage }: { usage: Usage }) => {
      return { costNanoUsd: usage.inputTokens ?? 0, priceStatus: "exact", rates: { key: "k", json: "{}" } };
    };
    const all = Array.from({ length: 1_500 }, () => ids.requestId(NOW_MS));
    for (const [at, id] of all.entries()) {
      ledger.openAttempt(openedRow(id, { openedAtMs: NOW_MS, model: `m${at % 3}` }));
      ledger.settleAttempt(settledRow(id, { endedAtMs: NOW_MS, usage: TOKENS, costNanoUsd: 7 }));
      // Waiting for the worker's thread in this one: both write to the file all the while.
      if (at % 100 === 99) repriceRows(dir, { fromMs: 0, filters: {}, isDry: false, price });
    }
    await ledger.flush();
    repriceRows(dir, { fromMs: 0, filters: {}, isDry: false, price });
    expect(wrongSums(dir)).toEqual([]);
    expect(tables(dir).attempts.map(({ costNanoUsd }) => costNanoUsd)).toEqual(all.map(() => 1_000));
  });

  test("sums that were pruned do not come back, and any batch of rows keeps rows and sums in step", () => {
    const call = fc.record({
      secondsAgo: fc.nat(4 * 86_400),
      model: fc.constantFrom("one", "two", "gone"),
      usage: fc.constantFrom(TOKENS, { inputTokens: 5, outputTokens: 0 }, undefined),
      costNanoUsd: fc.option(fc.nat(1_000), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 20 }), (calls) => {
        let end = () => {};
        const rows = rowsOf(
          calls.map((one) => ({ ...one, priceStatus: one.costNanoUsd === undefined ? "unknown" : "exact" })),
        );
        const { dir, db } = bookedLedger(rows, (ends) => (end = ends));
        try {
          db.exec("DELETE FROM rollup_minutes");
          const rates = { key: "k", json: "{}" };
          const price = ({ model, usage }: { model: string; usage: Usage }) =>
            model === "gone" ? undefined : { costNanoUsd: (usage.inputTokens ?? 0) * 3, priceStatus: "exact", rates };
          const found = repriceRows(dir, { fromMs: 0, filters: {}, isDry: false, price });
          expect(wrongSums(dir)).toEqual([]);
          const after = tables(dir).attempts.filter(({ inputTokens }) => inputTokens !== null);
          const total = after.reduce((sum, { costNanoUsd }) => sum + (costNanoUsd ?? 0), 0);
          expect(found.reduce((sum, { afterNanoUsd }) => sum + Number(afterNanoUsd), 0)).toBe(total);
          expect(db.prepare("SELECT count(*) FROM rollup_minutes").pluck().get()).toBe(0);
        } finally {
          end();
        }
      }),
      { numRuns: 25 },
    );
  });
});

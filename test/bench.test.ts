// The bench itself: that it measures what it says and notices what is broken. No figure is asserted; machines differ.
import { expect, test } from "vitest";
import { ledgerProblem, runBench } from "../bench/bench.ts";
import { SCENARIOS } from "../bench/scenarios.ts";
import { quantile } from "../bench/statistics.ts";
import type { UsageRow } from "../src/store/reports.ts";

const SMALLEST = { rounds: 1, warmupMs: 0, roundMs: 60_000, callsMax: 4, concurrencyMax: 2, probes: 2 };

test("the bench measures every scenario on both subjects, and the ledger has every call", async () => {
  const lines: string[] = [];
  const progress = (line: string) => lines.push(line);
  const result = await runBench({ plan: SMALLEST, scenarios: SCENARIOS, profileDir: undefined, progress });
  expect(result.scenarios.map(({ id, calls }) => ({ id, ...calls }))).toEqual(
    SCENARIOS.map(({ id, isPaced }) => ({ id, floor: isPaced ? 4 : 8, signalbox: isPaced ? 4 : 8 })),
  );
  // Flat out, at a steady rate, and two probes; a paced stream has only the first.
  const expected = SCENARIOS.reduce((sum, { isPaced }) => sum + (isPaced ? 4 : 4 + 4 + 2), 0);
  expect(result.calls).toBe(expected);
  expect(result.ledger.map(({ group, attempts }) => ({ group, attempts }))).toEqual([
    { group: "openai", attempts: expected },
  ]);
  const figures = result.scenarios.flatMap((scenario) => scenario.figures);
  expect(figures.filter(({ floor, signalbox, ratio }) => [floor, signalbox, ratio].some(Number.isNaN))).toEqual([]);
  expect(lines.length).toBeGreaterThanOrEqual(SCENARIOS.length);
}, 10_000);

test("an answer other than the one expected fails the run and says what came instead", async () => {
  const wrong = { ...SCENARIOS[0]!, answerBytes: 1 };
  const run = runBench({ plan: SMALLEST, scenarios: [wrong], profileDir: undefined, progress: () => {} });
  await expect(run).rejects.toThrow(/floor, json-1k: \d+ bytes instead of 1, at the end: \{"id":/);
});

test("a ledger that misses a call is named, with the column and both numbers", () => {
  const row: UsageRow = {
    ...{ group: "openai", requests: 2, attempts: 1, failedAttempts: 0, costNanoUsd: 1, estimatedNanoUsd: 0 },
    ...{ inputTokens: 500, cacheReadTokens: 200, cacheWriteTokens: 0, outputTokens: 400 },
    ...{ unpricedAttempts: 0, unknownAttempts: 0 },
  };
  expect(ledgerProblem([row], 2)).toBe("the ledger is wrong: 2 calls were made, so attempts should be 2; it says 1");
  expect(ledgerProblem([{ ...row, attempts: 2 }], 2)).toBeUndefined();
});

test("quantiles lie between the neighbours they fall between", () => {
  expect([0, 0.5, 0.75, 1].map((q) => quantile([4, 1, 3, 2], q))).toEqual([1, 2.5, 3.25, 4]);
});

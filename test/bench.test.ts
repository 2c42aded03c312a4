// The bench itself: that it measures what it says and notices what is broken. No figure is asserted; machines differ.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ANSWERS, deltaText, requestBody, wantedOf } from "../bench/answers.ts";
import { type BenchResult, ledgerProblem, runBench } from "../bench/bench.ts";
import { call, openTarget } from "../bench/load.ts";
import { resultsText } from "../bench/results.ts";
import { SCENARIOS, type Scenario } from "../bench/scenarios.ts";
import { soak } from "../bench/soak.ts";
import { quantile } from "../bench/statistics.ts";
import { figuresIn, GATES, passGates, targetsOf } from "../bench/targets.ts";
import { PLAIN_WORLD } from "../bench/world.ts";
import type { UsageRow } from "../src/store/reports.ts";

const SMALLEST = {
  plan: {
    rounds: 1,
    warmupMs: 60_000,
    roundMs: 60_000,
    pacedRoundMs: 60_000,
    callsMax: 2,
    concurrencyMax: 2,
    probes: 1,
  },
  worlds: [],
  held: { counts: [], paceMs: 0 },
  decisionSeconds: 0,
  peers: 0,
  profileDir: undefined,
  progress: () => {},
};

test("the bench measures every scenario on every system, and the ledger has every call", async () => {
  const worlds = [{ ...PLAIN_WORLD, name: "500 rules", rules: 500 }];
  const scenarios = SCENARIOS.map((scenario) => ({ ...scenario, paceMs: Math.min(scenario.paceMs, 2) }));
  const options = { ...SMALLEST, scenarios, worlds, held: { counts: [2, 3], paceMs: 5 }, decisionSeconds: 0.1 };
  const result = await runBench(options);
  const measured = result.scenarios.map(({ id, systems }) => [id, systems.map(({ system }) => system)]);
  expect(measured).toEqual(SCENARIOS.map(({ id }) => [id, ["direct", "floor", "signalbox"]]));
  // The first answer; one that is looked at, the warm-up, at a steady rate, flat out, probes; the streams held.
  const expected = SCENARIOS.reduce(
    (sum, { isFlatOut, hasProbes }) => sum + 5 + (isFlatOut ? 2 : 0) + Number(hasProbes),
    1,
  );
  expect(result.worlds.map(({ name }) => name)).toEqual(["plain", "500 rules"]);
  expect(result.calls).toBe(expected + 2 + 3);
  expect(result.ledger.map(({ group }) => group).toSorted()).toEqual(["anthropic", "google", "openai"]);
  expect(result.ledger.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(result.calls);
  expect(result.held.map(({ system, streams, broken }) => [system, streams, broken])).toEqual(
    [2, 3].flatMap((streams) => ["direct", "floor", "signalbox"].map((system) => [system, streams, 0])),
  );
  expect(figuresIn(result, "stream-64-paced", "signalbox")?.deltaDelayUs?.p50).toBeGreaterThan(0);
  const unmeasured = targetsOf(result).filter(({ found }) => found === undefined || Number.isNaN(found));
  expect(unmeasured.map(({ title }) => title).filter((title) => !/Portkey|keys|rows/.test(title))).toEqual([]);
  expect(resultsText(result)).toMatch(/\| start to first answer +\| ≤ 1000 ms/);
}, 180_000);

/** What a call says of an upstream that answers with `text`. */
async function verdictOn(text: string, scenario: Scenario, bytes?: number): Promise<string> {
  const server = createServer((_, response) => response.end(text)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = openTarget("fake", `http://127.0.0.1:${(server.address() as AddressInfo).port}`, 1);
  onTestFinished(async () => {
    await target.pool.close();
    server.close();
  });
  const ask = { path: "/", headers: {}, body: "{}", scenario, end: scenario.deltas > 0 ? "[DONE]" : "}", bytes };
  return call(target, ask).then(
    () => "complete",
    (error: Error) => error.message,
  );
}

const JSON_1K = SCENARIOS.find(({ id }) => id === "json-1k")!;
const FIRST_TOKEN = SCENARIOS.find(({ id }) => id === "first-token")!;

function streamOf(numbers: readonly number[]): string {
  const { opening, delta, closing } = ANSWERS.openai.stream;
  return [...opening, ...numbers.map((number) => delta(deltaText(number))), ...closing].join("");
}

test("an answer is accepted only when it is whole, in order and ends as it should", async () => {
  const whole = ANSWERS.openai.json;
  expect(await verdictOn(whole, JSON_1K)).toBe("complete");
  expect(await verdictOn(whole.replace("lazy dog", "lazy cat"), JSON_1K)).toMatch(
    /^fake, json-1k: another text: \{"id"/,
  );
  expect(await verdictOn(whole, JSON_1K, whole.length + 100)).toMatch(
    /\d+ bytes instead of \d+, at the end: .*default/,
  );
  expect(await verdictOn(streamOf([0, 1, 2, 3]), FIRST_TOKEN)).toBe("complete");
  expect(await verdictOn(streamOf([0, 1, 3]), FIRST_TOKEN)).toContain("3 deltas instead of 4, or not in order");
  expect(await verdictOn(streamOf([0, 2, 1, 3]), FIRST_TOKEN)).toContain("4 deltas instead of 4, or not in order");
  const cut = streamOf([0, 1, 2, 3]).replace("data: [DONE]\n\n", "");
  expect(await verdictOn(cut, FIRST_TOKEN)).toContain("the answer does not end as it should");
});

/** Each gate's scenario at so many times the floor. */
function resultAt(ratio: number): BenchResult {
  const spread = (median: number) => ({ median, low: median, high: median });
  const figures = (system: string, times: number) => ({ system, cpuUs: times * 100, ratio: spread(times) });
  const scenarios = GATES.map(({ scenario: id }) => {
    return { id, title: "", systems: [figures("floor", 1), figures("signalbox", ratio)] };
  });
  return { scenarios, systems: [], worlds: [], held: [] } as unknown as BenchResult;
}

test("ratios beyond their gates in three runs are named; one run within all of them is enough", async () => {
  const ratios = [99, 99, 99, 99, 1, 99];
  let runs = 0;
  const measure = async () => resultAt(ratios[runs++] as number);
  const failed = await passGates(measure, () => {});
  expect(runs).toBe(3);
  expect(failed).toHaveLength(GATES.length);
  expect(failed[0]).toMatch(/^json-1k: CPU per call is 99\.00 × the floor's; at most/);
  expect(await passGates(measure, () => {})).toEqual([]);
  expect(runs).toBe(5);
});

test("a gate whose scenario was not measured is not passed", async () => {
  const nothing = { ...resultAt(1), scenarios: [] };
  expect(
    await passGates(
      async () => nothing,
      () => {},
    ),
  ).toHaveLength(GATES.length);
});

test("a target that was not measured is neither met nor missed", () => {
  const [first, second] = targetsOf(resultAt(99));
  expect(first).toMatchObject({ found: 99, isMet: false });
  expect(second).toMatchObject({ found: undefined, isMet: undefined });
});

test("a prompt's mark says what is wanted, in whatever dialect it arrives", () => {
  const body = requestBody("m", 10, { deltas: 64, paceMs: 20, ending: "cut" });
  expect(wantedOf(Buffer.from(body))).toEqual({ deltas: 64, paceMs: 20, ending: "cut" });
  expect(wantedOf(Buffer.from("{}"))).toBeUndefined();
});

test("the soak calls in every way, reloads rules, and tells how memory went", async () => {
  const soaked = await soak({ durationMs: 3_000, profileDir: undefined, progress: () => {} });
  expect(Object.keys(soaked.calls).toSorted()).toEqual([
    "big",
    "cut",
    "failed",
    "json",
    "left",
    "stream",
    "translated",
  ]);
  expect(soaked.reloads).toBeGreaterThan(0);
  expect(soaked.rssMb.max).toBeGreaterThan(0);
}, 30_000);

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

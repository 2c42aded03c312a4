// The router against simulated providers in virtual time: the same seed is the same run, whatever the machine.
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AttemptSettled } from "../src/store/ledger.ts";
import { drawArrivals, FLOODING_KEY } from "./simulator/callers.ts";
import { Engine } from "./simulator/engine.ts";
import { createAuditedLedger } from "./simulator/ledger.ts";
import { isSuccess } from "./simulator/metrics.ts";
import { DRAWN, meansOf } from "./simulator/oracle.ts";
import { Random } from "./simulator/random.ts";
import { POLICIES, type PolicyName, type Run, simulate } from "./simulator/run.ts";
import { SCENARIO_NAMES, scenario } from "./simulator/scenarios.ts";

const SEED = 7;
/** The Azure trace of 2023; it is not part of this repository. */
const TRACE = process.env.SIGNALBOX_TRACE;

function run(name: string, minutes: number, policy: PolicyName = "signalbox", seed = SEED): Promise<Run> {
  return simulate(scenario(name, minutes), policy, { seed, trace: TRACE });
}

describe("the engine", () => {
  test("events fire in the order of their time, and those of one instant in the order in which they were made", async () => {
    const engine = new Engine(1);
    const fired: string[] = [];
    for (const [ms, name] of [
      [30, "c"],
      [10, "a"],
      [30, "d"],
      [20, "b"],
    ] as const)
      engine.schedule(ms, () => fired.push(`${name}${engine.elapsedMs}`));
    engine.schedule(15, () => fired.push("never"))();
    await engine.run();
    expect(fired).toEqual(["a10", "b20", "c30", "d30"]);
  });

  test("what follows from an event has happened before the next one fires", async () => {
    const engine = new Engine(1);
    const order: string[] = [];
    engine.schedule(1, async () => {
      for (let hop = 0; hop < 100; hop += 1) await null;
      order.push("followed");
    });
    engine.schedule(1, () => order.push("next"));
    await engine.run();
    expect(order).toEqual(["followed", "next"]);
  });

  test("a sleeper whose signal aborts wakes at once, and its timer is gone", async () => {
    const engine = new Engine(1);
    const abort = new AbortController();
    let wokenAtMs = -1;
    void engine.sleep(1_000, abort.signal).then(() => {
      wokenAtMs = engine.elapsedMs;
    });
    engine.schedule(10, () => abort.abort());
    await engine.run();
    expect([wokenAtMs, engine.elapsedMs]).toEqual([10, 10]);
  });

  test("streams of chance are of their entity alone, and have the means they should have", () => {
    const first = new Random("key-01", SEED).next();
    expect(new Random("key-01", SEED).next()).toBe(first);
    expect(new Random("key-02", SEED).next()).not.toBe(first);
    expect(new Random("key-01", SEED + 1).next()).not.toBe(first);
    const random = new Random("means", 1);
    const mean = (draw: () => number) => Array.from({ length: 20_000 }, draw).reduce((sum, x) => sum + x, 0) / 20_000;
    expect(mean(() => random.gamma(0.25))).toBeCloseTo(1, 1);
    expect(mean(() => random.normal())).toBeCloseTo(0, 1);
    expect(mean(() => random.next())).toBeCloseTo(0.5, 1);
  });

  test("the requests that are drawn are those the oracle reckons with", () => {
    const arrivals = drawArrivals(new Engine(SEED), scenario("S1", 20).load, 20);
    const flooding = arrivals.filter(({ key }) => key === FLOODING_KEY).length / arrivals.length;
    expect(flooding).toBeGreaterThan(0.34);
    expect(flooding).toBeLessThan(0.46);
    const means = meansOf(arrivals);
    expect(means.plainTokens / DRAWN.plainTokens).toBeCloseTo(1, 1);
    expect(means.outputTokens / DRAWN.outputTokens).toBeCloseTo(1, 1);
  });
});

test.each(Object.keys(POLICIES) as PolicyName[])(
  "the same seed is the same run, another seed another: %s",
  async (policy) => {
    const [once, again, other] = [
      await run("S2-95", 2, policy),
      await run("S2-95", 2, policy),
      await run("S2-95", 2, policy, SEED + 1),
    ];
    expect(again.hash).toBe(once.hash);
    expect(again.metrics).toEqual(once.metrics);
    expect(other.hash).not.toBe(once.hash);
  },
);

const DRAWN_SCENARIOS = SCENARIO_NAMES.filter((name) => !name.startsWith("trace"));

test.each(DRAWN_SCENARIOS)("every attempt is settled once and no loss goes unnoticed: %s", async (name) => {
  const { faults, metrics, asked } = await run(name, 2);
  expect(faults).toEqual([]);
  expect(metrics.silentLosses).toBe(0);
  expect(asked.length).toBeGreaterThan(100);
});

test("a ledger that is settled twice, or not at all, says so", () => {
  const ledger = createAuditedLedger();
  const key = { requestId: "r", attempt: 1 };
  ledger.openAttempt({ ...key, openedAtMs: 0, provider: "a", model: "m", catalogVersion: "-", key: "k", rule: "r" });
  expect(ledger.faults()).toEqual(["r/1 was never settled"]);
  const settled: AttemptSettled = {
    ...key,
    endedAtMs: 1,
    firstByteMs: undefined,
    usage: undefined,
    costNanoUsd: 0,
    priceStatus: "unmetered",
    httpStatus: 429,
    errorKind: "rate_limited",
    endReason: "failed",
    upstreamRequestId: undefined,
    finishReason: undefined,
  };
  ledger.settleAttempt(settled);
  expect(ledger.faults()).toEqual([]);
  ledger.settleAttempt(settled);
  expect(ledger.faults()).toEqual(["r/1 was settled without being open"]);
});

test("where nothing breaks off, the ledger's sum is the sum of the providers' bills", async () => {
  const { spentNanoUsd = 0, providers, metrics } = await run("S3", 2);
  const billedNanoUsd = providers.reduce((sum, { counters }) => sum + counters.billedPicoUsd / 1_000, 0);
  // The ledger keeps whole nanodollars per attempt.
  expect(Math.abs(spentNanoUsd - billedNanoUsd)).toBeLessThanOrEqual(metrics.requests);
  expect(spentNanoUsd).toBeGreaterThan(0);
});

describe("what callers get", () => {
  test("calm: nearly everything, at once, near the lowest price", async () => {
    const { metrics } = await run("S1", 6);
    expect(metrics.success).toBeGreaterThan(0.998);
    expect(metrics.upstream429).toBeLessThan(0.05);
    expect(metrics.wasted).toBeLessThan(0.06);
    expect(metrics.costOverOracle).toBeLessThan(1.25);
  });

  test("a burst of twice the limit of the only provider is hidden by the queue", async () => {
    const { metrics } = await run("S3", 2);
    expect(metrics.surfaced429).toBe(0);
    expect(metrics.upstream429).toBeLessThan(0.02);
    expect(metrics.success).toBe(1);
  });

  test("a flooding key takes nothing from those who behave, as it does without fairness", async () => {
    const [signalbox, robin] = [await run("S7", 4), await run("S7", 4, "round robin")];
    expect(signalbox.metrics.wellBehaved).toBeGreaterThan(0.99);
    expect(signalbox.metrics.wellBehaved).toBeGreaterThan(robin.metrics.wellBehaved + 0.05);
  });

  test("a naive client of one provider is far worse off", async () => {
    const [naive, signalbox] = [await run("S2-95", 4, "naive"), await run("S2-95", 4)];
    expect(naive.metrics.wellBehaved).toBeLessThan(signalbox.metrics.wellBehaved - 0.2);
    expect(naive.metrics.upstream429).toBeGreaterThan(20 * signalbox.metrics.upstream429);
  });

  test("a recorded trace of real traffic is answered", async (context) => {
    if (TRACE === undefined || !existsSync(TRACE)) context.skip("SIGNALBOX_TRACE does not name a trace to replay");
    const { metrics, asked, faults } = await run("trace-75", 3);
    expect(asked.filter(isSuccess).length).toBeGreaterThan(0.99 * asked.length);
    expect(metrics.upstream429).toBeLessThan(0.05);
    expect(faults).toEqual([]);
  });
});

// The router against simulated providers in virtual time: the same seed is the same run, whatever the machine.
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AttemptSettled } from "../src/store/ledger.ts";
import { type Arrival, drawArrivals, FLOODING_KEY } from "./simulator/callers.ts";
import { Engine } from "./simulator/engine.ts";
import { createAuditedLedger } from "./simulator/ledger.ts";
import { isSuccess } from "./simulator/metrics.ts";
import { bestSuccess, DRAWN, demandedWaitsMs, meansOf } from "./simulator/oracle.ts";
import { OPENAI_LIKE } from "./simulator/profiles.ts";
import { Random } from "./simulator/random.ts";
import { POLICIES, type PolicyName, type Run, simulate } from "./simulator/run.ts";
import { SCENARIO_NAMES, scenario } from "./simulator/scenarios.ts";
import { judgedBy, meanRun, type Target, textOf } from "./simulator/targets.ts";

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

describe("what could be had at best", () => {
  const profile = { ...OPENAI_LIKE, limits: { requests: 60 }, errors: {} };
  const arrivals = (count: number, key: string): Arrival[] =>
    Array.from({ length: count }, (_, at) => {
      const tokens = { plainTokens: 100, outputTokens: 8, maxTokens: 100 };
      return { id: `${key}-${at}`, key, atMs: 0, ...tokens, stream: false };
    });

  test("is what the limit allows at once and until the patience ends", () => {
    // Ten at once and then one a second, of the 60 s less the 0.7 s that the call itself takes.
    expect(bestSuccess([profile], arrivals(100, "key-01"), 5)).toBe(0.69);
    expect(bestSuccess([profile], arrivals(10, "key-01"), 5)).toBe(1);
  });

  test("is less within bounds: of time, of what a window tells, of the order in which reserves are used", () => {
    expect(bestSuccess([profile], arrivals(100, "key-01"), 5, { turnMs: 20_000 })).toBeCloseTo(0.3, 5);
    const window = { ...profile, enforcement: { kind: "window" as const, windowMs: 60_000 } };
    expect(bestSuccess([window], arrivals(100, "key-01"), 5, { turnMs: 20_000 })).toBe(0.6);
    expect(bestSuccess([window], arrivals(100, "key-01"), 5, { turnMs: 20_000, isBlindToWindows: true })).toBeCloseTo(
      0.3,
      5,
    );
    const late = arrivals(70, "key-01").map((arrival) => ({ ...arrival, atMs: 20_000 }));
    const cheap = { ...window, rates: { input: 1, output: 1 } };
    // Ten of the bucket, which runs over, or of the window, which would not have.
    const both = { turnMs: 1_000, isCheapestFirst: false };
    expect(80 * bestSuccess([profile, cheap], [...arrivals(10, "key-01"), ...late], 5, both)).toBeCloseTo(10 + 70, 0);
    const first = { ...both, isCheapestFirst: true };
    expect(80 * bestSuccess([profile, cheap], [...arrivals(10, "key-01"), ...late], 5, first)).toBeCloseTo(
      10 + 60 + 1,
      0,
    );
  });

  test("lets those go first who behave", () => {
    const later = arrivals(20, "key-01").map((arrival) => ({ ...arrival, atMs: 30_000 }));
    // In the order of their coming they would be served after the others' patience has ended: 89 in all.
    expect(120 * bestSuccess([profile], [...arrivals(100, FLOODING_KEY), ...later], 5)).toBeCloseTo(69, 5);
    expect(120 * bestSuccess([profile], [...arrivals(100, "key-02"), ...later], 5)).toBeCloseTo(89, 5);
  });

  test("is nothing while everything is down, and a window's whole limit where it begins anew", () => {
    const down = { ...profile, incidents: [{ kind: "down" as const, fromMs: 0, toMs: 300_000 }] };
    expect(bestSuccess([down], arrivals(10, "key-01"), 5)).toBe(0);
    const window = { ...profile, enforcement: { kind: "window" as const, windowMs: 30_000 } };
    expect(bestSuccess([window], arrivals(100, "key-01"), 5)).toBe(0.6);
    // The bucket, which runs over, is taken of first: 10 early, then 10 + 30 at once, two windows more, and one a second.
    const early = arrivals(10, "key-01");
    const late = arrivals(200, "key-01").map((arrival) => ({ ...arrival, atMs: 29_980 }));
    expect(210 * bestSuccess([window, profile], [...early, ...late], 5)).toBeCloseTo(10 + 10 + 30 + 60 + 59, 0);
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

interface Level {
  minutes: number;
  /** What is reached on seeds nobody looked at while tuning. Where the aim is higher, `aim` says so: bench/SIMULATION.md. */
  holds: Target[];
  aim?: string;
  /** By how much the router is better than a simpler policy over the same requests: `by` in the metric's own unit, or so many
   *  times as small. */
  beats: {
    policy: PolicyName;
    what: "success" | "wellBehaved" | "upstream429" | "wasted";
    by?: number;
    times?: number;
  }[];
}

const LEVELS: Record<string, Level> = {
  S1: {
    minutes: 6,
    holds: [
      { what: "success", min: 0.998 },
      { what: "wellBehavedAddedP99Ms", max: 1_000 },
      { what: "costOverOracle", max: 1.15 },
      { what: "upstream429", max: 0.01 },
      { what: "wasted", max: 0.02 },
    ],
    aim: "success 99.95 % (streams that broke off are missing: see below) and p99 1 s for all keys",
    beats: [{ policy: "round robin", what: "upstream429", times: 5 }],
  },
  "S2-60": {
    minutes: 12,
    holds: [
      { what: "success", min: 0.998 },
      { what: "wellBehaved", min: 0.998 },
      { what: "attempts at it per request while it was down", max: 0.1 },
      { what: "s until 90 % of its traffic is back", max: 90 },
      { what: "its highest rate in the 90 s after ÷ before", max: 1.2 },
    ],
    beats: [],
  },
  "S2-75": {
    minutes: 5,
    holds: [
      { what: "wellBehaved", min: 0.9975 },
      { what: "success", min: 0.97 },
      { what: "upstream429", max: 0.01 },
      { what: "wasted", max: 0.05 },
    ],
    aim: "well-behaved 99.9 %, all 99.5 %",
    beats: [
      { policy: "round robin", what: "wellBehaved", by: 0.01 },
      { policy: "round robin", what: "upstream429", times: 20 },
      { policy: "shuffle", what: "success", by: 0.05 },
    ],
  },
  "S2-95": {
    minutes: 4,
    holds: [
      { what: "wellBehaved", min: 0.9975 },
      { what: "success", min: 0.85 },
      { what: "upstream429", max: 0.01 },
      { what: "wasted", max: 0.08 },
    ],
    aim: "well-behaved 99.9 %, all 98.5 %",
    beats: [
      { policy: "round robin", what: "wellBehaved", by: 0.03 },
      { policy: "shuffle", what: "wellBehaved", by: 0.07 },
      { policy: "shuffle", what: "success", by: 0.05 },
    ],
  },
  "S2-120": {
    minutes: 3,
    holds: [
      { what: "wellBehaved", min: 0.985 },
      { what: "worstKey", min: 0.95 },
      { what: "jain", min: 0.99 },
      { what: "upstream429", max: 0.01 },
    ],
    aim: "well-behaved 99.5 %, worst key 97 %",
    beats: [
      { policy: "round robin", what: "wellBehaved", by: 0.08 },
      { policy: "shuffle", what: "success", by: 0.02 },
    ],
  },
  S4: {
    minutes: 6,
    holds: [
      { what: "s until within 10 % of the new limit", max: 20 },
      { what: "s of that after the first refusal", max: 5 },
      { what: "s until back at 90 %", max: 60 },
      { what: "429 per request in the 30 s after the cut", max: 0.1 },
      { what: "success", min: 1 },
    ],
    beats: [],
  },
  S5: {
    minutes: 5,
    holds: [
      { what: "wellBehaved", min: 0.997 },
      { what: "upstream429", max: 0.04 },
    ],
    aim: "0.03 refusals per request: over twenty minutes they are; in the first five everything has yet to be learnt",
    beats: [
      { policy: "round robin", what: "upstream429", times: 10 },
      { policy: "shuffle", what: "success", by: 0.05 },
    ],
  },
  S6: {
    minutes: 4,
    holds: [
      { what: "success", min: 0.998 },
      { what: "upstream429", max: 0.03 },
      { what: "wasted", max: 0.04 },
    ],
    beats: [{ policy: "round robin", what: "wasted", times: 4 }],
  },
  S7: {
    minutes: 2,
    holds: [
      { what: "wellBehaved", min: 0.997 },
      { what: "jain", min: 0.99 },
      { what: "upstream429", max: 0.01 },
    ],
    beats: [
      { policy: "round robin", what: "wellBehaved", by: 0.05 },
      { policy: "shuffle", what: "wellBehaved", by: 0.1 },
    ],
  },
  S8: {
    minutes: 4,
    holds: [
      { what: "silentLosses", max: 0 },
      { what: "success", min: 0.9 },
      { what: "wasted", max: 0.15 },
    ],
    beats: [],
  },
  S13: {
    minutes: 5,
    holds: [
      { what: "s until 90 % succeed again", max: 90 },
      { what: "attempts per request in the outage", max: 2 },
      { what: "success", min: 0.92 },
      { what: "wasted", max: 0.13 },
    ],
    aim: "one failed attempt per request: so it is in an outage of two minutes, this one lasts thirty seconds",
    beats: [
      { policy: "round robin", what: "wasted", times: 3 },
      { policy: "shuffle", what: "success", by: 0.08 },
    ],
  },
  S14: {
    minutes: 4,
    holds: [
      { what: "success", min: 0.998 },
      { what: "wasted", max: 0.01 },
      { what: "upstream429", max: 0.01 },
    ],
    beats: [{ policy: "round robin", what: "upstream429", times: 10 }],
  },
};

/** Looked at by nobody while the router was tuned. */
const SEEDS = [31, 32, 33];

async function meanOf(name: string, minutes: number, policy: PolicyName, rule?: string) {
  const runs: Run[] = [];
  for (const seed of SEEDS) runs.push(await simulate(scenario(name, minutes), policy, { seed, rule }));
  return { runs, ...meanRun(runs) };
}

describe.each(Object.entries(LEVELS))("%s, three seeds", (name, { minutes, holds, aim, beats }) => {
  const title = `reaches its level${aim === undefined ? "" : ` (the aim: ${aim})`}, and is that much better than simpler policies`;
  test(title, { timeout: 120_000 }, async () => {
    const router = await meanOf(name, minutes, "signalbox");
    const short = judgedBy(holds, router).filter(({ isMet }) => !isMet);
    const again = `npm run simulate -- --policy signalbox --scenario ${name} --minutes ${minutes} --seed`;
    const told = short.map(({ target, value }) => {
      const worst = router.runs.map((run, at) => `${again} ${SEEDS[at]}: ${judgedBy([target], run)[0]?.value}`);
      return `${textOf(target)}, found ${value}\n${worst.join("\n")}`;
    });
    expect(told).toEqual([]);
    const others = new Map<PolicyName, Awaited<ReturnType<typeof meanOf>>>();
    for (const { policy, what, by = 0, times = 1 } of beats) {
      const other = others.get(policy) ?? (await meanOf(name, minutes, policy));
      others.set(policy, other);
      const [own, theirs] = [router.metrics[what], other.metrics[what]];
      const words = `${what}: ${own} against ${theirs} of ${policy}`;
      if (what === "success" || what === "wellBehaved") expect(own, words).toBeGreaterThan(theirs + by);
      else expect(own * times, words).toBeLessThan(theirs);
    }
  });
});

describe("what callers get", () => {
  test("where a rule lets streams go on elsewhere, those that break off are not lost either: all but one in two thousand", async () => {
    const { metrics } = await meanOf("S1", 4, "signalbox", "stream_failover: continue");
    expect(metrics.success).toBeGreaterThanOrEqual(0.9995);
  });

  test.each(["S3", "S3-uneven"])(
    "a burst of twice the only provider's limit for 30 s is hidden by the queue, at the delay that arithmetic demands: %s",
    async (name) => {
      const { profiles } = scenario(name, 2);
      const { limits, enforcement } = profiles[0] as (typeof profiles)[0];
      const burstMs = enforcement.kind === "bucket" ? enforcement.burstMs : 0;
      // Of uneven keys these seeds once surfaced refusals.
      for (const seed of [5, 7, 12]) {
        const { metrics, asked } = await run(name, 2, "signalbox", seed);
        expect([metrics.surfaced429, metrics.upstream429, metrics.success], `seed ${seed}`).toEqual([0, 0, 1]);
        const added = asked.map(({ answer, latencyMs }) => latencyMs - answer.ownMs).sort((a, b) => a - b);
        const inOrder = asked.map(({ arrival }) => arrival).sort((a, b) => a.atMs - b.atMs);
        const demanded = demandedWaitsMs(inOrder, limits.requests ?? 0, burstMs);
        const mean = (all: readonly number[]) => all.reduce((sum, ms) => sum + ms, 0) / all.length;
        expect(mean(demanded)).toBeGreaterThan(1_000);
        expect(mean(added) / mean(demanded), `mean added delay, seed ${seed}`).toBeLessThan(1.07);
        // Keys that ask for about the same wait for about as long as the queue is; of uneven ones the busiest waits for the others.
        const at = (share: number) => (all: readonly number[]) => all[Math.floor(share * all.length)] ?? 0;
        if (name !== "S3") continue;
        expect(at(0.9)(added) / at(0.9)(demanded), `p90, seed ${seed}`).toBeLessThan(1.1);
        expect(at(0.99)(added) / at(0.99)(demanded), `p99, seed ${seed}`).toBeLessThan(1.2);
      }
    },
  );

  test("little is lost of what whoever knows everything could answer, and nobody answers more", async () => {
    for (const seed of SEEDS) {
      const [own, turns] = [await run("S2-95", 4, "signalbox", seed), await run("S2-95", 4, "round robin", seed)];
      const { best, bestByPrice } = own.metrics;
      expect(own.metrics.success / best, `seed ${seed}`).toBeGreaterThan(0.88);
      expect(own.metrics.success / bestByPrice, `seed ${seed}, filling the cheapest first`).toBeGreaterThan(0.95);
      for (const { metrics } of [own, turns]) expect(metrics.success).toBeLessThanOrEqual(best);
    }
  });

  test("an outage of all providers for twelve seconds is waited out by nearly everybody", async () => {
    const { metrics } = await meanOf("S13", 2, "signalbox");
    const { metrics: shuffled } = await meanOf("S13", 2, "shuffle");
    expect(metrics.success).toBeGreaterThan(0.95);
    expect(metrics.success).toBeGreaterThan(shuffled.success + 0.04);
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
    expect(metrics.upstream429).toBeLessThan(0.01);
    expect(faults).toEqual([]);
  });
});

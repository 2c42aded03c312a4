// Staying under limits: what is taken, what is learnt, and whose turn it is. Time is virtual.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import type { Accounting, EnabledProvider, Target } from "../src/dialect.ts";
import { Bucket } from "../src/limits/bucket.ts";
import { Pool, type Refusal } from "../src/limits/pool.ts";
import { Quota } from "../src/limits/quota.ts";
import { RampGuard } from "../src/limits/ramp-guard.ts";
import { createLimits, type Limits, type Need, type PoolConfig, type Priority, type Turn } from "../src/limits.ts";

const NEED: Need = { inputTokens: 100, cachedTokens: 0, outputTokens: 50, maxOutputTokens: 1_000, expectedMs: 1_000 };

/** A clock that moves when told to, and fires what was scheduled on the way. */
class VirtualTime {
  nowMs = 1_700_000_000_000;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  schedule = (ms: number, callback: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await settleMicrotasks();
      const due = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.callback();
    }
    this.nowMs = endMs;
    await settleMicrotasks();
  }

  get timers(): number {
    return this.#timers.size;
  }
}

async function settleMicrotasks(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await null;
}

/** A refusal for being one too many. */
function lower(waitMs: number): Refusal {
  return { waitMs, reaction: "lower" };
}

function targetOf(provider: string, model = "m", accounting?: Accounting): Target {
  const enabled: EnabledProvider = {
    id: provider,
    name: provider,
    docs: "",
    baseUrl: "http://127.0.0.1",
    baseUrlEnv: [],
    keyEnv: [],
    enabledBy: "key",
    dialect: openaiChat(),
    authorize: () => ({}),
    key: undefined,
    models: new Map(),
    ...(accounting === undefined ? {} : { accounting }),
  };
  return { provider: enabled, model, entry: undefined };
}

const A = targetOf("a");
const B = targetOf("b");

function poolOf(name: string, allowance: Omit<PoolConfig, "name" | "matches">): PoolConfig {
  return { name, matches: (target) => target.startsWith(`${name}/`), ...allowance };
}

function setUp(pools: PoolConfig[], queue = {}) {
  const time = new VirtualTime();
  const limits = createLimits({ nowMs: () => time.nowMs, schedule: time.schedule, draw: () => 0, pools, queue });
  return { time, limits };
}

interface Wish {
  key?: string;
  priority?: Priority;
  targets?: Target[];
  need?: Partial<Need>;
  maxWaitMs?: number;
  bytes?: number;
  stream?: boolean;
  signal?: AbortSignal;
}

function ask(limits: Limits, wish: Wish = {}): Promise<Turn> {
  const { key = "ann", priority = "default", targets = [A], maxWaitMs = 30_000, bytes = 100, stream = false } = wish;
  const options = targets.map((target) => ({ target, need: { ...NEED, ...wish.need } }));
  const signal = wish.signal ?? new AbortController().signal;
  return limits.acquire({ key, priority, stream, bytes, options, maxWaitMs, signal });
}

async function granted(turn: Promise<Turn>) {
  const found = await turn;
  if (found.kind !== "granted") throw new Error(`expected a place, found ${JSON.stringify(found)}`);
  return found;
}

describe("a bucket", () => {
  test("never lets more through than what it holds and what flowed in, whatever is asked when", () => {
    const asks = fc.array(fc.record({ afterMs: fc.nat(5_000), units: fc.integer({ min: 1, max: 40 }) }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(asks, fc.integer({ min: 60, max: 6_000 }), (wishes, rate) => {
        const bucket = new Bucket(rate, 10_000);
        let nowMs = 0;
        let taken = 0;
        let largest = 0;
        for (const { afterMs, units } of wishes) {
          nowMs += afterMs;
          if (bucket.waitMs(units, nowMs) > 0) continue;
          bucket.take(units, nowMs);
          taken += units;
          largest = Math.max(largest, units);
        }
        // One that is larger than the bucket may pass when it is full, and leaves a debt.
        const most = Math.max(bucket.capacity, largest) + (rate * nowMs) / 60_000;
        expect(taken).toBeLessThanOrEqual(most + 1e-6);
      }),
    );
  });

  test("has room after exactly the wait it told", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 200 }), (taken, units) => {
        const bucket = new Bucket(600, 10_000);
        bucket.take(taken, 0);
        const waitMs = bucket.waitMs(units, 0);
        expect(bucket.waitMs(units, waitMs + 1e-3)).toBe(0);
        if (waitMs > 1) expect(bucket.waitMs(units, waitMs - 1)).toBeGreaterThan(0);
      }),
    );
  });

  test("holds what the provider says is left, never more", () => {
    const bucket = new Bucket(600, 10_000);
    bucket.clamp(30, 0);
    expect(bucket.level(0)).toBeCloseTo(30);
    bucket.clamp(90, 0);
    expect(bucket.level(0)).toBeCloseTo(30);
  });

  test("keeps what is missing when its rate changes", () => {
    const bucket = new Bucket(600, 10_000);
    bucket.take(40, 0);
    bucket.reshape(300, 10_000, 0);
    expect(bucket.level(0)).toBeCloseTo(50 - 40);
  });
});

describe("a quota of the day", () => {
  const NOON = Date.UTC(2026, 10, 24, 12);
  test("waits for the next day of the provider's zone", () => {
    const quota = new Quota(10, "America/Los_Angeles");
    quota.add(10, NOON);
    // Noon UTC is four in the morning in California.
    expect(quota.waitMs(1, NOON)).toBe(20 * 3_600_000);
    expect(quota.waitMs(1, NOON + 20 * 3_600_000)).toBe(0);
  });

  test("is not forgotten by a restart within the day", () => {
    const before = new Quota(10, "UTC");
    before.add(7, NOON);
    const after = new Quota(10, "UTC");
    after.restore(before.used(NOON), before.resetAtMs, NOON + 1_000);
    expect(after.used(NOON + 1_000)).toBe(7);
    const tomorrow = new Quota(10, "UTC");
    tomorrow.restore(7, before.resetAtMs, NOON + 86_400_000);
    expect(tomorrow.used(NOON + 86_400_000)).toBe(0);
  });
});

describe("what a call counts", () => {
  const level = (limits: Limits, counts: string) =>
    limits.status().pools[0]?.rates.find((rate) => rate.counts === counts)?.level;
  const FULL = { burstMs: 60_000 };

  test.each([
    ["everything, where nothing else is known", undefined, 150, 150],
    ["no cached input, where reads are free", { cachedInput: "free", output: "actual" }, 90, 110],
    ["the bound, where the provider reserves it", { cachedInput: "counted", output: "reserved" }, 1_100, 1_100],
    ["input only", { cachedInput: "counted", output: "none" }, 100, 100],
  ] as const)("%s", async (_, accounting, reserved, settled) => {
    const { limits } = setUp([poolOf("a", { tokens: 100_000, ...FULL })]);
    const target = targetOf("a", "m", accounting);
    const turn = await granted(ask(limits, { targets: [target], need: { cachedTokens: 60 } }));
    expect(level(limits, "tokens")).toBe(99_000 - reserved);
    turn.reservation.settle({ inputTokens: 100, cacheReadTokens: 40, outputTokens: 50 }, true);
    expect(level(limits, "tokens")).toBe(99_000 - settled);
  });

  test("a call that was refused gives its tokens back", async () => {
    const { limits } = setUp([poolOf("a", { inputTokens: 10_000, requests: 100, ...FULL })]);
    const turn = await granted(ask(limits));
    turn.reservation.settle(undefined, false);
    expect(level(limits, "input_tokens")).toBe(9_900);
    expect(level(limits, "requests")).toBe(98);
    expect(limits.status().pools[0]?.in_flight).toBe(0);
  });

  test("exact input in mid-answer is corrected at once, the output at the end", async () => {
    const { limits } = setUp([poolOf("a", { inputTokens: 10_000, outputTokens: 10_000, ...FULL })]);
    const turn = await granted(ask(limits));
    turn.reservation.correct({ inputTokens: 300, outputTokens: 1 });
    expect([level(limits, "input_tokens"), level(limits, "output_tokens")]).toEqual([9_600, 9_850]);
    turn.reservation.settle({ inputTokens: 300, outputTokens: 20 }, true);
    expect([level(limits, "input_tokens"), level(limits, "output_tokens")]).toEqual([9_600, 9_880]);
  });

  test("a reservation is settled once", async () => {
    const { limits } = setUp([]);
    const { reservation } = await granted(ask(limits));
    reservation.settle(undefined, true);
    expect(() => reservation.settle(undefined, true)).toThrow("settled once");
  });
});

describe("waiting", () => {
  test("the first that is free is taken, in the order preferred", async () => {
    const { limits } = setUp([poolOf("a", { concurrency: 1 }), poolOf("b", { concurrency: 1 })]);
    expect((await granted(ask(limits, { targets: [A, B] }))).at).toBe(0);
    expect((await granted(ask(limits, { targets: [A, B] }))).at).toBe(1);
  });

  test("a call that ends gives its place to whoever waits", async () => {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 })]);
    const first = await granted(ask(limits));
    const second = ask(limits);
    await time.advance(700);
    first.reservation.settle(undefined, true);
    expect((await granted(second)).queuedMs).toBe(700);
  });

  test("a burst of twice the rate is spread over twice the time, and nobody is refused", async () => {
    const { limits, time } = setUp([poolOf("a", { requests: 600, burstMs: 1_000 })]);
    const waited: number[] = [];
    // 20 a second for 30 s where 10 a second are allowed: the last one waits 30 s.
    for (let call = 0; call < 600; call += 1) {
      void ask(limits, { key: `key ${call % 3}`, maxWaitMs: 60_000 }).then((turn) => {
        if (turn.kind !== "granted") throw new Error(turn.kind);
        waited.push(turn.queuedMs);
        turn.reservation.settle(undefined, true);
      });
      await time.advance(50);
    }
    await time.advance(60_000);
    expect(waited).toHaveLength(600);
    // Arithmetic: 590 beyond the burst at 9.8 a second, less the 29.95 s in which they came.
    const least = (590 / 9.8) * 1_000 - 29_950;
    expect(Math.max(...waited)).toBeGreaterThan(0.95 * least);
    expect(Math.max(...waited)).toBeLessThan(1.1 * least);
    expect(time.timers).toBe(0);
  });

  test("whoever cannot be served in time is refused at once, with the time to come back", async () => {
    const { limits } = setUp([poolOf("a", { requests: 60, burstMs: 1_000 })]);
    await granted(ask(limits));
    const queued = Array.from({ length: 10 }, () => ask(limits, { maxWaitMs: 15_000 }));
    const late = await ask(limits, { maxWaitMs: 5_000 });
    expect(late).toMatchObject({ kind: "refused", lacks: "requests" });
    const { retryAfterMs } = late as Extract<Turn, { kind: "refused" }>;
    expect(retryAfterMs).toBeGreaterThan(9_000);
    expect(retryAfterMs).toBeLessThan(13_000);
    limits.close();
    await Promise.all(queued);
  });

  test("whose time is up while waiting is refused", async () => {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 })]);
    await granted(ask(limits));
    const second = ask(limits, { maxWaitMs: 2_000 });
    await time.advance(2_001);
    expect(await second).toMatchObject({ kind: "refused", lacks: "concurrency", queuedMs: 2_000 });
    expect(limits.status().queued).toBe(0);
  });

  test("a caller who leaves leaves the queue, and the next one's turn comes no later", async () => {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 })]);
    const first = await granted(ask(limits));
    const leaving = new AbortController();
    const second = ask(limits, { signal: leaving.signal });
    const third = ask(limits);
    leaving.abort();
    expect(await second).toEqual({ kind: "cancelled", queuedMs: 0 });
    first.reservation.settle(undefined, true);
    await time.advance(1);
    expect((await third).kind).toBe("granted");
  });

  test.each([
    ["requests of one key", { perKeyMax: 3 }, {}, 3],
    ["requests", { waitersMax: 4 }, {}, 4],
    ["bytes", { bytesMax: 250 }, { bytes: 100 }, 2],
  ])("the queue has a bound on %s", async (_, queue, wish, admitted) => {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 })], queue);
    await granted(ask(limits));
    const turns = Array.from({ length: 6 }, () => ask(limits, { ...wish, maxWaitMs: 20_000 }));
    await time.advance(1);
    expect(limits.status().queued).toBe(admitted);
    limits.close();
    expect((await Promise.all(turns)).every(({ kind }) => kind === "refused")).toBe(true);
  });
});

test("however many models callers name, what is kept of them has a bound, and a configured pool is never forgotten", async () => {
  const { limits } = setUp([poolOf("a", { requestsPerDay: 10_000 })]);
  for (let at = 0; at < 1_500; at += 1) {
    for (const provider of ["a", "b"]) {
      const turn = await granted(ask(limits, { targets: [targetOf(provider, `model ${at}`)] }));
      turn.reservation.settle(undefined, true);
    }
  }
  const { pools } = limits.status();
  expect(pools.length).toBeLessThanOrEqual(1_024);
  expect(pools.find(({ name }) => name === "a")?.quotas[0]?.used).toBe(1_500);
});

describe("fairness", () => {
  /** All ask at once; the keys in the order in which they are served, one place for a second each. */
  async function served(wishes: Wish[]): Promise<string[]> {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 })], { perKeyMax: 1_000 });
    const first = await granted(ask(limits, { key: "other" }));
    const order: string[] = [];
    for (const wish of wishes) {
      void ask(limits, { ...wish, maxWaitMs: 600_000 }).then(async (turn) => {
        if (turn.kind !== "granted") return;
        order.push(wish.key ?? "");
        await new Promise<void>((resolve) => void time.schedule(1_000, resolve));
        turn.reservation.settle(undefined, true);
      });
    }
    first.reservation.settle(undefined, true);
    await time.advance(600_000);
    return order;
  }

  const times = (count: number, wish: Wish) => Array.from({ length: count }, () => wish);

  test("a key that floods does not delay one that asks now and then", async () => {
    const order = await served([...times(50, { key: "flood" }), ...times(3, { key: "ann" })]);
    expect(order).toHaveLength(53);
    expect(order.slice(0, 6).filter((key) => key === "ann")).toHaveLength(3);
  });

  test("whoever has nothing waiting is not refused for what a flooding key has", async () => {
    const { limits, time } = setUp([poolOf("a", { requests: 60, burstMs: 1_000 })]);
    const flood = Array.from({ length: 100 }, () => ask(limits, { key: "flood", maxWaitMs: 200_000 }));
    const ann = ask(limits, { key: "ann", maxWaitMs: 10_000 });
    const late = await ask(limits, { key: "flood", maxWaitMs: 10_000 });
    expect(late).toMatchObject({ kind: "refused", lacks: "requests" });
    await time.advance(5_000);
    expect((await granted(ann)).queuedMs).toBeLessThan(3_000);
    limits.close();
    expect((await Promise.all(flood)).filter(({ kind }) => kind === "granted").length).toBeGreaterThan(0);
  });

  test.each([
    ["requests", { waitersMax: 10 }, 1],
    ["bytes", { bytesMax: 1_000 }, 100],
  ])("a key that fills the queue with %s gives way to others, its newest first", async (_, queue, bytes) => {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 })], queue);
    const running = await granted(ask(limits));
    const told: string[] = [];
    const wait = (key: string) => {
      void ask(limits, { key, bytes, maxWaitMs: 200_000 }).then(({ kind }) => told.push(`${key} ${kind}`));
    };
    for (let call = 0; call < 10; call += 1) wait("flood");
    for (const key of ["ann", "bob", "ann", "eve", "eve"]) wait(key);
    await time.advance(1);
    expect(limits.status().queued).toBe(10);
    expect(told).toEqual(Array.from({ length: 5 }, () => "flood refused"));
    // Nobody has more than the flooding key now has; it may not take their places in turn.
    wait("flood");
    await time.advance(1);
    expect(told.at(-1)).toBe("flood refused");
    expect(limits.status().queued).toBe(10);
    running.reservation.settle(undefined, true);
    limits.close();
  });

  test("one large request weighs as much as many small ones", async () => {
    const { limits, time } = setUp([poolOf("a", { inputTokens: 60_000, burstMs: 1_000 })]);
    const tokens = { large: 0, small: 0 };
    await granted(ask(limits, { need: { inputTokens: 1_000 } }));
    for (let call = 0; call < 100; call += 1) {
      for (const [key, inputTokens] of [
        ["large", 900],
        ["small", 90],
      ] as const) {
        void ask(limits, { key, need: { inputTokens }, maxWaitMs: 600_000 }).then((turn) => {
          if (turn.kind === "granted") tokens[key] += inputTokens;
        });
      }
    }
    await time.advance(8_000);
    expect(tokens.large / tokens.small).toBeGreaterThan(0.7);
    expect(tokens.large / tokens.small).toBeLessThan(1.4);
    limits.close();
  });

  test("a large request is not starved by small ones that would fit", async () => {
    const { limits, time } = setUp([poolOf("a", { inputTokens: 60_000, burstMs: 1_000 })]);
    await granted(ask(limits, { need: { inputTokens: 990 } }));
    const large = ask(limits, { key: "large", need: { inputTokens: 900 } });
    const small = () => ask(limits, { key: "small", need: { inputTokens: 10 } });
    for (let call = 0; call < 30; call += 1) {
      void small();
      await time.advance(50);
    }
    expect((await granted(large)).queuedMs).toBeLessThan(1_500);
    limits.close();
  });

  test("interactive, default and batch share as 16 : 4 : 1, and batch is not starved", async () => {
    const order = await served([
      ...times(100, { key: "b", priority: "batch" }),
      ...times(100, { key: "d", priority: "default" }),
      ...times(100, { key: "i", priority: "interactive" }),
    ]);
    const share = (key: string) => order.slice(0, 84).filter((each) => each === key).length;
    expect([share("i"), share("d"), share("b")]).toEqual([64, 16, 4]);
  });

  test("whoever waits for one target does not hold up those who wait for another", async () => {
    const { limits, time } = setUp([poolOf("a", { concurrency: 1 }), poolOf("b", { concurrency: 1 })]);
    await granted(ask(limits, { targets: [A] }));
    const onB = await granted(ask(limits, { targets: [B] }));
    const forA = ask(limits, { targets: [A] });
    const forB = ask(limits, { targets: [B] });
    onB.reservation.settle(undefined, true);
    await time.advance(1);
    expect((await granted(forB)).queuedMs).toBeLessThan(10);
    limits.close();
    expect((await forA).kind).toBe("refused");
  });
});

describe("learning", () => {
  const NOW = 1_700_000_000_000;
  const pool = (allowance = {}) => new Pool({ name: "p", allowance, zone: "UTC", draw: () => 0 });
  const amounts = { requests: 1, tokens: 100, input_tokens: 100, output_tokens: 0 };

  test("nothing is limited while nothing is known", () => {
    const unknown = pool();
    for (let call = 0; call < 1_000; call += 1) {
      expect(unknown.wait(amounts, NOW, 1_000).ms).toBe(0);
      unknown.take(amounts, NOW);
    }
  });

  test("headers tell limit and rest", () => {
    const told = pool();
    told.learn({ windows: [{ name: "requests", limit: 600, remaining: 3 }] }, NOW);
    for (let call = 0; call < 3; call += 1) told.take(amounts, NOW);
    told.learn({ windows: [{ name: "requests", limit: 600, remaining: 0 }] }, NOW);
    expect(told.wait(amounts, NOW, 1_000)).toMatchObject({ for: "requests" });
    expect(told.wait(amounts, NOW, 1_000).ms).toBeCloseTo(60_000 / 594, 0);
  });

  test("what the operator set holds where it is lower, and gives way where it is higher", () => {
    const low = pool({ requests: 60 });
    low.learn({ windows: [{ name: "requests", limit: 600 }] }, NOW);
    expect(low.status(NOW).rates[0]?.per_minute).toBe(60);
    const high = pool({ requests: 6_000 });
    high.learn({ windows: [{ name: "requests", limit: 600 }] }, NOW);
    expect(high.status(NOW).rates[0]?.per_minute).toBe(600);
  });

  test("a day that is used up parks the pool until its end, looked at again after an hour", () => {
    const told = pool();
    told.learn({ windows: [{ name: "requests/day", remaining: 0, resetAtMs: NOW + 10 * 3_600_000 }] }, NOW);
    expect(told.wait(amounts, NOW, 1_000)).toEqual({ ms: 3_600_000, for: "blocked" });
  });

  test("a refusal blocks for as long as the provider said, and lowers the limits once a second", () => {
    const refused = pool({ requests: 600 });
    refused.refuse(lower(5_000), NOW);
    refused.refuse(lower(5_000), NOW + 100);
    expect(refused.wait(amounts, NOW + 100, 1_000)).toMatchObject({ for: "blocked", ms: 5_000 });
    expect(refused.status(NOW).scale).toBe(0.85);
    refused.refuse(lower(0), NOW + 2_000);
    expect(refused.status(NOW + 2_000).scale).toBeCloseTo(0.7225, 2);
  });

  test("after eight quiet seconds it grows again by two hundredths a second", () => {
    const refused = pool({ requests: 600 });
    refused.refuse(lower(0), NOW);
    expect(refused.status(NOW + 7_900).scale).toBe(0.85);
    expect(refused.status(NOW + 10_000).scale).toBeCloseTo(0.89, 2);
    expect(refused.status(NOW + 60_000).scale).toBe(1);
  });

  test("an unknown limit is guessed from the rate at which the refusal came, and then tried beyond", () => {
    const unknown = pool();
    for (let call = 0; call < 100; call += 1) {
      unknown.take(amounts, NOW + call * 100);
      unknown.release(true, NOW + 10_000);
    }
    unknown.refuse(lower(0), NOW + 10_000);
    const guess = unknown.status(NOW + 10_000).rates[0];
    expect(guess).toMatchObject({ counts: "requests", source: "learnt" });
    expect(guess?.per_minute).toBeGreaterThan(400);
    expect(guess?.per_minute).toBeLessThan(600);
    expect(unknown.status(NOW + 120_000).scale).toBeGreaterThan(5);
  });

  test("an unknown number of places is nine tenths of what was running when it was refused, and grows while used", () => {
    const unknown = pool();
    for (let call = 0; call < 20; call += 1) unknown.take(amounts, NOW);
    unknown.refuse(lower(0), NOW);
    expect(unknown.status(NOW).concurrency).toBe(18);
    unknown.take(amounts, NOW + 10_000);
    expect(unknown.status(NOW + 10_000).concurrency).toBe(19);
  });

  test("after slow_down three tenths less is sent", () => {
    const refused = pool({ requests: 600 });
    refused.refuse({ waitMs: 0, reaction: "slow_down" }, NOW);
    expect(refused.status(NOW).scale).toBe(0.7);
  });

  test("a refusal about money that will be there soon blocks, and lowers nothing", () => {
    const refused = pool({ requests: 600 });
    refused.refuse({ waitMs: 5_000, reaction: "block" }, NOW);
    expect(refused.wait(amounts, NOW, 1_000)).toEqual({ ms: 5_000, for: "blocked" });
    expect(refused.status(NOW).scale).toBe(1);
  });

  test("a refusal while much was left shortens what may be taken at once", () => {
    const bursty = pool({ requests: 600 });
    expect(bursty.status(NOW).rates[0]?.level).toBe(99);
    bursty.refuse(lower(0), NOW);
    expect(bursty.status(NOW).rates[0]?.level).toBeLessThanOrEqual(49);
  });

  describe("a daily quota beside which a short wait is told", () => {
    const HOUR_MS = 3_600_000;
    // 14 November 2023, 14:13:20 in California: 35,200 s before midnight.
    const TILL_MIDNIGHT_MS = 35_200_000;
    const daily = (quotaId: string, waitMs: number | undefined = 36_000): Refusal => {
      return { waitMs, reaction: "day", quotaId };
    };
    const gemini = () => new Pool({ name: "p", allowance: {}, zone: "America/Los_Angeles", draw: () => 0 });
    const waitAt = (tried: Pool, nowMs: number) => tried.wait(amounts, nowMs, 1_000);

    test("is waited for once, as told", () => {
      const told = gemini();
      told.refuse(daily("PerDay"), NOW);
      expect(waitAt(told, NOW)).toEqual({ ms: 36_000, for: "blocked" });
      expect(waitAt(told, NOW + 36_000).ms).toBe(0);
    });

    test("parks until midnight where the provider is when it refuses again after the wait, with one try an hour", () => {
      const told = gemini();
      told.refuse(daily("PerDay"), NOW);
      told.refuse(daily("PerDay"), NOW + 40_000);
      expect(waitAt(told, NOW + 40_000)).toEqual({ ms: HOUR_MS, for: "blocked" });
      const probeMs = NOW + 40_000 + HOUR_MS;
      expect(waitAt(told, probeMs).ms).toBe(0);
      told.take(amounts, probeMs);
      expect(waitAt(told, probeMs).for).toBe("day");
      told.refuse(daily("PerDay"), probeMs);
      told.release(false, probeMs);
      expect(waitAt(told, probeMs)).toEqual({ ms: HOUR_MS, for: "blocked" });
      const midnightMs = NOW + TILL_MIDNIGHT_MS;
      told.take(amounts, midnightMs);
      expect(waitAt(told, midnightMs).ms).toBe(0);
    });

    test("is not taken for used up by calls that were under way when it was first told", () => {
      const told = gemini();
      told.refuse(daily("PerDay"), NOW);
      told.refuse(daily("PerDay"), NOW + 10_000);
      expect(waitAt(told, NOW + 50_000).ms).toBe(0);
    });

    test("is meant when calls succeed after the wait: the next refusal is waited for again", () => {
      const told = gemini();
      told.refuse(daily("PerDay"), NOW);
      told.take(amounts, NOW + 40_000);
      told.release(true, NOW + 41_000);
      told.refuse(daily("PerDay"), NOW + 60_000);
      expect(waitAt(told, NOW + 60_000).ms).toBe(36_000);
    });

    test("another quota has a wait of its own", () => {
      const told = gemini();
      told.refuse(daily("RequestsPerDay"), NOW);
      told.refuse(daily("TokensPerDay"), NOW + 40_000);
      expect(waitAt(told, NOW + 40_000).ms).toBe(36_000);
    });

    test("without a wait is used up at once; a probe that succeeds ends it", () => {
      const told = gemini();
      told.refuse({ waitMs: undefined, reaction: "day", quotaId: "PerDay" }, NOW);
      expect(waitAt(told, NOW)).toEqual({ ms: HOUR_MS, for: "blocked" });
      told.take(amounts, NOW + HOUR_MS);
      expect(waitAt(told, NOW + HOUR_MS).for).toBe("day");
      told.release(true, NOW + HOUR_MS + 1_000);
      told.take(amounts, NOW + HOUR_MS + 1_000);
      expect(waitAt(told, NOW + HOUR_MS + 1_000).ms).toBe(0);
    });

    test("outlives the process: the hour that is left of the wait, and that one call at a time tries", () => {
      const told = gemini();
      told.refuse({ waitMs: undefined, reaction: "day", quotaId: "PerDay" }, NOW);
      const later = gemini();
      later.restore(JSON.parse(JSON.stringify(told.export(NOW))), NOW + 60_000);
      expect(waitAt(later, NOW + 60_000)).toEqual({ ms: HOUR_MS - 60_000, for: "blocked" });
      later.take(amounts, NOW + HOUR_MS);
      expect(waitAt(later, NOW + HOUR_MS).for).toBe("day");
    });

    test("a wait of hours that any limit tells is tried by one call an hour as well", () => {
      const told = gemini();
      told.refuse(lower(5 * HOUR_MS), NOW);
      expect(waitAt(told, NOW)).toEqual({ ms: HOUR_MS, for: "blocked" });
      told.take(amounts, NOW + HOUR_MS);
      expect(waitAt(told, NOW + HOUR_MS).for).toBe("day");
    });
  });

  test("parked pools and used quotas outlive the process, others do not", async () => {
    const pools = [poolOf("a", { requestsPerDay: 100 })];
    const first = setUp(pools);
    (await granted(ask(first.limits))).reservation.settle(undefined, true);
    const b = await granted(ask(first.limits, { targets: [B] }));
    b.reservation.refuse(lower(600_000));
    b.reservation.settle(undefined, false);
    const second = setUp(pools);
    second.limits.restore(JSON.parse(JSON.stringify(first.limits.export())));
    (await granted(ask(second.limits))).reservation.settle(undefined, true);
    expect(second.limits.status().pools[0]?.quotas[0]?.used).toBe(2);
    expect(await ask(second.limits, { targets: [B] })).toMatchObject({ kind: "refused", lacks: "blocked" });
    for (const junk of [undefined, null, 7, { a: 1 }, { a: { blockedUntilMs: "x", quotas: {} } }])
      second.limits.restore(junk);
  });
});

test("whatever is asked, settled, refused and abandoned: every place is given back", async () => {
  const step = fc.record({
    key: fc.constantFrom("ann", "bob", "flood"),
    onlyB: fc.boolean(),
    holdMs: fc.nat(5_000),
    refuse: fc.boolean(),
    leaveMs: fc.option(fc.nat(3_000)),
    pauseMs: fc.nat(400),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { limits, time } = setUp([poolOf("a", { requests: 60, concurrency: 3 }), poolOf("b", { tokens: 6_000 })]);
      const turns = [];
      for (const { key, onlyB, holdMs, refuse, leaveMs, pauseMs } of steps) {
        const leaving = new AbortController();
        if (leaveMs !== null) time.schedule(leaveMs, () => leaving.abort());
        const turn = ask(limits, { key, targets: onlyB ? [B] : [A, B], signal: leaving.signal });
        turns.push(turn);
        void turn.then((found) => {
          if (found.kind !== "granted") return;
          time.schedule(holdMs, () => {
            if (refuse) found.reservation.refuse(lower(1_000));
            found.reservation.settle(refuse ? undefined : { inputTokens: 90, outputTokens: 9 }, !refuse);
          });
        });
        await time.advance(pauseMs);
      }
      await time.advance(120_000);
      await Promise.all(turns);
      const { queued, pools } = limits.status();
      expect(queued).toBe(0);
      for (const { in_flight } of pools) expect(in_flight).toBe(0);
    }),
    { numRuns: 60 },
  );
});

describe("after a refusal for growing too quickly", () => {
  const MINUTE_MS = 60_000;
  const START = 1_700_000_040_000;

  test("no minute takes more than half as much again as the largest of the fifteen before it", () => {
    const guard = new RampGuard();
    guard.admit(500_000, START - 16 * MINUTE_MS);
    guard.admit(20_000, START - 3 * MINUTE_MS);
    guard.admit(40_000, START - 2 * MINUTE_MS);
    expect(guard.waitMs(1_000_000, START)).toBe(0);
    guard.arm(START);
    guard.admit(50_000, START);
    expect(guard.waitMs(10_000, START)).toBe(0);
    expect(guard.waitMs(10_001, START)).toBe(MINUTE_MS);
    expect(guard.waitMs(10_001, START + 59_000)).toBe(1_000);
    // The next minute may take half as much again as this one took.
    guard.admit(10_000, START + 59_000);
    guard.admit(1, START + MINUTE_MS);
    expect(guard.waitMs(89_999, START + MINUTE_MS)).toBe(0);
    expect(guard.waitMs(90_000, START + MINUTE_MS)).toBeGreaterThan(0);
  });

  test("it is forgotten a quarter of an hour after the last of them", () => {
    const guard = new RampGuard();
    guard.arm(START);
    guard.admit(100_000, START);
    expect(guard.waitMs(1, START)).toBeGreaterThan(0);
    guard.admit(100_000, START + 15 * MINUTE_MS);
    expect(guard.waitMs(1_000_000, START + 15 * MINUTE_MS)).toBe(0);
  });

  test("one call passes in a minute that has taken nothing, whatever its size, and ten thousand tokens always do", () => {
    const guard = new RampGuard();
    guard.arm(START);
    expect(guard.waitMs(5_000_000, START)).toBe(0);
    guard.admit(4_000, START);
    expect(guard.waitMs(6_000, START)).toBe(0);
    expect(guard.waitMs(6_001, START)).toBeGreaterThan(0);
  });

  test("whatever is asked for, what is admitted keeps to it and nobody waits for longer than a minute", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(90_000), fc.integer({ min: 1, max: 40_000 })), { minLength: 1, maxLength: 200 }),
        (steps) => {
          const guard = new RampGuard();
          guard.arm(START);
          const byMinute = new Map<number, { tokens: number; calls: number }>();
          let nowMs = START;
          for (const [passedMs, tokens] of steps) {
            nowMs += passedMs;
            if (nowMs >= START + 14 * MINUTE_MS) return;
            const waitMs = guard.waitMs(tokens, nowMs);
            expect(waitMs).toBeLessThanOrEqual(MINUTE_MS);
            if (waitMs > 0) continue;
            guard.admit(tokens, nowMs);
            const minute = Math.floor(nowMs / MINUTE_MS);
            const { tokens: before, calls } = byMinute.get(minute) ?? { tokens: 0, calls: 0 };
            byMinute.set(minute, { tokens: before + tokens, calls: calls + 1 });
          }
          for (const [minute, { tokens, calls }] of byMinute) {
            const earlier = [...byMinute].filter(([other]) => other < minute).map(([, taken]) => taken.tokens);
            if (calls > 1) expect(tokens).toBeLessThanOrEqual(Math.max(10_000, 1.5 * Math.max(0, ...earlier)));
          }
        },
      ),
    );
  });
});

describe("a call that could be done without gets a place", () => {
  const options = [A, B].map((target) => ({ target, need: NEED }));

  test("at the first target that has half of its places free", async () => {
    const { limits } = setUp([poolOf("a", { concurrency: 2 }), poolOf("b", { concurrency: 2 })]);
    expect(limits.takeSpare("ann", options)?.at).toBe(0);
    expect(limits.takeSpare("ann", options)?.at).toBe(1);
    expect(limits.takeSpare("ann", options)).toBeUndefined();
    // Whoever needs one still gets it.
    expect((await granted(ask(limits))).at).toBe(0);
  });

  test("and half of its rates", () => {
    const { limits } = setUp([poolOf("a", { requests: 60, burstMs: 10_000 })]);
    const taken = Array.from({ length: 12 }, () => limits.takeSpare("ann", options.slice(0, 1)));
    // Of ten, less the margin, five.
    expect(taken.filter((place) => place !== undefined)).toHaveLength(5);
  });

  test("while nobody waits for any, whatever it is that they wait for", async () => {
    const { limits } = setUp([poolOf("a", { concurrency: 1 })]);
    const first = await granted(ask(limits));
    const second = ask(limits);
    expect(limits.status().queued).toBe(1);
    expect(limits.takeSpare("bob", options)).toBeUndefined();
    first.reservation.settle(undefined, true);
    await granted(second);
    expect(limits.takeSpare("bob", options)?.at).toBe(1);
  });

  test("and not where a call has just been refused", async () => {
    const { limits, time } = setUp([poolOf("a", { requests: 600 })]);
    const { reservation } = await granted(ask(limits));
    reservation.refuse({ waitMs: 100, reaction: "lower" });
    reservation.settle(undefined, false);
    await time.advance(5_000);
    expect(limits.takeSpare("ann", options)?.at).toBe(1);
    await time.advance(5_000);
    expect(limits.takeSpare("ann", options)?.at).toBe(0);
  });
});

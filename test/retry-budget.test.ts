// How many retries the whole process may make: what earns them, and what each failure costs. The clock is virtual.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ErrorKind, ErrorSubkind, ProviderError } from "../src/chat.ts";
import { createRetryBudget, type Lost, type RetryBudget } from "../src/retry-budget.ts";
import { type ErrorCase, TAXONOMY } from "../src/taxonomy.ts";

function failed(kind: ErrorKind, more: Partial<ProviderError> = {}): ProviderError {
  return { kind, message: "what the provider said", ...more };
}

const SERVER = failed("server", { status: 500 });

/** A failure that was not billed. */
function lost(hadOutput: boolean, ...cost: (number | undefined)[]): Lost {
  return { hadOutput, costNanoUsd: cost.length === 0 ? 0 : cost[0] };
}

class World {
  nowMs = 1_700_000_000_000;
  readonly budget: RetryBudget = createRetryBudget({ nowMs: () => this.nowMs });

  /** Retries that may be made right now, by making them. */
  retries(error = SERVER, hadOutput = false): number {
    let count = 0;
    while (count < 1_000 && this.budget.spend(error, lost(hadOutput))) count += 1;
    return count;
  }

  requests(count: number): void {
    for (let at = 0; at < count; at += 1) this.budget.onRequest();
  }
}

describe("what may be retried", () => {
  test("a fresh process may retry ten times before it has served anything", () => {
    expect(new World().retries()).toBe(10);
  });

  test("every fifth request earns one, so that an outage is multiplied by 1.2 at the most", () => {
    const world = new World();
    world.retries();
    world.requests(4);
    expect(world.budget.spend(SERVER, lost(false))).toBe(false);
    // One more than five: a fifth has no exact binary form.
    world.requests(2);
    expect(world.retries()).toBe(1);
  });

  test("every second earns one, for routers with little traffic", () => {
    const world = new World();
    world.retries();
    world.nowMs += 999;
    expect(world.retries()).toBe(0);
    world.nowMs += 2_001;
    expect(world.retries()).toBe(3);
  });

  test("no more than sixty are saved up, by waiting or by requests", () => {
    const waited = new World();
    waited.nowMs += 86_400_000;
    expect(waited.budget.level()).toBe(60);
    const busy = new World();
    busy.requests(10_000);
    expect(busy.budget.level()).toBe(60);
    expect(busy.retries()).toBe(60);
  });

  test("a refusal takes nothing: a cheaper retry may still be made", () => {
    const world = new World();
    for (let at = 0; at < 9; at += 1) world.budget.spend(SERVER, lost(false));
    expect(world.budget.spend(SERVER, lost(true))).toBe(false);
    expect(world.budget.level()).toBe(1);
    expect(world.budget.spend(SERVER, lost(false))).toBe(true);
  });

  test("a clock that is set back takes nothing away, and earning goes on from there", () => {
    const world = new World();
    world.nowMs -= 3_600_000;
    expect(world.budget.level()).toBe(10);
    world.nowMs += 1_000;
    expect(world.budget.level()).toBe(11);
  });
});

describe("what it costs", () => {
  function price(error: ProviderError, hadOutput: boolean): number {
    const { budget } = new World();
    expect(budget.spend(error, lost(hadOutput))).toBe(true);
    return 10 - budget.level();
  }

  const FREE: ErrorCase[] = [
    "rate_limited",
    "rate_limited/slow_down",
    "rate_limited/no_spare_capacity",
    "rate_limited/daily_quota",
    "network/connect",
    "network/certificate",
    "timeout/connect",
  ];
  test.each(Object.keys(TAXONOMY) as ErrorCase[])("%s, by whether any work was done", (name) => {
    const [kind, subkind] = name.split("/") as [ErrorKind, ErrorSubkind | undefined];
    expect(price(failed(kind, { subkind }), false)).toBe(FREE.includes(name) ? 0 : 1);
    expect(price(failed(kind, { subkind }), true)).toBe(2);
  });

  test.each([
    ["a refusal by a limit", failed("rate_limited", { status: 429 })],
    ["a connection that was never made", failed("network", { subkind: "connect" })],
  ])("%s is free even when nothing is left", (_, error) => {
    const world = new World();
    world.retries();
    expect(world.budget.level()).toBe(0);
    expect(world.retries(error)).toBe(1_000);
  });

  test("an answer that broke off counts twice: a fresh process may repair five", () => {
    expect(new World().retries(failed("truncated"), true)).toBe(5);
  });
});

describe("in money", () => {
  const DOLLAR = 1_000_000_000;
  const hundred = (world: World) => {
    for (let at = 0; at < 100; at += 1) world.budget.onCost(DOLLAR);
  };
  /** Dollars that may be paid twice right now, in steps of ten cents. */
  const again = (world: World) => {
    let paid = 0;
    while (paid < 600 && world.budget.spend(FREE, lost(false, DOLLAR / 10))) paid += 10;
    return paid / 100;
  };
  /** Takes nothing of the count, so that only money bounds it. */
  const FREE = failed("network", { subkind: "connect" });

  test("at most one twentieth of the last hour's spend is paid a second time", () => {
    const world = new World();
    hundred(world);
    expect(again(world)).toBe(5);
  });

  test("what little was spent allows half a dollar an hour", () => {
    const world = new World();
    expect(again(world)).toBe(0.5);
    world.nowMs += 59 * 60_000;
    expect(again(world)).toBe(0);
    world.nowMs += 60_000;
    expect(again(world)).toBe(0.5);
  });

  test("an hour later what was spent no longer counts", () => {
    const world = new World();
    hundred(world);
    world.nowMs += 59 * 60_000;
    expect(again(world)).toBe(5);
    world.nowMs += 60 * 60_000;
    expect(again(world)).toBe(0.5);
  });

  test("a failure that cost nothing may be repeated whatever was paid, and so may one whose cost nobody knows", () => {
    const world = new World();
    again(world);
    expect(world.budget.spend(FREE, lost(false, DOLLAR / 10))).toBe(false);
    expect(world.budget.spend(SERVER, lost(false, 0))).toBe(true);
    expect(world.budget.spend(SERVER, lost(false, undefined))).toBe(true);
  });
});

test("whatever happens, the level stays between nothing and sixty, and no more is spent than was earned", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("request" as const) }),
    fc.record({ do: fc.constant("wait" as const), ms: fc.nat(5_000) }),
    fc.record({ do: fc.constant("spend" as const), hadOutput: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: "max" }), (steps) => {
      const world = new World();
      let earned = 10;
      let spent = 0;
      for (const next of steps) {
        if (next.do === "request") world.budget.onRequest();
        if (next.do === "wait") world.nowMs += next.ms;
        if (next.do === "request") earned += 0.2;
        if (next.do === "wait") earned += next.ms / 1_000;
        if (next.do === "spend" && world.budget.spend(SERVER, lost(next.hadOutput))) spent += next.hadOutput ? 2 : 1;
        expect(world.budget.level()).toBeGreaterThanOrEqual(0);
        expect(world.budget.level()).toBeLessThanOrEqual(60);
        expect(spent).toBeLessThanOrEqual(earned + 1e-6);
      }
    }),
  );
});

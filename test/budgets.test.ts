import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseBudget } from "../src/budget-spec.ts";
import {
  type Ask,
  type Balance,
  type BudgetEvent,
  type BudgetRefusal,
  type BudgetSettings,
  boundsOf,
  createBudgets,
  type Hold,
} from "../src/budgets.ts";

const NOON_MS = Date.UTC(2026, 2, 4, 12); // A Wednesday.
const HOUR_MS = 3_600_000;

function spec(text: string) {
  const parsed = parseBudget(text);
  if (parsed === undefined) throw new Error(`${text} is no budget`);
  return parsed;
}

interface World {
  clock: { nowMs: number };
  log: string[];
  events: BudgetEvent[];
}

function purse(settings: BudgetSettings[], balances: Balance[] = []) {
  const world: World = { clock: { nowMs: NOON_MS }, log: [], events: [] };
  const budgets = createBudgets({
    nowMs: () => world.clock.nowMs,
    settings,
    balances,
    onSpent: (event) => world.events.push(event),
    hasKey: () => true,
    log: (message) => world.log.push(message),
  });
  return { budgets, ...world };
}

const everything = (text: string): BudgetSettings => ({ scope: "everything", name: "", spec: spec(text) });

function ask(nano: number, more: Partial<Ask> = {}): Ask {
  return { payer: { key: "a" }, provider: "openai", upperNanoUsd: nano, likelyNanoUsd: nano / 10, ...more };
}

function held(result: Hold | BudgetRefusal): Hold {
  if ("code" in result) throw new Error(`refused: ${result.code}`);
  return result;
}

function refused(result: Hold | BudgetRefusal): BudgetRefusal {
  if ("settle" in result) throw new Error("it was not refused");
  return result;
}

test("a budget is an amount, a window and whether it is hard; anything else is none", () => {
  expect(spec("$5/day")).toEqual({ limitNanoUsd: 5_000_000_000, window: "day", isHard: true });
  expect(spec("$100/month soft")).toEqual({ limitNanoUsd: 100_000_000_000, window: "month", isHard: false });
  expect(spec("$0.000000001 / hour hard")).toEqual({ limitNanoUsd: 1, window: "hour", isHard: true });
  expect(spec("$20")).toEqual({ limitNanoUsd: 20_000_000_000, window: "total", isHard: true });
  for (const text of ["5/day", "$5/year", "$-1", "$1.0000000001", "$1e3", "", "$5/day gentle"]) {
    expect(parseBudget(text), text).toBeUndefined();
  }
});

test("windows are those of the calendar, in UTC, and weeks begin on Monday", () => {
  const of = (window: Parameters<typeof boundsOf>[0]) => {
    const { startMs, endMs } = boundsOf(window, NOON_MS + 1);
    return [startMs, endMs].map((ms) => (Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 13) : "never"));
  };
  expect(of("hour")).toEqual(["2026-03-04T12", "2026-03-04T13"]);
  expect(of("day")).toEqual(["2026-03-04T00", "2026-03-05T00"]);
  expect(of("week")).toEqual(["2026-03-02T00", "2026-03-09T00"]);
  expect(of("month")).toEqual(["2026-03-01T00", "2026-04-01T00"]);
  expect(of("total")).toEqual(["1970-01-01T00", "never"]);
});

describe("a hard budget", () => {
  test("sets the most a call can cost aside, so that calls under way count, and takes what it did cost", () => {
    const { budgets } = purse([everything("$0.000001/day")]);
    const first = held(budgets.reserve(ask(600)));
    expect(first.reservedNanoUsd).toBe(600);
    expect(refused(budgets.reserve(ask(401)))).toMatchObject({
      ...{ code: "in_flight_budget_exhausted", spentNanoUsd: 0, reservedNanoUsd: 600, neededNanoUsd: 401 },
      ...{ scope: "everything", resetsAtMs: NOON_MS + 12 * HOUR_MS },
    });
    held(budgets.reserve(ask(400))).settle(0);
    first.settle(100);
    expect(budgets.headroomNanoUsd({ key: "a" }, "openai")).toBe(900);
    held(budgets.reserve(ask(900))).settle(900);
    expect(refused(budgets.reserve(ask(1)))).toMatchObject({ code: "budget_exceeded", spentNanoUsd: 1_000 });
    expect(budgets.exhausted({ key: "a" })).toMatchObject({ code: "budget_exceeded" });
  });

  test("says when a request could never fit, and when nothing bounds what it costs", () => {
    const { budgets } = purse([everything("$0.000001/day")]);
    expect(refused(budgets.reserve(ask(1_001)))).toMatchObject({ code: "request_exceeds_budget" });
    const unbounded = { upperNanoUsd: undefined, likelyNanoUsd: 5 };
    expect(refused(budgets.reserve(ask(0, unbounded)))).toMatchObject({ code: "unpriced" });
    const payer = { key: "a", allowUnpriced: true };
    expect(held(budgets.reserve(ask(0, { ...unbounded, payer }))).reservedNanoUsd).toBeUndefined();
  });

  test("logs what a provider billed beyond its own limits, and counts it", () => {
    const { budgets, log } = purse([everything("$0.000001/day")]);
    held(budgets.reserve(ask(600))).settle(700);
    expect(log).toEqual([expect.stringContaining("cost 100 nanodollars more than was set aside")]);
    expect(budgets.status()).toMatchObject([{ spent_nano_usd: 700, reserved_nano_usd: 0 }]);
  });
});

test("a soft budget sets aside what a call will about cost", () => {
  const { budgets } = purse([everything("$0.000001/day soft")]);
  const calls = Array.from({ length: 10 }, () => held(budgets.reserve(ask(1_000))));
  expect(refused(budgets.reserve(ask(1_000)))).toMatchObject({ code: "in_flight_budget_exhausted" });
  for (const call of calls) call.settle(150);
  expect(refused(budgets.reserve(ask(10)))).toMatchObject({ code: "budget_exceeded", spentNanoUsd: 1_500 });
});

test("every budget that a call falls under must hold it: key, team, organisation, provider, everything", () => {
  const payer = { key: "a", keyId: "key_1", team: "red", organisation: "acme", budgets: [spec("$0.00001")] };
  const scopes: [BudgetSettings["scope"], string][] = [
    ["team", "red"],
    ["organisation", "acme"],
    ["provider", "openai"],
    ["everything", ""],
    ["key", "a"],
  ];
  for (const [scope, name] of scopes) {
    const { budgets } = purse([{ scope, name, spec: spec("$0.000001/day") }]);
    expect(refused(budgets.reserve(ask(1_001, { payer })))).toMatchObject({ scope, name });
    held(budgets.reserve(ask(1_000, { payer })));
  }
  const { budgets } = purse([]);
  expect(refused(budgets.reserve(ask(10_001, { payer })))).toMatchObject({ scope: "key", name: "a" });
  expect(budgets.remainingNanoUsd(payer)).toBe(10_000);
});

test("a budget of `*` is one for each", () => {
  const { budgets } = purse([{ scope: "key", name: "*", spec: spec("$0.000001/day") }]);
  held(budgets.reserve(ask(1_000)));
  expect(refused(budgets.reserve(ask(1)))).toMatchObject({ name: "a" });
  held(budgets.reserve(ask(1_000, { payer: { key: "b" } })));
});

test("a key keeps what it has spent under another name", () => {
  const { budgets } = purse([{ scope: "key", name: "*", spec: spec("$0.000001") }]);
  held(budgets.reserve(ask(1_000, { payer: { key: "old", keyId: "key_1" } }))).settle(1_000);
  expect(refused(budgets.reserve(ask(1, { payer: { key: "new", keyId: "key_1" } })))).toMatchObject({ scope: "key" });
});

test("with a window's end its spending is over, and a call that began before it is counted where it began", () => {
  const { budgets, clock } = purse([everything("$0.000001/hour")]);
  const late = held(budgets.reserve(ask(1_000)));
  clock.nowMs += HOUR_MS;
  held(budgets.reserve(ask(1_000))).settle(0);
  late.settle(1_000);
  expect(budgets.status()).toMatchObject([{ spent_nano_usd: 0, reserved_nano_usd: 0 }]);
  expect(budgets.spentOf({ key: "a" })).toEqual({ hour: 0, day: 1_000, week: 1_000, month: 1_000, total: 1_000 });
});

test("what was spent before the start counts", () => {
  const owner = { key: "a", keyId: "", team: "red", organisation: "", provider: "openai" };
  const balances = [
    { ...owner, hour: 0, day: 20, week: 30, month: 40, total: 50 },
    { ...owner, hour: 10, day: 0, week: 0, month: 0, total: 0 },
  ];
  const { budgets } = purse([{ scope: "team", name: "red", spec: spec("$0.00000005") }], balances);
  expect(budgets.spentOf({ key: "a" })).toEqual({ hour: 10, day: 20, week: 30, month: 40, total: 50 });
  expect(budgets.exhausted({ key: "b", team: "red" })).toMatchObject({ scope: "team", spentNanoUsd: 50 });
});

test("whoever watches is told of every budget a call was paid from", () => {
  const { budgets, events } = purse([everything("$1/day"), { scope: "provider", name: "openai", spec: spec("$2") }]);
  held(budgets.reserve(ask(600))).settle(5);
  const day = boundsOf("day", NOON_MS).startMs;
  expect(events.map(({ scope, windowStartMs, spentNanoUsd }) => [scope, windowStartMs, spentNanoUsd])).toEqual([
    ["everything", day, 5],
    ["provider", 0, 5],
  ]);
});

test("in whatever order calls begin and end, a hard budget is never exceeded, and no call is settled twice", () => {
  const step = fc.oneof(
    fc.record({
      upper: fc.nat({ max: 400 }),
      key: fc.constantFrom("a", "b", "c"),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ settle: fc.nat() }),
    fc.record({ afterMs: fc.nat({ max: 2 * HOUR_MS }) }),
  );
  let interleavings = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const settings: BudgetSettings[] = [
        everything("$0.000001"),
        { scope: "key", name: "*", spec: spec("$0.0000004/hour") },
      ];
      const { budgets, clock } = purse(settings);
      const open: { hold: Hold; cost: number }[] = [];
      let spent = 0;
      const settle = ({ hold, cost }: { hold: Hold; cost: number }) => {
        hold.settle(cost);
        spent += cost;
        expect(() => hold.settle(cost)).toThrow("settled twice");
      };
      for (const each of steps) {
        interleavings += 1;
        if ("afterMs" in each) clock.nowMs += each.afterMs;
        else if ("settle" in each) {
          const [call] = open.length === 0 ? [] : open.splice(each.settle % open.length, 1);
          if (call !== undefined) settle(call);
        } else {
          const hold = budgets.reserve(ask(each.upper, { payer: { key: each.key } }));
          if ("settle" in hold) open.push({ hold, cost: Math.round(each.upper * each.share) });
        }
        for (const { limit_nano_usd: limit, spent_nano_usd: out, reserved_nano_usd: reserved } of budgets.status()) {
          expect(out + reserved).toBeLessThanOrEqual(limit);
        }
      }
      for (const call of open) settle(call);
      expect(budgets.status().every(({ reserved_nano_usd: reserved }) => reserved === 0)).toBe(true);
      expect(budgets.status().find(({ scope }) => scope === "everything")?.spent_nano_usd ?? 0).toBe(spent);
      expect(spent).toBeLessThanOrEqual(1_000);
    }),
    { numRuns: 300 },
  );
  expect(interleavings).toBeGreaterThan(1_000);
});

/** Uniform in [0, 1), the same on every machine. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("a million reservations and settlements in random order leave not a nanodollar unaccounted for", () => {
  const LIMIT_NANO = 1_000_000_000;
  const { budgets } = purse([everything("$1")]);
  const draw = mulberry32(7);
  const open: { hold: Hold; cost: number }[] = [];
  let spent = 0;
  let settled = 0;
  const settleOne = () => {
    const at = Math.floor(draw() * open.length);
    const call = open[at] as { hold: Hold; cost: number };
    open[at] = open.at(-1) as { hold: Hold; cost: number };
    open.pop();
    call.hold.settle(call.cost);
    spent += call.cost;
    settled += 1;
  };
  for (let step = 0; step < 1_000_000; step += 1) {
    if (open.length > 0 && draw() < 0.5) settleOne();
    else {
      const upper = Math.floor(draw() * 10_000_000);
      const hold = budgets.reserve(ask(upper, { payer: { key: `key-${Math.floor(draw() * 200)}` } }));
      // Most calls cost a sliver of what they could.
      if ("settle" in hold) open.push({ hold, cost: Math.floor((upper * draw()) / 2_000) });
      else if (open.length > 0) settleOne();
    }
    const headroom = budgets.headroomNanoUsd({ key: "key-0" }, "openai") as number;
    if (headroom < 0 || headroom > LIMIT_NANO - spent) throw new Error(`step ${step}: ${headroom} left of ${spent}`);
  }
  while (open.length > 0) settleOne();
  expect(settled).toBeGreaterThan(400_000);
  expect(spent).toBeLessThanOrEqual(LIMIT_NANO);
  expect(budgets.status()).toMatchObject([{ spent_nano_usd: spent, reserved_nano_usd: 0 }]);
});

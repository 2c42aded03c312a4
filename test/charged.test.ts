// What providers say they charged, to the nanodollar.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chargedNanoUsd } from "../providers/dialects/openai/charged.ts";

const DOLLARS = { path: ["cost"], unit: "usd" } as const;
const TICKS = { path: ["cost_in_usd_ticks"], unit: "usd_ticks" } as const;

describe("dollars, as numbers or as text", () => {
  test.each<[unknown, number | undefined]>([
    [0, 0],
    [0.00014, 140_000],
    ["0.00014", 140_000],
    [1e-7, 100],
    ["1.5E-7", 150],
    [12, 12_000_000_000],
    // A number that doubles cannot hold: the text it was written as counts.
    [0.1, 100_000_000],
    [0.30000000000000004, 300_000_000],
    // Below a nanodollar, a half goes to the even neighbour.
    ["0.0000000005", 0],
    ["0.0000000015", 2],
    ["0.0000000025", 2],
    ["0.00000000250000000001", 3],
    [-1, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    ["free", undefined],
    ["", undefined],
    ["1e99", undefined],
    [null, undefined],
    [undefined, undefined],
    [{}, undefined],
    // More than an integer can hold.
    [1e15, undefined],
  ])("%j is %s nanodollars", (cost, nanoUsd) => {
    expect(chargedNanoUsd({ cost }, DOLLARS)).toBe(nanoUsd);
  });

  test("whatever amount in nanodollars is written as dollars comes back as it was", () => {
    fc.assert(
      fc.property(fc.nat({ max: 1_000_000_000_000 }), (nano) => {
        const text = `${Math.floor(nano / 1e9)}.${String(nano % 1e9).padStart(9, "0")}`;
        expect(chargedNanoUsd({ cost: text }, DOLLARS)).toBe(nano);
        expect(chargedNanoUsd(JSON.parse(`{"cost":${text}}`), DOLLARS)).toBe(nano);
      }),
    );
  });
});

test.each([
  [37_756_000, 3_775_600],
  [5, 0],
  [15, 2],
  [0, 0],
])("%i ticks are %i nanodollars", (ticks, nanoUsd) => {
  expect(chargedNanoUsd({ cost_in_usd_ticks: ticks }, TICKS)).toBe(nanoUsd);
});

describe("a bill that comes from two sides", () => {
  const byok = { ...DOLLARS, elsewhere: { when: "is_byok", path: ["cost_details", "upstream"] } };
  test("is the sum of both", () => {
    const usage = { cost: 0.001, is_byok: true, cost_details: { upstream: 0.02 } };
    expect(chargedNanoUsd(usage, byok)).toBe(21_000_000);
  });
  test("is not known when one of them is not told", () => {
    expect(chargedNanoUsd({ cost: 0.001, is_byok: true, cost_details: { upstream: null } }, byok)).toBeUndefined();
  });
  test("is the first where there is no second", () => {
    expect(chargedNanoUsd({ cost: 0.001, is_byok: false, cost_details: { upstream: 0.02 } }, byok)).toBe(1_000_000);
  });
});

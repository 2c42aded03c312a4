// What a call costs, to the nanodollar.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RateCard, Rates, Usage } from "../src/chat.ts";
import { costNanoUsd, discounted, formatUsd } from "../src/pricing.ts";

// $3 and $15 per million tokens, cache reads at $0.30, writes at $3.75 and $6: micro-dollars per million tokens.
const card: RateCard = {
  input: 3_000_000,
  output: 15_000_000,
  cacheRead: 300_000,
  cacheWrite: 3_750_000,
  cacheWrite1h: 6_000_000,
};

describe("the cost of a call, worked out by hand", () => {
  test.each<[string, Usage, Rates, number | undefined]>([
    ["nothing used", { inputTokens: 0, outputTokens: 0 }, card, 0],
    // 1,000 × $3/M + 100 × $15/M = $0.003 + $0.0015
    ["input and output", { inputTokens: 1_000, outputTokens: 100 }, card, 4_500_000],
    // 200 fresh × $3/M + 800 cached × $0.30/M = $0.0006 + $0.00024
    ["cached input", { inputTokens: 1_000, cacheReadTokens: 800, outputTokens: 0 }, card, 840_000],
    // 100 fresh, 800 read, 60 written for 5 min, 40 for 1 h: 300 + 240 + 225 + 240 µ$
    [
      "every kind of cache",
      { inputTokens: 1_000, cacheReadTokens: 800, cacheWriteTokens: 60, cacheWrite1hTokens: 40, outputTokens: 0 },
      card,
      1_005_000,
    ],
    ["reasoning is part of the output", { inputTokens: 0, outputTokens: 100, reasoningTokens: 90 }, card, 1_500_000],
    [
      "cached input without a price of its own costs as much as fresh input",
      { inputTokens: 1_000, cacheReadTokens: 800, cacheWriteTokens: 100, outputTokens: 0 },
      { input: 3_000_000, output: 0 },
      3_000_000,
    ],
    // 700 text × $2.50/M + 300 audio × $40/M; 20 text × $10/M + 30 audio × $80/M
    [
      "audio in and out",
      { inputTokens: 1_000, audioInputTokens: 300, outputTokens: 50, audioOutputTokens: 30 },
      { input: 2_500_000, output: 10_000_000, audioInput: 40_000_000, audioOutput: 80_000_000 },
      1_750_000 + 12_000_000 + 200_000 + 2_400_000,
    ],
    [
      "audio without a price of its own costs as much as text",
      { inputTokens: 1_000, audioInputTokens: 300, outputTokens: 50, audioOutputTokens: 50 },
      { input: 2_500_000, output: 10_000_000 },
      3_000_000,
    ],
    ["a free model", { inputTokens: 1_000, outputTokens: 1_000 }, { input: 0, output: 0 }, 0],
    // One token at $0.0375/M is 37.5 nano-dollars; half of an even number stays.
    ["a half above an even number", { inputTokens: 1, outputTokens: 0 }, { input: 38_500, output: 0 }, 38],
    ["a half above an odd number", { inputTokens: 1, outputTokens: 0 }, { input: 37_500, output: 0 }, 38],
    ["just below a half", { inputTokens: 1, outputTokens: 0 }, { input: 37_499, output: 0 }, 37],
    ["just above a half", { inputTokens: 1, outputTokens: 0 }, { input: 38_501, output: 0 }, 39],
    // Rounded once: three parts of 0.4 n$ are 1.2 n$, not 0.
    [
      "parts below one nanodollar add up before they are rounded",
      { inputTokens: 2, cacheReadTokens: 1, outputTokens: 1 },
      { input: 400, output: 400, cacheRead: 400 },
      1,
    ],
    // 10⁹ tokens × $600/M: far above what a double could add exactly in picodollars.
    [
      "a sum larger than 2⁵³ picodollars",
      { inputTokens: 1_000_000_001, outputTokens: 0 },
      { input: 600_000_001, output: 0 },
      600_000_001_600_000,
    ],
    ["input that was not told", { outputTokens: 5 }, card, undefined],
    ["output that was not told", { inputTokens: 5 }, card, undefined],
    ["nothing told", {}, card, undefined],
    [
      "an hour's write without a price",
      { inputTokens: 10, cacheWrite1hTokens: 1, outputTokens: 0 },
      { input: 1, output: 1 },
      undefined,
    ],
    [
      "an hour's write of nothing needs no price",
      { inputTokens: 10, cacheWrite1hTokens: 0, outputTokens: 0 },
      { input: 1_000, output: 1 },
      10,
    ],
    [
      "more cached than there was input: what was told of the cache is billed",
      { inputTokens: 10, cacheReadTokens: 20, outputTokens: 0 },
      card,
      6_000,
    ],
  ])("%s", (_, usage, rates, cost) => {
    expect(costNanoUsd(usage, rates, 0)).toBe(cost);
  });
});

describe("a tier of long prompts prices every token of the request", () => {
  const long: RateCard = { input: 6_000_000, output: 22_500_000, cacheRead: 600_000 };
  const longest: RateCard = { input: 12_000_000, output: 45_000_000 };
  const rates: Rates = {
    ...card,
    // In no particular order.
    tiers: [
      { aboveInputTokens: 500_000, rates: longest },
      { aboveInputTokens: 200_000, rates: long },
    ],
  };

  test.each([
    ["at the boundary the lower price still holds", 200_000, 10, 600_000_000 + 150_000],
    ["one token above it the higher price holds for all", 200_001, 10, 1_200_006_000 + 225_000],
    ["at the next boundary the middle one holds", 500_000, 0, 3_000_000_000],
    ["above the highest boundary the highest one holds", 500_001, 0, 6_000_012_000],
  ])("%s", (_, inputTokens, outputTokens, cost) => {
    expect(costNanoUsd({ inputTokens, outputTokens }, rates, 0)).toBe(cost);
  });

  test("the whole prompt chooses the tier, cached or not, and the tier's own price is used for the cache", () => {
    const usage = { inputTokens: 200_001, cacheReadTokens: 200_000, outputTokens: 0 };
    expect(costNanoUsd(usage, rates, 0)).toBe(120_000_000 + 6_000);
  });

  test("a tier without a price for cached input does not borrow one from the other tier", () => {
    const usage = { inputTokens: 500_001, cacheReadTokens: 500_001, outputTokens: 0 };
    expect(costNanoUsd(usage, rates, 0)).toBe(6_000_012_000);
  });
});

const tokens = fc.integer({ min: 0, max: 2_000_000 });
const price = fc.integer({ min: 0, max: 1_000_000_000 });
const cards = fc.record({ input: price, output: price, cacheRead: price, cacheWrite: price, cacheWrite1h: price });
const parts = fc.record({ fresh: tokens, read: tokens, write: tokens, write1h: tokens, output: tokens });

test("the whole costs what its parts cost, rounded once, half to even", () => {
  fc.assert(
    fc.property(parts, cards, ({ fresh, read, write, write1h, output }, rates) => {
      const usage: Usage = {
        inputTokens: fresh + read + write + write1h,
        cacheReadTokens: read,
        cacheWriteTokens: write,
        cacheWrite1hTokens: write1h,
        outputTokens: output,
      };
      const priced: [number, number][] = [
        [fresh, rates.input],
        [read, rates.cacheRead],
        [write, rates.cacheWrite],
        [write1h, rates.cacheWrite1h],
        [output, rates.output],
      ];
      const pico = priced.reduce((sum, [count, perToken]) => sum + BigInt(count) * BigInt(perToken), 0n);
      const nano = BigInt(costNanoUsd(usage, rates, 0)!);
      const error = nano * 1_000n - pico;
      expect(error <= 500n && error >= -500n).toBe(true);
      if (error === 500n || error === -500n) expect(nano % 2n).toBe(0n);
    }),
  );
});

test("what is counted twice is not billed twice: reasoning and audio never raise a bill that has no price for them", () => {
  fc.assert(
    fc.property(tokens, tokens, tokens, cards, (inputTokens, outputTokens, some, rates) => {
      const told = { inputTokens, outputTokens };
      const more = { ...told, reasoningTokens: some, audioInputTokens: some, audioOutputTokens: some };
      expect(costNanoUsd(more, rates, 0)).toBe(costNanoUsd(told, rates, 0));
    }),
  );
});

describe("dollars are written exactly", () => {
  test.each([
    [0, "0"],
    [1, "0.000000001"],
    [123_456, "0.000123456"],
    [1_000_000_000, "1"],
    [1_500_000_000, "1.5"],
    [10_000_000_000, "10"],
    [100, "0.0000001"],
    [-4_500_000, "-0.0045"],
    [Number.MAX_SAFE_INTEGER, "9007199.254740991"],
  ])("%i nanodollars are $%s", (nano, text) => {
    expect(formatUsd(nano)).toBe(text);
  });

  test("whatever the amount, the text says it to the last digit", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (nano) => {
        const [, sign, whole, fraction = ""] = /^(-?)(\d+)(?:\.(\d*[1-9]))?$/.exec(formatUsd(nano))!;
        const back = BigInt(whole!) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
        expect(sign === "-" ? -back : back).toBe(BigInt(nano));
      }),
    );
  });
});

test("a discount takes its share off every price and tier, rounded half-even once, and leaves the list as it is", () => {
  const rates = {
    input: 1_250_001,
    output: 10_000_000,
    cacheRead: 125,
    tiers: [{ aboveInputTokens: 200_000, rates: { input: 2_500_000, output: 15_000_000 } }],
  };
  expect(discounted(rates, 0.5)).toEqual({
    input: 625_000,
    output: 5_000_000,
    cacheRead: 62,
    tiers: [{ aboveInputTokens: 200_000, rates: { input: 1_250_000, output: 7_500_000 } }],
  });
  expect(discounted(rates, 0.125)).toMatchObject({ output: 8_750_000 });
  expect(rates.input).toBe(1_250_001);
});

// Which price applies: by time, tier and region that answered, size of the prompt; and the most a call can cost.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadCatalog } from "../src/catalog.ts";
import { addUsage, mergeUsage, type Rates, type Usage } from "../src/chat.ts";
import { classesOf, INPUT_CLASSES, OUTPUT_CLASSES } from "../src/pricing/classes.ts";
import {
  costNanoUsd,
  discounted,
  priceAttempt,
  rateKeys,
  ratesJson,
  surcharged,
  worstCostNanoUsd,
} from "../src/pricing.ts";

const at = (text: string) => Date.parse(text);
const NOON = at("2026-11-24T12:00:00Z");
const MILLION: Usage = { inputTokens: 1_000_000, outputTokens: 0 };
/** Dollars for a million tokens of input. */
const usd = (rates: Rates, atMs: number, usage = MILLION) => (costNanoUsd(usage, rates, atMs) ?? Number.NaN) / 1e9;

describe("classes billed apart, worked out by hand", () => {
  const rates: Rates = {
    input: 2_000_000,
    output: 8_000_000,
    cacheRead: 200_000,
    audioInput: 20_000_000,
    audioCacheRead: 4_000_000,
    audioOutput: 40_000_000,
    imageInput: 3_000_000,
    imageOutput: 30_000_000,
    reasoningOutput: 3_000_000,
    citation: 1_000_000,
    request: 12_000_000_000,
    search: 5_000_000_000,
  };
  // A request is $0.012, so 12,000,000 n$, in every row.
  test.each<[string, Usage, number]>([
    ["the fee of a request alone", { inputTokens: 0, outputTokens: 0 }, 12_000_000],
    // 2 × $0.005
    ["searches", { inputTokens: 0, outputTokens: 0, searches: 2 }, 22_000_000],
    // 100 × $2/M + 50 × $3/M
    ["pictures in", { inputTokens: 150, imageInputTokens: 50, outputTokens: 0 }, 12_000_000 + 200_000 + 150_000],
    // 10 × $8/M + 1,290 × $30/M
    [
      "a picture out",
      { inputTokens: 0, outputTokens: 1_300, imageOutputTokens: 1_290 },
      12_000_000 + 80_000 + 38_700_000,
    ],
    // 30 × $8/M + 70 × $3/M
    ["reasoning", { inputTokens: 0, outputTokens: 100, reasoningTokens: 70 }, 12_000_000 + 240_000 + 210_000],
    // 40 text cached × $0.20/M + 60 audio cached × $4/M + 20 audio × $20/M + 80 text × $2/M
    [
      "cached audio is cheaper than audio and dearer than cached text",
      { inputTokens: 200, cacheReadTokens: 100, audioInputTokens: 80, audioCacheReadTokens: 60, outputTokens: 0 },
      12_000_000 + 8_000 + 240_000 + 400_000 + 160_000,
    ],
    // 20,016 × $1/M
    ["sources beside the answer", { inputTokens: 0, outputTokens: 0, citationTokens: 20_016 }, 12_000_000 + 20_016_000],
    // 1 of 60 tokens read is billed: 1 × $2/M
    [
      "what is billed, where that is less than what was read",
      { inputTokens: 60, billedInputTokens: 1, outputTokens: 0 },
      12_002_000,
    ],
  ])("%s", (_, usage, nanoUsd) => {
    expect(costNanoUsd(usage, rates, NOON)).toBe(nanoUsd);
  });

  test("searches without a price leave the cost unknown, unless a fee for the request holds them", () => {
    const usage = { inputTokens: 1, outputTokens: 1, searches: 1 };
    expect(costNanoUsd(usage, { input: 1_000, output: 1_000 }, NOON)).toBeUndefined();
    expect(costNanoUsd(usage, { input: 1_000, output: 1_000, request: 5_000 }, NOON)).toBe(7);
  });
});

describe("a tier begins where the vendor says", () => {
  const long = { input: 2_000_000, output: 0 };
  test.each([
    ["272,000 or more", { fromInputTokens: 272_000 }, 271_999, 1],
    ["272,000 or more", { fromInputTokens: 272_000 }, 272_000, 2],
    ["more than 200,000", { aboveInputTokens: 200_000 }, 200_000, 1],
    ["more than 200,000", { aboveInputTokens: 200_000 }, 200_001, 2],
  ])("%s: %o at %i tokens costs $%i per million", (_, bound, inputTokens, price) => {
    const rates: Rates = { input: 1_000_000, output: 0, tiers: [{ ...bound, rates: long }] };
    expect(costNanoUsd({ inputTokens, outputTokens: 0 }, rates, NOON)).toBe(inputTokens * price * 1_000);
  });
});

describe("prices change by date and time of day, told by when the attempt was opened", () => {
  const card = (input: number) => ({ input: input * 1_000_000, output: 0 });
  const introductory: Rates = { ...card(1), periods: [{ fromDate: "2027-01-01", rates: card(2) }] };
  const night: Rates = { ...card(4), periods: [{ fromTime: "16:30", untilTime: "00:30", rates: card(2) }] };
  const workdays: Rates = {
    ...card(1),
    periods: [{ fromTime: "01:00", untilTime: "04:00", days: [1, 2, 3, 4, 5], rates: card(2) }],
  };
  const sale: Rates = { ...card(4), periods: [{ fromDate: "2026-11-24", untilDate: "2026-11-26", rates: card(3) }] };
  test.each<[string, Rates, string, number]>([
    ["the last moment of an introductory price", introductory, "2026-12-31T23:59:59.999Z", 1],
    ["the first moment after it", introductory, "2027-01-01T00:00:00.000Z", 2],
    ["before the cheap hours", night, "2026-11-24T16:29:59.999Z", 4],
    ["when they begin", night, "2026-11-24T16:30:00Z", 2],
    ["over midnight", night, "2026-11-25T00:29:59.999Z", 2],
    ["when they end", night, "2026-11-25T00:30:00Z", 4],
    ["peak on a Friday", workdays, "2026-11-27T01:00:00Z", 2],
    ["the same hour on a Saturday", workdays, "2026-11-28T01:00:00Z", 1],
    ["the day before a sale", sale, "2026-11-23T23:59:00Z", 4],
    ["its last day", sale, "2026-11-25T23:59:00Z", 3],
    ["the day it has ended", sale, "2026-11-26T00:00:00Z", 4],
  ])("%s", (_, rates, time, price) => {
    expect(usd(rates, at(time))).toBe(price);
  });

  test("of several that hold the last one counts, with tiers of its own", () => {
    const rates: Rates = {
      ...card(1),
      periods: [
        { fromDate: "2026-01-01", rates: card(2) },
        { fromDate: "2026-06-01", rates: { ...card(3), tiers: [{ fromInputTokens: 500_000, rates: card(6) }] } },
      ],
    };
    expect(usd(rates, at("2026-05-31T00:00:00Z"))).toBe(2);
    expect(usd(rates, at("2026-06-01T00:00:00Z"))).toBe(6);
  });
});

describe("the tier and the region that answered", () => {
  const rates: Rates = {
    input: 1_000_000,
    output: 0,
    search: 10_000_000_000,
    tiers: [{ fromInputTokens: 2_000_000, rates: { input: 2_000_000, output: 0, search: 10_000_000_000 } }],
    serviceTiers: { flex: 500_000, priority: 2_500_000, ultrafast: { input: 9_000_000, output: 0 } },
    regions: { us: 1_100_000 },
  };
  test.each<[string, Partial<Usage>, number]>([
    ["nobody told", {}, 1],
    ["the ordinary tier", { serviceTier: "default" }, 1],
    ["half price", { serviceTier: "flex" }, 0.5],
    ["a premium", { serviceTier: "priority" }, 2.5],
    ["prices of its own", { serviceTier: "ultrafast" }, 9],
    ["a region at a premium", { region: "us" }, 1.1],
    ["a region without one", { region: "global" }, 1],
    ["both", { serviceTier: "priority", region: "us" }, 2.75],
    // 2,000,000 × $2/M × 2.5
    ["a multiplier holds for long prompts too", { inputTokens: 2_000_000, serviceTier: "priority" }, 10],
    ["a fee per search is the same for every tier", { serviceTier: "flex", searches: 1 }, 0.51],
  ])("%s", (_, told, price) => {
    expect(usd(rates, NOON, { ...MILLION, ...told })).toBe(price);
  });

  test.each(["priority_by_contract", "constructor", "__proto__"])(
    "a tier whose price nobody told (%s) leaves the cost unknown",
    (serviceTier) => expect(costNanoUsd({ ...MILLION, serviceTier }, rates, NOON)).toBeUndefined(),
  );

  test("a multiplied price is a price: it is rounded before it is used, as the vendor prints it", () => {
    // $0.15 × 1.666667 is printed as $0.25.
    const mini: Rates = { input: 150_000, output: 600_000, serviceTiers: { fast: 1_666_667 } };
    expect(usd(mini, NOON, { ...MILLION, outputTokens: 1_000_000, serviceTier: "fast" })).toBe(1.25);
  });
});

describe("how a cost is known", () => {
  const rates: Rates = { input: 1_000, output: 1_000 };
  const usage: Usage = { inputTokens: 3, outputTokens: 2 };
  test.each<[string, Parameters<typeof priceAttempt>[0], object]>([
    ["by the model's own id", { usage, rates, basis: "exact", atMs: NOON }, { nanoUsd: 5, status: "exact" }],
    ["by another name", { usage, rates, basis: "alias", atMs: NOON }, { nanoUsd: 5, status: "alias" }],
    ["by the operator", { usage, rates, basis: "override", atMs: NOON }, { nanoUsd: 5, status: "override" }],
    [
      "by the provider, before any table",
      { usage: { ...usage, reportedCostNanoUsd: 7 }, rates, basis: "exact", atMs: NOON },
      { nanoUsd: 7, status: "reported" },
    ],
    [
      "by the provider, without a table or counts",
      { usage: { reportedCostNanoUsd: 0 }, rates: undefined, basis: undefined, atMs: NOON },
      { nanoUsd: 0, status: "reported" },
    ],
    [
      "not: no price",
      { usage, rates: undefined, basis: undefined, atMs: NOON },
      { nanoUsd: undefined, status: "unknown" },
    ],
    [
      "not: no usage",
      { usage: undefined, rates, basis: "exact", atMs: NOON },
      { nanoUsd: undefined, status: "unknown" },
    ],
    [
      "not: a tier without a price",
      { usage: { ...usage, serviceTier: "x" }, rates, basis: "exact", atMs: NOON },
      { nanoUsd: undefined, status: "unknown" },
    ],
  ])("%s", (_, attempt, priced) => expect(priceAttempt(attempt)).toEqual(priced));
});

const count = fc.nat({ max: 2_000_000 });
const price = fc.nat({ max: 1_000_000_000 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const maybe = { freq: 3, nil: undefined } as const;

/** Overlapping and contradicting as providers' counts may be, but within the prompt and the answer. */
const usages = fc
  .record({
    inputTokens: count,
    outputTokens: count,
    shares: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 }),
    searches: optional(fc.nat({ max: 20 })),
    serviceTier: optional(fc.constantFrom("default", "flex", "priority", "own", "nobody-knows")),
    region: optional(fc.constantFrom("us", "eu")),
    isBilledLess: fc.boolean(),
  })
  .map(({ inputTokens, outputTokens, shares, isBilledLess, ...rest }): Usage => {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = shares;
    const cacheReadTokens = Math.floor(inputTokens * a);
    const cacheWriteTokens = Math.floor((inputTokens - cacheReadTokens) * b);
    const cacheWrite1hTokens = Math.floor((inputTokens - cacheReadTokens - cacheWriteTokens) * c);
    const audioInputTokens = Math.floor(inputTokens * d);
    const fresh = inputTokens - cacheReadTokens - cacheWriteTokens - cacheWrite1hTokens;
    return {
      ...{ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens, audioInputTokens },
      audioCacheReadTokens: Math.floor(audioInputTokens * e),
      imageInputTokens: Math.floor(inputTokens * f),
      reasoningTokens: Math.floor(outputTokens * g),
      audioOutputTokens: Math.floor(outputTokens * h),
      imageOutputTokens: Math.floor(outputTokens * e),
      ...(isBilledLess && { billedInputTokens: inputTokens - fresh }),
      ...rest,
    };
  });

const cards = fc.record(
  {
    ...{ input: price, output: price, cacheRead: price, cacheWrite: price, cacheWrite1h: price, audioInput: price },
    ...{ audioCacheRead: price, audioOutput: price, imageInput: price, imageOutput: price, reasoningOutput: price },
    ...{ request: price, search: price },
  },
  { requiredKeys: ["input", "output"] },
);
const tiers = fc.array(
  fc.oneof(
    fc.record({ fromInputTokens: fc.integer({ min: 1, max: 2_000_000 }), rates: cards }),
    fc.record({ aboveInputTokens: fc.integer({ min: 1, max: 2_000_000 }), rates: cards }),
  ),
  { maxLength: 3 },
);
const prices = fc
  .tuple(cards, fc.option(tiers, maybe))
  .map(([card, own]) => (own === undefined ? card : { ...card, tiers: own }));
const periods = fc.array(
  fc.record(
    {
      fromDate: fc.constantFrom("2026-01-01", "2026-11-24", "2027-01-01"),
      untilDate: fc.constantFrom("2026-06-01", "2027-06-01"),
      days: fc.subarray([0, 1, 2, 3, 4, 5, 6], { minLength: 1 }),
      rates: prices,
    },
    { requiredKeys: ["rates"] },
  ),
  { maxLength: 3 },
);
const multiplier = fc.integer({ min: 1, max: 3_000_000 });
const ratesOf: fc.Arbitrary<Rates> = fc
  .record({ prices, periods, flex: multiplier, priority: multiplier, own: prices, us: multiplier })
  .map(({ prices: base, periods: times, flex, priority, own, us }) => {
    return { ...base, periods: times, serviceTiers: { flex, priority, own }, regions: { us } };
  });
const times = fc.integer({ min: at("2025-12-01T00:00:00Z"), max: at("2027-12-01T00:00:00Z") });

test("the classes of a usage are disjoint and add up to its input and its output, whatever overlaps in the counts", () => {
  fc.assert(
    fc.property(usages, (usage) => {
      const classes = classesOf(usage);
      const sum = (names: readonly (keyof typeof classes)[]) => names.reduce((total, name) => total + classes[name], 0);
      expect(sum(INPUT_CLASSES)).toBe(usage.billedInputTokens ?? usage.inputTokens);
      expect(sum(OUTPUT_CLASSES)).toBe(usage.outputTokens);
      for (const [name, tokens] of Object.entries(classes)) expect(tokens, name).toBeGreaterThanOrEqual(0);
    }),
  );
});

describe("the most a call can cost", () => {
  test("is never below what a usage within the bounds costs, whichever tier, region, period or class it is billed at", () => {
    let compared = 0;
    fc.assert(
      fc.property(usages, ratesOf, times, fc.nat({ max: 1000 }), (usage, rates, atMs, room) => {
        const { inputTokens = 0, outputTokens = 0, searches } = usage;
        const actual = costNanoUsd(usage, rates, atMs);
        const bounds = { inputTokens: inputTokens + room, maxOutputTokens: outputTokens + room, searches };
        const worst = worstCostNanoUsd({ ...bounds, rates, atMs });
        if (actual === undefined) return;
        compared += 1;
        expect(worst).toBeGreaterThanOrEqual(actual);
      }),
      { numRuns: 2_000 },
    );
    expect(compared).toBeGreaterThan(500);
  });

  test("nor where it is narrowed to tiers and classes that the call keeps to", () => {
    fc.assert(
      fc.property(count, count, ratesOf, times, (inputTokens, outputTokens, rates, atMs) => {
        const usage = {
          inputTokens,
          outputTokens,
          cacheReadTokens: Math.floor(inputTokens / 2),
          serviceTier: "default",
        };
        const worst = worstCostNanoUsd({
          ...{ inputTokens, maxOutputTokens: outputTokens, rates, atMs, serviceTiers: ["default"] },
          never: [
            "audioInput",
            "audioCacheRead",
            "audioOutput",
            "imageInput",
            "imageOutput",
            "cacheWrite",
            "cacheWrite1h",
          ],
        });
        expect(worst).toBeGreaterThanOrEqual(costNanoUsd(usage, rates, atMs) ?? Number.NaN);
      }),
      { numRuns: 1_000 },
    );
  });

  test("counts the dearest of what may happen: a cache write, the long prompt, the fastest tier, the region, the fees", () => {
    const rates: Rates = {
      ...{ input: 1_000_000, output: 4_000_000, cacheRead: 100_000, cacheWrite: 1_250_000, cacheWrite1h: 2_000_000 },
      ...{ request: 1_000_000_000, search: 10_000_000_000 },
      tiers: [{ fromInputTokens: 200_000, rates: { input: 3_000_000, output: 8_000_000, cacheWrite: 3_750_000 } }],
      serviceTiers: { flex: 500_000, fast: 2_000_000 },
      regions: { us: 1_100_000 },
    };
    const bounds = { maxOutputTokens: 1_000, rates, atMs: NOON };
    // 100,000 × $2/M × 2 × 1.1 + 1,000 × $4/M × 2 × 1.1 + $0.001
    expect(worstCostNanoUsd({ ...bounds, inputTokens: 100_000 })).toBe(440_000_000 + 8_800_000 + 1_000_000);
    // 200,000 × $3.75/M × 2.2 + 1,000 × $8/M × 2.2 + 3 searches have no price in the tier
    expect(worstCostNanoUsd({ ...bounds, inputTokens: 200_000 })).toBe(1_650_000_000 + 17_600_000);
    // 100,000 × $1.25/M + 1,000 × $4/M + $0.001 + 3 × $0.01
    const plain = { serviceTiers: ["default"], never: ["cacheWrite1h" as const], searches: 3 };
    const withoutRegion = { ...rates, regions: {} };
    expect(worstCostNanoUsd({ ...bounds, ...plain, rates: withoutRegion, inputTokens: 100_000 })).toBe(
      125_000_000 + 4_000_000 + 1_000_000 + 30_000_000,
    );
  });

  test("is unknown without a price, and where nothing bounds what is billed", () => {
    const bounds = { inputTokens: 1, maxOutputTokens: 1, atMs: NOON };
    expect(worstCostNanoUsd({ ...bounds, rates: undefined })).toBeUndefined();
    expect(worstCostNanoUsd({ ...bounds, rates: { input: 1, output: 1, citation: 1 } })).toBeUndefined();
  });

  test("is known for nearly every priced model of the catalogue", () => {
    const bounds = { inputTokens: 100_000, maxOutputTokens: 10_000, atMs: NOON };
    const unbounded = ["openai", "anthropic", "google", "deepseek", "perplexity"].flatMap((provider) =>
      [...loadCatalog().models(provider).values()].filter(
        ({ rates }) => rates !== undefined && worstCostNanoUsd({ ...bounds, rates }) === undefined,
      ),
    );
    expect(unbounded.map(({ id }) => id)).toEqual(["sonar-deep-research"]);
  });
});

describe("a short name for a set of prices", () => {
  test("is the same for the same prices in whatever order, another for others, and short", () => {
    const keyOf = rateKeys();
    const one: Rates = { input: 1, output: 2, regions: { us: 3, eu: 4 } };
    const same: Rates = { regions: { eu: 4, us: 3 }, output: 2, input: 1 };
    expect(keyOf(one)).toBe(keyOf(same));
    expect(keyOf(one)).toMatch(/^[0-9a-f]{16}$/);
    expect(keyOf(one)).not.toBe(keyOf({ ...one, output: 3 }));
    expect(ratesJson(one)).toBe('{"input":1,"output":2,"regions":{"eu":4,"us":3}}');
  });

  test("and its text prices a call as the prices themselves do", () => {
    fc.assert(
      fc.property(usages, ratesOf, times, (usage, rates, atMs) => {
        const stored = JSON.parse(ratesJson(rates)) as Rates;
        expect(costNanoUsd(usage, stored, atMs)).toBe(costNanoUsd(usage, rates, atMs));
      }),
      { numRuns: 200 },
    );
  });

  test("no two different prices of the catalogue share one", () => {
    const keyOf = rateKeys();
    const texts = new Map<string, string>();
    const catalog = loadCatalog();
    for (const provider of ["openai", "anthropic", "google", "openrouter", "huggingface", "deepseek"]) {
      for (const { rates } of catalog.models(provider).values()) {
        if (rates === undefined) continue;
        expect(texts.get(keyOf(rates)) ?? ratesJson(rates)).toBe(ratesJson(rates));
        texts.set(keyOf(rates), ratesJson(rates));
      }
    }
    expect(texts.size).toBeGreaterThan(200);
  });
});

test("a discount reaches every price there is; a surcharge those of tokens only", () => {
  const rates: Rates = {
    ...{ input: 1_000_000, output: 0, search: 10_000_000_000 },
    periods: [{ fromTime: "00:00", untilTime: "01:00", rates: { input: 2_000_000, output: 0 } }],
    serviceTiers: { flex: 500_000, fast: { input: 4_000_000, output: 0 } },
  };
  expect(discounted(rates, 0.25)).toEqual({
    ...{ input: 750_000, output: 0, search: 7_500_000_000 },
    periods: [{ fromTime: "00:00", untilTime: "01:00", rates: { input: 1_500_000, output: 0 } }],
    serviceTiers: { flex: 500_000, fast: { input: 3_000_000, output: 0 } },
  });
  expect(surcharged(rates, 0.1)).toMatchObject({ input: 1_100_000, search: 10_000_000_000 });
});

describe("usage in parts", () => {
  const first: Usage = { inputTokens: 5, serviceTier: "default", searches: 1, reportedCostNanoUsd: 10 };
  const second: Usage = {
    outputTokens: 2,
    serviceTier: "flex",
    searches: 2,
    reportedCostNanoUsd: 15,
    region: undefined,
  };
  test("of one call: what is told later replaces what was told, and nothing is lost or added", () => {
    expect(mergeUsage(first, second)).toEqual({
      ...{ inputTokens: 5, outputTokens: 2, serviceTier: "flex", searches: 2, reportedCostNanoUsd: 15 },
    });
  });
  test("of several calls: counts and costs add up, words are the last call's", () => {
    expect(addUsage(first, second)).toEqual({
      ...{ inputTokens: 5, outputTokens: 2, serviceTier: "flex", searches: 3, reportedCostNanoUsd: 25 },
    });
  });
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { limitRows } from "../providers/catalog/limits.ts";
import { type Inputs, mergeProvider } from "../providers/catalog/merge.ts";
import { microUsd } from "../providers/catalog/money.ts";
import { matchesAny, readOverrides } from "../providers/catalog/overrides.ts";
import type { PriceRow } from "../providers/catalog/prices.ts";
import { printCatalog } from "../providers/catalog/print.ts";
import { catalogFile, loadCatalog } from "../src/catalog.ts";
import type { RateCard, Rates } from "../src/chat.ts";
import type { ModelEntry } from "../src/dialect.ts";
import { packageRoot } from "../src/package-root.ts";
import { tierStart } from "../src/pricing/rates.ts";

const path = join(packageRoot(), "providers", "catalog.json");
const text = readFileSync(path, "utf8");
const file = catalogFile.parse(JSON.parse(text));
const catalog = loadCatalog();

const folder = mkdtempSync(join(tmpdir(), "signalbox-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the committed catalogue", () => {
  it("prices at least 300 models, of at least 20 providers", () => {
    const priced = Object.keys(file.providers).map(
      (id) => [...catalog.models(id).values()].filter((m) => m.rates).length,
    );
    expect(priced.filter((models) => models > 0).length).toBeGreaterThanOrEqual(20);
    expect(priced.reduce((sum, models) => sum + models, 0)).toBeGreaterThanOrEqual(300);
  });

  it("is byte for byte what the printer makes of its content, in whatever order that comes", () => {
    const reversed = Object.entries(file.providers).reverse();
    const sections = new Map(reversed.map(([id, { models }]) => [id, Object.values(models).reverse()]));
    expect(printCatalog(file.sources, sections)).toBe(text);
  });

  it("lists every model under its own id, and a price never without its source", () => {
    for (const { models } of Object.values(file.providers)) {
      for (const [id, model] of Object.entries(models)) {
        expect(model.id).toBe(id);
        expect(model.priceSource === undefined).toBe(model.rates === undefined);
        expect(model.priceStatus === undefined).toBe(model.rates === undefined);
      }
    }
  });

  it("puts tiers in ascending order, each with a rate for every class of the base card", () => {
    for (const { id, rates } of allModels()) {
      if (rates?.tiers === undefined) continue;
      const { tiers, periods: _, serviceTiers: __, regions: ___, ...base } = rates;
      const starts = tiers.map(tierStart);
      expect(starts, id).toEqual([...starts].sort((a, b) => a - b));
      for (const tier of tiers) expect(Object.keys(tier.rates).sort(), id).toEqual(Object.keys(base).sort());
    }
  });

  it("loads in well under 200 ms", () => {
    const runsMs = [1, 2, 3].map(() => {
      const startMs = performance.now();
      loadCatalog();
      return performance.now() - startMs;
    });
    expect(Math.min(...runsMs)).toBeLessThan(200);
  });

  it("knows nothing of a provider without a section, and says so with an empty map", () => {
    expect(catalog.models("no-such-provider").size).toBe(0);
  });
});

/** Dollars per million tokens as the vendors print them, written down by hand. */
const EXPECTED: [
  provider: string,
  model: string,
  usdPerMTok: Partial<Record<keyof RateCard, number>>,
  tiers?: object,
][] = [
  ["openai", "gpt-4o", { input: 2.5, output: 10, cacheRead: 1.25 }],
  ["openai", "gpt-4o-mini", { input: 0.15, output: 0.6, cacheRead: 0.075 }],
  ["openai", "gpt-5", { input: 1.25, output: 10, cacheRead: 0.125 }],
  [
    "openai",
    "gpt-5.6-sol",
    { input: 4, output: 20, cacheRead: 0.4, cacheWrite: 5 },
    // The vendor writes "< 272K" for the standard rates, so 272,000 tokens are billed at the higher ones.
    { from: 272_000, input: 8, output: 30, cacheRead: 0.8, cacheWrite: 10 },
  ],
  ["openai", "gpt-6.1-sol", { input: 2, output: 10, cacheRead: 0.1, cacheWrite: 2.5 }],
  ["anthropic", "claude-haiku-4-5", { input: 1, output: 5, cacheRead: 0.1, cacheWrite: 1.25, cacheWrite1h: 2 }],
  ["anthropic", "claude-sonnet-4-6", { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75, cacheWrite1h: 6 }],
  ["anthropic", "claude-opus-5-5", { input: 4, output: 20, cacheRead: 0.2, cacheWrite: 5, cacheWrite1h: 8 }],
  ["anthropic", "claude-sonnet-5-5", { input: 2, output: 10, cacheRead: 0.1, cacheWrite: 2.5, cacheWrite1h: 4 }],
  [
    "google",
    "gemini-2.5-pro",
    { input: 1.25, output: 10, cacheRead: 0.125 },
    { above: 200_000, input: 2.5, output: 15, cacheRead: 0.25 },
  ],
  ["google", "gemini-2.5-flash", { input: 0.3, output: 2.5, cacheRead: 0.03, audioInput: 1 }],
  ["google", "gemini-3.8-flash", { input: 0.75, output: 3.75, cacheRead: 0.075 }],
  ["groq", "llama-3.3-70b-versatile", { input: 0.59, output: 0.79 }],
  ["deepseek", "deepseek-v4-pro", { input: 0.66, output: 1.98, cacheRead: 0.022 }],
  ["mistral", "mistral-large-latest", { input: 0.5, output: 1.5 }],
];

describe("prices of well-known models", () => {
  it.each(EXPECTED)("%s/%s costs what its vendor prints", (provider, id, usdPerMTok, tier) => {
    const rates = catalog.models(provider).get(id)?.rates;
    expect(rates).toMatchObject(toMicro(usdPerMTok));
    if (tier === undefined) return;
    const { above, from, ...usd } = tier as { above?: number; from?: number };
    const bound = from === undefined ? { aboveInputTokens: above } : { fromInputTokens: from };
    expect(rates?.tiers).toEqual([{ ...bound, rates: expect.objectContaining(toMicro(usd)) }]);
  });

  it("says what a price will be from an announced day, or at another time of day", () => {
    const later = { fromDate: "2027-01-01", rates: toMicro({ input: 1.5, output: 7.5, cacheRead: 0.15 }) };
    expect(catalog.models("google").get("gemini-3.8-flash")?.rates?.periods).toEqual([later]);
    const peak = { days: [1, 2, 3, 4, 5], rates: toMicro({ input: 1.32, output: 3.96, cacheRead: 0.044 }) };
    expect(catalog.models("deepseek").get("deepseek-v4-pro")?.rates?.periods).toEqual([
      { fromTime: "01:00", untilTime: "04:00", ...peak },
      { fromTime: "06:00", untilTime: "10:00", ...peak },
    ]);
  });

  it("says what service tiers, regions, searches and requests cost, where the vendors do", () => {
    const rates = (provider: string, model: string) => catalog.models(provider).get(model)?.rates;
    expect(rates("openai", "gpt-5.5")?.serviceTiers).toMatchObject({ flex: 500_000, priority: 2_500_000 });
    expect(rates("anthropic", "claude-opus-4-6")?.serviceTiers).toEqual({ batch: 500_000, fast: 6_000_000 });
    expect(rates("anthropic", "claude-opus-5-5")?.regions).toEqual({ us: 1_100_000 });
    expect(rates("anthropic", "claude-opus-4-5")?.regions).toBeUndefined();
    expect(rates("anthropic", "claude-sonnet-5-5")?.search).toBe(10_000_000_000);
    expect(rates("perplexity", "sonar")?.request).toBe(12_000_000_000);
  });

  it("tells a name of the list's own from another name, and both from a price somebody wrote", () => {
    expect(catalog.models("openai").get("gpt-5")?.priceStatus).toBe("exact");
    const named = allModels().filter(({ pricedAs }) => pricedAs !== undefined);
    expect(named.length).toBeGreaterThan(100);
    for (const { id, priceStatus } of named) expect(priceStatus, id).toBe("alias");
    const written = allModels().filter(({ priceSource }) => priceSource === "overrides");
    expect(written.length).toBeGreaterThan(0);
    for (const { id, priceStatus } of written) expect(priceStatus, id).toBe("override");
  });

  it("leaves a model unpriced rather than free when no list has its price", () => {
    expect(catalog.models("nvidia").get("openai/gpt-oss-20b")?.rates).toBeUndefined();
    expect(catalog.models("openai").get("gpt-4o-audio-preview")?.rates).toBeUndefined();
  });
});

describe("limits and capabilities", () => {
  it("are those of the model at this provider", () => {
    expect(catalog.models("anthropic").get("claude-opus-5-5")).toMatchObject({
      contextTokens: 1_000_000,
      maxOutputTokens: 128_000,
      input: ["text", "image", "file"],
      output: ["text"],
      tools: true,
      reasoning: true,
      features: { sampling: false, strictTools: true, cacheSeconds: 300, longCacheSeconds: 3600, imagesMax: 600 },
    });
    expect(catalog.models("openai").get("gpt-5")?.features).toMatchObject({
      effort: { none: null, minimal: "minimal" },
    });
    expect(catalog.models("openai").get("gpt-6.1-sol")?.contextTokens).toBe(1_050_000);
  });
});

describe("dollars to micro-dollars", () => {
  it.each([
    [0.135, 135_000, false],
    [0.003625, 3_625, false],
    [0.1 + 0.2, 300_000, false],
    [75, 75_000_000, false],
    [0, 0, false],
    [0.08333333333333334, 83_333, true],
    [0.0000005, 0, true],
    [0.0000015, 2, true],
    [0.0000025, 2, true],
  ])("%s dollars are %s micro-dollars, rounded: %s", (dollars, micro, rounded) => {
    expect(microUsd(dollars)).toEqual({ micro, rounded });
  });
});

describe("merging", () => {
  it("believes the price list, and lists a disagreement of more than one percent as undecided", () => {
    const { models, disagreements } = mergeProvider(inputs({}));
    expect(models[0]).toMatchObject({
      id: "Model-A",
      rates: { input: 1_000_000 },
      priceSource: "P",
      limitsSource: "L",
    });
    expect(disagreements).toEqual([{ model: "Model-A", what: "input $1 / $2", decidedBy: undefined }]);
  });

  it("lets an override choose the other list, set a price, or take it away", () => {
    expect(only({ models: { "model-a": { priceFrom: "pi-ai" } } })).toMatchObject({ rates: { input: 2_000_000 } });
    expect(only({ priceFrom: "pi-ai" })).toMatchObject({ rates: { input: 2_000_000 } });
    const usdPerMTok = { input: 7, output: 8, tiers: [{ aboveInputTokens: 10, input: 9, output: 9 }] };
    const tiers = [{ aboveInputTokens: 10, rates: { input: 9_000_000, output: 9_000_000 } }];
    expect(only({ models: { "model-a": { usdPerMTok } } })).toMatchObject({
      rates: { tiers },
      priceSource: "overrides",
    });
    expect(only({ models: { "model-a": { unpriced: true } } }).rates).toBeUndefined();
  });

  it("adds a cache class only when the lists agree on the plain prices", () => {
    expect(only({}).rates?.cacheRead).toBeUndefined();
    const agreed = mergeProvider(inputs({}, { input: 2_010_000, output: 10_000_000 }));
    expect(agreed.disagreements).toEqual([]);
    expect(agreed.models[0]).toMatchObject({ rates: { input: 2_010_000, cacheRead: 200_000 }, priceSource: "P + L" });
  });

  it("derives what a rule for the provider derives: documents from images, one-hour writes from input", () => {
    const rates = { input: 2_000_000, output: 10_000_000, cacheWrite: 2_500_000 };
    const merged = mergeProvider(inputs({ imagesImply: ["file"], cacheWrite1hTimesInput: 2 }, rates));
    expect(merged.models[0]).toMatchObject({ input: ["text", "image", "file"], rates: { cacheWrite1h: 4_000_000 } });
  });

  it("adds what neither list knows: tiers, regions, searches, days; the first pattern that matches counts", () => {
    const periods = [{ fromTime: "01:00", untilTime: "04:00", rates: { input: 2_000_000, output: 20_000_000 } }];
    const rates: Rates = { input: 1_000_000, output: 10_000_000, periods };
    const merged = mergeProvider(
      inputs(
        {
          serviceTiers: [
            { models: ["model-*"], times: { flex: 0.5, fast: 2.5 } },
            { models: ["*"], times: { flex: 0.4 } },
          ],
          regions: [{ models: ["other-*"], times: { us: 1.1 } }],
          usdPerThousandSearches: 10,
          timesOfDayHoldOn: [{ models: ["*"], days: [1, 2] }],
        },
        rates,
      ),
    );
    const search = 10_000_000_000;
    expect(merged.models[0]?.rates).toEqual({
      ...{ input: 1_000_000, output: 10_000_000, search },
      periods: [{ ...periods[0], days: [1, 2], rates: { input: 2_000_000, output: 20_000_000, search } }],
      serviceTiers: { flex: 500_000, fast: 2_500_000 },
    });
  });

  it("leaves models that cost nothing without conditions, and a fee of the list as it is", () => {
    const free = { input: 0, output: 0 };
    const overrides = { usdPerThousandSearches: 10, serviceTiers: [{ models: ["*"], times: { flex: 0.5 } }] };
    expect(mergeProvider(inputs(overrides, free)).models[0]?.rates).toEqual(free);
    const own = { input: 1_000_000, output: 10_000_000, search: 7 };
    expect(mergeProvider(inputs(overrides, own)).models[0]?.rates?.search).toBe(7);
  });

  it("keeps a fee per search when the tokens are priced by the other list", () => {
    const rates = { input: 1_000_000, output: 10_000_000, search: 7 };
    const merged = mergeProvider(inputs({ priceFrom: "pi-ai" }, rates));
    expect(merged.models[0]?.rates).toMatchObject({ input: 2_000_000, search: 7 });
  });

  it("leaves out skipped ids and keeps models only an override knows", () => {
    const merged = mergeProvider(inputs({ skip: ["model-*"], models: { "new-one": { contextTokens: 5 } } }));
    expect(merged.models).toEqual([{ id: "new-one", contextTokens: 5, limitsSource: "overrides" }]);
  });

  it.each([
    ["gpt-image-1", ["gpt-image-*"], true],
    ["gpt-5.4", ["gpt-5?4", "gpt.5.4"], false],
    ["auto", ["!*/*"], true],
    ["openrouter/auto", ["!*/*"], false],
  ])("%s against %s: skipped is %s", (id, patterns, skipped) => expect(matchesAny(id, patterns)).toBe(skipped));
});

describe("what a person who mistypes is told", () => {
  it.each([
    ["acme:\n  skip: [x]\n", /provider "acme" is unknown; use one of: openai/],
    ["openai:\n  models:\n    gpt-5: { usdPerMTok: { input: 1 } }\n", /openai\.models\["gpt-5"\]\.usdPerMTok\.output/],
    ["openai:\n  pricesFrom: pi-ai\n", /pricesFrom/],
    [
      "openai:\n  models:\n    x: { usdPerMTok: { input: 1, output: 1, tiers: [{ input: 1, output: 1 }] } }\n",
      /a tier begins either fromInputTokens/,
    ],
    ["openai:\n  serviceTiers: [{ models: [x], times: { fast: 200 } }]\n", /serviceTiers/],
  ])("%j", (yaml, message) => {
    const at = join(folder, "overrides.yaml");
    writeFileSync(at, yaml);
    expect(() => readOverrides(at, ["openai"])).toThrow(message);
    expect(() => readOverrides(at, ["openai"])).toThrow(at);
  });

  it("a catalogue with a misspelt price is refused, with its path and field", () => {
    const at = join(folder, "catalog.json");
    writeFileSync(at, text.replace('"cacheRead":', '"cachedRead":'));
    expect(() => loadCatalog(at)).toThrow(/catalog\.json does not fit the catalogue schema:[\s\S]*cachedRead/);
  });
});

function allModels(): ModelEntry[] {
  return Object.values(file.providers).flatMap(({ models }) => Object.values(models));
}

function toMicro(usdPerMTok: object): Record<string, number> {
  return Object.fromEntries(Object.entries(usdPerMTok).map(([name, dollars]) => [name, Math.round(dollars * 1e6)]));
}

/** One model in both lists: $1 in the first (unless given), $2 in the second. */
function inputs(overrides: Inputs["overrides"], rates: Rates = { input: 1_000_000, output: 10_000_000 }): Inputs {
  const row: PriceRow = {
    id: "model-a",
    pricedAs: "model-a",
    name: undefined,
    contextTokens: undefined,
    audioInput: false,
    rates,
    notes: [],
  };
  const cost = { input: 2, output: 10, cacheRead: 0.2, cacheWrite: 0 };
  const model = { id: "Model-A", name: "A", type: "chat", input: ["text", "image"], cost };
  const limits = limitRows({ "openai-completions": { "chat:Model-A": model } }, "openai-chat");
  return { prices: new Map([["model-a", row]]), limits, overrides, priceLabel: "P", limitLabel: "L" };
}

function only(overrides: Inputs["overrides"]): ModelEntry {
  return mergeProvider(inputs(overrides)).models[0]!;
}

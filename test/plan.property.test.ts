// What holds for every plan, whatever the rules, the prices, the past and the caller's wishes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChatBody } from "../src/chat.ts";
import { type EnabledProvider, type ModelEntry, type Target, targetName } from "../src/dialect.ts";
import type { Candidate } from "../src/routing/candidates.ts";
import { applySet } from "../src/routing/parameters.ts";
import { plan } from "../src/routing/plan.ts";
import { compile } from "../src/routing/rules.ts";
import { DATA_POLICIES, FEATURES, type SetEntry, STRATEGIES } from "../src/routing/schema.ts";
import type { Score } from "../src/routing/scores.ts";
import { buildSnapshot, type Snapshot } from "../src/routing/snapshot.ts";
import { ORDERINGS, type Scored } from "../src/routing/strategies.ts";
import { askedOf, drawsFrom, fleetOf, providerOf, type RequestFacts } from "./routing-support.ts";

const RUNS = { numRuns: 300 };
const PROVIDERS = ["alpha", "beta", "gamma", "delta"];
const MODELS = ["one", "two"];
const TARGETS = PROVIDERS.flatMap((provider) => MODELS.map((model) => `${provider}/${model}`));

const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const price = fc.integer({ min: 0, max: 50_000_000 });
const entry = fc.record(
  {
    contextTokens: fc.integer({ min: 1_000, max: 1_000_000 }),
    tools: fc.boolean(),
    structuredOutputs: fc.boolean(),
    reasoning: fc.boolean(),
    input: fc.subarray(["text", "image", "audio", "file"] as const),
    rates: fc.record(
      { input: price, output: price, cacheRead: price, cacheWrite: price },
      { requiredKeys: ["input", "output"] },
    ),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Omit<ModelEntry, "id">>;
const provider = fc.record({
  models: fc.tuple(entry, entry),
  regions: optional(fc.subarray(["eu", "us"])),
  dataPolicy: optional(fc.constantFrom(...DATA_POLICIES)),
});

const use = fc.constantFrom(...TARGETS, ...MODELS, "alpha/*", "mixed");
const target = fc.oneof(use, fc.record({ use, quality: fc.integer({ min: 0, max: 10 }) }, { requiredKeys: ["use"] }));
const requirements = fc.record(
  {
    min_context: fc.integer({ min: 0, max: 500_000 }),
    max_cost: fc.constantFrom("$0.0001", "$0.01", "$1"),
    max_input_price: fc.constantFrom("$0.5", "$10"),
    max_output_price: fc.constantFrom("$0.5", "$10"),
    supports: fc.subarray([...FEATURES], { minLength: 1 }),
    regions: fc.subarray(["eu", "us"], { minLength: 1 }),
    data_policy: fc.constantFrom(...DATA_POLICIES),
    max_ttft: fc.constantFrom("100ms", "5s"),
    quality: fc.integer({ min: 0, max: 10 }),
  },
  { requiredKeys: [] },
);
const rule = fc.record(
  {
    pick: fc.constantFrom(...STRATEGIES),
    from: fc.array(target, { minLength: 1, maxLength: 5 }),
    fallback: fc.array(fc.oneof(target, fc.array(target, { minLength: 1, maxLength: 2 })), {
      minLength: 1,
      maxLength: 3,
    }),
    require: requirements,
    affinity: fc.record({ by: fc.constantFrom("session", "none") }),
    caller_overrides: fc.constantFrom("allow", "deny"),
  },
  { requiredKeys: ["from"] },
);

const slugs = fc.array(fc.constantFrom(...PROVIDERS, "ALPHA", "beta/fp8", "nobody"), { maxLength: 3 });
const number = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }).map(String));
const wishes = fc.record(
  {
    order: slugs,
    allow_fallbacks: fc.boolean(),
    require_parameters: fc.boolean(),
    data_collection: fc.constantFrom("allow", "deny"),
    zdr: fc.boolean(),
    only: slugs,
    ignore: slugs,
    quantizations: fc.subarray(["fp8", "unknown"]),
    sort: fc.constantFrom("price", "throughput", "latency", "exacto", { by: "price", partition: "none" }),
    preferred_min_throughput: number,
    preferred_max_latency: fc.record({ p50: number, p99: number }, { requiredKeys: [] }),
    max_price: fc.record({ prompt: number, completion: number, audio: number }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);
const past = fc.record(
  {
    ttft: fc.integer({ min: 0, max: 20_000 }),
    msPerToken: fc.double({ min: 0, max: 200, noNaN: true }),
    failures: fc.double({ min: 0, max: 1, noNaN: true }),
    samples: fc.integer({ min: 0, max: 100 }),
  },
  { requiredKeys: [] },
);
const facts = fc.record({
  model: fc.constantFrom("asked", "asked:floor", "asked:nitro"),
  tokens: fc.integer({ min: 0, max: 400_000 }),
  outputTokens: fc.integer({ min: 0, max: 8_000 }),
  has: fc.subarray(["tools", "images", "json_schema", "audio", "files", "reasoning"] as const),
  fleet: fc.dictionary(fc.constantFrom(...TARGETS), past),
  affinity: optional(
    fc.record({
      target: fc.constantFrom(...TARGETS),
      cachedTokens: fc.integer({ min: 0, max: 400_000 }),
      hitProbability: fc.constantFrom(0, 0.5, 0.9),
    }),
  ),
  body: fc.record({ provider: optional(wishes), max_tokens: optional(fc.integer({ min: 1, max: 8_000 })) }),
}) as fc.Arbitrary<unknown> as fc.Arbitrary<RequestFacts>;

interface World {
  providers: {
    models: [Omit<ModelEntry, "id">, Omit<ModelEntry, "id">];
    regions: string[] | undefined;
    dataPolicy: string | undefined;
  }[];
  rule: Record<string, unknown>;
}
const worlds = fc.record({
  providers: fc.array(provider, { minLength: PROVIDERS.length, maxLength: PROVIDERS.length }),
  rule,
}) as unknown as fc.Arbitrary<World>;

/** A rule for some names. Keys that would have no effect are left out, since the compiler refuses them. */
function effective({ require, ...rule }: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify([rule.from, rule.fallback ?? []]);
  const { quality, ...others } = (require ?? {}) as Record<string, unknown>;
  if (!text.includes('"quality"')) return { ...rule, require: others };
  return { ...rule, require: { ...others, quality: quality ?? 0 } };
}

function snapshotOf({ providers, rule }: World): Snapshot {
  const rules = [{ name: "one", model: ["asked", "alpha/*"], ...effective(rule) }];
  const text = JSON.stringify({ version: 1, aliases: { mixed: ["beta/one", "gamma/two"] }, rules });
  const compiled = compile([{ file: "rules.yaml", text }], () => undefined);
  if ("errors" in compiled) throw new Error(compiled.errors[0]?.message);
  const enabled = providers.map(({ models, regions, dataPolicy }, at): [string, EnabledProvider] => {
    const id = PROVIDERS[at] as string;
    const entries = models.map((model, which): [string, ModelEntry] => {
      const name = MODELS[which] as string;
      return [name, { ...model, id: name }];
    });
    const settings = {
      ...(regions === undefined ? {} : { regions }),
      ...(dataPolicy === undefined ? {} : { dataPolicy }),
    };
    return [id, providerOf(id, new Map(entries), settings as Partial<EnabledProvider>)];
  });
  return buildSnapshot({
    rules: compiled,
    rulesText: text,
    providers: new Map(enabled),
    disabled: new Map(),
    catalogVersion: "1",
  });
}

const planned = (snapshot: Snapshot, request: RequestFacts, seed = 1) =>
  plan(snapshot, askedOf(request), fleetOf(request), drawsFrom(seed));

const namesOf = (result: ReturnType<typeof plan>) =>
  result.kind === "plan" ? result.candidates.map((candidate) => targetName(candidate.target)) : [];

const scored = fc.array(
  fc.record({
    cost: optional(fc.integer({ min: 0, max: 1_000_000_000 })),
    latencyMs: fc.double({ min: 0, max: 100_000, noNaN: true }),
    failureRate: fc.double({ min: 0, max: 1, noNaN: true }),
    weight: fc.double({ min: 0.001, max: 1_000, noNaN: true }),
  }),
  { maxLength: 8 },
);
type Figures = { cost: number | undefined; latencyMs: number; failureRate: number; weight: number };

function scoredOf({ cost, latencyMs, failureRate, weight }: Figures, at: number): Scored {
  const target = { provider: providerOf(`p${at}`, new Map()), model: "m", entry: undefined } satisfies Target;
  const candidate: Candidate = {
    name: targetName(target),
    target,
    rule: undefined,
    tier: 0,
    weight,
    quality: undefined,
    set: {},
    isAllowedByAlias: false,
    reasons: [],
    isSecondChoice: false,
  };
  const score: Score = {
    inputTokens: 1,
    cachedTokens: 0,
    outputTokens: 1,
    costNanoUsd: cost,
    latencyMs,
    isGuess: false,
    failureRate,
    utility: cost === undefined ? Number.POSITIVE_INFINITY : cost + latencyMs * 1_000,
  };
  return { candidate, score };
}

describe("a strategy", () => {
  test.each(STRATEGIES)("%s returns a permutation of what it is given, and leaves that as it is", (name) => {
    fc.assert(
      fc.property(scored, fc.nat(), (figures, seed) => {
        const given = figures.map(scoredOf);
        const before = [...given];
        const ordered = ORDERINGS[name](given, drawsFrom(seed));
        expect(given).toEqual(before);
        expect(ordered).toHaveLength(given.length);
        expect(new Set(ordered)).toEqual(new Set(given));
      }),
      RUNS,
    );
  });

  test.each([
    ["cheapest", { cost: 1_000 }],
    ["fastest", { latencyMs: 1_000 }],
  ] as const)("%s never ranks a target better for being worse", (name, worse) => {
    fc.assert(
      fc.property(scored, fc.nat(), (figures, which) => {
        fc.pre(figures.length > 0);
        const at = which % figures.length;
        const rankOf = (all: Figures[]) => {
          const ordered = ORDERINGS[name](all.map(scoredOf), () => 0.5);
          return ordered.findIndex(({ candidate }) => candidate.name === `p${at}/m`);
        };
        const changed = figures.map((item, index) => {
          if (index !== at) return item;
          const { cost, latencyMs } = item;
          return "cost" in worse
            ? { ...item, cost: cost === undefined ? undefined : cost + worse.cost }
            : { ...item, latencyMs: latencyMs + worse.latencyMs };
        });
        expect(rankOf(changed)).toBeGreaterThanOrEqual(rankOf(figures));
      }),
      RUNS,
    );
  });

  test("balanced puts each first as often as (best ÷ its own)⁴ says", () => {
    const utilities = [1_000, 1_100, 1_500, 2_000, 4_000];
    const given = utilities.map((cost, at) => scoredOf({ cost, latencyMs: 0, failureRate: 0, weight: 1 }, at));
    const weights = utilities.map((utility) => (1_000 / utility) ** 4);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const draw = drawsFrom(20_261_124);
    const firsts = utilities.map(() => 0);
    const count = 40_000;
    for (let run = 0; run < count; run += 1) {
      const first = ORDERINGS.balanced(given, draw)[0] as Scored;
      firsts[given.indexOf(first)] = (firsts[given.indexOf(first)] ?? 0) + 1;
    }
    for (const [at, weight] of weights.entries()) {
      const chance = weight / total;
      // Four standard deviations: one seed in three thousand would fall outside.
      const slack = 4 * Math.sqrt((chance * (1 - chance)) / count);
      expect(Math.abs((firsts[at] ?? 0) / count - chance), `of ${utilities[at]}`).toBeLessThan(slack);
    }
  });
});

describe("a plan", () => {
  test("holds every target that is not excluded once and no other, tier after tier; without any there are reasons", () => {
    fc.assert(
      fc.property(worlds, facts, fc.nat(), (world, request, seed) => {
        const result = planned(snapshotOf(world), request, seed);
        const { targets, missing } = result.trace;
        const allowed = targets.filter(({ reasons }) => reasons.length === 0);
        expect(namesOf(result).sort()).toEqual(allowed.map(({ name }) => name).sort());
        if (result.kind === "plan") {
          expect(result.candidates.length).toBeGreaterThan(0);
          const tiers = result.candidates.map(({ tier }) => tier);
          expect(tiers).toEqual([...tiers].sort((a, b) => a - b));
          // ASCII, for it travels in a header.
          expect(result.decision).toMatch(/^[\x20-\x7e]+$/);
        } else {
          expect(targets.length + missing.length).toBeGreaterThan(0);
          expect(targets.every(({ reasons }) => reasons.length > 0)).toBe(true);
          expect(result.error.status).toBeGreaterThanOrEqual(400);
          expect(result.error.message).not.toBe("");
          expect(result.error.metadata?.availability).toMatchObject({
            excluded_by: expect.arrayContaining([expect.any(String)]),
          });
        }
      }),
      RUNS,
    );
  });

  test("is the same for the same request, past and draws", () => {
    fc.assert(
      fc.property(worlds, facts, fc.nat(), (world, request, seed) => {
        const [first, second] = [1, 2].map(() => planned(snapshotOf(world), request, seed));
        expect(first?.trace).toEqual(second?.trace);
        expect(namesOf(first as never)).toEqual(namesOf(second as never));
        expect(first?.decision).toBe(second?.decision);
      }),
      RUNS,
    );
  });

  test("is never wider for what a caller wishes", () => {
    fc.assert(
      fc.property(
        worlds,
        facts,
        fc.array(fc.constantFrom("asked", "asked:floor"), { maxLength: 3 }),
        (world, request, models) => {
          const snapshot = snapshotOf(world);
          const { provider: _wishes, ...plain } = request.body ?? {};
          const without = namesOf(planned(snapshot, { ...request, model: "asked", body: plain }));
          const wished = models.length === 0 ? request.body : { ...request.body, models };
          const narrowed = namesOf(planned(snapshot, { ...request, body: wished ?? {} }));
          expect(narrowed.filter((name) => !without.includes(name))).toEqual([]);
          if (world.rule.caller_overrides === "deny") expect(narrowed.sort()).toEqual(without.sort());
        },
      ),
      RUNS,
    );
  });

  test("leads to nothing that the rules of its names would not lead to one by one", () => {
    const names = fc.constantFrom("asked", ...TARGETS, ...MODELS, "mixed", "nobody");
    fc.assert(
      fc.property(
        worlds,
        facts,
        names,
        fc.array(names, { minLength: 1, maxLength: 4 }),
        (world, request, model, models) => {
          const snapshot = snapshotOf(world);
          const { provider: _wishes, ...body } = request.body ?? {};
          const together = namesOf(planned(snapshot, { ...request, model, body: { ...body, models } }));
          const single = [model, ...models].flatMap((name) =>
            namesOf(planned(snapshot, { ...request, model: name, body })),
          );
          expect(together.filter((name) => !single.includes(name))).toEqual([]);
        },
      ),
      RUNS,
    );
  });

  test("is made or refused, and never throws, whatever a caller sends", () => {
    const nasty = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom("__proto__", "constructor", { __proto__: null }, JSON.parse('{"__proto__":{"order":["alpha"]}}')),
      fc.dictionary(
        fc.constantFrom("order", "only", "sort", "max_price", "preferred_max_latency", "zdr"),
        fc.jsonValue(),
      ),
    );
    const text = fc.oneof(
      fc.string({ unit: "binary", minLength: 1, maxLength: 256 }),
      fc.constantFrom("__proto__", "a/", "/", "alpha/", "alpha/*", "*", "asked:nitro:nitro"),
    );
    const header = fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom("__proto__", "x-app", "x-signalbox-tags")),
      fc.string(),
    );
    const when =
      'header["x-app"] == "cli" && metadata["a"].matches(metadata["b"]) && "x" in tags && turns / tokens.input > 1';
    const conditional: World["rule"] = { from: ["alpha/one"], when };
    fc.assert(
      fc.property(worlds, text, fc.tuple(nasty, nasty, nasty, nasty), header, (world, model, [a, b, c, d], headers) => {
        const body = { provider: a, models: b, metadata: c, max_tokens: d, tools: c, reasoning: a } as Record<
          string,
          unknown
        >;
        for (const rule of [world.rule, { ...conditional, model: "*" }]) {
          const result = planned(snapshotOf({ ...world, rule }), { model, body, headers, tokens: 0 });
          if (result.kind === "denied") expect(result.error.message).not.toBe("");
          else expect(result.candidates.length).toBeGreaterThan(0);
        }
      }),
      RUNS,
    );
  });
});

describe("parameters that a rule sets", () => {
  const bounds = fc
    .record({ min: fc.integer(), max: fc.integer(), default: fc.integer() }, { requiredKeys: [] })
    .filter(
      ({ min, max, default: preset }) =>
        (min ?? max ?? preset) !== undefined && (min === undefined || max === undefined || min <= max),
    );
  const field = fc.constantFrom("temperature", "top_k", "max_tokens", "max_completion_tokens");
  const sets = fc.dictionary(field, fc.oneof(bounds, fc.integer()), { minKeys: 1 }) as fc.Arbitrary<SetEntry>;
  const bodies = fc.dictionary(field, fc.oneof(fc.integer(), fc.constant(null), fc.string(), fc.array(fc.integer())));

  test("are within their bounds, and nothing else is touched", () => {
    fc.assert(
      fc.property(sets, bodies, (set, given) => {
        // Two bounds on the one output limit may contradict each other.
        fc.pre(!("max_tokens" in set && "max_completion_tokens" in set));
        const before = { model: "m", messages: [], untouched: { a: 1 }, ...given } as ChatBody;
        const copy = structuredClone(before);
        const { body } = applySet(before, set);
        expect(before).toEqual(copy);
        expect(body.untouched).toBe(before.untouched);
        for (const [name, entry] of Object.entries(set)) {
          const isLimit = name.startsWith("max_");
          const values = isLimit ? [body.max_tokens, body.max_completion_tokens] : [body[name]];
          for (const value of values.filter((found) => found !== undefined && found !== null))
            expectWithin(value, entry);
          if (typeof entry === "object" && "max" in entry)
            expect(values.some((value) => typeof value === "number")).toBe(true);
        }
      }),
      RUNS,
    );
  });
});

function expectWithin(value: unknown, entry: SetEntry[string]): void {
  if (typeof entry !== "object" || Array.isArray(entry)) {
    expect(value).toBe(entry);
    return;
  }
  const { min, max } = entry;
  if (min === undefined && max === undefined) return;
  expect(typeof value).toBe("number");
  if (min !== undefined) expect(value).toBeGreaterThanOrEqual(min);
  if (max !== undefined) expect(value).toBeLessThanOrEqual(max);
}

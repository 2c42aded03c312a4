// What staying where the prompt cache is saves, and when leaving pays: the real fleet and the real planner against providers
// that keep caches.
import { describe, expect, test } from "vitest";
import type { Rates, Usage } from "../src/chat.ts";
import { type EnabledProvider, targetName } from "../src/dialect.ts";
import { createFleet, type Fleet } from "../src/fleet.ts";
import { costNanoUsd } from "../src/pricing.ts";
import { type Plan, plan } from "../src/routing/plan.ts";
import { compile } from "../src/routing/rules.ts";
import { buildSnapshot, type Snapshot } from "../src/routing/snapshot.ts";
import { askedOf, drawsFrom, providerOf } from "./routing-support.ts";

/** Of the input price: what a token costs that is read from the cache, or written to it. */
interface Shape {
  read: number;
  write: number;
}

const INPUT_MICRO_USD = 3_000_000;
const OUTPUT_MICRO_USD = 15_000_000;
const OUTPUT_TOKENS = 400;
const TTL_MS = 300_000;
const NAMES = ["a/m", "b/m", "c/m"];

function ratesOf({ read, write }: Shape, discount = 1): Rates {
  const [input, output, cacheRead, cacheWrite] = [1, OUTPUT_MICRO_USD / INPUT_MICRO_USD, read, write].map((factor) =>
    Math.round(INPUT_MICRO_USD * factor * discount),
  ) as [number, number, number, number];
  return { input, output, cacheRead, cacheWrite };
}

function snapshotOf(rates: Rates[], pick: string): Snapshot {
  const all = rates.map((card, at): [string, EnabledProvider] => {
    const id = (NAMES[at] as string).slice(0, 1);
    return [id, providerOf(id, new Map([["m", { id: "m", rates: card }]]))];
  });
  const text = JSON.stringify({ version: 1, rules: [{ name: "chat", pick, from: NAMES.slice(0, rates.length) }] });
  const rules = compile([{ file: "rules.yaml", text }], () => undefined);
  if ("errors" in rules) throw new Error(rules.errors[0]?.message);
  const parts = { rulesText: text, providers: new Map(all), disabled: new Map(), catalogVersion: "1" };
  return buildSnapshot({ rules, ...parts });
}

interface World {
  snapshot: Snapshot;
  fleet: Fleet;
  clock: { nowMs: number };
  /** What each provider has cached of the one conversation there is. */
  caches: Map<string, { tokens: number; usedMs: number }>;
  draw: () => number;
}

function worldOf(rates: Rates[], { pick = "balanced", seed = 1 } = {}): World {
  const clock = { nowMs: Date.parse("2026-11-24T12:00:00Z") };
  const fleet = createFleet({ nowMs: () => clock.nowMs });
  return { snapshot: snapshotOf(rates, pick), fleet, clock, caches: new Map(), draw: drawsFrom(seed) };
}

function decide({ snapshot, fleet, clock, draw }: World, tokens: number, body: object = {}): Plan {
  const facts = { model: "chat", tokens, body: { ...body } };
  const asked = { ...askedOf(facts), affinityId: "conversation", nowMs: clock.nowMs };
  const planned = plan(snapshot, asked, fleet, draw);
  if (planned.kind === "denied") throw new Error(planned.error.message);
  return planned;
}

const firstOf = ({ candidates }: Plan) => targetName((candidates[0] as Plan["candidates"][number]).target);

/** The provider reads what it has of the prompt and keeps the whole. Tells the fleet, answers with what it cost in dollars. */
function answer({ snapshot, fleet, clock, caches }: World, target: string, tokens: number): number {
  const held = caches.get(target);
  const isWarm = held !== undefined && clock.nowMs - held.usedMs <= TTL_MS;
  const cacheReadTokens = isWarm ? Math.min(held.tokens, tokens) : 0;
  const cacheWriteTokens = tokens - cacheReadTokens;
  const usage: Usage = { inputTokens: tokens, cacheReadTokens, cacheWriteTokens, outputTokens: OUTPUT_TOKENS };
  caches.set(target, { tokens, usedMs: clock.nowMs });
  fleet.observe({
    target,
    freshInputTokens: cacheWriteTokens,
    firstByteMs: 500,
    totalMs: 500 + OUTPUT_TOKENS * 10,
    outputTokens: OUTPUT_TOKENS,
    errorKind: undefined,
    scope: { rule: "chat", key: "local", model: "m", maxTokens: undefined },
  });
  fleet.rememberAffinity({ id: "conversation", target, usage, cacheTtlMs: TTL_MS });
  const rates = snapshot.providers.get(target.slice(0, 1))?.models.get("m")?.rates as Rates;
  return (costNanoUsd(usage, rates, 0) ?? Number.NaN) / 1e9;
}

/** 20 turns, 60 s apart, 4,000 tokens growing by 1,500. What it all cost, in dollars. */
function converse(world: World, choose: (tokens: number, turn: number) => string): number {
  let dollars = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    const tokens = 4_000 + 1_500 * turn;
    dollars += answer(world, choose(tokens, turn), tokens);
    world.clock.nowMs += 60_000;
  }
  return dollars;
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed * 7_919 + 1);

describe("a conversation of 20 turns over three targets of one price", () => {
  test.each([
    { read: 0.1, write: 1.25, sticky: 0.342, random: 0.603, isSaving: true },
    { read: 0.1, write: 1.0, sticky: 0.317, random: 0.522, isSaving: true },
    { read: 0.05, write: 1.25, sticky: 0.292, random: 0.564, isSaving: true },
    // Reading at half the price saves too little for the bound on random.
    { read: 0.5, write: 1.0, sticky: 0.716, random: 0.83, isSaving: false },
  ])("read $read, write $write: costs what staying costs", ({ read, write, sticky, random, isSaving }) => {
    const rates = [1, 2, 3].map(() => ratesOf({ read, write }));
    const stayed = converse(worldOf(rates), () => "a/m");
    const wandered = mean(
      SEEDS.map((seed) => {
        const draw = drawsFrom(seed);
        return converse(worldOf(rates), () => NAMES[Math.floor(draw() * 3)] as string);
      }),
    );
    // The simulated providers are those of the published table.
    expect(stayed).toBeCloseTo(sticky, 3);
    expect(Math.abs(wandered - random) / random).toBeLessThan(0.05);
    for (const pick of ["balanced", "cheapest", "fastest"]) {
      const routed = SEEDS.map((seed) => {
        const world = worldOf(rates, { pick, seed });
        return converse(world, (tokens) => firstOf(decide(world, tokens)));
      });
      expect(Math.max(...routed), pick).toBeLessThanOrEqual(1.05 * stayed);
      if (isSaving) expect(mean(routed), pick).toBeLessThanOrEqual(0.65 * wandered);
    }
  });
});

/** A conversation at home on a/m with `prefix` tokens in a confirmed cache; b/m is cheaper by `discount`. */
function settled(prefix: number, discount: number): World {
  const shape = { read: 0.1, write: 1.25 };
  const world = worldOf([ratesOf(shape), ratesOf(shape, 1 - discount)], { pick: "cheapest" });
  answer(world, "a/m", prefix - 1_000);
  world.clock.nowMs += 60_000;
  answer(world, "a/m", prefix);
  world.clock.nowMs += 60_000;
  return world;
}

/** Cost of one more turn in input tokens at list price; `hit` of the prefix is read, the rest written. */
function turnCost(prefix: number, added: number, output: number, hit: number): number {
  const read = Math.floor(hit * prefix);
  return read * 0.1 + (prefix + added - read) * 1.25 + (output * OUTPUT_MICRO_USD) / INPUT_MICRO_USD;
}

describe("a cheaper rival", () => {
  const rows = [
    { prefix: 5_000, added: 500, published: 0.69, output: 300 },
    { prefix: 20_000, added: 1_000, published: 0.81, output: 400 },
    { prefix: 80_000, added: 1_500, published: 0.88, output: 500 },
    { prefix: 200_000, added: 2_000, published: 0.9, output: 800 },
  ];

  test.each(rows)("takes a conversation of $prefix tokens over when one turn there costs less", (row) => {
    const { prefix, added, published, output } = row;
    const discountFor = (tokensOut: number, hit: number) =>
      1 - turnCost(prefix, added, tokensOut, hit) / turnCost(prefix, added, tokensOut, 0);
    // With certainty of a hit the formula gives the published table; the fleet is sure to nine parts in ten.
    expect(discountFor(output, 1)).toBeCloseTo(published, 2);
    const { fleet } = settled(prefix, 0);
    const scope = { rule: "chat", key: "local", model: "m", maxTokens: undefined };
    const tokensOut = Math.round(fleet.expectedOutputTokens(scope) ?? Number.NaN);
    // Who has answered is a little surer to answer than who has not been asked.
    const trust = (1 + fleet.failureRate("a/m")) / (1 + fleet.failureRate("b/m"));
    const breakEven = 1 - (1 - discountFor(tokensOut, 0.9)) * trust;
    expect(firstOf(decide(settled(prefix, breakEven - 0.0002), prefix + added))).toBe("a/m");
    expect(firstOf(decide(settled(prefix, breakEven + 0.0002), prefix + added))).toBe("b/m");
  });

  test("that took over is the new home and keeps the conversation", () => {
    const world = settled(20_000, 0.85);
    expect(firstOf(decide(world, 21_000))).toBe("b/m");
    answer(world, "b/m", 21_000);
    world.clock.nowMs += 60_000;
    expect(world.fleet.affinity("conversation")).toMatchObject({ target: "b/m", cachedTokens: 21_000 });
    expect(firstOf(decide(world, 22_000))).toBe("b/m");
  });
});

describe("a conversation's home", () => {
  test("that cannot be used is left for another, which is the home from then on", () => {
    const world = settled(20_000, 0);
    expect(firstOf(decide(world, 21_000))).toBe("a/m");
    const elsewhere = firstOf(decide(world, 21_000, { provider: { ignore: ["a"] } }));
    expect(elsewhere).toBe("b/m");
    answer(world, elsewhere, 21_000);
    world.clock.nowMs += 60_000;
    for (const tokens of [22_000, 23_000]) {
      expect(firstOf(decide(world, tokens))).toBe("b/m");
      answer(world, "b/m", tokens);
      world.clock.nowMs += 60_000;
    }
  });

  test("is forgotten when its cache has expired", () => {
    const world = settled(20_000, 0.01);
    world.clock.nowMs += TTL_MS - 60_000;
    expect(firstOf(decide(world, 21_000))).toBe("a/m");
    world.clock.nowMs += 1;
    expect(world.fleet.affinity("conversation")).toBeUndefined();
    const planned = decide(world, 21_000);
    expect(firstOf(planned)).toBe("b/m");
    expect(planned.candidates.map(({ score }) => score?.cachedTokens)).toEqual([0, 0]);
  });

  test("that missed twice counts for nothing until it hits again", () => {
    const world = settled(20_000, 0.01);
    for (const tokens of [21_000, 22_000]) {
      expect(firstOf(decide(world, tokens))).toBe("a/m");
      world.caches.clear();
      answer(world, "a/m", tokens);
      world.clock.nowMs += 60_000;
    }
    expect(firstOf(decide(world, 23_000))).toBe("b/m");
    answer(world, "a/m", 23_000);
    expect(firstOf(decide(world, 24_000))).toBe("a/m");
  });

  test("of a rule that leaves caches out of account changes nothing", () => {
    const world = settled(20_000, 0.01);
    const rules = world.snapshot.rules.rules.map((rule) => ({ ...rule, affinity: false }));
    world.snapshot = { ...world.snapshot, rules: { ...world.snapshot.rules, rules, rulesFor: () => rules } };
    expect(firstOf(decide(world, 21_000))).toBe("b/m");
  });
});

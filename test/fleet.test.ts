import fc from "fast-check";
import { expect, test } from "vitest";
import type { ErrorKind, ErrorSubkind, Usage } from "../src/chat.ts";
import { type AttemptObserved, createFleet, FLEET_PARTS, type FleetLimits } from "../src/fleet.ts";
import { hurtsHealth, TAXONOMY } from "../src/taxonomy.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const START_MS = Date.UTC(2026, 2, 1);
/** What the counters promise. */
const ERROR_MAX = 0.05;

function newFleet({ startMs = START_MS, limits = {} as Partial<FleetLimits> } = {}) {
  const clock = { nowMs: startMs };
  const fleet = createFleet({ nowMs: () => clock.nowMs, limits });
  const see = (changes: Partial<AttemptObserved> = {}) => fleet.observe(attempt(changes));
  return { clock, fleet, see };
}

function attempt(changes: Partial<AttemptObserved> = {}): AttemptObserved {
  return {
    ...{ target: "acme/a", freshInputTokens: 100, firstByteMs: 200, totalMs: 1_200, outputTokens: 100 },
    errorKind: undefined,
    ...changes,
  };
}

function times(count: number, act: (index: number) => void): void {
  for (let index = 0; index < count; index += 1) act(index);
}

/** Within what the counters promise of a number. */
function expectNear(found: number | undefined, wanted: number): void {
  expect(Math.abs((found ?? Number.NaN) / wanted - 1), `${found} instead of ${wanted}`).toBeLessThan(ERROR_MAX);
}

function exactQuantile(values: number[], quantile: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? Number.NaN;
}

const samples = fc.array(fc.double({ min: 4, max: 700_000, noNaN: true }), { minLength: 1, maxLength: 300 });
const quantiles = fc.constantFrom(0, 0.1, 0.5, 0.9, 0.95, 0.99, 1);

test("a quantile of the latency is within 5 % of the exact one, while it is recent and when it is old", () => {
  fc.assert(
    fc.property(samples, quantiles, (values, quantile) => {
      const { clock, fleet, see } = newFleet();
      for (const firstByteMs of values) see({ firstByteMs });
      const exact = exactQuantile(values, quantile);
      expectNear(fleet.firstByteMs("acme/a", 100, quantile), exact);
      clock.nowMs += 20 * MINUTE_MS;
      expectNear(fleet.firstByteMs("acme/a", 100, quantile), exact);
    }),
    { numRuns: 200 },
  );
});

test("a quantile of the output length is within 5 % of the exact one", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 190_000 }), { minLength: 1 }), quantiles, (values, quantile) => {
      const { fleet, see } = newFleet();
      const scope = { rule: "r", key: "k", model: "m", maxTokens: undefined };
      for (const outputTokens of values) see({ outputTokens, scope });
      expectNear(fleet.outputTokensQuantile(scope, quantile), exactQuantile(values, quantile));
    }),
  );
});

test("what lies beyond the counters is counted at their ends", () => {
  const { fleet, see } = newFleet();
  see({ firstByteMs: 0 });
  see({ firstByteMs: 1e12 });
  expect(fleet.firstByteMs("acme/a", 100, 0)).toBeLessThan(5);
  expect(fleet.firstByteMs("acme/a", 100, 1)).toBeGreaterThan(700_000);
});

test("nothing is known of a target nobody has tried, except that anything fails at times", () => {
  const { fleet } = newFleet();
  expect(fleet.firstByteMs("acme/a", 100, 0.5)).toBeUndefined();
  expect(fleet.msPerOutputToken("acme/a", 0.5)).toBeUndefined();
  expect(fleet.expectedOutputTokens({ rule: "r", key: "k", model: "m", maxTokens: 1 })).toBeUndefined();
  expect(fleet.outputTokensQuantile({ rule: "r", key: "k", model: "m", maxTokens: 1 }, 0.9)).toBeUndefined();
  expect([fleet.failureRate("acme/a"), fleet.recentSamples("acme/a")]).toEqual([0.01, 0]);
  expect(fleet.affinity("c")).toBeUndefined();
});

test("prompts of another size borrow the answer of the nearest size that was seen", () => {
  const { fleet, see } = newFleet();
  see({ freshInputTokens: 999, firstByteMs: 100 });
  see({ freshInputTokens: 200_000, firstByteMs: 9_000 });
  const p50 = (tokens: number) => fleet.firstByteMs("acme/a", tokens, 0.5);
  for (const tokens of [0, 1_000, 8_000, 31_999]) expectNear(p50(tokens), 100);
  for (const tokens of [32_000, 128_000, 1_000_000]) expectNear(p50(tokens), 9_000);
});

test("recent latency outweighs the usual one as n to 5", () => {
  const { clock, fleet, see } = newFleet();
  times(100, () => see({ firstByteMs: 100 }));
  clock.nowMs += 10 * MINUTE_MS;
  times(5, () => see({ firstByteMs: 1_000 }));
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), (5 * 1_000 + 5 * 100) / 10);
  // Two minutes later the five count as two and a half.
  clock.nowMs += 2 * MINUTE_MS;
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), (2.5 * 1_000 + 5 * 100) / 7.5);
});

test("a single old observation does not weigh as much as five", () => {
  const { clock, fleet, see } = newFleet();
  see({ firstByteMs: 100 });
  clock.nowMs += 10 * MINUTE_MS;
  times(5, () => see({ firstByteMs: 1_000 }));
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), (5 * 1_000 + 100) / 6);
});

test("a target that became slow drifts back to its usual latency once it is left alone", () => {
  const { clock, fleet, see } = newFleet();
  times(1_000, () => see({ firstByteMs: 100 }));
  clock.nowMs += HOUR_MS;
  times(40, () => {
    see({ firstByteMs: 8_000 });
    clock.nowMs += 5_000;
  });
  const estimates: number[] = [];
  times(10, () => {
    estimates.push(fleet.firstByteMs("acme/a", 100, 0.5) ?? Number.NaN);
    clock.nowMs += 30_000;
  });
  expect(estimates[0]).toBeGreaterThan(5_000);
  expect(estimates).toEqual(estimates.toSorted((a, b) => b - a));
  expectNear(estimates.at(-1), 100);
  expect(fleet.recentSamples("acme/a")).toBeLessThan(10);
});

test("what was usual is forgotten by half in a day, and at last altogether", () => {
  const { clock, fleet, see } = newFleet();
  times(100, () => see({ firstByteMs: 100 }));
  clock.nowMs += 48 * HOUR_MS;
  times(50, () => see({ firstByteMs: 1_000 }));
  clock.nowMs += HOUR_MS;
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), 1_000);
  clock.nowMs += 60 * 24 * HOUR_MS;
  expect(fleet.firstByteMs("acme/a", 100, 0.5)).toBeUndefined();
});

test("a clock that is set back spoils nothing", () => {
  const { clock, fleet, see } = newFleet();
  times(10, () => see());
  clock.nowMs -= HOUR_MS;
  see();
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), 200);
  expect(fleet.recentSamples("acme/a")).toBe(11);
  const other = newFleet({ startMs: clock.nowMs });
  expect(other.fleet.restore(fleet.export())).toBeUndefined();
  see();
});

test("speed is the time after the first content over all tokens, and answers of a few tokens do not count", () => {
  const { fleet, see } = newFleet();
  see({ firstByteMs: 500, totalMs: 2_500, outputTokens: 100 });
  times(9, () => see({ outputTokens: 7, totalMs: 99_999 }));
  expectNear(fleet.msPerOutputToken("acme/a", 0.5), 20);
});

test("of a buffered answer only the whole time is known: the usual time to the first content is taken off", () => {
  const { fleet, see } = newFleet();
  const buffered = { firstByteMs: undefined, totalMs: 3_000, outputTokens: 100 };
  see({ ...buffered, target: "acme/buffered" });
  expectNear(fleet.msPerOutputToken("acme/buffered", 0.5), 30);
  expect(fleet.firstByteMs("acme/buffered", 100, 0.5)).toBeUndefined();
  see({ firstByteMs: 100, totalMs: 2_100, outputTokens: 100 });
  times(9, () => see({ ...buffered, totalMs: 2_100 }));
  expectNear(fleet.msPerOutputToken("acme/a", 1), 20);
});

test("numbers that are no times and no sizes are not learnt", () => {
  const { fleet, see } = newFleet();
  see({ firstByteMs: Number.NaN, totalMs: -5 });
  see({ firstByteMs: -1, totalMs: Number.POSITIVE_INFINITY });
  see({ freshInputTokens: undefined, outputTokens: undefined });
  expect(fleet.firstByteMs("acme/a", 100, 0.5)).toBeUndefined();
  expect(fleet.msPerOutputToken("acme/a", 0.5)).toBeUndefined();
});

test("only what is the target's own fault counts as its failure", () => {
  for (const name of Object.keys(TAXONOMY)) {
    const [kind, subkind] = name.split("/") as [ErrorKind, ErrorSubkind | undefined];
    const { fleet, see } = newFleet();
    times(20, () => see());
    const before = [fleet.failureRate("acme/a"), fleet.recentSamples("acme/a")];
    times(20, () => see({ errorKind: kind, subkind, firstByteMs: undefined, outputTokens: undefined }));
    const after = [fleet.failureRate("acme/a"), fleet.recentSamples("acme/a")];
    if (hurtsHealth({ kind, subkind })) expect(after, name).toEqual([expect.closeTo(0.5, 1), 40]);
    else expect(after, name).toEqual(before);
  }
});

test("a caller that left is no outcome, though the time to the first content that it saw is learnt", () => {
  const { fleet, see } = newFleet();
  const scope = { rule: "r", key: "k", model: "m", maxTokens: undefined };
  see({ errorKind: "cancelled", firstByteMs: 300, scope });
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), 300);
  expect([fleet.failureRate("acme/a"), fleet.recentSamples("acme/a")]).toEqual([0.01, 0]);
  expect(fleet.msPerOutputToken("acme/a", 0.5)).toBeUndefined();
  expect(fleet.expectedOutputTokens(scope)).toBeUndefined();
});

test("the failure rate stays within 0 and 1, follows an outage within a few calls and recovers when left alone", () => {
  const { clock, fleet, see } = newFleet();
  times(1_000, () => see());
  expect(fleet.failureRate("acme/a")).toBeLessThan(0.01);
  clock.nowMs += HOUR_MS;
  times(10, () => see({ errorKind: "server", firstByteMs: undefined }));
  expect(fleet.failureRate("acme/a")).toBeGreaterThan(0.6);
  clock.nowMs += 10 * MINUTE_MS;
  expect(fleet.failureRate("acme/a")).toBeLessThan(0.1);
  times(5_000, () => see({ errorKind: "timeout", firstByteMs: undefined }));
  expect(fleet.failureRate("acme/a")).toBeGreaterThan(0.9);
  expect(fleet.failureRate("acme/a")).toBeLessThanOrEqual(1);
});

test("an expected output is drawn to its parents as n to 20, on each of the levels", () => {
  const { fleet, see } = newFleet();
  const base = { rule: "r", key: "a", model: "m", maxTokens: undefined };
  times(1_000, () => see({ outputTokens: 100, scope: base }));
  times(20, () => see({ outputTokens: 500, scope: { ...base, key: "b" } }));
  const all = (1_000 * 100 + 20 * 500) / 1_020;
  const key = (500 + all) / 2;
  expect(fleet.expectedOutputTokens({ ...base, key: "b" })).toBeCloseTo((500 + key) / 2, 6);
  expect(fleet.expectedOutputTokens({ ...base, key: "b", rule: "new" })).toBeCloseTo(key, 6);
  expect(fleet.expectedOutputTokens({ ...base, key: "new" })).toBeCloseTo(all, 6);
  expect(fleet.expectedOutputTokens({ ...base, model: "new" })).toBeCloseTo(all, 6);
});

test("an expected output never exceeds what the request admits", () => {
  const { fleet, see } = newFleet();
  const scope = { rule: "r", key: "k", model: "m", maxTokens: 4_096 };
  see({ outputTokens: 3_000, scope });
  expect(fleet.expectedOutputTokens({ ...scope, maxTokens: 16 })).toBe(16);
  expect(fleet.outputTokensQuantile({ ...scope, maxTokens: 16 }, 0.9)).toBe(16);
  expect(fleet.expectedOutputTokens({ ...scope, maxTokens: 100_000 })).toBe(3_000);
});

test("new habits replace old ones in the expected output", () => {
  const { clock, fleet, see } = newFleet();
  const scope = { rule: "r", key: "k", model: "m", maxTokens: undefined };
  times(100, () => see({ outputTokens: 1_000, scope }));
  clock.nowMs += 7 * 24 * HOUR_MS;
  times(100, () => see({ outputTokens: 10, scope }));
  expect(fleet.expectedOutputTokens(scope)).toBeLessThan(20);
});

const C = { id: "c", target: "acme/a", cacheTtlMs: 300_000 };
const hit: Usage = { inputTokens: 5_000, cacheReadTokens: 4_000 };
const miss: Usage = { inputTokens: 5_000, cacheReadTokens: 0 };

test.each([
  ["a first turn is not confirmed", [miss], 0.5],
  ["a hit confirms", [miss, hit], 0.9],
  ["so does a hit on the first turn, by a prefix that others share", [hit], 0.9],
  ["one miss makes it doubtful again", [miss, hit, miss], 0.5],
  ["two misses in a row mean that nothing is cached", [miss, hit, miss, miss], 0],
  ["the first turn is not a miss", [miss, miss], 0.5],
  ["a hit ends a row of misses", [miss, miss, miss, hit], 0.9],
  ["a provider that does not tell neither confirms nor misses", [miss, {}, {}, {}], 0.5],
  ["an answer without usage changes nothing", [hit, undefined], 0.9],
] as [string, (Usage | undefined)[], number][])("affinity: %s", (_, turns, hitProbability) => {
  const { clock, fleet } = newFleet();
  for (const usage of turns) {
    fleet.rememberAffinity({ ...C, usage });
    clock.nowMs += MINUTE_MS;
  }
  const lastUsedMs = clock.nowMs - MINUTE_MS;
  expect(fleet.affinity("c")).toEqual({ target: "acme/a", cachedTokens: 5_000, hitProbability, lastUsedMs });
});

test("affinity: the cache is the account's, so a turn that another key answered begins anew", () => {
  const { clock, fleet } = newFleet();
  for (const usage of [hit, hit]) fleet.rememberAffinity({ ...C, account: "acme#1", usage });
  expect(fleet.affinity("c")).toMatchObject({ target: "acme/a", account: "acme#1", hitProbability: 0.9 });
  fleet.rememberAffinity({ ...C, account: "acme#2", usage: miss });
  expect(fleet.affinity("c")).toMatchObject({ target: "acme/a", account: "acme#2", hitProbability: 0.5 });
  const after = newFleet({ startMs: clock.nowMs });
  expect(after.fleet.restore(fleet.export())).toBeUndefined();
  expect(after.fleet.affinity("c")).toEqual(fleet.affinity("c"));
});

test("cached tokens are what was read and written where writes are told, and the whole prompt elsewhere", () => {
  const { fleet } = newFleet();
  const cachedTokens = (usage: Usage) => {
    fleet.rememberAffinity({ ...C, usage });
    return fleet.affinity("c")?.cachedTokens;
  };
  expect(cachedTokens({ inputTokens: 9_000, cacheReadTokens: 4_000, cacheWriteTokens: 2_000 })).toBe(6_000);
  expect(cachedTokens({ inputTokens: 9_000, cacheWrite1hTokens: 8_000 })).toBe(8_000);
  expect(cachedTokens({ inputTokens: 9_000, cacheReadTokens: 4_000 })).toBe(9_000);
  expect(cachedTokens({ inputTokens: 9_000, cacheReadTokens: 0, cacheWriteTokens: 0 })).toBe(0);
});

test("an affinity ends with the cache's lifetime, which each use renews, and what comes later is not a miss", () => {
  const { clock, fleet } = newFleet();
  fleet.rememberAffinity({ ...C, usage: hit });
  clock.nowMs += 200_000;
  fleet.rememberAffinity({ ...C, usage: hit });
  clock.nowMs += 300_000;
  expect(fleet.affinity("c")).toMatchObject({ hitProbability: 0.9 });
  clock.nowMs += 1;
  expect(fleet.affinity("c")).toBeUndefined();
  times(2, () => fleet.rememberAffinity({ ...C, usage: miss, cacheTtlMs: HOUR_MS }));
  expect(fleet.affinity("c")).toMatchObject({ hitProbability: 0.5 });
  clock.nowMs += HOUR_MS;
  expect(fleet.affinity("c")).toBeDefined();
  // A provider whose catalogue entry says nothing is taken to keep prompts for five minutes.
  fleet.rememberAffinity({ ...C, usage: hit, cacheTtlMs: undefined });
  clock.nowMs += 300_001;
  expect(fleet.affinity("c")).toBeUndefined();
});

test("a conversation that was answered elsewhere is at home there, and starts anew", () => {
  const { fleet } = newFleet();
  times(3, () => fleet.rememberAffinity({ ...C, usage: miss }));
  fleet.rememberAffinity({ ...C, target: "zeta/z", usage: { inputTokens: 10 } });
  expect(fleet.affinity("c")).toMatchObject({ target: "zeta/z", cachedTokens: 10, hitProbability: 0.5 });
});

test("however many targets, scopes and conversations there are, only so many are kept: the newest", () => {
  const limits = { targetsMax: 50, scopesMax: 200, affinitiesMax: 1_000, savedScopesMax: 1e6, savedAffinitiesMax: 1e6 };
  const { fleet, see } = newFleet({ limits });
  times(100_000, (index) => {
    const scope = { rule: "r", key: `key-${index}`, model: "m", maxTokens: undefined };
    see({ target: `acme/${index}`, scope });
    fleet.rememberAffinity({ ...C, id: `c-${index}`, target: `acme/${index}`, usage: hit });
  });
  const saved = fleet.export() as Record<(typeof FLEET_PARTS)[number], unknown[]>;
  expect(FLEET_PARTS.map((part) => saved[part].length)).toEqual([50, 200, 1_000]);
  expect(fleet.recentSamples("acme/99950")).toBe(1);
  expect(fleet.recentSamples("acme/99949")).toBe(0);
  expect(fleet.affinity("c-99000")).toBeDefined();
  expect(fleet.affinity("c-98999")).toBeUndefined();
  expect(fleet.expectedOutputTokens({ rule: "r", key: "new", model: "m", maxTokens: undefined })).toBe(100);
}, 60_000);

/** Traffic that looks random and is the same each time. */
function busyFleet(share: (index: number) => boolean = () => true) {
  const made = newFleet();
  const { clock, fleet } = made;
  let state = 7;
  const draw = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  times(5_000, (index) => {
    clock.nowMs += 2_000 * draw();
    const seen = attempt({
      ...{
        target: `acme/${index % 3}`,
        freshInputTokens: 200_000 * draw() ** 4,
        firstByteMs: 100 + 3_000 * draw() ** 2,
      },
      ...{ totalMs: 4_000 + 9_000 * draw(), outputTokens: Math.floor(1_000 * draw()) },
      ...{ errorKind: draw() < 0.1 ? "server" : undefined },
      scope: {
        rule: `r${index % 2}`,
        key: `k${index % 5}`,
        model: `m${index % 3}`,
        maxTokens: index % 4 ? 100 : 9_000,
      },
    } as Partial<AttemptObserved>);
    const usage = draw() < 0.5 ? hit : miss;
    if (!share(index)) return;
    fleet.observe(seen);
    fleet.rememberAffinity({ id: `c${index % 40}`, target: seen.target, usage, cacheTtlMs: 300_000 });
  });
  return made;
}

/** All that a planner could ask. */
function answers(fleet: ReturnType<typeof newFleet>["fleet"]): unknown[] {
  const targets = ["acme/0", "acme/1", "acme/2"].flatMap((target) => [
    ...[50, 5_000, 20_000, 100_000, 150_000].map((tokens) => fleet.firstByteMs(target, tokens, 0.9)),
    ...[fleet.msPerOutputToken(target, 0.5), fleet.failureRate(target), fleet.recentSamples(target)],
  ]);
  const scopes = [0, 1, 2, 3, 4].flatMap((n) => {
    const scope = { rule: `r${n % 2}`, key: `k${n}`, model: `m${n % 3}`, maxTokens: n % 2 ? 100 : 9_000 };
    return [fleet.expectedOutputTokens(scope), fleet.outputTokensQuantile(scope, 0.9)];
  });
  return [...targets, ...scopes, ...Array.from({ length: 40 }, (_, n) => fleet.affinity(`c${n}`))];
}

function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number(value.toPrecision(9));
  return value;
}

test("after a restart the answers are those of before, and go on ageing as they would have", () => {
  const { clock, fleet } = busyFleet();
  const text = JSON.stringify(fleet.export());
  const after = newFleet({ startMs: clock.nowMs });
  expect(after.fleet.restore(JSON.parse(text))).toBeUndefined();
  for (const laterMs of [0, MINUTE_MS, 10 * MINUTE_MS, 26 * HOUR_MS]) {
    clock.nowMs += laterMs;
    after.clock.nowMs += laterMs;
    expect(answers(after.fleet).map(rounded)).toEqual(answers(fleet).map(rounded));
  }
});

test("what is saved and restored part by part is the whole", () => {
  const { clock, fleet } = busyFleet();
  const after = newFleet({ startMs: clock.nowMs });
  for (const part of FLEET_PARTS) {
    const saved = fleet.export(part);
    expect(Object.keys(saved)).toEqual(["version", part]);
    after.fleet.restore(saved);
  }
  expect(answers(after.fleet).map(rounded)).toEqual(answers(fleet).map(rounded));
});

test("a router that was down for hours comes back with what is usual, and nothing recent", () => {
  const { clock, fleet } = busyFleet();
  const after = newFleet({ startMs: clock.nowMs + 3 * HOUR_MS });
  after.fleet.restore(fleet.export());
  clock.nowMs += 3 * HOUR_MS;
  expect(after.fleet.recentSamples("acme/0")).toBeLessThan(0.001);
  expect(after.fleet.affinity("c0")).toBeUndefined();
  expect(answers(after.fleet).map(rounded)).toEqual(answers(fleet).map(rounded));
});

test("what two processes learnt adds up to what one would have learnt from both", () => {
  const whole = busyFleet();
  const halves = [0, 1].map((half) => busyFleet((index) => index % 2 === half));
  const sum = newFleet({ startMs: whole.clock.nowMs });
  for (const { fleet } of halves) sum.fleet.restore(fleet.export());
  const numbers = (fleet: typeof sum.fleet) => answers(fleet).filter((answer) => typeof answer === "number");
  for (const [index, found] of numbers(sum.fleet).entries()) {
    expect(found).toBeCloseTo(numbers(whole.fleet)[index] ?? Number.NaN, 4);
  }
  for (const id of ["c0", "c1", "c39"]) expect(sum.fleet.affinity(id)?.target).toBe(whole.fleet.affinity(id)?.target);
});

test("what is no saved fleet is ignored with a reason, and leaves what is known as it was", () => {
  const { fleet, see } = newFleet();
  see();
  const before = answers(fleet);
  expect(fleet.restore({ ...fleet.export(), version: 2 })).toContain("it is not of version 1: version:");
  expect(fleet.restore({ version: 1, targets: [{ name: "acme/0" }] })).toContain("targets.0");
  fc.assert(
    fc.property(fc.anything(), (json) => {
      expect(typeof fleet.restore(json)).toBe("string");
    }),
  );
  expect(answers(fleet)).toEqual(before);
});

test("counters that do not exist and counts beyond every bound do no harm", () => {
  const { fleet } = newFleet();
  const counts = [999, 5, 60, Number.MAX_SAFE_INTEGER, 61];
  const hour = Math.floor(START_MS / HOUR_MS) + 99;
  const sketch = { hour, counts, slices: [[0, counts] as const, [Number.MAX_SAFE_INTEGER, counts] as const] };
  const tally = { atMs: START_MS, attempts: 1, failures: 99 };
  const target = { name: "acme/a", firstByte: Array(9).fill(sketch), speed: sketch, recent: tally, usual: tally };
  expect(fleet.restore({ version: 1, targets: [target] })).toBeUndefined();
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), 4 * 1.1 ** 60);
  expect(fleet.failureRate("acme/a")).toBeLessThanOrEqual(1);
});

test("millions of observations in one place neither overflow nor change the shape", () => {
  const { clock, fleet, see } = newFleet();
  const counter = 40;
  const many = {
    hour: Math.floor(START_MS / HOUR_MS),
    counts: [counter, 4_000_000_000, counter + 20, 400_000_000],
    slices: [],
  };
  const tally = { atMs: START_MS, attempts: 1, failures: 0 };
  const target = { name: "acme/a", firstByte: [many], speed: null, recent: tally, usual: tally };
  times(3, () => expect(fleet.restore({ version: 1, targets: [target] })).toBeUndefined());
  clock.nowMs += HOUR_MS;
  times(70_000, () => see({ firstByteMs: 4 * 1.1 ** (counter + 0.5) }));
  clock.nowMs += HOUR_MS;
  expectNear(fleet.firstByteMs("acme/a", 100, 0.5), 4 * 1.1 ** (counter + 0.5));
  expectNear(fleet.firstByteMs("acme/a", 100, 0.999), 4 * 1.1 ** (counter + 20.5));
});

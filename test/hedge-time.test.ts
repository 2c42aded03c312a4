// When a slow call gets a rival and when it does not, in virtual time: the real router over simulated providers.
import { expect, test } from "vitest";
import { parseBudget } from "../src/budget-spec.ts";
import type { BudgetSettings } from "../src/budgets.ts";
import { HedgeShares } from "../src/gateway/hedge.ts";
import type { Arrival } from "./simulator/callers.ts";
import { Engine } from "./simulator/engine.ts";
import type { Answer } from "./simulator/policy.ts";
import { OPENAI_LIKE } from "./simulator/profiles.ts";
import { type Profile, SimulatedProvider } from "./simulator/provider.ts";
import { type RouterSettings, signalbox } from "./simulator/router.ts";
import { simulate } from "./simulator/run.ts";
import { scenario } from "./simulator/scenarios.ts";
import { createSimulatedUpstream } from "./simulator/upstream.ts";

/** Content after exactly a second, and no failures. */
const STEADY: Profile = {
  ...OPENAI_LIKE,
  limits: {},
  headers: "none",
  firstByte: { medianMs: 1_000, sigma: 0, msPerInputToken: 0 },
  tokensPerSecond: { median: 100, sigma: 0 },
  errors: {},
};
/** The cheaper one, and so the first choice. */
const FIRST: Profile = { ...STEADY, id: "first", rates: { input: 100_000, output: 400_000 } };
const RIVAL: Profile = { ...STEADY, id: "rival" };

function slowFrom(fromMs: number, profile = FIRST): Profile {
  return { ...profile, incidents: [{ kind: "slow", factor: 10, fromMs, toMs: Number.POSITIVE_INFINITY }] };
}

interface Asked {
  answer: Answer;
  tookMs: number;
}

interface Told {
  asked: Asked[];
  /** Of each provider: when it was called, in ms since the start. */
  calls: Record<string, number[]>;
}

interface Setting extends Partial<RouterSettings> {
  profiles: Profile[];
  /** When requests come. */
  atMs: number[];
  more?: Partial<Arrival>;
}

async function serve({ profiles, atMs, pools = [], rule, budgets = [], more }: Setting): Promise<Told> {
  const engine = new Engine(1);
  const providers = profiles.map((profile) => new SimulatedProvider(engine, profile));
  const inner = createSimulatedUpstream(engine, providers);
  const calls: Told["calls"] = Object.fromEntries(profiles.map(({ id }) => [id, []]));
  const upstream: typeof inner = {
    ...inner,
    send: (request) => {
      calls[new URL(request.url).host.replace(".test", "")]?.push(engine.elapsedMs);
      return inner.send(request);
    },
  };
  const router = signalbox({ engine, upstream, profiles }, { pools, rule, budgets });
  const asked: Asked[] = [];
  for (const [at, ms] of atMs.entries()) {
    const arrival: Arrival = {
      ...{ id: `req-${at}`, key: "ann", atMs: ms, plainTokens: 100, outputTokens: 20, maxTokens: 100, stream: true },
      ...more,
    };
    engine.schedule(ms, async () => {
      const answer = await router.answer(arrival, new AbortController().signal);
      asked.push({ answer, tookMs: engine.elapsedMs - ms });
    });
  }
  await engine.run();
  expect(router.faults()).toEqual([]);
  expect(router.health.status()).toEqual([]);
  expect(providers.map(({ inFlight }) => inFlight)).toEqual(profiles.map(() => 0));
  expect(asked.map(({ answer }) => answer.isDone)).toEqual(atMs.map(() => true));
  return { asked, calls };
}

const SOON = "hedge: { after: 1500ms, max: 100% }";
const everyTwentySeconds = (count: number) => Array.from({ length: count }, (_, at) => at * 20_000);

test("the rival is called when the time is over, not before, and its answer ends the wait", async () => {
  const { asked, calls } = await serve({ profiles: [slowFrom(0), RIVAL], atMs: [0], rule: SOON });
  expect(calls).toEqual({ first: [0], rival: [1_500] });
  // A second to its first content, and 20 tokens at 100 a second.
  expect(asked[0]?.tookMs).toBe(1_500 + 1_000 + 200);
});

test("a call that answers in time has no rival", async () => {
  const { calls } = await serve({ profiles: [FIRST, RIVAL], atMs: [0, 20_000], rule: SOON });
  expect(calls).toEqual({ first: [0, 20_000], rival: [] });
});

test("without the key no call has one", async () => {
  const { calls } = await serve({ profiles: [slowFrom(0), RIVAL], atMs: [0] });
  expect(calls).toEqual({ first: [0], rival: [] });
});

test("a request has one rival, though more targets are there", async () => {
  const third: Profile = { ...STEADY, id: "third" };
  const profiles = [slowFrom(0), slowFrom(0, RIVAL), slowFrom(0, third)];
  const { calls } = await serve({ profiles, atMs: [0], rule: SOON });
  expect(calls.first).toEqual([0]);
  expect([...(calls.rival ?? []), ...(calls.third ?? [])]).toEqual([1_500]);
});

test("no more than the rule's share of requests gets a rival", async () => {
  const rule = "hedge: { after: 1500ms, max: 25% }";
  const { calls } = await serve({ profiles: [slowFrom(0), RIVAL], atMs: everyTwentySeconds(12), rule });
  // Cheapest stays cheapest: every request begins at the slow one.
  expect(calls.first).toHaveLength(12);
  expect(calls.rival).toEqual([3, 7, 11].map((at) => at * 20_000 + 1_500));
});

test("no rival is called where its pool has less than half to spare", async () => {
  const busy = (concurrency: number) => ({
    ...{ profiles: [slowFrom(0), RIVAL], atMs: [0, 100], rule: SOON },
    pools: [{ name: "rival", concurrency }],
  });
  expect((await serve(busy(2))).calls.rival).toEqual([1_500]);
  expect((await serve(busy(4))).calls.rival).toEqual([1_500, 1_600]);
});

test("no rival is called that a budget does not cover, and the request does not mind", async () => {
  const spec = parseBudget("$0.00001");
  if (spec === undefined) throw new Error("that is a budget");
  const budgets: BudgetSettings[] = [{ scope: "provider", name: "rival", spec }];
  const { calls, asked } = await serve({ profiles: [slowFrom(0), RIVAL], atMs: [0], rule: SOON, budgets });
  expect(calls).toEqual({ first: [0], rival: [] });
  expect(asked[0]?.answer.attempts).toBe(1);
});

test("rivals are paid out of what retries may cost", async () => {
  // About ten cents a prompt; half a dollar an hour is always allowed.
  const dear: Profile = { ...RIVAL, rates: { input: 1_000_000_000, output: 1 } };
  const { calls } = await serve({ profiles: [slowFrom(0), dear], atMs: everyTwentySeconds(12), rule: SOON });
  expect(calls.rival?.length).toBeGreaterThan(2);
  expect(calls.rival?.length).toBeLessThan(8);
});

test("`p95` goes by what the target took of late, and calls no rival of a target nothing is known of", async () => {
  const rule = "hedge: { after: p95, max: 100% }";
  const unknown = await serve({ profiles: [slowFrom(0), RIVAL], atMs: [0], rule });
  expect(unknown.calls.rival).toEqual([]);
  const fromMs = 390_000;
  const { calls, asked } = await serve({ profiles: [slowFrom(fromMs), RIVAL], atMs: everyTwentySeconds(21), rule });
  expect(calls.first).toHaveLength(21);
  const [atMs = 0, ...others] = (calls.rival ?? []).filter((ms) => ms >= fromMs);
  expect(others).toEqual([]);
  // A second, as exactly as the sketch keeps it.
  expect(atMs - 400_000).toBeGreaterThan(900);
  expect(atMs - 400_000).toBeLessThan(1_100);
  expect(asked.at(-1)?.tookMs).toBeLessThan(2_400);
});

test("`p95` of whole answers goes by how long they are and how fast the target writes", async () => {
  const rule = "hedge: { after: p95, max: 100% }";
  const setting = { profiles: [slowFrom(390_000), RIVAL], atMs: everyTwentySeconds(21), rule };
  const { calls } = await serve({ ...setting, more: { stream: false } });
  const late = (calls.rival ?? []).filter((ms) => ms >= 390_000);
  expect(late).toHaveLength(1);
  // Twenty tokens and the wait before them are 1.2 seconds.
  expect((late[0] ?? 0) - 400_000).toBeGreaterThan(1_000);
  expect((late[0] ?? 0) - 400_000).toBeLessThan(2_000);
});

test("calls that lost to a rival count as slow: those that lose later wait longer before they get one", async () => {
  const rule = "hedge: { after: p95, max: 100% }";
  // After a while everything takes ten times as long, and every call of it loses.
  const { calls } = await serve({ profiles: [slowFrom(390_000), RIVAL], atMs: everyTwentySeconds(60), rule });
  const waits = (calls.rival ?? []).filter((ms) => ms >= 390_000).map((ms) => ms % 20_000);
  expect(waits[0]).toBeLessThan(1_100);
  expect(waits.at(-1)).toBeGreaterThan(1_900);
});

test("callers get whole answers, books balance and places are given back while rivals race in rough weather", async () => {
  const rule = "hedge: { after: p95, max: 10% }";
  const { metrics, faults } = await simulate(scenario("S2-75", 4), "signalbox", { seed: 3, rule });
  expect(faults).toEqual([]);
  expect(metrics.silentLosses).toBe(0);
  expect(metrics.success).toBeGreaterThan(0.95);
});

test("shares add up exactly, are their rule's own, and are not saved up without end", () => {
  const shares = new HedgeShares();
  for (let request = 0; request < 49; request += 1) shares.earn("a", 0.02);
  expect(shares.has("a")).toBe(false);
  shares.earn("a", 0.02);
  expect([shares.has("a"), shares.has("b")]).toEqual([true, false]);
  shares.take("a");
  expect(shares.has("a")).toBe(false);
  for (let request = 0; request < 100_000; request += 1) shares.earn("a", 0.02);
  let taken = 0;
  for (; shares.has("a"); taken += 1) shares.take("a");
  expect(taken).toBe(10);
});

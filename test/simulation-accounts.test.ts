// Two keys of one provider in virtual time: what both allow is used, each within its own limits.
import { expect, test } from "vitest";
import { Secret } from "../src/dialect.ts";
import { constantLoad, drawArrivals } from "./simulator/callers.ts";
import { Engine } from "./simulator/engine.ts";
import { type Asked, isSuccess } from "./simulator/metrics.ts";
import { DRAWN, meanCapacityPerS } from "./simulator/oracle.ts";
import { ANTHROPIC_LIKE, OPENAI_LIKE } from "./simulator/profiles.ts";
import { type Incident, type Profile, SimulatedProvider } from "./simulator/provider.ts";
import { signalbox } from "./simulator/router.ts";
import { createSimulatedUpstream } from "./simulator/upstream.ts";

const MINUTES = 6;

interface Simulated {
  profile: Profile;
  /** Accounts that share the load, as shares of the profile's limits. */
  shares: readonly number[];
  /** Of what all accounts allow together. */
  load: number;
  /** Of the last account. */
  incidents?: Incident[];
}

/** A key leads to its own simulated provider, all of them at one address. */
async function simulate({ profile, shares, load, incidents = [] }: Simulated) {
  const engine = new Engine(7);
  const accounts = shares.map((share, at): Profile => {
    const limits = Object.fromEntries(Object.entries(profile.limits).map(([of, limit]) => [of, share * limit]));
    return {
      ...profile,
      id: `key-${at + 1}`,
      limits,
      errors: {},
      incidents: at === shares.length - 1 ? incidents : [],
    };
  });
  const providers = accounts.map((account) => new SimulatedProvider(engine, account));
  const upstream = createSimulatedUpstream(engine, providers);
  const router = signalbox(
    {
      engine,
      profiles: [{ ...profile, id: "a" }],
      upstream: {
        send: (request) => {
          const key = request.headers.authorization?.replace("Bearer ", "");
          return upstream.send({ ...request, url: `https://${key}.test/chat/completions` });
        },
        close: () => upstream.close(),
      },
    },
    {
      pools: [
        {
          name: "a",
          accounts: accounts.map(({ id, limits }) => ({ name: `a#${id}`, key: new Secret(id), allowance: limits })),
        },
      ],
    },
  );
  const healthy = accounts.map((account) => ({ ...account, incidents: [] }));
  const perSecond = load * meanCapacityPerS(healthy, MINUTES, DRAWN);
  const asked: Asked[] = [];
  for (const arrival of drawArrivals(engine, constantLoad(perSecond, { floodingShare: 0 }), MINUTES)) {
    engine.schedule(arrival.atMs, async () => {
      const startMs = engine.nowMs();
      const answer = await router.answer(arrival, new AbortController().signal);
      asked.push({ arrival, answer, latencyMs: engine.nowMs() - startMs });
    });
  }
  await engine.run();
  return {
    faults: router.faults(),
    success: asked.filter(isSuccess).length / asked.length,
    asked: asked.length,
    counters: providers.map(({ counters }) => counters),
  };
}

test.each([
  ["Anthropic's limits", ANTHROPIC_LIKE],
  ["OpenAI's limits", OPENAI_LIKE],
])(
  "two keys of unlike size carry what both allow, each in its proportion and hardly ever refused: %s",
  async (_, profile) => {
    const { faults, success, asked, counters } = await simulate({ profile, shares: [1, 0.5], load: 0.8 });
    expect(faults).toEqual([]);
    expect(success).toBeGreaterThan(0.995);
    expect(counters.reduce((sum, { refused }) => sum + refused, 0) / asked).toBeLessThan(0.03);
    const [large, small] = counters.map(({ attempts }) => attempts) as [number, number];
    expect(large / small).toBeGreaterThan(1.6);
    expect(large / small).toBeLessThan(2.5);
  },
);

test("when the money of one key ends its callers do not notice, and it is hardly asked any more", async () => {
  const halfMs = (MINUTES * 60_000) / 2;
  const incidents: Incident[] = [{ kind: "no_money", fromMs: halfMs, toMs: 2 * halfMs }];
  const { faults, success, counters } = await simulate({ profile: OPENAI_LIKE, shares: [1, 1], load: 0.4, incidents });
  expect(faults).toEqual([]);
  expect(success).toBe(1);
  const [, poor] = counters;
  const inTime = (from: number, to: number) => {
    return (poor?.attemptsPerS ?? []).slice(from / 1_000, to / 1_000).reduce((sum, count) => sum + (count ?? 0), 0);
  };
  expect(inTime(0, halfMs)).toBeGreaterThan(100);
  // What was under way at that moment, and then nothing for five minutes.
  expect(inTime(halfMs, 2 * halfMs)).toBeGreaterThan(0);
  expect(inTime(halfMs, 2 * halfMs)).toBeLessThan(10);
});

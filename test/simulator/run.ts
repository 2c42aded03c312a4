// One policy through one scenario, from the first request to the last answer.
import { TOLD_WAIT_MS_MAX } from "../../src/gateway/turns.ts";
import { naiveClient, roundRobin, shuffleWithCooldown } from "./baselines.ts";
import { type Arrival, DEADLINE_MS, drawArrivals, replayArrivals } from "./callers.ts";
import { Engine } from "./engine.ts";
import { type Asked, type Metrics, measure } from "./metrics.ts";
import { bestSuccess, meanCapacityPerS, meansOf, oraclePicoUsd } from "./oracle.ts";
import type { Policy, World } from "./policy.ts";
import { SimulatedProvider } from "./provider.ts";
import { signalbox } from "./router.ts";
import type { Scenario } from "./scenarios.ts";
import { createSimulatedUpstream } from "./upstream.ts";

/** What `pick: cheapest`, the default, and the longest wait for a turn leave of what could be had. */
const OUR_BOUNDS = { turnMs: TOLD_WAIT_MS_MAX, isCheapestFirst: true, isBlindToWindows: true };

type Build = (world: World, scenario: Scenario, options: RunOptions) => Policy;

export const POLICIES = {
  signalbox: (world, { pools }, { rule }) => signalbox(world, { pools, rule }),
  naive: naiveClient,
  "round robin": roundRobin,
  shuffle: shuffleWithCooldown,
} satisfies Record<string, Build>;

export type PolicyName = keyof typeof POLICIES;

export interface Run {
  metrics: Metrics;
  /** Of everything that happened, in order. */
  hash: string;
  /** What does not add up; empty when everything does. */
  faults: string[];
  /** What the scenario is about, in figures of its own. */
  findings: Record<string, number>;
  asked: Asked[];
  providers: SimulatedProvider[];
  /** What the policy believes to have spent. */
  spentNanoUsd: number | undefined;
}

export interface RunOptions {
  seed: number;
  /** File that is replayed where the scenario replays one. */
  trace?: string | undefined;
  /** See RouterSettings. */
  rule?: string | undefined;
  onMinute?(minute: number): void;
}

export async function simulate(scenario: Scenario, name: PolicyName, options: RunOptions): Promise<Run> {
  const engine = new Engine(options.seed);
  const { profiles, minutes } = scenario;
  const providers = profiles.map((profile) => new SimulatedProvider(engine, profile));
  const world: World = { engine, profiles, upstream: createSimulatedUpstream(engine, providers) };
  const build: Build = POLICIES[name];
  const policy = build(world, scenario, options);
  const arrivals = arrivalsOf(engine, scenario, options.trace);
  const asked: Asked[] = [];
  const bugs: unknown[] = [];
  for (const arrival of arrivals)
    engine.schedule(
      arrival.atMs,
      () =>
        void ask(engine, policy, arrival).then(
          (done) => asked.push(done),
          (bug) => bugs.push(bug),
        ),
    );
  await engine.run(options.onMinute);
  if (bugs.length > 0) throw new AggregateError(bugs, `${bugs.length} of ${arrivals.length} requests met a bug`);
  const metrics = measure(asked, {
    counters: providers.map(({ counters }) => counters),
    oraclePicoUsd: oraclePicoUsd(profiles, arrivals, minutes),
    best: bestSuccess(profiles, arrivals, minutes),
    bestByPrice: bestSuccess(profiles, arrivals, minutes, OUR_BOUNDS),
  });
  const faults = [...policy.faults(), ...faultsOf(providers)];
  if (asked.length < arrivals.length) faults.push(`${arrivals.length - asked.length} requests were never answered`);
  const findings = scenario.findings?.(asked, providers) ?? {};
  return { metrics, hash: engine.hash(), faults, findings, asked, providers, spentNanoUsd: policy.spentNanoUsd?.() };
}

function faultsOf(providers: readonly SimulatedProvider[]): string[] {
  const busy = providers.filter(({ inFlight }) => inFlight > 0);
  return busy.map(
    ({ profile, inFlight }) => `${inFlight} calls of provider ${profile.id} were neither read nor closed`,
  );
}

function arrivalsOf(engine: Engine, scenario: Scenario, trace: string | undefined): Arrival[] {
  const { load, minutes, replayShare, profiles } = scenario;
  if (replayShare === undefined) return drawArrivals(engine, load, minutes);
  if (trace === undefined)
    throw new Error("this scenario replays a trace: say where it is (--trace or SIGNALBOX_TRACE)");
  return replayArrivals(engine, trace, minutes, (arrivals) => {
    const perS = (1_000 * arrivals.length) / Math.max(1, arrivals.at(-1)?.atMs ?? 0);
    return (replayShare * meanCapacityPerS(profiles, minutes, meansOf(arrivals))) / perS;
  });
}

async function ask(engine: Engine, policy: Policy, arrival: Arrival): Promise<Asked> {
  const startMs = engine.nowMs();
  const abort = new AbortController();
  // A moment after the deadline that the router was told, so that it may answer for itself.
  const patienceMs = Math.min(arrival.leavesAfterMs ?? Number.POSITIVE_INFINITY, DEADLINE_MS + 1);
  const stay = engine.schedule(patienceMs, () => abort.abort());
  const answer = await policy.answer(arrival, abort.signal);
  stay();
  engine.trace(arrival.key, `${arrival.id} ${answer.status} ${answer.isDone} ${answer.attempts}`);
  return { arrival, answer, latencyMs: engine.nowMs() - startMs };
}

// Measures the systems in turns, so that what the machine does to one it does to the others.
import { setTimeout as delay } from "node:timers/promises";
import { type Ask, type CallTiming, call, runLoop, runSteadily } from "./load.ts";
import type { Scenario } from "./scenarios.ts";
import { isOurs, type System } from "./systems.ts";

export interface Plan {
  rounds: number;
  warmupMs: number;
  roundMs: number;
  /** Of a paced stream, whose calls take a second and a half. */
  pacedRoundMs: number;
  /** Calls per round and system at most. */
  callsMax: number;
  concurrencyMax: number;
  /** Calls per round and system at concurrency 1, for the latencies. */
  probes: number;
}

/** One system under load. */
export interface Round {
  calls: number;
  elapsedMs: number;
  cpuUs: number;
  mainThreadCpuUs: number;
  rssBytes: number;
}

export interface Measured {
  system: string;
  /** All systems get the same number of calls a second; of a paced stream, the same number at a time. */
  steady: Round[];
  /** Each gets as many as it can take. */
  flatOut: Round[];
  /** At concurrency 1, in turns. */
  probes: CallTiming[];
  /** Of each delta of a paced stream, from the upstream's write until it was here. */
  delaysUs: number[];
}

export interface Measurement {
  scenario: Scenario;
  measured: Measured[];
}

/** Work goes on for a moment after the last answer (the ledger's thread), and belongs to the calls before. */
const SETTLE_MS = 50;
const DEATH_MS = 500;

interface Turn {
  system: System;
  ask: Ask;
  into: Measured;
}

export async function measure(
  systems: readonly System[],
  scenario: Scenario,
  plan: Plan,
  progress: (line: string) => void,
): Promise<Measurement> {
  const turns: Turn[] = [];
  for (const system of systems) {
    const ask = system.ask(scenario);
    if (ask === undefined) continue;
    const problem = await call(system.target, ask).then(
      () => undefined,
      (error: Error) => error,
    );
    const into = { system: system.name, steady: [], flatOut: [], probes: [], delaysUs: [] };
    if (problem === undefined) turns.push({ system, ask, into });
    else if (isOurs(system)) throw problem;
    else progress(`${system.name} is left out of this: ${problem.message}`);
  }
  // What the upstream itself uses is of no interest, but how long deltas take to come from it.
  const loaded = turns.filter(({ system }) => system.name !== "direct" || scenario.paceMs > 0);
  for (const { system, ask } of loaded) await runRound(system, ask, { ...plan, roundMs: plan.warmupMs }, undefined);
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const { system, ask, into } of loaded) {
      into.steady.push(await runRound(system, ask, plan, scenario.ratePerS, (us) => into.delaysUs.push(us)));
    }
    if (scenario.isFlatOut) {
      for (const { system, ask, into } of turns) into.flatOut.push(await runRound(system, ask, plan, undefined));
    }
    if (scenario.hasProbes) await probe(turns, plan.probes);
    progress(`${scenario.id}, ${round} of ${plan.rounds}, µs of CPU per call: ${loaded.map(lastRound).join(", ")}`);
  }
  return { scenario, measured: turns.map(({ into }) => into) };
}

function lastRound({ into }: Turn): string {
  const { cpuUs, calls } = into.steady.at(-1) as Round;
  return `${into.system} ${(cpuUs / calls).toFixed(0)}`;
}

export async function runRound(
  { subject, target }: System,
  ask: Ask,
  plan: Plan,
  ratePerS: number | undefined,
  onDelay?: (us: number) => void,
): Promise<Round> {
  const { scenario } = ask;
  const loop = {
    concurrency: Math.min(scenario.concurrency, plan.concurrencyMax),
    durationMs: scenario.paceMs * scenario.deltas > plan.roundMs ? plan.pacedRoundMs : plan.roundMs,
    callsMax: plan.callsMax,
  };
  const before = await subject.sample();
  const startedAtMs = performance.now();
  const running =
    ratePerS === undefined
      ? runLoop(target, ask, loop, scenario.paceMs > 0 ? onDelay : undefined)
      : runSteadily(target, ask, { ...loop, ratePerS });
  const calls = await Promise.race([running, subject.death]).catch(async (error) => {
    // A process that dies resets its connections first; its death is the better explanation, if it comes.
    await Promise.race([subject.death, delay(DEATH_MS)]);
    throw error;
  });
  const elapsedMs = performance.now() - startedAtMs;
  await delay(SETTLE_MS);
  const after = await subject.sample();
  return {
    ...{ calls, elapsedMs, rssBytes: after.rssBytes },
    cpuUs: after.cpuUs - before.cpuUs,
    mainThreadCpuUs: after.mainThreadCpuUs - before.mainThreadCpuUs,
  };
}

/** One call each, in changing order: whoever comes after an idle moment pays for waking the others. */
async function probe(turns: readonly Turn[], count: number): Promise<void> {
  const order = [...turns];
  for (let at = 0; at < count; at += 1) {
    for (const { system, ask, into } of order) into.probes.push(await call(system.target, ask));
    order.push(...order.splice(0, 1));
  }
}

// Measures the two subjects in turns, so that what the machine does to one it does to the other.
import { setTimeout as delay } from "node:timers/promises";
import type { Sample } from "./control.ts";
import { type CallTiming, call, type LoadTarget, runLoop, runSteadily } from "./load.ts";
import type { Scenario } from "./scenarios.ts";
import type { Subject } from "./subject.ts";

export interface Plan {
  rounds: number;
  warmupMs: number;
  roundMs: number;
  /** Calls per round and subject at most. */
  callsMax: number;
  concurrencyMax: number;
  /** Calls per round and target at concurrency 1, for the latencies. */
  probes: number;
}

export interface Measured {
  subject: Subject;
  target: LoadTarget;
}

/** One subject under load. */
export interface Round {
  calls: number;
  elapsedMs: number;
  cpuUs: number;
  mainThreadCpuUs: number;
  rssBytes: number;
}

export interface Rounds {
  floor: Round[];
  signalbox: Round[];
}

export interface Measurement {
  scenario: Scenario;
  /** Both subjects get the same number of calls a second. Empty for a paced stream. */
  steady: Rounds;
  /** Each gets as many as it can take. */
  flatOut: Rounds;
  /** At concurrency 1, in turns. Empty for a paced stream: its latency is the upstream's pace. */
  probes: { direct: CallTiming[]; floor: CallTiming[]; signalbox: CallTiming[] };
}

export interface Rig {
  direct: LoadTarget;
  floor: Measured;
  signalbox: Measured;
  progress(line: string): void;
}

/** Work goes on for a moment after the last answer (the ledger's thread), and belongs to the calls before. */
const SETTLE_MS = 50;
const DEATH_MS = 500;

export async function measure(rig: Rig, scenario: Scenario, plan: Plan): Promise<Measurement> {
  const result: Measurement = {
    scenario,
    steady: { floor: [], signalbox: [] },
    flatOut: { floor: [], signalbox: [] },
    probes: { direct: [], floor: [], signalbox: [] },
  };
  rig.progress(`${scenario.id}: warming up`);
  await runPair(rig, scenario, { ...plan, roundMs: plan.warmupMs }, undefined);
  for (let round = 1; round <= plan.rounds; round += 1) {
    const pair = await runPair(rig, scenario, plan, undefined);
    append(result.flatOut, pair);
    rig.progress(`${scenario.id}: round ${round} of ${plan.rounds}: ${summary(pair)}`);
    if (scenario.steadyRatePerS !== undefined) {
      append(result.steady, await runPair(rig, scenario, plan, scenario.steadyRatePerS));
    }
    if (!scenario.isPaced) await probe(rig, scenario, plan.probes, result.probes);
  }
  return result;
}

interface Pair {
  floor: Round;
  signalbox: Round;
}

async function runPair(rig: Rig, scenario: Scenario, plan: Plan, ratePerS: number | undefined): Promise<Pair> {
  const floor = await runRound(rig.floor, scenario, plan, ratePerS);
  return { floor, signalbox: await runRound(rig.signalbox, scenario, plan, ratePerS) };
}

function append(rounds: Rounds, { floor, signalbox }: Pair): void {
  rounds.floor.push(floor);
  rounds.signalbox.push(signalbox);
}

async function runRound(
  { subject, target }: Measured,
  scenario: Scenario,
  plan: Plan,
  ratePerS: number | undefined,
): Promise<Round> {
  const loop = {
    concurrency: Math.min(scenario.concurrency, plan.concurrencyMax),
    durationMs: plan.roundMs,
    callsMax: plan.callsMax,
  };
  const before = await subject.sample();
  const startedAtMs = performance.now();
  const running =
    ratePerS === undefined ? runLoop(target, scenario, loop) : runSteadily(target, scenario, { ...loop, ratePerS });
  const calls = await Promise.race([running, subject.death]).catch(async (error) => {
    // A process that dies resets its connections first; its death is the better explanation, if it comes.
    await Promise.race([subject.death, delay(DEATH_MS)]);
    throw error;
  });
  const elapsedMs = performance.now() - startedAtMs;
  await delay(SETTLE_MS);
  return { calls, elapsedMs, ...difference(before, await subject.sample()) };
}

function difference(before: Sample, after: Sample): Sample {
  return {
    cpuUs: after.cpuUs - before.cpuUs,
    mainThreadCpuUs: after.mainThreadCpuUs - before.mainThreadCpuUs,
    rssBytes: after.rssBytes,
  };
}

function summary({ floor, signalbox }: Pair): string {
  const below = floor.cpuUs / floor.calls;
  const above = signalbox.cpuUs / signalbox.calls;
  return `${below.toFixed(0)} and ${above.toFixed(0)} µs of CPU per call, ratio ${(above / below).toFixed(2)}`;
}

/** One call each, in changing order: whoever comes after an idle moment pays for waking the others. */
async function probe(rig: Rig, scenario: Scenario, count: number, into: Measurement["probes"]): Promise<void> {
  const turns: [LoadTarget, CallTiming[]][] = [
    [rig.direct, into.direct],
    [rig.floor.target, into.floor],
    [rig.signalbox.target, into.signalbox],
  ];
  for (let at = 0; at < count; at += 1) {
    for (const [target, timings] of turns) timings.push(await call(target, scenario));
    turns.push(...turns.splice(0, 1));
  }
}

// How many streams are held at once: each must be complete and in order, and no delta may come late.
import { setTimeout as delay } from "node:timers/promises";
import { type Ask, call } from "./load.ts";
import { quantile } from "./statistics.ts";
import type { System } from "./systems.ts";

export interface Held {
  system: string;
  streams: number;
  /** Not a complete answer with every delta in order; with the first reason. */
  broken: number;
  problem: string | undefined;
  delayMs: { p50: number; p99: number };
  /** The largest part of a gap between two deltas of one stream that the upstream did not make. */
  addedGapMsMax: number;
  cpuUsPerDelta: number;
  rssBytes: number;
}

/** Of so many deltas one is kept for the quantiles. */
const DELAYS_KEPT = 5;

export async function holdStreams(system: System, ask: Ask, streams: number): Promise<Held> {
  const { deltas: deltasEach, paceMs } = ask.scenario;
  const before = await system.subject.sample();
  const delaysUs: number[] = [];
  const problems: string[] = [];
  let addedGapUsMax = 0;
  const running: Promise<unknown>[] = [];
  for (let at = 0; at < streams; at += 1) {
    let lastDelayUs: number | undefined;
    let deltas = 0;
    const onDelay = (us: number) => {
      // What a delta took longer than the one before it is what was added to the gap between them.
      if (lastDelayUs !== undefined) addedGapUsMax = Math.max(addedGapUsMax, us - lastDelayUs);
      lastDelayUs = us;
      deltas += 1;
      if (deltas % DELAYS_KEPT === 0) delaysUs.push(us);
    };
    running.push(call(system.target, ask, onDelay).catch((error: Error) => problems.push(error.message)));
    // As callers come; the first are still running when the last begin.
    await delay(1);
  }
  await delay((deltasEach * paceMs) / 2);
  const { rssBytes } = await system.subject.sample();
  await Promise.race([Promise.all(running), system.subject.death]);
  const after = await system.subject.sample();
  return {
    ...{ system: system.name, streams, broken: problems.length, problem: problems[0], rssBytes },
    delayMs: { p50: quantile(delaysUs, 0.5) / 1000, p99: quantile(delaysUs, 0.99) / 1000 },
    addedGapMsMax: addedGapUsMax / 1000,
    cpuUsPerDelta: (after.cpuUs - before.cpuUs) / (streams * deltasEach),
  };
}

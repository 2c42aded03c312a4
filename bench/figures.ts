// From rounds and probes to the figures of the report.
import type { CallTiming } from "./load.ts";
import type { Measured, Measurement, Round } from "./measure.ts";
import { median, quantile } from "./statistics.ts";

export interface SystemFigures {
  system: string;
  calls: number;
  cpuUs: number;
  /** CPU ÷ the floor's: the median of the rounds' ratios, which a change in the machine's load between rounds does not
   *  touch, with the lowest and the highest. */
  ratio: Spread;
  mainThreadCpuUs: number;
  flatOutCpuUs: number | undefined;
  flatOutRatio: Spread | undefined;
  callsPerS: number | undefined;
  /** Latency less that of going straight to the upstream, at concurrency 1. */
  addedUs: Quantiles | undefined;
  /** The same to the first byte; of a stream, to its first delta. */
  addedFirstUs: Quantiles | undefined;
  /** What each delta took from the upstream's write until it was here. */
  deltaDelayUs: Quantiles | undefined;
}

export interface Spread {
  median: number;
  low: number;
  high: number;
}

export interface Quantiles {
  p50: number;
  p99: number;
}

export interface ScenarioFigures {
  id: string;
  title: string;
  systems: SystemFigures[];
}

export function figuresOf({ scenario, measured }: Measurement): ScenarioFigures {
  const { id, title } = scenario;
  const by = (name: string) => measured.find(({ system }) => system === name);
  const direct = by("direct");
  const floor = by("floor");
  return { id, title, systems: measured.map((one) => systemFigures(one, floor ?? one, direct ?? one)) };
}

function systemFigures(one: Measured, floor: Measured, direct: Measured): SystemFigures {
  const { system, steady, flatOut, probes, delaysUs } = one;
  const hasFlatOut = flatOut.length > 0;
  const added = (value: (timing: CallTiming) => number) =>
    probes.length === 0 ? undefined : difference(usOf(probes, value), usOf(direct.probes, value));
  return {
    system,
    calls: [...steady, ...flatOut].reduce((sum, { calls }) => sum + calls, 0),
    cpuUs: median(steady.map(cpuPerCall)),
    ratio: ratioOf(steady, floor.steady),
    mainThreadCpuUs: median(steady.map(({ mainThreadCpuUs, calls }) => mainThreadCpuUs / calls)),
    flatOutCpuUs: hasFlatOut ? median(flatOut.map(cpuPerCall)) : undefined,
    flatOutRatio: hasFlatOut ? ratioOf(flatOut, floor.flatOut) : undefined,
    callsPerS: hasFlatOut ? median(flatOut.map(({ calls, elapsedMs }) => (calls * 1000) / elapsedMs)) : undefined,
    addedUs: added(({ totalMs }) => totalMs),
    addedFirstUs: added(({ firstMs }) => firstMs),
    deltaDelayUs: delaysUs.length === 0 ? undefined : { p50: quantile(delaysUs, 0.5), p99: quantile(delaysUs, 0.99) },
  };
}

function cpuPerCall({ cpuUs, calls }: Round): number {
  return cpuUs / calls;
}

export function ratioOf(rounds: readonly Round[], base: readonly Round[]): Spread {
  const ratios = rounds.map((round, at) => cpuPerCall(round) / cpuPerCall(base[at] ?? round));
  return { median: median(ratios), low: Math.min(...ratios), high: Math.max(...ratios) };
}

function usOf(timings: readonly CallTiming[], valueMs: (timing: CallTiming) => number): Quantiles {
  const us = timings.map((timing) => 1000 * valueMs(timing));
  return { p50: quantile(us, 0.5), p99: quantile(us, 0.99) };
}

function difference(of: Quantiles, less: Quantiles): Quantiles {
  return { p50: of.p50 - less.p50, p99: of.p99 - less.p99 };
}

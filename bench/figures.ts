// From rounds and probes to the figures of the report.
import type { CallTiming } from "./load.ts";
import type { Measurement, Round, Rounds } from "./measure.ts";
import { median, quantile } from "./statistics.ts";

export interface Figure {
  id: string;
  title: string;
  floor: number;
  signalbox: number;
  /** Signalbox ÷ floor. Of what is measured per round: the median of the rounds' ratios, which a change in the machine's
   *  load between rounds does not touch. */
  ratio: number;
  /** The lowest and the highest ratio of a round; undefined for latencies, which are taken over all rounds. */
  ratioRange: [number, number] | undefined;
}

export interface ScenarioFigures {
  id: string;
  title: string;
  /** Calls to each subject in the measured rounds. */
  calls: { floor: number; signalbox: number };
  figures: Figure[];
}

export function figuresOf({ scenario, steady, flatOut, probes }: Measurement): ScenarioFigures {
  const figures: Figure[] = [];
  if (scenario.steadyRatePerS !== undefined) {
    figures.push(...cpuFigures("steady", `at ${scenario.steadyRatePerS} calls/s`, steady));
    figures.push(...cpuFigures("flat_out", `at concurrency ${scenario.concurrency}`, flatOut));
    const perSecond = ({ calls, elapsedMs }: Round) => (calls * 1000) / elapsedMs;
    figures.push(roundFigure("calls_per_s", `calls/s at concurrency ${scenario.concurrency}`, flatOut, perSecond));
    figures.push(...addedFigures(scenario.kind, probes));
  } else {
    figures.push(...cpuFigures("paced", `at concurrency ${scenario.concurrency}`, flatOut));
  }
  figures.push(roundFigure("rss_mb", "resident memory, MB", flatOut, ({ rssBytes }) => rssBytes / 1e6));
  const calls = {
    floor: total(steady.floor) + total(flatOut.floor),
    signalbox: total(steady.signalbox) + total(flatOut.signalbox),
  };
  return { id: scenario.id, title: scenario.title, calls, figures };
}

function cpuFigures(id: string, load: string, rounds: Rounds): Figure[] {
  return [
    roundFigure(`cpu_us_${id}`, `CPU per call, µs, ${load}`, rounds, ({ cpuUs, calls }) => cpuUs / calls),
    roundFigure(
      `main_thread_cpu_us_${id}`,
      "  of it the main thread, µs",
      rounds,
      (round) => round.mainThreadCpuUs / round.calls,
    ),
  ];
}

function addedFigures(kind: "json" | "stream", probes: Measurement["probes"]): Figure[] {
  const whole = ({ totalMs }: CallTiming) => totalMs;
  const firstByte = ({ firstByteMs }: CallTiming) => firstByteMs;
  const figures = [
    addedFigure("added_us_median", "added latency, median, µs", probes, 0.5, whole),
    addedFigure("added_us_p99", "added latency, p99, µs", probes, 0.99, whole),
  ];
  if (kind === "json") return figures;
  return [
    ...figures,
    addedFigure("added_first_byte_us_median", "added to first byte, median, µs", probes, 0.5, firstByte),
    addedFigure("added_first_byte_us_p99", "added to first byte, p99, µs", probes, 0.99, firstByte),
  ];
}

function roundFigure(id: string, title: string, rounds: Rounds, value: (round: Round) => number): Figure {
  const floor = rounds.floor.map(value);
  const signalbox = rounds.signalbox.map(value);
  const ratios = signalbox.map((above, round) => above / (floor[round] ?? Number.NaN));
  return {
    id,
    title,
    floor: median(floor),
    signalbox: median(signalbox),
    ratio: median(ratios),
    ratioRange: [Math.min(...ratios), Math.max(...ratios)],
  };
}

/** What a subject adds to a call that would otherwise go straight to the upstream. */
function addedFigure(
  id: string,
  title: string,
  probes: Measurement["probes"],
  q: number,
  valueMs: (timing: CallTiming) => number,
): Figure {
  const us = (timings: CallTiming[]) => 1000 * quantile(timings.map(valueMs), q);
  const floor = us(probes.floor) - us(probes.direct);
  const signalbox = us(probes.signalbox) - us(probes.direct);
  return { id, title, floor, signalbox, ratio: signalbox / floor, ratioRange: undefined };
}

function total(rounds: Round[]): number {
  return rounds.reduce((sum, { calls }) => sum + calls, 0);
}

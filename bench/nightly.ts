// Many seeds of a scenario: which share of them meets each target, and how to see the worst again.
import type { Run } from "../test/simulator/run.ts";
import { judged, shortfall, textOf } from "../test/simulator/targets.ts";

export interface SeededRun {
  seed: number;
  run: Run;
}

/** One line per target, and whether all seeds add up. `command`: what repeats a seed, without it. */
export function summaryOf(scenario: string, runs: readonly SeededRun[], command: string): string[] {
  const lines: string[] = [];
  const verdicts = runs.map(({ seed, run }) => ({ seed, all: judged(scenario, run) }));
  for (const [at, { target }] of (verdicts[0]?.all ?? []).entries()) {
    const ofTarget = verdicts.flatMap(({ seed, all }) => {
      const verdict = all[at];
      return verdict === undefined ? [] : [{ seed, verdict }];
    });
    const met = ofTarget.filter(({ verdict }) => verdict.isMet).length;
    const [worst] = ofTarget.toSorted((a, b) => shortfall(b.verdict) - shortfall(a.verdict));
    const share = `${met} of ${ofTarget.length}`.padStart(10);
    if (worst === undefined || worst.verdict.isMet) lines.push(`${share}  ${textOf(target)}`);
    else
      lines.push(
        `${share}  ${textOf(target)}; worst ${worst.verdict.value.toFixed(4)}: ${command} --seed ${worst.seed}`,
      );
  }
  const broken = runs.filter(({ run }) => run.faults.length > 0);
  for (const { seed, run } of broken) lines.push(`    FAULTS  ${run.faults[0]}: ${command} --seed ${seed}`);
  return lines;
}

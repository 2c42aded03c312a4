// The figures that are demanded of the router, as far as these scenarios can show them.
import { type Metrics, meanOf } from "./metrics.ts";
import type { Run } from "./run.ts";

/** Of a metric, or of a finding that one scenario has of its own. */
export interface Target {
  what: string;
  min?: number;
  max?: number;
}

export interface Verdict {
  target: Target;
  value: number;
  isMet: boolean;
}

/** In every scenario; where it says otherwise below, that holds. */
const ALWAYS: readonly Target[] = [
  { what: "silentLosses", max: 0 },
  { what: "upstream429", max: 0.03 },
  { what: "wasted", max: 0.1 },
];

const TARGETS: Readonly<Record<string, readonly Target[]>> = {
  S1: [
    { what: "success", min: 0.9995 },
    { what: "addedP99Ms", max: 1_000 },
    { what: "costOverOracle", max: 1.15 },
    { what: "wasted", max: 0.05 },
  ],
  "S2-60": [
    { what: "attempts at it per request while it was down", max: 0.05 },
    { what: "s until 90 % of its traffic is back", max: 90 },
    { what: "its highest rate in the 90 s after ÷ before", max: 1.2 },
  ],
  "S2-75": [
    { what: "wellBehaved", min: 0.999 },
    { what: "success", min: 0.995 },
  ],
  "S2-80": [{ what: "wellBehaved", min: 0.999 }],
  "S2-95": [
    { what: "wellBehaved", min: 0.999 },
    { what: "success", min: 0.985 },
  ],
  "S2-120": [
    { what: "wellBehaved", min: 0.995 },
    { what: "worstKey", min: 0.97 },
    { what: "jain", min: 0.99 },
  ],
  S3: [{ what: "surfaced429", max: 0 }],
  "S3-uneven": [{ what: "surfaced429", max: 0 }],
  S4: [
    { what: "s until within 10 % of the new limit", max: 20 },
    { what: "s of that after the first refusal", max: 5 },
    { what: "s until back at 90 %", max: 60 },
    { what: "429 per request in the 30 s after the cut", max: 0.1 },
  ],
  // Every tenth answer is cut off: that much is in vain whatever the router does.
  S8: [{ what: "wasted", max: 0.15 }],
  S13: [
    { what: "s until 90 % succeed again", max: 90 },
    { what: "attempts per request in the outage", max: 1 },
  ],
};

type Figures = Pick<Run, "metrics" | "findings">;

/** Each target of a scenario, met or not. */
export function judged(scenario: string, figures: Figures): Verdict[] {
  const own = TARGETS[scenario] ?? [];
  return judgedBy([...own, ...ALWAYS.filter(({ what }) => own.every((target) => target.what !== what))], figures);
}

export function judgedBy(targets: readonly Target[], { metrics, findings }: Figures): Verdict[] {
  return targets.map((target) => {
    const { what, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = target;
    const value = what in findings ? (findings[what] as number) : Number(metrics[what as keyof Metrics]);
    return { target, value, isMet: value >= min && value <= max };
  });
}

/** Of several seeds, figure by figure. */
export function meanRun(runs: readonly Figures[]): Figures {
  const names = Object.keys(runs[0]?.findings ?? {});
  const mean = (name: string) =>
    runs.reduce((sum, { findings }) => sum + (findings[name] ?? Number.NaN), 0) / runs.length;
  return {
    metrics: meanOf(runs.map(({ metrics }) => metrics)),
    findings: Object.fromEntries(names.map((name) => [name, mean(name)])),
  };
}

export function textOf({ what, min, max }: Target): string {
  return min === undefined ? `${what} at most ${max}` : `${what} at least ${min}`;
}

/** How far from being met; 0 when it is met, comparable among values of one target. */
export function shortfall({ target: { min, max }, value, isMet }: Verdict): number {
  if (isMet) return 0;
  if (Number.isNaN(value)) return Number.POSITIVE_INFINITY;
  return min === undefined ? value - (max ?? value) : min - value;
}

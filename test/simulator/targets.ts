// The figures that are demanded of the router (routing-and-limits §6.4), as far as these scenarios can show them.
import type { Metrics } from "./metrics.ts";

interface Target {
  what: Exclude<keyof Metrics, "errors">;
  min?: number;
  max?: number;
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
  // Every tenth answer is cut off: that much is in vain whatever the router does.
  S8: [{ what: "wasted", max: 0.15 }],
};

/** What falls short, one line each. */
export function missed(scenario: string, metrics: Metrics): string[] {
  const own = TARGETS[scenario] ?? [];
  const all = [...own, ...ALWAYS.filter(({ what }) => own.every((target) => target.what !== what))];
  return all.flatMap(({ what, min, max }) => {
    const value = metrics[what];
    if (min !== undefined && !(value >= min)) return [`${what} ${value.toFixed(4)} (at least ${min})`];
    if (max !== undefined && !(value <= max)) return [`${what} ${value.toFixed(4)} (at most ${max})`];
    return [];
  });
}

// What a run came to, for its callers and for whoever pays.
import { type Arrival, DEADLINE_MS, FLOODING_KEY } from "./callers.ts";
import type { Answer } from "./policy.ts";
import type { Counters } from "./provider.ts";
import { WHOLE } from "./wire.ts";

export interface Asked {
  arrival: Arrival;
  answer: Answer;
  latencyMs: number;
}

export interface Metrics {
  requests: number;
  /** Shares of requests answered whole within their deadline; callers who left do not count. */
  success: number;
  wellBehaved: number;
  worstKey: number;
  /** Jain's index of the well-behaved keys' shares: 1 is perfectly even. */
  jain: number;
  /** Latency without the last attempt's own time, in ms. */
  addedP50Ms: number;
  addedP99Ms: number;
  wellBehavedAddedP99Ms: number;
  /** Success of whoever knows everything and lets those who behave go first (`bestSuccess`). */
  best: number;
  /** The same within our bounds: the cheapest first, in the time we let anybody wait, without knowledge of windows. */
  bestByPrice: number;
  /** Money per success, compared with the oracle's. */
  costOverOracle: number;
  /** Per request. */
  upstream429: number;
  wasted: number;
  attempts: number;
  /** 429s that callers saw. */
  surfaced429: number;
  /** Told to be whole although a part was missing. */
  silentLosses: number;
  errors: Record<string, number>;
}

export interface Totals {
  counters: readonly Counters[];
  oraclePicoUsd: number;
  best: number;
  bestByPrice: number;
}

export function isSuccess({ answer, latencyMs }: Asked): boolean {
  return answer.isDone && answer.text === WHOLE && latencyMs <= DEADLINE_MS;
}

export function measure(asked: readonly Asked[], { counters, oraclePicoUsd, best, bestByPrice }: Totals): Metrics {
  const judged = asked.filter(({ arrival }) => arrival.leavesAfterMs === undefined);
  const successes = judged.filter(isSuccess).length;
  const keys = Map.groupBy(judged, ({ arrival }) => arrival.key);
  const shares = [...keys].filter(([key]) => key !== FLOODING_KEY).map(([, own]) => shareOf(own));
  const well = judged.filter(({ arrival }) => arrival.key !== FLOODING_KEY);
  const added = addedMs(judged);
  const sum = (of: (each: Counters) => number) => counters.reduce((total, each) => total + of(each), 0);
  const attempts = sum((each) => each.attempts);
  // Of a caller who left, the attempt was not in vain by anybody's fault.
  const useful = successes + (asked.length - judged.length);
  const errors: Record<string, number> = {};
  for (const each of judged) {
    if (isSuccess(each)) continue;
    const name = each.answer.errorKind ?? (each.answer.isDone ? "late" : "unknown");
    errors[name] = (errors[name] ?? 0) + 1;
  }
  return {
    requests: asked.length,
    success: successes / judged.length,
    wellBehaved: shareOf(well),
    worstKey: Math.min(...shares),
    jain: jainOf(shares),
    addedP50Ms: quantile(added, 0.5),
    addedP99Ms: quantile(added, 0.99),
    wellBehavedAddedP99Ms: quantile(addedMs(well), 0.99),
    best,
    bestByPrice,
    costOverOracle: sum((each) => each.billedPicoUsd) / (successes + (asked.length - judged.length)) / oraclePicoUsd,
    upstream429: sum((each) => each.refused) / asked.length,
    wasted: Math.max(0, attempts - useful) / asked.length,
    attempts: attempts / asked.length,
    surfaced429: judged.filter(({ answer }) => answer.status === 429).length,
    silentLosses: judged.filter(({ answer }) => answer.isDone && answer.text !== WHOLE).length,
    errors,
  };
}

/** Sorted. */
function addedMs(asked: readonly Asked[]): number[] {
  return asked.map(({ answer, latencyMs }) => latencyMs - answer.ownMs).sort((a, b) => a - b);
}

function shareOf(asked: readonly Asked[]): number {
  return asked.length === 0 ? 1 : asked.filter(isSuccess).length / asked.length;
}

function jainOf(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}

/** Of sorted values. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Field by field; the errors are summed. */
export function meanOf(all: readonly Metrics[]): Metrics {
  const [first] = all;
  if (first === undefined) throw new Error("there is nothing to average");
  const errors: Record<string, number> = {};
  for (const each of all)
    for (const [name, count] of Object.entries(each.errors)) errors[name] = (errors[name] ?? 0) + count;
  const numbers = Object.keys(first).filter((name) => name !== "errors") as Exclude<keyof Metrics, "errors">[];
  const means = numbers.map((name) => [name, all.reduce((sum, each) => sum + each[name], 0) / all.length]);
  return { ...(Object.fromEntries(means) as Omit<Metrics, "errors">), errors };
}

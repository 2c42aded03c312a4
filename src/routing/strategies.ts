// How to order the candidates of a tier. A new strategy is one function here and its name in the schema.
import type { Candidate } from "./candidates.ts";
import type { StrategyName } from "./schema.ts";
import type { Score } from "./scores.ts";

export interface Scored {
  candidate: Candidate;
  score: Score;
}

/** A strategy returns a permutation of what it is given. `draw` is uniform in [0, 1). */
type Strategy = (scored: readonly Scored[], draw: () => number) => Scored[];

export const ORDERINGS: Readonly<Record<StrategyName, Strategy>> = {
  order: (scored) => [...scored],
  cheapest: (scored) => sortBy(scored, ({ score }) => riskAdjustedCost(score)),
  fastest: (scored) => sortBy(scored, ({ score }) => score.latencyMs),
  balanced: (scored, draw) => {
    // Where nobody has a price, time decides alone.
    const isPriced = scored.some(({ score }) => Number.isFinite(score.utility));
    const worth = ({ score }: Scored) => (isPriced ? score.utility : score.latencyMs * (1 + score.failureRate));
    const best = scored.reduce((least, item) => Math.min(least, worth(item)), Number.POSITIVE_INFINITY);
    // 10 % worse gets two thirds of the weight, twice as bad 6 %. What is free and takes no time has a worth of 0.
    const weight = (item: Scored) => (worth(item) === best ? 1 : (best / worth(item)) ** 4);
    return drawOrder(scored, weight, draw);
  },
  weighted: (scored, draw) => drawOrder(scored, ({ candidate }) => candidate.weight, draw),
};

/** A failed try is paid for again elsewhere. */
function riskAdjustedCost({ costNanoUsd, failureRate }: Score): number {
  return costNanoUsd === undefined ? Number.POSITIVE_INFINITY : costNanoUsd * (1 + failureRate);
}

/** Stable: equals keep their order, and so do those without a value, at the end. */
function sortBy(scored: readonly Scored[], value: (scored: Scored) => number): Scored[] {
  const keyed = scored.map((item) => ({ item, value: value(item) }));
  keyed.sort((a, b) => (a.value === b.value ? 0 : a.value < b.value ? -1 : 1));
  return keyed.map(({ item }) => item);
}

/** Draws one after the other without putting back, each with the chance of its weight. Weight 0 goes last, in order. */
function drawOrder(scored: readonly Scored[], weightOf: (scored: Scored) => number, draw: () => number): Scored[] {
  const weighed = scored.map((item) => ({ item, weight: weightOf(item) }));
  const left = weighed.filter(({ weight }) => weight > 0);
  const ordered: Scored[] = [];
  while (left.length > 0) {
    let rest = draw() * left.reduce((sum, { weight }) => sum + weight, 0);
    const at = left.findIndex(({ weight }) => {
      rest -= weight;
      return rest < 0;
    });
    // Sums of fractions may leave a rest at the end.
    const [taken] = left.splice(at, 1);
    if (taken !== undefined) ordered.push(taken.item);
  }
  return [...ordered, ...weighed.filter(({ weight }) => !(weight > 0)).map(({ item }) => item)];
}

// What could be had at best: how much the providers can take, and what it costs to fill the cheapest first.
import { type Arrival, DEADLINE_MS, FLOODING_KEY } from "./callers.ts";
import type { Profile } from "./provider.ts";

/** The mean request. */
export interface Means {
  plainTokens: number;
  outputTokens: number;
  maxTokens: number;
}

/** Of the requests that callers.ts draws. */
export const DRAWN: Means = { plainTokens: 965, outputTokens: 263, maxTokens: 1_024 };

export function meansOf(arrivals: readonly Arrival[]): Means {
  const mean = (of: (arrival: Arrival) => number) =>
    arrivals.reduce((sum, arrival) => sum + of(arrival), 0) / Math.max(1, arrivals.length);
  return {
    plainTokens: mean(({ plainTokens }) => plainTokens),
    outputTokens: mean(({ outputTokens, maxTokens }) => Math.min(outputTokens, maxTokens)),
    maxTokens: mean(({ maxTokens }) => maxTokens),
  };
}

/** Requests per second that a provider answers at that instant. */
export function capacityPerS(profile: Profile, atMs: number, means: Means): number {
  const incident = (kind: string) =>
    profile.incidents.find((each) => each.kind === kind && atMs >= each.fromMs && atMs < each.toMs);
  if (DEAF.some((kind) => incident(kind) !== undefined)) return 0;
  const scale = incident("cut")?.factor ?? 1;
  const slow = incident("slow")?.factor ?? 1;
  const input = means.plainTokens * profile.tokenFactor;
  const reserved = profile.accounting.output === "reserved" ? means.maxTokens : 0;
  const { limits, concurrency } = profile;
  const perMinute = Math.min(
    limits.requests ?? Number.POSITIVE_INFINITY,
    (limits.tokens ?? Number.POSITIVE_INFINITY) / (input + reserved),
    (limits.inputTokens ?? Number.POSITIVE_INFINITY) / input,
    (limits.outputTokens ?? Number.POSITIVE_INFINITY) / means.outputTokens,
    ((concurrency ?? Number.POSITIVE_INFINITY) * 60_000) / (slow * callMs(profile, means)),
  );
  return (perMinute * scale) / 60;
}

const DEAF = ["down", "hang", "malformed", "truncated", "unauthorized", "no_money"];
const STEP_MS = 5_000;

/** All providers together, over the whole run. */
export function meanCapacityPerS(profiles: readonly Profile[], minutes: number, means: Means): number {
  let sum = 0;
  let steps = 0;
  for (let atMs = 0; atMs < minutes * 60_000; atMs += STEP_MS) {
    for (const profile of profiles) sum += capacityPerS(profile, atMs, means);
    steps += 1;
  }
  return sum / steps;
}

/** Mean cost of an answer, in picodollars, when in each minute the cheapest providers are filled first: a lower bound, as
 *  it knows no bursts, failures or sizes. */
export function oraclePicoUsd(profiles: readonly Profile[], arrivals: readonly Arrival[], minutes: number): number {
  const means = meansOf(arrivals);
  const priced = profiles.map((profile) => ({ profile, cost: costOf(profile, means) })).sort((a, b) => a.cost - b.cost);
  const demand = Array.from({ length: Math.ceil(minutes) }, () => 0);
  for (const { atMs } of arrivals) {
    const minute = Math.min(demand.length - 1, Math.floor(atMs / 60_000));
    demand[minute] = (demand[minute] ?? 0) + 1;
  }
  let cost = 0;
  let served = 0;
  for (const [minute, asked] of demand.entries()) {
    let left = asked;
    for (const each of priced) {
      let capacity = 0;
      for (let at = 0; at < 60_000; at += STEP_MS)
        capacity += (capacityPerS(each.profile, minute * 60_000 + at, means) * STEP_MS) / 1_000;
      const taken = Math.min(left, capacity);
      left -= taken;
      served += taken;
      cost += taken * each.cost;
    }
  }
  return served === 0 ? Number.NaN : cost / served;
}

function costOf({ rates, tokenFactor }: Profile, means: Means): number {
  return means.plainTokens * tokenFactor * rates.input + means.outputTokens * rates.output;
}

/** Seconds, each with so many who wait since then. */
type Line = { atS: number; count: number }[];

/** Share of requests that whoever knows everything could answer in time, when those who behave go first and the key that floods
 *  gets what they leave: an upper bound, since it takes requests for a fluid of which nothing fails, every limit for known to
 *  the last request, and every wait for used up to the deadline. */
export function bestSuccess(profiles: readonly Profile[], arrivals: readonly Arrival[], minutes: number): number {
  const means = meansOf(arrivals);
  const reserves = profiles.map((profile) => new Reserve(profile, means));
  const patienceS = (DEADLINE_MS - Math.min(...profiles.map((profile) => callMs(profile, means)))) / 1_000;
  const lines: Line[] = [[], []];
  let served = 0;
  const arrivedIn = Map.groupBy(arrivals, ({ atMs }) => Math.floor(atMs / 1_000));
  for (let second = 0; second < 60 * minutes + patienceS; second += 1) {
    const arrived = arrivedIn.get(second) ?? [];
    const flooding = arrived.filter(({ key }) => key === FLOODING_KEY).length;
    for (const [at, count] of [arrived.length - flooding, flooding].entries()) lines[at]?.push({ atS: second, count });
    for (const reserve of reserves) reserve.fill(1_000 * second);
    let room = reserves.reduce((sum, { level }) => sum + level, 0);
    let taken = 0;
    for (const line of lines) {
      while ((line[0]?.atS ?? second) < second - patienceS) line.shift();
      for (const waiting of line) {
        const now = Math.min(room, waiting.count);
        waiting.count -= now;
        room -= now;
        taken += now;
      }
    }
    served += taken;
    for (const reserve of reserves) taken -= reserve.take(taken);
  }
  return served / arrivals.length;
}

/** What a provider takes at once. */
class Reserve {
  level = 0;
  readonly #profile: Profile;
  readonly #means: Means;

  constructor(profile: Profile, means: Means) {
    this.#profile = profile;
    this.#means = means;
    this.level = this.#most(0);
  }

  /** A second goes by. */
  fill(atMs: number): void {
    const { enforcement } = this.#profile;
    const most = this.#most(atMs);
    const isWindow = enforcement.kind === "window";
    if (isWindow && atMs % enforcement.windowMs === 0) this.level = most;
    if (!isWindow) this.level = Math.min(most, this.level + capacityPerS(this.#profile, atMs, this.#means));
    if (most === 0) this.level = 0;
  }

  take(count: number): number {
    const taken = Math.min(count, this.level);
    this.level -= taken;
    return taken;
  }

  #most(atMs: number): number {
    const { enforcement, concurrency } = this.#profile;
    const perS = capacityPerS(this.#profile, atMs, this.#means);
    // Places do not heap up while they are empty.
    if (concurrency !== undefined) return perS;
    return (perS * (enforcement.kind === "window" ? enforcement.windowMs : enforcement.burstMs)) / 1_000;
  }
}

function callMs({ firstByte, tokensPerSecond }: Profile, means: Means): number {
  return firstByte.medianMs + (1_000 * means.outputTokens) / tokensPerSecond.median;
}

/** How long each request must wait at one provider that takes `perMinute` of them and so much time's worth at once, when nobody
 *  is ever kept waiting without need: what arithmetic demands of any router. In ms, sorted. */
export function demandedWaitsMs(arrivals: readonly Arrival[], perMinute: number, burstMs: number): number[] {
  const everyMs = 60_000 / perMinute;
  let fullAtMs = Number.NEGATIVE_INFINITY;
  const waits = arrivals.map(({ atMs }) => {
    const startMs = Math.max(atMs, fullAtMs + everyMs - burstMs);
    fullAtMs = Math.max(fullAtMs, startMs) + everyMs;
    return startMs - atMs;
  });
  return waits.sort((a, b) => a - b);
}

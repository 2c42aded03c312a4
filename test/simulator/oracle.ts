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

const TICK_MS = 20;

/** What binds somebody who otherwise knows every limit and the length of every call. */
interface Bounds {
  /** A turn that comes later is none; absent: it may come as late as the call can still end in time. */
  turnMs?: number;
  /** The cheapest are filled first; otherwise of each provider is taken what would be lost soonest. */
  isCheapestFirst?: boolean;
  /** A provider's windows are nothing one can know: it is taken to have a bucket of ten seconds. */
  isBlindToWindows?: boolean;
}

/** Share of requests that could be answered in time, when those who behave go first and nothing ever fails: an upper bound, as far
 *  as requests are all as large as the mean. */
export function bestSuccess(
  profiles: readonly Profile[],
  arrivals: readonly Arrival[],
  minutes: number,
  { turnMs, isCheapestFirst = false, isBlindToWindows = false }: Bounds = {},
): number {
  const means = meansOf(arrivals);
  const byPrice = profiles.toSorted((a, b) => costOf(a, means) - costOf(b, means));
  const reserves = byPrice.map((profile) => new Reserve(isBlindToWindows ? withBucket(profile) : profile, means));
  const patienceMs = turnMs ?? DEADLINE_MS - Math.min(...profiles.map((profile) => callMs(profile, means)));
  const behaving: Arrival[] = [];
  const flooding: Arrival[] = [];
  let served = 0;
  let next = 0;
  for (let atMs = 0; atMs < 60_000 * minutes + patienceMs; atMs += TICK_MS) {
    for (const reserve of reserves) reserve.fill(atMs);
    if (!isCheapestFirst) reserves.sort((a, b) => a.spoilsInMs(atMs) - b.spoilsInMs(atMs));
    for (; (arrivals[next]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs; next += 1) {
      const arrival = arrivals[next] as Arrival;
      (arrival.key === FLOODING_KEY ? flooding : behaving).push(arrival);
    }
    for (const line of [behaving, flooding]) {
      let done = 0;
      for (const arrival of line) {
        const isLate = arrival.atMs < atMs - patienceMs;
        if (!isLate && !reserves.some((reserve) => reserve.take())) break;
        if (!isLate) served += 1;
        done += 1;
      }
      line.splice(0, done);
    }
  }
  return served / arrivals.length;
}

const BUCKET_MS = 10_000;

function withBucket(profile: Profile): Profile {
  const { enforcement } = profile;
  const isLong = enforcement.kind === "window" && enforcement.windowMs > BUCKET_MS;
  return isLong ? { ...profile, enforcement: { kind: "bucket", burstMs: BUCKET_MS } } : profile;
}

/** How many more a provider takes at once. */
class Reserve {
  #level: number;
  readonly #profile: Profile;
  readonly #means: Means;

  constructor(profile: Profile, means: Means) {
    this.#profile = profile;
    this.#means = means;
    this.#level = this.#most(0);
  }

  /** A tick goes by. */
  fill(atMs: number): void {
    const { enforcement } = this.#profile;
    const most = this.#most(atMs);
    if (enforcement.kind === "window" && atMs % enforcement.windowMs !== 0) this.#level = Math.min(most, this.#level);
    else if (enforcement.kind === "window") this.#level = most;
    else this.#level = Math.min(most, this.#level + (capacityPerS(this.#profile, atMs, this.#means) * TICK_MS) / 1_000);
  }

  /** Until what is not taken of it is lost: a bucket runs over, a window begins anew. */
  spoilsInMs(atMs: number): number {
    const { enforcement } = this.#profile;
    if (enforcement.kind === "window") return enforcement.windowMs - (atMs % enforcement.windowMs);
    return (1_000 * (this.#most(atMs) - this.#level)) / capacityPerS(this.#profile, atMs, this.#means);
  }

  take(): boolean {
    if (this.#level < 1) return false;
    this.#level -= 1;
    return true;
  }

  #most(atMs: number): number {
    const { enforcement, concurrency } = this.#profile;
    const perS = capacityPerS(this.#profile, atMs, this.#means);
    if (concurrency !== undefined) return perS === 0 ? 0 : concurrency;
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

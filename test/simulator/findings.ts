// Figures that one scenario is about: how fast a new limit is found, how traffic comes back after an outage.
import { type Asked, isSuccess } from "./metrics.ts";
import type { Incident, SimulatedProvider } from "./provider.ts";

type Findings = (asked: readonly Asked[], providers: readonly SimulatedProvider[]) => Record<string, number>;

const WINDOW_S = 10;
const NEVER = Number.NaN;

function sumOf(perS: readonly number[], from: number, seconds: number): number {
  return perS.slice(from, from + seconds).reduce((sum, count) => sum + count, 0);
}

/** Seconds until what is sent to the provider stays within a tenth of the lower limit, from the cut and from the first refusal,
 *  before which nobody can know of it; and until the old limit's traffic is back. */
export function convergence(id: string, cut: Incident): Findings {
  return (asked, providers) => {
    const provider = providers.find(({ profile }) => profile.id === id);
    if (provider === undefined) return {};
    const { attemptsPerS, admittedPerS, refusedPerS } = provider.counters;
    const cutAtS = Math.floor(cut.fromMs / 1_000);
    const restoredAtS = Math.floor(cut.toMs / 1_000);
    const limit = ((provider.profile.limits.requests ?? 0) * (cut.factor ?? 1) * WINDOW_S) / 60;
    const before = sumOf(admittedPerS, cutAtS - 60, 60) / 6;
    // Twice in a row: one quiet window may be chance.
    const isWithin = (at: number) => sumOf(attemptsPerS, at, WINDOW_S) <= 1.1 * limit;
    const refusedAtS = firstS(cutAtS, restoredAtS, (at) => (refusedPerS[at] ?? 0) > 0);
    const settledAt = firstS(cutAtS, restoredAtS, (at) => isWithin(at) && isWithin(at + WINDOW_S));
    const backAt = firstS(restoredAtS, admittedPerS.length, (at) => sumOf(admittedPerS, at, WINDOW_S) >= 0.9 * before);
    const inTime = asked.filter(({ arrival }) => arrival.atMs >= cut.fromMs && arrival.atMs < cut.fromMs + 30_000);
    return {
      "s until within 10 % of the new limit": settledAt - cutAtS,
      "s of that after the first refusal": Math.max(0, settledAt - refusedAtS),
      "s until back at 90 %": backAt - restoredAtS,
      "429 per request in the 30 s after the cut": sumOf(refusedPerS, cutAtS, 30) / inTime.length,
      "share of the new limit used later":
        sumOf(admittedPerS, cutAtS + 30, restoredAtS - cutAtS - 30) /
        ((limit / WINDOW_S) * (restoredAtS - cutAtS - 30)),
    };
  };
}

function firstS(from: number, to: number, holds: (second: number) => boolean): number {
  for (let second = from; second < to; second += 1) if (holds(second)) return second;
  return NEVER;
}

/** While one of several providers was down, and after: whether callers noticed, and how its traffic came back. */
export function recovery(id: string, down: Incident): Findings {
  return (asked, providers) => {
    const provider = providers.find(({ profile }) => profile.id === id);
    if (provider === undefined) return {};
    const { attemptsPerS, admittedPerS } = provider.counters;
    const startS = Math.floor(down.fromMs / 1_000);
    const endS = Math.floor(down.toMs / 1_000);
    const during = asked.filter(({ arrival }) => arrival.atMs >= down.fromMs && arrival.atMs < down.toMs);
    const usual = sumOf(admittedPerS, 0, startS) / startS;
    const highest = (from: number, to: number) => {
      let most = 0;
      for (let at = from; at + WINDOW_S <= to; at += 1) most = Math.max(most, sumOf(attemptsPerS, at, WINDOW_S));
      return most;
    };
    const isBack = (at: number) => sumOf(admittedPerS, at, 3 * WINDOW_S) >= 0.9 * 3 * WINDOW_S * usual;
    return {
      "attempts at it per request while it was down": sumOf(attemptsPerS, startS, endS - startS) / during.length,
      "s until 90 % of its traffic is back": firstS(endS, endS + 300, isBack) - endS,
      "its highest rate in the 90 s after ÷ before": highest(endS, endS + 90) / highest(0, startS),
    };
  };
}

/** After everything was down: seconds until 90 % of requests succeed again, and the highest rate of attempts, compared with
 *  what was usual. */
export function outage(down: Incident): Findings {
  return (asked, providers) => {
    const endS = Math.floor(down.toMs / 1_000);
    const startS = Math.floor(down.fromMs / 1_000);
    const usual = rateOf(providers, 0, startS);
    let peak = 0;
    for (let second = endS; second < endS + 90; second += 1) peak = Math.max(peak, rateOf(providers, second, WINDOW_S));
    const during = asked.filter(({ arrival }) => arrival.atMs >= down.fromMs && arrival.atMs < down.toMs);
    const attempts = during.reduce((sum, { answer }) => sum + answer.attempts, 0);
    return {
      "s until 90 % succeed again": firstS(endS, endS + 300, (at) => shareOf(asked, at, 3 * WINDOW_S) >= 0.9) - endS,
      "peak of attempts ÷ usual": peak / usual,
      "attempts per request in the outage": attempts / Math.max(1, during.length),
      "success in the 90 s after": shareOf(asked, endS, 90),
    };
  };
}

function rateOf(providers: readonly SimulatedProvider[], from: number, seconds: number): number {
  return providers.reduce((sum, { counters }) => sum + sumOf(counters.attemptsPerS, from, seconds), 0) / seconds;
}

function shareOf(asked: readonly Asked[], fromS: number, seconds: number): number {
  const there = asked.filter(
    ({ arrival }) => arrival.atMs >= 1_000 * fromS && arrival.atMs < 1_000 * (fromS + seconds),
  );
  return there.length === 0 ? 0 : there.filter(isSuccess).length / there.length;
}

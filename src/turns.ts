// Which candidate is called next, and when: in the plan's order as far as breakers and limits allow, else the first that
// becomes free.
import type { ProviderError } from "./chat.ts";
import { targetName } from "./dialect.ts";
import type { Health, HealthTarget } from "./health.ts";
import { createLease, type Lease } from "./lease.ts";
import type { Ask, Limits, Need, Option, Reservation } from "./limits.ts";
import { verdict } from "./retry.ts";
import { type Asked, maxOutputTokens } from "./routing/facts.ts";
import type { FleetView } from "./routing/fleet-view.ts";
import { applySet } from "./routing/parameters.ts";
import type { Plan, PlannedTarget } from "./routing/plan.ts";
import type { Clocks } from "./upstream.ts";

export interface TurnDeps {
  limits: Limits;
  health: Health;
  fleet: FleetView;
  nowMs(): number;
}

/** One request's search for a place. */
export interface Seeking {
  asked: Asked;
  planned: Plan;
  /** When it is too late for an answer. */
  deadlineMs: number;
  signal: AbortSignal;
}

export type Place = { kind: "lease"; at: number; lease: Lease };
export type Found = Place | { kind: "none"; error: ProviderError };

/** The share of outputs that what is reserved suffices for: more is wasted, less is refused too often. */
const RESERVED_QUANTILE = 0.9;
const PRIOR_OUTPUT_TOKENS = 500;
const PRIOR_MS = 6_000;

/** A place at one of the candidates `eligible` (by index into the plan, in order), or why there is none. */
export async function seekPlace(deps: TurnDeps, seeking: Seeking, eligible: readonly number[]): Promise<Found> {
  const { planned, asked, deadlineMs, signal } = seeking;
  const healthy = eligible.filter((at) => deps.health.admits(healthTargetAt(seeking, at)));
  const indices = healthy.length > 0 ? healthy : bySoonest(deps, seeking, eligible);
  const options = indices.map((at) => optionOf(deps, seeking, planned.candidates[at] as PlannedTarget));
  const shortestMs = Math.min(...indices.map((at) => knownMs(planned.candidates[at] as PlannedTarget)));
  const ask: Ask = {
    key: asked.caller.key,
    priority: planned.priority,
    stream: asked.request.stream,
    bytes: asked.bodyBytes,
    options,
    maxWaitMs: Math.max(0, Math.min(planned.maxWaitMs, deadlineMs - deps.nowMs() - shortestMs)),
    signal,
  };
  const turn = await deps.limits.acquire(ask);
  if (turn.kind === "cancelled") {
    return { kind: "none", error: { kind: "cancelled", message: "The caller closed the connection." } };
  }
  if (turn.kind === "refused") return { kind: "none", error: noCapacity(turn.retryAfterMs, turn.lacks) };
  const at = indices[turn.at] as number;
  return { kind: "lease", at, lease: leaseAt(deps, seeking, at, turn.reservation) };
}

/** A place for a call that could be done without: at a healthy candidate that has plenty, while nobody waits for any. */
export function spareLease(deps: TurnDeps, seeking: Seeking, eligible: readonly number[]): Place | undefined {
  const indices = eligible.filter((at) => deps.health.admits(healthTargetAt(seeking, at)));
  const options = indices.map((at) => optionOf(deps, seeking, seeking.planned.candidates[at] as PlannedTarget));
  const found = deps.limits.takeSpare(seeking.asked.caller.key, options);
  if (found === undefined) return undefined;
  const at = indices[found.at] as number;
  return { kind: "lease", at, lease: leaseAt(deps, seeking, at, found.reservation) };
}

/** How long an answer takes there; 0 where that would only be a guess: nobody is refused on the strength of one. */
function knownMs({ score }: PlannedTarget): number {
  return score === undefined || score.isGuess ? 0 : score.latencyMs;
}

const FIRST_BYTE_MS_MIN = 10_000;
/** Models that think take as long as the question is hard. */
const THINKING_MS_MIN = 60_000;
const FIRST_BYTE_FACTOR = 4;

/**
 * A stream shows within its first-byte clock whether it lives. A buffered answer shows nothing before it is complete, so
 * an attempt that has a successor gets half of the time that is left, and a hanging provider still leaves time for it.
 */
export function clocksFor(deps: TurnDeps, { planned, asked, deadlineMs }: Seeking, at: number): Clocks {
  const { connectMs, idleMs, contentIdleMs } = planned;
  const msLeft = deadlineMs - deps.nowMs();
  if (asked.request.stream) {
    const totalMs = Math.max(1, msLeft);
    return { connectMs, firstByteMs: firstByteMs(deps, planned, at), idleMs, contentIdleMs, totalMs };
  }
  const hasSuccessor = at + 1 < planned.candidates.length;
  const totalMs = Math.max(1, hasSuccessor ? msLeft / 2 : msLeft);
  return { connectMs, firstByteMs: totalMs, idleMs: totalMs, contentIdleMs: totalMs, totalMs };
}

/** How long a stream may stay silent before it counts as hanging: several times what nearly all take there, as far as that is
 *  known and the rule does not say. */
function firstByteMs({ fleet }: TurnDeps, planned: Plan, at: number): number {
  const { target, score } = planned.candidates[at] as PlannedTarget;
  if (!planned.isFirstByteAdapted) return planned.firstByteMs;
  const fresh = (score?.inputTokens ?? 0) - (score?.cachedTokens ?? 0);
  const usual = fleet.firstByteMs(targetName(target), fresh, 0.95);
  if (usual === undefined) return planned.firstByteMs;
  const least = target.entry?.reasoning === true ? THINKING_MS_MIN : FIRST_BYTE_MS_MIN;
  return Math.min(planned.firstByteMs, Math.max(least, FIRST_BYTE_FACTOR * usual));
}

/** For a further call of a request that has its place already: a repaired one, or one that goes on with an answer. */
export function keepPlace(deps: TurnDeps, seeking: Seeking, at: number): Lease {
  const option = optionOf(deps, seeking, seeking.planned.candidates[at] as PlannedTarget);
  return leaseAt(deps, seeking, at, deps.limits.take(seeking.asked.caller.key, option));
}

function leaseAt(deps: TurnDeps, seeking: Seeking, at: number, reservation: Reservation): Lease {
  const { target } = seeking.planned.candidates[at] as PlannedTarget;
  return createLease(target, reservation, deps.nowMs, deps.health.begin(healthTargetAt(seeking, at)));
}

/** When no breaker is closed: the one that is to close again first before the others. Better to try than to refuse untried. */
function bySoonest({ health }: TurnDeps, seeking: Seeking, eligible: readonly number[]): number[] {
  const openUntilMs = (at: number) => health.openUntilMs(healthTargetAt(seeking, at));
  return eligible.toSorted((a, b) => openUntilMs(a) - openUntilMs(b));
}

/** Tiers that get what others leave over: that nothing is left says nothing about those who pay for more. */
const SPARE_TIERS = ["flex"];

/** Whose breaker a call of this candidate is about. */
function healthTargetAt({ asked, planned }: Seeking, at: number): HealthTarget {
  const { target, set } = planned.candidates[at] as PlannedTarget;
  const tier = set.service_tier ?? asked.request.body.service_tier;
  const name = targetName(target);
  const isSpare = typeof tier === "string" && SPARE_TIERS.includes(tier);
  return { provider: target.provider.id, name: isSpare ? `${name} (${tier})` : name };
}

function optionOf({ fleet }: TurnDeps, { asked, planned }: Seeking, { target, set, score }: PlannedTarget): Option {
  const name = targetName(target);
  const bound = maxOutputTokens(applySet(asked.request.body, set).body);
  const scope = { rule: planned.ruleName, key: asked.caller.key, model: target.model, maxTokens: bound };
  const expected = fleet.outputTokensQuantile(scope, RESERVED_QUANTILE) ?? PRIOR_OUTPUT_TOKENS;
  const need: Need = {
    inputTokens: score?.inputTokens ?? Math.round(asked.inputTokens(name)),
    cachedTokens: score?.cachedTokens ?? 0,
    outputTokens: Math.min(Math.ceil(expected), bound ?? Number.POSITIVE_INFINITY),
    maxOutputTokens: bound,
    expectedMs: score?.latencyMs ?? PRIOR_MS,
  };
  return { target, need };
}

function noCapacity(retryAfterMs: number, lacks: string): ProviderError {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  return {
    kind: "rate_limited",
    message:
      `No provider that may answer this request is free in time (${lacks.replaceAll("_", " ")}). ` +
      `Try again in ${seconds} s.`,
    code: "router_capacity",
    param: lacks,
    retryAfterMs,
  };
}

/** What follows a failed call. A candidate whose breaker is open is no reason not to repeat a call that may be repeated; it is
 *  one to go on to before giving up. */
export function decide(
  { health }: TurnDeps,
  seeking: Seeking,
  { error, others, ...tries }: { error: ProviderError; others: readonly number[]; onTarget: number; msLeft: number },
): ReturnType<typeof verdict> {
  const { mayPassFilter } = seeking.planned;
  const hasHealthy = others.some((at) => health.admits(healthTargetAt(seeking, at)));
  const first = verdict(error, { ...tries, mayPassFilter, hasNext: hasHealthy });
  return first === "stop" ? verdict(error, { ...tries, mayPassFilter, hasNext: others.length > 0 }) : first;
}

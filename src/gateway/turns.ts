// Which candidate is called next, and when: in the plan's order as far as breakers and limits allow, else the first that
// becomes free.
import type { ProviderError } from "../chat.ts";
import { type Account, targetName } from "../dialect.ts";
import type { Health, HealthCall, HealthTarget } from "../health.ts";
import type { Ask, Door, Limits, Need, Option, Reservation } from "../limits.ts";
import { verdict } from "../retry.ts";
import { type Asked, maxOutputTokens } from "../routing/facts.ts";
import type { FleetView } from "../routing/fleet-view.ts";
import { applySet } from "../routing/parameters.ts";
import type { Plan, PlannedTarget } from "../routing/plan.ts";
import { policyOf } from "../taxonomy.ts";
import type { Clocks } from "../upstream.ts";
import { createLease, type Lease } from "./lease.ts";

export interface TurnDeps {
  limits: Limits;
  health: Health;
  fleet: FleetView;
  nowMs(): number;
  /** Resolves early when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** One request's search for a place. */
export interface Seeking {
  asked: Asked;
  planned: Plan;
  /** When it is too late for an answer. */
  deadlineMs: number;
  /** How long the caller said it waits for an answer. */
  toldMs?: number | undefined;
  /** While all that may be called is failing: until when it waits for the end of that, all its attempts together. */
  recoveryUntilMs?: number;
  signal: AbortSignal;
  /** Grows with every search, whatever comes of it. */
  story: { queuedMs: number };
  /** Names of accounts that have refused the request: others go first. */
  refusedAccounts: string[];
}

export type Place = { kind: "lease"; at: number; lease: Lease };
export type Found = Place | { kind: "none"; error: ProviderError };

/** The share of outputs that what is reserved suffices for: more is wasted, less is refused too often. */
const RESERVED_QUANTILE = 0.9;
const PRIOR_OUTPUT_TOKENS = 500;
const PRIOR_MS = 6_000;

/** A candidate, by its index into the plan, as it is called: with which key, where its provider is called with several. */
interface Variant {
  at: number;
  account: Account | undefined;
}

const LEFT: ProviderError = { kind: "cancelled", message: "The caller closed the connection." };

/** A place at one of the candidates `eligible` (by index into the plan, in order), or why there is none. */
export async function seekPlace(deps: TurnDeps, seeking: Seeking, eligible: readonly number[]): Promise<Found> {
  const { planned, asked, deadlineMs, signal } = seeking;
  const variants = eligible.flatMap((at) => variantsAt(deps, seeking, at));
  const able = await ableOf(deps, seeking, variants);
  if ("error" in able) return { kind: "none", error: able.error };
  const doors = able.variants.map((variant) => doorOf(deps, seeking, variant, able.areTries));
  const options = able.variants.map((variant, at) => ({ ...optionOf(deps, seeking, variant), door: doors[at] }));
  const shortestMs = Math.min(...able.variants.map(({ at }) => knownMs(planned.candidates[at] as PlannedTarget)));
  const ask: Ask = {
    key: asked.caller.key,
    priority: planned.priority,
    stream: asked.request.stream,
    bytes: asked.bodyBytes,
    options,
    maxWaitMs: Math.max(0, Math.min(maxWaitMs(seeking), deadlineMs - deps.nowMs() - shortestMs)),
    signal,
  };
  const turn = await deps.limits.acquire(ask);
  seeking.story.queuedMs += turn.queuedMs;
  if (turn.kind === "cancelled") {
    return { kind: "none", error: LEFT };
  }
  if (turn.kind === "refused") {
    const openMs = untilOneOpens(deps, seeking, able.variants);
    return { kind: "none", error: openMs > 0 ? allFailing(openMs) : noCapacity(turn.retryAfterMs, turn.lacks) };
  }
  const variant = able.variants[turn.at] as Variant;
  const { call } = doors[turn.at] as BreakerDoor;
  return { kind: "lease", at: variant.at, lease: leaseOf(deps, seeking, variant, turn.reservation, call) };
}

/** The accounts of a candidate in the order in which they are asked: the one that has the conversation's cache, then those
 *  with most room; those that have refused the request last. */
function variantsAt({ limits }: TurnDeps, { planned, refusedAccounts }: Seeking, at: number): Variant[] {
  const { target } = planned.candidates[at] as PlannedTarget;
  const accounts = limits.accountsOf(target);
  if (accounts.length === 0) return [{ at, account: undefined }];
  const { affinity } = planned.trace;
  const isWarm = affinity !== undefined && affinity.target === targetName(target) && affinity.hitProbability > 0;
  const rank = ({ name }: Account) => {
    if (refusedAccounts.includes(name)) return 2;
    return isWarm && affinity.account === name ? 0 : 1;
  };
  return accounts.toSorted((a, b) => rank(a) - rank(b)).map((account) => ({ at, account }));
}

/** So many moves between the accounts of targets a request may make beside its attempts. */
const MOVES_MAX = 3;

/** Whether another account of the same target is asked at once: what failed was about the one that was called. */
export function movesOn(deps: TurnDeps, seeking: Seeking, { at, lease }: Place, error: ProviderError): boolean {
  if (lease.account === undefined || policyOf(error).isOfAccount !== true) return false;
  seeking.refusedAccounts.push(lease.account.name);
  if (seeking.refusedAccounts.length > MOVES_MAX) return false;
  return variantsAt(deps, seeking, at).some((variant) => {
    const isFresh = variant.account !== undefined && !seeking.refusedAccounts.includes(variant.account.name);
    return isFresh && deps.health.admits(healthTargetOf(seeking, variant));
  });
}

/** Many proxies hang up after a minute without a byte: a turn that comes later is none. */
export const TOLD_WAIT_MS_MAX = 52_000;
const TOLD_WAIT_SHARE = 0.87;

/** Where the rule leaves it open: most of the time that the caller says it has, and some for the answer. */
function maxWaitMs({ planned, toldMs = 0 }: Seeking): number {
  if (!planned.isMaxWaitAdapted) return planned.maxWaitMs;
  return Math.max(planned.maxWaitMs, Math.min(TOLD_WAIT_MS_MAX, TOLD_WAIT_SHARE * toldMs));
}

/** A place for a call that could be done without: at a healthy candidate that has plenty, while nobody waits for any. */
export function spareLease(deps: TurnDeps, seeking: Seeking, eligible: readonly number[]): Place | undefined {
  const variants = eligible.flatMap((at) => variantsAt(deps, seeking, at));
  const open = variants.filter((variant) => deps.health.admits(healthTargetOf(seeking, variant)));
  const options = open.map((variant) => optionOf(deps, seeking, variant));
  const found = deps.limits.takeSpare(seeking.asked.caller.key, options);
  if (found === undefined) return undefined;
  const variant = open[found.at] as Variant;
  return { kind: "lease", at: variant.at, lease: leaseOf(deps, seeking, variant, found.reservation) };
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
export function keepPlace(deps: TurnDeps, seeking: Seeking, at: number, { account }: Pick<Lease, "account">): Lease {
  const option = optionOf(deps, seeking, { at, account });
  return leaseOf(deps, seeking, { at, account }, deps.limits.take(seeking.asked.caller.key, option));
}

/** `call`: where it has begun for the breakers already. */
function leaseOf(
  deps: TurnDeps,
  seeking: Seeking,
  variant: Variant,
  reservation: Reservation,
  call = deps.health.begin(healthTargetOf(seeking, variant)),
): Lease {
  const { target } = seeking.planned.candidates[variant.at] as PlannedTarget;
  return createLease({ target, account: variant.account }, reservation, deps.nowMs, call);
}

/** A candidate's breakers: they may open and close while a request waits for its turn. */
interface BreakerDoor extends Door {
  /** The one that went in. */
  call: HealthCall | undefined;
}

/** `isTry`: whatever the breakers say. */
function doorOf({ health }: TurnDeps, seeking: Seeking, variant: Variant, isTry: boolean): BreakerDoor {
  const target = healthTargetOf(seeking, variant);
  const door: BreakerDoor = {
    id: `${isTry ? "try " : ""}${target.name} ${target.account ?? ""}`,
    call: undefined,
    isOpen: () => isTry || health.admits(target),
    mayTry: () => health.mayTry(target),
    enter: () => {
      door.call = health.begin(target);
    },
  };
  return door;
}

/** 0 while one of them takes calls. In ms. */
function untilOneOpens(deps: TurnDeps, seeking: Seeking, variants: readonly Variant[]): number {
  const targets = variants.map((variant) => healthTargetOf(seeking, variant));
  if (targets.some((target) => deps.health.admits(target))) return 0;
  return Math.max(1, Math.min(...targets.map((target) => deps.health.openUntilMs(target))) - deps.nowMs());
}

/** All that may be called is failing: nobody is kept waiting for longer than this for the end of it. */
const RECOVERY_MS_MAX = 20_000;
const RECOVERY_POLL_MS = 100;
/** What stays closed for longer is not waited for: a bad key, no money. */
const SOON_MS = 60_000;

interface Able {
  variants: readonly Variant[];
  /** They are called although their breakers are open. */
  areTries: boolean;
}

/** The candidates that may be called, in order: all of them, each when its breakers admit a call. When none does, the one that is
 *  to close again first before the others: better to try than to refuse untried. That is one call a second for each; the rest
 *  wait for what it finds. */
async function ableOf(
  deps: TurnDeps,
  seeking: Seeking,
  variants: readonly Variant[],
): Promise<Able | { error: ProviderError }> {
  const { health, nowMs } = deps;
  const isAnyAdmitted = () => variants.some((variant) => health.admits(healthTargetOf(seeking, variant)));
  if (isAnyAdmitted()) return { variants, areTries: false };
  const openUntilMs = (variant: Variant) => health.openUntilMs(healthTargetOf(seeking, variant));
  const beganMs = nowMs();
  const leave = health.awaitRecovery();
  try {
    for (;;) {
      const soonest = variants.toSorted((a, b) => openUntilMs(a) - openUntilMs(b));
      const tryable = soonest.filter((variant) => health.mayTry(healthTargetOf(seeking, variant)));
      if (tryable.length > 0) return { variants: tryable, areTries: true };
      const openMs = openUntilMs(soonest[0] as Variant) - nowMs();
      if (openMs > SOON_MS) return { variants: soonest, areTries: true };
      const mostMs = Math.min(RECOVERY_MS_MAX, maxWaitMs(seeking));
      seeking.recoveryUntilMs ??= Math.min(nowMs() + mostMs, seeking.deadlineMs);
      if (seeking.signal.aborted) return { error: LEFT };
      if (nowMs() >= seeking.recoveryUntilMs || leave === undefined) return { error: allFailing(openMs) };
      await deps.sleep(RECOVERY_POLL_MS, seeking.signal);
      if (isAnyAdmitted()) return { variants, areTries: false };
    }
  } finally {
    leave?.();
    seeking.story.queuedMs += nowMs() - beganMs;
  }
}

function allFailing(openMs: number): ProviderError {
  const retryAfterMs = Math.max(1_000, openMs);
  const message =
    "All providers that may answer this request are failing; each is tried once a second. " +
    `Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`;
  return { kind: "overloaded", message, code: "no_healthy_provider", retryAfterMs };
}

/** Tiers that get what others leave over: that nothing is left says nothing about those who pay for more. */
const SPARE_TIERS = ["flex"];

/** Whose breaker a call of this candidate is about. */
function healthTargetOf({ asked, planned }: Seeking, { at, account }: Variant): HealthTarget {
  const { target, set } = planned.candidates[at] as PlannedTarget;
  const tier = set.service_tier ?? asked.request.body.service_tier;
  const name = targetName(target);
  const isSpare = typeof tier === "string" && SPARE_TIERS.includes(tier);
  return { provider: target.provider.id, name: isSpare ? `${name} (${tier})` : name, account: account?.name };
}

function optionOf({ fleet }: TurnDeps, { asked, planned }: Seeking, { at, account }: Variant): Option {
  const { target, set, score } = planned.candidates[at] as PlannedTarget;
  const name = targetName(target);
  const bound = maxOutputTokens(applySet(asked.request.body, set).body);
  const scope = { rule: planned.ruleName, key: asked.caller.key, model: target.model, maxTokens: bound };
  const expected = fleet.outputTokensQuantile(scope, RESERVED_QUANTILE) ?? PRIOR_OUTPUT_TOKENS;
  const need: Need = {
    inputTokens: score?.inputTokens ?? Math.round(asked.inputTokens(name)),
    // Providers keep caches by account.
    cachedTokens: account?.name === planned.trace.affinity?.account ? (score?.cachedTokens ?? 0) : 0,
    outputTokens: Math.min(Math.ceil(expected), bound ?? Number.POSITIVE_INFINITY),
    maxOutputTokens: bound,
    expectedMs: score?.latencyMs ?? PRIOR_MS,
  };
  return { target, account, need };
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
  deps: TurnDeps,
  seeking: Seeking,
  { error, others, ...tries }: { error: ProviderError; others: readonly number[]; onTarget: number; msLeft: number },
): ReturnType<typeof verdict> {
  const { mayPassFilter } = seeking.planned;
  const hasHealthy = others.some((at) =>
    variantsAt(deps, seeking, at).some((variant) => deps.health.admits(healthTargetOf(seeking, variant))),
  );
  const first = verdict(error, { ...tries, mayPassFilter, hasNext: hasHealthy });
  return first === "stop" ? verdict(error, { ...tries, mayPassFilter, hasNext: others.length > 0 }) : first;
}

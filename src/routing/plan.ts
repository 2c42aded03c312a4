// Which targets may answer a request, in which order and within which bounds. Pure: the router, the CLI and the explain
// endpoint all call `plan`.
import type { CallerError, Target } from "../dialect.ts";
import { type Candidate, candidatesOf, type Named, type Reason } from "./candidates.ts";
import type { Condition, Facts } from "./conditions.ts";
import { denied, ruleDenial } from "./denials.ts";
import { type Asked, type Clock, factsOf } from "./facts.ts";
import type { Affinity, FleetView } from "./fleet-view.ts";
import { isPlain, type Narrowing, readNarrowing, slugMatches } from "./narrowing.ts";
import { applyRequirements } from "./requirements.ts";
import { DEFAULT_PRIORITY, type Hedge, MAX_WAIT_MS, type Priority, type Rule, type RuleSet } from "./rules.ts";
import type { SetEntry, StrategyName } from "./schema.ts";
import { type Pricing, type Score, score, VALUE_OF_SECOND_NANO_USD } from "./scores.ts";
import { type Exclusion, resolve, type Snapshot } from "./snapshot.ts";
import { ORDERINGS, type Scored } from "./strategies.ts";

export type { Asked, Caller } from "./facts.ts";

/** A target in its place. `set`: what the rule does to the request's parameters for it. */
export interface PlannedTarget {
  target: Target;
  tier: number;
  set: SetEntry;
  score: Score | undefined;
}

export interface Plan {
  kind: "plan";
  /** In the order they are tried; never empty. */
  candidates: PlannedTarget[];
  trace: Trace;
  maxAttempts: number;
  connectMs: number | undefined;
  firstByteMs: number;
  /** The rule does not say: shorter where the target's past shows that it would be. */
  isFirstByteAdapted: boolean;
  /** Between two pieces of anything, and between two pieces of content. */
  idleMs: number;
  contentIdleMs: number;
  totalMs: number;
  /** Whose turn it is when no target is free, and how long the caller may be kept waiting. */
  priority: Priority;
  maxWaitMs: number;
  /** The rule does not say: longer for callers who say that they have the time. */
  isMaxWaitAdapted: boolean;
  affinityTtlMs: number | undefined;
  /** A bound on the answer that no budget covers is lowered to what one does. */
  lowersMaxTokens: boolean;
  /** A refusal by a provider's content policy may be tried elsewhere. */
  mayPassFilter: boolean;
  /** When the caller leaves, a running answer is read on for so long, for its exact usage. */
  drainMs: number | undefined;
  /** A plain text whose provider fails in the middle goes on at the next candidate. */
  continuesStreams: boolean;
  /** A call that is slow to answer gets a rival at the next candidate. */
  hedge: Hedge | undefined;
  ruleName: string;
  /** For the ledger and `x-signalbox-decision`: rule, strategy, what was chosen and why. ASCII. */
  decision: string;
}

export interface Denied {
  kind: "denied";
  error: CallerError;
  trace: Trace;
  decision: string;
}

/** Why the plan is what it is. */
export interface Trace {
  rule: string | undefined;
  pick: StrategyName;
  /** Rules before it that spoke about the model, and why they did not decide. */
  passedOver: { rule: string; why: string }[];
  /** Every target that was looked at, those that are out included. */
  targets: { name: string; tier: number; reasons: Reason[]; score: Score | undefined }[];
  missing: Exclusion[];
  affinity: Affinity | undefined;
  /** The first choice is not the best one: it was drawn to learn about it. */
  explored: boolean;
}

const DEFAULT_ATTEMPTS = 3;
// Thinking models stay silent for a minute or more before the first content.
const DEFAULT_FIRST_BYTE_MS = 120_000;
const DEFAULT_IDLE_MS = 30_000;
// Providers keep the connection alive with comments and pings while a model thinks or a tool runs.
const DEFAULT_CONTENT_IDLE_MS = 120_000;
const DEFAULT_TOTAL_MS = 600_000;

export interface PlanOptions {
  /** Score every candidate, also where the strategy does not look at scores: for explanations. */
  scoreAll?: boolean;
}

export function plan(
  snapshot: Snapshot,
  asked: Asked,
  fleet: FleetView,
  draw: () => number,
  options: PlanOptions = {},
): Plan | Denied {
  const { body } = asked.request;
  const isKnown = (name: string) => resolve(snapshot, name, "caller").targets.some(({ entry }) => entry !== undefined);
  const narrowing = isPlain(body) ? undefined : readNarrowing(body, isKnown);
  const trace: Trace = {
    rule: undefined,
    pick: "balanced",
    passedOver: [],
    targets: [],
    missing: [],
    affinity: undefined,
    explored: false,
  };
  if (narrowing !== undefined && "error" in narrowing) {
    return { kind: "denied", error: narrowing.error, trace, decision: "refused" };
  }
  const [name = body.model, ...more] = narrowing?.models ?? [];
  const rule = firstMatch(snapshot.rules, name, asked, trace);
  trace.rule = rule?.name;
  if (rule?.deny !== undefined) {
    return { kind: "denied", error: ruleDenial(rule.deny), trace, decision: `${originOf(rule)};denied` };
  }
  const wishes = rule?.callerMayNarrow === false ? undefined : narrowing;
  // `models` is as many requests, one after the other: each name is decided by its own rule, so that none gets round one.
  const named: Named[] = [{ name, rule }];
  for (const next of wishes === undefined ? [] : more) {
    named.push({ name: next, rule: firstMatch(snapshot.rules, next, asked, trace) });
  }
  return choose({ snapshot, asked, fleet, draw, options, rule, wishes, trace }, named);
}

interface Choosing {
  snapshot: Snapshot;
  asked: Asked;
  fleet: FleetView;
  draw: () => number;
  options: PlanOptions;
  rule: Rule | undefined;
  wishes: Narrowing | undefined;
  trace: Trace;
}

function choose(choosing: Choosing, named: readonly Named[]): Plan | Denied {
  const { snapshot, asked, fleet, rule, wishes, trace } = choosing;
  const { candidates, missing } = candidatesOf(snapshot, named, wishes?.acrossModels === true, asked.caller.models);
  const affinity =
    rule?.affinity === false || asked.affinityId === undefined ? undefined : fleet.affinity(asked.affinityId);
  const pricing: Pricing = {
    asked,
    fleet,
    ruleName: rule?.name ?? "",
    affinity,
    valueOfSecondNanoUsd: rule?.valueOfSecondNanoUsd ?? VALUE_OF_SECOND_NANO_USD,
  };
  applyRequirements(candidates, wishes, pricing);
  trace.missing = missing;
  trace.affinity = affinity;
  trace.pick = strategyOf(rule, wishes);
  const ordered = orderAll(choosing, candidates, pricing);
  const scores = new Map(ordered.map(({ candidate, score: found }) => [candidate, found]));
  trace.targets = candidates.map((candidate) => {
    const { name, tier, reasons } = candidate;
    return { name, tier, reasons, score: scores.get(candidate) };
  });
  const first = ordered[0];
  if (first === undefined) {
    return { kind: "denied", error: denied(snapshot, asked, rule, trace), trace, decision: originOf(rule) };
  }
  return {
    kind: "plan",
    candidates: ordered.map(({ candidate, score: found }) => ({
      target: candidate.target,
      tier: candidate.tier,
      set: candidate.set,
      score: found,
    })),
    trace,
    maxAttempts:
      wishes?.allowFallbacks === false && wishes.order.length === 0 ? 1 : (rule?.attempts ?? DEFAULT_ATTEMPTS),
    connectMs: rule?.timeouts.connectMs,
    firstByteMs: rule?.timeouts.firstByteMs ?? DEFAULT_FIRST_BYTE_MS,
    isFirstByteAdapted: rule?.timeouts.firstByteMs === undefined,
    idleMs: rule?.timeouts.idleMs ?? DEFAULT_IDLE_MS,
    contentIdleMs: rule?.timeouts.contentIdleMs ?? DEFAULT_CONTENT_IDLE_MS,
    totalMs: rule?.timeouts.totalMs ?? DEFAULT_TOTAL_MS,
    priority: rule?.priority ?? DEFAULT_PRIORITY,
    maxWaitMs: rule?.maxWaitMs ?? MAX_WAIT_MS[DEFAULT_PRIORITY],
    isMaxWaitAdapted: rule?.isMaxWaitAdapted ?? true,
    affinityTtlMs: rule?.affinityTtlMs,
    lowersMaxTokens: rule?.lowersMaxTokens ?? false,
    mayPassFilter: rule?.mayPassFilter ?? false,
    drainMs: rule?.drainMs,
    continuesStreams: rule?.continuesStreams === true,
    hedge: rule?.hedge,
    ruleName: rule?.name ?? "",
    decision: `${originOf(rule)};${reasonOf(first, ordered.length, trace)}`,
  };
}

function firstMatch(rules: RuleSet, model: string, asked: Asked, trace: Trace): Rule | undefined {
  // Most requests meet no condition, and then need no facts.
  let facts: Facts | undefined;
  let clock: Clock | undefined;
  const found = new Map<Condition, ReturnType<Condition>>();
  return rules.rulesFor(model).find((rule) => {
    const { when } = rule;
    if (when === undefined) return true;
    if (facts === undefined) facts = factsOf(asked, model, rule.clock(asked.nowMs));
    else if (clock !== rule.clock) {
      facts.time = rule.clock(asked.nowMs);
      found.clear();
    }
    clock = rule.clock;
    const holds = found.get(when) ?? when(facts);
    found.set(when, holds);
    if (holds === true) return true;
    const why =
      holds === false ? "its condition does not hold" : `its condition fails here: ${holds.error.split("\n")[0]}`;
    trace.passedOver.push({ rule: rule.name, why });
    return false;
  });
}

const SORTS: Record<NonNullable<Narrowing["sort"]>, StrategyName> = {
  price: "cheapest",
  throughput: "fastest",
  latency: "fastest",
};

/** A caller's `sort` and `order` turn balancing off; a rule's choice holds unless the caller narrows it. */
function strategyOf(rule: Rule | undefined, wishes: Narrowing | undefined): StrategyName {
  if (wishes !== undefined && wishes.order.length > 0) return "order";
  if (wishes?.sort !== undefined) return SORTS[wishes.sort];
  return rule?.pick ?? "balanced";
}

function orderAll(choosing: Choosing, candidates: readonly Candidate[], pricing: Pricing): Ordered[] {
  const { trace, options } = choosing;
  const allowed = candidates.filter(({ reasons }) => reasons.length === 0);
  const needsScores = options.scoreAll === true || !(trace.pick === "order" || trace.pick === "weighted");
  // One candidate needs no choosing.
  const isChoice = needsScores && (allowed.length > 1 || options.scoreAll === true);
  const tiers = Map.groupBy(allowed, ({ tier }) => tier);
  const [first = [], ...rest] = [...tiers.keys()]
    .sort((a, b) => a - b)
    .map((tier) => orderTier(choosing, tiers.get(tier) ?? [], isChoice, pricing));
  return [...explore(first, choosing, pricing), ...rest.flat()];
}

interface Ordered {
  candidate: Candidate;
  score: Score | undefined;
}

function orderTier(choosing: Choosing, tier: Candidate[], isChoice: boolean, pricing: Pricing): Ordered[] {
  const { trace, draw, wishes } = choosing;
  if (!isChoice && trace.pick !== "weighted")
    return byWish(
      tier.map((candidate) => ({ candidate, score: undefined })),
      wishes,
    );
  const scored = tier.map(
    (candidate): Scored => ({ candidate, score: isChoice ? score(candidate, pricing) : NO_SCORE }),
  );
  let ordered = ORDERINGS[trace.pick](scored, draw);
  if (trace.pick === "balanced") ordered = stayHome(ordered, pricing);
  return byWish(isChoice ? ordered : ordered.map(({ candidate }) => ({ candidate, score: undefined })), wishes);
}

const NO_SCORE: Score = {
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  costNanoUsd: undefined,
  latencyMs: 0,
  isGuess: true,
  failureRate: 0,
  utility: 0,
};

/** A draw among the nearly best would leave a warm cache for nothing: where it is the best, it is also the first. */
function stayHome(ordered: Scored[], { affinity }: Pricing): Scored[] {
  if (affinity === undefined || affinity.hitProbability === 0) return ordered;
  const best = Math.min(...ordered.map(({ score: { utility } }) => utility));
  const home = ordered.find(
    ({ candidate, score: { utility } }) => candidate.name === affinity.target && utility === best,
  );
  return home === undefined ? ordered : [home, ...ordered.filter((item) => item !== home)];
}

const EXPLORATION = 0.01;
const EXPLORATION_COST_MAX = 1.5;

/** One request in a hundred goes where least is known, if it is not much dearer; never one that has a warm cache, or whose
 *  caller said how to sort. What falls short of the caller's preferences stays behind. */
function explore(ordered: Ordered[], choosing: Choosing, { affinity }: Pricing): Ordered[] {
  const { draw, fleet, trace, wishes } = choosing;
  const [first] = ordered;
  if (first?.score === undefined || ordered.length < 2 || affinity !== undefined) return ordered;
  if (trace.pick === "order" || trace.pick === "weighted" || wishes?.sort !== undefined) return ordered;
  if (draw() >= EXPLORATION) return ordered;
  const bound = (first.score.costNanoUsd ?? 0) * EXPLORATION_COST_MAX;
  const eligible = ordered.filter(({ candidate, score: found }) => {
    const cost = found?.costNanoUsd;
    return cost !== undefined && cost <= bound && candidate.isSecondChoice === first.candidate.isSecondChoice;
  });
  const samples = ({ candidate }: Ordered) => fleet.recentSamples(candidate.name);
  const chosen = eligible.reduce((least, item) => (samples(item) < samples(least) ? item : least), first);
  if (chosen === first) return ordered;
  trace.explored = true;
  return [chosen, ...ordered.filter((item) => item !== chosen)];
}

/** The caller's own order first, what it prefers against last; otherwise as they stand. */
function byWish(ordered: Ordered[], wishes: Narrowing | undefined): Ordered[] {
  if (wishes === undefined) return ordered;
  const rank = ({ candidate }: Ordered) => {
    const { id, standsInFor } = candidate.target.provider;
    const place = wishes.order.findIndex((slug) => slugMatches(slug, id, standsInFor));
    return (place === -1 ? wishes.order.length : place) + (candidate.isSecondChoice ? wishes.order.length + 1 : 0);
  };
  return ordered.toSorted((a, b) => rank(a) - rank(b));
}

function originOf(rule: Rule | undefined): string {
  return rule === undefined ? "direct" : `rule=${encodeURIComponent(rule.name.toWellFormed())}`;
}

function reasonOf(first: Ordered, count: number, trace: Trace): string {
  const out = trace.targets.filter(({ reasons }) => reasons.length > 0).length + trace.missing.length;
  const about = `pick=${trace.pick};candidates=${count}${out === 0 ? "" : `;excluded=${out}`}`;
  const { score: found } = first;
  if (found === undefined) return about;
  const cost =
    found.costNanoUsd === undefined ? "" : `;cost=${(found.costNanoUsd / 1e9).toFixed(9).replace(/\.?0+$/, "")}`;
  const extra = trace.explored ? ";explored" : found.cachedTokens > 0 ? ";warm" : "";
  return `${about}${cost};latency=${Math.round(found.latencyMs)}ms${extra}`;
}

// Hedging: a call that is slow to answer gets a rival at the next candidate. The first that answers wins, the other is cut.
import { HEDGE_LOST, type ProviderError } from "../chat.ts";
import { targetName } from "../dialect.ts";
import { Lru } from "../lru.ts";
import type { Memory } from "../memory.ts";
import { verdict } from "../retry.ts";
import type { RetryBudget } from "../retry-budget.ts";
import { maxOutputTokens } from "../routing/facts.ts";
import { applySet } from "../routing/parameters.ts";
import type { Plan, PlannedTarget } from "../routing/plan.ts";
import { LedgerUnavailable } from "../store/rows.ts";
import { policyOf } from "../taxonomy.ts";
import type { AttemptResult } from "./attempt.ts";
import { type Failure, lostOn, othersFor } from "./failures.ts";
import { type Leg, loneLeg } from "./leg.ts";
import { type Place, type Seeking, spareLease, type TurnDeps } from "./turns.ts";

/** What of a request's run this needs. */
export interface HedgeRun {
  readonly row: {
    readonly deps: TurnDeps & { retryBudget: RetryBudget; hedges: HedgeShares; memory: Memory };
  };
  readonly planned: Plan;
  readonly seeking: Seeking;
  readonly failures: Failure[];
  eligible: number[];
}

/** What came of a turn. */
export interface Turned {
  leg: Leg;
  result: AttemptResult;
  /** The other leg, where one was called. Its failure, if it was one, is in the run's failures already. */
  also: { at: number; hasFailed: boolean } | undefined;
}

type CallLeg = (leg: Leg) => Promise<AttemptResult>;

/**
 * Calls the candidate whose place was found, for one request; `made`: attempts before it. Where the rule says so and there
 * is capacity to spare, a slow call gets a rival, once. Rejects with what `call` rejects with, when nothing else answers.
 */
export function hedgedTurns(run: HedgeRun, call: CallLeg): (place: Place, made: number) => Promise<Turned> {
  const { row, planned, seeking } = run;
  const { hedge, ruleName, maxAttempts } = planned;
  const alone = async (place: Place): Promise<Turned> => {
    const leg = loneLeg(place, seeking.signal);
    return { leg, result: await call(leg), also: undefined };
  };
  if (hedge === undefined) return alone;
  row.deps.hedges.earn(ruleName, hedge.share);
  let isUsed = false;
  return async (place, made) => {
    const afterMs = isUsed || made + 1 >= maxAttempts ? undefined : afterMsAt(run, place.at);
    if (afterMs === undefined) return alone(place);
    const race = new Race(seeking.signal, call);
    const first = race.start(place);
    const isSlow = await isStillRunning(run, first, afterMs);
    const rival = isSlow && !race.isDecided ? rivalOf(run, place.at) : undefined;
    if (rival === undefined) return { leg: first.leg, result: resultOf(await first.ended), also: undefined };
    isUsed = true;
    return decided(run, race, { first, second: race.start(rival) });
  };
}

const QUANTILE = 0.95;
/** Lengths say most about how long an answer takes; the speed is the usual one. */
const SPEED_QUANTILE = 0.5;

/** How long the call at the candidate may be silent; `undefined` where that goes by its past and nothing is known of it. */
function afterMsAt({ row: { deps }, planned, seeking: { asked } }: HedgeRun, at: number): number | undefined {
  const { target, set, score } = planned.candidates[at] as PlannedTarget;
  const after = planned.hedge?.after;
  if (after !== "p95") return after;
  const name = targetName(target);
  const fresh = (score?.inputTokens ?? asked.inputTokens(name)) - (score?.cachedTokens ?? 0);
  const firstByteMs = deps.fleet.firstByteMs(name, fresh, QUANTILE);
  if (asked.request.stream) return firstByteMs;
  // A buffered answer is silent until it is whole.
  const bound = maxOutputTokens(applySet(asked.request.body, set).body);
  const scope = { rule: planned.ruleName, key: asked.caller.key, model: target.model, maxTokens: bound };
  const tokens = deps.fleet.outputTokensQuantile(scope, QUANTILE);
  const perTokenMs = deps.fleet.msPerOutputToken(name, SPEED_QUANTILE);
  if (tokens === undefined || perTokenMs === undefined) return undefined;
  return (firstByteMs ?? 0) + Math.min(tokens, bound ?? Number.POSITIVE_INFINITY) * perTokenMs;
}

async function isStillRunning({ row: { deps } }: HedgeRun, { ended }: Runner, afterMs: number): Promise<boolean> {
  const alarm = new AbortController();
  const isOver = ended.then(() => false);
  const isSlow = await Promise.race([isOver, deps.sleep(afterMs, alarm.signal).then(() => true)]);
  alarm.abort();
  return isSlow;
}

/** A place that nobody misses, and the leave to use it: of the rule's share and of the budget that retries have. */
function rivalOf({ row: { deps }, planned, seeking, eligible }: HedgeRun, at: number): Place | undefined {
  const isLate = deps.nowMs() >= seeking.deadlineMs || seeking.signal.aborted;
  if (isLate || !deps.hedges.has(planned.ruleName)) return undefined;
  const others = eligible.filter((index) => index !== at);
  const found = spareLease(deps, seeking, others);
  if (found === undefined) return undefined;
  const { target } = planned.candidates[found.at] as PlannedTarget;
  const lost = lostOn(target, { hadOutput: false, costNanoUsd: undefined }, seeking.asked);
  if (deps.retryBudget.spend(HEDGE_LOST, lost)) {
    deps.hedges.take(planned.ruleName);
    return found;
  }
  found.lease.cancel();
  return undefined;
}

type Ended = { result: AttemptResult } | { bug: unknown };

interface Runner {
  leg: Leg;
  cut: AbortController;
  isOver: boolean;
  /** Never rejects. */
  ended: Promise<Ended>;
}

/** Legs of which at most one is heard. */
class Race {
  readonly #call: CallLeg;
  readonly #caller: AbortSignal;
  readonly #runners: Runner[] = [];
  #winner: Leg | undefined;

  constructor(caller: AbortSignal, call: CallLeg) {
    this.#caller = caller;
    this.#call = call;
    caller.addEventListener("abort", () => this.#leave(), { once: true });
  }

  /** One has answered: the others have been cut. */
  get isDecided(): boolean {
    return this.#winner !== undefined;
  }

  start(place: Place): Runner {
    const cut = new AbortController();
    const leg: Leg = { ...loneLeg(place, cut.signal), claim: () => this.claim(leg) };
    const runner: Runner = { leg, cut, isOver: false, ended: Promise.resolve({ bug: undefined }) };
    this.#runners.push(runner);
    if (this.#caller.aborted) this.#leave();
    const over = (ended: Ended) => {
      runner.isOver = true;
      return ended;
    };
    runner.ended = this.#call(leg).then(
      (result) => over({ result }),
      (bug: unknown) => over({ bug }),
    );
    return runner;
  }

  /** The first to ask is heard. */
  claim(leg: Leg): ProviderError | undefined {
    if (this.#winner === undefined) {
      this.#winner = leg;
      for (const runner of this.#runners) if (runner.leg !== leg) giveUp(runner);
    }
    return this.#winner === leg ? undefined : HEDGE_LOST;
  }

  /** Where the answer of a caller that left is read on, one is enough. */
  #leave(): void {
    const heir = this.#runners.find(({ leg, isOver }) => (this.#winner === undefined ? !isOver : leg === this.#winner));
    for (const runner of this.#runners) {
      if (runner === heir) runner.cut.abort(this.#caller.reason);
      else giveUp(runner);
    }
  }
}

function giveUp({ leg, cut, isOver }: Runner): void {
  if (isOver) return;
  if (leg.told !== undefined) leg.told.error = HEDGE_LOST.kind;
  cut.abort(HEDGE_LOST);
}

function resultOf(ended: Ended): AttemptResult {
  if ("bug" in ended) throw ended.bug;
  return ended.result;
}

/** What comes of two legs: the answer of one, or the failure after which there is nothing to wait for. */
async function decided(
  run: HedgeRun,
  race: Race,
  { first, second }: { first: Runner; second: Runner },
): Promise<Turned> {
  const one = await Promise.race([first.ended.then(() => first), second.ended.then(() => second)]);
  const other = one === first ? second : first;
  const ended = await one.ended;
  const rest = async (also: Turned["also"]): Promise<Turned> => {
    return { leg: other.leg, result: resultOf(await other.ended), also };
  };
  // A rival is not worth an error.
  const isNoRival = "bug" in ended ? ended.bug instanceof LedgerUnavailable : ended.result.kind === "refused";
  if (one === second && isNoRival) return rest(undefined);
  if ("bug" in ended) {
    race.claim(one.leg);
    throw ended.bug;
  }
  const { result } = ended;
  const { at } = one.leg;
  const isFailure = result.kind === "failed" || result.kind === "refused";
  if (isFailure && result.error.kind === HEDGE_LOST.kind) return rest({ at, hasFailed: false });
  if (!isFailure || !mayFollow(run, result.error)) {
    race.claim(one.leg);
    return { leg: one.leg, result, also: { at: other.leg.at, hasFailed: false } };
  }
  const { target } = run.planned.candidates[at] as PlannedTarget;
  run.failures.push({ target, error: result.error });
  const others = othersFor(run, at, result.error, run.row.deps.memory);
  run.eligible = policyOf(result.error).again === "in_turn" ? [...others, at] : others;
  return rest(result.kind === "failed" ? { at, hasFailed: true } : undefined);
}

/** Whether another candidate may answer after this failure. One that may not need not be waited for either. */
function mayFollow({ row: { deps }, planned, seeking }: HedgeRun, error: ProviderError): boolean {
  const msLeft = seeking.deadlineMs - deps.nowMs();
  return verdict(error, { onTarget: 1, hasNext: true, mayPassFilter: planned.mayPassFilter, msLeft }) === "next";
}

const RULES_MAX = 256;
/** In millionths of a hedge: a share of a percent stays exact. */
const WHOLE = 1_000_000;
const LEVEL_MAX = 10 * WHOLE;

/** How many rivals the rules may have: each request earns its rule a part of one. */
export class HedgeShares {
  readonly #rules = new Lru<{ level: number }>(RULES_MAX);

  earn(rule: string, share: number): void {
    const entry = this.#rules.touch(rule, () => ({ level: 0 }));
    entry.level = Math.min(LEVEL_MAX, entry.level + Math.round(share * WHOLE));
  }

  has(rule: string): boolean {
    return (this.#rules.peek(rule)?.level ?? 0) >= WHOLE;
  }

  take(rule: string): void {
    const entry = this.#rules.peek(rule);
    if (entry !== undefined) entry.level -= WHOLE;
  }
}

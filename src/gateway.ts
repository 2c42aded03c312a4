// The loop: tries the candidates of a plan one after the other until one answers. Nobody else retries or falls back.
import type { ChatEvent, ChatRequest, JsonObject, ProviderError } from "./chat.ts";
import type { CallerError, Target } from "./dialect.ts";
import {
  type AttemptDeps,
  type AttemptInput,
  type AttemptResult,
  type Batches,
  type Bill,
  callOnce,
} from "./gateway/attempt.ts";
import { attemptsMax, type Failure, inView, lostOn, othersFor, tell, unfit, withoutPlace } from "./gateway/failures.ts";
import { HedgeShares, hedgedTurns } from "./gateway/hedge.ts";
import { type Called, callLeg, type Leg, loneLeg } from "./gateway/leg.ts";
import { fund, refusalOf, type SpendingDeps } from "./gateway/spending.ts";
import { type Ended, type Switch, withFailover } from "./gateway/stream-failover.ts";
import { clocksFor, decide, movesOn, type Place, type Seeking, seekPlace, type TurnDeps } from "./gateway/turns.ts";
import type { Memory } from "./memory.ts";
import { backoffMs, verdict } from "./retry.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { explain, traceText } from "./routing/explain.ts";
import { applySet } from "./routing/parameters.ts";
import { type Asked, type Caller, type Plan, type PlannedTarget, plan, type Trace } from "./routing/plan.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import { LedgerUnavailable } from "./store/rows.ts";
import { policyOf } from "./taxonomy.ts";

export interface GatewayDeps extends AttemptDeps, TurnDeps, SpendingDeps {
  snapshot(): Snapshot;
  retryBudget: RetryBudget;
  /** Estimates the prompt's tokens, calibrated for a target ("provider/model") when one is given. */
  inputTokens(request: ChatRequest, caller: string): (target?: string) => number;
  memory: Memory;
  /** Uniform in [0, 1). */
  draw(): number;
}

export interface GatewayInput {
  requestId: string;
  receivedAtMs: number;
  endpoint: string;
  headers(): Readonly<Record<string, string>>;
  bodyBytes: number;
  /** For the ledger: 16 hex digits. */
  bodyHash?: string;
  /** Which conversation this is a turn of, when that can be told. */
  affinityId: string | undefined;
  request: ChatRequest;
  caller: Caller;
  /** What the caller says of itself, for the ledger: its end user, its application, the conversation. */
  attribution?: { user?: string | undefined; app?: string | undefined; session?: string | undefined };
  /** How long the caller waits, when it says so. */
  timeoutMs: number | undefined;
  /** Aborted when the caller leaves. */
  signal: AbortSignal;
}

/** How the answer came about, for callers who ask. */
export interface Story {
  trace: Trace;
  /** The calls that were made, in order. */
  calls: Called[];
  /** A stream that went on at another target. */
  switched?: Switch;
  /** How long the request stood in queues for a place at a provider, all together. */
  queuedMs: number;
}

interface Told {
  decision: string;
  /** Attempts that were made, the last one included. */
  attempts: number;
  story: Story;
  /** The least that is left in any of the caller's budgets, calls under way taken off; absent without one. */
  budgetLeftNanoUsd?: number | undefined;
}

export type Outcome =
  | (Told & {
      kind: "failed";
      error: CallerError;
      retryAfterMs: number | undefined;
      /** A retry by the caller's SDK would not help: the router has retried already, or its own account is at fault. */
      isHopeless: boolean;
    })
  | (Told & {
      kind: "buffered";
      target: Target;
      warnings: string[];
      relay: boolean;
      events: ChatEvent[];
      body: string;
      bill: Bill;
    })
  | (Told & {
      kind: "stream";
      target: Target;
      warnings: string[];
      relay: boolean;
      /** Must be consumed or returned. After an `error` event nothing follows. */
      batches: Batches;
      bill(): Bill;
    });

export interface Gateway {
  run(input: GatewayInput): Promise<Outcome>;
  /** Where the request would go and why; nothing is sent. */
  explain(input: GatewayInput): JsonObject;
}

type Deps = GatewayDeps & { hedges: HedgeShares };

export function createGateway(given: GatewayDeps): Gateway {
  const deps: Deps = {
    ...given,
    hedges: new HedgeShares(),
    observe: (settled) => {
      if (settled.costNanoUsd !== undefined) given.retryBudget.onCost(settled.costNanoUsd);
      given.observe(settled);
    },
  };
  return {
    run: async (input) => {
      const outcome = await run(deps, input);
      outcome.budgetLeftNanoUsd = deps.budgets.remainingNanoUsd(input.caller);
      return outcome;
    },
    explain: (input) => explain(deps.snapshot(), askedOf(deps, input), deps.fleet).json,
  };
}

async function run(deps: Deps, input: GatewayInput): Promise<Outcome> {
  const snapshot = deps.snapshot();
  const asked = askedOf(deps, input);
  const planned = plan(snapshot, asked, deps.fleet, deps.draw);
  const story: Story = { trace: planned.trace, calls: [], queuedMs: 0 };
  const { decision } = planned;
  const row: RequestRow = { deps, input, snapshotId: snapshot.id, decision, story };
  if (planned.kind === "denied") {
    finish(row, { status: planned.error.status, attempts: 0, error: undefined, warnings: [] });
    const known = { retryAfterMs: undefined, isHopeless: false, decision, attempts: 0, story };
    return { kind: "failed", error: planned.error, ...known };
  }
  // Whoever has nothing left is told before waiting for a turn.
  const spent = deps.budgets.exhausted(input.caller);
  if (spent !== undefined) return failed(row, 0, [{ target: undefined, error: refusalOf(spent, deps.nowMs()) }]);
  try {
    const deadlineMs = deps.nowMs() + Math.min(planned.totalMs, input.timeoutMs ?? Number.POSITIVE_INFINITY);
    const { timeoutMs: toldMs, signal } = input;
    const seeking: Seeking = { asked, planned, deadlineMs, toldMs, signal, story, refusedAccounts: [] };
    const { catalogVersion } = snapshot;
    const { request } = input;
    const endStream = (how: Ended) => finish(row, how);
    const begun = { row, request, seeking, planned, catalogVersion, deadlineMs, endStream };
    const eligible = [...planned.candidates.keys()];
    return await tryCandidates({ ...begun, calls: 0, failures: [], eligible });
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    const message = "The router cannot record calls at the moment, so it makes none.";
    const caller = { status: 503, message, type: "server_error", code: "ledger_unavailable", param: null };
    return { kind: "failed", error: caller, retryAfterMs: 5_000, isHopeless: false, decision, attempts: 0, story };
  }
}

function askedOf(deps: GatewayDeps, input: GatewayInput): Asked {
  const { request, caller, endpoint, headers, bodyBytes, affinityId, receivedAtMs } = input;
  const inputTokens = deps.inputTokens(request, caller.key);
  const { memory: learnt } = deps;
  return { request, caller, endpoint, headers, bodyBytes, affinityId, inputTokens, learnt, nowMs: receivedAtMs };
}

interface RequestRow {
  deps: Deps;
  input: GatewayInput;
  snapshotId: string;
  decision: string;
  story: Story;
}

/** The state of one request on its way through the candidates. */
interface Run {
  row: RequestRow;
  /** What is asked of the next call. */
  request: ChatRequest;
  seeking: Seeking;
  planned: Plan;
  catalogVersion: string;
  deadlineMs: number;
  /** Calls made so far; each has its row in the ledger. */
  calls: number;
  failures: Failure[];
  /** Candidates that may be called next, by index, in order. */
  eligible: number[];
  endStream(how: Ended): void;
}

async function tryCandidates(run: Run): Promise<Outcome> {
  const { row, planned, failures } = run;
  const { deps, input } = row;
  const tries = new Map<number, number>();
  let attempts = 0;
  /** The target that may have its one repeat after all, when those that were to come next have no room. */
  let spare: Spare | undefined;
  deps.retryBudget.onRequest();
  const call = (leg: Leg) => callLeg(run, leg, (how) => callTarget(run, leg, how));
  const turn = hedgedTurns(run, call);
  for (;;) {
    const found = await seekPlace(deps, run.seeking, run.eligible);
    if (found.kind === "none") {
      if (spare === undefined || found.error.kind === "cancelled")
        return failed(row, run.calls, withoutPlace(failures, found.error));
      await pause(run, spare);
      run.eligible = [spare.at];
      spare = undefined;
      continue;
    }
    const { leg, result, also } = await turn(found, attempts);
    const { at } = leg;
    const { target } = planned.candidates[at] as PlannedTarget;
    if (also !== undefined) attempts += 1;
    if (also?.hasFailed) tries.set(also.at, (tries.get(also.at) ?? 0) + 1);
    if (result.kind === "buffered") return answered(row, target, run.calls, result);
    if (result.kind === "stream") {
      const others = attempts + 1 < planned.maxAttempts ? run.eligible.filter((index) => index !== at) : [];
      const goOn = (found: Place) => call(loneLeg(found, input.signal));
      const begun = { first: result, target, told: leg.told, others, call: goOn };
      return answered(row, target, run.calls, withFailover(run, begun));
    }
    const { error } = result;
    failures.push({ target, error });
    const isMove = movesOn(deps, run.seeking, leg, error);
    const isTry = result.kind !== "refused" && !isMove;
    if (isTry) attempts += 1;
    const onTarget = (tries.get(at) ?? 0) + (isTry ? 1 : 0);
    tries.set(at, onTarget);
    const others = othersFor(run, at, error, deps.memory);
    const msLeft = run.deadlineMs - deps.nowMs();
    const isSpent = attempts >= attemptsMax(planned, failures) || msLeft <= 0 || input.signal.aborted;
    const next = isSpent ? "stop" : isMove ? "move" : decide(deps, run.seeking, { error, others, onTarget, msLeft });
    if (next === "stop") return failed(row, run.calls, failures);
    if (result.kind !== "refused" && !deps.retryBudget.spend(error, lostOn(target, result.lost, run.seeking.asked)))
      return failed(row, run.calls, failures);
    // A target that has no room now may have some before the others do.
    const isInTurn = policyOf(error).again === "in_turn";
    if (!isMove) run.eligible = next === "again" || isInTurn ? [...others, at] : others;
    const mayRepeat = verdict(error, { onTarget, msLeft, hasNext: false }) === "again" && !isInTurn;
    spare = mayRepeat ? { at, onTarget, error } : undefined;
    if (spare !== undefined && next === "again") await pause(run, spare);
  }
}

interface Spare {
  at: number;
  onTarget: number;
  error: ProviderError;
}

async function pause({ row: { deps, input }, deadlineMs }: Run, { onTarget, error }: Spare): Promise<void> {
  const waitMs = Math.min(backoffMs(onTarget, error, deps.draw()), deadlineMs - deps.nowMs());
  await deps.sleep(Math.max(0, waitMs), input.signal);
}

async function callTarget(
  run: Run,
  leg: Leg,
  how: Pick<AttemptInput, "lease" | "repairs" | "continuation">,
): Promise<AttemptResult> {
  const { deps, input } = run.row;
  const { planned } = run;
  const { at } = leg;
  const { target, set } = planned.candidates[at] as PlannedTarget;
  const told: Called = { target, status: 0, error: undefined };
  const applied = applySet(run.request.body, set);
  const funded = fund(deps, run.seeking.asked, planned, at, applied.body);
  if ("error" in funded) {
    how.lease.cancel();
    return { kind: "refused", error: funded.error };
  }
  const { money, body } = funded;
  const warnings = [...applied.warnings, ...funded.warnings];
  const result: AttemptResult = await callOnce(deps, {
    requestId: input.requestId,
    numbered: (open) => {
      open(run.calls + 1);
      run.calls += 1;
      run.row.story.calls.push(told);
      leg.told = told;
      return run.calls;
    },
    caller: input.caller,
    request: body === run.request.body ? run.request : { ...run.request, body },
    target,
    ruleName: planned.ruleName,
    affinity: { id: input.affinityId, ttlMs: planned.affinityTtlMs },
    ...how,
    money,
    catalogVersion: run.catalogVersion,
    signal: leg.signal,
    drainMs: planned.drainMs,
    clocks: clocksFor(deps, run.seeking, at),
    inView: (error) => inView(run.failures, target, error),
    unfit: (events) => unfit(run, at, events) ?? leg.claim(),
    onStreamEnd: (error) => run.endStream({ status: 200, attempts: run.calls, error, warnings: warningsOf(result) }),
  }).catch((bug: unknown) => {
    how.lease.cancel();
    money.cancel();
    throw bug;
  });
  if (result.kind === "refused") {
    how.lease.cancel();
    money.cancel();
  } else {
    const error = result.kind === "failed" ? result.error : undefined;
    Object.assign(told, { status: error === undefined ? 200 : (error.status ?? 0), error: error?.kind });
  }
  if ("encoded" in result) result.encoded.warnings.unshift(...warnings);
  return result;
}

type Answered = Extract<AttemptResult, { kind: "buffered" | "stream" }>;

function answered(row: RequestRow, target: Target, attempts: number, result: Answered): Outcome {
  const { encoded, ...answer } = result;
  const { warnings, relay } = encoded;
  if (result.kind === "buffered") finish(row, { status: 200, attempts, error: undefined, warnings });
  return { ...answer, target, attempts, warnings, relay, decision: row.decision, story: row.story };
}

function warningsOf(result: AttemptResult): string[] {
  return "encoded" in result ? result.encoded.warnings : [];
}

function failed(row: RequestRow, attempts: number, failures: readonly Failure[]): Outcome {
  const told = tell(failures, attempts);
  finish(row, { status: told.error.status, attempts, error: failures.at(-1)?.error, warnings: [] });
  return { kind: "failed", ...told, decision: row.decision, attempts, story: row.story };
}

function finish(row: RequestRow, { status, attempts, error, warnings }: Ended): void {
  const { deps, input } = row;
  deps.ledger.finishRequest({
    requestId: input.requestId,
    receivedAtMs: input.receivedAtMs,
    endedAtMs: deps.nowMs(),
    queuedMs: row.story.queuedMs > 0 ? row.story.queuedMs : undefined,
    key: input.caller.key,
    team: input.caller.team,
    tags: input.caller.tags,
    ...input.attribution,
    bodyHash: input.bodyHash,
    endpoint: input.endpoint,
    modelRequested: input.request.body.model.slice(0, 200),
    stream: input.request.stream,
    status: error?.kind === "cancelled" ? 499 : status,
    errorKind: error?.kind,
    attempts,
    decision: row.decision,
    snapshotId: row.snapshotId,
    warnings,
    trace: traceText(row.story.trace),
  });
}

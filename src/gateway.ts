// The loop: tries the candidates of a plan one after the other until one answers. Nobody else retries or falls back.
import {
  type AttemptDeps,
  type AttemptInput,
  type AttemptResult,
  type Batches,
  type Bill,
  callOnce,
} from "./attempt.ts";
import type { ChatEvent, ChatRequest, ErrorKind, JsonObject, ProviderError } from "./chat.ts";
import { continueBuffered, continueStream } from "./continuation.ts";
import { type CallerError, type Target, targetName } from "./dialect.ts";
import type { Lease } from "./lease.ts";
import type { Memory } from "./memory.ts";
import { backoffMs, toCallerError, verdict } from "./retry.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { explain, traceText } from "./routing/explain.ts";
import { applySet } from "./routing/parameters.ts";
import { type Asked, type Caller, type Plan, type PlannedTarget, plan, type Trace } from "./routing/plan.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import { LedgerUnavailable } from "./store/rows.ts";
import { firstByteMs, keepPlace, type Seeking, seekPlace, type TurnDeps } from "./turns.ts";
import type { Clocks } from "./upstream.ts";

export interface GatewayDeps extends AttemptDeps, TurnDeps {
  snapshot(): Snapshot;
  retryBudget: RetryBudget;
  /** Estimates the prompt's tokens, calibrated for a target ("provider/model") when one is given. */
  inputTokens(request: ChatRequest, caller: string): (target?: string) => number;
  memory: Memory;
  /** Uniform in [0, 1). */
  draw(): number;
  /** Resolves early when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
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
  /** The calls that were made, in order: `status` is the provider's, 0 when it gave none. */
  calls: { target: Target; status: number; error: ErrorKind | undefined }[];
}

interface Told {
  decision: string;
  /** Attempts that were made, the last one included. */
  attempts: number;
  story: Story;
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

export function createGateway(deps: GatewayDeps): Gateway {
  return {
    run: (input) => run(deps, input),
    explain: (input) => explain(deps.snapshot(), askedOf(deps, input), deps.fleet).json,
  };
}

async function run(deps: GatewayDeps, input: GatewayInput): Promise<Outcome> {
  const snapshot = deps.snapshot();
  const asked = askedOf(deps, input);
  const planned = plan(snapshot, asked, deps.fleet, deps.draw);
  const story: Story = { trace: planned.trace, calls: [] };
  const { decision } = planned;
  const row: RequestRow = { deps, input, snapshotId: snapshot.id, decision, story };
  if (planned.kind === "denied") {
    finish(row, { status: planned.error.status, attempts: 0, error: undefined, warnings: [] });
    return {
      kind: "failed",
      error: planned.error,
      retryAfterMs: undefined,
      isHopeless: false,
      decision,
      attempts: 0,
      story,
    };
  }
  try {
    const deadlineMs = deps.nowMs() + Math.min(planned.totalMs, input.timeoutMs ?? Number.POSITIVE_INFINITY);
    const seeking: Seeking = { asked, planned, deadlineMs, signal: input.signal };
    const { catalogVersion } = snapshot;
    return await tryCandidates({ row, seeking, planned, catalogVersion, deadlineMs, calls: 0 });
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
  return { request, caller, endpoint, headers, bodyBytes, affinityId, inputTokens, nowMs: receivedAtMs };
}

interface RequestRow {
  deps: GatewayDeps;
  input: GatewayInput;
  snapshotId: string;
  decision: string;
  story: Story;
}

interface Failure {
  /** `undefined`: no place was found at any. */
  target: Target | undefined;
  error: ProviderError;
}

/** The state of one request on its way through the candidates. */
interface Run {
  row: RequestRow;
  seeking: Seeking;
  planned: Plan;
  catalogVersion: string;
  deadlineMs: number;
  /** Calls made so far; each has its row in the ledger. */
  calls: number;
}

/** Refusals for being one too many cost nothing: they may be one more than other attempts. */
const REFUSED_ATTEMPTS_MORE = 1;

async function tryCandidates(run: Run): Promise<Outcome> {
  const { row, planned } = run;
  const { deps, input } = row;
  const failures: Failure[] = [];
  const tries = new Map<number, number>();
  let eligible = [...planned.candidates.keys()];
  let attempts = 0;
  deps.retryBudget.onRequest();
  for (;;) {
    const found = await seekPlace(deps, run.seeking, eligible);
    if (found.kind === "none") return nowhere(row, run.calls, failures, found.error);
    const { at, lease } = found;
    const { target } = planned.candidates[at] as PlannedTarget;
    const result = await callAndRepair(run, at, lease);
    if (result.kind === "buffered" || result.kind === "stream") return answered(row, target, run.calls, result);
    const { error } = result;
    failures.push({ target, error });
    if (result.kind !== "refused") attempts += 1;
    const onTarget = (tries.get(at) ?? 0) + (result.kind === "refused" ? 0 : 1);
    tries.set(at, onTarget);
    const others = othersFor(planned, eligible, at, error);
    const msLeft = run.deadlineMs - deps.nowMs();
    const mayHaveMore = planned.maxAttempts > 1 && isOnlyRefused(failures);
    const attemptsMax = planned.maxAttempts + (mayHaveMore ? REFUSED_ATTEMPTS_MORE : 0);
    const isSpent = attempts >= attemptsMax || msLeft <= 0 || input.signal.aborted;
    const next = isSpent ? "stop" : verdict(error, { onTarget, hasNext: others.length > 0, msLeft });
    if (next === "stop") return failed(row, run.calls, failures);
    if (result.kind !== "refused" && !deps.retryBudget.spend(error, false)) return failed(row, run.calls, failures);
    // A target that has no room now may have some before the others do.
    eligible = next === "again" || error.kind === "rate_limited" ? [...others, at] : others;
    if (next === "again" && error.kind !== "rate_limited")
      await deps.sleep(Math.min(backoffMs(onTarget, error, deps.draw()), msLeft), input.signal);
  }
}

function isOnlyRefused(failures: readonly Failure[]): boolean {
  return failures.every(({ error }) => error.kind === "rate_limited");
}

const REPAIRS_MAX = 2;

/** One try of one target: when the provider names what it does not accept, the call is repaired and made again. */
async function callAndRepair(run: Run, at: number, lease: Lease): Promise<AttemptResult> {
  const { deps, input } = run.row;
  const { target } = run.planned.candidates[at] as PlannedTarget;
  let repairs = deps.memory.repairsOf(targetName(target));
  for (let repaired = 0; ; repaired += 1) {
    const place = repaired === 0 ? lease : keepPlace(deps, run.seeking, at);
    const result = await callAndContinue(run, at, place, repairs);
    if (result.kind !== "failed" || repaired === REPAIRS_MAX || input.signal.aborted) return result;
    const repair = target.provider.dialect.repair?.(result.error, result.call);
    if (repair === undefined) return result;
    if (repair.isLasting) deps.memory.learnRepair(targetName(target), repair.token);
    repairs = [...repairs, repair.token];
  }
}

async function callAndContinue(run: Run, at: number, lease: Lease, repairs: readonly string[]): Promise<AttemptResult> {
  const again = (state: JsonObject) => {
    return callTarget(run, at, { lease: keepPlace(run.row.deps, run.seeking, at), repairs, continuation: state });
  };
  const first = await callTarget(run, at, { lease, repairs, continuation: undefined });
  if (first.kind === "buffered") return continueBuffered(first, again);
  if (first.kind !== "stream") return first;
  return continueStream(first, again, (error) => {
    finish(run.row, { status: 200, attempts: run.calls, error, warnings: first.encoded.warnings });
  });
}

async function callTarget(
  run: Run,
  at: number,
  how: Pick<AttemptInput, "lease" | "repairs" | "continuation">,
): Promise<AttemptResult> {
  const { deps, input } = run.row;
  const { planned } = run;
  const { target, set } = planned.candidates[at] as PlannedTarget;
  const msLeft = run.deadlineMs - deps.nowMs();
  const number = run.calls + 1;
  const { body, warnings } = applySet(input.request.body, set);
  const result = await callOnce(deps, {
    requestId: input.requestId,
    number,
    caller: input.caller,
    request: body === input.request.body ? input.request : { ...input.request, body },
    target,
    ruleName: planned.ruleName,
    affinity: { id: input.affinityId, ttlMs: planned.affinityTtlMs },
    ...how,
    catalogVersion: run.catalogVersion,
    signal: input.signal,
    clocks: clocksFor(run, at, msLeft),
    onStreamEnd: (error) => finish(run.row, { status: 200, attempts: number, error, warnings: warningsOf(result) }),
  }).catch((bug: unknown) => {
    how.lease.cancel();
    throw bug;
  });
  if (result.kind === "refused") how.lease.cancel();
  else {
    run.calls = number;
    const error = result.kind === "failed" ? result.error : undefined;
    run.row.story.calls.push({ target, status: error === undefined ? 200 : (error.status ?? 0), error: error?.kind });
  }
  if ("encoded" in result) result.encoded.warnings.unshift(...warnings);
  return result;
}

/**
 * A stream shows within its first-byte clock whether it lives. A buffered answer shows nothing before it is complete, so
 * an attempt that has a successor gets half of the time that is left, and a hanging provider still leaves time for it.
 */
function clocksFor({ planned, row }: Run, at: number, msLeft: number): Clocks {
  const { connectMs, idleMs } = planned;
  if (row.input.request.stream) {
    return { connectMs, firstByteMs: firstByteMs(row.deps, planned, at), idleMs, totalMs: Math.max(1, msLeft) };
  }
  const hasSuccessor = at + 1 < planned.candidates.length;
  const totalMs = Math.max(1, hasSuccessor ? msLeft / 2 : msLeft);
  return { connectMs, firstByteMs: totalMs, idleMs: totalMs, totalMs };
}

/** A request that was too long for this window only goes on to a window known to be larger. */
function othersFor({ candidates }: Plan, eligible: readonly number[], at: number, error: ProviderError): number[] {
  const others = eligible.filter((index) => index !== at);
  if (error.kind !== "context_length") return others;
  const windowTokens = candidates[at]?.target.entry?.contextTokens ?? Number.POSITIVE_INFINITY;
  return others.filter((index) => (candidates[index]?.target.entry?.contextTokens ?? 0) > windowTokens);
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

function failed(row: RequestRow, attempts: number, failures: Failure[]): Outcome {
  const last = failures.at(-1) as Failure;
  const error = toCallerError(last.error);
  error.metadata = metadataOf(last, failures);
  finish(row, { status: error.status, attempts, error: last.error, warnings: [] });
  const waits = failures.map((failure) => failure.error.retryAfterMs).filter((ms) => ms !== undefined);
  const retryAfterMs = waits.length === 0 ? undefined : Math.min(...waits);
  const isHopeless = attempts > 1 || last.error.kind === "auth" || last.error.kind === "quota";
  return { kind: "failed", error, retryAfterMs, isHopeless, decision: row.decision, attempts, story: row.story };
}

/** No place was found. Whoever was refused by a provider before hears that, with the time at which there will be one. */
function nowhere(row: RequestRow, attempts: number, failures: Failure[], error: ProviderError): Outcome {
  const last = failures.at(-1);
  if (last === undefined || error.kind === "cancelled")
    return failed(row, attempts, [...failures, { target: undefined, error }]);
  const { retryAfterMs } = error;
  return failed(row, attempts, [...failures.slice(0, -1), { ...last, error: { ...last.error, retryAfterMs } }]);
}

/** OpenRouter's names: what the provider said, and what the attempts before it ended with. */
function metadataOf(last: Failure, failures: Failure[]): JsonObject {
  const metadata: JsonObject = { error_type: last.error.kind };
  if (last.target !== undefined) metadata.provider = last.target.provider.id;
  if (last.error.status !== undefined) metadata.provider_status = last.error.status;
  if (last.error.providerCode !== undefined) metadata.provider_code = last.error.providerCode;
  const previous = failures.slice(0, -1).map(({ target, error }) => ({
    provider: target?.provider.id ?? null,
    target: target === undefined ? null : targetName(target),
    code: error.kind,
    status: error.status ?? null,
  }));
  if (previous.length > 0) metadata.previous_errors = previous;
  return metadata;
}

interface Finish {
  status: number;
  attempts: number;
  error: ProviderError | undefined;
  warnings: string[];
}

function finish(row: RequestRow, { status, attempts, error, warnings }: Finish): void {
  const { deps, input } = row;
  deps.ledger.finishRequest({
    requestId: input.requestId,
    receivedAtMs: input.receivedAtMs,
    endedAtMs: deps.nowMs(),
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

// One candidate at work on a request: its call, made again where the provider names what it does not accept, and gone on with
// where the answer pauses.
import type { ChatRequest, ErrorKind, JsonObject, ProviderError } from "../chat.ts";
import { type Target, targetName } from "../dialect.ts";
import type { Memory } from "../memory.ts";
import type { Plan, PlannedTarget } from "../routing/plan.ts";
import type { AttemptInput, AttemptResult } from "./attempt.ts";
import { continueBuffered, continueStream } from "./continuation.ts";
import { learnFrom } from "./failures.ts";
import type { Ended } from "./stream-failover.ts";
import { keepPlace, type Place, type Seeking, type TurnDeps } from "./turns.ts";

/** A call that was made, for callers who ask: `status` is the provider's, 0 when it gave none. */
export interface Called {
  target: Target;
  status: number;
  error: ErrorKind | undefined;
}

export interface Leg extends Place {
  /** Aborted when the caller leaves, or when another leg has answered. */
  signal: AbortSignal;
  /** Asked of each answer that is one, before anybody hears of it: why it is not wanted, if it is not. */
  claim(): ProviderError | undefined;
  /** Its last call. */
  told: Called | undefined;
}

/** A leg that has the request to itself. */
export function loneLeg(place: Place, signal: AbortSignal): Leg {
  return { ...place, signal, claim: () => undefined, told: undefined };
}

/** What of a request's run this needs. */
export interface LegRun {
  readonly row: {
    readonly deps: TurnDeps & { memory: Memory };
    readonly input: { readonly request: ChatRequest };
  };
  readonly planned: Plan;
  readonly seeking: Seeking;
  readonly calls: number;
  endStream(how: Ended): void;
}

/** Makes one call of the leg's target. */
type CallTarget = (how: Pick<AttemptInput, "lease" | "repairs" | "continuation">) => Promise<AttemptResult>;

const REPAIRS_MAX = 2;

/** One try of one target: when the provider names what it does not accept, the call is repaired and made again. */
export async function callLeg(run: LegRun, leg: Leg, call: CallTarget): Promise<AttemptResult> {
  const { deps, input } = run.row;
  const { target } = run.planned.candidates[leg.at] as PlannedTarget;
  let repairs = deps.memory.repairsOf(targetName(target));
  for (let repaired = 0; ; repaired += 1) {
    const lease = repaired === 0 ? leg.lease : keepPlace(deps, run.seeking, leg.at, leg.lease);
    const result = await callAndContinue(run, leg, (how) => call({ lease, repairs, ...how }));
    if (result.kind !== "failed" || repaired === REPAIRS_MAX || leg.signal.aborted) return result;
    const repair = target.provider.dialect.repair?.(result.error, result.call);
    if (repair === undefined) {
      learnFrom(deps.memory, target, result.error, input.request.body);
      return result;
    }
    if (repair.isLasting) deps.memory.learnRepair(targetName(target), repair.token);
    repairs = [...repairs, repair.token];
  }
}

async function callAndContinue(
  run: LegRun,
  leg: Leg,
  call: (how: Pick<AttemptInput, "continuation"> & Partial<Pick<AttemptInput, "lease">>) => Promise<AttemptResult>,
): Promise<AttemptResult> {
  const again = (state: JsonObject) => {
    return call({ lease: keepPlace(run.row.deps, run.seeking, leg.at, leg.lease), continuation: state });
  };
  const first = await call({ continuation: undefined });
  if (first.kind === "buffered") return continueBuffered(first, again);
  // What is relayed comes from providers that do not pause; each further layer would cost every delta.
  if (first.kind !== "stream" || first.encoded.relay) return first;
  return continueStream(first, again, (error) => {
    run.endStream({ status: 200, attempts: run.calls, error, warnings: first.encoded.warnings });
  });
}

// A stream whose provider fails in mid-answer goes on at another one: opt-in, plain text only, one switch.
import { addUsage, type ChatEvent, type ChatRequest, type ErrorKind, type ProviderError, type Usage } from "../chat.ts";
import { type Target, targetName } from "../dialect.ts";
import { verdict } from "../retry.ts";
import type { RetryBudget } from "../retry-budget.ts";
import type { Plan, PlannedTarget } from "../routing/plan.ts";
import { LedgerUnavailable } from "../store/rows.ts";
import { type Batch, batchOf } from "./answer-reader.ts";
import type { AttemptResult, Batches, Bill } from "./attempt.ts";
import { sumOfBills } from "./continuation.ts";
import {
  asksForPlainText,
  type ContinuationStyle,
  continuedRequest,
  DeliveredText,
  OverlapFilter,
} from "./continued-text.ts";
import { type Place, type Seeking, seekPlace, type TurnDeps } from "./turns.ts";

type Stream = Extract<AttemptResult, { kind: "stream" }>;

/** What was switched, for callers who ask and for the ledger. */
export interface Switch {
  from: Target;
  to: Target;
  error: ProviderError;
  style: ContinuationStyle;
  deliveredChars: number;
  /** Taken from the beginning of the continuation; known once that has come. */
  droppedChars: number;
}

/** How a request ended, for its row. */
export interface Ended {
  status: number;
  attempts: number;
  error: ProviderError | undefined;
  warnings: string[];
}

/** What of a request's run this needs. */
export interface FailoverRun {
  readonly row: {
    readonly deps: TurnDeps & { retryBudget: RetryBudget };
    readonly input: { readonly request: ChatRequest; readonly signal: AbortSignal };
    readonly story: { switched?: Switch };
  };
  readonly planned: Plan;
  readonly seeking: Seeking;
  readonly deadlineMs: number;
  readonly calls: number;
  request: ChatRequest;
  endStream(how: Ended): void;
}

interface Begun {
  first: Stream;
  target: Target;
  /** The call that gives it. */
  told: { error: ErrorKind | undefined } | undefined;
  /** Candidates that may go on, by their index into the plan; none when no further attempt is allowed. */
  others: readonly number[];
  /** Makes `run.request` of the candidate whose place was found. */
  call(found: Place): Promise<AttemptResult>;
}

/**
 * The stream, which goes on elsewhere if its rule says so and its provider fails. What follows the switch has no frames: it
 * belongs to another answer, so it is rendered under the identity of the first. `bill` is that of both attempts together.
 */
export function withFailover(run: FailoverRun, begun: Begun): Stream {
  const { first, target, told, others } = begun;
  const { row, planned, seeking } = run;
  const { request } = row.input;
  if (!planned.continuesStreams || others.length === 0 || !asksForPlainText(request)) return first;
  const finish = run.endStream;
  let ended: Ended | undefined;
  // An attempt's end is the request's only when no other attempt goes on.
  run.endStream = (how) => {
    ended = how;
  };
  const parts = [first];
  const failover: Failover = {
    request,
    target,
    admits: (error) => mayFollow(run, error, first.bill()),
    next: async (requestFor) => {
      const found = await seekPlace(row.deps, seeking, others);
      if (found.kind === "none") return undefined;
      const { target: other } = planned.candidates[found.at] as PlannedTarget;
      run.request = requestFor(other);
      try {
        return { target: other, result: await begun.call(found) };
      } catch (error) {
        // Nothing was called, and the stream that has begun must end in an error of its own.
        if (error instanceof LedgerUnavailable) return undefined;
        throw error;
      }
    },
    announce: (switched) => {
      if (told !== undefined) told.error = switched.error.kind;
      row.story.switched = switched;
    },
    release: () => {
      if (ended !== undefined) finish({ ...ended, attempts: run.calls });
      ended = undefined;
    },
  };
  return {
    ...first,
    batches: withSwitch(first, parts, failover),
    bill: () => sumOfBills(parts.map((part) => part.bill())),
  };
}

/** Whether another candidate may be called after this failure; the budget of retries pays for it. */
function mayFollow({ row, deadlineMs }: FailoverRun, error: ProviderError, { costNanoUsd }: Bill): boolean {
  const { deps, input } = row;
  const msLeft = deadlineMs - deps.nowMs();
  if (msLeft <= 0 || input.signal.aborted) return false;
  const isNext = verdict(error, { onTarget: 1, hasNext: true, msLeft }) === "next";
  return isNext && deps.retryBudget.spend(error, { hadOutput: true, costNanoUsd });
}

interface Failover {
  request: ChatRequest;
  target: Target;
  admits(error: ProviderError): boolean;
  /** Calls the next candidate; `undefined` when there is no place at any. */
  next(requestFor: (target: Target) => ChatRequest): Promise<{ target: Target; result: AttemptResult } | undefined>;
  announce(switched: Switch): void;
  /** The answer is over: finishes the request's row, once, with what its last attempt told. */
  release(): void;
}

async function* withSwitch(first: Stream, parts: Stream[], failover: Failover): Batches {
  const delivered = new DeliveredText();
  try {
    for await (const batch of first.batches) {
      for (const { events } of batch.pieces) delivered.observe(events);
      const { terminal } = batch;
      if (terminal?.type === "error" && delivered.isPlain && failover.admits(terminal.error)) {
        // What came in the same bytes as the failure has been observed, so it must be delivered too.
        yield batchOf(withoutErrors(batch));
        yield* rest(first, parts, delivered.text, terminal.error, failover);
        return;
      }
      if (terminal !== undefined) failover.release();
      yield batch;
    }
  } finally {
    failover.release();
  }
}

function withoutErrors({ pieces }: Batch): Batch["pieces"] {
  return pieces.flatMap(({ events, frame }) => {
    const others = events.filter(({ type }) => type !== "error");
    if (others.length === events.length) return [{ events, frame }];
    return others.length === 0 ? [] : [{ events: others, frame: undefined }];
  });
}

async function* rest(first: Stream, parts: Stream[], text: string, error: ProviderError, failover: Failover): Batches {
  let style: ContinuationStyle = "user_turn";
  const next = await failover.next((target) => {
    style = target.provider.dialect.prefills?.(target) === true ? "prefill" : "user_turn";
    return continuedRequest(failover.request, text, style);
  });
  if (next?.result.kind !== "stream") {
    failover.release();
    yield eventsOnly([{ type: "error", error }]);
    return;
  }
  const { target: to, result } = next;
  const before = first.bill().usage;
  parts.push(result);
  const { target: from } = failover;
  const switched: Switch = { from, to, error, style, deliveredChars: text.length, droppedChars: 0 };
  failover.announce(switched);
  const note = `stream_failover:${targetName(from)}->${targetName(to)}`;
  result.encoded.warnings.unshift(...first.encoded.warnings, note);
  const overlap = new OverlapFilter(text, style);
  for await (const { pieces, terminal } of result.batches) {
    const events = pieces.flatMap((piece) => piece.events.flatMap((event) => shown(event, overlap, before)));
    switched.droppedChars = overlap.dropped;
    if (terminal !== undefined) failover.release();
    if (events.length > 0) yield eventsOnly(events);
  }
}

/** What the caller sees of one event of the continuation: the rest of the text and how it ends. Reasoning in the middle of a text
 *  would be strange, and what is signed belongs to an answer that nobody has whole. */
function shown(event: ChatEvent, overlap: OverlapFilter, before: Usage | undefined): ChatEvent[] {
  switch (event.type) {
    case "text_delta": {
      const text = overlap.push(event.text);
      return text === "" ? [] : [{ ...event, text }];
    }
    case "usage":
      return [{ type: "usage", usage: addUsage(before, event.usage) }];
    case "finish":
    case "end":
    case "error":
      return [...held(overlap), event];
    case "refusal_delta":
      return [event];
    default:
      return [];
  }
}

function held(overlap: OverlapFilter): ChatEvent[] {
  const text = overlap.flush();
  return text === "" ? [] : [{ type: "text_delta", index: 0, text }];
}

function eventsOnly(events: ChatEvent[]): Batch {
  return batchOf([{ events, frame: undefined }]);
}

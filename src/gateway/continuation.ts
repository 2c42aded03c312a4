// An answer a provider gives in several calls (it paused): one answer for the caller, one row per call in the ledger.
import { addUsage, type ChatEvent, type JsonObject, type ProviderError, type Usage } from "../chat.ts";
import { LedgerUnavailable } from "../store/rows.ts";
import { type Batch, batchOf } from "./answer-reader.ts";
import type { AttemptResult, Batches, Bill } from "./attempt.ts";

/** After so many pauses the answer is taken as it is. */
const HOPS_MAX = 5;

/** Makes the next call of the same target. */
export type CallAgain = (state: JsonObject) => Promise<AttemptResult>;

type Buffered = Extract<AttemptResult, { kind: "buffered" }>;
type Stream = Extract<AttemptResult, { kind: "stream" }>;

/** A whole answer, called on until it no longer pauses; or the call that failed. */
export async function continueBuffered(first: Buffered, again: CallAgain): Promise<AttemptResult> {
  const bills = [first.bill];
  let events = first.events;
  for (let hop = 0; ; hop += 1) {
    const state = stateOf(events);
    if (state === undefined) return hop === 0 ? first : { ...first, events, bill: sumOfBills(bills) };
    if (hop === HOPS_MAX)
      return { ...first, events: given(events, undefined).concat(CUT_SHORT), bill: sumOfBills(bills) };
    const result = await again(state);
    if (result.kind !== "buffered") return result;
    const before = sumOfBills(bills).usage;
    bills.push(result.bill);
    events = [...given(events, undefined), ...given(result.events, before).filter((event) => event.type !== "start")];
  }
}

/** A stream that goes on in the next call when one pauses. */
export function continueStream(first: Stream, again: CallAgain, onFailure: (error: ProviderError) => void): Stream {
  const bills = [first.bill];
  return {
    ...first,
    batches: goOn(first, again, bills, onFailure),
    bill: () => sumOfBills(bills.map((bill) => bill())),
  };
}

async function* goOn(
  first: Stream,
  again: CallAgain,
  bills: (() => Bill)[],
  onFailure: (error: ProviderError) => void,
): Batches {
  let current = first;
  let before: Usage | undefined;
  for (let hop = 0; ; hop += 1) {
    let state: JsonObject | undefined;
    for await (const batch of current.batches) {
      state = batch.terminal?.type === "continue" ? batch.terminal.state : undefined;
      // The first call passes as it is: its pieces may be relayed.
      if (hop === 0 && state === undefined) yield batch;
      else yield eventsOnly(batch.pieces.flatMap(({ events }) => laterHop(events, hop, before)));
    }
    if (state === undefined) return;
    before = sumOfBills(bills.map((bill) => bill())).usage;
    if (hop === HOPS_MAX) {
      yield eventsOnly(CUT_SHORT);
      return;
    }
    const result = await again(state).catch(unrecorded);
    if (result.kind !== "stream") {
      const error = errorOf(result);
      onFailure(error);
      yield eventsOnly([{ type: "error", error }]);
      return;
    }
    bills.push(result.bill);
    current = result;
  }
}

/** The caller has had a part of the answer: it is told in the stream why there is no more. */
function unrecorded(bug: unknown): AttemptResult {
  if (!(bug instanceof LedgerUnavailable)) throw bug;
  const message = "The router cannot record calls at the moment, so the answer ends here.";
  return { kind: "refused", error: { kind: "overloaded", message, code: "ledger_unavailable" } };
}

function eventsOnly(events: ChatEvent[]): Batch {
  return batchOf([{ events, frame: undefined }]);
}

const CUT_SHORT: ChatEvent[] = [
  { type: "finish", index: 0, reason: "stop", nativeReason: "paused too often" },
  { type: "end" },
];

function laterHop(events: ChatEvent[], hop: number, before: Usage | undefined): ChatEvent[] {
  const shown = given(events, before);
  return hop === 0 ? shown : shown.filter((event) => event.type !== "start");
}

/** What the caller is shown of one call: no pause, and usage counted on from the calls before it. */
function given(events: ChatEvent[], before: Usage | undefined): ChatEvent[] {
  return events
    .filter((event) => event.type !== "continue")
    .map((event) => (event.type === "usage" ? { type: "usage", usage: addUsage(before, event.usage) } : event));
}

function stateOf(events: ChatEvent[]): JsonObject | undefined {
  return events.find((event) => event.type === "continue")?.state;
}

function errorOf(result: AttemptResult): ProviderError {
  if (result.kind === "failed" || result.kind === "refused") return result.error;
  return { kind: "malformed", message: "The provider changed the form of its answer in the middle of it." };
}

/** The costs of all calls; unknown when one of them is. */
export function sumOfBills(bills: Bill[]): Bill {
  return bills.reduce((total, bill) => ({
    usage: bill.usage === undefined ? total.usage : addUsage(total.usage, bill.usage),
    costNanoUsd:
      total.costNanoUsd === undefined || bill.costNanoUsd === undefined
        ? undefined
        : total.costNanoUsd + bill.costNanoUsd,
  }));
}

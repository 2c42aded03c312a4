// A place at a target for one call: what was reserved of its limits, and its breaker's half-open slot. Ends exactly once.
import type { ProviderError, Usage } from "../chat.ts";
import type { Account, ResponseHeaders, Target } from "../dialect.ts";
import type { Reservation } from "../limits.ts";
import { policyOf } from "../taxonomy.ts";

export interface Lease {
  /** With whose key the target is called; `undefined`: its provider's. */
  readonly account: Account | undefined;
  /** The head of an answer has arrived: it may tell limits. */
  heard(headers: ResponseHeaders): void;
  /** Exact numbers in mid-answer. */
  counted(usage: Usage): void;
  /** The call is over. `wasDone`: the provider did any work for it. */
  end(how: { usage: Usage | undefined; error: ProviderError | undefined; wasDone: boolean }): void;
  /** Nothing was sent after all. After `end` this does nothing. */
  cancel(): void;
}

/** `endHealth` tells the breaker how it went. */
export function createLease(
  { target, account }: { target: Target; account: Account | undefined },
  reservation: Reservation,
  nowMs: () => number,
  endHealth: (error: ProviderError | undefined) => void,
): Lease {
  let isOver = false;
  return {
    account,
    heard: (headers) => {
      const reading = target.provider.dialect.readLimits?.(headers, nowMs());
      if (reading !== undefined && reading.windows.length > 0) reservation.learn(reading);
    },
    counted: (usage) => reservation.correct(usage),
    end: ({ usage, error, wasDone }) => {
      isOver = true;
      if (error !== undefined) tellPool(reservation, error);
      reservation.settle(usage, wasDone);
      endHealth(error);
    },
    cancel: () => {
      if (isOver) return;
      isOver = true;
      reservation.settle(undefined, false);
      endHealth({ kind: "cancelled", message: "Nothing was sent." });
    },
  };
}

function tellPool(reservation: Reservation, error: ProviderError): void {
  const { blame } = policyOf(error);
  if (blame.on !== "pool") return;
  reservation.refuse({ waitMs: error.retryAfterMs, reaction: blame.reaction, quotaId: error.quotaId });
}

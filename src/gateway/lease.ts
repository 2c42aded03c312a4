// A place at a target for one call: what was reserved of its limits, and its breaker's half-open slot. Ends exactly once.
import type { ProviderError, Usage } from "../chat.ts";
import type { Account, ResponseHeaders, Target } from "../dialect.ts";
import type { HealthCall } from "../health.ts";
import type { Reservation } from "../limits.ts";
import { policyOf } from "../taxonomy.ts";

export interface Lease {
  /** With whose key the target is called; `undefined`: its provider's. */
  readonly account: Account | undefined;
  /** The head of an answer has arrived: it may tell limits. */
  heard(headers: ResponseHeaders): void;
  /** Content has come. */
  answers(): void;
  /** Exact numbers in mid-answer. */
  counted(usage: Usage): void;
  /** The call is over. `wasDone`: the provider did any work for it. */
  end(how: { usage: Usage | undefined; error: ProviderError | undefined; wasDone: boolean }): void;
  /** Nothing was sent after all. After `end` this does nothing. */
  cancel(): void;
}

export function createLease(
  { target, account }: { target: Target; account: Account | undefined },
  reservation: Reservation,
  nowMs: () => number,
  health: HealthCall,
): Lease {
  let isOver = false;
  return {
    account,
    heard: (headers) => {
      const reading = target.provider.dialect.readLimits?.(headers, nowMs());
      if (reading !== undefined && reading.windows.length > 0) reservation.learn(reading);
    },
    answers: () => health.answers(),
    counted: (usage) => reservation.correct(usage),
    end: ({ usage, error, wasDone }) => {
      isOver = true;
      if (error !== undefined) tellPool(reservation, error);
      // The free place goes to whoever waits: by then it must be known whether calls are still made there.
      health.end(error);
      reservation.settle(usage, wasDone);
    },
    cancel: () => {
      if (isOver) return;
      isOver = true;
      health.end({ kind: "cancelled", message: "Nothing was sent." });
      reservation.settle(undefined, false);
    },
  };
}

function tellPool(reservation: Reservation, error: ProviderError): void {
  const { blame } = policyOf(error);
  if (blame.on !== "pool") return;
  reservation.refuse({ waitMs: error.retryAfterMs, reaction: blame.reaction, quotaId: error.quotaId });
}

// What a failed attempt leads to, by the table of taxonomy.ts. Nobody else retries; limits and breakers say when and where.
import type { ProviderError } from "./chat.ts";
import type { CallerError } from "./dialect.ts";
import { policyOf } from "./taxonomy.ts";

/** A wait longer than this is never slept on, even when the deadline would allow it. */
const LONGEST_WAIT_MS = 20_000;

export interface Tries {
  /** Attempts made on this target, the failed one included. */
  onTarget: number;
  hasNext: boolean;
  /** The rule says `on_filter: next`: a refusal by a provider's content policy may be tried elsewhere. */
  mayPassFilter?: boolean;
  /** Until the request's deadline. */
  msLeft: number;
}

/** What to do after a failed attempt: `again` on the same target (after `backoffMs`), the `next` candidate, or `stop`. */
export function verdict(error: ProviderError, tries: Tries): "again" | "next" | "stop" {
  const { again, next } = policyOf(error);
  const mayMoveOn = next === "by_rule" ? tries.mayPassFilter === true : next !== "no";
  if (mayMoveOn && tries.hasNext) return "next";
  if (again === "never" || (tries.onTarget > 1 && again === "once_if_alone")) return "stop";
  const waitMs = error.retryAfterMs ?? 0;
  return waitMs < Math.min(tries.msLeft, LONGEST_WAIT_MS) ? "again" : "stop";
}

/** Wait before another try on the same target, in ms: full jitter over 500·2ⁿ capped at 8 s, and never less than the
 *  provider asked for. `draw` is uniform in [0, 1). */
export function backoffMs(onTarget: number, error: ProviderError, draw: number): number {
  const jitter = draw * Math.min(8_000, 500 * 2 ** (onTarget - 1));
  return Math.max(jitter, error.retryAfterMs ?? 0);
}

/** Words by which clients know that a prompt is too long, whatever the provider calls it; LangChain reads the message only. */
const TOO_LONG = /maximum context length|exceeds the context window|context_length_exceeded/i;

/** The error as the caller may see it. */
export function toCallerError(error: ProviderError): CallerError {
  const policy = policyOf(error);
  const isOurs = policy.message !== undefined;
  return {
    status: error.kind === "invalid_request" && error.status === 413 ? 413 : policy.status,
    message: policy.message ?? messageOf(error),
    type: policy.type,
    code: (isOurs ? undefined : error.code) ?? policy.code,
    param: (isOurs ? undefined : error.param) ?? null,
  };
}

function messageOf({ kind, message }: ProviderError): string {
  if (kind !== "context_length" || TOO_LONG.test(message)) return message;
  return `The prompt is longer than this model's maximum context length. ${message}`;
}

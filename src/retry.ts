// The one table that says what a failed attempt leads to. Nobody else retries; limits and breakers say when and where.
import type { ErrorKind, ProviderError } from "./chat.ts";
import type { CallerError } from "./dialect.ts";

export interface Policy {
  /** Another try on the same target. `in_turn`: when its limits have room again, as often as attempts allow. */
  again: "never" | "once_if_alone" | "in_turn";
  /** Another candidate. */
  next: "yes" | "no" | "larger_window";
  hurtsHealth: boolean;
  /** Status for the caller when nothing is left to try. */
  status: number;
  /** OpenAI's `type` for the caller. */
  type: string;
  /** OpenAI's `code` when the provider gave none that may be shown. */
  code: string | null;
  /** Ours instead of the provider's text: its text speaks of our account, not of the caller's. */
  message?: string;
}

const SERVER = { type: "server_error" } as const;
const REQUEST = { again: "never", hurtsHealth: false, type: "invalid_request_error" } as const;

export const POLICIES: Readonly<Record<ErrorKind, Policy>> = {
  rate_limited: {
    again: "in_turn",
    next: "yes",
    hurtsHealth: false,
    status: 429,
    type: "rate_limit_error",
    code: "rate_limit_exceeded",
  },
  overloaded: { ...SERVER, again: "once_if_alone", next: "yes", hurtsHealth: true, status: 503, code: "overloaded" },
  server: { ...SERVER, again: "once_if_alone", next: "yes", hurtsHealth: true, status: 502, code: "upstream_error" },
  network: {
    ...SERVER,
    again: "once_if_alone",
    next: "yes",
    hurtsHealth: true,
    status: 502,
    code: "upstream_unreachable",
  },
  timeout: { ...SERVER, again: "never", next: "yes", hurtsHealth: true, status: 504, code: "timeout" },
  truncated: {
    ...SERVER,
    again: "never",
    next: "yes",
    hurtsHealth: true,
    status: 502,
    code: "upstream_stream_truncated",
  },
  malformed: { ...SERVER, again: "never", next: "yes", hurtsHealth: true, status: 502, code: "upstream_malformed" },
  auth: {
    ...SERVER,
    again: "never",
    next: "yes",
    hurtsHealth: false,
    status: 503,
    code: "upstream_auth_error",
    message: "The provider refused the router's own credentials; whoever operates this router must check the key.",
  },
  quota: {
    ...SERVER,
    again: "never",
    next: "yes",
    hurtsHealth: false,
    status: 503,
    code: "upstream_quota_exhausted",
    message: "The router's account at the provider is out of money or quota; whoever operates it must top it up.",
  },
  not_found: { ...REQUEST, next: "yes", status: 404, code: "model_not_found" },
  context_length: { ...REQUEST, next: "larger_window", status: 400, code: "context_length_exceeded" },
  unsupported: { ...REQUEST, next: "yes", status: 400, code: "unsupported_parameter" },
  invalid_request: { ...REQUEST, next: "no", status: 400, code: null },
  content_filter: { ...REQUEST, next: "no", status: 400, code: "content_filter" },
  budget: {
    again: "never",
    next: "yes",
    hurtsHealth: false,
    status: 402,
    type: "insufficient_quota",
    code: "budget_exceeded",
  },
  cancelled: { ...SERVER, again: "never", next: "no", hurtsHealth: false, status: 499, code: "cancelled" },
};

/** A wait longer than this is never slept on, even when the deadline would allow it. */
const LONGEST_WAIT_MS = 20_000;

export interface Tries {
  /** Attempts made on this target, the failed one included. */
  onTarget: number;
  hasNext: boolean;
  /** Until the request's deadline. */
  msLeft: number;
}

/** What to do after a failed attempt: `again` on the same target (after `backoffMs`), the `next` candidate, or `stop`. */
export function verdict(error: ProviderError, tries: Tries): "again" | "next" | "stop" {
  const policy = POLICIES[error.kind];
  if (policy.next !== "no" && tries.hasNext) return "next";
  if (policy.again === "never" || (tries.onTarget > 1 && policy.again === "once_if_alone")) return "stop";
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
  const policy = POLICIES[error.kind];
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

// Every way in which an attempt can fail, and all that follows: the one table from which retries, breakers, pools, prices of
// retries, the caller's status and providers/errors.md are taken.
import type { ErrorKind, ErrorSubkind, ProviderError } from "./chat.ts";

const MINUTE_MS = 60_000;

/** Whose fault it is, and what happens to that. `target` = a model at a provider, `provider` = the endpoint with its key,
 *  `pool` = the limit that the target shares. */
export type Blame =
  | { on: "nobody" | "request" }
  /** Its breaker opens after so many in a row, or when more than half of the last calls failed. `weight`: of one failure,
   *  1 where it is not said. */
  | { on: "target" | "provider"; opensAfter: number; weight?: number }
  /** Out of service for so long, twice as long each time. */
  | { on: "target" | "provider"; parkMs: number; parkMsMax: number }
  | { on: "pool"; reaction: PoolReaction };

/** `lower`: blocked until the time told, and less is sent from now on. `slow_down`: much less, and growth is bounded.
 *  `block`: blocked until the time told. `day`: the wait told is kept once; then parked until the next day, with one try an
 *  hour. */
export type PoolReaction = "lower" | "slow_down" | "block" | "day";

export interface Policy {
  /** What the provider answered, for the page of errors. Markdown. */
  means: string;
  /** Another try on the same target. `in_turn`: when its limits have room again, as often as attempts allow. */
  again: "never" | "once_if_alone" | "in_turn";
  /** It is about the key with which the call was made: the target and its provider may be well, and another of several keys
   *  may do. */
  isOfAccount?: boolean;
  /** Another candidate. `by_rule`: where the rule says `on_filter: next`. */
  next: "yes" | "no" | "larger_window" | "by_rule";
  blame: Blame;
  /** What a retry takes of the process's budget, when no output had begun. */
  retryPrice: 0 | 1;
  /** Status for the caller when nothing is left to try. */
  status: number;
  /** OpenAI's `type` for the caller. */
  type: string;
  /** OpenAI's `code` when the provider gave none that may be shown. */
  code: string | null;
  /** Ours instead of the provider's text: its text speaks of our account, not of the caller's. */
  message?: string;
  /** A retry by the caller's SDK cannot help, even after one attempt. */
  isHopeless: boolean;
}

const TARGET = { on: "target", opensAfter: 5 } as const;
const SERVER = {
  again: "never",
  next: "yes",
  blame: TARGET,
  retryPrice: 1,
  type: "server_error",
  isHopeless: false,
} as const;
const REQUEST = {
  again: "never",
  next: "yes",
  blame: { on: "request" },
  retryPrice: 1,
  type: "invalid_request_error",
  isHopeless: true,
} as const;
const RATE = {
  again: "in_turn",
  next: "yes",
  isOfAccount: true,
  retryPrice: 0,
  status: 429,
  type: "rate_limit_error",
  code: "rate_limit_exceeded",
  isHopeless: false,
} as const;
const ACCOUNT = { ...SERVER, isOfAccount: true, status: 503, isHopeless: true } as const;
const TEN_MINUTES = { parkMs: 10 * MINUTE_MS, parkMsMax: 10 * MINUTE_MS };
const BAD_KEY = "The provider refused the router's own credentials; whoever operates this router must check the key.";
const NO_MONEY = "The router's account at the provider is out of money or quota; whoever operates it must top it up.";

/** By `kind`, and by `kind/subkind` where one of a kind is treated differently. */
export const TAXONOMY = {
  rate_limited: {
    ...RATE,
    means: "429: one call too many",
    blame: { on: "pool", reaction: "lower" },
  },
  "rate_limited/slow_down": {
    ...RATE,
    means: "`slow_down`, or a 429 about acceleration: the calls became more too quickly",
    again: "never",
    blame: { on: "pool", reaction: "slow_down" },
  },
  "rate_limited/no_spare_capacity": {
    ...RATE,
    isOfAccount: false,
    means: "429 “resource unavailable” of a tier that gets what others leave (`service_tier: flex`)",
    again: "never",
    blame: { on: "target", parkMs: 30_000, parkMsMax: 30_000 },
  },
  "rate_limited/daily_quota": {
    ...RATE,
    means: "429 about what may be used in a day",
    blame: { on: "pool", reaction: "day" },
    message: "What the router may use of this model in a day is used up at the provider.",
    isHopeless: true,
  },
  overloaded: {
    ...SERVER,
    means: "503, 529: the provider has no capacity",
    again: "once_if_alone",
    blame: { on: "target", opensAfter: 3 },
    status: 503,
    code: "overloaded",
  },
  server: {
    ...SERVER,
    means: "500, 502, 520 to 524: the provider failed",
    again: "once_if_alone",
    status: 502,
    code: "upstream_error",
  },
  "server/repeated": {
    ...SERVER,
    means: "500 by a second provider to the same request: it is the request that breaks them",
    next: "no",
    blame: { on: "request" },
    status: 502,
    code: "upstream_error",
    isHopeless: true,
  },
  network: {
    ...SERVER,
    means: "the connection broke before the first byte of an answer",
    again: "once_if_alone",
    blame: { on: "provider", opensAfter: 2 },
    status: 502,
    code: "upstream_unreachable",
  },
  "network/connect": {
    ...SERVER,
    means: "no connection: name not found, refused, unreachable",
    again: "once_if_alone",
    blame: { on: "provider", opensAfter: 2 },
    retryPrice: 0,
    status: 502,
    code: "upstream_unreachable",
  },
  "network/certificate": {
    ...SERVER,
    means: "the endpoint's certificate is not valid",
    blame: { on: "provider", parkMs: MINUTE_MS, parkMsMax: MINUTE_MS },
    retryPrice: 0,
    status: 502,
    code: "upstream_unreachable",
  },
  "network/broken": {
    ...SERVER,
    means: "the connection broke in mid-answer",
    again: "once_if_alone",
    status: 502,
    code: "upstream_unreachable",
  },
  timeout: {
    ...SERVER,
    means: "no content in time, silence in mid-answer, or no end in time",
    status: 504,
    code: "timeout",
  },
  "timeout/connect": {
    ...SERVER,
    means: "no connection in time",
    blame: { on: "provider", opensAfter: 2 },
    retryPrice: 0,
    status: 504,
    code: "timeout",
  },
  "timeout/told": {
    ...SERVER,
    means: "408, 504: the provider itself gave up waiting",
    again: "once_if_alone",
    status: 504,
    code: "timeout",
  },
  truncated: {
    ...SERVER,
    means: "the answer ended without its end",
    status: 502,
    code: "upstream_stream_truncated",
  },
  malformed: {
    ...SERVER,
    means: "what came is not what this API answers",
    status: 502,
    code: "upstream_malformed",
  },
  "malformed/empty": {
    ...SERVER,
    means:
      "200 and an end without any content; where nobody else can be asked, or was for this reason, it is an answer",
    blame: { on: "target", opensAfter: 5, weight: 0.5 },
    status: 502,
    code: "upstream_empty",
  },
  auth: {
    ...ACCOUNT,
    means: "401: the router's key is not valid",
    blame: { on: "provider", ...TEN_MINUTES },
    code: "upstream_auth_error",
    message: BAD_KEY,
  },
  "auth/permission": {
    ...ACCOUNT,
    means: "403: the router's key may not use this model, or not from here",
    blame: { on: "target", ...TEN_MINUTES },
    code: "upstream_auth_error",
    message: BAD_KEY,
  },
  quota: {
    ...ACCOUNT,
    means: "402, or 429 and 400 about money: the account is empty, or a limit on spending is reached",
    blame: { on: "provider", parkMs: 5 * MINUTE_MS, parkMsMax: 60 * MINUTE_MS },
    code: "upstream_quota_exhausted",
    message: NO_MONEY,
  },
  "quota/transient": {
    ...ACCOUNT,
    means: "402 with a `Retry-After`: an aggregator whose balance is being filled up",
    again: "in_turn",
    blame: { on: "pool", reaction: "block" },
    code: "upstream_quota_exhausted",
    message: NO_MONEY,
    isHopeless: false,
  },
  "quota/no_allowance": {
    ...ACCOUNT,
    means: "429 with a limit of 0: the account's tier does not include this model",
    blame: { on: "target", parkMs: 60 * MINUTE_MS, parkMsMax: 60 * MINUTE_MS },
    code: "upstream_quota_exhausted",
    message: NO_MONEY,
  },
  not_found: {
    ...REQUEST,
    means: "404: the provider does not have this model",
    blame: { on: "target", ...TEN_MINUTES },
    status: 404,
    code: "model_not_found",
  },
  context_length: {
    ...REQUEST,
    means: "the prompt is longer than the window; the window is learnt where the message tells it",
    next: "larger_window",
    status: 400,
    code: "context_length_exceeded",
  },
  unsupported: {
    ...REQUEST,
    means: "a parameter or feature this model does not have; learnt for an hour",
    status: 400,
    code: "unsupported_parameter",
  },
  invalid_request: {
    ...REQUEST,
    means: "400, 422, 413 (stays 413): the request is wrong wherever it goes",
    next: "no",
    status: 400,
    code: null,
  },
  content_filter: {
    ...REQUEST,
    means: "the provider's policy forbids the request or the answer",
    next: "by_rule",
    blame: { on: "nobody" },
    status: 400,
    code: "content_filter",
  },
  budget: {
    ...REQUEST,
    means:
      "the router's own: a budget does not cover the call, or cannot hold it (`budget_exceeded`, `request_exceeds_budget`, `unpriced_model`)",
    blame: { on: "nobody" },
    status: 402,
    type: "insufficient_quota",
    code: "budget_exceeded",
  },
  "budget/in_flight": {
    ...REQUEST,
    means: "the router's own: what is left of a budget is set aside for calls under way",
    blame: { on: "nobody" },
    status: 402,
    type: "insufficient_quota",
    code: "in_flight_budget_exhausted",
    isHopeless: false,
  },
  cancelled: {
    ...SERVER,
    means: "the caller left, or took nothing of its answer for `server.send_timeout` (`caller_stalled`)",
    next: "no",
    blame: { on: "nobody" },
    status: 499,
    code: "cancelled",
  },
  hedge_lost: {
    ...SERVER,
    means: "the router's own: a rule's `hedge` asked two providers, and the other one answered; callers never see it",
    next: "no",
    blame: { on: "nobody" },
    status: 499,
    code: "hedge_lost",
  },
} as const satisfies Record<ErrorKind, Policy> & Record<`${ErrorKind}/${string}`, Policy>;

export type ErrorCase = keyof typeof TAXONOMY;

/** What decides about a failure. */
export type Failing = Pick<ProviderError, "kind" | "subkind" | "status" | "code" | "retryAfterMs">;

export function policyOf(error: Failing): Policy {
  const found: string = `${error.kind}/${error.subkind ?? subkindOf(error)}`;
  return Object.hasOwn(TAXONOMY, found) ? TAXONOMY[found as ErrorCase] : TAXONOMY[error.kind];
}

/** Told apart by the status alone, for every provider alike. */
function subkindOf({ kind, status, code, retryAfterMs }: Failing): ErrorSubkind | undefined {
  // Where a bad key is told with 403 as well, the dialect says that it is one.
  if (kind === "auth" && status === 403 && code !== TAXONOMY.auth.code) return "permission";
  if (kind === "timeout" && (status === 408 || status === 504)) return "told";
  if (kind === "quota" && status === 402 && retryAfterMs !== undefined) return "transient";
  // A head had come: what broke is one answer, not the way there.
  return kind === "network" && status !== undefined ? "broken" : undefined;
}

/** The failure speaks against the target: it counts in breakers and scores. Parking does not, as it is not chance. */
export function hurtsHealth(error: Failing): boolean {
  return "opensAfter" in policyOf(error).blame;
}

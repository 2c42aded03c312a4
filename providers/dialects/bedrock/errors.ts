// What Bedrock says when it refuses or breaks off, as one ProviderError. Its exceptions have names, which say most.
import type { ErrorKind, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse } from "../../../src/dialect.ts";
import { firstText, isObject, parseJson } from "../../../src/json.ts";
import { isContextOverflow, masked } from "../anthropic/errors.ts";
import { retryAfterMs } from "../retry-after.ts";

const MESSAGE_CHARS_MAX = 2000;
const DAY_MS = 86_400_000;

interface Meaning {
  kind: ErrorKind;
  status: number;
  code?: string;
  param?: string;
}

const VALIDATION = "validationexception";

/** By name in lower case: headers write `ThrottlingException`, streams `throttlingException`. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  throttlingexception: { kind: "rate_limited", status: 429, code: "rate_limit_exceeded" },
  // The model is being loaded; it will be there in a moment.
  modelnotreadyexception: { kind: "overloaded", status: 429, code: "model_not_ready" },
  servicequotaexceededexception: { kind: "quota", status: 400, code: "insufficient_quota" },
  accessdeniedexception: { kind: "auth", status: 403, code: "permission_denied" },
  unrecognizedclientexception: { kind: "auth", status: 403, code: "upstream_auth_error" },
  expiredtokenexception: { kind: "auth", status: 403, code: "upstream_auth_error" },
  resourcenotfoundexception: { kind: "not_found", status: 404, code: "model_not_found", param: "model" },
  modeltimeoutexception: { kind: "timeout", status: 408, code: "timeout" },
  modelerrorexception: { kind: "server", status: 424 },
  modelstreamerrorexception: { kind: "server", status: 502 },
  internalserverexception: { kind: "server", status: 500 },
  internalfailure: { kind: "server", status: 500 },
  serviceunavailableexception: { kind: "overloaded", status: 503, code: "upstream_unavailable" },
  [VALIDATION]: { kind: "invalid_request", status: 400 },
};

const BY_STATUS: Readonly<Record<number, string>> = {
  401: "accessdeniedexception",
  403: "accessdeniedexception",
  404: "resourcenotfoundexception",
  408: "modeltimeoutexception",
  424: "modelerrorexception",
  429: "throttlingexception",
  503: "serviceunavailableexception",
  504: "modeltimeoutexception",
};

const UNKNOWN_MODEL =
  /model identifier is invalid|model.*(?:not found|end of its life|is not supported in this region)/i;
/** "…with on-demand throughput isn't supported", "This model doesn't support tool use": another target may. */
const UNSUPPORTED = /(?:does ?n[o']t|is ?n[o'’]t|not) support|not supported|extra inputs are not permitted/i;
const DAILY = /too many tokens per day/i;

/** Classifies an HTTP error answer. Total: the body may be HTML, empty, or a proxy's. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse): ProviderError {
  const body = parseJson(text);
  const said = isObject(body) ? body : {};
  // `ThrottlingException:http://internal.amazon.com/…`; without the header `com.amazon…#ThrottlingException`.
  const type = firstText(headers["x-amzn-errortype"]?.split(":")[0], firstText(said.__type).replace(/^.*#/, ""));
  const message = firstText(said.message, said.Message, text.trim(), `The provider answered with status ${status}.`);
  const name = type.toLowerCase();
  const meaning = meaningOf(name) ?? meaningOfStatus(status);
  const requestId = headers["x-amzn-requestid"];
  return {
    ...toError({ ...meaning, status }, message),
    ...(DAILY.test(message) && { subkind: "daily_quota" as const }),
    retryAfterMs: DAILY.test(message) ? msUntilMidnightUtc(nowMs) : retryAfterMs(headers, nowMs),
    upstreamRequestId: requestId,
  };
}

/** The exception a stream ended with. */
export function streamError(name: string, payload: unknown): ProviderError {
  const said = isObject(payload) ? payload : {};
  const message = firstText(said.message, said.Message, "The provider broke off without a reason.");
  return toError(meaningOf(name.toLowerCase()) ?? { kind: "server", status: 502 }, message);
}

/** Names come from outside, `constructor` among them. */
function meaningOf(name: string): Meaning | undefined {
  return Object.hasOwn(MEANINGS, name) ? MEANINGS[name] : undefined;
}

function meaningOfStatus(status: number): Meaning {
  const named = MEANINGS[BY_STATUS[status] ?? ""];
  return named ?? (status >= 500 ? { kind: "server", status } : { kind: "invalid_request", status });
}

function toError(meaning: Meaning, text: string): ProviderError {
  const message = masked(text).slice(0, MESSAGE_CHARS_MAX);
  return { message, ...(meaning.kind === "invalid_request" ? refusedRequest(meaning, text) : meaning) };
}

function refusedRequest({ status }: Meaning, message: string): Meaning {
  if (isContextOverflow(message)) {
    return { kind: "context_length", status, code: "context_length_exceeded", param: "messages" };
  }
  if (UNKNOWN_MODEL.test(message)) return { kind: "not_found", status, code: "model_not_found", param: "model" };
  if (status === 413) return { kind: "invalid_request", status, code: "request_too_large" };
  return { kind: UNSUPPORTED.test(message) ? "unsupported" : "invalid_request", status };
}

/** Daily quotas begin anew at midnight UTC. */
function msUntilMidnightUtc(nowMs: number): number {
  return DAY_MS - (nowMs % DAY_MS);
}

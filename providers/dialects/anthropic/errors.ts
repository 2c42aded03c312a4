// What Anthropic says when it refuses or breaks off, as one ProviderError.
import type { ErrorKind, ErrorSubkind, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse } from "../../../src/dialect.ts";
import { firstText, isObject, parseJson } from "../../../src/json.ts";
import { retryAfterMs } from "../retry-after.ts";

const MESSAGE_CHARS_MAX = 2000;
/** Bodies that are no JSON (the vendor's edge answers 413 and 5xx with HTML) are quoted up to here. */
const FOREIGN_BODY_CHARS_MAX = 500;

const CONTEXT_OVERFLOW = anyOf([
  /prompt is too long|input is too long for requested model|exceeds the available context size/,
  /input length and `?max_tokens`? exceed context limit|exceeds the context window|context window exceeds limit/,
  /context[_ ]length[_ ]exceeded|maximum context length is \d+|maximum prompt length is \d+/,
  /input token count.*exceeds the maximum|reduce the length of the messages|too many tokens|token limit exceeded/,
]);
const RATE_WORDS = /rate limit|per minute/i;
const CONTENT_POLICY = anyOf([
  /content filtering policy|content_policy_violation|content_filter|ResponsibleAIPolicyViolation/,
  /content management policy|safety system|flagged as potentially violating|usage policy/,
]);
const NO_MONEY = /credit balance is too low|insufficient_quota|exceeded your current quota|spend limit/i;
const SPEND_CODES = ["contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"];
/** Beside the limits themselves there is one on how quickly use may grow, told under the same status. */
const ACCELERATION = /acceleration limit|usage increase rate|sudden increase/i;
const ACCOUNT_CODES = /^(?:organization_on_hold|cmek_key_)/;
/** Parameters and features one model lacks and another may have. */
const UNSUPPORTED = anyOf([
  /not (?:supported|compatible) (?:for|on|with|by) this model|does not support|is not supported/,
  /extra inputs are not permitted|deprecated for this model|cannot both be specified|thinking may not be enabled/,
]);

function anyOf(patterns: RegExp[]): RegExp {
  return new RegExp(patterns.map((pattern) => pattern.source).join("|"), "i");
}

interface Said {
  status: number;
  type: string;
  errorCode: string;
  message: string;
}

interface Verdict {
  kind: ErrorKind;
  subkind?: ErrorSubkind;
  code?: string;
  param?: string | undefined;
}

/** Classifies an HTTP error answer. Total: the body may be HTML, empty, or another vendor's JSON. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse): ProviderError {
  const body = parseJson(text);
  const foreign = text.trim().slice(0, FOREIGN_BODY_CHARS_MAX);
  const said = describe(
    isObject(body) ? body : {},
    firstText(foreign, `The provider answered with status ${status}.`),
    status,
  );
  const requestId = firstText(headers["request-id"], isObject(body) ? body.request_id : undefined);
  return {
    ...toError(said),
    retryAfterMs: retryAfterMs(headers, nowMs),
    upstreamRequestId: requestId === "" ? undefined : requestId,
  };
}

/** The status an error type has outside a stream: in-band errors arrive under a 200. */
const STATUS_OF_TYPE: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

/** An error object under a 200: in a stream, or as the whole body (seen behind proxies). */
export function errorInBody(body: JsonObject): ProviderError | undefined {
  if (body.type !== "error" && !isObject(body.error)) return undefined;
  const said = describe(body, "The provider broke off without a reason.", 500);
  return toError({ ...said, status: STATUS_OF_TYPE[said.type] ?? said.status });
}

function describe(body: JsonObject, fallback: string, status: number): Said {
  const error = isObject(body.error) ? body.error : {};
  const details = isObject(error.details) ? error.details : {};
  return {
    status,
    type: firstText(error.type),
    errorCode: firstText(details.error_code),
    message: firstText(error.message, body.message, fallback),
  };
}

function toError(said: Said): ProviderError {
  const { kind, subkind, code, param } = verdictOf(said);
  const message = masked(said.message).slice(0, MESSAGE_CHARS_MAX);
  return { kind, ...(subkind !== undefined && { subkind }), message, status: said.status, code, param };
}

function verdictOf({ status, type, errorCode, message }: Said): Verdict {
  if (type === "overloaded_error" || status === 529) return { kind: "overloaded", code: "overloaded" };
  switch (status) {
    case 401:
      return { kind: "auth", code: "upstream_auth_error" };
    case 402:
      return { kind: "quota", code: "insufficient_quota" };
    case 403:
      return { kind: "auth", code: "permission_denied" };
    case 404:
      return { kind: "not_found", code: "model_not_found", param: "model" };
    case 408:
    case 499:
    case 504:
      return { kind: "timeout", code: "timeout" };
    case 409:
      return { kind: "invalid_request", code: "conflict" };
    case 429:
      return tooMany(errorCode, message);
    case 503:
      return { kind: "overloaded", code: "upstream_unavailable" };
    case 500:
      return { kind: "server" };
    default:
      // Redirects are not followed: the address in the configuration is not Anthropic's.
      if (status < 400) return { kind: "malformed", code: "upstream_malformed" };
      return status > 500
        ? { kind: "server", code: "upstream_unavailable" }
        : refusedRequest(status, errorCode, message);
  }
}

/** 429 is said of calls, of their growth, and of money. */
function tooMany(errorCode: string, message: string): Verdict {
  if (SPEND_CODES.includes(errorCode) || NO_MONEY.test(message)) return { kind: "quota", code: "insufficient_quota" };
  const limited = { kind: "rate_limited", code: "rate_limit_exceeded" } as const;
  return ACCELERATION.test(message) ? { ...limited, subkind: "slow_down" } : limited;
}

/** A 4xx about the request itself; the vendor says money, account and policy with 400 too. */
function refusedRequest(status: number, errorCode: string, message: string): Verdict {
  if (NO_MONEY.test(message)) return { kind: "quota", code: "insufficient_quota" };
  if (ACCOUNT_CODES.test(errorCode)) return { kind: "auth", code: "upstream_account_error" };
  if (isContextOverflow(message)) return { kind: "context_length", code: "context_length_exceeded", param: "messages" };
  if (CONTENT_POLICY.test(message)) return { kind: "content_filter", code: "content_filter" };
  if (status === 413) return { kind: "invalid_request", code: "request_too_large" };
  const kind = UNSUPPORTED.test(message) ? "unsupported" : "invalid_request";
  return { kind, ...(errorCode === "" ? {} : { code: errorCode }), param: paramOf(message) };
}

/** "too many tokens" alone also occurs in rate limits; a body or image of too many bytes is no overflow of tokens. */
export function isContextOverflow(message: string): boolean {
  return !RATE_WORDS.test(message) && CONTEXT_OVERFLOW.test(message);
}

/** Our field for theirs. Indexes are left out: turns are merged and moved, theirs would point at the wrong message. */
const PARAM_OF_FIELD: Record<string, string> = {
  messages: "messages",
  system: "messages",
  tools: "tools",
  tool_choice: "tool_choice",
  max_tokens: "max_tokens",
  temperature: "temperature",
  top_p: "top_p",
  stop_sequences: "stop",
  thinking: "reasoning_effort",
  "output_config.effort": "reasoning_effort",
  "output_config.format": "response_format",
  metadata: "user",
  service_tier: "service_tier",
};

/** `messages.0.content.1.image.source.base64: image exceeds …` names its field first. */
function paramOf(message: string): string | undefined {
  const [path] = /^[a-z_]+(?:\.[a-z_0-9]+)*(?=:)/.exec(message) ?? [];
  if (path === undefined) return undefined;
  const [first = "", second] = path.split(".");
  return PARAM_OF_FIELD[`${first}.${second}`] ?? PARAM_OF_FIELD[first];
}

/** Keys and account ids must not reach callers, who share the operator's key. */
export function masked(message: string): string {
  return message
    .replace(/\bsk-[\w*-]{6,}/g, "[key]")
    .replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, "[account]")
    .replace(/\borg[-_][A-Za-z0-9]{6,}/g, "[account]");
}

// What Google says when it refuses, in all its shapes, as one ProviderError.
import type { ErrorKind, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { retryAfterMs } from "../retry-after.ts";
import type { GoogleProfile } from "./profile.ts";
import { detailsOf, quotaVerdict, waitMs } from "./quota.ts";

const MESSAGE_MAX = 2000;
/** Expressions look no further. */
const SAID_MAX = 8000;
const TEXT_BODY_MAX = 300;

/** Classifies an HTTP error answer. Total: bodies may be HTML, empty, an array or anybody's JSON. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse, profile: GoogleProfile): ProviderError {
  const headerMs = retryAfterMs(headers, nowMs);
  const body = parseJson(text);
  const said = errorMember(body) ?? { message: plainText(text) };
  return toError(said, { status, headerMs, nowMs, profile });
}

/** The error inside a 200 answer or a stream; `undefined` when the JSON is none. */
export function errorIn(body: unknown, nowMs: number, profile: GoogleProfile): ProviderError | undefined {
  const said = errorMember(body);
  return said && toError(said, { status: undefined, headerMs: undefined, nowMs, profile });
}

/** `{error: {…}}`, `{error: "…"}`, either inside an array, and a message that is itself such a body. */
function errorMember(body: unknown): JsonObject | undefined {
  const holder = Array.isArray(body) ? body.find((item) => isObject(item) && item.error != null) : body;
  const error = isObject(holder) ? holder.error : undefined;
  if (typeof error === "string") return { message: error };
  if (!isObject(error)) return undefined;
  const inner = typeof error.message === "string" ? parseJson(error.message) : undefined;
  const unwrapped = isObject(inner) && isObject(inner.error) ? inner.error : undefined;
  return unwrapped === undefined ? error : { ...error, ...unwrapped };
}

/** A front end may answer in HTML. */
function plainText(text: string): string {
  const plain = text
    .slice(0, SAID_MAX)
    .replace(/<(style|script)[\s\S]*?<\/\1>/gi, " ")
    .replace(/<[^>]*>/g, " ");
  return plain.replace(/\s+/g, " ").trim().slice(0, TEXT_BODY_MAX);
}

interface Facts {
  /** `undefined` inside a 200: the error's own code counts there. */
  status: number | undefined;
  headerMs: number | undefined;
  nowMs: number;
  profile: GoogleProfile;
}

function toError(said: JsonObject, { status: httpStatus, headerMs, nowMs, profile }: Facts): ProviderError {
  const rpcStatus = firstText(said.status, said.code);
  const isError = httpStatus !== undefined && httpStatus >= 400;
  const status = isError ? httpStatus : (numericCode(said.code) ?? STATUS_BY_RPC.get(rpcStatus) ?? 500);
  const details = objectsIn(said.details);
  const message = firstText(said.message, `The provider answered with status ${status}.`).slice(0, SAID_MAX);
  const reasons = detailsOf(details, "ErrorInfo").map(({ reason }) => firstText(reason));
  const facts = { message, details, headerMs };
  const verdict =
    status === 429
      ? quotaVerdict({ ...facts, nowMs, defaultWaitMs: profile.quotaWaitMs })
      : { ...classify(status, [rpcStatus, ...reasons, message].join(" ")), retryAfterMs: waitMs(facts) };
  const [field] = detailsOf(details, "BadRequest").flatMap(({ fieldViolations }) => objectsIn(fieldViolations));
  return { param: firstText(field?.field) || undefined, ...verdict, message: masked(message), status };
}

function numericCode(code: unknown): number | undefined {
  return typeof code === "number" && code >= 400 && code < 600 ? code : undefined;
}

const STATUS_BY_RPC = new Map(
  Object.entries({
    INVALID_ARGUMENT: 400,
    FAILED_PRECONDITION: 400,
    OUT_OF_RANGE: 400,
    invalid_request: 400,
    UNAUTHENTICATED: 401,
    PERMISSION_DENIED: 403,
    NOT_FOUND: 404,
    ABORTED: 409,
    RESOURCE_EXHAUSTED: 429,
    CANCELLED: 499,
    INTERNAL: 500,
    UNKNOWN: 500,
    UNAVAILABLE: 503,
    DEADLINE_EXCEEDED: 504,
  }),
);

interface Classified {
  kind: ErrorKind;
  code?: string;
  /** The caller's field, where the message names Google's. */
  param?: string;
}

interface Rule extends Classified {
  status: number;
  /** Looked for in the RPC status, the reasons of ErrorInfo and the message. */
  pattern?: RegExp;
}

/** First match wins; a rule without a pattern is the rest of its status. */
const RULES: Rule[] = [
  // A bad key arrives as a 400.
  { status: 400, pattern: /API_KEY_INVALID|API key (not valid|expired)/i, kind: "auth", code: "invalid_api_key" },
  {
    status: 400,
    pattern: /input token count.*exceeds the maximum/i,
    kind: "context_length",
    code: "context_length_exceeded",
    param: "messages",
  },
  { status: 400, pattern: /thought_signature/, kind: "unsupported", code: "missing_thought_signature" },
  {
    status: 400,
    pattern: /Unknown name "[^"]*" at '[^']*(tools|schema|parameters)/i,
    kind: "unsupported",
    code: "invalid_schema",
    param: "tools",
  },
  ...gate(/Penalty is not enabled/i, "presence_penalty"),
  ...gate(/Multiple candidates is not enabled/i, "n"),
  ...gate(/Logprobs is not enabled/i, "logprobs"),
  ...gate(/Thinking level .* is not supported|Budget 0 is invalid/i, "reasoning_effort"),
  {
    status: 400,
    pattern: /Unable to process input image|Cannot fetch content from the provided URL/i,
    kind: "unsupported",
    code: "invalid_image",
  },
  { status: 400, pattern: /User location is not supported/i, kind: "auth", code: "region_not_supported" },
  {
    status: 400,
    pattern: /FAILED_PRECONDITION.*(billing|free tier)/i,
    kind: "quota",
    code: "billing_not_active",
  },
  { status: 401, kind: "auth", code: "invalid_api_key" },
  { status: 402, kind: "quota", code: "billing_not_active" },
  { status: 403, kind: "auth", code: "permission_denied" },
  // A file or a cache that is gone is the request's own fault: no other model has it.
  {
    status: 404,
    pattern: /\b(files|cachedContents?)\b/i,
    kind: "invalid_request",
    code: "resource_not_found",
  },
  { status: 404, kind: "not_found", code: "model_not_found" },
  { status: 408, kind: "timeout", code: "upstream_timeout" },
  { status: 409, kind: "server", code: "upstream_error" },
  { status: 412, kind: "server", code: "upstream_error" },
  { status: 413, kind: "invalid_request", code: "request_too_large" },
  // Not the caller: a caller who leaves is noticed here, not told by Google. Something on their side gave up.
  { status: 499, kind: "server", code: "upstream_error" },
  { status: 503, kind: "overloaded", code: "upstream_unavailable" },
  { status: 504, kind: "timeout", code: "upstream_timeout" },
];

/** A parameter this model does not have. */
function gate(pattern: RegExp, param: string): Rule[] {
  return [{ status: 400, pattern, kind: "unsupported", code: "unsupported_parameter", param }];
}

function classify(status: number, text: string): Classified {
  const rule = RULES.find((one) => one.status === status && (one.pattern?.test(text) ?? true));
  if (rule === undefined)
    return status < 500 ? { kind: "invalid_request" } : { kind: "server", code: "upstream_error" };
  const { kind, code, param } = rule;
  return { kind, ...(code !== undefined && { code }), ...(param !== undefined && { param }) };
}

/** Keys and project numbers are nobody's business, and Google repeats both in its messages. */
function masked(message: string): string {
  return message
    .replace(/(?:AIza|AQ\.)[\w-]{20,}/g, "[key]")
    .replace(/projects\/\d+/g, "projects/[project]")
    .replace(/project_number:\d+/g, "project_number:[project]")
    .slice(0, MESSAGE_MAX);
}

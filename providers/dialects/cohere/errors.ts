// What Cohere says when it refuses, as one ProviderError. Bodies are `{message}`, sentences without codes.
import type { ErrorKind, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse } from "../../../src/dialect.ts";
import { firstText, isObject, parseJson } from "../../../src/json.ts";
import { retryAfterMs } from "../retry-after.ts";

const MESSAGE_MAX = 2000;
const TEXT_BODY_MAX = 300;

/** Classifies an HTTP error answer. Total: bodies may be HTML, empty, an array or anybody's JSON. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse): ProviderError {
  const plain = text.trim().slice(0, TEXT_BODY_MAX);
  const message = firstText(sentenceIn(parseJson(text)), plain, `The provider answered with status ${status}.`);
  return {
    ...toError(status, message),
    status,
    retryAfterMs: retryAfterMs(headers, nowMs),
    upstreamRequestId: headers["x-debug-trace-id"] ?? headers["x-request-id"],
  };
}

/** The error in a 200 body or a stream event; `undefined` when the JSON is none. `message` is an object in an answer. */
export function errorIn(body: JsonObject): ProviderError | undefined {
  const isError = Boolean(body.error) || typeof body.message === "string";
  return isError ? inBandError(firstText(sentenceIn(body), "The provider gave no reason.")) : undefined;
}

/** Told inside an answer, where no status says what it is. */
export function inBandError(message: string): ProviderError {
  return toError(TOO_LONG.test(message) ? 400 : 500, message);
}

function sentenceIn(body: unknown, depth = 0): string {
  if (typeof body === "string") return body;
  if (!isObject(body) || depth > 2) return "";
  const { message, error, data, detail } = body;
  return firstText(message, ...[error, data, detail].map((inner) => sentenceIn(inner, depth + 1)));
}

const TOO_LONG = /too many tokens|total number of tokens|size limit exceeded|maximum context|context length/i;
const LIMIT_TOO_LARGE = /max[_ ]tokens must be less/i;
const UNSUPPORTED =
  /not support|unsupported|does not support|cannot specify both|only one of .* can be specified|unknown field/i;
/** A trial key has so many calls per month: no wait helps. */
const NO_CALLS_LEFT = /calls? ?(\/|per|a) ?month|billing limit|spend(ing)? limit/i;

interface Rule extends Classified {
  statuses: readonly number[];
  pattern?: RegExp;
}

interface Classified {
  kind: ErrorKind;
  code?: string;
  param?: string;
}

/** First match wins; a rule without a pattern is the rest of its status. */
const RULES: readonly Rule[] = [
  { statuses: [429], pattern: NO_CALLS_LEFT, kind: "quota" },
  { statuses: [429], kind: "rate_limited", code: "rate_limit_exceeded" },
  {
    statuses: [400, 422],
    pattern: LIMIT_TOO_LARGE,
    kind: "unsupported",
    code: "unsupported_value",
    param: "max_completion_tokens",
  },
  {
    statuses: [400, 413, 422],
    pattern: TOO_LONG,
    kind: "context_length",
    code: "context_length_exceeded",
    param: "messages",
  },
  { statuses: [400, 422], pattern: UNSUPPORTED, kind: "unsupported", code: "unsupported_parameter" },
  // 498 is "invalid token" here.
  { statuses: [401, 403, 498], kind: "auth" },
  { statuses: [402], kind: "quota" },
  { statuses: [404], kind: "not_found", code: "model_not_found" },
  { statuses: [408, 504], kind: "timeout" },
  // Not the caller: one who leaves is noticed here, not told by Cohere.
  { statuses: [409, 499], kind: "server" },
  { statuses: [501], kind: "unsupported", code: "unsupported_value" },
  { statuses: [503, 529], kind: "overloaded" },
];

function toError(status: number, message: string): ProviderError {
  const rule = RULES.find(({ statuses, pattern }) => statuses.includes(status) && (pattern?.test(message) ?? true));
  const { kind, code, param }: Classified = rule ?? { kind: otherKind(status) };
  const said = message.slice(0, MESSAGE_MAX);
  return { kind, message: said, ...(code !== undefined && { code }), ...(param !== undefined && { param }) };
}

function otherKind(status: number): ErrorKind {
  // A redirect: the address is not that of an API.
  if (status < 400) return "malformed";
  return status < 500 ? "invalid_request" : "server";
}

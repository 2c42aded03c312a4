// What a Chat Completions provider says when it refuses, in any of the shapes seen in the field, as one ProviderError.
import type { ErrorKind, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { retryAfterMs } from "../retry-after.ts";

const CONTEXT_OVERFLOW =
  /context[ _-]?(length|window|size)|maximum context|too many tokens|prompt is too long|input token count|exceed_context_size|tokens? exceed|longer than the model/i;
// Words of their own: "generate" and "accurate" are no talk of rates.
const RATE_WORDS = /\brate|per minute|\bTPM\b|quota/i;
const UNSUPPORTED =
  /unsupported (parameter|value)|not supported on this model|does not support parameter|unrecognized request argument|extra_forbidden|extra inputs are not permitted|property '.*' is unsupported|unknown name/i;
const CONTENT_FILTER =
  /content_filter|content_policy_violation|data_inspection_failed|ResponsibleAIPolicyViolation|content management policy/i;
// Not "billing" alone: OpenAI's rate limit message advises to add a payment method at …/account/billing.
const NO_MONEY =
  /insufficient_quota|credit_balance|billing_(hard_limit|not_active)|spend_limit|usage_limit_exceeded|exceeded_current_quota|insufficient balance|exceeded your current quota/i;
/** The model wrote something that is no tool call or no JSON (Groq); another try may go well. */
const MODEL_FAULT = /tool_use_failed|json_validate_failed/;

/** Classifies an HTTP error answer. Total: bodies may be HTML, empty, an array, or any vendor's JSON. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse): ProviderError {
  const said = describe(parseJson(text), text.trim().slice(0, 300) || `The provider answered with status ${status}.`);
  return {
    ...toError(said, kindOf(status, said)),
    status,
    retryAfterMs: retryAfterMs(headers, nowMs),
    upstreamRequestId: headers["x-request-id"],
  };
}

/** An `error` member (or its equivalent) inside a 200 body or a stream; `undefined` when the JSON is no error. */
export function errorInBody(body: JsonObject): ProviderError | undefined {
  const choice = objectsIn(body.choices)[0];
  const isError =
    Boolean(body.error) ||
    body.object === "error" ||
    Boolean(choice?.error) ||
    isFailedBaseResp(body.base_resp) ||
    (body.choices === undefined && typeof body.code === "string" && typeof body.message === "string");
  if (!isError) return undefined;
  const said = describe(body.error || !choice?.error ? body : { error: choice.error }, "The provider gave no reason.");
  const status = said.status ?? statusOfWords(said);
  return { ...toError(said, status === undefined ? "server" : kindOf(status, said)), status };
}

/** OpenAI's codes where it has one for the kind, else the provider's own. */
function toError(said: Said, kind: ErrorKind): Pick<ProviderError, "kind" | "message" | "code" | "param"> {
  const isUnsupported = kind === "unsupported" && !/^unsupported_/.test(said.code ?? "");
  const code = isUnsupported ? "unsupported_parameter" : (CODES[kind] ?? said.code);
  return { kind, message: maskAccount(said.message).slice(0, 2000), code, param: said.param };
}

const CODES: { [kind in ErrorKind]?: string } = {
  context_length: "context_length_exceeded",
  content_filter: "content_filter",
};

interface Said {
  message: string;
  code: string | undefined;
  type: string | undefined;
  param: string | undefined;
  status: number | undefined;
  /** A validator named a field that it does not know. */
  isForbidden: boolean;
}

/** Finds message and codes wherever this vendor put them (`{error:{…}}`, `{error:"…"}`, `{detail:[…]}`, `{message}` …). */
function describe(body: unknown, otherwise: string): Said {
  const first = Array.isArray(body) ? body[0] : body;
  const root: JsonObject = isObject(first) ? first : {};
  const holder = isObject(root.error) ? root.error : root;
  const metadata = isObject(holder.metadata) ? holder.metadata : {};
  const nested = isObject(root.message) ? root.message.detail : undefined;
  const forbidden = firstText(forbiddenField(nested), forbiddenField(root.detail));
  const base = isObject(root.base_resp) ? root.base_resp : {};
  const message = firstText(
    holder.message,
    root.error,
    root.message,
    detailText(nested),
    detailText(root.detail),
    metadata.raw,
    base.status_msg,
    root.status_msg,
    root.title,
    otherwise,
  );
  return {
    message,
    code: firstText(holder.code) || undefined,
    type: firstText(holder.type) || undefined,
    param: firstText(holder.param, forbidden) || undefined,
    status: httpStatus(holder.code) ?? BASE_RESP_STATUS.get(base.status_code),
    isForbidden: forbidden !== "",
  };
}

/** Some put the HTTP status into `code`, as a number or as digits; other numbers are codes of their own. */
function httpStatus(code: unknown): number | undefined {
  const status = typeof code === "string" && /^\d{3}$/.test(code) ? Number(code) : code;
  return typeof status === "number" && Number.isInteger(status) && status >= 400 && status < 600 ? status : undefined;
}

/** MiniMax answers 200 and tells the failure in `base_resp`; the status its code amounts to. */
const BASE_RESP_STATUS = new Map<unknown, number>([
  [1002, 429],
  [1039, 429],
  [1004, 401],
  [2049, 401],
  [1008, 402],
  [1026, 400],
  [1027, 400],
  [2013, 400],
]);

function isFailedBaseResp(base: unknown): boolean {
  return isObject(base) && typeof base.status_code === "number" && base.status_code !== 0;
}

/** The field a strict validator did not want: last step of `loc`. */
function forbiddenField(detail: unknown): string | undefined {
  const forbidden = objectsIn(detail).find(({ type }) => type === "extra_forbidden");
  const loc = Array.isArray(forbidden?.loc) ? forbidden.loc : [];
  return firstText(loc.at(-1));
}

/** FastAPI's `detail`: a string, `{error}`, or a list of `{loc, msg}`. */
function detailText(detail: unknown): string | undefined {
  if (typeof detail === "string") return detail;
  if (isObject(detail) && typeof detail.error === "string") return detail.error;
  if (!Array.isArray(detail)) return undefined;
  const lines = objectsIn(detail).map(({ loc, msg }) => {
    return Array.isArray(loc) ? `${loc.join(".")}: ${firstText(msg)}` : firstText(msg);
  });
  return lines.join("; ");
}

function kindOf(status: number, { message, code = "", type = "", isForbidden }: Said): ErrorKind {
  const words = `${code} ${type} ${message}`;
  // A redirect: the address is not that of an API.
  if (status < 400) return "malformed";
  if (status === 402) return "quota";
  // OpenAI's hard limit comes with 400; whose money it is must not be told to the caller.
  if ((status === 400 || status === 403 || status === 429) && NO_MONEY.test(words)) return "quota";
  if (status === 429) return "rate_limited";
  if (status === 401 || status === 403) return "auth";
  if (status === 408 || status === 504) return "timeout";
  if (status === 503 || status === 529 || status === 498) return "overloaded";
  const mayOverflow = status === 400 || status === 413 || status === 422 || status === 500;
  if (mayOverflow && CONTEXT_OVERFLOW.test(words) && !RATE_WORDS.test(message)) return "context_length";
  if (status >= 500 || status === 409) return "server";
  // Groq answers 413 when a request is larger than the tokens-per-minute limit.
  if (status === 413 && RATE_WORDS.test(message)) return "rate_limited";
  if (CONTENT_FILTER.test(words)) return "content_filter";
  if (status === 404) return "not_found";
  if (MODEL_FAULT.test(code)) return "server";
  if (isForbidden || UNSUPPORTED.test(words)) return "unsupported";
  return "invalid_request";
}

/** In-band errors carry no HTTP status: words of `type` and `code` stand in for one. */
function statusOfWords({ message, type = "", code = "" }: Said): number | undefined {
  const words = `${type} ${code}`;
  if (NO_MONEY.test(words)) return 402;
  if (/rate_?limit|throttling|limit_requests/i.test(words)) return 429;
  if (/overloaded|unavailable/i.test(words)) return 503;
  if (/authentication|invalid_?api_?key/i.test(words)) return 401;
  if (/invalid_?(request|parameter|argument)/i.test(words)) return 400;
  return CONTEXT_OVERFLOW.test(message) || CONTENT_FILTER.test(`${words} ${message}`) ? 400 : undefined;
}

/** Providers quote (part of) the key in "Incorrect API key provided: sk-…" and name our account in rate limits. */
function maskAccount(message: string): string {
  return message
    .replace(/\b(?:(?:sk|nvapi|gsk|xai|hf|pplx|r8)[-_]|AIza)[\w*-]{6,}/g, "[key]")
    .replace(/\b(?:org|proj)[-_]\w{6,}/g, "[account]");
}

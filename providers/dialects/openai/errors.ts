// What a Chat Completions provider says when it refuses, in any of the shapes seen in the field, as one ProviderError.
import type { ErrorKind, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse } from "../../../src/dialect.ts";
import { isObject, parseJson } from "../../../src/json.ts";
import { retryAfterMs } from "../retry-after.ts";

const CONTEXT_OVERFLOW =
  /context[ _-]?(length|window|size)|maximum context|too many tokens|prompt is too long|input token count|exceed_context_size|tokens? exceed|longer than the model/i;
const RATE_WORDS = /rate|per minute|TPM|quota/i;
const UNSUPPORTED =
  /unsupported (parameter|value)|not supported on this model|does not support parameter|unrecognized request argument|extra_forbidden|property '.*' is unsupported|unknown name/i;
const CONTENT_FILTER =
  /content_filter|content_policy_violation|data_inspection_failed|ResponsibleAIPolicyViolation|content management policy/i;
const NO_MONEY =
  /insufficient_quota|credit_balance|billing|spend_limit|usage_limit_exceeded|exceeded_current_quota|insufficient balance|exceeded your current quota/i;

/** Classifies an HTTP error answer. Total: bodies may be HTML, empty, an array, or any vendor's JSON. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse): ProviderError {
  const body = parseJson(text);
  const said = describe(body, text) || `the provider answered with status ${status}`;
  const kind = kindOf(status, said.message, said.code);
  return {
    kind,
    message: maskKeys(said.message).slice(0, 2000),
    status,
    code: kind === "context_length" ? "context_length_exceeded" : said.code,
    param: said.param,
    retryAfterMs: retryAfterMs(headers, nowMs),
    upstreamRequestId: headers["x-request-id"],
  };
}

/** An `error` member (or its equivalent) inside a 200 body or a stream; `undefined` when the JSON is no error. */
export function errorInBody(body: JsonObject): ProviderError | undefined {
  const choice = Array.isArray(body.choices) ? (body.choices[0] as JsonObject | undefined) : undefined;
  const isError =
    Boolean(body.error) ||
    body.object === "error" ||
    Boolean(choice?.error) ||
    (body.choices === undefined && typeof body.code === "string" && typeof body.message === "string");
  if (!isError) return undefined;
  const said = describe(body.error || !choice?.error ? body : { error: choice.error }, "");
  const status = said.status ?? statusOfType(said.type, said.code);
  const kind = status === undefined ? "server" : kindOf(status, said.message, said.code);
  return {
    kind,
    message: maskKeys(said.message).slice(0, 2000),
    code: said.code,
    param: said.param,
    status,
  };
}

interface Said {
  message: string;
  code: string | undefined;
  type: string | undefined;
  param: string | undefined;
  status: number | undefined;
}

/** Finds message and codes wherever this vendor put them (`{error:{…}}`, `{error:"…"}`, `{detail:[…]}`, `{message}` …). */
function describe(body: unknown, text: string): Said {
  const root = (Array.isArray(body) ? body[0] : body) as JsonObject | undefined;
  const holder = isObject(root?.error) ? root.error : isObject(root) ? root : {};
  const metadata = isObject(holder.metadata) ? holder.metadata : undefined;
  const candidates = [
    holder.message,
    root?.error,
    root?.message,
    detailText(root?.detail),
    metadata?.raw,
    root?.status_msg,
    root?.title,
    text.trim().slice(0, 300),
  ];
  const message = candidates.find((value): value is string => typeof value === "string" && value !== "");
  return {
    message: message ?? "the provider gave no reason",
    code: typeof holder.code === "string" && holder.code !== "" ? holder.code : undefined,
    type: typeof holder.type === "string" ? holder.type : undefined,
    param: typeof holder.param === "string" ? holder.param : undefined,
    status: typeof holder.code === "number" && holder.code >= 400 ? holder.code : undefined,
  };
}

/** FastAPI's `detail`: a string, `{error}`, or a list of `{loc, msg}`. */
function detailText(detail: unknown): string | undefined {
  if (typeof detail === "string") return detail;
  if (isObject(detail) && typeof detail.error === "string") return detail.error;
  if (!Array.isArray(detail)) return undefined;
  const lines = detail.filter(isObject).map(({ loc, msg }) => `${Array.isArray(loc) ? loc.join(".") : ""}: ${msg}`);
  return lines.length === 0 ? undefined : lines.join("; ");
}

function kindOf(status: number, message: string, code: string | undefined): ErrorKind {
  const words = `${code ?? ""} ${message}`;
  if (status === 402) return "quota";
  if (status === 429) return NO_MONEY.test(words) ? "quota" : "rate_limited";
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
  if (UNSUPPORTED.test(words)) return "unsupported";
  return "invalid_request";
}

/** In-band errors carry no HTTP status: OpenAI's `type` and `code` words stand in for one. */
function statusOfType(type: string | undefined, code: string | undefined): number | undefined {
  const words = `${type ?? ""} ${code ?? ""}`;
  if (/rate_limit/.test(words)) return 429;
  if (/overloaded|unavailable/.test(words)) return 503;
  if (/invalid_request/.test(words)) return 400;
  if (/authentication|invalid_api_key/.test(words)) return 401;
  if (/insufficient_quota/.test(words)) return 402;
  return undefined;
}

/** Providers quote (part of) the key in "Incorrect API key provided: sk-…". */
export function maskKeys(message: string): string {
  return message.replace(/\b(sk|nvapi|gsk|xai|hf|pplx|r8|AIza)[-_][\w*-]{6,}/g, "[key]");
}

// What a Chat Completions provider says when it refuses, in any of the shapes seen in the field, as one ProviderError.
import type { ErrorKind, ErrorSubkind, JsonObject, ProviderError } from "../../../src/chat.ts";
import type { ErrorResponse, ResponseHeaders } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { retryAfterMs } from "../retry-after.ts";
import { readLimits, shortestWaitMs } from "./limits.ts";
import type { ErrorQuirks, OpenAiChatProfile } from "./profile.ts";
import { waitInText } from "./wait-in-text.ts";

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
/** A key that is refused with 400, which tells no other fault from it (xAI: continuedev/continue#10778). */
const BAD_KEY = /(incorrect|invalid)[ _]?api[ _]?key/i;
/** The calls became more too quickly (OpenAI's code `slow_down`, under 429 and formerly 503). */
const SLOW_DOWN = /\bslow_down\b|sudden increase in (your )?request|acceleration limit/i;
/** 429 of the flex tier: nothing is left over at the moment, and nothing is billed. */
const NO_SPARE_CAPACITY = /resource[ _]unavailable/i;
/** A policy's verdict under a status that mostly is about keys (OpenRouter, 403). */
const MODERATED = /requires moderation|input was flagged/i;
/** The model wrote something that is no tool call or no JSON (Groq); another try may go well. */
const MODEL_FAULT = /tool_use_failed|json_validate_failed/;

type Quirks = Pick<OpenAiChatProfile, "errors" | "limits">;

/** Classifies an HTTP error answer. Total: bodies may be HTML, empty, an array, or any vendor's JSON. */
export function decodeError({ status, headers, text, nowMs }: ErrorResponse, quirks: Quirks): ProviderError {
  const said = describe(parseJson(text), text.trim().slice(0, 300) || `The provider answered with status ${status}.`);
  const reading = readLimits({ ...said.headers, ...headers }, nowMs, quirks.limits);
  const mayNot = quirks.limits.zeroIsNoAllowance && reading.windows.some(({ limit }) => limit === 0);
  const told = kindOf(status, said, quirks.errors);
  const kind = told === "rate_limited" && mayNot ? "quota" : told;
  const subkind = mayNot && kind === "quota" ? "no_allowance" : subkindOf(kind, said);
  const waits = [status === 429 ? reading.retryAfterMs : undefined, waitIn(said, kind, nowMs, quirks.errors)];
  const shortestMs = kind === "rate_limited" ? shortestWaitMs(reading, nowMs) : undefined;
  return {
    ...toError(said, kind),
    ...(subkind !== undefined && { subkind }),
    status,
    retryAfterMs: retryAfterMs(headers, nowMs) ?? waits.find((ms) => ms !== undefined) ?? shortestMs,
    upstreamRequestId: headers["x-request-id"] ?? headers["request-id"] ?? headers["apim-request-id"],
  };
}

function subkindOf(kind: ErrorKind, { code = "", type = "", message }: Said): ErrorSubkind | undefined {
  if (kind !== "rate_limited") return undefined;
  const words = `${code} ${type} ${message}`;
  if (SLOW_DOWN.test(words)) return "slow_down";
  return NO_SPARE_CAPACITY.test(words) ? "no_spare_capacity" : undefined;
}

function waitIn(said: Said, kind: ErrorKind, nowMs: number, { clockAheadHours }: ErrorQuirks): number | undefined {
  const mayPass = ["rate_limited", "overloaded", "quota", "server"].includes(kind);
  return mayPass ? waitInText(said.message, nowMs, clockAheadHours) : undefined;
}

/** An `error` member (or its equivalent) inside a 200 body or a stream; `undefined` when the JSON is no error. */
export function errorInBody(body: JsonObject, quirks: Quirks): ProviderError | undefined {
  const choice = objectsIn(body.choices)[0];
  const inside = choice?.error || (isObject(body.x_groq) && body.x_groq.error);
  const isError =
    Boolean(body.error) ||
    body.object === "error" ||
    Boolean(inside) ||
    isFailedBaseResp(body.base_resp) ||
    (body.choices === undefined && (isBareError(body) || Boolean(detailText(body.detail))));
  if (!isError) return undefined;
  const said = describe(body.error || !inside ? body : { error: inside }, "The provider gave no reason.");
  const status = said.status ?? statusOfWords(said);
  const own = ownKind(said, quirks.errors);
  return { ...toError(said, own ?? (status === undefined ? "server" : kindOf(status, said, quirks.errors))), status };
}

function isBareError({ code, message }: JsonObject): boolean {
  return typeof code === "string" && typeof message === "string";
}

function toError(said: Said, kind: ErrorKind): ProviderError {
  const message = maskAccount(said.message).slice(0, 2000);
  const error: ProviderError = { kind, message, code: codeFor(said, kind), param: said.param };
  const own = said.code || said.type;
  if (own !== undefined && own !== "" && own !== error.code) error.providerCode = maskAccount(own).slice(0, 100);
  return error;
}

/** OpenAI's word for the kind. It has many for what is wrong with a request, so there the provider's own may say more. */
function codeFor({ code = "" }: Said, kind: ErrorKind): string | undefined {
  if (kind === "unsupported") return /^unsupported_[a-z_]+$/.test(code) ? code : "unsupported_parameter";
  const isTelling = kind === "invalid_request" || MODEL_FAULT.test(code);
  return isTelling && WORD.test(code) ? code : CODES[kind];
}

/** Not a number (`1214`, Zhipu) and not a sentence (xAI). */
const WORD = /^[a-z]+(_[a-z0-9]+)*$/;

/** Kinds that are missing here get the router's word. */
const CODES: { [kind in ErrorKind]?: string } = {
  rate_limited: "rate_limit_exceeded",
  not_found: "model_not_found",
  context_length: "context_length_exceeded",
  content_filter: "content_filter",
};

interface Said {
  message: string;
  code: string | undefined;
  type: string | undefined;
  param: string | undefined;
  status: number | undefined;
  /** Headers of whoever the provider asked in turn. */
  headers: ResponseHeaders;
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
    withRaw(holder.message, metadata.raw),
    root.error,
    root.message,
    detailText(nested),
    detailText(root.detail),
    base.status_msg,
    root.status_msg,
    root.title,
    otherwise,
  );
  return {
    message,
    code: codeOf(holder.code, base.status_code, message),
    type: firstText(holder.type, metadata.error_type) || undefined,
    param: firstText(holder.param, forbidden, fieldInText(message)) || undefined,
    status: httpStatus(holder.code),
    headers: lowerCase(metadata.headers),
    isForbidden: forbidden !== "",
  };
}

/** Codes are words or digits; some only stand in brackets before the message (`[1308][…]`, Zhipu). */
function codeOf(code: unknown, baseCode: unknown, message: string): string | undefined {
  const isOwn = (one: unknown) => typeof one === "number" && one !== 0 && httpStatus(one) === undefined;
  const number = [code, baseCode].find(isOwn);
  const bracketed = /^\[(\d{4})\]/.exec(message)?.[1];
  return firstText(code, number === undefined ? "" : String(number), bracketed) || undefined;
}

/** OpenRouter says "Provider returned error" and quotes the provider, whose words say more. */
function withRaw(message: unknown, raw: unknown): unknown {
  if (typeof raw !== "string" || raw === "") return message;
  const parsed = parseJson(raw);
  const inner = isObject(parsed) || Array.isArray(parsed) ? describe(parsed, raw.slice(0, 300)).message : raw;
  return typeof message === "string" && message !== "" ? `${message}: ${inner}` : inner;
}

function lowerCase(headers: unknown): ResponseHeaders {
  if (!isObject(headers)) return {};
  const texts = Object.entries(headers).filter(([, value]) => typeof value === "string" || typeof value === "number");
  return Object.fromEntries(texts.map(([name, value]) => [name.toLowerCase(), String(value)]));
}

const FIELD_IN_TEXT =
  /(?:unsupported (?:parameter|value): ['"`]?|not supported on this model: |does not support parameters?:? ['"`]?|unrecognized request arguments? supplied: |unknown name ['"\\]+|property ['"`])([A-Za-z_][\w.[\]]*)/i;

/** A parameter that only the sentence names, in OpenAI's spelling. */
function fieldInText(message: string): string | undefined {
  const named = FIELD_IN_TEXT.exec(message)?.[1];
  return named?.replaceAll(/[a-z][A-Z]/g, ([a, b]) => `${a}_${b?.toLowerCase()}`);
}

/** Some put the HTTP status into `code`, as a number or as digits; other numbers are codes of their own. */
function httpStatus(code: unknown): number | undefined {
  const status = typeof code === "string" && /^\d{3}$/.test(code) ? Number(code) : code;
  return typeof status === "number" && Number.isInteger(status) && status >= 400 && status < 600 ? status : undefined;
}

/** MiniMax answers 200 and tells the failure in `base_resp`. */
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

/** What the provider's own codes, types and sentences say. */
function ownKind({ code = "", type = "", message }: Said, { codes, words }: ErrorQuirks): ErrorKind | undefined {
  const own = [code, type].find((word) => Object.hasOwn(codes, word));
  return own === undefined ? words.find(([sentence]) => sentence.test(message))?.[1] : codes[own];
}

function kindOf(status: number, said: Said, quirks: ErrorQuirks): ErrorKind {
  return (status >= 400 ? ownKind(said, quirks) : undefined) ?? commonKind(status, said);
}

function commonKind(status: number, { message, code = "", type = "", isForbidden }: Said): ErrorKind {
  const words = `${code} ${type} ${message}`;
  // A redirect: the address is not that of an API.
  if (status < 400) return "malformed";
  if (status === 402) return "quota";
  // OpenAI's hard limit comes with 400; whose money it is must not be told to the caller.
  if ((status === 400 || status === 403 || status === 429) && NO_MONEY.test(words)) return "quota";
  if (status === 429 || (status === 503 && SLOW_DOWN.test(words))) return "rate_limited";
  if (status === 403 && MODERATED.test(words)) return "content_filter";
  if (status === 401 || status === 403 || (status === 400 && BAD_KEY.test(words))) return "auth";
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
  if (/authentication/i.test(words) || BAD_KEY.test(`${words} ${message}`)) return 401;
  if (/invalid_?(request|parameter|argument)/i.test(words)) return 400;
  return CONTEXT_OVERFLOW.test(message) || CONTENT_FILTER.test(`${words} ${message}`) ? 400 : undefined;
}

/** Providers quote (part of) the key in "Incorrect API key provided: sk-…" and name our account in rate limits. */
function maskAccount(message: string): string {
  return message
    .replace(/(api[ _]?key(?: provided)?: *)[\w*-]{6,}/gi, "$1[key]")
    .replace(/\b\w[\w-]*\*{3,}[\w*-]*/g, "[key]")
    .replace(/\b(?:(?:sk|nvapi|gsk|xai|hf|pplx|r8)[-_]|AIza)[\w*-]{6,}/g, "[key]")
    .replace(/\b(?:org|proj)[-_]\w{6,}/g, "[account]");
}

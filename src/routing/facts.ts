// What a request is, as far as rules and targets care.
import type { BudgetSpec } from "../budget-spec.ts";
import type { ChatBody, ChatRequest } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { type Facts, FactsHas, FactsKey, FactsTime, FactsTokens } from "./conditions.ts";
import type { ModelMatcher } from "./key-models.ts";
import type { Feature } from "./schema.ts";

/** Who asks. */
export interface Caller {
  /** Name of the key; `local` while the router needs none, `default` for SIGNALBOX_API_KEY. */
  key: string;
  /** Of a key of its own: stays the same when the key gets another name or secret. */
  keyId?: string;
  team?: string;
  organisation?: string;
  /** What the call is booked under: the key's tags and those that came with the request. */
  tags?: readonly string[];
  /** The key's alone, which rules may trust. */
  keyTags?: readonly string[];
  /** Which models it may use; absent: all. */
  models?: ModelMatcher;
  /** What the key may spend. */
  budgets?: readonly BudgetSpec[];
  /** Models without a known price may be called although a hard budget cannot be held to them. */
  allowUnpriced?: boolean;
  limits?: CallerLimits;
}

/** What targets ("provider/model") were found not to take, whatever the catalogue says. */
export interface Learnt {
  /** Tokens; `undefined` while none was refused for its length. */
  windowOf(target: string): number | undefined;
  /** Names of request fields. */
  lacksOf(target: string): readonly string[];
}

/** Requests and tokens per minute, and requests at the same time; `undefined`: no limit. */
export interface CallerLimits {
  rpm: number | undefined;
  tpm: number | undefined;
  concurrency: number | undefined;
}

/** A request with everything a decision may look at. */
export interface Asked {
  request: ChatRequest;
  caller: Caller;
  /** Path of the request. */
  endpoint: string;
  /** All request headers, lower-case names. Called when a condition may look at them. */
  headers(): Readonly<Record<string, string>>;
  /** Size of the body: no prompt without pictures has more tokens than bytes. */
  bodyBytes: number;
  /** Estimated tokens of the prompt for a target ("provider/model"), or in general. Made when first asked for. */
  inputTokens(target?: string): number;
  /** Which conversation this is a turn of. */
  affinityId: string | undefined;
  learnt?: Learnt;
  nowMs: number;
}

const CREDENTIALS = ["authorization", "x-api-key", "cookie", "proxy-authorization"];

/** The variables of `when` for one of the names asked for. The time is told in the zone of the rule, so it is filled in per
 *  rule. */
export function factsOf(asked: Asked, model: string, time: FactsTime): Facts {
  const { request, caller } = asked;
  const { body } = request;
  const key = new FactsKey();
  key.name = caller.key;
  key.team = caller.team ?? "";
  key.tags = [...(caller.keyTags ?? [])];
  const all = asked.headers();
  const headers = Object.entries(all).filter(([name]) => !CREDENTIALS.includes(name));
  return {
    model,
    endpoint: asked.endpoint,
    stream: request.stream,
    turns: BigInt(body.messages.filter((message) => message.role === "user").length),
    tags: (all["x-signalbox-tags"] ?? "")
      .split(",")
      .map((tag) => tag.trim())
      .filter((tag) => tag !== ""),
    metadata: stringsOf(body.metadata),
    header: Object.fromEntries(headers),
    has: contentOf(body),
    key,
    tokens: new FactsTokens(maxOutputTokens(body), () => asked.inputTokens()),
    time,
  };
}

export function maxOutputTokens(body: ChatBody): number | undefined {
  const told = body.max_completion_tokens ?? body.max_tokens;
  return typeof told === "number" && Number.isFinite(told) ? told : undefined;
}

const MINUTE_MS = 60_000;

/** Tells `mon` to `sun`, the hour and the date where the zone is. */
export type Clock = (nowMs: number) => FactsTime;

/** Made once per rule file: a formatter takes as long to make as thousands of decisions. */
export function clockIn(timeZone: string): Clock {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone,
    hour: "2-digit",
    hourCycle: "h23",
    weekday: "short",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  });
  let minute = Number.NaN;
  let told: FactsTime | undefined;
  return (nowMs) => {
    // Told once a minute: all zones are whole minutes apart.
    if (told !== undefined && Math.floor(nowMs / MINUTE_MS) === minute) return told;
    minute = Math.floor(nowMs / MINUTE_MS);
    told = new FactsTime(() => {
      const parts = Object.fromEntries(format.formatToParts(nowMs).map(({ type, value }) => [type, value]));
      const { hour = "0", weekday = "", year, month, day } = parts;
      return { hour: BigInt(hour), weekday: weekday.slice(0, 3).toLowerCase(), date: `${year}-${month}-${day}` };
    });
    return told;
  };
}

/** What the answering model must be able to take or do for this request. */
export function neededFeatures(has: FactsHas): Feature[] {
  const needed: Feature[] = [];
  if (has.tools) needed.push("tools");
  if (has.images) needed.push("vision");
  if (has.audio) needed.push("audio");
  if (has.json_schema) needed.push("json_schema");
  return needed;
}

/** What the messages hold and the request asks for. */
export function contentOf(body: ChatBody): FactsHas {
  const has = new FactsHas();
  has.tools = (body.tools?.length ?? 0) > 0 || objectsIn(body.functions).length > 0;
  has.json_schema = isObject(body.response_format) && body.response_format.type === "json_schema";
  has.reasoning =
    isObject(body.reasoning) ||
    isObject(body.thinking) ||
    (typeof body.reasoning_effort === "string" && body.reasoning_effort !== "none");
  for (const { content } of body.messages) {
    if (!Array.isArray(content)) continue;
    for (const { type } of content) {
      if (type === "image_url") has.images = true;
      else if (type === "input_audio") has.audio = true;
      else if (type === "file") has.files = true;
    }
  }
  return has;
}

function stringsOf(value: unknown): Record<string, string> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

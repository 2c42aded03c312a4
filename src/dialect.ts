// The vocabulary of providers: what a wire protocol must be able to do, who speaks it, and which model answers.
import type {
  ChatAnswer,
  ChatEvent,
  ChatRequest,
  DialectId,
  JsonObject,
  PriceBasis,
  ProviderError,
  Rates,
} from "./chat.ts";

/** One event of a server-sent-event stream; `data` lines are joined with "\n". */
export interface Frame {
  event: string | undefined;
  data: string;
}

/** What goes over the socket: path below the provider's base URL, headers without credentials, JSON text. */
export interface Wire {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** `relay`: the answer's bytes may go to the caller as they are, because both sides speak the same dialect. */
export interface Encoded {
  kind: "encoded";
  wire: Wire;
  relay: boolean;
  /** Tokens for `x-signalbox-warnings`: `dropped:seed`, `clamped:temperature=1.7->1`, … */
  warnings: string[];
  /** The wire answer is a stream although the caller wants it whole (long buffered calls die in idle timeouts). */
  streams?: true;
}

/** The request cannot be expressed for this target (or not at all): answered with 400 before anything is sent. */
export interface Refusal {
  kind: "refusal";
  error: ProviderError;
}

/** One call of one target. Clock and randomness are arguments, so that dialects stay pure. */
export interface Call {
  request: ChatRequest;
  target: Target;
  nowMs: number;
  /** `prefix` + 24 random characters of [A-Za-z0-9]. */
  newId(prefix: string): string;
  /** Tokens of `Outbound.repair` that apply: what this target was found not to accept, in this request or an earlier one. */
  repairs?: readonly string[];
  /** What a `remember` event of an earlier answer kept under this key. */
  recall?(key: string): JsonObject | undefined;
  /** Contents of the URLs that `Outbound.attachments` asked for. */
  downloads?: ReadonlyMap<string, Download>;
  /** State of the `continue` event that this call goes on from. */
  continuation?: JsonObject;
}

/** A file the router fetched for a provider that does not fetch itself. */
export interface Download {
  mediaType: string;
  base64: string;
}

/** Turns frames into events. Total: bad input becomes an `error` event, never a throw. */
export interface Decoder {
  push(frame: Frame): ChatEvent[];
  /** The bytes ended. `rest` is what followed the last complete frame (some providers append a bare JSON error).
   *  Answers with the terminal event unless `push` already gave one. */
  end(rest: string): ChatEvent[];
}

export interface ErrorResponse {
  status: number;
  headers: ResponseHeaders;
  text: string;
  nowMs: number;
}

/** One limit a provider told in its headers. Absent = not told. */
export interface LimitWindow {
  /** What is counted, and per what when it is known: `requests`, `tokens`, `input_tokens/minute`, `requests/day`. */
  name: string;
  limit?: number;
  remaining?: number;
  resetAtMs?: number;
}

export interface LimitReading {
  windows: LimitWindow[];
  retryAfterMs?: number;
}

/** Headers of an answer: lower-case names, a repeated header keeps its first value. */
export type ResponseHeaders = Record<string, string | undefined>;

/** `isLasting`: it is the model that does not accept something, so later requests to it start with the repair. */
export interface Repair {
  token: string;
  isLasting: boolean;
}

/**
 * What becomes of one field of a Chat Completions request. `mapped`: translated · `dropped`, `repaired`: with a report ·
 * `refused`: a 400 that names it · `silent`: it cannot change the answer. Values that change nothing (OpenAI's defaults)
 * and `null` go without a word in every class.
 */
export interface FieldClass {
  class: "mapped" | "dropped" | "repaired" | "refused" | "silent";
  note?: string;
}

/** The face a dialect shows to a provider: we are the client. Pure. */
export interface Outbound {
  id: DialectId;
  /** How events are framed in the bytes of a stream; absent: server-sent events. */
  framing?: "sse" | "aws-event-stream";
  /** Every field of OpenAI's request and every extension this dialect knows; unknown ones are dropped and reported. */
  fields?: Readonly<Record<string, FieldClass>>;
  encode(call: Call): Encoded | Refusal;
  decoder(call: Call): Decoder;
  /** The events of a buffered answer, terminal event included. `body` is parsed JSON. */
  decodeBody(body: unknown, call: Call): ChatEvent[];
  decodeError(response: ErrorResponse): ProviderError;
  /** Limits told in the headers of any answer, in one normal form. Total: what cannot be read is left out. */
  readLimits?(headers: ResponseHeaders, nowMs: number): LimitReading;
  /**
   * What to change when the provider answered this error before any content, so that `encode` can be called again;
   * `undefined` when nothing helps. Never a token that `call.repairs` already holds.
   */
  repair?(error: ProviderError, call: Call): Repair | undefined;
  /** Whether a model goes on with the assistant message a request ends with, as with the beginning of its own answer.
   *  Absent: none does. */
  prefills?(target: Target): boolean;
  /** URLs whose contents `encode` needs inline, because this provider does not fetch them itself. */
  attachments?(call: Call): string[];
}

/** What the caller's side of an answer needs to know beyond the events. */
export interface AnswerHead {
  createdS: number;
  /** Model name for the caller. */
  model: string;
  includeUsage: boolean;
  /** The request used the deprecated `functions`: the answer says `function_call` instead of `tool_calls`. */
  legacyFunctions?: boolean;
  /** Extra members for the `usage` object (cost), asked for when usage is rendered. */
  usageExtras(): JsonObject | undefined;
}

/** Renders events as the bytes of a stream. After an `error` event nothing follows, in particular no success marker. */
export interface StreamRenderer {
  push(events: ChatEvent[]): string;
}

/** An error as the caller sees it; the HTTP status is decided with the kind (see taxonomy.ts). */
export interface CallerError {
  status: number;
  message: string;
  type: string;
  code: string | null;
  param: string | null;
  metadata?: JsonObject;
}

/** The face a dialect shows to a caller: we are the server. Pure. */
export interface Inbound {
  id: DialectId;
  /** `body` is parsed JSON. Unknown keys are kept. `header` reads a request header by lower-case name. */
  parse(body: unknown, header: (name: string) => string | undefined): ChatRequest | Refusal;
  renderer(head: AnswerHead): StreamRenderer;
  renderBody(answer: ChatAnswer, head: AnswerHead): JsonObject;
  renderError(error: CallerError): JsonObject;
  /** The in-band error of a stream that has begun, as bytes of the stream. */
  renderStreamError(error: CallerError): string;
}

export type Modality = "text" | "image" | "audio" | "video" | "file";

/** What the catalogue knows of one model at one provider. Absent = unknown. */
export interface ModelEntry {
  id: string;
  name?: string;
  contextTokens?: number;
  maxOutputTokens?: number;
  input?: Modality[];
  output?: Modality[];
  tools?: boolean;
  reasoning?: boolean;
  structuredOutputs?: boolean;
  /** Capability flags of the model at this provider; each dialect names those it reads. */
  features?: JsonObject;
  rates?: Rates;
  /** How the price was found; there when `rates` are. */
  priceStatus?: PriceBasis;
  /** Where the price comes from and the day it was taken: `genai-prices@0.1.8 2026-11-24`, `overrides`. */
  priceSource?: string;
  /** Where limits and capabilities come from. */
  limitsSource?: string;
  /** The row of the price source that covers this model, when that row carries another id. */
  pricedAs?: string;
  /** What the fields cannot say: things billed apart, roundings. */
  note?: string;
}

/** Text that must never be shown: it prints, serialises and inspects as `[secret]`. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return "[secret]";
  }
  toJSON(): string {
    return "[secret]";
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]";
  }
}

/** Another way in than a key: calls carry access tokens, made with a file that the operator points at. */
export interface FileCredentials {
  kind: "google-service-account";
  /** Environment variables that may hold the path, first set wins. A key, where one is set, goes first. */
  fileEnv: string[];
  /** The address that goes with them. `variable` reads the environment. */
  baseUrl(variable: (name: string) => string | undefined): { url: string } | { lack: string };
}

/** An identity that answers requests; one small file each in providers/. */
export interface Provider {
  id: string;
  name: string;
  /** Vendor page of the API. */
  docs: string;
  /** Absent for providers whose address only the operator knows. `${NAME}` is filled from the environment. */
  baseUrl?: string;
  /** Environment variables that override `baseUrl`, first set wins. */
  baseUrlEnv: string[];
  /** Environment variables that may hold the key, first set wins. */
  keyEnv: string[];
  /** What turns the provider on: its key, or (local servers) its URL. */
  enabledBy: "key" | "url";
  credentials?: FileCredentials;
  dialect: Outbound;
  /** Credential headers for a key. */
  authorize(key: string): Record<string, string>;
  /** Headers sent with every call. */
  headers?: Record<string, string>;
  /** Catalogue section that lists its models; default: its own id. */
  catalog?: string;
  /** `openai` for the simulated OpenAI: names under `openai/` go here while `openai` itself is not enabled. */
  standsInFor?: string;
  /** Absent: everything counts, output as it was written. */
  accounting?: Accounting;
  /** Zone in which its days of quotas begin; absent: UTC. */
  quotaZone?: string;
}

/** What a call counts against the provider's token limits. */
export interface Accounting {
  /** Tokens read from the prompt cache. */
  cachedInput: "free" | "counted";
  /** `reserved`: the request's `max_tokens` counts when it is admitted, whatever is written then. */
  output: "actual" | "reserved" | "none";
}

/** A provider with everything the operator must supply: ready to be called. */
export interface EnabledProvider extends Provider {
  baseUrl: string;
  key: Secret | undefined;
  /** Path of the file of `credentials`, when they stand in for a key. */
  credentialsFile?: string;
  /** A bearer token for the next call, fetched when needed. Goes before `key`. */
  accessToken?(): Promise<Secret | { error: ProviderError }>;
  /** By model id. */
  models: ReadonlyMap<string, ModelEntry>;
  /** Where its machines are, and what it does with prompts, as far as the operator said so. */
  regions?: readonly string[];
  dataPolicy?: "no_training" | "no_retention";
}

/** One of several keys with which a provider is called, with limits of its own. `name` is the pool's with the key's position
 *  or name (`claude#2`, `claude#eu`): what people and the ledger see of it. */
export interface Account {
  name: string;
  key: Secret;
}

/** A provider and a model of it: what others call a deployment. `entry` is absent when the catalogue does not know it. */
export interface Target {
  provider: EnabledProvider;
  model: string;
  entry: ModelEntry | undefined;
}

/** `provider/model`, the name of a target in rules, ledger and headers. */
export function targetName(target: Target): string {
  return `${target.provider.id}/${target.model}`;
}

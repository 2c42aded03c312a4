// A simulated provider: whom it admits, how long it takes, what it bills, and what goes wrong with it and when.
import type { Accounting } from "../../src/dialect.ts";
import { type Enforcement, Meter } from "./admission.ts";
import type { Engine } from "./engine.ts";
import type { Random } from "./random.ts";

export interface Incident {
  /** `cut`: the limits are silently `factor` of what they were. `slow`: everything takes `factor` times as long. */
  kind: "down" | "slow" | "hang" | "cut" | "malformed" | "truncated" | "unauthorized" | "no_money";
  fromMs: number;
  toMs: number;
  factor?: number;
}

/** Shares of admitted calls that end so. */
export interface ErrorMix {
  server?: number;
  overloaded?: number;
  network?: number;
  truncated?: number;
}

export interface Profile {
  id: string;
  /** Micro-dollars per million tokens. */
  rates: { input: number; output: number };
  /** Per minute; absent: none. */
  limits: { requests?: number; tokens?: number; inputTokens?: number; outputTokens?: number };
  concurrency?: number;
  requestsPerDay?: number;
  enforcement: Enforcement;
  accounting: Accounting;
  headers: "openai" | "anthropic" | "none";
  /** `text`: only the message says it. `lying`: a tenth of the truth. */
  retryAfter: "honest" | "absent" | "lying" | "text";
  firstByte: { medianMs: number; sigma: number; msPerInputToken: number };
  tokensPerSecond: { median: number; sigma: number };
  /** How it counts tokens, compared with characters ÷ 4. */
  tokenFactor: number;
  errors: ErrorMix;
  incidents: Incident[];
}

export interface Ask {
  requestId: string;
  /** Characters ÷ 4. */
  plainTokens: number;
  /** What the model would write if nothing bounded it. */
  outputTokens: number;
  maxTokens: number | undefined;
}

/** What becomes of a call, known from its start. `end` must be called once, when it is over for whatever reason. */
export type Course =
  | { kind: "unreachable"; afterMs: number }
  | { kind: "silent"; end(): void }
  | { kind: "refused"; afterMs: number; status: number; headers: Record<string, string>; code: string; message: string }
  | {
      kind: "answer";
      firstMs: number;
      totalMs: number;
      headers: Record<string, string>;
      inputTokens: number;
      outputTokens: number;
      flaw: "malformed" | "truncated" | undefined;
      end(): void;
    };

export interface Counters {
  attempts: number;
  /** Refused for being one too many. */
  refused: number;
  billedPicoUsd: number;
  /** Per second of the run. */
  attemptsPerS: number[];
  admittedPerS: number[];
  refusedPerS: number[];
}

type Dimension = keyof Profile["limits"];
const DIMENSIONS: readonly Dimension[] = ["requests", "tokens", "inputTokens", "outputTokens"];

export class SimulatedProvider {
  readonly profile: Profile;
  readonly counters: Counters = {
    attempts: 0,
    refused: 0,
    billedPicoUsd: 0,
    attemptsPerS: [],
    admittedPerS: [],
    refusedPerS: [],
  };
  readonly #engine: Engine;
  readonly #random: Random;
  readonly #meters = new Map<Dimension, Meter>();
  #inFlight = 0;
  #today = 0;

  constructor(engine: Engine, profile: Profile) {
    this.#engine = engine;
    this.profile = profile;
    this.#random = engine.random(`provider ${profile.id}`);
    for (const dimension of DIMENSIONS) {
      const perMinute = profile.limits[dimension];
      if (perMinute !== undefined) this.#meters.set(dimension, new Meter(perMinute, profile.enforcement));
    }
  }

  receive(ask: Ask): Course {
    this.counters.attempts += 1;
    this.#count(this.counters.attemptsPerS);
    const course = this.#courseOf(ask);
    this.#engine.trace(this.profile.id, `${ask.requestId} ${course.kind === "refused" ? course.status : course.kind}`);
    return course;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Share of the nominal limits that is in force. */
  scale(): number {
    return this.#incident("cut")?.factor ?? 1;
  }

  #courseOf(ask: Ask): Course {
    const answersMs = 30 + 40 * this.#random.next();
    if (this.#incident("down") !== undefined) {
      if (this.#random.next() < 0.5) return { kind: "unreachable", afterMs: answersMs };
      return refused(answersMs, 503, "unavailable", "The service is temporarily unavailable.");
    }
    if (this.#incident("hang") !== undefined) return { kind: "silent", end: this.#occupy() };
    if (this.#incident("unauthorized") !== undefined)
      return refused(answersMs, 401, "invalid_api_key", "Incorrect API key provided.");
    if (this.#incident("no_money") !== undefined) {
      const message = "You exceeded your current quota, please check your plan and billing details.";
      return refused(answersMs, 429, "insufficient_quota", message);
    }
    const lacking = this.#lacking(ask);
    if (lacking !== undefined) return this.#tooMany(lacking, answersMs);
    return this.#admit(ask, answersMs);
  }

  #admit(ask: Ask, answersMs: number): Course {
    const { errors, firstByte, tokensPerSecond, accounting } = this.profile;
    const nowMs = this.#engine.nowMs();
    const inputTokens = this.#inputOf(ask);
    const outputTokens = Math.min(ask.outputTokens, ask.maxTokens ?? Number.POSITIVE_INFINITY);
    for (const [dimension, meter] of this.#meters)
      if (dimension !== "outputTokens") meter.take(this.#needOf(ask, dimension), nowMs, this.scale());
    this.#today += 1;
    this.#count(this.counters.admittedPerS);
    const slow = this.#incident("slow")?.factor ?? 1;
    const wait = this.#random.lognormal(firstByte.medianMs, firstByte.sigma) + inputTokens * firstByte.msPerInputToken;
    const speed = this.#random.lognormal(tokensPerSecond.median, tokensPerSecond.sigma);
    const fate = this.#random.next();
    const server = errors.server ?? 0;
    const overloaded = server + (errors.overloaded ?? 0);
    const network = overloaded + (errors.network ?? 0);
    const truncated = network + (errors.truncated ?? 0);
    if (fate < server) return refused(answersMs, 500, "server_error", "The server had an error.");
    if (fate < overloaded) return refused(answersMs, 503, "overloaded", "The engine is currently overloaded.");
    if (fate < network) return { kind: "unreachable", afterMs: answersMs };
    const isTruncated = fate < truncated || this.#incident("truncated") !== undefined;
    const isMalformed = this.#incident("malformed") !== undefined;
    const firstMs = slow * wait;
    const totalMs = firstMs + (slow * 1_000 * outputTokens) / speed;
    const release = this.#occupy();
    const end = () => {
      release();
      const share = Math.min(1, Math.max(0, (this.#engine.nowMs() - nowMs - firstMs) / (totalMs - firstMs + 1)));
      const written = Math.ceil(outputTokens * share);
      if (accounting.output === "actual")
        this.#meters.get("outputTokens")?.take(written, this.#engine.nowMs(), this.scale());
      this.counters.billedPicoUsd += inputTokens * this.profile.rates.input + written * this.profile.rates.output;
    };
    const flaw = isMalformed ? "malformed" : isTruncated ? "truncated" : undefined;
    return { kind: "answer", firstMs, totalMs, headers: this.#headers(), inputTokens, outputTokens, flaw, end };
  }

  #tooMany({ what, waitMs }: Lacking, afterMs: number): Course {
    this.counters.refused += 1;
    this.#count(this.counters.refusedPerS);
    const { retryAfter } = this.profile;
    const told = retryAfter === "lying" ? waitMs / 10 : waitMs;
    const seconds = Math.max(retryAfter === "lying" ? 0 : 1, Math.ceil(told / 1_000));
    const hint = retryAfter === "text" ? ` Please retry in ${seconds}s.` : "";
    const headers = this.#headers();
    // Concurrency: nobody knows when one of the running calls ends.
    if ((retryAfter === "honest" || retryAfter === "lying") && what !== "concurrency")
      headers["retry-after"] = String(seconds);
    const message = `Rate limit reached for ${what}.${hint}`;
    return { kind: "refused", afterMs, status: 429, headers, code: "rate_limit_exceeded", message };
  }

  #lacking(ask: Ask): Lacking | undefined {
    const { concurrency, requestsPerDay } = this.profile;
    const nowMs = this.#engine.nowMs();
    if (requestsPerDay !== undefined && this.#today >= requestsPerDay)
      return { what: "requests per day", waitMs: 86_400_000 - (nowMs % 86_400_000) };
    if (concurrency !== undefined && this.#inFlight >= concurrency * this.scale())
      return { what: "concurrency", waitMs: 1_000 };
    let worst: Lacking | undefined;
    for (const [dimension, meter] of this.#meters) {
      const waitMs = meter.waitMs(this.#needOf(ask, dimension), nowMs, this.scale());
      if (waitMs > (worst?.waitMs ?? 0)) worst = { what: dimension, waitMs };
    }
    return worst;
  }

  /** What is taken when it is admitted. Output that counts as it is written needs a level above nothing only. */
  #needOf(ask: Ask, dimension: Dimension): number {
    if (dimension === "requests") return 1;
    if (dimension === "outputTokens") return 1;
    const reserved = this.profile.accounting.output === "reserved" ? (ask.maxTokens ?? 4_096) : 0;
    return this.#inputOf(ask) + (dimension === "tokens" ? reserved : 0);
  }

  #inputOf(ask: Ask): number {
    return Math.round(ask.plainTokens * this.profile.tokenFactor);
  }

  #occupy(): () => void {
    this.#inFlight += 1;
    let isOver = false;
    return () => {
      if (isOver) throw new Error("a simulated call ended twice");
      isOver = true;
      this.#inFlight -= 1;
    };
  }

  #incident(kind: Incident["kind"]): Incident | undefined {
    const { elapsedMs } = this.#engine;
    return this.profile.incidents.find(
      (each) => each.kind === kind && elapsedMs >= each.fromMs && elapsedMs < each.toMs,
    );
  }

  #headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    const { headers: style } = this.profile;
    if (style === "none") return headers;
    const nowMs = this.#engine.nowMs();
    for (const [dimension, meter] of this.#meters) {
      const name = HEADER_NAMES[dimension];
      const prefix = (what: string) =>
        style === "openai" ? `x-ratelimit-${what}-${name}` : `anthropic-ratelimit-${name}-${what}`;
      const resetMs = meter.waitMs(1, nowMs, this.scale());
      headers[prefix("limit")] = String(meter.perMinute);
      headers[prefix("remaining")] = String(meter.remaining(nowMs, this.scale()));
      headers[prefix("reset")] =
        style === "openai" ? `${Math.ceil(resetMs)}ms` : new Date(nowMs + resetMs).toISOString();
    }
    return headers;
  }

  #count(perS: number[]): void {
    const second = Math.floor(this.#engine.elapsedMs / 1_000);
    while (perS.length <= second) perS.push(0);
    perS[second] = (perS[second] as number) + 1;
  }
}

interface Lacking {
  what: string;
  waitMs: number;
}

const HEADER_NAMES: Readonly<Record<Dimension, string>> = {
  requests: "requests",
  tokens: "tokens",
  inputTokens: "input-tokens",
  outputTokens: "output-tokens",
};

function refused(afterMs: number, status: number, code: string, message: string): Course {
  return { kind: "refused", afterMs, status, headers: {}, code, message };
}

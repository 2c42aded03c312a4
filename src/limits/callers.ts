// What callers' keys allow: requests and tokens per minute, requests at the same time. All or nothing: a call that is
// refused takes of no limit.
import { Bucket } from "./bucket.ts";

/** Of one key; `undefined`: no limit. */
interface Allowed {
  rpm: number | undefined;
  tpm: number | undefined;
  concurrency: number | undefined;
}

export interface Admission {
  /** OpenAI's `x-ratelimit-…`, as things are now. */
  headers(): Record<string, string>;
  /** When the request is over, exactly once. */
  end(how: Ending): void;
}

/** `refused`: nothing was asked of any provider, and nothing is counted. `tokens`: what was billed; `undefined` leaves what
 *  was reserved. */
export type Ending = { kind: "refused" } | { kind: "made"; tokens: number | undefined };

export type Admitted =
  | { kind: "admitted"; admission: Admission }
  | {
      kind: "refused";
      lacks: "requests" | "tokens" | "concurrency";
      limit: number;
      retryAfterMs: number;
      headers: Record<string, string>;
    };

export interface CallerGate {
  /** `tokens` is asked only where a limit counts them. */
  admit(caller: { keyId?: string; limits?: Allowed }, tokens: () => number): Admitted;
}

/** A minute's worth may be taken at once, and comes back evenly. */
const BURST_MS = 60_000;
/** When a running request ends is not known. */
const RUNNING_RETRY_MS = 1_000;
const IDLE_KEPT_MAX = 4_096;

export function createCallerGate(nowMs: () => number): CallerGate {
  const taps = new Map<string, Tap>();
  const tapOf = (keyId: string, allowed: Allowed): Tap => {
    let tap = taps.get(keyId);
    if (tap === undefined) {
      if (taps.size >= IDLE_KEPT_MAX) forgetIdle(taps, nowMs());
      tap = new Tap();
      taps.set(keyId, tap);
    }
    tap.allow(allowed, nowMs());
    return tap;
  };
  return {
    admit({ keyId, limits }, tokens) {
      if (keyId === undefined || limits === undefined) return FREE;
      if (limits.rpm === undefined && limits.tpm === undefined && limits.concurrency === undefined) return FREE;
      return tapOf(keyId, limits).admit(limits, tokens, nowMs);
    },
  };
}

const FREE: Admitted = { kind: "admitted", admission: { headers: () => ({}), end: () => {} } };

/** Whatever has all it may have is made again the same. Keys are bounded, so this need not find any. */
function forgetIdle(taps: Map<string, Tap>, nowMs: number): void {
  for (const [keyId, tap] of taps) if (tap.isFull(nowMs)) taps.delete(keyId);
}

/** What one key has taken. */
class Tap {
  #requests: Bucket | undefined;
  #tokens: Bucket | undefined;
  #running = 0;

  allow({ rpm, tpm }: Allowed, nowMs: number): void {
    this.#requests = shaped(this.#requests, rpm, nowMs);
    this.#tokens = shaped(this.#tokens, tpm, nowMs);
  }

  isFull(nowMs: number): boolean {
    return (
      this.#running === 0 && [this.#requests, this.#tokens].every((bucket) => !bucket || resetMs(bucket, nowMs) === 0)
    );
  }

  admit({ rpm, tpm, concurrency }: Allowed, estimate: () => number, now: () => number): Admitted {
    const nowMs = now();
    const reserved = this.#tokens === undefined ? 0 : Math.max(0, Math.ceil(estimate()));
    const refuse = (lacks: "requests" | "tokens" | "concurrency", limit: number, retryAfterMs: number): Admitted => {
      return { kind: "refused", lacks, limit, retryAfterMs: wholeMs(retryAfterMs), headers: this.#headers(nowMs) };
    };
    const requestsMs = this.#requests?.waitMs(1, nowMs) ?? 0;
    const tokensMs = this.#tokens?.waitMs(reserved, nowMs) ?? 0;
    if (rpm !== undefined && requestsMs > 0 && requestsMs >= tokensMs) return refuse("requests", rpm, requestsMs);
    if (tpm !== undefined && tokensMs > 0) return refuse("tokens", tpm, tokensMs);
    if (concurrency !== undefined && this.#running >= concurrency)
      return refuse("concurrency", concurrency, RUNNING_RETRY_MS);
    this.#requests?.take(1, nowMs);
    this.#tokens?.take(reserved, nowMs);
    this.#running += 1;
    return { kind: "admitted", admission: this.#admission(reserved, now) };
  }

  #admission(reserved: number, now: () => number): Admission {
    let isOver = false;
    return {
      headers: () => this.#headers(now()),
      end: (how) => {
        if (isOver) throw new Error("an admission ends once");
        isOver = true;
        this.#running -= 1;
        // The key's limits may have been taken away in the meantime.
        if (how.kind === "refused") this.#requests?.giveBack(1);
        const tokens = how.kind === "refused" ? 0 : how.tokens;
        if (tokens !== undefined && tokens > reserved) this.#tokens?.take(tokens - reserved, now());
        else if (tokens !== undefined) this.#tokens?.giveBack(reserved - tokens);
      },
    };
  }

  #headers(nowMs: number): Record<string, string> {
    return { ...headersOf("requests", this.#requests, nowMs), ...headersOf("tokens", this.#tokens, nowMs) };
  }
}

/** Never too soon; what the clock is too coarse to tell does not make it a millisecond longer. */
function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms - 1e-3));
}

function shaped(bucket: Bucket | undefined, perMinute: number | undefined, nowMs: number): Bucket | undefined {
  if (perMinute === undefined) return undefined;
  if (bucket === undefined) return new Bucket(perMinute, BURST_MS);
  if (Math.round(bucket.ratePerMinute) !== perMinute) bucket.reshape(perMinute, BURST_MS, nowMs);
  return bucket;
}

function headersOf(counts: "requests" | "tokens", bucket: Bucket | undefined, nowMs: number): Record<string, string> {
  if (bucket === undefined) return {};
  return {
    [`x-ratelimit-limit-${counts}`]: String(Math.round(bucket.ratePerMinute)),
    [`x-ratelimit-remaining-${counts}`]: String(Math.max(0, Math.floor(bucket.level(nowMs) + 1e-6))),
    [`x-ratelimit-reset-${counts}`]: durationText(resetMs(bucket, nowMs)),
  };
}

/** Until all of it is there again. */
function resetMs(bucket: Bucket, nowMs: number): number {
  const missing = bucket.capacity - bucket.level(nowMs);
  return missing < 1e-6 ? 0 : (missing / bucket.ratePerMinute) * 60_000;
}

/** As OpenAI writes durations: `0s`, `17ms`, `8.64s`, `6m0s`, `1h0m0s`. */
export function durationText(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole === 0) return "0s";
  if (whole < 1_000) return `${whole}ms`;
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor((whole % 3_600_000) / 60_000);
  const seconds = (whole % 60_000) / 1_000;
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}

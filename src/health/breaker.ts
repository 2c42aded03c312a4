// One circuit breaker: closed while calls succeed, open for a while after too many failures, then opened bit by bit.

export type BreakerState = "closed" | "open" | "half_open";

export interface SavedBreaker {
  openUntilMs: number;
  openings: number;
  parkings: number;
  reason: string;
}

const OPEN_MS = 5_000;
const OPEN_MS_MAX = 60_000;
/** Where it fails at once: whoever finds out whether it is over hardly loses time, and nobody misses a provider that is back. */
const OPEN_MS_MAX_QUICK = 15_000;
const QUICK_MS = 1_000;
const JITTER = 0.2;
/** What a provider says about itself (Retry-After) is believed up to this. */
const TOLD_MS_MAX = 300_000;
const HALF_LIFE_MS = 20_000;
/** For want of anything better one call so often finds out whether it is over: while it is open, and while those that are let in
 *  have not answered yet. */
const TRY_EVERY_MS = { open: 1_000, half_open: 100 };
const SAMPLES_MIN = 10;
const RATE_MAX = 0.5;
/** At the widest it closes with the next success. */
const PLACES_MAX = 16;
const FORGIVEN_EVERY_MS = 300_000;
/** Four doublings pass either cap; counting on would only make forgiving take longer: twenty minutes instead of days. */
const OPENINGS_MAX = 4;

export class Breaker {
  #state: BreakerState = "closed";
  #openUntilMs = 0;
  /** How often it has opened lately: each time for twice as long. */
  #openings = 0;
  /** The same for parking, apart: an endpoint that was unreachable says nothing about how long money is missing. */
  #parkings = 0;
  #closedAtMs = 0;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #reason: string | undefined;
  #inARow = 0;
  /** Decaying counts of outcomes. */
  #failures = 0;
  #outcomes = 0;
  #countedAtMs = 0;
  /** Calls that may run at once while half open, and how many do. */
  #places = 1;
  #running = 0;
  /** Calls that began before it last changed say nothing about it now. */
  #era = 0;

  state(nowMs: number): BreakerState {
    if (this.#state === "open" && nowMs >= this.#openUntilMs) {
      this.#state = "half_open";
      this.#places = 1;
      this.#running = 0;
      this.#era += 1;
    }
    return this.#state;
  }

  admits(nowMs: number): boolean {
    const state = this.state(nowMs);
    return state === "closed" || (state === "half_open" && this.#running < this.#places);
  }

  /** Whether a call may go there although it is not admitted, when nobody else could answer it either. */
  mayTry(nowMs: number): boolean {
    const state = this.state(nowMs);
    return state === "closed" || this.admits(nowMs) || nowMs - this.#triedAtMs >= TRY_EVERY_MS[state];
  }

  get openUntilMs(): number {
    return this.#state === "closed" ? 0 : this.#openUntilMs;
  }

  get reason(): string | undefined {
    return this.#state === "closed" ? undefined : this.#reason;
  }

  get consecutiveFailures(): number {
    return this.#inARow;
  }

  failureRate(nowMs: number): number {
    this.#decay(nowMs);
    return this.#outcomes < 1 ? 0 : this.#failures / this.#outcomes;
  }

  /** A call begins; the number is to be given back with its outcome. */
  begin(nowMs: number): number {
    if (!this.admits(nowMs)) this.#triedAtMs = nowMs;
    this.#running += 1;
    return this.#era;
  }

  /** No outcome: the caller left, or the request itself was at fault. */
  abandon(era: number): void {
    if (era === this.#era) this.#running -= 1;
  }

  /** An answer has begun, though it is not over: more may try than before, without waiting for the end of a long one. To be told
   *  once of a call. */
  answers(era: number): void {
    if (era === this.#era && this.#state === "half_open") this.#places = Math.min(PLACES_MAX, 2 * this.#places);
  }

  /** `hasAnswered`: it was told before that the answer has begun. */
  succeed(era: number, nowMs: number, hasAnswered = false): void {
    this.#count(0, nowMs);
    if (era !== this.#era) return;
    this.#running -= 1;
    this.#inARow = 0;
    // Called for want of anything better, and it answered: the outage is over, whatever was expected of it.
    if (this.#state === "open") {
      this.#state = "half_open";
      this.#openUntilMs = nowMs;
      this.#places = 1;
      this.#running = 0;
      this.#era += 1;
    }
    if (this.#state !== "half_open") return;
    if (this.#places < PLACES_MAX) {
      if (!hasAnswered) this.#places *= 2;
      return;
    }
    this.#state = "closed";
    this.#closedAtMs = nowMs;
    this.#failures = 0;
    this.#outcomes = 0;
    this.#era += 1;
  }

  /** `inARowMax`: how many failures of this sort one after the other open it, each counting as `weight`. `tookMs`: how long the
   *  call lasted. */
  fail(
    era: number,
    how: { reason: string; inARowMax: number; tookMs: number; weight?: number; toldMs?: number | undefined },
    nowMs: number,
    draw: number,
  ): void {
    const { weight = 1 } = how;
    this.#count(weight, nowMs);
    if (era !== this.#era) return;
    this.#running -= 1;
    this.#inARow += weight;
    // Called for want of anything better: it is known to be out, and being tried does not keep it out for longer.
    if (this.#state === "open") return;
    const isTooOften = this.#outcomes >= SAMPLES_MIN && this.#failures / this.#outcomes > RATE_MAX;
    if (this.#state !== "half_open" && this.#inARow < how.inARowMax && !isTooOften) return;
    const most = how.tookMs < QUICK_MS ? OPEN_MS_MAX_QUICK : OPEN_MS_MAX;
    const exponential = Math.min(most, OPEN_MS * 2 ** this.#lately(this.#openings, nowMs));
    const ms = Math.max(exponential * (1 - JITTER + 2 * JITTER * draw), Math.min(TOLD_MS_MAX, how.toldMs ?? 0));
    const openings = this.#lately(this.#openings, nowMs) + 1;
    this.#open(nowMs + ms, how.reason, openings, this.#lately(this.#parkings, nowMs));
  }

  /** Out of service for a known reason: a bad key, no money, no such model. Twice as long each time, up to `msMax`. */
  park(era: number, reason: string, ms: number, msMax: number, nowMs: number): void {
    // Calls that were under way together all hear the same: that is one refusal, not as many.
    const isKnown = era !== this.#era && this.#state !== "closed" && this.#reason === reason;
    if (isKnown) return;
    const parkings = this.#lately(this.#parkings, nowMs);
    const untilMs = nowMs + Math.min(msMax, ms * 2 ** parkings);
    this.#open(untilMs, reason, this.#lately(this.#openings, nowMs), parkings + 1);
  }

  export(nowMs: number): SavedBreaker | undefined {
    if (this.state(nowMs) !== "open") return undefined;
    return {
      openUntilMs: this.#openUntilMs,
      openings: this.#openings,
      parkings: this.#parkings,
      reason: this.#reason ?? "",
    };
  }

  restore({ openUntilMs, openings, parkings, reason }: SavedBreaker): void {
    this.#state = "open";
    this.#openUntilMs = openUntilMs;
    this.#openings = openings;
    this.#parkings = parkings;
    this.#reason = reason;
  }

  #open(untilMs: number, reason: string, openings: number, parkings: number): void {
    this.#openings = Math.min(OPENINGS_MAX, openings);
    this.#parkings = Math.min(OPENINGS_MAX, parkings);
    this.#state = "open";
    // The reason is that of the longer wait: a bad key stays the reason while calls tried in spite of it fail otherwise.
    if (untilMs >= this.#openUntilMs) {
      this.#openUntilMs = untilMs;
      this.#reason = reason;
    }
    this.#running = 0;
    this.#era += 1;
  }

  #lately(count: number, nowMs: number): number {
    if (this.#state !== "closed") return count;
    return Math.max(0, count - Math.floor((nowMs - this.#closedAtMs) / FORGIVEN_EVERY_MS));
  }

  #count(failure: number, nowMs: number): void {
    this.#decay(nowMs);
    this.#outcomes += 1;
    this.#failures += failure;
  }

  #decay(nowMs: number): void {
    const share = 0.5 ** (Math.max(0, nowMs - this.#countedAtMs) / HALF_LIFE_MS);
    this.#outcomes *= share;
    this.#failures *= share;
    this.#countedAtMs = nowMs;
  }
}

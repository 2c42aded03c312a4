// A token bucket kept as one timestamp (GCRA): the instant at which it will be full again. Taking, giving back and clamping
// are each one addition, and nothing has to be refilled.

export class Bucket {
  #ratePerMs: number;
  #burstMs: number;
  #fullAtMs = Number.NEGATIVE_INFINITY;

  /** `rate` in units per minute; `burstMs`: how much time's worth of them may be taken at once. */
  constructor(rate: number, burstMs: number) {
    this.#ratePerMs = rate / 60_000;
    this.#burstMs = burstMs;
  }

  get ratePerMinute(): number {
    return this.#ratePerMs * 60_000;
  }

  /** At least one: what can never be taken would wait for ever. */
  get capacity(): number {
    return Math.max(1, this.#ratePerMs * this.#burstMs);
  }

  /** Units that may be taken now; negative after more was taken than there was. */
  level(nowMs: number): number {
    return this.capacity - Math.max(0, this.#fullAtMs - nowMs) * this.#ratePerMs;
  }

  /** Until `units` may be taken. More than the bucket holds may be taken once it is full: that leaves a debt. */
  waitMs(units: number, nowMs: number): number {
    const missing = Math.min(units, this.capacity) - this.level(nowMs);
    // Sums of small times are not exact; a wait below a microsecond is none.
    return missing / this.#ratePerMs < 1e-3 ? 0 : missing / this.#ratePerMs;
  }

  take(units: number, nowMs: number): void {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + units / this.#ratePerMs;
  }

  giveBack(units: number): void {
    this.#fullAtMs -= units / this.#ratePerMs;
  }

  /** The provider says that no more than this is left. */
  clamp(remaining: number, nowMs: number): void {
    const missing = Math.max(0, this.capacity - remaining);
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs + missing / this.#ratePerMs);
  }

  /** Keeps what is missing, in units. */
  reshape(rate: number, burstMs: number, nowMs: number): void {
    const taken = this.capacity - this.level(nowMs);
    this.#ratePerMs = rate / 60_000;
    this.#burstMs = burstMs;
    this.#fullAtMs = nowMs + Math.min(taken, 2 * this.capacity) / this.#ratePerMs;
  }
}

// How a simulated provider counts: one rate limit as a token bucket or as a window of the clock.

/** `bucket`: refilled continuously, so much time's worth of it at once. `window`: counted anew in each window of the clock
 *  (60,000 per minute may be enforced as 1,000 per second). */
export type Enforcement = { kind: "bucket"; burstMs: number } | { kind: "window"; windowMs: number };

export class Meter {
  readonly perMinute: number;
  readonly #enforcement: Enforcement;
  #level: number;
  #atMs = Number.NEGATIVE_INFINITY;
  #capacity: number;

  constructor(perMinute: number, enforcement: Enforcement) {
    this.perMinute = perMinute;
    this.#enforcement = enforcement;
    this.#capacity = this.#capacityAt(1);
    this.#level = this.#capacity;
  }

  /** What may still be taken; negative after a debt. `scale`: share of the nominal limit that is in force. */
  level(nowMs: number, scale: number): number {
    this.#roll(nowMs, scale);
    return this.#level;
  }

  take(units: number, nowMs: number, scale: number): void {
    this.#roll(nowMs, scale);
    this.#level -= units;
  }

  /** Until `units` may be taken. */
  waitMs(units: number, nowMs: number, scale: number): number {
    this.#roll(nowMs, scale);
    const missing = Math.min(units, this.#capacity) - this.#level;
    if (missing <= 0) return 0;
    if (this.#enforcement.kind === "bucket") return (60_000 * missing) / (this.perMinute * scale);
    const { windowMs } = this.#enforcement;
    return windowMs - (nowMs % windowMs);
  }

  /** As headers tell it: of the nominal limit, whatever part of it is in force. */
  remaining(nowMs: number, scale: number): number {
    return Math.max(0, Math.floor((this.perMinute * this.level(nowMs, scale)) / this.#capacity));
  }

  #capacityAt(scale: number): number {
    const enforcement = this.#enforcement;
    const ms = enforcement.kind === "bucket" ? enforcement.burstMs : enforcement.windowMs;
    return Math.max(1, (this.perMinute * scale * ms) / 60_000);
  }

  #roll(nowMs: number, scale: number): void {
    this.#capacity = this.#capacityAt(scale);
    const enforcement = this.#enforcement;
    if (enforcement.kind === "bucket") {
      const passedMs = Math.min(nowMs - this.#atMs, 3_600_000);
      this.#level = Math.min(this.#capacity, this.#level + (this.perMinute * scale * passedMs) / 60_000);
    } else if (Math.floor(nowMs / enforcement.windowMs) !== Math.floor(this.#atMs / enforcement.windowMs)) {
      this.#level = this.#capacity;
    } else this.#level = Math.min(this.#level, this.#capacity);
    this.#atMs = nowMs;
  }
}

// Some providers refuse calls because they became more too quickly, whatever their number. After such a refusal a pool grows
// by half at the most over what it had taken in any one minute of the last fifteen.

const MINUTE_MS = 60_000;
const MINUTES = 15;
const GROWTH = 1.5;
/** Tokens in a minute that nobody takes for a sudden increase: the way back from having sent nothing. */
const TOKENS_MIN = 10_000;
/** So long after the last such refusal growth is free again. */
const ARMED_MS = MINUTES * MINUTE_MS;

export class RampGuard {
  /** Tokens admitted in the current minute and the fifteen before it, by minute modulo their number. */
  readonly #admitted = new Float64Array(MINUTES + 1);
  #minute = 0;
  #armedUntilMs = Number.NEGATIVE_INFINITY;

  admit(tokens: number, nowMs: number): void {
    this.#roll(nowMs);
    this.#admitted[this.#at(this.#minute)] = this.#current + tokens;
  }

  arm(nowMs: number): void {
    this.#armedUntilMs = nowMs + ARMED_MS;
  }

  reset(): void {
    this.#armedUntilMs = Number.NEGATIVE_INFINITY;
  }

  isArmed(nowMs: number): boolean {
    return nowMs < this.#armedUntilMs;
  }

  /** Until the next minute when this one has had its share. One call, however large, always fits an empty minute. */
  waitMs(tokens: number, nowMs: number): number {
    if (!this.isArmed(nowMs)) return 0;
    this.#roll(nowMs);
    const most = Math.max(TOKENS_MIN, GROWTH * this.#highest());
    if (this.#current === 0 || this.#current + tokens <= most) return 0;
    return Math.max(1, (this.#minute + 1) * MINUTE_MS - nowMs);
  }

  get #current(): number {
    return this.#admitted[this.#at(this.#minute)] ?? 0;
  }

  #highest(): number {
    return this.#admitted.reduce(
      (most, tokens, at) => (at === this.#at(this.#minute) ? most : Math.max(most, tokens)),
      0,
    );
  }

  #at(minute: number): number {
    return minute % (MINUTES + 1);
  }

  #roll(nowMs: number): void {
    const minute = Math.floor(nowMs / MINUTE_MS);
    if (minute - this.#minute > MINUTES) {
      this.#admitted.fill(0);
      this.#minute = minute;
    }
    while (this.#minute < minute) {
      this.#minute += 1;
      this.#admitted[this.#at(this.#minute)] = 0;
    }
  }
}

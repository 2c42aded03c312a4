// How long a pool is left alone after a refusal that did not say so: longer each time the next call is refused as well, and
// after a second refusal one call goes first to find out.

const WAIT_MS = 1_000;
const WAIT_MS_MAX = 16_000;
/** Refusals come at once: a call that has lasted for so long was let in. */
const LET_IN_AFTER_MS = 500;

export class UntoldWait {
  #refusals = 0;
  #blockedUntilMs = Number.NEGATIVE_INFINITY;
  /** The call that went first began at; absent: none has yet. */
  #firstAtMs: number | undefined;

  /** Answers with how long to leave the pool alone. What was under way together is refused together, which is one refusal. */
  refuse(nowMs: number): number {
    if (nowMs >= this.#blockedUntilMs) {
      this.#refusals = this.#isLetIn(nowMs) ? 1 : this.#refusals + 1;
      const ms = Math.min(WAIT_MS_MAX, WAIT_MS * 2 ** (this.#refusals - 1));
      this.#blockedUntilMs = nowMs + ms;
      this.#firstAtMs = undefined;
    }
    return this.#blockedUntilMs - nowMs;
  }

  /** A call begins. */
  take(nowMs: number): void {
    if (nowMs >= this.#blockedUntilMs) this.#firstAtMs ??= nowMs;
  }

  /** Until more than the one that goes first may go. */
  waitMs(nowMs: number): number {
    if (this.#refusals < 2 || this.#firstAtMs === undefined) return 0;
    return Math.max(0, this.#firstAtMs + LET_IN_AFTER_MS - nowMs);
  }

  reset(): void {
    this.#refusals = 0;
    this.#blockedUntilMs = Number.NEGATIVE_INFINITY;
    this.#firstAtMs = undefined;
  }

  #isLetIn(nowMs: number): boolean {
    return this.#refusals === 0 || (this.#firstAtMs !== undefined && nowMs - this.#firstAtMs >= LET_IN_AFTER_MS);
  }
}

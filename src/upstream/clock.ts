// How long an attempt may take: five clocks behind one timer.
import { HEDGE_LOST, type ProviderError } from "../chat.ts";
import type { Clocks, UpstreamRequest } from "../upstream.ts";
import { CALLER_LEFT, reasonOf } from "./failure.ts";

/**
 * The clocks of one attempt, and its caller's patience. One timer at a time: it fires at the nearest deadline known when
 * it was set and is only set again when that deadline has meanwhile moved, so neither bytes nor content cost a timer.
 * While nobody asks for the next piece (the caller reads slowly), only the clock of the whole attempt runs.
 */
export class AttemptClock {
  readonly #clocks: Clocks;
  readonly #caller: AbortSignal;
  readonly #drainMs: number | undefined;
  #isDraining = false;
  #totalAt: number;
  #phase: "first_byte" | "answer" = "first_byte";
  #contentAt: number;
  #bytesAt = Number.POSITIVE_INFINITY;
  #pausedAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #onFailure: () => void;
  /** Why the attempt was given up, when it was. */
  failure: ProviderError | undefined;

  /** `onFailure` is called once, when time is up or the caller leaves, who is there yet. */
  constructor({ clocks, signal: caller, drainMs }: UpstreamRequest, onFailure: () => void) {
    const now = performance.now();
    this.#clocks = clocks;
    this.#onFailure = onFailure;
    this.#caller = caller;
    this.#drainMs = drainMs;
    this.#totalAt = now + clocks.totalMs;
    this.#contentAt = now + clocks.firstByteMs;
    caller.addEventListener("abort", this.#onCallerLeft);
    this.#arm();
  }

  progress(): void {
    const now = performance.now();
    this.#phase = "answer";
    this.#contentAt = now + this.#clocks.contentIdleMs;
    this.#bytesAt = now + this.#clocks.idleMs;
    this.#armIfEarlier();
  }

  /** A piece has come and is being dealt with. */
  pause(): void {
    this.#pausedAt ??= performance.now();
  }

  /** The next piece is waited for. */
  resume(): void {
    const now = performance.now();
    this.#contentAt += now - (this.#pausedAt ?? now);
    this.#pausedAt = undefined;
    if (this.#phase === "answer") this.#bytesAt = now + this.#clocks.idleMs;
    this.#armIfEarlier();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#caller.removeEventListener("abort", this.#onCallerLeft);
  }

  #firesAt = 0;

  get #nextAt(): number {
    return this.#pausedAt === undefined ? Math.min(this.#contentAt, this.#bytesAt, this.#totalAt) : this.#totalAt;
  }

  /** A later deadline is found when the timer fires; an earlier one needs a new timer. */
  #armIfEarlier(): void {
    if (this.#timer !== undefined && this.#nextAt < this.#firesAt) this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#firesAt = this.#nextAt;
    const waitMs = Math.max(0, this.#firesAt - performance.now());
    this.#timer = setTimeout(this.#check, Math.min(waitMs, 2 ** 31 - 1));
  }

  #check = (): void => {
    // Timers may fire a fraction of a millisecond early.
    if (performance.now() + 1 < this.#nextAt) this.#arm();
    else
      this.#fail(this.#isDraining ? CALLER_LEFT : { kind: "timeout", message: this.#timeoutText(), code: "timeout" });
  };

  #timeoutText(): string {
    const { totalMs, firstByteMs, idleMs, contentIdleMs } = this.#clocks;
    if (this.#nextAt === this.#totalAt) return `The provider did not finish within ${Math.round(totalMs)} ms.`;
    if (this.#phase === "first_byte") return `The provider sent no content within ${firstByteMs} ms.`;
    return this.#bytesAt <= this.#contentAt
      ? `The provider fell silent for ${idleMs} ms in the middle of its answer.`
      : `The provider sent no content for ${contentIdleMs} ms in the middle of its answer, although its connection is alive.`;
  }

  #onCallerLeft = (): void => {
    if (this.#drainMs === undefined || this.#caller.reason === HEDGE_LOST) {
      this.#fail(reasonOf(this.#caller));
      return;
    }
    this.#isDraining = true;
    this.#totalAt = Math.min(this.#totalAt, performance.now() + this.#drainMs);
    this.#armIfEarlier();
  };

  #fail(error: ProviderError): void {
    this.failure = error;
    this.stop();
    this.#onFailure();
  }
}

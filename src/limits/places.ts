// How many calls a target takes at once, where nobody said: found out by refusals. A level that was refused is remembered and
// tried again ever more rarely, so that a limit that does not move costs ever fewer refusals.

const PLACES_MIN = 2;
const DECREASE = 0.9;
const GROW_EVERY_MS = 2_000;
/** Fewer calls than this share of the places say nothing about whether there could be more. */
const USED_MIN = 0.8;
/** So long after a refusal its level is tried again; twice as long each time it is refused again. */
const HOLD_MS = 8_000;
const HOLD_MS_MAX = 120_000;
/** Two refusals so near to each other in calls at once are of one limit. */
const SAME_LEVEL = 0.1;
/** Sooner after the last refusal than this, what was lowered to is too much as well. */
const STILL_TOO_MANY_MS = 4_000;

export class Places {
  readonly #known: number | undefined;
  #limit: number;
  #refusedAtMs = Number.NEGATIVE_INFINITY;
  #grownAtMs = Number.NEGATIVE_INFINITY;
  /** Calls that were under way at the last refusal, itself included. */
  #refusedLevel: number | undefined;
  #holdMs = HOLD_MS;

  /** `known`: what the operator says; it is never learnt otherwise. */
  constructor(known: number | undefined) {
    this.#known = known;
    this.#limit = known ?? Number.POSITIVE_INFINITY;
  }

  /** Infinity while nothing is known. */
  get limit(): number {
    return this.#limit;
  }

  /** `inFlight`: with the call that was refused. */
  refuse(inFlight: number, nowMs: number): void {
    if (this.#known !== undefined || inFlight <= PLACES_MIN) return;
    const level = this.#refusedLevel;
    const isSame = level !== undefined && Math.abs(inFlight - level) <= Math.max(1, SAME_LEVEL * level);
    const isSoon = nowMs - this.#refusedAtMs < STILL_TOO_MANY_MS;
    const isKnown = isSame && !isSoon;
    this.#holdMs = isKnown ? Math.min(HOLD_MS_MAX, 2 * this.#holdMs) : HOLD_MS;
    this.#limit = Math.max(PLACES_MIN, isKnown ? Math.min(inFlight, level) - 1 : Math.floor(DECREASE * inFlight));
    this.#refusedLevel = isKnown ? Math.min(inFlight, level) : inFlight;
    this.#refusedAtMs = nowMs;
  }

  /** A call was admitted: `inFlight` with it. */
  grow(inFlight: number, nowMs: number): void {
    if (this.#known !== undefined || inFlight <= USED_MIN * this.#limit) return;
    if (nowMs - Math.max(this.#refusedAtMs, this.#grownAtMs) < GROW_EVERY_MS) return;
    const isTried = this.#refusedLevel !== undefined && this.#limit + 1 >= this.#refusedLevel;
    if (isTried && nowMs - this.#refusedAtMs < this.#holdMs) return;
    this.#limit += 1;
    this.#grownAtMs = nowMs;
    // It takes more than it did.
    if (this.#refusedLevel !== undefined && this.#limit > this.#refusedLevel + 1) this.#refusedLevel = undefined;
  }

  reset(): void {
    this.#limit = this.#known ?? Number.POSITIVE_INFINITY;
    this.#refusedLevel = undefined;
    this.#refusedAtMs = Number.NEGATIVE_INFINITY;
    this.#holdMs = HOLD_MS;
  }
}

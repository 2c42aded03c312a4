// What is known of one target: how soon it answers, how fast it writes, how often it fails.
import type { ErrorKind, ErrorSubkind } from "../chat.ts";
import { hurtsHealth } from "../taxonomy.ts";
import { decayed } from "./decay.ts";
import type { SavedTally, SavedTarget } from "./saved.ts";
import { Sketch } from "./sketch.ts";

/** One attempt, as seen when it was settled. */
export interface AttemptSeen {
  /** Prompt tokens that were not read from a cache, told or estimated. */
  freshInputTokens: number | undefined;
  /** From sending to the first content; of a buffered answer it is not known. */
  firstByteMs: number | undefined;
  /** From sending to the end. */
  totalMs: number;
  outputTokens: number | undefined;
  /** `undefined` when the answer is complete. */
  errorKind: ErrorKind | undefined;
  subkind?: ErrorSubkind | undefined;
}

/** Up to these sizes prompts are taken to be alike. */
const INPUT_TOKENS_BOUNDS = [1_000, 8_000, 32_000, 128_000];
const SIZES = INPUT_TOKENS_BOUNDS.length + 1;

const FIRST_BYTE_MS_LOWEST = 4;
const MS_PER_TOKEN_LOWEST = 0.05;
/** The speed of a shorter answer is noise. */
const SPEED_TOKENS_MIN = 8;

const RECENT_HALF_LIFE_MS = 120_000;
const USUAL_HALF_LIFE_MS = 24 * 3_600_000;
/** A target nobody has tried is taken to fail as often as hosted models do, as if seen over 20 attempts. */
const PRIOR_FAILURE_RATE = 0.01;
const PRIOR_ATTEMPTS = 20;
/** The usual rate counts as much as 5 recent attempts. */
const USUAL_ATTEMPTS = 5;

export class TargetStatistics {
  readonly #firstByte: (Sketch | undefined)[] = Array.from({ length: SIZES });
  #speed: Sketch | undefined;
  readonly #recent = new Tally(RECENT_HALF_LIFE_MS);
  readonly #usual = new Tally(USUAL_HALF_LIFE_MS);

  observe(seen: AttemptSeen, nowMs: number): void {
    this.#countOutcome(seen, nowMs);
    const { firstByteMs, freshInputTokens, outputTokens } = seen;
    // Also of an answer that broke later, or that the caller did not stay for: it began when it began.
    if (isTime(firstByteMs) && freshInputTokens !== undefined) {
      this.#firstByteAt(sizeOf(freshInputTokens)).observe(firstByteMs, nowMs);
    }
    if (seen.errorKind !== undefined || !isTime(seen.totalMs)) return;
    if (outputTokens === undefined || outputTokens < SPEED_TOKENS_MIN) return;
    // Of a buffered answer only the whole time is known.
    const beganMs = firstByteMs ?? this.firstByteMs(freshInputTokens ?? 0, 0.5, nowMs) ?? 0;
    this.#speed ??= new Sketch(MS_PER_TOKEN_LOWEST);
    this.#speed.observe(Math.max(0, seen.totalMs - beganMs) / outputTokens, nowMs);
  }

  firstByteMs(freshInputTokens: number, quantile: number, nowMs: number): number | undefined {
    const size = sizeOf(freshInputTokens);
    for (let distance = 0; distance < SIZES; distance += 1) {
      const near =
        this.#firstByte[size - distance]?.quantile(quantile, nowMs) ??
        this.#firstByte[size + distance]?.quantile(quantile, nowMs);
      if (near !== undefined) return near;
    }
    return undefined;
  }

  msPerOutputToken(quantile: number, nowMs: number): number | undefined {
    return this.#speed?.quantile(quantile, nowMs);
  }

  failureRate(nowMs: number): number {
    const usual = this.#usual.rate(nowMs, PRIOR_FAILURE_RATE, PRIOR_ATTEMPTS);
    return this.#recent.rate(nowMs, usual, USUAL_ATTEMPTS);
  }

  recentSamples(nowMs: number): number {
    return this.#recent.attempts(nowMs);
  }

  save(name: string, nowMs: number): SavedTarget {
    return {
      name,
      firstByte: this.#firstByte.map((sketch) => sketch?.save(nowMs) ?? null),
      speed: this.#speed?.save(nowMs) ?? null,
      recent: this.#recent.save(),
      usual: this.#usual.save(),
    };
  }

  /** Adds what was saved to what is there. */
  restore(saved: SavedTarget, nowMs: number): void {
    for (const [size, sketch] of saved.firstByte.entries()) {
      if (sketch !== null && size < SIZES) this.#firstByteAt(size).restore(sketch, nowMs);
    }
    if (saved.speed !== null) {
      this.#speed ??= new Sketch(MS_PER_TOKEN_LOWEST);
      this.#speed.restore(saved.speed, nowMs);
    }
    this.#recent.restore(saved.recent, nowMs);
    this.#usual.restore(saved.usual, nowMs);
  }

  /** A caller that left says nothing about the target, and neither does a refusal that was the request's fault, or a
   *  limit that was reached: those say when to come back, not that it is broken. */
  #countOutcome({ errorKind: kind, subkind }: AttemptSeen, nowMs: number): void {
    const hasFailed = kind !== undefined;
    if (hasFailed && !hurtsHealth({ kind, subkind })) return;
    this.#recent.count(hasFailed, nowMs);
    this.#usual.count(hasFailed, nowMs);
  }

  #firstByteAt(size: number): Sketch {
    const sketch = this.#firstByte[size] ?? new Sketch(FIRST_BYTE_MS_LOWEST);
    this.#firstByte[size] = sketch;
    return sketch;
  }
}

/** The share of failures of nobody's target. */
export function unknownFailureRate(): number {
  return PRIOR_FAILURE_RATE;
}

function sizeOf(tokens: number): number {
  const size = INPUT_TOKENS_BOUNDS.findIndex((bound) => tokens < bound);
  return size === -1 ? SIZES - 1 : size;
}

function isTime(ms: number | undefined): ms is number {
  return ms !== undefined && ms >= 0 && ms < Number.POSITIVE_INFINITY;
}

/** Attempts and failures, both forgotten at the same pace. */
class Tally {
  readonly #halfLifeMs: number;
  #atMs = 0;
  #attempts = 0;
  #failures = 0;

  constructor(halfLifeMs: number) {
    this.#halfLifeMs = halfLifeMs;
  }

  count(hasFailed: boolean, nowMs: number): void {
    this.#decay(nowMs);
    this.#attempts += 1;
    if (hasFailed) this.#failures += 1;
  }

  attempts(nowMs: number): number {
    this.#decay(nowMs);
    return this.#attempts;
  }

  /** Drawn to `prior` as if that had been seen over so many attempts. */
  rate(nowMs: number, prior: number, priorAttempts: number): number {
    this.#decay(nowMs);
    return (this.#failures + prior * priorAttempts) / (this.#attempts + priorAttempts);
  }

  save(): SavedTally {
    return { atMs: this.#atMs, attempts: this.#attempts, failures: this.#failures };
  }

  restore(saved: SavedTally, nowMs: number): void {
    this.#decay(nowMs);
    const elapsedMs = nowMs - saved.atMs;
    this.#attempts += decayed(saved.attempts, elapsedMs, this.#halfLifeMs);
    // More failures than attempts would be a rate above 1.
    this.#failures += decayed(Math.min(saved.failures, saved.attempts), elapsedMs, this.#halfLifeMs);
  }

  #decay(nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return;
    this.#attempts = decayed(this.#attempts, elapsedMs, this.#halfLifeMs);
    this.#failures = decayed(this.#failures, elapsedMs, this.#halfLifeMs);
    this.#atMs = nowMs;
  }
}

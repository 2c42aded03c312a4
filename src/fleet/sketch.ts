// Distributions in a few hundred bytes: counters whose bounds grow by 10 %, so that a quantile is at most 5 % off,
// whatever the distribution. Hides the layout, the forgetting, and the mix of what is recent with what is usual.
import type { SavedCounts, SavedSketch, SavedSlowSketch } from "./saved.ts";

/** Ratio of the bounds of a counter: a quantile is off by (γ−1)/(γ+1) = 4.8 % at the most. 128 counters span five
 *  decades; what lies outside is counted at the ends. */
const GAMMA = 1.1;
const COUNTERS = 128;
const MIDDLE = (2 * GAMMA) / (GAMMA + 1);
const LN_GAMMA = Math.log(GAMMA);

const SLICE_MS = 30_000;
const SLICES = 8;
const SLICE_COUNT_MAX = 0xffff;
/** What is recent counts half after two minutes. */
const SLICE_DECAY = 2 ** (-SLICE_MS / 120_000);

const HOUR_MS = 3_600_000;
/** The usual forgets half in a day. */
const HOUR_DECAY = 2 ** (-1 / 24);
/** Slow counters are integers, so that saving them loses nothing: 1,024 to an observation, 4 million observations. */
const UNITS = 1_024;
const SLOW_COUNT_MAX = 0xffff_ffff;

/** Observations of the usual that weigh against the recent ones. */
const PRIOR_WEIGHT = 5;

function counterOf(value: number, lowest: number): number {
  const counter = Math.floor(Math.log(value / lowest) / LN_GAMMA);
  return Math.min(Math.max(counter, 0), COUNTERS - 1);
}

function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS);
}

function valueAt(counter: number, lowest: number): number {
  return lowest * GAMMA ** counter * MIDDLE;
}

/** The first counter up to which a share of `quantile` of the total lies. The total must not be 0. */
function counterAtQuantile(counts: Float32Array | Uint32Array, total: number, quantile: number): number {
  const rank = quantile * total;
  let last = 0;
  let below = 0;
  for (let counter = 0; counter < COUNTERS; counter += 1) {
    const count = counts[counter] ?? 0;
    if (count === 0) continue;
    last = counter;
    below += count;
    if (below >= rank) return counter;
  }
  // Sums of fractions may end a hair below the total.
  return last;
}

/** A distribution that forgets half of what it knows in a day. */
export class SlowSketch {
  readonly #lowest: number;
  readonly #counts = new Uint32Array(COUNTERS);
  #total = 0;
  /** Up to which the counters are decayed. */
  #hour = 0;

  constructor(lowest: number) {
    this.#lowest = lowest;
  }

  observe(value: number, nowMs: number): void {
    this.#decay(nowMs);
    this.#add(counterOf(value, this.#lowest), UNITS);
  }

  /** Observations of some time ago: they have been forgotten in part already. */
  addEarlier(counter: number, observations: number, seenMs: number, nowMs: number): void {
    this.#decay(nowMs);
    this.#add(counter, Math.floor(observations * UNITS * this.#leftSince(hourOf(seenMs))));
  }

  /** Observations, the old ones counted less. */
  weight(nowMs: number): number {
    this.#decay(nowMs);
    return this.#total / UNITS;
  }

  quantile(quantile: number, nowMs: number): number | undefined {
    this.#decay(nowMs);
    if (this.#total === 0) return undefined;
    return valueAt(counterAtQuantile(this.#counts, this.#total, quantile), this.#lowest);
  }

  save(): SavedSlowSketch {
    return { hour: this.#hour, counts: sparse(this.#counts) };
  }

  /** Adds what was saved to what is there. */
  restore(saved: SavedSlowSketch, nowMs: number): void {
    this.#decay(nowMs);
    const left = this.#leftSince(saved.hour);
    eachCount(saved.counts, (counter, units) => this.#add(counter, Math.floor(units * left)));
  }

  #leftSince(hour: number): number {
    return HOUR_DECAY ** Math.max(0, this.#hour - hour);
  }

  #add(counter: number, units: number): void {
    const before = this.#counts[counter] ?? 0;
    const count = Math.min(before + units, SLOW_COUNT_MAX);
    this.#counts[counter] = count;
    this.#total += count - before;
    // Halving everything keeps the shape, which is all that matters of so many.
    if (count > SLOW_COUNT_MAX / 2) this.#scale(0.5);
  }

  /** By whole hours: rounding down in smaller steps would eat what is rare. */
  #decay(nowMs: number): void {
    const hour = hourOf(nowMs);
    if (hour <= this.#hour) return;
    if (this.#total > 0) this.#scale(HOUR_DECAY ** (hour - this.#hour));
    this.#hour = hour;
  }

  #scale(factor: number): void {
    this.#total = 0;
    for (let counter = 0; counter < COUNTERS; counter += 1) {
      const count = Math.floor((this.#counts[counter] ?? 0) * factor);
      this.#counts[counter] = count;
      this.#total += count;
    }
  }
}

/** A distribution of the last four minutes over that of the last days. Without observations it drifts from the first to
 *  the second: a target that was slow is given another chance. */
export class Sketch {
  readonly #lowest: number;
  /** Eight slices of 30 s; the slice numbered n is at n mod 8. */
  readonly #ring = new Uint16Array(SLICES * COUNTERS);
  readonly #sliceCounts = new Uint32Array(SLICES);
  /** The slices added up, the older ones counted less. */
  readonly #recent = new Float32Array(COUNTERS);
  #recentWeight = 0;
  /** The newest slice: whole 30 s since the epoch. */
  #slice = 0;
  readonly #usual: SlowSketch;

  /** `lowest` is the lower bound of what can be told apart; the upper one is 200,000 times that. */
  constructor(lowest: number) {
    this.#lowest = lowest;
    this.#usual = new SlowSketch(lowest);
  }

  observe(value: number, nowMs: number): void {
    this.#advance(nowMs);
    const counter = counterOf(value, this.#lowest);
    if (!this.#addToSlice(this.#slice, counter, 1)) return;
    this.#recent[counter] = (this.#recent[counter] ?? 0) + 1;
    this.#recentWeight += 1;
  }

  /** (n·recent + 5·usual) / (n + 5), n being the recent observations, halved every two minutes. */
  quantile(quantile: number, nowMs: number): number | undefined {
    this.#advance(nowMs);
    const usual = this.#usual.quantile(quantile, nowMs);
    const n = this.#recentWeight;
    if (n === 0) return usual;
    const recent = valueAt(counterAtQuantile(this.#recent, n, quantile), this.#lowest);
    if (usual === undefined) return recent;
    // One old observation is not to weigh as much as five.
    const prior = Math.min(PRIOR_WEIGHT, this.#usual.weight(nowMs));
    return (n * recent + prior * usual) / (n + prior);
  }

  save(nowMs: number): SavedSketch {
    this.#advance(nowMs);
    const slices = this.#liveSlices().map((slice): [number, SavedCounts] => [slice, sparse(this.#countsOf(slice))]);
    return { ...this.#usual.save(), slices };
  }

  /** Adds what was saved to what is there. */
  restore(saved: SavedSketch, nowMs: number): void {
    this.#advance(nowMs);
    this.#usual.restore(saved, nowMs);
    for (const [slice, counts] of saved.slices) {
      const age = this.#slice - slice;
      eachCount(counts, (counter, count) => {
        if (age >= SLICES) this.#usual.addEarlier(counter, count, slice * SLICE_MS, nowMs);
        // A clock that was set back would otherwise leave slices that never end.
        else if (age >= 0) this.#addToSlice(slice, counter, count);
      });
    }
    this.#sumUp();
  }

  /** False when the counter is full: 2,000 observations a second. */
  #addToSlice(slice: number, counter: number, count: number): boolean {
    const at = (slice % SLICES) * COUNTERS + counter;
    const sum = (this.#ring[at] ?? 0) + count;
    if (sum > SLICE_COUNT_MAX) return false;
    this.#ring[at] = sum;
    this.#sliceCounts[slice % SLICES] = (this.#sliceCounts[slice % SLICES] ?? 0) + count;
    return true;
  }

  #countsOf(slice: number): Uint16Array {
    const start = (slice % SLICES) * COUNTERS;
    return this.#ring.subarray(start, start + COUNTERS);
  }

  #liveSlices(): number[] {
    const slices = Array.from({ length: SLICES }, (_, age) => this.#slice - age);
    return slices.filter((slice) => slice >= 0 && (this.#sliceCounts[slice % SLICES] ?? 0) > 0);
  }

  /** Slices that are over four minutes old become part of the usual, and only then: an incident is not its own prior. */
  #advance(nowMs: number): void {
    const slice = Math.floor(nowMs / SLICE_MS);
    if (slice <= this.#slice) return;
    const oldestLive = slice - SLICES + 1;
    for (const old of this.#liveSlices().filter((live) => live < oldestLive)) {
      const counts = this.#countsOf(old);
      counts.forEach((count, counter) => {
        if (count > 0) this.#usual.addEarlier(counter, count, old * SLICE_MS, nowMs);
      });
      counts.fill(0);
      this.#sliceCounts[old % SLICES] = 0;
    }
    this.#slice = slice;
    if (this.#recentWeight > 0) this.#sumUp();
  }

  #sumUp(): void {
    this.#recent.fill(0);
    this.#recentWeight = 0;
    for (const slice of this.#liveSlices()) {
      const weight = SLICE_DECAY ** (this.#slice - slice);
      const counts = this.#countsOf(slice);
      for (let counter = 0; counter < COUNTERS; counter += 1) {
        this.#recent[counter] = (this.#recent[counter] ?? 0) + (counts[counter] ?? 0) * weight;
      }
      this.#recentWeight += (this.#sliceCounts[slice % SLICES] ?? 0) * weight;
    }
  }
}

/** Most counters are 0: only the others are worth writing, as counter, count, counter, count, … */
function sparse(counts: Uint16Array | Uint32Array): SavedCounts {
  const saved: SavedCounts = [];
  for (let counter = 0; counter < COUNTERS; counter += 1) {
    const count = counts[counter] ?? 0;
    if (count > 0) saved.push(counter, count);
  }
  return saved;
}

function eachCount(saved: SavedCounts, visit: (counter: number, count: number) => void): void {
  for (let at = 0; at + 1 < saved.length; at += 2) {
    const counter = saved[at] ?? COUNTERS;
    if (counter < COUNTERS) visit(counter, saved[at + 1] ?? 0);
  }
}

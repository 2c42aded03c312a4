// A map with a bound: what was touched longest ago makes room.

interface Entry<V> {
  value: V;
  /** How many entries had been put at the end when this one was. */
  putAt: number;
}

/** An entry that is among the newest anyway keeps its place when it is touched: of so many parts of the map the newest. Moving
 *  an entry costs ten times what finding it does. */
const NEWEST_PART = 8;

export class Lru<V> {
  readonly #entriesMax: number;
  /** In order of the last touch, oldest first; the newest eighth in any order. */
  readonly #entries = new Map<string, Entry<V>>();
  #puts = 0;
  /** Stands before the oldest entry: it moves on only to what is then deleted. A fresh iterator would have to walk over
   *  all that was deleted since the map was last rehashed (8 µs instead of 0.3 µs with 50,000 entries). */
  readonly #oldest = this.#entries.keys();
  readonly #onForgotten: ((value: V) => void) | undefined;

  /** `onForgotten` is told of what makes room, not of what is deleted. */
  constructor(entriesMax: number, onForgotten?: (value: V) => void) {
    this.#entriesMax = entriesMax;
    this.#onForgotten = onForgotten;
  }

  /** Without touching: asking about a thing does not keep it. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** The entry, made when it is missing, as one of the newest. */
  touch(key: string, create: () => V): V {
    const found = this.#entries.get(key);
    if (found !== undefined && (this.#puts - found.putAt) * NEWEST_PART < this.#entriesMax) return found.value;
    const value = found === undefined ? create() : found.value;
    if (found !== undefined) this.#entries.delete(key);
    this.#puts += 1;
    this.#entries.set(key, { value, putAt: this.#puts });
    if (this.#entries.size > this.#entriesMax) this.forgetOldest();
    return value;
  }

  /** Makes room before its time, for a bound on something else than the number of entries. False when there is no entry. */
  forgetOldest(): boolean {
    // Past its end the iterator would stay there for good.
    if (this.#entries.size === 0) return false;
    const key = this.#oldest.next().value as string;
    const gone = this.#entries.get(key);
    this.#entries.delete(key);
    if (gone !== undefined) this.#onForgotten?.(gone.value);
    return true;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** The `countMax` newest, oldest first: putting them back in this order restores the order. */
  newest(countMax: number): [string, V][] {
    const newest: [string, V][] = [];
    let skip = this.#entries.size - countMax;
    for (const [key, { value }] of this.#entries) {
      if (skip > 0) skip -= 1;
      else newest.push([key, value]);
    }
    return newest;
  }
}

// Which unit prices this process has journalled already: each set is written once, not with every row.

/** So many are remembered; others are written again. */
const KEYS_MAX = 10_000;
/** Those that no row has used for days are swept from the database: what is used again must be written again. */
const REMEMBERED_MS = 3_600_000;

export class KeptRates {
  readonly #keys = new Set<string>();
  #forgetAtMs = 0;

  /** Whether `key` must be written; from then on it counts as written. */
  isNew(key: string): boolean {
    const nowMs = performance.now();
    if (this.#keys.size >= KEYS_MAX || nowMs > this.#forgetAtMs) {
      this.#keys.clear();
      this.#forgetAtMs = nowMs + REMEMBERED_MS;
    }
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    return true;
  }
}

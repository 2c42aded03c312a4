// Identifiers: random where they must not be guessed, time-sortable where they are keys of the ledger.
import { randomFillSync } from "node:crypto";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/** The largest multiple of the number of letters that a byte can hold. */
const FAIR_MAX = 256 - (256 % LETTERS.length);
const POOL_BYTES = 8_192;

/** Draws ids from a pool of random bytes: one system call serves hundreds of them. */
export class IdSource {
  readonly #pool = Buffer.allocUnsafe(POOL_BYTES);
  #used = POOL_BYTES;

  /** `req_` + 32 hex digits: 48 bits of time in ms, then 80 random bits. Sorts by time. */
  requestId(nowMs: number): string {
    return `req_${nowMs.toString(16).padStart(12, "0")}${this.#random(10).toString("hex")}`;
  }

  /** `prefix` + 24 random characters of [A-Za-z0-9]: legal as a tool-call id at every provider. */
  randomId(prefix: string): string {
    let id = prefix;
    // The slight bias of the modulo does not matter: these ids need to be distinct, not secret.
    for (const byte of this.#random(24)) id += LETTERS[byte % LETTERS.length];
    return id;
  }

  /** Random letters and digits, each as likely as any other: for secrets. */
  randomText(length: number): string {
    let text = "";
    while (text.length < length) {
      for (const byte of this.#random(2 * (length - text.length))) {
        // The last bytes would make some letters likelier than others.
        if (byte < FAIR_MAX && text.length < length) text += LETTERS[byte % LETTERS.length];
      }
    }
    return text;
  }

  #random(length: number): Buffer {
    if (this.#used + length > POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    this.#used += length;
    return this.#pool.subarray(this.#used - length, this.#used);
  }
}

// Identifiers: random where they must not be guessed, time-sortable where they are keys of the ledger.
import { randomBytes } from "node:crypto";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** `req_` + 32 hex digits: 48 bits of time in ms, then 80 random bits. Sorts by time. */
export function requestId(nowMs: number): string {
  return `req_${nowMs.toString(16).padStart(12, "0")}${randomBytes(10).toString("hex")}`;
}

/** `prefix` + 24 random characters of [A-Za-z0-9]: legal as a tool-call id at every provider. */
export function randomId(prefix: string): string {
  let id = prefix;
  // The slight bias of the modulo does not matter: these ids need to be distinct, not secret.
  for (const byte of randomBytes(24)) id += LETTERS[byte % LETTERS.length];
  return id;
}

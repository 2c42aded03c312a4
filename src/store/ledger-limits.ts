// How much the ledger may hold, and how long it may take.

export interface LedgerLimits {
  segmentBytesMax: number;
  /** With this much waiting for SQLite no attempt is opened. Open ones may still settle, in half as much again. */
  journalBytesMax: number;
  /** Lines kept in memory while the journal cannot be written. */
  heldCharsMax: number;
  busyTimeoutMs: number;
  flushTimeoutMs: number;
  closeTimeoutMs: number;
}

export const LIMITS: LedgerLimits = {
  segmentBytesMax: 4 * 1024 * 1024,
  journalBytesMax: 512 * 1024 * 1024,
  heldCharsMax: 16 * 1024 * 1024,
  busyTimeoutMs: 5_000,
  flushTimeoutMs: 30_000,
  closeTimeoutMs: 10_000,
};

// Why a ledger cannot be opened, and what the operator can do about it.
import { isDamage } from "./damage.ts";
import { NewerSchema } from "./migrate.ts";

/** conflict: going on would do harm (another process has the directory, a newer version wrote the file), whatever the
 *  operator's policy says. */
export type RefusalKind = "damaged" | "conflict" | "unusable";

export class LedgerRefused extends Error {
  override readonly name = "LedgerRefused";
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, reason: string) {
    super(reason);
    this.kind = kind;
  }
}

/** In the worker thread. */
export function refusalOf(error: unknown, dir: string): { kind: RefusalKind; reason: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (isDamage(error)) return { kind: "damaged", reason: `the ledger in ${dir} is damaged: ${message}` };
  const kind = error instanceof NewerSchema ? "conflict" : "unusable";
  return { kind, reason: `the ledger in ${dir} cannot be opened: ${message}` };
}

const KEPT = "The journal files (journal-*.log) stay as they are and are replayed by the next start that succeeds.";

/** The error with what to do. */
export function withAdvice(error: unknown, dir: string): Error {
  if (error instanceof LedgerRefused && error.kind === "conflict") return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof LedgerRefused && error.kind === "damaged") {
    return new Error(
      `${message}. Put a backup (made by "signalbox backup") in the place of signalbox.db and remove signalbox.db-wal and ` +
        `-shm; or move all three away to begin an empty ledger. ${KEPT} "on_ledger_failure: continue" would set the ` +
        "damaged file aside and begin an empty one.",
    );
  }
  const reason = error instanceof LedgerRefused ? message : `the ledger in ${dir} cannot be opened: ${message}`;
  return new Error(
    `${reason}. Make the folder writable, with room on its disk, or name another with --data. ${KEPT} ` +
      '"on_ledger_failure: continue" would start without a ledger.',
  );
}

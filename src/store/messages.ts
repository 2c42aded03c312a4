// What the main thread and the ledger's worker thread tell each other. Rows are never in it: they travel by journal.
import type { Checked } from "./housekeeping.ts";
import type { Position } from "./journal.ts";
import type { Retention } from "./prune.ts";
import type { RefusalKind } from "./refusal.ts";

export interface WorkerOptions {
  dir: string;
  busyTimeoutMs: number;
  /** Absent: everything is kept. */
  retention?: Retention | undefined;
  /** A damaged database is set aside and a new one begun. */
  replacesDamaged?: boolean;
}

export interface SavedStatistics {
  name: string;
  updatedAtMs: number;
  /** JSON. */
  text: string;
}

export type ToWorker =
  /** The journal holds rows up to here. Sent again only after the worker has answered with this very position. */
  | { kind: "appended"; upTo: Position }
  /** To be written if that is possible now. Sent again only after `statisticsDone`, or just before `close`. */
  | { kind: "statistics"; statistics: SavedStatistics }
  /** What is due at that time is to be done while no rows wait. Sent again only after `housekept`. */
  | { kind: "housekeep"; nowMs: number }
  /** Nothing follows: drain up to here, remove the journal, close the database, exit. */
  | { kind: "close"; upTo: Position };

export type FromWorker =
  /** The database is open and holds whatever earlier processes left in the journal. New segments start here. */
  | { kind: "ready"; firstSegment: number }
  /** The ledger cannot be opened; `reason` is meant for the operator. */
  | { kind: "refused"; reason: string; why: RefusalKind }
  /** `rows` more rows and `bytes` more bytes of the journal are committed and fsynced: everything up to `upTo` is. */
  | { kind: "committed"; upTo: Position; rows: number; bytes: number }
  /** The last commit failed. The worker goes on trying; the next `committed` ends it. */
  | { kind: "failing"; reason: string }
  /** Written, or given up. */
  | { kind: "statisticsDone" }
  /** All that was due is done, or given up until the next time. */
  | { kind: "housekept"; checked?: Checked }
  | { kind: "log"; message: string };

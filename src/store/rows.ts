// The vocabulary of the ledger: what is said about an attempt when it opens and when it settles, and about a request.
import type { ErrorKind, PriceStatus, Usage } from "../chat.ts";

export interface AttemptKey {
  requestId: string;
  /** 1-based. */
  attempt: number;
}

/** Whose call or request it is: what budgets and reports go by. */
export interface Owner {
  /** Name of the caller's key, "local" when none is configured. */
  key: string;
  /** Stays when the key is renamed; absent for keys that are not in the store. */
  keyId?: string | undefined;
  team?: string | undefined;
  organisation?: string | undefined;
  tags?: readonly string[] | undefined;
}

export interface AttemptOpened extends AttemptKey, Owner {
  openedAtMs: number;
  provider: string;
  model: string;
  /** With whose key, where the provider is called with several: a name such as `claude#2`. */
  account?: string | undefined;
  catalogVersion: string;
  rule: string;
  /** What a budget holds for it, at most; absent where no budget does. */
  reservedNanoUsd?: number | undefined;
}

export type EndReason = "complete" | "truncated" | "cancelled" | "failed";

export interface AttemptSettled extends AttemptKey {
  endedAtMs: number;
  /** From opening the attempt to its first content. */
  firstByteMs: number | undefined;
  usage: Usage | undefined;
  costNanoUsd: number | undefined;
  /** Where the cost is `undefined`: what it will have been at the most, or about. Never counted as cost. */
  estimatedNanoUsd?: number | undefined;
  /** The unit prices it was priced with, by the key of a `rates` row. */
  ratesKey?: string | undefined;
  /** `unmetered`: known to cost nothing, since it was refused or never reached the provider. */
  priceStatus: PriceStatus | "unmetered";
  httpStatus: number | undefined;
  errorKind: ErrorKind | undefined;
  endReason: EndReason;
  upstreamRequestId: string | undefined;
  finishReason: string | undefined;
}

/** Unit prices; every settlement that names `key` comes after. */
export interface RatesUsed {
  /** A hash of `json`. */
  key: string;
  json: string;
}

export interface RequestFinished extends Owner {
  requestId: string;
  receivedAtMs: number;
  endedAtMs: number;
  /** How long it waited for a place at a provider; absent where it did not. */
  queuedMs?: number | undefined;
  /** 16 hex digits: a hash of the request's body. */
  bodyHash?: string | undefined;
  /** What the caller says of itself: its end user, its application, the conversation. */
  user?: string | undefined;
  app?: string | undefined;
  session?: string | undefined;
  endpoint: string;
  modelRequested: string;
  stream: boolean;
  /** HTTP status told to the caller; 499 when it had left. */
  status: number;
  errorKind: ErrorKind | undefined;
  attempts: number;
  /** Rule and pick, short. */
  decision: string;
  snapshotId: string;
  warnings: string[];
  /** Compact JSON of what was weighed, at most 4,000 characters; absent where there was nothing to choose. */
  trace?: string | undefined;
}

export type LedgerRow =
  | ({ kind: "opened" } & AttemptOpened)
  | ({ kind: "rates" } & RatesUsed)
  | ({ kind: "settled" } & AttemptSettled)
  | ({ kind: "finished" } & RequestFinished);

/** `pendingRows` are not in SQLite yet, the oldest for about `lagMs`. `failed` says what is wrong, if anything is. */
export interface LedgerStatus {
  pendingRows: number;
  lagMs?: number;
  failed?: string;
  /** The last day (UTC) whose sums were compared with its rows, and how many differed. */
  checked?: string;
  differences?: number;
}

/** The attempt could not be recorded, so it must not be made. */
export class LedgerUnavailable extends Error {
  override readonly name = "LedgerUnavailable";
}

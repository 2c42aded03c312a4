// The vocabulary of the ledger: what is said about an attempt when it opens and when it settles, and about a request.
import type { ErrorKind, PriceStatus, Usage } from "../chat.ts";

export interface AttemptKey {
  requestId: string;
  /** 1-based. */
  attempt: number;
}

export interface AttemptOpened extends AttemptKey {
  openedAtMs: number;
  provider: string;
  model: string;
  catalogVersion: string;
  /** Whose call it is, as far as reports group by it. */
  key: string;
  team?: string | undefined;
  tags?: readonly string[] | undefined;
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
  /** `unmetered`: known to cost nothing, since it was refused or never reached the provider. */
  priceStatus: PriceStatus | "unmetered";
  httpStatus: number | undefined;
  errorKind: ErrorKind | undefined;
  endReason: EndReason;
  upstreamRequestId: string | undefined;
  finishReason: string | undefined;
}

export interface RequestFinished {
  requestId: string;
  receivedAtMs: number;
  endedAtMs: number;
  /** Name of the caller's key, "local" when none is configured. */
  key: string;
  team?: string | undefined;
  tags?: readonly string[] | undefined;
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
  | ({ kind: "settled" } & AttemptSettled)
  | ({ kind: "finished" } & RequestFinished);

/** The attempt could not be recorded, so it must not be made. */
export class LedgerUnavailable extends Error {
  override readonly name = "LedgerUnavailable";
}

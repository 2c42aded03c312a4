// What the routes of reports are handed: the ledger as they ask it. Shapes only; the store fits them.

/** Why there is no answer; `message` is for whoever asked. */
export interface ReportProblem {
  problem: "busy" | "timeout" | "not_kept" | "failed";
  message: string;
}

type Filters = Partial<
  Record<"key" | "team" | "organisation" | "tag" | "model" | "provider" | "rule", readonly string[] | undefined>
>;

export interface ReportTime {
  fromMs: number;
  toMs?: number | undefined;
}

type Grouping = "model" | "provider" | "key" | "team" | "organisation" | "tag" | "rule" | "day" | "hour";

export interface ReportedSums {
  requests: bigint;
  attempts: bigint;
  failedAttempts: bigint;
  inputTokens: bigint;
  cacheReadTokens: bigint;
  cacheWriteTokens: bigint;
  outputTokens: bigint;
  costNanoUsd: bigint;
  estimatedNanoUsd: bigint;
  unpricedAttempts: bigint;
  unknownAttempts: bigint;
}

export interface ReportedUsage {
  rows: (ReportedSums & { groups: string[] })[];
  /** Rows that were left out for `rowsMax`. */
  moreRows: number;
  totals: ReportedSums;
  /** What was summed; wider than what was asked for where finer sums are no longer kept. */
  range: ReportTime;
}

export interface ReportedRequest {
  request: {
    requestId: string;
    receivedAtMs: number;
    endedAtMs: number;
    callerKey: string;
    keyId: string;
    team: string;
    organisation: string;
    tags: string[];
    endpoint: string;
    modelRequested: string;
    stream: boolean;
    status: number;
    errorKind: string | null;
    decision: string;
    warnings: string[];
    queuedMs: number | null;
    user: string | null;
    app: string | null;
    session: string | null;
  };
  attempts: ReportedAttempt[];
}

export interface ReportedAttempt {
  attempt: number;
  state: string;
  rule: string;
  provider: string;
  model: string;
  openedAtMs: number;
  endedAtMs: number | null;
  firstByteMs: number | null;
  inputTokens: number | null;
  cacheReadTokens: number | null;
  cacheWriteTokens: number | null;
  cacheWrite1hTokens: number | null;
  outputTokens: number | null;
  reasoningTokens: number | null;
  costNanoUsd: number | null;
  estimatedNanoUsd: number | null;
  priceStatus: string | null;
  httpStatus: number | null;
  errorKind: string | null;
  endReason: string | null;
  finishReason: string | null;
  upstreamRequestId: string | null;
  account: string | null;
}

/** None of these blocks the thread that serves, and none rejects. */
export interface Reports {
  usage(
    query: ReportTime & { by: readonly Grouping[]; filters: Filters; timeZone: string; nowMs: number; rowsMax: number },
  ): Promise<ReportedUsage | ReportProblem>;
  requests(
    query: ReportTime & {
      filters: Filters;
      status?: { from: number; to: number } | undefined;
      errorKind?: string | undefined;
      minCostNanoUsd?: number | undefined;
      before?: string | undefined;
      limit: number;
    },
  ): Promise<{ rows: ReportedRequest[]; next?: string } | ReportProblem>;
  /** A finished request; `undefined` where there is none of this id. */
  request(requestId: string): Promise<ReportedRequest | undefined | ReportProblem>;
}

export function isProblem(answer: object | undefined): answer is ReportProblem {
  return answer !== undefined && "problem" in answer;
}

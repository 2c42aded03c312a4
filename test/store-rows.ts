// Example rows of the ledger. Apart from the rest, since the process that gets killed must not need the test runner.
import type { AttemptOpened, AttemptSettled, RequestFinished } from "../src/store/ledger.ts";

/** 2026-03-01T00:00:00Z */
export const DAY_MS = Date.UTC(2026, 2, 1);

export function openedRow(requestId: string, changes: Partial<AttemptOpened> = {}): AttemptOpened {
  const call = { requestId, attempt: 1, openedAtMs: DAY_MS, provider: "acme", model: "acme-1", catalogVersion: "v1" };
  return { ...call, key: "team-a", team: "growth", tags: ["beta"], rule: "chat-default", ...changes };
}

export function settledRow(requestId: string, changes: Partial<AttemptSettled> = {}): AttemptSettled {
  return {
    ...{ requestId, attempt: 1, endedAtMs: DAY_MS + 900, firstByteMs: 250 },
    usage: { inputTokens: 100, cacheReadTokens: 40, outputTokens: 7 },
    ...{ costNanoUsd: 123_457, priceStatus: "exact", httpStatus: 200, errorKind: undefined },
    ...{ endReason: "complete", upstreamRequestId: "up-1", finishReason: "stop" },
    ...changes,
  };
}

export function finishedRow(requestId: string, changes: Partial<RequestFinished> = {}): RequestFinished {
  return {
    ...{ requestId, receivedAtMs: DAY_MS, endedAtMs: DAY_MS + 901, key: "team-a", endpoint: "chat.completions" },
    ...{ modelRequested: "auto", stream: true, status: 200, errorKind: undefined, attempts: 1 },
    ...{ decision: "chat-default: acme/acme-1", snapshotId: "snap-1", warnings: ["dropped:seed"] },
    trace: '{"pick":"cheapest"}',
    ...changes,
  };
}

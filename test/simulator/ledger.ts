// A ledger in memory that finds fault: every attempt must be settled, and only once.
import type { AttemptSettled, Ledger } from "../../src/store/ledger.ts";

export interface AuditedLedger extends Ledger {
  /** The attempts of a request, in order. */
  attemptsOf(requestId: string): readonly Settled[];
  faults(): string[];
  /** Of the attempts whose cost is known. */
  spentNanoUsd(): number;
}

interface Settled {
  tookMs: number;
  row: AttemptSettled;
}

export function createAuditedLedger(): AuditedLedger {
  const open = new Map<string, number>();
  const settled = new Map<string, Settled[]>();
  const finished = new Set<string>();
  const faults: string[] = [];
  let cost = 0;
  return {
    openAttempt: ({ requestId, attempt, openedAtMs }) => {
      const name = `${requestId}/${attempt}`;
      if (open.has(name)) faults.push(`${name} was opened twice`);
      open.set(name, openedAtMs);
    },
    settleAttempt: (row) => {
      const name = `${row.requestId}/${row.attempt}`;
      const openedAtMs = open.get(name);
      if (openedAtMs === undefined) {
        faults.push(`${name} was settled without being open`);
        return;
      }
      open.delete(name);
      cost += row.costNanoUsd ?? 0;
      const attempts = settled.get(row.requestId) ?? [];
      settled.set(row.requestId, attempts);
      attempts.push({ tookMs: row.endedAtMs - openedAtMs, row });
    },
    balances: () => [],
    keepRates() {},
    finishRequest: ({ requestId }) => {
      if (finished.has(requestId)) faults.push(`${requestId} was finished twice`);
      finished.add(requestId);
    },
    attemptsOf: (requestId) => settled.get(requestId) ?? [],
    faults: () => [...faults, ...[...open.keys()].map((name) => `${name} was never settled`)],
    spentNanoUsd: () => cost,
    housekeep: async () => {},
    flush: async () => {},
    saveStatistics() {},
    loadStatistics: () => undefined,
    close: async () => {},
    status: () => ({ pendingRows: 0 }),
  };
}

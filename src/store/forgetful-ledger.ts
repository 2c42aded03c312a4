// What stands in for a ledger that cannot be opened, where the operator wants calls to be made all the same: it keeps
// nothing, and says so.
import { encodeLine } from "./journal.ts";
import type { Ledger, LedgerStatus } from "./ledger.ts";
import {
  type AttemptOpened,
  type AttemptSettled,
  type LedgerRow,
  LedgerUnavailable,
  type RequestFinished,
} from "./rows.ts";

export class ForgetfulLedger implements Ledger {
  readonly #reason: string;
  readonly #log: (message: string) => void;
  #lostRows = 0;

  constructor(reason: string, log: (message: string) => void) {
    this.#reason = reason;
    this.#log = log;
    log(
      `ALARM: ${reason}. "on_ledger_failure: continue" is set, so calls are made and NOTHING IS KEPT of them but in this ` +
        "log, until the router is started again with a ledger that works.",
    );
  }

  openAttempt(row: AttemptOpened): void {
    this.#lose({ kind: "opened", ...row });
  }

  settleAttempt(row: AttemptSettled): void {
    this.#lose({ kind: "settled", ...row });
  }

  finishRequest(row: RequestFinished): void {
    this.#lose({ kind: "finished", ...row });
  }

  keepRates(): void {}

  /** Budgets begin at nothing: what was spent before cannot be read. */
  balances(): [] {
    return [];
  }

  async flush(): Promise<void> {
    throw new LedgerUnavailable(this.#reason);
  }

  saveStatistics(): void {}

  loadStatistics(): undefined {}

  async housekeep(): Promise<void> {}

  async close(): Promise<void> {}

  status(): LedgerStatus {
    return { pendingRows: 0, failed: `${this.#reason}; ${this.#lostRows} rows were lost` };
  }

  #lose(row: LedgerRow): void {
    this.#lostRows += 1;
    this.#log(`a ledger row cannot be kept any more: ${encodeLine(row).trimEnd()}`);
  }
}

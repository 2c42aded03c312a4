// Paces the worker's housekeeping: one short step, then a pause in which rows of the journal are booked.
import { isDamage } from "./damage.ts";
import { type Checked, type Household, housekeeping } from "./housekeeping.ts";
import type { FromWorker } from "./messages.ts";

export class Housekeeper {
  readonly #send: (message: FromWorker) => void;
  #steps: Generator<void, Checked> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (message: FromWorker) => void) {
    this.#send = send;
  }

  start(household: Household, nowMs: number): void {
    this.stop();
    this.#steps = housekeeping(household, nowMs);
    this.#stepAfter(0);
  }

  /** What is not done is due again at the next start; where it got is in the database. */
  stop(): void {
    if (this.#steps === undefined) return;
    clearTimeout(this.#timer);
    this.#steps.return({ day: undefined, differences: 0 });
    this.#steps = undefined;
    this.#send({ kind: "housekept" });
  }

  /** As long as the last step took: at most half of the disk's time is for this. */
  #stepAfter(ms: number): void {
    this.#timer = setTimeout(() => this.#step(), ms);
  }

  #step(): void {
    const steps = this.#steps;
    if (steps === undefined) return;
    const startedAtMs = performance.now();
    try {
      const step = steps.next();
      if (!step.done) this.#stepAfter(performance.now() - startedAtMs);
      else {
        this.#steps = undefined;
        this.#send({ kind: "housekept", checked: step.value });
      }
    } catch (error) {
      this.#steps = undefined;
      const reason = error instanceof Error ? error.message : String(error);
      const alarm = isDamage(error) ? "ALARM: the ledger database is damaged: " : "";
      this.#send({
        kind: "log",
        message: `${alarm}the ledger's housekeeping stopped and is tried again later: ${reason}`,
      });
      this.#send({ kind: "housekept" });
    }
  }
}

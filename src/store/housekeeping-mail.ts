// The main thread's side of the ledger's housekeeping: when it was asked for, and what came of it.
import type { Checked } from "./housekeeping.ts";
import type { ToWorker } from "./messages.ts";
import { dayText } from "./nightly-check.ts";

export class HousekeepingMail {
  readonly #post: (message: ToWorker) => void;
  #running: { promise: Promise<void>; resolve(): void } | undefined;
  #checked: Checked | undefined;

  constructor(post: (message: ToWorker) => void) {
    this.#post = post;
  }

  /** Resolves when the worker is done with it; asking again meanwhile changes nothing. */
  ask(nowMs: number): Promise<void> {
    if (this.#running === undefined) {
      this.#running = Promise.withResolvers<void>();
      this.#post({ kind: "housekeep", nowMs });
    }
    return this.#running.promise;
  }

  /** The worker is done, or gone. */
  done(checked?: Checked): void {
    if (checked !== undefined) this.#checked = checked;
    this.#running?.resolve();
    this.#running = undefined;
  }

  /** The last day whose sums were compared with its rows, e.g. "2026-03-01", and how many differed. */
  status(): { checked?: string; differences?: number } {
    if (this.#checked?.day === undefined) return {};
    return { checked: dayText(this.#checked.day), differences: this.#checked.differences };
  }
}

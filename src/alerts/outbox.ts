// Alerts on their way to one destination: sent one at a time, tried again for about half an hour, then given up aloud.
import type { Alert } from "./alert.ts";

/** What came of one try. */
export type Delivery =
  | { kind: "arrived"; status: number }
  /** `problem` may be shown. `isFinal`: trying again would not help. */
  | { kind: "failed"; problem: string; retryAfterMs?: number | undefined; isFinal?: boolean };

export interface OutboxStatus {
  to: string;
  sent: number;
  /** Given up. */
  failed: number;
  queued: number;
  /** Why the last try failed, until one succeeds. */
  problem?: string;
}

export interface OutboxOptions {
  name: string;
  nowMs(): number;
  /** Calls back after `ms`, once, unless cancelled. */
  schedule(ms: number, callback: () => void): () => void;
  /** Uniform in [0, 1). */
  draw(): number;
  send(alert: Alert): Promise<Delivery>;
  log(message: string): void;
}

const QUEUE_MAX = 100;
const TRIES_MAX = 8;
/** 15 s, 30 s … 16 min at the most, 32 min together; half of that on average. */
const BACKOFF_MS = 15_000;
const BACKOFF_MS_MIN = 1_000;
/** What an endpoint asks for is granted up to this. */
const RETRY_AFTER_MS_MAX = 600_000;

interface Job {
  alert: Alert;
  tries: number;
  dueMs: number;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** In the order they came. One that waits for another try holds up none behind it. */
  #jobs: Job[] = [];
  #isSending = false;
  #isClosing = false;
  #sent = 0;
  #failed = 0;
  #problem: string | undefined;
  #cancelTimer: (() => void) | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  add(alert: Alert): void {
    if (this.#isClosing) this.#giveUp(alert, "the router stops");
    else if (this.#jobs.length >= QUEUE_MAX) this.#giveUp(alert, `${QUEUE_MAX} others wait to be delivered`);
    else {
      this.#jobs.push({ alert, tries: 0, dueMs: this.#options.nowMs() });
      this.#sendNext();
    }
  }

  status(): OutboxStatus {
    const problem = this.#problem === undefined ? {} : { problem: this.#problem };
    return { to: this.#options.name, sent: this.#sent, failed: this.#failed, queued: this.#jobs.length, ...problem };
  }

  /** One last try for each that waits, all within `timeoutMs`; the rest is given up. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    for (const job of this.#jobs) {
      job.tries = TRIES_MAX - 1;
      job.dueMs = this.#options.nowMs();
    }
    if (this.#jobs.length > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#whenEmpty = resolve;
      const cancel = this.#options.schedule(timeoutMs, resolve);
      this.#sendNext();
      await promise;
      cancel();
    }
    this.#cancelTimer?.();
    for (const job of this.#jobs.splice(0)) this.#giveUp(job.alert, "the router stops");
  }

  #sendNext(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#isSending) return;
    const [first, ...others] = this.#jobs;
    if (first === undefined) {
      this.#whenEmpty?.();
      return;
    }
    const next = others.reduce((earliest, job) => (job.dueMs < earliest.dueMs ? job : earliest), first);
    const waitMs = next.dueMs - this.#options.nowMs();
    if (waitMs > 0) this.#cancelTimer = this.#options.schedule(waitMs, () => this.#sendNext());
    else void this.#send(next);
  }

  async #send(job: Job): Promise<void> {
    this.#isSending = true;
    const delivery = await this.#options
      .send(job.alert)
      .catch((error: Error): Delivery => ({ kind: "failed", problem: error.message }));
    this.#isSending = false;
    // Given up in the meantime: the router stops.
    if (!this.#jobs.includes(job)) return;
    if (delivery.kind === "arrived") this.#arrived(job);
    else this.#missed(job, delivery);
    this.#sendNext();
  }

  #arrived(job: Job): void {
    this.#sent += 1;
    this.#problem = undefined;
    this.#remove(job);
  }

  #missed(job: Job, { problem, retryAfterMs = 0, isFinal }: Extract<Delivery, { kind: "failed" }>): void {
    job.tries += 1;
    if (isFinal || job.tries >= TRIES_MAX) {
      this.#remove(job);
      this.#giveUp(job.alert, problem);
    } else {
      const { name, log, nowMs, draw } = this.#options;
      if (this.#problem !== problem) log(`Alerts do not reach ${name}: ${problem}. They are tried again.`);
      const jitterMs = draw() * BACKOFF_MS * 2 ** (job.tries - 1);
      job.dueMs = nowMs() + Math.max(BACKOFF_MS_MIN, jitterMs, Math.min(retryAfterMs, RETRY_AFTER_MS_MAX));
    }
    this.#problem = problem;
  }

  #remove(job: Job): void {
    this.#jobs = this.#jobs.filter((other) => other !== job);
  }

  #giveUp({ id, title }: Alert, why: string): void {
    this.#failed += 1;
    this.#options.log(`The alert ${id} ("${title}") did not reach ${this.#options.name}: ${why}.`);
  }
}

// Watches money, failures and providers, and tells the operator once: decides what is an alert, and hands each to the log
// and to every destination.
import {
  type Alert,
  alertOf,
  type BudgetSpent,
  budgetFinding,
  errorRateFinding,
  type Finding,
  keyRefusedFinding,
  outOfMoneyFinding,
  spendRateFinding,
  unpricedFinding,
} from "./alerts/alert.ts";
import { type Delivery, Outbox, type OutboxStatus } from "./alerts/outbox.ts";
import { RequestCounts, SpendHistory } from "./alerts/rates.ts";
import type { ErrorKind, JsonObject } from "./chat.ts";
import type { AlertDestination, AlertSettings } from "./config/alert-settings.ts";
import { isObject } from "./json.ts";
import { Lru } from "./lru.ts";
import type { AttemptSettled, RequestFinished } from "./store/rows.ts";

/** The inputs are cheap, return at once and never throw. */
export interface Alerts {
  /** After every change of what is spent of a budget. */
  onBudget(spent: BudgetSpent): void;
  onAttempt(ended: AttemptEnded): void;
  /** For requests that say something about the router: see `outcomeOf`. */
  onRequest(ended: { ok: boolean; atMs: number }): void;
  /** The log first. */
  status(): OutboxStatus[];
  /** What a later process must know in order not to send the same again, and what is usually spent. */
  export(): JsonObject;
  /** Takes what `export` gave, unchecked; ignores what it cannot use. */
  restore(saved: unknown): void;
  /** Delivers what waits, within a bound. */
  close(): Promise<void>;
}

export interface AttemptEnded {
  provider: string;
  model: string;
  /** With which of several keys of the provider, by its name. */
  account?: string | undefined;
  /** `undefined`: not known. */
  costNanoUsd: number | undefined;
  priceStatus: AttemptSettled["priceStatus"];
  /** The provider told what was used. */
  hasUsage: boolean;
  errorKind: ErrorKind | undefined;
  atMs: number;
}

export interface AlertsOptions {
  settings: AlertSettings;
  nowMs(): number;
  /** Calls back after `ms`, once, unless cancelled. */
  schedule(ms: number, callback: () => void): () => void;
  deliver(destination: AlertDestination, alert: Alert): Promise<Delivery>;
  /** Also the destination that is always there. */
  log(message: string): void;
  /** Uniform in [0, 1). */
  draw(): number;
  newId(prefix: string): string;
}

export function createAlerts(options: AlertsOptions): Alerts {
  return new Watch(options);
}

/** Whether a finished request counts as a failure; `undefined` when it says nothing: the caller left, or was mistaken. */
export function outcomeOf({ status, errorKind, attempts }: RequestFinished): boolean | undefined {
  if (errorKind === "cancelled" || status === 499) return undefined;
  if (status >= 500) return false;
  // A 429 that no provider gave is a limit the operator has set for the caller.
  if (status === 429) return attempts > 0 ? false : undefined;
  if (status >= 400) return undefined;
  // A stream has told 200 before it broke.
  return errorKind === undefined;
}

/** How an alert looks in the log. */
export function logLine({ id, type, severity, title, text }: Alert): string {
  return `ALERT ${severity} ${type}: ${title}. ${text} (${id})`;
}

const KNOWN_MAX = 10_000;
const SAVED_MAX = 2_000;
const REQUESTS_MIN = 20;
const CLOSE_MS = 5_000;
const HOUR_MS = 3_600_000;
const UNPRICED_PER_HOUR_MAX = 20;

class Watch implements Alerts {
  readonly #options: AlertsOptions;
  readonly #outboxes: Outbox[];
  #logged = 0;
  /** When an alert was last sent, by what it is about. */
  readonly #sent = new Lru<{ atMs: number }>(KNOWN_MAX);
  /** The highest threshold that was told, by budget and window. */
  readonly #budgets = new Lru<{ percent: number }>(KNOWN_MAX);
  readonly #requests = new RequestCounts();
  readonly #spend = new SpendHistory();
  #unpriced = { hour: 0, count: 0 };

  constructor(options: AlertsOptions) {
    this.#options = options;
    const { nowMs, schedule, draw, log, deliver } = options;
    this.#outboxes = options.settings.destinations.map((destination) => {
      const send = (alert: Alert) => deliver(destination, alert);
      return new Outbox({ name: destination.name, nowMs, schedule, draw, send, log });
    });
  }

  onBudget(spent: BudgetSpent): void {
    const { scope, name, window, windowStartMs, spentNanoUsd, limitNanoUsd } = spent;
    if (spentNanoUsd <= 0) return;
    const spentOf = BigInt(spentNanoUsd) * 10_000n;
    const limit = BigInt(limitNanoUsd);
    const { budgetPercents } = this.#options.settings;
    const passed = budgetPercents.findLast((percent) => spentOf >= limit * BigInt(Math.round(percent * 100)));
    if (passed === undefined) return;
    // A budget that was changed is another budget.
    const known = this.#budgets.touch(JSON.stringify([scope, name, window, windowStartMs, limitNanoUsd]), () => ({
      percent: 0,
    }));
    if (known.percent >= passed) return;
    known.percent = passed;
    this.#send(budgetFinding(spent, passed));
  }

  onAttempt(ended: AttemptEnded): void {
    const { provider, model, account, errorKind, priceStatus, hasUsage, costNanoUsd } = ended;
    const whose = account === undefined ? provider : `${provider} ${account}`;
    if (errorKind === "quota") this.#sendOnce(`quota ${whose}`, () => outOfMoneyFinding(ended));
    if (errorKind === "auth") this.#sendOnce(`auth ${whose}`, () => keyRefusedFinding(ended));
    // A call that broke off before its usage was told says nothing about the model.
    if (priceStatus === "unknown" && (hasUsage || errorKind === undefined)) {
      const reason = hasUsage ? "no_price" : "no_usage";
      const key = `${reason} ${provider}/${model}`;
      if (!this.#wasSent(key) && this.#hasRoomForUnpriced())
        this.#sendOnce(key, () => unpricedFinding(provider, model, reason));
    }
    if (costNanoUsd !== undefined && costNanoUsd > 0) this.#spent(costNanoUsd, ended.atMs);
  }

  onRequest({ ok, atMs }: { ok: boolean; atMs: number }): void {
    const { errorRate } = this.#options.settings;
    if (errorRate === undefined) return;
    this.#requests.count(ok, atMs);
    if (ok) return;
    const sums = this.#requests.sums(atMs);
    if (sums.requests < REQUESTS_MIN || sums.failed < errorRate * sums.requests) return;
    this.#sendOnce("error_rate", () => errorRateFinding(sums, errorRate));
  }

  status(): OutboxStatus[] {
    const log: OutboxStatus = { to: "log", sent: this.#logged, failed: 0, queued: 0 };
    return [log, ...this.#outboxes.map((outbox) => outbox.status())];
  }

  export(): JsonObject {
    const oldestMs = this.#options.nowMs() - this.#options.settings.repeatAfterMs;
    const sent = this.#sent.newest(SAVED_MAX).map(([key, { atMs }]): [string, number] => [key, atMs]);
    const budgets = this.#budgets.newest(SAVED_MAX).map(([key, { percent }]) => [key, percent]);
    return { sent: sent.filter(([, atMs]) => atMs > oldestMs), budgets, spend: this.#spend.export() };
  }

  restore(saved: unknown): void {
    if (!isObject(saved)) return;
    const nowMs = this.#options.nowMs();
    // A clock that was set back must not silence anything for long.
    for (const [key, at] of numbersByKey(saved.sent)) this.#sent.touch(key, () => ({ atMs: Math.min(at, nowMs) }));
    for (const [key, percent] of numbersByKey(saved.budgets)) this.#budgets.touch(key, () => ({ percent }));
    this.#spend.restore(saved.spend, nowMs);
  }

  async close(): Promise<void> {
    await Promise.all(this.#outboxes.map((outbox) => outbox.close(CLOSE_MS)));
  }

  #spent(nanoUsd: number, atMs: number): void {
    this.#spend.add(nanoUsd, atMs);
    const { spendRateFactor } = this.#options.settings;
    const excess = spendRateFactor === undefined ? undefined : this.#spend.excess(spendRateFactor);
    if (excess !== undefined && spendRateFactor !== undefined)
      this.#sendOnce("spend_rate", () => spendRateFinding(excess, spendRateFactor));
  }

  /** Callers choose the names of models, and some endpoints take any. */
  #hasRoomForUnpriced(): boolean {
    const hour = Math.floor(this.#options.nowMs() / HOUR_MS);
    if (this.#unpriced.hour !== hour) this.#unpriced = { hour, count: 0 };
    this.#unpriced.count += 1;
    return this.#unpriced.count <= UNPRICED_PER_HOUR_MAX;
  }

  #wasSent(key: string): boolean {
    const last = this.#sent.peek(key);
    return last !== undefined && this.#options.nowMs() - last.atMs < this.#options.settings.repeatAfterMs;
  }

  /** `key`: what it is about; the same is not sent again for a while. */
  #sendOnce(key: string, find: () => Finding): void {
    if (this.#wasSent(key)) return;
    const nowMs = this.#options.nowMs();
    this.#sent.touch(key, () => ({ atMs: nowMs })).atMs = nowMs;
    this.#send(find());
  }

  #send(finding: Finding): void {
    const { newId, nowMs, log } = this.#options;
    const alert = alertOf(finding, newId("alert_"), nowMs());
    log(logLine(alert));
    this.#logged += 1;
    for (const outbox of this.#outboxes) outbox.add(alert);
  }
}

/** The pairs of name and number in a saved list. */
function numbersByKey(saved: unknown): [string, number][] {
  const pairs: unknown[] = Array.isArray(saved) ? saved.slice(0, SAVED_MAX) : [];
  return pairs.filter((pair): pair is [string, number] => {
    return Array.isArray(pair) && typeof pair[0] === "string" && Number.isFinite(pair[1]);
  });
}

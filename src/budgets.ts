// Money that may be spent: checked and set aside before a call, in one synchronous step, and settled after it.
import type { BudgetSpec, BudgetWindow } from "./budget-spec.ts";

export const BUDGET_SCOPES = ["key", "team", "organisation", "provider", "everything"] as const;
export type BudgetScope = (typeof BUDGET_SCOPES)[number];

/** A budget of signalbox.yaml. */
export interface BudgetSettings {
  scope: BudgetScope;
  /** `*`: each of them has it. "" for `everything`. */
  name: string;
  spec: BudgetSpec;
}

/** Whose call it is, for money. */
export interface Payer {
  /** Name of the key, and what it is counted under: the same under another name. */
  key: string;
  keyId?: string | undefined;
  team?: string | undefined;
  organisation?: string | undefined;
  /** The key's own. */
  budgets?: readonly BudgetSpec[] | undefined;
  /** Calls whose price nobody knows are let through although they cannot be held to a hard budget. */
  allowUnpriced?: boolean | undefined;
}

/** Integer nanodollars. */
export interface Spend {
  hour: number;
  day: number;
  week: number;
  month: number;
  total: number;
}

/** What was spent before the process started. */
export interface Balance extends Spend {
  key: string;
  keyId: string;
  team: string;
  organisation: string;
  provider: string;
}

export interface Ask {
  payer: Payer;
  provider: string;
  /** The most the call can cost; `undefined` where there is no price, or nothing bounds the answer. */
  upperNanoUsd: number | undefined;
  /** About what it will cost. */
  likelyNanoUsd: number | undefined;
}

/** Money set aside for one call; settled exactly once. */
export interface Hold {
  /** What a hard budget holds for it: the most it can cost. `undefined` where none does. */
  reservedNanoUsd: number | undefined;
  settle(spentNanoUsd: number): void;
}

export interface BudgetRefusal {
  scope: BudgetScope;
  name: string;
  spec: BudgetSpec;
  /** `in_flight_budget_exhausted`: it would fit if calls under way cost less than is set aside for them. */
  code: "in_flight_budget_exhausted" | "budget_exceeded" | "request_exceeds_budget" | "unpriced";
  spentNanoUsd: number;
  reservedNanoUsd: number;
  neededNanoUsd: number | undefined;
  /** When the window ends; `undefined` for total budgets. */
  resetsAtMs: number | undefined;
}

export interface BudgetStatus {
  scope: BudgetScope;
  name: string;
  window: BudgetWindow;
  hard: boolean;
  limit_nano_usd: number;
  spent_nano_usd: number;
  reserved_nano_usd: number;
}

/** What a budget has come to; told after every settlement. */
export interface BudgetEvent {
  scope: BudgetScope;
  name: string;
  spec: BudgetSpec;
  windowStartMs: number;
  spentNanoUsd: number;
}

export interface Budgets {
  /** All or nothing, without an `await` between check and reservation: no two calls can take the same money. */
  reserve(ask: Ask): Hold | BudgetRefusal;
  /** A budget of the payer's that is spent already; saves a caller from waiting for a call that cannot be paid. */
  exhausted(payer: Payer): BudgetRefusal | undefined;
  /** The most a call may cost now; `undefined` without a hard budget. */
  headroomNanoUsd(payer: Payer, provider: string): number | undefined;
  /** The least that is left in any budget of the payer's, what is set aside taken off; `undefined` without a budget. */
  remainingNanoUsd(payer: Payer): number | undefined;
  spentOf(payer: Payer): Spend;
  /** The budgets of the key itself: its own, and those of the configuration. */
  budgetsOf(payer: Payer): readonly BudgetSpec[];
  /** Budgets of the configuration that something was counted under, at most 1,000. */
  status(): BudgetStatus[];
}

export interface BudgetOptions {
  nowMs(): number;
  settings: readonly BudgetSettings[];
  balances: readonly Balance[];
  onSpent?(event: BudgetEvent): void;
  /** Whether there is a key of this id, revoked or not. */
  hasKey(keyId: string): boolean;
  log(message: string): void;
}

const WINDOWS = ["hour", "day", "week", "month", "total"] as const satisfies BudgetWindow[];

interface Window {
  startMs: number;
  endMs: number;
  spent: number;
  /** Σ of what calls under way can cost at the most, and will cost about. */
  upper: number;
  likely: number;
}

interface Account {
  scope: BudgetScope;
  /** The same as its name, but for keys that have one. */
  id: string;
  name: string;
  windows: Partial<Record<BudgetWindow, Window>>;
  /** Of the configuration. */
  specs: BudgetSpec[];
}

export function createBudgets(options: BudgetOptions): Budgets {
  return new Purse(options);
}

const STATUS_MAX = 1_000;
/** Fewer (a kilobyte each) are not worth looking through. */
const ACCOUNTS_FEW = 10_000;

class Purse implements Budgets {
  readonly #options: BudgetOptions;
  /** By scope and id; callers cannot choose any part of it. Keys that are gone are forgotten, teams and organisations are not:
   *  the operator may give them another key, and what they have spent would be theirs again. */
  readonly #accounts = new Map<string, Account>();
  #lookThroughAt = ACCOUNTS_FEW;

  constructor(options: BudgetOptions) {
    this.#options = options;
    const nowMs = options.nowMs();
    for (const { hour, day, week, month, total, provider, ...payer } of options.balances) {
      const spent: Spend = { hour, day, week, month, total };
      for (const account of this.#accountsOf(payer, provider)) {
        for (const name of WINDOWS) this.#window(account, name, nowMs).spent += spent[name];
      }
    }
  }

  reserve({ payer, provider, upperNanoUsd, likelyNanoUsd }: Ask): Hold | BudgetRefusal {
    const nowMs = this.#options.nowMs();
    const accounts = this.#accountsOf(payer, provider);
    let isHard = false;
    for (const account of accounts) {
      for (const spec of specsOf(account, payer)) {
        const needed = spec.isHard ? upperNanoUsd : (likelyNanoUsd ?? upperNanoUsd);
        const refusal = this.#refusal(account, spec, needed, payer.allowUnpriced === true, nowMs);
        if (refusal !== undefined) return refusal;
        isHard ||= spec.isHard;
      }
    }
    const upper = upperNanoUsd ?? 0;
    const likely = likelyNanoUsd ?? upper;
    // The windows of now: what is settled after one has ended belongs to it all the same, as in the ledger.
    const windows = accounts.flatMap((account) => WINDOWS.map((name) => this.#window(account, name, nowMs)));
    for (const window of windows) {
      window.upper += upper;
      window.likely += likely;
    }
    let isSettled = false;
    const settle = (spentNanoUsd: number) => {
      if (isSettled) throw new Error("money was settled twice for one call");
      isSettled = true;
      for (const window of windows) {
        window.upper -= upper;
        window.likely -= likely;
        window.spent += spentNanoUsd;
      }
      if (isHard && spentNanoUsd > upper && upperNanoUsd !== undefined)
        this.#logOverrun(payer, provider, spentNanoUsd - upper);
      if (spentNanoUsd > 0) this.#tell(accounts, payer);
    };
    return { reservedNanoUsd: isHard ? upperNanoUsd : undefined, settle };
  }

  exhausted(payer: Payer): BudgetRefusal | undefined {
    const nowMs = this.#options.nowMs();
    for (const account of this.#accountsOf(payer, undefined)) {
      for (const spec of specsOf(account, payer)) {
        const { spent } = this.#window(account, spec.window, nowMs);
        if (spent >= spec.limitNanoUsd) return this.#refuse(account, spec, "budget_exceeded", 0, nowMs);
      }
    }
    return undefined;
  }

  headroomNanoUsd(payer: Payer, provider: string): number | undefined {
    return this.#least(this.#accountsOf(payer, provider), payer, (spec) => spec.isHard);
  }

  remainingNanoUsd(payer: Payer): number | undefined {
    return this.#least(this.#accountsOf(payer, undefined), payer, () => true);
  }

  spentOf(payer: Payer): Spend {
    const nowMs = this.#options.nowMs();
    const account = this.#account("key", payer.keyId || payer.key, payer.key);
    const of = (window: BudgetWindow) => this.#window(account, window, nowMs).spent;
    return { hour: of("hour"), day: of("day"), week: of("week"), month: of("month"), total: of("total") };
  }

  budgetsOf(payer: Payer): readonly BudgetSpec[] {
    return specsOf(this.#account("key", payer.keyId || payer.key, payer.key), payer);
  }

  status(): BudgetStatus[] {
    const nowMs = this.#options.nowMs();
    const all: BudgetStatus[] = [];
    for (const account of this.#accounts.values()) {
      for (const spec of account.specs) {
        if (all.length >= STATUS_MAX) return all;
        const { spent, upper, likely } = this.#window(account, spec.window, nowMs);
        all.push({
          ...{ scope: account.scope, name: account.name, window: spec.window, hard: spec.isHard },
          limit_nano_usd: spec.limitNanoUsd,
          spent_nano_usd: spent,
          reserved_nano_usd: spec.isHard ? upper : likely,
        });
      }
    }
    return all;
  }

  #least(accounts: Account[], payer: Payer, counts: (spec: BudgetSpec) => boolean): number | undefined {
    const nowMs = this.#options.nowMs();
    let least: number | undefined;
    for (const account of accounts) {
      for (const spec of specsOf(account, payer)) {
        if (!counts(spec)) continue;
        const { spent, upper, likely } = this.#window(account, spec.window, nowMs);
        const left = Math.max(0, spec.limitNanoUsd - spent - (spec.isHard ? upper : likely));
        least = Math.min(least ?? left, left);
      }
    }
    return least;
  }

  #refusal(
    account: Account,
    spec: BudgetSpec,
    needed: number | undefined,
    allowUnpriced: boolean,
    nowMs: number,
  ): BudgetRefusal | undefined {
    if (needed === undefined && spec.isHard && !allowUnpriced) {
      return this.#refuse(account, spec, "unpriced", undefined, nowMs);
    }
    const { spent, upper, likely } = this.#window(account, spec.window, nowMs);
    const need = needed ?? 0;
    if (spent < spec.limitNanoUsd && spent + (spec.isHard ? upper : likely) + need <= spec.limitNanoUsd)
      return undefined;
    if (need > spec.limitNanoUsd) return this.#refuse(account, spec, "request_exceeds_budget", need, nowMs);
    const isInFlight = spent + need <= spec.limitNanoUsd && spent < spec.limitNanoUsd;
    return this.#refuse(account, spec, isInFlight ? "in_flight_budget_exhausted" : "budget_exceeded", need, nowMs);
  }

  #refuse(
    account: Account,
    spec: BudgetSpec,
    code: BudgetRefusal["code"],
    neededNanoUsd: number | undefined,
    nowMs: number,
  ): BudgetRefusal {
    const { spent, upper, likely, endMs } = this.#window(account, spec.window, nowMs);
    const { scope, name } = account;
    const resetsAtMs = Number.isFinite(endMs) ? endMs : undefined;
    const reservedNanoUsd = spec.isHard ? upper : likely;
    return { scope, name, spec, code, spentNanoUsd: spent, reservedNanoUsd, neededNanoUsd, resetsAtMs };
  }

  #logOverrun(payer: Payer, provider: string, overNanoUsd: number): void {
    const { log } = this.#options;
    log(`a call to ${provider} by key "${payer.key}" cost ${overNanoUsd} nanodollars more than was set aside for it`);
  }

  #tell(accounts: Account[], payer: Payer): void {
    const { onSpent, nowMs } = this.#options;
    if (onSpent === undefined) return;
    const now = nowMs();
    for (const account of accounts) {
      for (const spec of specsOf(account, payer)) {
        const { startMs, spent } = this.#window(account, spec.window, now);
        onSpent({ scope: account.scope, name: account.name, spec, windowStartMs: startMs, spentNanoUsd: spent });
      }
    }
  }

  #accountsOf(payer: Payer, provider: string | undefined): Account[] {
    const accounts = [this.#account("key", payer.keyId || payer.key, payer.key), this.#account("everything", "", "")];
    if (payer.team) accounts.push(this.#account("team", payer.team, payer.team));
    if (payer.organisation) accounts.push(this.#account("organisation", payer.organisation, payer.organisation));
    if (provider !== undefined) accounts.push(this.#account("provider", provider, provider));
    return accounts;
  }

  #account(scope: BudgetScope, id: string, name: string): Account {
    const key = `${scope}/${id}`;
    let account = this.#accounts.get(key);
    if (account === undefined) {
      if (this.#accounts.size >= this.#lookThroughAt) this.#forgetGoneKeys();
      const isMeant = (settings: BudgetSettings) =>
        settings.scope === scope && (settings.name === "*" || settings.name === name);
      const specs = this.#options.settings.filter(isMeant).map(({ spec }) => spec);
      account = { scope, id, name, windows: {}, specs };
      this.#accounts.set(key, account);
    }
    return account;
  }

  /** Nobody can call with them any more; calls under way hold the windows they are settled in. Each time there are twice as
   *  many as were left, so that it costs nothing worth mentioning. */
  #forgetGoneKeys(): void {
    const { hasKey } = this.#options;
    for (const [key, { scope, id, name }] of this.#accounts)
      if (scope === "key" && id !== name && !hasKey(id)) this.#accounts.delete(key);
    this.#lookThroughAt = Math.max(ACCOUNTS_FEW, 2 * this.#accounts.size);
  }

  #window(account: Account, name: BudgetWindow, nowMs: number): Window {
    const window = account.windows[name];
    if (window !== undefined && nowMs < window.endMs) return window;
    const fresh = { ...boundsOf(name, nowMs), spent: 0, upper: 0, likely: 0 };
    account.windows[name] = fresh;
    return fresh;
  }
}

function specsOf(account: Account, payer: Payer): readonly BudgetSpec[] {
  const own = account.scope === "key" ? payer.budgets : undefined;
  if (own === undefined || own.length === 0) return account.specs;
  return account.specs.length === 0 ? own : [...account.specs, ...own];
}

/** Where the calendar windows of now begin, for the balances of the start. */
export function windowStarts(nowMs: number) {
  const of = (window: BudgetWindow) => boundsOf(window, nowMs).startMs;
  return { hour: of("hour"), day: of("day"), week: of("week"), month: of("month") };
}

/** The calendar window that holds `nowMs`, in UTC. */
export function boundsOf(window: BudgetWindow, nowMs: number): { startMs: number; endMs: number } {
  if (window === "total") return { startMs: 0, endMs: Number.POSITIVE_INFINITY };
  const HOUR_MS = 3_600_000;
  const DAY_MS = 24 * HOUR_MS;
  const date = new Date(nowMs);
  if (window === "month") {
    const startMs = Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
    return { startMs, endMs: Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1) };
  }
  const sizeMs = window === "hour" ? HOUR_MS : window === "day" ? DAY_MS : 7 * DAY_MS;
  // 1970 began on a Thursday.
  const shiftMs = window === "week" ? 3 * DAY_MS : 0;
  const startMs = Math.floor((nowMs + shiftMs) / sizeMs) * sizeMs - shiftMs;
  return { startMs, endMs: startMs + sizeMs };
}

import { setTimeout as delay } from "node:timers/promises";
import { createDeliverer } from "./alerts/deliver.ts";
import { type Alerts, createAlerts, outcomeOf } from "./alerts.ts";
import { type Budgets, createBudgets, windowStarts } from "./budgets.ts";
import { type Callers, startCallers } from "./callers.ts";
import type { Config } from "./config.ts";
import { createDownloader } from "./download.ts";
import type { Settled } from "./gateway/attempt.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { createHealth, type Health as TargetHealth } from "./health.ts";
import type { Health } from "./http/app.ts";
import { IdSource } from "./ids.ts";
import { createLearning, kindOf, type Learning } from "./learning.ts";
import { createLimits, type Limits } from "./limits.ts";
import type { LiveRules, RulesStatus } from "./live-rules/watch.ts";
import { createMemory } from "./memory.ts";
import { rateKeys } from "./pricing.ts";
import { createRetryBudget } from "./retry-budget.ts";
import { globMatcher } from "./routing/glob.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import { VERSION } from "./settings.ts";
import type { Ledger } from "./store/ledger.ts";
import { createReportReader, type ReportReader } from "./store/report-reader.ts";
import { createUpstream, type Upstream } from "./upstream.ts";

export interface PartsOptions {
  config: Config;
  rules: LiveRules<Snapshot>;
  ledger: Ledger;
  log(message: string): void;
}

export interface Parts {
  upstream: Upstream;
  ledger: Ledger;
  rules: LiveRules<Snapshot>;
  learning: Learning;
  ids: IdSource;
  traffic: Traffic;
  budgets: Budgets;
  callers: Callers;
  alerts: Alerts & { end(): Promise<void> };
  reports: ReportReader;
  gateway: Gateway;
}

/** Everything over an open ledger and rules in force. Throws when callers' keys cannot be read. */
export function startParts({ config, rules, ledger, log }: PartsOptions): Parts {
  const ids = new IdSource();
  const alerts = startAlerts(config, ledger, log);
  const callers = startCallers({ config, ids, nowMs: Date.now, log });
  const parts = {
    ...{ ledger, rules, ids, alerts, callers },
    upstream: createUpstream(),
    learning: startLearning(rules, ledger, log),
    traffic: startTraffic(config, ledger, log),
    budgets: startBudgets({ config, ledger, alerts, callers, log }),
    reports: startReports(config.dataDir, ledger),
  };
  return { ...parts, gateway: startGateway(parts) };
}

/** What was learnt is saved, what is to be told is told, the ledger is flushed. */
export async function closeParts({
  learning,
  traffic,
  alerts,
  upstream,
  callers,
  reports,
  ledger,
}: Parts): Promise<void> {
  learning.saveAll();
  traffic.save();
  await alerts.end();
  await upstream.close();
  callers.close();
  await Promise.all([reports.close(), ledger.close()]);
}

/** Now and then: saves a part of what was learnt, lets the ledger clean up. */
export function keepHouse({ learning, traffic, alerts, ledger }: Parts): void {
  learning.saveNext();
  traffic.save();
  ledger.saveStatistics("alerts", alerts.export());
  void ledger.housekeep(Date.now());
}

function startGateway({
  upstream,
  ledger,
  rules,
  learning,
  ids,
  traffic,
  budgets,
  alerts,
}: Omit<Parts, "gateway">): Gateway {
  return createGateway({
    upstream,
    ledger: {
      openAttempt: (row) => ledger.openAttempt(row),
      settleAttempt: (row) => ledger.settleAttempt(row),
      keepRates: (key, json) => ledger.keepRates(key, json),
      finishRequest: (row) => {
        ledger.finishRequest(row);
        const ok = outcomeOf(row);
        if (ok !== undefined) alerts.onRequest({ ok, atMs: row.endedAtMs });
      },
    },
    snapshot: () => rules.current(),
    nowMs: Date.now,
    newId: (prefix) => ids.randomId(prefix),
    memory: createMemory(Date.now),
    fleet: learning.fleet,
    limits: traffic.limits,
    health: traffic.health,
    retryBudget: createRetryBudget({ nowMs: Date.now }),
    budgets,
    rateKey: rateKeys(),
    inputMargin: () => learning.inputMargin(),
    inputTokens: (request, caller) => learning.inputTokens(request, caller),
    observe: (settled) => {
      learning.observe(settled);
      tellAttempt(alerts, settled);
    },
    download: createDownloader(),
    draw: Math.random,
    sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
  });
}

/** Whoever asks for the request that has just been answered finds it: rows reach the database up to a tenth of a second later. */
function startReports(dir: string, ledger: Ledger): ReportReader {
  const reader = createReportReader({ dir });
  return {
    usage: (query) => reader.usage(query),
    requests: (query) => reader.requests(query),
    request: async (id) => {
      const { pendingRows, failed } = ledger.status();
      if (pendingRows > 0 && failed === undefined) await ledger.flush().catch(() => {});
      return reader.request(id);
    },
    close: () => reader.close(),
  };
}

type BudgetParts = Pick<PartsOptions, "config" | "ledger" | "log"> & { alerts: Alerts; callers: Callers };

function startBudgets({ config, ledger, alerts, callers, log }: BudgetParts): Budgets {
  return createBudgets({
    nowMs: Date.now,
    settings: config.budgets,
    balances: ledger.balances(windowStarts(Date.now())),
    onSpent: ({ spec, ...event }) =>
      alerts.onBudget({ ...event, window: spec.window, limitNanoUsd: spec.limitNanoUsd }),
    hasKey: callers.hasKey,
    log,
  });
}

/** What keeps calls away from limits and outages, and what of it outlives the process. */
export interface Traffic {
  limits: Limits;
  health: TargetHealth;
  save(): void;
  forgetOutages(): void;
}

function startTraffic(config: Config, ledger: Ledger, log: (message: string) => void): Traffic {
  const limits = createLimits({
    nowMs: Date.now,
    schedule,
    draw: Math.random,
    pools: config.pools.map((pool) => ({ ...pool, matches: globMatcher(pool.targets) })),
  });
  const health = createHealth({ nowMs: Date.now, draw: Math.random });
  limits.restore(ledger.loadStatistics("limits"));
  const saved = ledger.loadStatistics("health");
  const problem = saved === undefined ? undefined : health.restore(saved);
  if (problem !== undefined) log(`What was saved about breakers is not used: ${problem}`);
  const save = () => {
    ledger.saveStatistics("limits", limits.export());
    ledger.saveStatistics("health", health.export());
  };
  const forgetOutages = () => {
    limits.reset();
    health.reset();
  };
  return { limits, health, save, forgetOutages };
}

/** Calls back after `ms`, unless the function it returns is called before. */
function schedule(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

/** What tells the operator, and what was told already, which outlives the process. */
function startAlerts({ alerts: settings }: Config, ledger: Ledger, log: (message: string) => void) {
  const { deliver, close } = createDeliverer(Date.now);
  const ids = new IdSource();
  const newId = (prefix: string) => ids.randomId(prefix);
  const alerts = createAlerts({ settings, nowMs: Date.now, schedule, deliver, log, draw: Math.random, newId });
  alerts.restore(ledger.loadStatistics("alerts"));
  const end = async () => {
    await alerts.close();
    ledger.saveStatistics("alerts", alerts.export());
    await close();
  };
  return Object.assign(alerts, { end });
}

function tellAttempt(alerts: Alerts, { input, usage, error, costNanoUsd, priceStatus }: Settled): void {
  const { provider, model } = input.target;
  const account = input.lease.account?.name;
  const ended = { provider: provider.id, model, account, costNanoUsd, priceStatus, atMs: Date.now() };
  // A tier without an allowance, and an aggregator that asks to come back, are not out of money.
  const isPassing = error?.subkind === "no_allowance" || error?.subkind === "transient";
  const errorKind = isPassing ? undefined : error?.kind;
  alerts.onAttempt({ ...ended, hasUsage: usage?.outputTokens !== undefined, errorKind });
}

function startLearning(rules: LiveRules<Snapshot>, ledger: Ledger, log: (message: string) => void): Learning {
  return createLearning({
    nowMs: Date.now,
    shelf: ledger,
    kindOf: (target) => kindOf(rules.current(), target),
    log,
  });
}

export function healthOf(
  { onLedgerFailure }: Config,
  isDraining: boolean,
  { rules, ledger, learning, traffic, budgets, callers, alerts }: Parts,
): Health {
  const status = ledger.status();
  const tokenError = learning.tokenError();
  const snapshot = rules.current();
  return {
    live: true,
    ready: !isDraining && (status.failed === undefined || onLedgerFailure === "continue"),
    details: {
      ...(!isDraining && status.failed !== undefined && onLedgerFailure === "continue" && { status: "degraded" }),
      version: VERSION,
      draining: isDraining,
      snapshot: snapshot.id,
      catalog: snapshot.catalogVersion,
      // Mean |predicted - billed| / billed of the last prompts; null before the first.
      token_estimate_error: tokenError === undefined ? null : Number(tokenError.toFixed(4)),
      rules: rulesHealth(snapshot, rules.status()),
      ledger: status,
      keys: callers.status(),
      limits: traffic.limits.status(),
      breakers: traffic.health.status(),
      budgets: budgets.status(),
      alerts: alerts.status(),
    },
  };
}

/** Rules that cannot be used leave the router ready: it goes on with those it had. */
function rulesHealth(snapshot: Snapshot, { loadedAtMs, errors }: RulesStatus): Record<string, unknown> {
  const error = errors.length === 0 ? {} : { error: errors.slice(0, 20) };
  return { snapshot: snapshot.id, loaded_at: new Date(loadedAtMs).toISOString(), ...error };
}

// What lives as long as the process, as things by name: for the tests of its bounds.
import SqliteDatabase from "better-sqlite3";
import { onTestFinished } from "vitest";
import { createAlerts } from "../../src/alerts.ts";
import type { ErrorKind } from "../../src/chat.ts";
import { createFleet } from "../../src/fleet.ts";
import { HedgeShares } from "../../src/gateway/hedge.ts";
import { createHealth } from "../../src/health.ts";
import { createCallerGate } from "../../src/limits/callers.ts";
import { Lru } from "../../src/lru.ts";
import { createMemory } from "../../src/memory.ts";
import { compile } from "../../src/routing/rules.ts";
import { Dictionary } from "../../src/store/dictionary.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createCalibration } from "../../src/tokens/calibration.ts";

export const NOW_MS = Date.UTC(2026, 2, 4, 12);
export const nowMs = () => NOW_MS;

/** Things by name, of which `put` adds one. */
interface Holder {
  put(name: string): void;
  has(name: string): boolean;
}

/** What it holds, and how many. */
export const HOLDERS: [what: string, max: number, open: () => Holder][] = [
  ["a map with a bound", 3, map],
  ["latencies and failures of targets", 512, () => fleetHolder("target")],
  // Four of five histories are a model's own.
  ["lengths of answers", Math.floor(4_095 / 4), () => fleetHolder("scope")],
  ["homes of conversations", 50_000, () => fleetHolder("conversation")],
  ["breakers of targets", 512, () => breakers("not_found", (name) => ({ provider: "p", name }))],
  ["breakers of providers", 128, () => breakers("auth", (provider) => ({ provider, name: "p/m" }))],
  // Each has one of its own, and one for the target.
  ["breakers of accounts", 256, () => breakers("auth", (account) => ({ provider: "p", name: "p/m", account }))],
  ["tokens of models", 1_000, () => calibrated("model")],
  ["tokens of keys", 10_000, () => calibrated("key")],
  ["alerts that were sent", 10_000, () => alerted("attempt")],
  ["thresholds that were told", 10_000, () => alerted("budget")],
  ["signatures of answers", 10_000, () => remembered("signatures")],
  ["targets that need repairs", 1_000, () => remembered("repairs")],
  ["targets with a window of their own", 1_000, () => remembered("windows")],
  ["targets that lack fields", 1_000, () => remembered("lacks")],
  ["repairs of a target", 8, () => remembered("target's repairs")],
  ["fields a target lacks", 32, () => remembered("target's lacks")],
  ["rules that speak about a model", 1_000, matchedRules],
  ["shares of hedges", 256, hedges],
  ["what keys have taken of their limits", 4_096, callersTaken],
  ["prices that may still be named", 20_000, pricesInUse],
];

function fleetHolder(of: "target" | "scope" | "conversation"): Holder {
  const fleet = createFleet({ nowMs });
  const scopeOf = (model: string, rule = "r") => ({ rule, key: "k", model, maxTokens: undefined });
  const seen = { freshInputTokens: 1, firstByteMs: 100, totalMs: 200, errorKind: undefined };
  if (of === "target")
    return {
      put: (target) => fleet.observe({ ...seen, target, outputTokens: 1 }),
      has: (target) => fleet.recentSamples(target) > 0,
    };
  if (of === "scope")
    return {
      put: (model) => fleet.observe({ ...seen, target: "p/m", outputTokens: 10 * model.length, scope: scopeOf(model) }),
      // The narrowest of its five histories is the oldest.
      has: (model) =>
        fleet.expectedOutputTokens(scopeOf(model)) !== fleet.expectedOutputTokens(scopeOf(model, "other")),
    };
  return {
    put: (id) => fleet.rememberAffinity({ id, target: "p/m", usage: { inputTokens: 9 }, cacheTtlMs: undefined }),
    has: (id) => fleet.affinity(id) !== undefined,
  };
}

function breakers(kind: ErrorKind, targetOf: (name: string) => { provider: string; name: string; account?: string }) {
  const health = createHealth({ nowMs, draw: () => 0.5 });
  return {
    put: (name: string) => health.begin(targetOf(name)).end({ kind, message: "" }),
    has: (name: string) => !health.admits(targetOf(name)),
  };
}

function calibrated(of: "model" | "key"): Holder {
  const calibration = createCalibration();
  const callOf = (name: string) => ({ model: "m", key: "k", rawTokens: 1_000, [of]: name });
  const spread = (key: string) => calibration.predict(callOf(key)).stdDev;
  return {
    put: (name) => calibration.learn(callOf(name), 2_000),
    has: (name) =>
      of === "key" ? spread(name) !== spread("nobody") : calibration.meanAbsoluteError(name) !== undefined,
  };
}

/** What was told before is not told again. */
function alerted(of: "attempt" | "budget"): Holder {
  let told = 0;
  const settings = { budgetPercents: [80], spendRateFactor: undefined, errorRate: undefined, repeatAfterMs: 60_000 };
  const alerts = createAlerts({
    settings: { ...settings, destinations: [] },
    ...{ nowMs, schedule: () => () => {}, deliver: async () => ({ kind: "arrived", status: 200 }), draw: () => 0.5 },
    log: () => {
      told += 1;
    },
    newId: (prefix) => prefix,
  });
  const attempt = { model: "m", costNanoUsd: 0, priceStatus: "unmetered", hasUsage: false, atMs: NOW_MS } as const;
  const budget = { scope: "key", window: "day", windowStartMs: 0, spentNanoUsd: 9, limitNanoUsd: 10 } as const;
  const put = (name: string) => {
    if (of === "attempt") alerts.onAttempt({ ...attempt, provider: name, errorKind: "quota" });
    else alerts.onBudget({ ...budget, name });
  };
  const has = (name: string) => {
    const before = told;
    put(name);
    return told === before;
  };
  return { put, has };
}

function remembered(
  of: "signatures" | "repairs" | "windows" | "lacks" | "target's repairs" | "target's lacks",
): Holder {
  const memory = createMemory(nowMs);
  switch (of) {
    case "signatures":
      return { put: (key) => memory.remember("k", key, {}), has: (key) => memory.recall("k", key) !== undefined };
    case "repairs":
      return { put: (at) => memory.learnRepair(at, "x"), has: (at) => memory.repairsOf(at).length > 0 };
    case "windows":
      return { put: (at) => memory.learnWindow(at, 8_000), has: (at) => memory.windowOf(at) !== undefined };
    case "lacks":
      return { put: (at) => memory.learnLack(at, "seed"), has: (at) => memory.lacksOf(at).length > 0 };
    case "target's repairs":
      return { put: (one) => memory.learnRepair("p/m", one), has: (one) => memory.repairsOf("p/m").includes(one) };
    default:
      return { put: (one) => memory.learnLack("p/m", one), has: (one) => memory.lacksOf("p/m").includes(one) };
  }
}

function matchedRules(): Holder {
  const text = "version: 1\nrules:\n  - { name: a, model: 'n-*', from: [p/m] }\n";
  const made = compile([{ file: "a.yaml", text }], () => undefined);
  if ("errors" in made) throw new Error(JSON.stringify(made.errors));
  const seen = new Map<string, unknown>();
  return {
    put: (model) => seen.set(model, made.rulesFor(model)),
    has: (model) => made.rulesFor(model) === seen.get(model),
  };
}

/** A key that has all it may have is like one that was never seen, unless the clock is set back. */
function callersTaken(): Holder {
  const clock = { nowMs: NOW_MS };
  const gate = createCallerGate(() => clock.nowMs);
  const limits = { rpm: 1, tpm: undefined, concurrency: undefined };
  const tookAtMs = new Map<string, number>();
  const put = (keyId: string) => {
    clock.nowMs += 60_000;
    tookAtMs.set(keyId, clock.nowMs);
    const admitted = gate.admit({ keyId, limits }, () => 0);
    if (admitted.kind === "admitted") admitted.admission.end({ kind: "made", tokens: 0 });
  };
  const has = (keyId: string) => {
    clock.nowMs = tookAtMs.get(keyId) ?? 0;
    return gate.admit({ keyId, limits }, () => 0).kind === "refused";
  };
  return { put, has };
}

function hedges(): Holder {
  const shares = new HedgeShares();
  return { put: (rule) => shares.earn(rule, 1), has: (rule) => shares.has(rule) };
}

function map(): Holder {
  const lru = new Lru<true>(3);
  return { put: (name) => lru.touch(name, () => true), has: (name) => lru.peek(name) === true };
}

function pricesInUse(): Holder {
  const { dictionary } = newDictionary();
  return { put: (key) => dictionary.saveRates(key, "{}"), has: (key) => dictionary.areRatesInUse(key) };
}

export function newDictionary(): { dictionary: Dictionary; db: SqliteDatabase.Database } {
  const db = new SqliteDatabase(":memory:");
  onTestFinished(() => void db.close());
  migrate(db);
  return { dictionary: new Dictionary(db), db };
}

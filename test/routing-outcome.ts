// What comes of a rule file and a request, in the words of the cases in test/routing/.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../src/chat.ts";
import { targetName } from "../src/dialect.ts";
import { formatUsd } from "../src/pricing.ts";
import { applySet } from "../src/routing/parameters.ts";
import { type Denied, type Plan, plan, type Trace } from "../src/routing/plan.ts";
import type { Snapshot } from "../src/routing/snapshot.ts";
import { StartError } from "../src/settings.ts";
import { askedOf, drawsOf, fleetOf, type RequestFacts, requestOf } from "./routing-support.ts";
import { snapshotOf, world } from "./routing-world.ts";

export function planFor(snapshot: Snapshot, facts: RequestFacts) {
  return plan(snapshot, askedOf(facts), fleetOf(facts), drawsOf(facts));
}

function excludedOf({ missing, targets }: Trace): string[] {
  const out = targets.filter(({ reasons }) => reasons.length > 0);
  return [
    ...missing.map(({ target, reason }) => `${target}: ${reason}`),
    ...out.map(({ name, reasons }) => `${name}: ${reasons.map(({ code, detail }) => `${code}, ${detail}`).join("; ")}`),
  ];
}

/** Everything a case may say of a rule file and of what comes of a request. */
export function outcomeOf(rules: string, facts: RequestFacts): JsonObject {
  const snapshot = snapshotOfRules(rules, facts);
  if ("errors" in snapshot) return snapshot;
  const planned = planFor(snapshot, facts);
  return planned.kind === "denied" ? refusalOf(planned) : planOf(planned, facts);
}

function refusalOf({ error, decision, trace }: Denied): JsonObject {
  const { status, code, message, type, param, metadata } = error;
  return {
    denied: `${status} ${code}`,
    message,
    decision,
    type,
    param,
    availability: metadata?.availability,
    excluded: metadata?.excluded,
    passedOver: trace.passedOver.map(({ rule, why }) => `${rule}: ${why}`),
  };
}

function planOf(planned: Plan, facts: RequestFacts): JsonObject {
  const {
    candidates,
    trace,
    decision,
    maxAttempts,
    connectMs,
    firstByteMs,
    idleMs,
    contentIdleMs,
    totalMs,
    affinityTtlMs,
  } = planned;
  const sent = candidates.map(({ target, set }): [string, JsonObject] => {
    const { body, warnings } = applySet(requestOf(facts).body, set);
    const { model: _model, messages: _messages, ...parameters } = body;
    return [targetName(target), warnings.length === 0 ? parameters : { ...parameters, warnings }];
  });
  const scores = candidates.map(({ target, score }): [string, unknown] => {
    const { costNanoUsd, latencyMs = 0, inputTokens, cachedTokens, outputTokens } = score ?? {};
    const cost = costNanoUsd === undefined ? null : formatUsd(costNanoUsd);
    return [targetName(target), [cost, Math.round(latencyMs), inputTokens, cachedTokens, outputTokens]];
  });
  return {
    targets: candidates.map(({ target }) => targetName(target)),
    excluded: excludedOf(trace),
    decision,
    tiers: candidates.map(({ tier }) => tier),
    attempts: maxAttempts,
    timeouts: [firstByteMs, idleMs, contentIdleMs, totalMs],
    connect: connectMs,
    queue: [planned.priority, planned.maxWaitMs],
    affinityTtl: affinityTtlMs,
    affordable: planned.lowersMaxTokens,
    onFilter: planned.mayPassFilter ? "next" : "stop",
    drain: planned.drainMs,
    continuesStreams: planned.continuesStreams,
    hedge: planned.hedge,
    explored: trace.explored,
    passedOver: trace.passedOver.map(({ rule, why }) => `${rule}: ${why}`),
    sent: Object.fromEntries(sent),
    scores: Object.fromEntries(scores),
  };
}

function snapshotOfRules(rules: string, facts: RequestFacts): Snapshot | { errors: string[] } {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-routing-"));
  try {
    writeFileSync(join(dir, "rules.yaml"), rules);
    return snapshotOf(dir, facts.enabled ?? [], world, JSON.stringify(facts.config ?? {}));
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    const lines = error.message.replaceAll(`${dir}/`, "").split("\n").slice(1).join("\n");
    // Each mistake starts at two blanks; what belongs to it is further in.
    const mistakes = lines.split(/^ {2}(?! )/m).slice(1);
    return { errors: mistakes.map((text) => text.trimEnd().replaceAll(/^ {4}/gm, "")) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

// A plan in words and numbers, for people and for programs: why a request goes where it goes. Nothing is sent.
import type { JsonObject } from "../chat.ts";
import { targetName } from "../dialect.ts";
import { formatUsd, pricesAt } from "../pricing.ts";
import type { FleetView } from "./fleet-view.ts";
import { type Asked, type Denied, type Plan, plan, type Trace } from "./plan.ts";
import type { Score } from "./scores.ts";
import type { Snapshot } from "./snapshot.ts";

export interface Explanation {
  planned: Plan | Denied;
  json: JsonObject;
}

/** Plans the request with every candidate scored. Draws are 0.5, so the same request is explained the same way twice. */
export function explain(snapshot: Snapshot, asked: Asked, fleet: FleetView): Explanation {
  const planned = plan(snapshot, asked, fleet, () => 0.5, { scoreAll: true });
  const { trace } = planned;
  const order = planned.kind === "plan" ? planned.candidates.map(({ target }) => targetName(target)) : [];
  const json: JsonObject = {
    model: asked.request.body.model,
    snapshot: snapshot.id,
    rule: trace.rule ?? null,
    passed_over: trace.passedOver,
    pick: trace.pick,
    input_tokens: Math.round(asked.inputTokens()),
    affinity: trace.affinity ?? null,
    targets: trace.targets.map(({ name, tier, reasons, score }) => ({
      target: name,
      tier,
      place: order.includes(name) ? order.indexOf(name) + 1 : null,
      excluded_by: reasons,
      price_usd_per_mtok: price(snapshot, name, asked.nowMs),
      ...(score === undefined ? {} : { score: describe(score) }),
    })),
    not_enabled: trace.missing,
    plan: order,
    decision: planned.decision,
    error: planned.kind === "denied" ? planned.error : null,
  };
  return { planned, json };
}

/** The list price, tiers left out; `null` where there is none. */
function price(snapshot: Snapshot, name: string, nowMs: number): JsonObject | null {
  const slash = name.indexOf("/");
  const rates = snapshot.providers.get(name.slice(0, slash))?.models.get(name.slice(slash + 1))?.rates;
  if (rates === undefined) return null;
  const { input, output } = pricesAt(rates, nowMs);
  return { input: formatUsd(input * 1000), output: formatUsd(output * 1000) };
}

function describe(score: Score): JsonObject {
  return {
    cost_usd: score.costNanoUsd === undefined ? null : formatUsd(score.costNanoUsd),
    latency_ms: Math.round(score.latencyMs),
    latency_is_measured: !score.isGuess,
    input_tokens: score.inputTokens,
    cached_tokens: score.cachedTokens,
    output_tokens: score.outputTokens,
    failure_rate: Number(score.failureRate.toFixed(4)),
    utility_nano_usd: Number.isFinite(score.utility) ? Math.round(score.utility) : null,
  };
}

/** The same for a terminal. */
export function explainText({ planned, json }: Explanation): string {
  const { trace } = planned;
  const lines = [`model      ${String(json.model)}`];
  for (const { rule, why } of trace.passedOver) lines.push(`not        rule "${rule}": ${why}`);
  lines.push(`rule       ${trace.rule === undefined ? "none matches: the name decides" : `"${trace.rule}"`}`);
  lines.push(`pick       ${trace.pick}, prompt of about ${String(json.input_tokens)} tokens`);
  const ordered = trace.targets.toSorted((a, b) => placeOf(json, a.name) - placeOf(json, b.name));
  for (const { name, tier, reasons, score } of ordered) {
    const place = placeOf(json, name);
    const mark = place === Number.POSITIVE_INFINITY ? "  out" : `${place}.`.padStart(5);
    const why = reasons.map(({ code, detail }) => `${code}: ${detail}`).join("; ");
    lines.push(
      `${mark}      ${name} (tier ${tier + 1})${score === undefined ? "" : `  ${scoreText(score)}`}${why === "" ? "" : `  ${why}`}`,
    );
  }
  for (const { target, reason } of trace.missing) lines.push(`  out      ${target}  not_enabled: ${reason}`);
  if (planned.kind === "denied") lines.push(`refused    ${planned.error.status} ${planned.error.message}`);
  lines.push(`decision   ${planned.decision}`);
  return `${lines.join("\n")}\n`;
}

function placeOf(json: JsonObject, name: string): number {
  const at = (json.plan as string[]).indexOf(name);
  return at === -1 ? Number.POSITIVE_INFINITY : at + 1;
}

function scoreText(score: Score): string {
  const cost = score.costNanoUsd === undefined ? "no price" : `$${formatUsd(score.costNanoUsd)}`;
  const cached = score.cachedTokens > 0 ? `, ${score.cachedTokens} cached` : "";
  const latency = `${(score.latencyMs / 1000).toFixed(2)} s${score.isGuess ? " (not measured)" : ""}`;
  return `${cost}, ${latency}, ${score.outputTokens} tokens out${cached}, ${(score.failureRate * 100).toFixed(1)} % fail`;
}

const TRACE_CHARS_MAX = 4_000;

/**
 * A trace for the ledger: compact JSON with short names (`t` target, `c` expected cost in nanodollars, `ms` expected
 * latency, `x` why it was out). `undefined` where there was nothing to choose. Targets at the end are left out when it
 * would be too long, and counted in `more`.
 */
export function traceText(trace: Trace): string | undefined {
  if (trace.targets.length + trace.missing.length < 2 && trace.passedOver.length === 0) return undefined;
  const targets = trace.targets.map(({ name, reasons, score }) => ({
    t: name,
    ...(score?.costNanoUsd === undefined ? {} : { c: score.costNanoUsd }),
    ...(score === undefined ? {} : { ms: Math.round(score.latencyMs) }),
    ...(reasons.length === 0 ? {} : { x: reasons.map(({ code }) => code) }),
  }));
  const over = trace.passedOver.map(({ rule }) => rule).slice(0, 20);
  const off = trace.missing.map(({ target }) => target).slice(0, 20);
  const about = { rule: trace.rule, pick: trace.pick, over, off, ...(trace.explored ? { explored: true } : {}) };
  for (let kept = Math.min(targets.length, 50); kept >= 0; kept = kept > 8 ? kept >> 1 : kept - 1) {
    const more = targets.length - kept;
    const text = JSON.stringify({ ...about, targets: targets.slice(0, kept), ...(more > 0 ? { more } : {}) });
    if (text.length <= TRACE_CHARS_MAX) return text;
  }
  return undefined;
}

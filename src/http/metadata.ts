// What callers see of the routing when they ask for it, in OpenRouter's shape with prices, scores and reasons added.
// https://openrouter.ai/docs: the `X-OpenRouter-Metadata: enabled` header
import type { JsonObject } from "../chat.ts";
import { type Target, targetName } from "../dialect.ts";
import type { Switch } from "../gateway/stream-failover.ts";
import type { Story } from "../gateway.ts";
import { formatUsd } from "../pricing.ts";

/** The member to add and its value; `undefined` unless a header asks: ours, or OpenRouter's own for its clients. */
export function routingMetadata(
  header: (name: string) => string | undefined,
  asked: { model: string; decision: string },
  { trace, calls, switched }: Story,
  answeredBy: Target | undefined,
): JsonObject | undefined {
  const isOurs = header("x-signalbox-metadata") === "enabled";
  if (!isOurs && header("x-openrouter-metadata") !== "enabled") return undefined;
  const chosen = answeredBy === undefined ? undefined : targetName(answeredBy);
  const metadata: JsonObject = {
    requested: asked.model,
    strategy: trace.pick,
    summary: asked.decision,
    rule: trace.rule ?? null,
    attempt: calls.length,
    is_byok: false,
    endpoints: {
      total: trace.targets.length + trace.missing.length,
      available: trace.targets.map(({ name, reasons, score }) => ({
        ...named(name),
        selected: name === chosen,
        ...(score?.costNanoUsd === undefined ? {} : { expected_cost_usd: formatUsd(score.costNanoUsd) }),
        ...(score === undefined ? {} : { expected_latency_ms: Math.round(score.latencyMs) }),
        ...(reasons.length === 0 ? {} : { excluded_by: reasons }),
      })),
      missing: trace.missing,
    },
    attempts: calls.map(({ target, status, error }) => ({
      ...named(targetName(target)),
      status,
      ...(error === undefined ? {} : { error }),
    })),
    ...(switched === undefined ? {} : { stream_failover: told(switched) }),
  };
  return { [isOurs ? "signalbox_metadata" : "openrouter_metadata"]: metadata };
}

function told({ from, to, error, style, deliveredChars, droppedChars }: Switch): JsonObject {
  return {
    from: named(targetName(from)),
    to: named(targetName(to)),
    error: error.kind,
    style,
    delivered_chars: deliveredChars,
    dropped_chars: droppedChars,
  };
}

function named(target: string): { provider: string; model: string } {
  const slash = target.indexOf("/");
  return { provider: target.slice(0, slash), model: target.slice(slash + 1) };
}

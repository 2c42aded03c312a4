// What a request's failed attempts amount to: what the caller hears of them, what they teach, and whose fault they are.
import type { ChatBody, ChatEvent, JsonObject, ProviderError } from "../chat.ts";
import { windowIn } from "../context-window.ts";
import { type CallerError, type Target, targetName } from "../dialect.ts";
import type { Memory } from "../memory.ts";
import { costNanoUsd } from "../pricing.ts";
import { toCallerError } from "../retry.ts";
import type { Lost } from "../retry-budget.ts";
import type { Asked } from "../routing/facts.ts";
import type { Plan, PlannedTarget } from "../routing/plan.ts";
import { policyOf } from "../taxonomy.ts";
import { isContent } from "./answer-reader.ts";

export interface Failure {
  /** `undefined`: no place was found at any. */
  target: Target | undefined;
  error: ProviderError;
}

export interface Told {
  error: CallerError;
  retryAfterMs: number | undefined;
  /** A retry by the caller's SDK would not help. */
  isHopeless: boolean;
}

/** The last failure, as the caller hears of it. `attempts`: calls that were made. */
export function tell(failures: readonly Failure[], attempts: number): Told {
  const last = failures.at(-1) as Failure;
  const error = toCallerError(last.error);
  error.metadata = metadataOf(last, failures);
  const waits = failures.map((failure) => failure.error.retryAfterMs).filter((ms) => ms !== undefined);
  const retryAfterMs = waits.length === 0 ? undefined : Math.min(...waits);
  // The router has retried already: more of the same would only multiply the load, unless it is known when to come back.
  const isTriedOut = attempts > 1 && last.error.retryAfterMs === undefined;
  return { error, retryAfterMs, isHopeless: policyOf(last.error).isHopeless || isTriedOut };
}

/** No place was found. Whoever was refused by a provider before hears that, with the time at which there will be one. */
export function withoutPlace(failures: readonly Failure[], error: ProviderError): Failure[] {
  const last = failures.at(-1);
  if (last === undefined || error.kind === "cancelled") return [...failures, { target: undefined, error }];
  const { retryAfterMs } = error;
  return [...failures.slice(0, -1), { ...last, error: { ...last.error, retryAfterMs } }];
}

/** OpenRouter's names: what the provider said, and what the attempts before it ended with. */
function metadataOf(last: Failure, failures: readonly Failure[]): JsonObject {
  const metadata: JsonObject = { error_type: last.error.kind };
  if (last.target !== undefined) metadata.provider = last.target.provider.id;
  if (last.error.status !== undefined) metadata.provider_status = last.error.status;
  if (last.error.providerCode !== undefined) metadata.provider_code = last.error.providerCode;
  const previous = failures.slice(0, -1).map(({ target, error }) => ({
    provider: target?.provider.id ?? null,
    target: target === undefined ? null : targetName(target),
    code: error.kind,
    status: error.status ?? null,
  }));
  if (previous.length > 0) metadata.previous_errors = previous;
  return metadata;
}

/** Two providers that answer the same request with 500 do not both happen to be broken: it is the request that breaks them. */
export function inView(failures: readonly Failure[], target: Target, error: ProviderError): ProviderError {
  const isBreakdown = (one: ProviderError) => one.kind === "server" && one.status === 500;
  if (!isBreakdown(error)) return error;
  const wasSeen = failures.some((past) => {
    return past.target !== undefined && past.target.provider.id !== target.provider.id && isBreakdown(past.error);
  });
  return wasSeen ? { ...error, subkind: "repeated" } : error;
}

/** An answer without any content is one when nobody else can be asked. One that a content policy withheld is asked of the next
 *  target where the rule says so; one that just has nothing in it, once. */
export function unfit(
  { planned, eligible, failures }: { planned: Plan; eligible: readonly number[]; failures: readonly Failure[] },
  at: number,
  events: readonly ChatEvent[],
): ProviderError | undefined {
  if (!eligible.some((index) => index !== at) || events.some(isContent)) return undefined;
  const reasons = events.flatMap((event) => (event.type === "finish" ? [event.reason] : []));
  if (planned.mayPassFilter && reasons.includes("content_filter")) {
    const message = "The provider's content policy withheld the answer.";
    return { kind: "content_filter", message, code: "content_filter" };
  }
  const isFirst = !failures.some(({ error }) => error.subkind === "empty");
  if (!isFirst || reasons.length === 0 || reasons.some((reason) => reason !== "stop")) return undefined;
  return { kind: "malformed", subkind: "empty", message: "The provider's answer is empty.", code: "upstream_empty" };
}

/** Refusals for being one too many cost nothing: they may be one more than other attempts. */
const REFUSED_ATTEMPTS_MORE = 1;

export function attemptsMax({ maxAttempts }: Plan, failures: readonly Failure[]): number {
  const isOnlyRefused = failures.every(({ error }) => error.kind === "rate_limited");
  return maxAttempts > 1 && isOnlyRefused ? maxAttempts + REFUSED_ATTEMPTS_MORE : maxAttempts;
}

/** What a refusal says of the target that will hold for later requests as well. */
export function learnFrom(memory: Memory, target: Target, error: ProviderError, body: ChatBody): void {
  if (error.kind === "context_length") {
    const tokens = windowIn(error.message);
    if (tokens !== undefined) memory.learnWindow(targetName(target), tokens);
  }
  // What is wrong inside a field, or with its value, says nothing about the field.
  const field = error.kind === "unsupported" && error.code === "unsupported_parameter" ? error.param : undefined;
  if (field === undefined || field === "messages" || body[field] === undefined) return;
  memory.learnLack(targetName(target), field);
}

/** A request that was too long for this window only goes on to a window known to be larger. */
export function othersFor(
  { planned, eligible }: { planned: Plan; eligible: readonly number[] },
  at: number,
  error: ProviderError,
  memory: Memory,
): number[] {
  const others = eligible.filter((index) => index !== at);
  if (error.kind !== "context_length") return others;
  const windowAt = (index: number) => {
    const { target } = planned.candidates[index] as PlannedTarget;
    return memory.windowOf(targetName(target)) ?? target.entry?.contextTokens;
  };
  const windowTokens = windowAt(at) ?? Number.POSITIVE_INFINITY;
  return others.filter((index) => (windowAt(index) ?? 0) > windowTokens);
}

/** What a failed call cost: where neither the provider nor its status tells, its prompt at the least. */
export function lostOn(target: Target, lost: Lost, asked: Asked): Lost {
  const rates = target.entry?.rates;
  if (lost.costNanoUsd !== undefined || rates === undefined) return lost;
  const inputTokens = Math.round(asked.inputTokens(targetName(target)));
  return { ...lost, costNanoUsd: costNanoUsd({ inputTokens, outputTokens: 0 }, rates, asked.nowMs) };
}

// GET /v1/generation?id=: what became of one of the caller's own requests, in OpenRouter's form.
import type { JsonObject } from "../chat.ts";
import { formatUsd } from "../pricing.ts";
import type { Caller } from "../routing/plan.ts";
import { problemResponse } from "./admin-reports.ts";
import { type AppContext, callerError, errorResponse } from "./context.ts";
import { isProblem, type ReportedAttempt, type ReportedRequest, type Reports } from "./reports.ts";

const ID = /^req_[0-9a-f]{32}$/;

/** Requests of other keys are not told apart from those that are not there. */
export async function generationRoute(context: AppContext, reports: Reports): Promise<Response> {
  const id = context.req.query("id");
  if (id === undefined) {
    return errorResponse(context, callerError(400, "Say which: ?id=req_…", "missing_required_parameter", "id"));
  }
  const found = ID.test(id) ? await reports.request(id) : undefined;
  // Why it fails names paths of the machine: that is for the operator.
  if (isProblem(found)) {
    const isInner = found.problem === "failed";
    return problemResponse(context, isInner ? { ...found, message: "the ledger cannot be read at the moment" } : found);
  }
  if (found === undefined || !isOwn(found, context.get("caller"))) return notFound(context, id);
  return context.json({ data: generationJson(found) });
}

function isOwn({ request }: ReportedRequest, { key, keyId }: Caller & { keyId?: string }): boolean {
  return keyId === undefined ? request.callerKey === key : request.keyId === keyId;
}

function notFound(context: AppContext, id: string): Response {
  const isOther = !id.startsWith("req_");
  const hint = isOther
    ? " It is the x-request-id of an answer that is looked up here: the 'id' inside an answer is the provider's and not stored."
    : " It may still be running, be older than what is kept, or belong to another key.";
  const message = `There is no generation '${id.slice(0, 100)}' of this key.${hint}`;
  return errorResponse(context, callerError(404, message, "generation_not_found", "id"));
}

/** Figures are those of the attempt that answered; `total_cost` is that of all. `null` where nobody told. */
function generationJson({ request, attempts }: ReportedRequest): JsonObject {
  const last = attempts.findLast(({ errorKind }) => errorKind !== "hedge_lost");
  const answered = request.status < 400 || request.status === 499 ? last : undefined;
  return {
    id: request.requestId,
    upstream_id: answered?.upstreamRequestId ?? null,
    request_id: request.requestId,
    session_id: request.session,
    model: answered === undefined ? request.modelRequested : `${answered.provider}/${answered.model}`,
    provider_name: answered?.provider ?? null,
    router: request.decision,
    created_at: new Date(request.receivedAtMs).toISOString(),
    api_type: "completions",
    streamed: request.stream,
    cancelled: request.status === 499,
    finish_reason: finishReasonOf(answered),
    native_finish_reason: answered?.finishReason ?? null,
    latency: answered === undefined ? null : latencyMs(request.receivedAtMs, answered),
    generation_time: answered?.endedAtMs == null ? null : answered.endedAtMs - answered.openedAtMs,
    ...tokensJson(answered),
    ...costJson(attempts),
    is_byok: false,
    provider_responses: attempts.map((attempt) => ({
      endpoint_id: `${attempt.provider}/${attempt.model}`,
      id: attempt.upstreamRequestId,
      provider_name: attempt.provider,
      model_permaslug: attempt.model,
      is_byok: false,
      latency: attempt.firstByteMs,
      status: attempt.httpStatus,
    })),
    http_referer: request.app,
    external_user: request.user,
  };
}

/** What providers say, by what OpenRouter calls it; other words are passed on. */
const FINISH_REASONS: Record<string, string> = {
  ...{ STOP: "stop", end_turn: "stop", stop_sequence: "stop", COMPLETE: "stop" },
  ...{ MAX_TOKENS: "length", max_tokens: "length", model_context_window_exceeded: "length" },
  ...{ tool_use: "tool_calls", TOOL_CALL: "tool_calls", function_call: "tool_calls" },
  ...{ SAFETY: "content_filter", refusal: "content_filter", guardrail_intervened: "content_filter" },
};

function finishReasonOf(answered: ReportedAttempt | undefined): string | null {
  if (answered?.endReason !== "complete" || answered.finishReason === null) return null;
  return FINISH_REASONS[answered.finishReason] ?? answered.finishReason;
}

/** From the request's arrival to the first content. */
function latencyMs(receivedAtMs: number, { openedAtMs, firstByteMs }: ReportedAttempt): number | null {
  return firstByteMs === null ? null : openedAtMs - receivedAtMs + firstByteMs;
}

function tokensJson(answered: ReportedAttempt | undefined): JsonObject {
  const input = answered?.inputTokens ?? null;
  const output = answered?.outputTokens ?? null;
  return {
    ...{ tokens_prompt: input, tokens_completion: output },
    ...{ native_tokens_prompt: input, native_tokens_completion: output },
    native_tokens_reasoning: answered?.reasoningTokens ?? null,
    native_tokens_cached: answered?.cacheReadTokens ?? null,
  };
}

/** OpenRouter's are numbers of dollars; `null` as soon as the cost of one attempt is not known. */
function costJson(attempts: readonly ReportedAttempt[]): JsonObject {
  const costs = attempts.map(({ costNanoUsd }) => costNanoUsd);
  const isKnown = costs.every((cost) => cost !== null);
  const total = isKnown ? Number(formatUsd(costs.reduce((sum, cost) => sum + BigInt(cost), 0n))) : null;
  return { usage: total, total_cost: total, upstream_inference_cost: total };
}

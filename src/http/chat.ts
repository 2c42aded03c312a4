// POST /v1/chat/completions: the body in, the answer out, relayed or translated, buffered or streamed.
import { hash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { ChatRequest, JsonObject } from "../chat.ts";
import type { CallerError, Inbound } from "../dialect.ts";
import type { Bill } from "../gateway/attempt.ts";
import type { Gateway, GatewayInput, Outcome } from "../gateway.ts";
import { isDeeperThan } from "../json.ts";
import { type Admitted, type CallerGate, durationText, type Ending } from "../limits/callers.ts";
import { toCallerError } from "../retry.ts";
import { affinityId } from "../routing/affinity-id.ts";
import type { Caller } from "../routing/plan.ts";
import { type Answer, budgetHeader, queuedHeader, sendBuffered, sendStream } from "./answers.ts";
import { attributionOf, tagsOf } from "./attribution.ts";
import { type AppContext, callerError, readBody } from "./context.ts";
import { routingMetadata } from "./metadata.ts";

/** Deeper than any schema people write; recursion in dialects and in `JSON.stringify` stays far from the stack's end. */
const DEPTH_MAX = 256;

export interface ChatRouteOptions {
  gateway: Gateway;
  inbound: Inbound;
  maxBodyBytes: number;
  /** How long a caller may take nothing of a stream that waits for it. */
  sendTimeoutMs: number;
  callerGate: CallerGate;
  /** What the request will be billed for, prompt and answer together, about. */
  expectedTokens(request: ChatRequest, caller: Caller): number;
}

export async function chatRoute(context: AppContext, options: ChatRouteOptions): Promise<Response> {
  const input = await readRequest(context, options);
  if (input instanceof Response) return input;
  const { request, caller } = input;
  const admitted = options.callerGate.admit(caller, () => options.expectedTokens(request, caller));
  if (admitted.kind === "refused") return refuse(context, options.inbound, ...overLimit(admitted));
  const { admission } = admitted;
  let ending: Ending = { kind: "made", tokens: undefined };
  try {
    const outcome = await options.gateway.run(input);
    context.set("limitHeaders", admission.headers());
    const response = await answerWith(context, options, input, outcome);
    ending = endingOf(outcome);
    return response;
  } finally {
    admission.end(ending);
  }
}

/** Of what failed, the call counts and its tokens do not. */
function endingOf(outcome: Outcome): Ending {
  if (outcome.kind === "failed") return outcome.attempts === 0 ? { kind: "refused" } : { kind: "made", tokens: 0 };
  return { kind: "made", tokens: tokensOf(outcome.kind === "stream" ? outcome.bill() : outcome.bill) };
}

/** `undefined` where the provider did not tell. */
function tokensOf({ usage }: Bill): number | undefined {
  const { inputTokens, outputTokens } = usage ?? {};
  return inputTokens === undefined || outputTokens === undefined ? undefined : inputTokens + outputTokens;
}

function overLimit(refused: Extract<Admitted, { kind: "refused" }>): [CallerError, Record<string, string>] {
  const { lacks, limit, retryAfterMs } = refused;
  const rate = lacks === "concurrency" ? `${limit} requests at the same time` : `${limit} ${lacks} per minute`;
  const error: CallerError = {
    status: 429,
    message: `Rate limit reached for this API key: ${rate}. Please try again in ${durationText(retryAfterMs)}.`,
    type: "rate_limit_error",
    code: "rate_limit_exceeded",
    param: lacks,
  };
  return [error, { ...refused.headers, ...retryHeaders(retryAfterMs) }];
}

function retryHeaders(retryAfterMs: number): Record<string, string> {
  return { "retry-after": String(Math.ceil(retryAfterMs / 1000)), "retry-after-ms": String(retryAfterMs) };
}

async function answerWith(
  context: AppContext,
  { inbound, sendTimeoutMs }: ChatRouteOptions,
  { request }: GatewayInput,
  outcome: Outcome,
): Promise<Response> {
  const answeredBy = outcome.kind === "failed" ? undefined : outcome.target;
  const asked = { model: request.body.model, decision: outcome.decision };
  const metadata = () => routingMetadata((name) => context.req.header(name), asked, outcome.story, answeredBy);
  if (outcome.kind === "failed") {
    const headers = { ...context.get("limitHeaders"), ...failureHeaders(outcome) };
    return refuse(context, inbound, withMetadata(outcome.error, metadata()), headers);
  }
  const answer: Answer = { context, inbound, request, metadata };
  if (outcome.kind === "buffered") sendBuffered(answer, outcome);
  else await sendStream(answer, outcome, sendTimeoutMs);
  return RESPONSE_ALREADY_SENT;
}

/** POST /v1/route/explain: the same body; where it would go and why. Nothing is sent. */
export async function explainRoute(context: AppContext, options: ChatRouteOptions): Promise<Response> {
  const input = await readRequest(context, options);
  return input instanceof Response ? input : context.json(options.gateway.explain(input));
}

/** A request ready for the gateway, or the answer that refuses it. */
async function readRequest(context: AppContext, options: ChatRouteOptions): Promise<GatewayInput | Response> {
  const { inbound } = options;
  const read = await readJson(context, options.maxBodyBytes);
  if ("error" in read) return refuse(context, inbound, read.error);
  const header = (name: string) => context.req.header(name);
  const request = inbound.parse(read.json, header);
  if ("kind" in request) return refuse(context, inbound, toCallerError(request.error));
  const tags = tagsOf(header);
  if ("status" in tags) return refuse(context, inbound, tags);
  const caller = context.get("caller");
  return {
    requestId: context.get("requestId"),
    receivedAtMs: context.get("receivedAtMs"),
    endpoint: context.req.path,
    bodyBytes: read.body.length,
    bodyHash: hashOf(read.body),
    headers: () => context.req.header(),
    affinityId: affinityId({ request, key: caller.key, header }),
    request,
    caller: tags.length === 0 ? caller : { ...caller, tags: [...new Set([...(caller.tags ?? []), ...tags])] },
    attribution: attributionOf(request.body, header),
    timeoutMs: timeoutOf(header),
    signal: leaveSignal(context.env.outgoing),
  };
}

const HASH_HEX_DIGITS = 16;

/** Finds requests that were sent again word for word; nothing is protected by it, so it may be the fastest there is. */
function hashOf(body: Buffer): string {
  return hash("sha1", body, "hex").slice(0, HASH_HEX_DIGITS);
}

/** How long the caller will wait: our header in ms, or the one that OpenAI's and Anthropic's SDKs send, in seconds. */
function timeoutOf(header: (name: string) => string | undefined): number | undefined {
  const ms = Number(header("x-request-timeout-ms") ?? 1_000 * Number(header("x-stainless-timeout") ?? Number.NaN));
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

async function readJson(
  context: AppContext,
  maxBytes: number,
): Promise<{ json: unknown; body: Buffer } | { error: CallerError }> {
  const contentType = context.req.header("content-type") ?? "";
  if (!/^application\/([\w.+-]+\+)?json\b/i.test(contentType)) {
    const found = contentType === "" ? "none" : `'${contentType.slice(0, 100)}'`;
    const message = `The request body must be JSON: send 'Content-Type: application/json' (found ${found}).`;
    return { error: callerError(415, message, "unsupported_media_type") };
  }
  const encoding = context.req.header("content-encoding");
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    const message = `The request body must not be compressed: send it without 'Content-Encoding' (found '${encoding.slice(0, 100)}').`;
    return { error: callerError(415, message, "unsupported_media_type") };
  }
  const read = await readBody(context.env.incoming, maxBytes);
  if ("error" in read && read.error === "too_large") {
    const message = `The request body is larger than ${maxBytes} bytes, the bound this router sets (server.max_body).`;
    return { error: callerError(413, message, "request_too_large") };
  }
  if ("error" in read) return { error: callerError(400, "The request body was cut off.", "incomplete_body") };
  try {
    const json: unknown = JSON.parse(read.body.toString("utf8"));
    if (isDeeperThan(DEPTH_MAX, json)) {
      const message = `The request body is nested more than ${DEPTH_MAX} levels deep.`;
      return { error: callerError(400, message, "nested_too_deeply") };
    }
    return { json, body: read.body };
  } catch (error) {
    const message = `The request body is not valid JSON: ${(error as Error).message.slice(0, 200)}`;
    return { error: callerError(400, message, "invalid_json") };
  }
}

function refuse(
  context: AppContext,
  inbound: Inbound,
  error: CallerError,
  headers: Record<string, string> = {},
): Response {
  const body = JSON.stringify(inbound.renderError(error));
  // Hono's Response refuses 499; nobody is there to read it anyway.
  const status = error.status === 499 ? 400 : error.status;
  const close = error.status === 413 ? { connection: "close" } : {};
  return context.body(body, status as 400, { "content-type": "application/json", ...close, ...headers });
}

function failureHeaders(outcome: Extract<Outcome, { kind: "failed" }>): Record<string, string> {
  const headers: Record<string, string> = {
    "x-signalbox-attempts": String(outcome.attempts),
    "x-signalbox-decision": outcome.decision,
    ...queuedHeader(outcome),
    ...budgetHeader(outcome),
  };
  if (outcome.retryAfterMs !== undefined) Object.assign(headers, retryHeaders(outcome.retryAfterMs));
  // SDKs honour it; two layers of retries would only multiply the load.
  if (outcome.isHopeless) headers["x-should-retry"] = "false";
  // They do not retry a 402 of themselves; this one passes as soon as calls under way have ended.
  if (outcome.error.code === "in_flight_budget_exhausted") headers["x-should-retry"] = "true";
  return headers;
}

function withMetadata(error: CallerError, metadata: JsonObject | undefined): CallerError {
  return metadata === undefined ? error : { ...error, metadata: { ...error.metadata, ...metadata } };
}

/** Aborts when the caller's connection closes before the answer was written. */
function leaveSignal(outgoing: ServerResponse): AbortSignal {
  const abort = new AbortController();
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) abort.abort();
  });
  return abort.signal;
}

// POST /v1/chat/completions: the body in, the answer out, relayed or translated, buffered or streamed.
import { hash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { JsonObject } from "../chat.ts";
import type { CallerError, Inbound } from "../dialect.ts";
import type { Gateway, GatewayInput, Outcome } from "../gateway.ts";
import { isDeeperThan } from "../json.ts";
import { toCallerError } from "../retry.ts";
import { affinityId } from "../routing/affinity-id.ts";
import { type Answer, sendBuffered, sendStream } from "./answers.ts";
import { type AppContext, callerError, readBody } from "./context.ts";
import { routingMetadata } from "./metadata.ts";

/** Deeper than any schema people write; recursion in dialects and in `JSON.stringify` stays far from the stack's end. */
const DEPTH_MAX = 256;

export interface ChatRouteOptions {
  gateway: Gateway;
  inbound: Inbound;
  maxBodyBytes: number;
}

export async function chatRoute(context: AppContext, options: ChatRouteOptions): Promise<Response> {
  const { inbound } = options;
  const input = await readRequest(context, options);
  if (input instanceof Response) return input;
  const { request } = input;
  const outcome = await options.gateway.run(input);
  const answeredBy = outcome.kind === "failed" ? undefined : outcome.target;
  const asked = { model: request.body.model, decision: outcome.decision };
  const metadata = routingMetadata((name) => context.req.header(name), asked, outcome.story, answeredBy);
  if (outcome.kind === "failed") {
    return refuse(context, inbound, withMetadata(outcome.error, metadata), failureHeaders(outcome));
  }
  const answer: Answer = { context, inbound, request, metadata };
  if (outcome.kind === "buffered") return sendBuffered(answer, outcome);
  await sendStream(answer, outcome);
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
    caller,
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
  };
  if (outcome.retryAfterMs !== undefined) {
    headers["retry-after"] = String(Math.ceil(outcome.retryAfterMs / 1000));
    headers["retry-after-ms"] = String(outcome.retryAfterMs);
  }
  // SDKs honour it; two layers of retries would only multiply the load.
  if (outcome.isHopeless) headers["x-should-retry"] = "false";
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

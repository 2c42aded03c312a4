// POST /v1/chat/completions: the body in, the answer out, relayed or translated, buffered or streamed.
import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Piece } from "../answer-reader.ts";
import { type ChatEvent, type ChatRequest, fold, type JsonObject } from "../chat.ts";
import type { AnswerHead, CallerError, Inbound, Target } from "../dialect.ts";
import type { Gateway, GatewayInput, Outcome } from "../gateway.ts";
import { isObject, parseJson } from "../json.ts";
import { formatUsd } from "../pricing.ts";
import { toCallerError } from "../retry.ts";
import { affinityId } from "../routing/affinity-id.ts";
import { type AppContext, callerError, readBody } from "./context.ts";

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
  if (outcome.kind === "failed") return refuse(context, inbound, outcome.error, failureHeaders(outcome));
  if (outcome.kind === "buffered") return sendBuffered(context, inbound, request, outcome);
  await sendStream(context, inbound, request, outcome);
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
    bodyBytes: read.bytes,
    headers: () => context.req.header(),
    affinityId: affinityId({ request, key: caller.key, header }),
    request,
    caller,
    signal: leaveSignal(context.env.outgoing),
  };
}

async function readJson(
  context: AppContext,
  maxBytes: number,
): Promise<{ json: unknown; bytes: number } | { error: CallerError }> {
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
    return { json: JSON.parse(read.body.toString("utf8")), bytes: read.body.length };
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
  // The router has retried already; SDKs that retry on top of that would only multiply the load.
  if (outcome.attempts > 1) headers["x-should-retry"] = "false";
  return headers;
}

type Answered = Exclude<Outcome, { kind: "failed" }>;

function answerHeaders(outcome: Answered): Record<string, string> {
  const headers: Record<string, string> = {
    "x-signalbox-provider": outcome.target.provider.id,
    "x-signalbox-model": headerSafe(outcome.target.model),
    "x-signalbox-attempts": String(outcome.attempts),
    "x-signalbox-decision": outcome.decision,
  };
  if (outcome.warnings.length > 0) headers["x-signalbox-warnings"] = warningsHeader(outcome.warnings);
  return headers;
}

const WARNINGS_BYTES_MAX = 1_000;

function warningsHeader(warnings: string[]): string {
  const text = headerSafe(warnings.join(", "));
  return text.length <= WARNINGS_BYTES_MAX ? text : `${text.slice(0, WARNINGS_BYTES_MAX)}, truncated`;
}

function headerSafe(text: string): string {
  return text.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (char) => encodeURIComponent(char));
}

function sendBuffered(
  context: AppContext,
  inbound: Inbound,
  request: ChatRequest,
  outcome: Extract<Outcome, { kind: "buffered" }>,
): Response {
  const { costNanoUsd } = outcome.bill;
  const headers = { ...answerHeaders(outcome), "content-type": "application/json" };
  const cost = costNanoUsd === undefined ? {} : { "x-signalbox-cost-usd": formatUsd(costNanoUsd) };
  return context.body(bufferedBody(context, inbound, request, outcome), 200, { ...headers, ...cost });
}

function bufferedBody(
  context: AppContext,
  inbound: Inbound,
  request: ChatRequest,
  outcome: Extract<Outcome, { kind: "buffered" }>,
): string {
  if (outcome.relay && !request.includeCost) return outcome.body;
  const head = headOf(context, request, outcome, outcome.events, () => outcome.bill.costNanoUsd);
  if (outcome.relay) return withUsageExtras(outcome.body, head);
  return JSON.stringify(inbound.renderBody(fold(outcome.events), head));
}

function headOf(
  context: AppContext,
  request: ChatRequest,
  outcome: Answered,
  events: ChatEvent[],
  costNanoUsd: () => number | undefined,
): AnswerHead {
  const start = events.find((event) => event.type === "start");
  return {
    createdS: Math.floor(context.var.receivedAtMs / 1000),
    model: callersModelName(request.body.model, outcome.target, start?.model ?? outcome.target.model),
    includeUsage: request.includeUsage,
    legacyFunctions: Array.isArray(request.body.functions) && request.body.tools == null,
    usageExtras: () => (request.includeCost ? costMembers(costNanoUsd()) : undefined),
  };
}

/** The model that answered, under the provider prefix the caller used, if it used one. */
function callersModelName(asked: string, target: Target, answered: string): string {
  const prefix = `${target.provider.standsInFor ?? target.provider.id}/`;
  const isPrefixed = asked.startsWith(prefix) || asked.startsWith(`${target.provider.id}/`);
  return isPrefixed ? `${asked.slice(0, asked.indexOf("/"))}/${answered}` : answered;
}

/** OpenRouter's `usage.cost` in dollars. A JSON number: exact to the nanodollar below nine million dollars. */
function costMembers(costNanoUsd: number | undefined): JsonObject {
  return { cost: costNanoUsd === undefined ? null : Number(formatUsd(costNanoUsd)) };
}

/** A relayed JSON document with the cost added to its usage. */
function withUsageExtras(text: string, head: AnswerHead): string {
  const document = parseJson(text);
  if (!isObject(document) || !isObject(document.usage)) return text;
  return JSON.stringify({ ...document, usage: { ...document.usage, ...head.usageExtras() } });
}

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  // Tells nginx and its kin not to collect the stream before passing it on.
  "x-accel-buffering": "no",
};

async function sendStream(
  context: AppContext,
  inbound: Inbound,
  request: ChatRequest,
  outcome: Extract<Outcome, { kind: "stream" }>,
): Promise<void> {
  const { outgoing } = context.env;
  outgoing.writeHead(200, {
    ...STREAM_HEADERS,
    "x-request-id": context.var.requestId,
    ...answerHeaders(outcome),
  });
  let render: ((pieces: Piece[]) => string | Uint8Array) | undefined;
  for await (const pieces of outcome.pieces) {
    render ??= rendererFor(context, inbound, request, outcome, pieces);
    const bytes = render(pieces);
    // Writing to a response whose caller has left is an error event that would end the process.
    if (outgoing.destroyed) break;
    if (bytes.length > 0 && !outgoing.write(bytes)) await drained(outgoing);
    const failure = pieces.flatMap((piece) => piece.events).find((event) => event.type === "error");
    if (failure === undefined) continue;
    if (!outgoing.destroyed) outgoing.write(inbound.renderStreamError(toCallerError(failure.error)));
  }
  if (!outgoing.destroyed) outgoing.end();
}

function rendererFor(
  context: AppContext,
  inbound: Inbound,
  request: ChatRequest,
  outcome: Extract<Outcome, { kind: "stream" }>,
  first: Piece[],
): (pieces: Piece[]) => string | Uint8Array {
  const events = first.flatMap((piece) => piece.events);
  const head = headOf(context, request, outcome, events, () => outcome.bill().costNanoUsd);
  if (outcome.relay) return relayRenderer(request, head, inbound);
  const renderer = inbound.renderer(head);
  return (pieces) => renderer.push(pieces.flatMap((piece) => piece.events));
}

/**
 * The provider's bytes, untouched, except: the usage chunk goes only to those who asked for it (we asked the provider for
 * our own sake), it carries the cost for those who asked for that, and a provider that forgets the end marker gets one.
 */
function relayRenderer(request: ChatRequest, head: AnswerHead, inbound: Inbound): (pieces: Piece[]) => Uint8Array {
  const passes = ({ events }: Piece) => {
    if (events.some((event) => event.type === "error")) return false;
    return request.includeUsage || events.length === 0 || events.some((event) => event.type !== "usage");
  };
  const bytesOf = ({ events, frame }: Piece): Uint8Array => {
    if (frame === undefined) return Buffer.from(events.length > 0 ? inbound.renderer(head).push(events) : "");
    const needsCost = request.includeCost && events.some((event) => event.type === "usage");
    return needsCost ? Buffer.from(`data: ${withUsageExtras(frame.data, head)}\n\n`) : frame.raw;
  };
  return (pieces) => {
    const parts = pieces.filter(passes).map(bytesOf);
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  };
}

/** Resolves when the caller has taken what was written, or has left. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off("drain", done).off("close", done);
      resolve();
    };
    outgoing.on("drain", done).on("close", done);
  });
}

/** Aborts when the caller's connection closes before the answer was written. */
function leaveSignal(outgoing: ServerResponse): AbortSignal {
  const abort = new AbortController();
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) abort.abort();
  });
  return abort.signal;
}

// The gateway's answer as bytes to the caller: relayed or rendered, buffered or streamed, with what the caller asked to see.
import { type ChatEvent, type ChatRequest, fold, type JsonObject, type ProviderError } from "../chat.ts";
import type { AnswerHead, Inbound, StreamRenderer, Target } from "../dialect.ts";
import type { Piece } from "../gateway/answer-reader.ts";
import type { Outcome } from "../gateway.ts";
import { isObject, parseJson } from "../json.ts";
import { formatUsd } from "../pricing.ts";
import { toCallerError } from "../retry.ts";
import type { AppContext } from "./context.ts";
import { drained } from "./slow-caller.ts";

/** Whose answer it is. */
export interface Answer {
  context: AppContext;
  inbound: Inbound;
  request: ChatRequest;
  /** Members about the routing, for callers who ask for them: what is known at the time. */
  metadata(): JsonObject | undefined;
}

type Buffered = Extract<Outcome, { kind: "buffered" }>;
type Stream = Extract<Outcome, { kind: "stream" }>;

/** Writes to Node's response directly, as `sendStream` does: a web response in between costs some per cent of a call's CPU. */
export function sendBuffered(answer: Answer, outcome: Buffered): void {
  const { costNanoUsd } = outcome.bill;
  const { outgoing } = answer.context.env;
  const body = Buffer.from(bufferedBody(answer, outcome));
  if (outgoing.destroyed) return;
  outgoing.writeHead(200, {
    ...{ "content-type": "application/json", "content-length": body.length },
    ...headersOf(answer, outcome),
    ...(costNanoUsd !== undefined && { "x-signalbox-cost-usd": formatUsd(costNanoUsd) }),
  });
  outgoing.end(body);
}

function bufferedBody(answer: Answer, outcome: Buffered): string {
  const { inbound, request } = answer;
  const metadata = answer.metadata();
  if (outcome.relay && !request.includeCost && metadata === undefined) return outcome.body;
  const head = headOf(answer, outcome, outcome.events, () => outcome.bill.costNanoUsd);
  if (outcome.relay) return withExtras(outcome.body, head, metadata);
  return JSON.stringify({ ...inbound.renderBody(fold(outcome.events), head), ...metadata });
}

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  // Tells nginx and its kin not to collect the stream before passing it on.
  "x-accel-buffering": "no",
};

/** Writes to Node's response directly: a web stream in between doubles the CPU per call. A caller that takes nothing for
 *  `sendTimeoutMs` while bytes wait for it gets no more of them. */
export async function sendStream(answer: Answer, outcome: Stream, sendTimeoutMs: number): Promise<void> {
  const { outgoing } = answer.context.env;
  outgoing.writeHead(200, { ...STREAM_HEADERS, ...headersOf(answer, outcome) });
  let render: Render | undefined;
  for await (const { pieces, terminal } of outcome.batches) {
    render ??= rendererFor(answer, outcome, pieces);
    const bytes = render(pieces);
    // Writing to a response whose caller has left is an error event that would end the process.
    if (outgoing.destroyed) break;
    // The last bytes and the end of the body in one write: `end` uncorks the socket.
    if (terminal !== undefined) outgoing.socket?.cork();
    const isFull = bytes.length > 0 && !outgoing.write(bytes) && terminal === undefined;
    const isStalled = isFull && !(await drained(outgoing, sendTimeoutMs));
    const error = isStalled ? nothingTaken(sendTimeoutMs) : terminal?.type === "error" ? terminal.error : undefined;
    if (error === undefined || outgoing.destroyed) continue;
    outgoing.write(answer.inbound.renderStreamError(toCallerError(error)));
    if (isStalled) break;
  }
  if (!outgoing.destroyed) outgoing.end();
}

type Render = (pieces: Piece[]) => string | Uint8Array;

function rendererFor(answer: Answer, outcome: Stream, first: Piece[]): Render {
  const { inbound } = answer;
  const events = first.flatMap((piece) => piece.events);
  const head = headOf(answer, outcome, events, () => outcome.bill().costNanoUsd);
  const render = outcome.relay ? relayRenderer(answer.request, head, inbound, events) : translator(inbound, head);
  if (answer.metadata() === undefined) return render;
  const start = events.find((event) => event.type === "start");
  const chunk = { id: start?.id ?? "", object: "chat.completion.chunk", created: head.createdS, model: head.model };
  return (pieces) => {
    const at = pieces.findIndex((piece) => piece.events.some((event) => event.type === "end"));
    const last = pieces[at];
    if (last === undefined) return render(pieces);
    // A translated answer may end in one piece with its last content.
    const before = { events: last.events.filter((event) => event.type !== "end"), frame: undefined };
    const end: Piece = { events: [{ type: "end" }], frame: last.frame };
    const content = before.events.length > 0 ? [...pieces.slice(0, at), before] : pieces.slice(0, at);
    const extra = Buffer.from(`data: ${JSON.stringify({ ...chunk, choices: [], ...answer.metadata() })}\n\n`);
    return Buffer.concat([Buffer.from(render(content)), extra, Buffer.from(render([end]))]);
  };
}

function translator(inbound: Inbound, head: AnswerHead): Render {
  const renderer = inbound.renderer(head);
  return (pieces) => {
    let text = "";
    for (const { events } of pieces) if (events.length > 0) text += renderer.push(events);
    return text;
  };
}

/**
 * The provider's bytes, untouched, except: the usage chunk goes only to those who asked for it (we asked the provider for
 * our own sake), it carries the cost for those who asked for that, a provider that forgets the end marker gets one, and what
 * another provider goes on with is rendered under the identity of the first.
 */
function relayRenderer(request: ChatRequest, head: AnswerHead, inbound: Inbound, begun: ChatEvent[]): Render {
  let renderer: StreamRenderer | undefined;
  const bytesOf = ({ events, frame }: Piece): Uint8Array | undefined => {
    const [only] = events;
    if (events.length === 1 && only?.type === "usage" && !request.includeUsage) return undefined;
    if (events.some((event) => event.type === "error")) return undefined;
    if (frame === undefined) {
      renderer ??= rendererGoingOn(inbound, head, begun);
      return events.length > 0 ? Buffer.from(renderer.push(events)) : undefined;
    }
    const needsCost = request.includeCost && events.some((event) => event.type === "usage");
    return needsCost ? Buffer.from(`data: ${withExtras(frame.data, head, undefined)}\n\n`) : frame.raw;
  };
  return (pieces) => {
    const parts: Uint8Array[] = [];
    for (const piece of pieces) {
      const bytes = bytesOf(piece);
      if (bytes !== undefined) parts.push(bytes);
    }
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  };
}

/** As if it had rendered the stream that `begun` is the beginning of. */
function rendererGoingOn(inbound: Inbound, head: AnswerHead, begun: ChatEvent[]): StreamRenderer {
  const start = begun.find((event) => event.type === "start");
  const renderer = inbound.renderer({ ...head, model: start?.model ?? head.model });
  if (start !== undefined) renderer.push([start, { type: "text_delta", index: 0, text: "" }]);
  return renderer;
}

function headOf(
  { context, request }: Answer,
  outcome: Buffered | Stream,
  events: ChatEvent[],
  costNanoUsd: () => number | undefined,
): AnswerHead {
  const start = events.find((event) => event.type === "start");
  return {
    createdS: Math.floor(context.get("receivedAtMs") / 1000),
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

/** A relayed JSON document with the cost added to its usage, and other members beside it. */
function withExtras(text: string, head: AnswerHead, members: JsonObject | undefined): string {
  const document = parseJson(text);
  if (!isObject(document)) return text;
  const usage = isObject(document.usage) ? { usage: { ...document.usage, ...head.usageExtras() } } : {};
  return JSON.stringify({ ...document, ...usage, ...members });
}

function headersOf({ context }: Answer, outcome: Buffered | Stream): Record<string, string> {
  const headers: Record<string, string> = {
    "x-request-id": context.get("requestId"),
    ...context.get("limitHeaders"),
    "x-signalbox-provider": outcome.target.provider.id,
    "x-signalbox-model": headerSafe(outcome.target.model),
    "x-signalbox-attempts": String(outcome.attempts),
    "x-signalbox-decision": outcome.decision,
  };
  if (outcome.warnings.length > 0) headers["x-signalbox-warnings"] = warningsHeader(outcome.warnings);
  return Object.assign(headers, queuedHeader(outcome), budgetHeader(outcome));
}

/** For requests that had to wait for their turn. */
export function queuedHeader({ story: { queuedMs } }: Outcome): Record<string, string> {
  return queuedMs > 0 ? { "x-signalbox-queued-ms": String(Math.ceil(queuedMs)) } : {};
}

/** Dollars, exact. */
export function budgetHeader({ budgetLeftNanoUsd: left }: Outcome): Record<string, string> {
  return left === undefined ? {} : { "x-signalbox-budget-remaining": formatUsd(left) };
}

const WARNINGS_BYTES_MAX = 1_000;

function warningsHeader(warnings: string[]): string {
  const text = headerSafe(warnings.join(", "));
  return text.length <= WARNINGS_BYTES_MAX ? text : `${text.slice(0, WARNINGS_BYTES_MAX)}, truncated`;
}

function headerSafe(text: string): string {
  return text.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (char) => encodeURIComponent(char));
}

/** For a caller that reads on after all. */
function nothingTaken(timeoutMs: number): ProviderError {
  const message = `The caller took nothing of its answer for ${timeoutMs / 1_000} s: it ends here.`;
  return { kind: "cancelled", message, code: "caller_stalled" };
}

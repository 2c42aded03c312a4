// One call of one target: encode, send, decode until the answer is certain to be one, and settle exactly once.
import { strict as assert } from "node:assert";
import { type ChatEvent, type ChatRequest, mergeUsage, type ProviderError, type Usage } from "./chat.ts";
import type { Call, Decoder, EnabledProvider, Encoded, Target } from "./dialect.ts";
import { parseJson } from "./json.ts";
import { costNanoUsd } from "./pricing.ts";
import { type RawFrame, SseParser } from "./sse.ts";
import type { AttemptSettled, EndReason, Ledger } from "./store/ledger.ts";
import type { Clocks, Opened, Upstream } from "./upstream.ts";

/** Events with the bytes they came in, when they came as a frame that a relay may pass on. */
export interface Piece {
  events: ChatEvent[];
  frame: RawFrame | undefined;
}

export interface AttemptDeps {
  upstream: Upstream;
  ledger: Ledger;
  nowMs(): number;
  newId(prefix: string): string;
}

export interface AttemptInput {
  requestId: string;
  number: number;
  request: ChatRequest;
  target: Target;
  catalogVersion: string;
  signal: AbortSignal;
  clocks: Clocks;
  /** Called once, after the attempt's row is settled and before the last bytes are handed out. */
  onStreamEnd(error: ProviderError | undefined): void;
}

/** What the attempt cost; `costNanoUsd` is `undefined` when usage or price is unknown. */
export interface Bill {
  usage: Usage | undefined;
  costNanoUsd: number | undefined;
}

export type AttemptResult =
  /** The dialect cannot express the request for this target; nothing was sent. */
  | { kind: "refused"; error: ProviderError }
  | { kind: "failed"; error: ProviderError }
  | { kind: "buffered"; encoded: Encoded; events: ChatEvent[]; body: string; bill: Bill }
  /** `pieces` must be consumed or returned: its `finally` pays the bill. `bill` is complete with the last piece. */
  | { kind: "stream"; encoded: Encoded; pieces: AsyncGenerator<Piece[], void, undefined>; bill(): Bill };

/** A larger buffered answer is refused: 64 MiB holds the largest image answers. */
const MAX_BODY_BYTES = 64 * 1024 ** 2;
const MAX_ERROR_BYTES = 1024 ** 2;
/** Inline images make single events of several megabytes. */
const MAX_FRAME_BYTES = 32 * 1024 ** 2;

export async function callOnce(deps: AttemptDeps, input: AttemptInput): Promise<AttemptResult> {
  const { request, target } = input;
  const call: Call = { request, target, nowMs: deps.nowMs(), newId: deps.newId };
  const encoded = target.provider.dialect.encode(call);
  if (encoded.kind === "refusal") return { kind: "refused", error: encoded.error };
  const row = openRow(deps, input);
  try {
    return await exchange(deps, input, call, encoded, row);
  } catch (bug) {
    if (!row.isSettled) row.settle("failed", { kind: "server", message: "internal error" });
    throw bug;
  }
}

async function exchange(
  deps: AttemptDeps,
  input: AttemptInput,
  call: Call,
  encoded: Encoded,
  row: AttemptRow,
): Promise<AttemptResult> {
  const { request, target } = input;
  const sent = await deps.upstream.send({
    url: target.provider.baseUrl + encoded.wire.path,
    headers: headersFor(target.provider, encoded, request.stream),
    body: encoded.wire.body,
    signal: input.signal,
    clocks: input.clocks,
  });
  if (sent.kind === "error") {
    row.wasSent = sent.wasSent;
    return row.fail(sent.error);
  }
  row.httpStatus = sent.status;
  row.upstreamRequestId = sent.headers["x-request-id"] ?? sent.headers["request-id"];
  if (sent.status < 200 || sent.status > 299) return row.fail(await readError(deps, target, sent));
  return request.stream ? openStream(row, call, encoded, sent, input) : readBuffered(row, call, encoded, sent);
}

function headersFor(provider: EnabledProvider, encoded: Encoded, stream: boolean): Record<string, string> {
  return {
    "content-type": "application/json",
    accept: stream ? "text/event-stream" : "application/json",
    "accept-encoding": "identity",
    "user-agent": "signalbox",
    ...provider.headers,
    ...encoded.wire.headers,
    ...(provider.key === undefined ? {} : provider.authorize(provider.key.reveal())),
  };
}

async function readError(deps: AttemptDeps, target: Target, sent: Opened): Promise<ProviderError> {
  const body = await sent.text(MAX_ERROR_BYTES);
  if ("error" in body && body.error.kind === "cancelled") return body.error;
  const text = "text" in body ? body.text : "";
  return target.provider.dialect.decodeError({ status: sent.status, headers: sent.headers, text, nowMs: deps.nowMs() });
}

async function readBuffered(row: AttemptRow, call: Call, encoded: Encoded, sent: Opened): Promise<AttemptResult> {
  const body = await sent.text(MAX_BODY_BYTES);
  if ("error" in body) return row.fail(body.error);
  const events = call.target.provider.dialect.decodeBody(parseJson(body.text), call);
  row.observe(events);
  const failure = events.find((event) => event.type === "error");
  if (failure !== undefined) return row.fail(failure.error);
  row.settle("complete", undefined);
  return { kind: "buffered", encoded, events, body: body.text, bill: row.bill() };
}

/** Holds the preamble back until the first content or finish: until then the attempt can fail without a trace. */
async function openStream(
  row: AttemptRow,
  call: Call,
  encoded: Encoded,
  sent: Opened,
  input: AttemptInput,
): Promise<AttemptResult> {
  const reader = new AnswerReader(sent, call.target.provider.dialect.decoder(call));
  const held: Piece[] = [];
  for (;;) {
    const pieces = (await reader.read()).filter((piece) => piece.events.length > 0);
    held.push(...pieces);
    const decisive = pieces.flatMap((piece) => piece.events).find((event) => isCommit(event) || isTerminal(event));
    if (decisive === undefined) continue;
    if (decisive.type === "error") {
      reader.close();
      // What was already told (Anthropic's first event counts the prompt) is billed, whatever came of it.
      for (const piece of held) row.observe(piece.events);
      return row.fail(decisive.error);
    }
    break;
  }
  const pieces = deliver(row, reader, held, input);
  return { kind: "stream", encoded, pieces, bill: () => row.bill() };
}

async function* deliver(
  row: AttemptRow,
  reader: AnswerReader,
  held: Piece[],
  input: AttemptInput,
): AsyncGenerator<Piece[], void, undefined> {
  const end = (reason: EndReason, error: ProviderError | undefined) => {
    row.settle(reason, error);
    input.onStreamEnd(error);
  };
  try {
    for (let pieces = held; ; pieces = await reader.read()) {
      for (const piece of pieces) row.observe(piece.events);
      const terminal = pieces.flatMap((piece) => piece.events).find(isTerminal);
      // Settled before the last bytes go out: an answer the caller has whole is in the ledger, whatever happens next.
      if (terminal?.type === "end") end("complete", undefined);
      if (terminal?.type === "error") {
        end(terminal.error.kind === "cancelled" ? "cancelled" : "truncated", terminal.error);
      }
      yield pieces;
      if (terminal !== undefined) return;
    }
  } finally {
    reader.close();
    if (!row.isSettled) end("cancelled", { kind: "cancelled", message: "The caller closed the connection." });
  }
}

function isTerminal(event: ChatEvent): event is Extract<ChatEvent, { type: "end" | "error" }> {
  return event.type === "end" || event.type === "error";
}

/** Content: what a caller could show or act on. */
function isContent(event: ChatEvent): boolean {
  return event.type.endsWith("_delta") || event.type === "tool_call_start" || event.type === "reasoning_detail";
}

function isCommit(event: ChatEvent): boolean {
  return isContent(event) || event.type === "finish";
}

/** Chunks of bytes as pieces, ending with exactly one terminal event. */
class AnswerReader {
  readonly #opened: Opened;
  readonly #chunks: AsyncGenerator<Uint8Array, ProviderError | undefined, undefined>;
  readonly #decoder: Decoder;
  readonly #parser = new SseParser(MAX_FRAME_BYTES);
  #isOver = false;

  constructor(opened: Opened, decoder: Decoder) {
    this.#opened = opened;
    this.#chunks = opened.chunks();
    this.#decoder = decoder;
  }

  /** The pieces of the next chunk. Not to be called after the terminal event. */
  async read(): Promise<Piece[]> {
    assert(!this.#isOver, "read after the end of the answer");
    const step = await this.#chunks.next();
    const pieces = step.done ? this.#finish(step.value) : this.#decode(step.value);
    const events = pieces.flatMap((piece) => piece.events);
    this.#isOver = events.some(isTerminal);
    if (events.some(isContent)) this.#opened.progress();
    return pieces;
  }

  #decode(chunk: Uint8Array): Piece[] {
    try {
      return this.#parser.push(chunk).map((frame) => ({ events: this.#decoder.push(frame), frame }));
    } catch (error) {
      assert(error instanceof Error);
      return failure({ kind: "malformed", message: error.message, code: "upstream_malformed" });
    }
  }

  #finish(error: ProviderError | undefined): Piece[] {
    if (error !== undefined && error.kind !== "network") return failure(error);
    const { frames, rest } = this.#parser.end();
    const last = frames.map((frame): Piece => ({ events: this.#decoder.push(frame), frame }));
    // The decoder knows best whether the answer was whole, and may find the provider's own reason in the rest; an answer
    // that merely stops is `truncated`, whether the connection was closed or broke.
    return [...last, { events: this.#decoder.end(rest), frame: undefined }];
  }

  /** After the end the socket goes back to the pool; before it, it is cut. */
  close(): void {
    if (this.#isOver) this.#opened.drain();
    else this.#opened.close();
  }
}

function failure(error: ProviderError): Piece[] {
  return [{ events: [{ type: "error", error }], frame: undefined }];
}

/** Journals the attempt before the provider hears of it. */
function openRow(deps: AttemptDeps, input: AttemptInput): AttemptRow {
  const openedAtMs = deps.nowMs();
  const { requestId, number: attempt, target, catalogVersion } = input;
  const provider = target.provider.id;
  deps.ledger.openAttempt({ requestId, attempt, openedAtMs, provider, model: target.model, catalogVersion });
  return new AttemptRow(deps, input, openedAtMs);
}

/** What is known of a running attempt, and its settlement. */
class AttemptRow {
  httpStatus: number | undefined;
  upstreamRequestId: string | undefined;
  /** False when the request certainly never reached the provider. */
  wasSent = true;
  isSettled = false;
  readonly #deps: AttemptDeps;
  readonly #input: AttemptInput;
  readonly #openedAtMs: number;
  #firstByteMs: number | undefined;
  #usage: Usage | undefined;
  #finishReason: string | undefined;

  constructor(deps: AttemptDeps, input: AttemptInput, openedAtMs: number) {
    this.#deps = deps;
    this.#input = input;
    this.#openedAtMs = openedAtMs;
  }

  observe(events: ChatEvent[]): void {
    for (const event of events) {
      if (event.type === "usage") this.#usage = mergeUsage(this.#usage, event.usage);
      else if (event.type === "finish") this.#finishReason ??= event.nativeReason;
      else if (isContent(event)) this.#firstByteMs ??= this.#deps.nowMs() - this.#openedAtMs;
    }
  }

  bill(): Bill {
    const rates = this.#input.target.entry?.rates;
    const costed = this.#usage !== undefined && rates !== undefined ? costNanoUsd(this.#usage, rates) : undefined;
    return { usage: this.#usage, costNanoUsd: costed };
  }

  fail(error: ProviderError): AttemptResult {
    this.settle(error.kind === "cancelled" ? "cancelled" : "failed", error);
    return { kind: "failed", error };
  }

  settle(endReason: EndReason, error: ProviderError | undefined): void {
    assert(!this.isSettled, "an attempt is settled once");
    this.isSettled = true;
    const { requestId, number: attempt } = this.#input;
    this.#deps.ledger.settleAttempt({
      requestId,
      attempt,
      endedAtMs: this.#deps.nowMs(),
      firstByteMs: this.#firstByteMs,
      ...this.#price(),
      httpStatus: this.httpStatus,
      errorKind: error?.kind,
      endReason,
      upstreamRequestId: error?.upstreamRequestId ?? this.upstreamRequestId,
      finishReason: this.#finishReason,
    });
  }

  /** A call that was refused, or never reached the provider, was not billed: that is known. All else needs usage. */
  #price(): Pick<AttemptSettled, "usage" | "costNanoUsd" | "priceStatus"> {
    const wasRefused = this.httpStatus !== undefined && this.httpStatus >= 400;
    if (wasRefused || !this.wasSent) return { usage: undefined, costNanoUsd: 0, priceStatus: "unmetered" };
    const { usage, costNanoUsd: cost } = this.bill();
    return { usage, costNanoUsd: cost, priceStatus: cost === undefined ? "unknown" : "exact" };
  }
}

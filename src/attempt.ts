// One call of one target: encode, send, decode until the answer is certain to be one, and settle exactly once.
import { strict as assert } from "node:assert";
import { AnswerReader, type Batch, batchOf, isContent, type Piece } from "./answer-reader.ts";
import { fetchAttachments } from "./attachments.ts";
import {
  type ChatEvent,
  type ChatRequest,
  type JsonObject,
  mergeUsage,
  type ProviderError,
  type Usage,
} from "./chat.ts";
import type { Call, Download, EnabledProvider, Encoded, Target } from "./dialect.ts";
import { parseJson } from "./json.ts";
import type { Lease } from "./lease.ts";
import type { Memory } from "./memory.ts";
import { costNanoUsd } from "./pricing.ts";
import type { Lost } from "./retry-budget.ts";
import type { Caller } from "./routing/plan.ts";
import type { AttemptSettled, EndReason, Ledger } from "./store/ledger.ts";
import type { Clocks, Opened, Upstream } from "./upstream.ts";

export interface AttemptDeps {
  upstream: Upstream;
  ledger: Ledger;
  nowMs(): number;
  newId(prefix: string): string;
  /** What answers asked to be remembered for later requests, per caller. */
  memory: Pick<Memory, "remember" | "recall">;
  /** Told of every settled attempt, so that choosing can learn from it. */
  observe(settled: Settled): void;
  /** Fetches a file for a provider that does not fetch itself. */
  download(url: string, signal: AbortSignal): Promise<Download | { error: ProviderError }>;
}

/** What an attempt came to. */
export interface Settled {
  input: AttemptInput;
  usage: Usage | undefined;
  /** From the call to its first content; `undefined` for a buffered answer, which shows nothing before its end. */
  firstByteMs: number | undefined;
  totalMs: number;
  error: ProviderError | undefined;
}

export interface AttemptInput {
  requestId: string;
  number: number;
  /** Callers do not share memories. */
  caller: Caller;
  request: ChatRequest;
  target: Target;
  ruleName: string;
  affinity: { id: string | undefined; ttlMs: number | undefined };
  /** See Call. */
  repairs: readonly string[];
  continuation: JsonObject | undefined;
  catalogVersion: string;
  /** The place at the target; ends with the attempt. */
  lease: Lease;
  signal: AbortSignal;
  clocks: Clocks;
  /** The error in view of what the request met with before. */
  inView(error: ProviderError): ProviderError;
  /** Why a whole answer, or the end of one without content, is no answer after all; `undefined` when it is one. */
  unfit(events: readonly ChatEvent[]): ProviderError | undefined;
  /** Called once, after the attempt's row is settled and before the last bytes are handed out; not when the answer goes on
   *  in another call. */
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
  | { kind: "failed"; error: ProviderError; call: Call; lost: Lost }
  | { kind: "buffered"; encoded: Encoded; events: ChatEvent[]; body: string; bill: Bill }
  /** `batches` must be consumed or returned: its `finally` pays the bill. `bill` is complete with the last one. */
  | { kind: "stream"; encoded: Encoded; batches: Batches; bill(): Bill };

/** The answer as it comes; the last batch holds the terminal event. */
export type Batches = AsyncGenerator<Batch, void, undefined>;

/** A larger buffered answer is refused: 64 MiB holds the largest image answers. */
const MAX_BODY_BYTES = 64 * 1024 ** 2;
const MAX_ERROR_BYTES = 1024 ** 2;
export async function callOnce(deps: AttemptDeps, input: AttemptInput): Promise<AttemptResult> {
  const { request, target, caller, repairs, continuation } = input;
  const call: Call = {
    request,
    target,
    nowMs: deps.nowMs(),
    newId: deps.newId,
    repairs,
    recall: (key) => deps.memory.recall(caller.key, key),
    ...(continuation === undefined ? {} : { continuation }),
  };
  const refused = await fetchAttachments(deps, call, input.signal);
  if (refused !== undefined) return { kind: "refused", error: refused };
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
  const wireStreams = request.stream || encoded.streams === true;
  const credentials = await credentialsOf(target.provider);
  if ("error" in credentials) {
    row.wasSent = false;
    return row.fail(credentials.error, call);
  }
  const sent = await deps.upstream.send({
    url: target.provider.baseUrl + encoded.wire.path,
    headers: { ...headersFor(target.provider, encoded, wireStreams), ...credentials.headers },
    body: encoded.wire.body,
    signal: input.signal,
    clocks: input.clocks,
  });
  if (sent.kind === "error") {
    row.wasSent = sent.wasSent;
    return row.fail(sent.error, call);
  }
  row.httpStatus = sent.status;
  input.lease.heard(sent.headers);
  row.upstreamRequestId = idOf(sent);
  if (sent.status < 200 || sent.status > 299) return row.fail(await readError(deps, target, sent), call);
  if (request.stream) return openStream(row, call, encoded, sent, input);
  return encoded.streams ? collectStream(row, call, encoded, sent) : readBuffered(row, call, encoded, sent);
}

function idOf({ headers }: Opened): string | undefined {
  return headers["x-request-id"] ?? headers["request-id"] ?? headers["x-amzn-requestid"];
}

function headersFor(provider: EnabledProvider, encoded: Encoded, stream: boolean): Record<string, string> {
  return {
    "content-type": "application/json",
    accept: stream ? "text/event-stream" : "application/json",
    "accept-encoding": "identity",
    "user-agent": "signalbox",
    ...provider.headers,
    ...encoded.wire.headers,
  };
}

async function credentialsOf(
  provider: EnabledProvider,
): Promise<{ headers: Record<string, string> } | { error: ProviderError }> {
  if (provider.accessToken === undefined)
    return { headers: provider.key === undefined ? {} : provider.authorize(provider.key.reveal()) };
  const token = await provider.accessToken();
  return "error" in token ? token : { headers: { authorization: `Bearer ${token.reveal()}` } };
}

async function readError(deps: AttemptDeps, target: Target, sent: Opened): Promise<ProviderError> {
  const body = await sent.text(MAX_ERROR_BYTES);
  if ("error" in body && body.error.kind === "cancelled") return body.error;
  const text = "text" in body ? body.text : "";
  return target.provider.dialect.decodeError({ status: sent.status, headers: sent.headers, text, nowMs: deps.nowMs() });
}

async function readBuffered(row: AttemptRow, call: Call, encoded: Encoded, sent: Opened): Promise<AttemptResult> {
  const body = await sent.text(MAX_BODY_BYTES);
  // The head of a buffered answer comes when the answer is made.
  if ("error" in body) return row.fail(body.error, call, true);
  const events = call.target.provider.dialect.decodeBody(parseJson(body.text), call);
  row.observe(events);
  const failure = events.find((event) => event.type === "error");
  if (failure !== undefined) return row.fail(failure.error, call, failure.error.kind === "malformed");
  const unfit = row.input.unfit(events);
  if (unfit !== undefined) return row.fail(unfit, call);
  row.settle("complete", undefined);
  return { kind: "buffered", encoded, events, body: body.text, bill: row.bill() };
}

/** A stream for a caller who wants the answer whole: everything is "before the first content" until its end. */
async function collectStream(row: AttemptRow, call: Call, encoded: Encoded, sent: Opened): Promise<AttemptResult> {
  const { dialect } = call.target.provider;
  const reader = new AnswerReader(sent, dialect.decoder(call), dialect.framing);
  const events: ChatEvent[] = [];
  for (;;) {
    const { pieces, terminal } = await reader.read();
    for (const piece of pieces) {
      row.observe(piece.events);
      for (const event of piece.events) events.push(event);
    }
    if (terminal === undefined) continue;
    reader.close();
    if (terminal.type === "error") return row.fail(terminal.error, call);
    const unfit = row.input.unfit(events);
    if (unfit !== undefined) return row.fail(unfit, call);
    row.settle("complete", undefined);
    return { kind: "buffered", encoded, events, body: "", bill: row.bill() };
  }
}

/** Holds the preamble back until the first content or finish: until then the attempt can fail without a trace. */
async function openStream(
  row: AttemptRow,
  call: Call,
  encoded: Encoded,
  sent: Opened,
  input: AttemptInput,
): Promise<AttemptResult> {
  const { dialect } = call.target.provider;
  const reader = new AnswerReader(sent, dialect.decoder(call), dialect.framing);
  const held: Piece[] = [];
  for (;;) {
    const { pieces, decisive, terminal } = await reader.read();
    // A relay owes the caller the preamble too (role chunks, content-filter verdicts), comments included.
    for (const piece of pieces) if (encoded.relay || piece.events.length > 0) held.push(piece);
    if (held.length > HELD_PIECES_MAX) return row.fail(endlessPreamble(reader), call);
    if (decisive === undefined) continue;
    const error = decisive.type === "error" ? decisive.error : input.unfit([decisive]);
    if (error === undefined) break;
    // What was already told (Anthropic's first event counts the prompt) is billed, whatever came of it.
    for (const piece of held) row.observe(piece.events);
    if (terminal === undefined && decisive.type !== "error") await readOn(row, reader);
    reader.close();
    return row.fail(error, call);
  }
  return { kind: "stream", encoded, batches: deliver(row, reader, batchOf(held), input), bill: () => row.bill() };
}

/** To the end of an answer that nobody gets: its usage comes last. */
async function readOn(row: AttemptRow, reader: AnswerReader): Promise<void> {
  for (;;) {
    const { pieces, terminal } = await reader.read();
    for (const piece of pieces) row.observe(piece.events);
    if (terminal !== undefined) return;
  }
}

const HELD_PIECES_MAX = 10_000;

function endlessPreamble(reader: AnswerReader): ProviderError {
  reader.close();
  return { kind: "malformed", message: "The provider sends no content.", code: "upstream_malformed" };
}

async function* deliver(row: AttemptRow, reader: AnswerReader, first: Batch, input: AttemptInput): Batches {
  const end = (reason: EndReason, error: ProviderError | undefined) => {
    row.settle(reason, error);
    input.onStreamEnd(error);
  };
  try {
    for (let batch = first; ; batch = await reader.read()) {
      for (const piece of batch.pieces) row.observe(piece.events);
      const { terminal } = batch;
      // Settled before the last bytes go out: an answer the caller has whole is in the ledger, whatever happens next.
      if (terminal?.type === "end") end("complete", undefined);
      if (terminal?.type === "continue") row.settle("complete", undefined);
      if (terminal?.type === "error") {
        end(terminal.error.kind === "cancelled" ? "cancelled" : "truncated", terminal.error);
      }
      yield batch;
      if (terminal !== undefined) return;
    }
  } finally {
    reader.close();
    if (!row.isSettled) end("cancelled", { kind: "cancelled", message: "The caller closed the connection." });
  }
}

/** Journals the attempt before the provider hears of it. */
function openRow(deps: AttemptDeps, input: AttemptInput): AttemptRow {
  const openedAtMs = deps.nowMs();
  const { requestId, number: attempt, target, catalogVersion, caller, ruleName: rule } = input;
  const { key, team, tags } = caller;
  const provider = target.provider.id;
  const call = { requestId, attempt, openedAtMs, provider, model: target.model, catalogVersion };
  deps.ledger.openAttempt({ ...call, key, team, tags, rule });
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
  readonly input: AttemptInput;
  readonly #openedAtMs: number;
  #firstByteMs: number | undefined;
  #usage: Usage | undefined;
  #finishReason: string | undefined;

  constructor(deps: AttemptDeps, input: AttemptInput, openedAtMs: number) {
    this.#deps = deps;
    this.input = input;
    this.#openedAtMs = openedAtMs;
  }

  observe(events: ChatEvent[]): void {
    for (const event of events) {
      if (event.type === "remember") this.#deps.memory.remember(this.input.caller.key, event.key, event.value);
      else if (event.type === "usage") this.#count(event.usage);
      else if (event.type === "finish") this.#finishReason ??= event.nativeReason;
      else if (isContent(event)) this.#firstByteMs ??= this.#deps.nowMs() - this.#openedAtMs;
    }
  }

  #count(usage: Usage): void {
    this.#usage = mergeUsage(this.#usage, usage);
    if (this.#usage !== undefined) this.input.lease.counted(this.#usage);
  }

  bill(): Bill {
    const rates = this.input.target.entry?.rates;
    const costed = this.#usage !== undefined && rates !== undefined ? costNanoUsd(this.#usage, rates) : undefined;
    return { usage: this.#usage, costNanoUsd: costed };
  }

  /** `hadOutput`: there was some, though none could be read. */
  fail(told: ProviderError, call: Call, hadOutput = false): AttemptResult {
    const error = this.input.inView(told);
    this.settle(error.kind === "cancelled" ? "cancelled" : "failed", error);
    const lost = { hadOutput: hadOutput || this.#firstByteMs !== undefined, costNanoUsd: this.#price().costNanoUsd };
    return { kind: "failed", error, call, lost };
  }

  settle(endReason: EndReason, error: ProviderError | undefined): void {
    assert(!this.isSettled, "an attempt is settled once");
    this.isSettled = true;
    const { requestId, number: attempt } = this.input;
    const endedAtMs = this.#deps.nowMs();
    this.input.lease.end({ usage: this.#usage, error, wasDone: !this.#wasFree() });
    this.#deps.observe({
      input: this.input,
      usage: this.#usage,
      firstByteMs: this.input.request.stream ? this.#firstByteMs : undefined,
      totalMs: endedAtMs - this.#openedAtMs,
      error,
    });
    this.#deps.ledger.settleAttempt({
      requestId,
      attempt,
      endedAtMs,
      firstByteMs: this.#firstByteMs,
      ...this.#price(),
      httpStatus: this.httpStatus,
      errorKind: error?.kind,
      endReason,
      upstreamRequestId: error?.upstreamRequestId ?? this.upstreamRequestId,
      finishReason: this.#finishReason,
    });
  }

  #wasFree(): boolean {
    return !this.wasSent || (this.httpStatus !== undefined && this.httpStatus >= 400);
  }

  /** A call that was refused, or never reached the provider, was not billed: that is known. All else needs usage. */
  #price(): Pick<AttemptSettled, "usage" | "costNanoUsd" | "priceStatus"> {
    if (this.#wasFree()) return { usage: undefined, costNanoUsd: 0, priceStatus: "unmetered" };
    const { usage, costNanoUsd: cost } = this.bill();
    return { usage, costNanoUsd: cost, priceStatus: cost === undefined ? "unknown" : "exact" };
  }
}

// One call of one target: encode, send, decode until the answer is certain to be one.
import type { ChatEvent, ProviderError } from "../chat.ts";
import type { Account, Call, EnabledProvider, Encoded, Target } from "../dialect.ts";
import { parseJson } from "../json.ts";
import type { EndReason } from "../store/ledger.ts";
import type { Opened, Upstream } from "../upstream.ts";
import { AnswerReader, type Batch, batchOf, type Piece } from "./answer-reader.ts";
import { type FetchFile, fetchAttachments } from "./attachments.ts";
import {
  type AttemptInput,
  type AttemptRow,
  type Bill,
  CALLER_LEFT,
  type Failed,
  openRow,
  type RowDeps,
} from "./attempt-row.ts";

export type { AttemptInput, Bill, Settled } from "./attempt-row.ts";

export interface AttemptDeps extends RowDeps {
  upstream: Upstream;
  newId(prefix: string): string;
  download: FetchFile;
}

export type AttemptResult =
  /** The dialect cannot express the request for this target; nothing was sent. */
  | { kind: "refused"; error: ProviderError }
  | Failed
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
  const refused = await fetchAttachments(deps.download, call, input.signal);
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
  const credentials = await credentialsOf(target.provider, input.lease.account);
  if ("error" in credentials) {
    row.wasSent = false;
    return row.fail(credentials.error, call);
  }
  const sent = await deps.upstream.send({
    url: target.provider.baseUrl + encoded.wire.path,
    headers: { ...headersFor(target.provider, encoded, wireStreams), ...credentials.headers },
    body: encoded.wire.body,
    signal: input.signal,
    drainMs: input.drainMs,
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
  account: Account | undefined,
): Promise<{ headers: Record<string, string> } | { error: ProviderError }> {
  if (account !== undefined) return { headers: provider.authorize(account.key.reveal()) };
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
  const failure = events.find((event) => event.type === "error")?.error ?? row.left();
  if (failure !== undefined) return row.fail(failure, call, failure.kind === "malformed");
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
    const failure = terminal.type === "error" ? terminal.error : row.left();
    if (failure !== undefined) return row.fail(failure, call);
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

/** To the end of an answer that nobody gets: its usage comes last. The clocks bound it. */
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
    const left = row.left();
    row.settle(left === undefined ? reason : "cancelled", left ?? error);
    input.onStreamEnd(left ?? error);
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
    if (!row.isSettled && row.left() !== undefined) await readOn(row, reader);
    reader.close();
    if (!row.isSettled) end("cancelled", CALLER_LEFT);
  }
}

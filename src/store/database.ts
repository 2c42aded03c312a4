// The SQLite file as its one writer uses it: pragmas, and the statements that book rows of the journal idempotently.
import SqliteDatabase, { type Database } from "better-sqlite3";
import type { AttemptOpened, AttemptSettled, LedgerRow, RequestFinished } from "./rows.ts";

export const DATABASE_NAME = "signalbox.db";

/** A long-running reader keeps the write-ahead log from being recycled; afterwards it is cut back to this. */
const WAL_BYTES_MAX = 16 * 1024 * 1024;

export function openForWriting(path: string, busyTimeoutMs: number): Database {
  const db = new SqliteDatabase(path, { timeout: busyTimeoutMs });
  try {
    db.pragma("journal_mode = WAL");
    // FULL syncs the write-ahead log at each commit; NORMAL could lose the last commits in a power cut.
    db.pragma("synchronous = FULL");
    db.pragma(`journal_size_limit = ${WAL_BYTES_MAX}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Attempts that were sent by a process that no longer lives and whose outcome nobody booked. */
export function markUnsettledAsUnknown(db: Database): number {
  return db.prepare("UPDATE attempts SET state = 'unknown' WHERE state = 'open'").run().changes;
}

const OPEN_ATTEMPT = `
  INSERT INTO attempts (request_id, attempt, state, opened_at_ms, provider, model, catalog_version)
  VALUES (@requestId, @attempt, 'open', @openedAtMs, @provider, @model, @catalogVersion)
  ON CONFLICT (request_id, attempt) DO NOTHING`;

// A settlement whose opening was lost (a damaged disk) is booked all the same: the money was spent.
// The first settlement wins; replaying the journal must not change what is booked.
const SETTLE_ATTEMPT = `
  INSERT INTO attempts (
    request_id, attempt, state, opened_at_ms, provider, model, catalog_version, ended_at_ms, first_byte_ms,
    input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens,
    cost_nano_usd, price_status, http_status, error_kind, end_reason, upstream_request_id, finish_reason
  ) VALUES (
    @requestId, @attempt, 'settled', @endedAtMs, 'unknown', 'unknown', 'unknown', @endedAtMs, @firstByteMs,
    @inputTokens, @cacheReadTokens, @cacheWriteTokens, @cacheWrite1hTokens,
    @outputTokens, @reasoningTokens, @audioInputTokens, @audioOutputTokens,
    @costNanoUsd, @priceStatus, @httpStatus, @errorKind, @endReason, @upstreamRequestId, @finishReason
  ) ON CONFLICT (request_id, attempt) DO UPDATE SET
    state = 'settled', ended_at_ms = excluded.ended_at_ms, first_byte_ms = excluded.first_byte_ms,
    input_tokens = excluded.input_tokens, cache_read_tokens = excluded.cache_read_tokens,
    cache_write_tokens = excluded.cache_write_tokens, cache_write_1h_tokens = excluded.cache_write_1h_tokens,
    output_tokens = excluded.output_tokens, reasoning_tokens = excluded.reasoning_tokens,
    audio_input_tokens = excluded.audio_input_tokens, audio_output_tokens = excluded.audio_output_tokens,
    cost_nano_usd = excluded.cost_nano_usd, price_status = excluded.price_status,
    http_status = excluded.http_status, error_kind = excluded.error_kind, end_reason = excluded.end_reason,
    upstream_request_id = excluded.upstream_request_id, finish_reason = excluded.finish_reason
  WHERE attempts.state <> 'settled'`;

const FINISH_REQUEST = `
  INSERT INTO requests (
    request_id, received_at_ms, ended_at_ms, caller_key, endpoint, model_requested, stream,
    status, error_kind, attempts, decision, snapshot_id, warnings, trace
  ) VALUES (
    @requestId, @receivedAtMs, @endedAtMs, @key, @endpoint, @modelRequested, @stream,
    @status, @errorKind, @attempts, @decision, @snapshotId, @warnings, @trace
  ) ON CONFLICT (request_id) DO NOTHING`;

export interface Booking {
  /** Books all rows in one transaction, which is on disk when this returns. Answers with the rows that no table can
   *  take; throws when nothing could be booked. */
  book(rows: LedgerRow[]): { row: LedgerRow; reason: string }[];
}

export function prepareBooking(db: Database): Booking {
  const open = db.prepare(OPEN_ATTEMPT);
  const settle = db.prepare(SETTLE_ATTEMPT);
  const finish = db.prepare(FINISH_REQUEST);
  const bookOne = (row: LedgerRow) => {
    if (row.kind === "opened") open.run(openedColumns(row));
    else if (row.kind === "settled") settle.run(settledColumns(row));
    else finish.run(finishedColumns(row));
  };
  const book = db.transaction((rows: LedgerRow[]) => {
    const rejected: { row: LedgerRow; reason: string }[] = [];
    for (const row of rows) {
      try {
        bookOne(row);
      } catch (error) {
        // A row that can never be booked must not hold up those behind it, for ever.
        if (!isRowsOwnFault(error)) throw error;
        rejected.push({ row, reason: (error as Error).message });
      }
    }
    return rejected;
  });
  return { book: (rows) => book.immediate(rows) };
}

function isRowsOwnFault(error: unknown): boolean {
  if (error instanceof SqliteDatabase.SqliteError) return /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(error.code);
  return error instanceof TypeError || error instanceof RangeError;
}

function openedColumns(row: AttemptOpened) {
  return { ...row, openedAtMs: wholeMs(row.openedAtMs) };
}

function settledColumns(row: AttemptSettled) {
  const usage = row.usage ?? {};
  return {
    requestId: row.requestId,
    attempt: row.attempt,
    endedAtMs: wholeMs(row.endedAtMs),
    firstByteMs: row.firstByteMs === undefined ? null : wholeMs(row.firstByteMs),
    inputTokens: usage.inputTokens ?? null,
    cacheReadTokens: usage.cacheReadTokens ?? null,
    cacheWriteTokens: usage.cacheWriteTokens ?? null,
    cacheWrite1hTokens: usage.cacheWrite1hTokens ?? null,
    outputTokens: usage.outputTokens ?? null,
    reasoningTokens: usage.reasoningTokens ?? null,
    audioInputTokens: usage.audioInputTokens ?? null,
    audioOutputTokens: usage.audioOutputTokens ?? null,
    costNanoUsd: row.costNanoUsd ?? null,
    priceStatus: row.priceStatus,
    httpStatus: row.httpStatus ?? null,
    errorKind: row.errorKind ?? null,
    endReason: row.endReason,
    upstreamRequestId: row.upstreamRequestId ?? null,
    finishReason: row.finishReason ?? null,
  };
}

function finishedColumns(row: RequestFinished) {
  return {
    ...row,
    receivedAtMs: wholeMs(row.receivedAtMs),
    endedAtMs: wholeMs(row.endedAtMs),
    stream: row.stream ? 1 : 0,
    errorKind: row.errorKind ?? null,
    warnings: JSON.stringify(row.warnings),
    trace: row.trace ?? null,
  };
}

/** Clocks may give fractions (performance.now); the columns are integers. Tokens and money are never rounded here. */
function wholeMs(ms: number): number {
  return Math.round(ms);
}

// Books rows of the journal: idempotently, and with the sums they belong to in the same transaction.
import SqliteDatabase, { type Database, type Transaction } from "better-sqlite3";
import { Dictionary } from "./dictionary.ts";
import { Notebook } from "./notes.ts";
import { firstIdAt } from "./request-ids.ts";
import { RollupBatch, type Sums } from "./rollups.ts";
import type { AttemptKey, AttemptOpened, AttemptSettled, LedgerRow, RequestFinished } from "./rows.ts";
import { packStory } from "./story.ts";

export interface Booking {
  /** Books all rows in one transaction, which is on disk when this returns. Answers with the rows that no table can
   *  take; throws when nothing could be booked. */
  book(rows: LedgerRow[]): Rejected[];
  /** Attempts that were sent by a process that no longer lives and whose outcome nobody booked: counted with what was
   *  reserved for them, so that money is over-counted rather than lost. Answers with how many there were. */
  markUnsettledAsUnknown(): number;
  /** From now on rows of requests with smaller ids are passed over: they were booked once, and pruned since. A journal
   *  that is read again must not count them a second time. */
  forgetBefore(requestId: string): void;
}

const OPEN_ATTEMPT = `
  INSERT INTO attempt_rows (request_id, attempt, state, dimension, opened_at_ms, catalog, reserved_nano_usd, account)
  VALUES (@requestId, @attempt, 0, @dimension, @openedAtMs, @catalog, @reservedNanoUsd, @account)
  ON CONFLICT (request_id, attempt) DO NOTHING`;

// The first settlement wins; replaying the journal must not change what is booked.
const SETTLE_ATTEMPT = `
  UPDATE attempt_rows SET state = 1, total_ms = @endedAtMs - opened_at_ms, first_byte_ms = @firstByteMs,
    input_tokens = @inputTokens, cache_read_tokens = @cacheReadTokens, cache_write_tokens = @cacheWriteTokens,
    cache_write_1h_tokens = @cacheWrite1hTokens, output_tokens = @outputTokens, reasoning_tokens = @reasoningTokens,
    audio_input_tokens = @audioInputTokens, audio_output_tokens = @audioOutputTokens, usage_more = @usageMore,
    cost_nano_usd = @costNanoUsd, estimated_nano_usd = @estimatedNanoUsd, price_status = @priceStatus, rates = @rates,
    http_status = @httpStatus, error_kind = @errorKind, end_reason = @endReason, finish_reason = @finishReason,
    upstream_request_id = @upstreamRequestId
  WHERE request_id = @requestId AND attempt = @attempt AND state = @state
  RETURNING dimension, opened_at_ms AS openedAtMs`;

const FINISH_REQUEST = `
  INSERT INTO request_rows (request_id, received_at_ms, total_ms, dimension, endpoint, model_requested, stream, status,
    error_kind, attempts, story, figures, snapshot, warnings, queued_ms, caller_user, app, session, body_hash)
  VALUES (@requestId, @receivedAtMs, @totalMs, @dimension, @endpoint, @modelRequested, @stream, @status,
    @errorKind, @attempts, @story, @figures, @snapshot, @warnings, @queuedMs, @user, @app, @session, @bodyHash)
  ON CONFLICT (request_id) DO NOTHING`;

const OTHER_AT_SAME = `
  SELECT 1 FROM attempt_rows WHERE request_id = @requestId AND attempt <> @attempt AND dimension = @dimension AND state <> 0`;

/** States of `attempt_rows`. */
const OPEN = 0;
const UNKNOWN = 2;

interface Opened {
  dimension: number;
  openedAtMs: number;
}

type SettledColumns = Record<string, string | number | null>;

/** `words`: the one dictionary of this connection. */
export function prepareBooking(db: Database, words: Dictionary = new Dictionary(db)): Booking {
  return new PreparedBooking(db, words);
}

function prepare(db: Database) {
  return {
    open: db.prepare(OPEN_ATTEMPT),
    settle: db.prepare(SETTLE_ATTEMPT),
    finish: db.prepare(FINISH_REQUEST),
    otherAtSame: db.prepare(OTHER_AT_SAME),
    find: db.prepare(`SELECT state, dimension, opened_at_ms AS openedAtMs, estimated_nano_usd AS estimatedNanoUsd
      FROM attempt_rows WHERE request_id = ? AND attempt = ?`),
    // "<> 1": without it SQLite would not use the index on these few, and scan the ledger.
    unsettled: db.prepare(`SELECT request_id AS requestId, attempt, dimension, opened_at_ms AS openedAtMs,
      reserved_nano_usd AS reservedNanoUsd FROM attempt_rows WHERE state <> 1 AND state = 0`),
    isFinished: db.prepare("SELECT 1 FROM request_rows WHERE request_id = ?"),
    isGivenUp: db.prepare("SELECT 1 FROM attempt_rows WHERE request_id = ? AND attempt <> ? AND state = 2"),
    giveUp: db.prepare(`UPDATE attempt_rows SET state = 2, estimated_nano_usd = reserved_nano_usd
      WHERE request_id = ? AND attempt = ?`),
  };
}

export interface Rejected {
  row: LedgerRow;
  reason: string;
}

class PreparedBooking implements Booking {
  readonly #words: Dictionary;
  readonly #rollups: RollupBatch;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #book: Transaction<(rows: LedgerRow[]) => Rejected[]>;
  readonly #markUnsettled: Transaction<() => number>;

  /** Every id of the form of request ids before it is forgotten. */
  #rowsFrom: string | undefined;

  constructor(db: Database, words: Dictionary) {
    this.#words = words;
    this.#rollups = new RollupBatch(db);
    this.#statements = prepare(db);
    this.#book = db.transaction((rows: LedgerRow[]) => this.#bookAll(rows));
    this.#markUnsettled = db.transaction(() => this.#giveUpUnsettled());
    this.#rowsFrom = new Notebook(db).get("rows_from");
  }

  forgetBefore(requestId: string): void {
    this.#rowsFrom = requestId;
  }

  book(rows: LedgerRow[]): Rejected[] {
    return this.#undoable(() => this.#book.immediate(rows));
  }

  markUnsettledAsUnknown(): number {
    return this.#undoable(() => this.#markUnsettled.immediate());
  }

  #undoable<Result>(transaction: () => Result): Result {
    try {
      return transaction();
    } catch (error) {
      this.#words.forget();
      this.#rollups.forget();
      throw error;
    }
  }

  #bookAll(rows: LedgerRow[]): Rejected[] {
    const rejected: Rejected[] = [];
    for (const row of rows) {
      try {
        this.#bookOne(row);
      } catch (error) {
        // A row that can never be booked must not hold up those behind it, for ever.
        if (!isRowsOwnFault(error)) throw error;
        rejected.push({ row, reason: (error as Error).message });
      }
    }
    this.#rollups.flush();
    return rejected;
  }

  #bookOne(row: LedgerRow): void {
    if (row.kind === "rates") this.#words.saveRates(row.key, row.json);
    else if (this.#isForgotten(row.requestId)) return;
    else if (row.kind === "opened") this.#open(row);
    else if (row.kind === "settled") this.#settle(row);
    else this.#finish(row);
  }

  #isForgotten(requestId: string): boolean {
    return this.#rowsFrom !== undefined && requestId < this.#rowsFrom && requestId >= firstIdAt(0);
  }

  #open(row: AttemptOpened): void {
    this.#statements.open.run({
      requestId: row.requestId,
      attempt: row.attempt,
      dimension: this.#words.dimension(row),
      openedAtMs: wholeMs(row.openedAtMs),
      catalog: this.#words.text(row.catalogVersion),
      reservedNanoUsd: row.reservedNanoUsd ?? null,
      account: this.#words.optionalText(row.account),
    });
  }

  #settle(row: AttemptSettled): void {
    const columns = this.#settledColumns(row);
    let opened = this.#statements.settle.get({ ...columns, state: OPEN }) as Opened | undefined;
    if (opened === undefined) opened = this.#settleUnopened(row, columns);
    if (opened === undefined) return;
    const requests = this.#isFirstThere(row, opened.dimension) ? 1 : 0;
    this.#rollups.add(opened.openedAtMs, opened.dimension, { ...sumsOf(row), requests });
  }

  /** Its opening was lost (a damaged disk): booked all the same, the money was spent. Or it had been given up. */
  #settleUnopened(row: AttemptSettled, columns: SettledColumns): Opened | undefined {
    const { requestId, attempt } = row;
    const found = this.#statements.find.get(requestId, attempt) as
      | (Opened & { state: number; estimatedNanoUsd: number | null })
      | undefined;
    if (found === undefined) {
      const lost = { provider: "unknown", model: "unknown", catalogVersion: "unknown", key: "unknown", rule: "" };
      this.#open({ requestId, attempt, openedAtMs: row.endedAtMs, ...lost });
      return this.#statements.settle.get({ ...columns, state: OPEN }) as Opened;
    }
    if (found.state !== UNKNOWN) return undefined;
    const opened = this.#statements.settle.get({ ...columns, state: UNKNOWN }) as Opened;
    const taken = { attempts: -1, unknown_attempts: -1, estimated_nano_usd: -(found.estimatedNanoUsd ?? 0) };
    const requests = this.#isFirstThere(row, found.dimension) ? -1 : 0;
    this.#rollups.add(found.openedAtMs, found.dimension, { ...taken, requests });
    return opened;
  }

  /** By model a request counts once, however often it was tried there. */
  #isFirstThere({ requestId, attempt }: AttemptKey, dimension: number): boolean {
    return this.#statements.otherAtSame.get({ requestId, attempt, dimension }) === undefined;
  }

  #settledColumns(row: AttemptSettled): SettledColumns {
    const {
      inputTokens = null,
      cacheReadTokens = null,
      cacheWriteTokens = null,
      cacheWrite1hTokens = null,
      outputTokens = null,
      reasoningTokens = null,
      audioInputTokens = null,
      audioOutputTokens = null,
      ...more
    } = row.usage ?? {};
    const words = this.#words;
    return {
      ...{ requestId: row.requestId, attempt: row.attempt, endedAtMs: wholeMs(row.endedAtMs) },
      ...{ inputTokens, cacheReadTokens, cacheWriteTokens, cacheWrite1hTokens, outputTokens, reasoningTokens },
      ...{ audioInputTokens, audioOutputTokens },
      firstByteMs: row.firstByteMs === undefined ? null : wholeMs(row.firstByteMs),
      usageMore: Object.values(more).every((value) => value === undefined) ? null : JSON.stringify(more),
      costNanoUsd: row.costNanoUsd ?? null,
      estimatedNanoUsd: row.estimatedNanoUsd ?? null,
      priceStatus: words.text(row.priceStatus),
      rates: words.rates(row.ratesKey),
      httpStatus: row.httpStatus ?? null,
      errorKind: words.optionalText(row.errorKind),
      endReason: words.text(row.endReason),
      finishReason: words.optionalText(row.finishReason),
      upstreamRequestId: row.upstreamRequestId ?? null,
    };
  }

  #finish(row: RequestFinished): void {
    const words = this.#words;
    const dimension = words.dimension(ownerOf(row));
    const receivedAtMs = wholeMs(row.receivedAtMs);
    const story = packStory(row.decision, row.trace);
    const { changes } = this.#statements.finish.run({
      ...{ requestId: row.requestId, receivedAtMs, totalMs: wholeMs(row.endedAtMs) - receivedAtMs, dimension },
      endpoint: words.text(row.endpoint),
      modelRequested: words.text(row.modelRequested),
      stream: row.stream ? 1 : 0,
      status: row.status,
      errorKind: words.optionalText(row.errorKind),
      attempts: row.attempts,
      story: words.text(story.text),
      figures: story.figures,
      snapshot: words.text(row.snapshotId),
      warnings: words.text(JSON.stringify(row.warnings)),
      queuedMs: row.queuedMs === undefined ? null : wholeMs(row.queuedMs),
      user: row.user ?? null,
      app: words.optionalText(row.app),
      session: row.session ?? null,
      bodyHash: row.bodyHash === undefined ? null : Buffer.from(row.bodyHash, "hex"),
    });
    if (changes === 0) return;
    this.#rollups.add(receivedAtMs, dimension, { requests: 1, failed_requests: row.status >= 400 ? 1 : 0 });
  }

  #giveUpUnsettled(): number {
    type Unsettled = AttemptKey & Opened & { reservedNanoUsd: number | null };
    const unsettled = this.#statements.unsettled.all() as Unsettled[];
    for (const { requestId, attempt, dimension, openedAtMs, reservedNanoUsd } of unsettled) {
      this.#statements.giveUp.run(requestId, attempt);
      const requests = this.#isFirstThere({ requestId, attempt }, dimension) ? 1 : 0;
      // A request that died with the process is a request all the same.
      const isCounted =
        this.#statements.isFinished.get(requestId) ?? this.#statements.isGivenUp.get(requestId, attempt);
      if (isCounted === undefined) {
        this.#rollups.add(openedAtMs, this.#words.ownerOf(dimension), { requests: 1, failed_requests: 1 });
      }
      const counted = { requests, attempts: 1, unknown_attempts: 1, estimated_nano_usd: reservedNanoUsd ?? 0 };
      this.#rollups.add(openedAtMs, dimension, counted);
    }
    this.#rollups.flush();
    return unsettled.length;
  }
}

function ownerOf({ key, keyId, team, organisation, tags }: RequestFinished) {
  return { key, keyId, team, organisation, tags };
}

function sumsOf(row: AttemptSettled): Sums {
  const usage = row.usage ?? {};
  const isFailed = row.endReason === "failed";
  const isTold = usage.inputTokens !== undefined || usage.outputTokens !== undefined;
  // A failed attempt for which no tokens were told is no bill; any other without a cost is one we cannot state.
  const isUnpriced = row.costNanoUsd === undefined && row.priceStatus !== "unmetered" && (!isFailed || isTold);
  return {
    attempts: 1,
    failed_attempts: isFailed || row.endReason === "truncated" ? 1 : 0,
    input_tokens: usage.inputTokens ?? 0,
    cache_read_tokens: usage.cacheReadTokens ?? 0,
    cache_write_tokens: (usage.cacheWriteTokens ?? 0) + (usage.cacheWrite1hTokens ?? 0),
    output_tokens: usage.outputTokens ?? 0,
    reasoning_tokens: usage.reasoningTokens ?? 0,
    cost_nano_usd: row.costNanoUsd ?? 0,
    estimated_nano_usd: row.costNanoUsd === undefined ? (row.estimatedNanoUsd ?? 0) : 0,
    unpriced_attempts: isUnpriced ? 1 : 0,
  };
}

function isRowsOwnFault(error: unknown): boolean {
  if (error instanceof SqliteDatabase.SqliteError) return /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(error.code);
  return error instanceof TypeError || error instanceof RangeError;
}

/** Clocks may give fractions (performance.now); the columns are integers. Tokens and money are never rounded here. */
function wholeMs(ms: number): number {
  return Math.round(ms);
}

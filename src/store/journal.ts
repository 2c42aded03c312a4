// The journal on disk: numbered segment files of checksummed lines. Hides the line format, rotation and torn lines.
//
// A line is `<crc32 of the rest, 8 hex digits> <JSON of one row>\n`. Rows are keyed objects rather than arrays because
// an upgraded router must be able to replay what the previous version left behind.
import { closeSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { LedgerRow, Owner } from "./rows.ts";

export interface Position {
  segment: number;
  offset: number;
}

/** Names and ids that callers and providers choose; longer ones are cut so that a line has a bound (at worst 350 kB,
 *  usually 300 bytes). */
const TEXT_CHARS_MAX = 1_000;
/** A longer one would be cut to something that is no JSON; whoever makes it keeps it shorter. */
const TRACE_CHARS_MAX = 4_000;
const WARNINGS_MAX = 50;
/** Holds the longest possible line with room to spare. */
export const BATCH_BYTES_MAX = 1024 * 1024;
const CRC_DIGITS = 8;
const NEWLINE = 0x0a;

/** Appends lines to the newest segment. `append` returns once the bytes are in the page cache, where they survive the
 *  death of the process. */
export class JournalWriter {
  readonly #dir: string;
  readonly #segmentBytesMax: number;
  #fd: number;
  #segment: number;
  #offset = 0;
  /** The last write stopped in the middle of a line: the next one must start on a fresh line to be readable. */
  #torn = false;

  constructor(dir: string, segment: number, segmentBytesMax: number) {
    this.#dir = dir;
    this.#segment = segment;
    this.#segmentBytesMax = segmentBytesMax;
    this.#fd = createSegment(dir, segment);
  }

  /** The end of what was appended. */
  get position(): Position {
    return { segment: this.#segment, offset: this.#offset };
  }

  /** Bytes written. Throws what the file system says, e.g. ENOSPC; the line may then be torn, later ones are not. */
  append(line: string): number {
    if (this.#offset >= this.#segmentBytesMax) this.#rotate();
    const bytes = Buffer.from(this.#torn ? `\n${line}` : line);
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
      this.#torn = false;
      return written;
    } catch (error) {
      this.#torn ||= written > 0;
      throw error;
    } finally {
      this.#offset += written;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #rotate(): void {
    let next: number;
    try {
      next = createSegment(this.#dir, this.#segment + 1);
    } catch {
      return; // A full or crowded disk: an oversized segment is better than a lost row; tried again at the next append.
    }
    closeSync(this.#fd);
    this.#fd = next;
    this.#segment += 1;
    this.#offset = 0;
    this.#torn = false;
  }
}

function createSegment(dir: string, segment: number): number {
  // "ax": append only, and never on top of a segment that somebody else left or is writing.
  return openSync(segmentPath(dir, segment), "ax", 0o600);
}

export function segmentPath(dir: string, segment: number): string {
  return join(dir, `journal-${String(segment).padStart(8, "0")}.log`);
}

/** Numbers of the segments in `dir`, oldest first. */
export function listSegments(dir: string): number[] {
  const numbers = readdirSync(dir).map((name) => /^journal-(\d{8,})\.log$/.exec(name)?.[1]);
  return numbers
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

export interface Batch {
  rows: LedgerRow[];
  /** Where the next batch starts. Always beyond the start of this one. */
  end: number;
  /** Stretches that are no valid line: torn by a crash or a full disk. */
  torn: { offset: number; bytes: number }[];
}

/** The rows between byte `from` and byte `to`, as many as fit into `scratch` (of BATCH_BYTES_MAX). Total: what is not a valid line is
 *  reported in `torn` and passed over. A segment must be read only up to where its writer says it has appended. */
export function readBatch(fd: number, from: number, to: number, scratch: Buffer): Batch {
  const wanted = Math.min(scratch.length, to - from);
  const bytes = readFully(fd, from, scratch.subarray(0, wanted));
  const batch: Batch = { rows: [], end: from, torn: [] };
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    const row = decodeLine(bytes.subarray(start, end));
    if (row !== undefined) batch.rows.push(row);
    else if (end > start) batch.torn.push({ offset: from + start, bytes: end - start });
    start = end + 1;
  }
  // The rest has no newline. Either the next batch reads it again from its start, or it is a torn tail (or a monster).
  const isTornTail = from + wanted >= to || start === 0;
  if (isTornTail && start < wanted) batch.torn.push({ offset: from + start, bytes: wanted - start });
  batch.end = from + (isTornTail ? wanted : start);
  return batch;
}

function readFully(fd: number, from: number, target: Buffer): Buffer {
  let length = 0;
  while (length < target.length) {
    const read = readSync(fd, target, length, target.length - length, from + length);
    if (read === 0) break;
    length += read;
  }
  return target.subarray(0, length);
}

function decodeLine(line: Buffer): LedgerRow | undefined {
  const body = line.subarray(CRC_DIGITS + 1);
  if (line.toString("latin1", 0, CRC_DIGITS) !== checksum(body)) return undefined;
  try {
    return JSON.parse(body.toString()) as LedgerRow;
  } catch {
    return undefined; // One garbled line in four billion has a fitting checksum.
  }
}

export function encodeLine(row: LedgerRow): string {
  const body = JSON.stringify(journalled(row));
  return `${checksum(body)} ${body}\n`;
}

function checksum(body: string | Buffer): string {
  return crc32(body).toString(16).padStart(CRC_DIGITS, "0");
}

/** Field by field, so that whatever else hangs on the caller's object (credentials, prompts) cannot reach the disk. */
function journalled(row: LedgerRow): LedgerRow {
  if (row.kind === "opened") {
    const { kind, requestId, attempt, openedAtMs, catalogVersion, rule, reservedNanoUsd } = row;
    return {
      ...{ kind, requestId, attempt, openedAtMs, catalogVersion, rule, reservedNanoUsd, ...ownerOf(row) },
      provider: cut(row.provider),
      model: cut(row.model),
      account: cutOptional(row.account),
    };
  }
  if (row.kind === "settled") {
    const { kind, requestId, attempt, endedAtMs, firstByteMs, usage, costNanoUsd } = row;
    const { priceStatus, httpStatus, errorKind, endReason, estimatedNanoUsd, ratesKey } = row;
    const upstreamRequestId = cutOptional(row.upstreamRequestId);
    const finishReason = cutOptional(row.finishReason);
    return {
      ...{ kind, requestId, attempt, endedAtMs, firstByteMs, usage, costNanoUsd },
      ...{ priceStatus, httpStatus, errorKind, endReason, upstreamRequestId, finishReason },
      ...{ estimatedNanoUsd, ratesKey },
    };
  }
  if (row.kind === "rates") return { kind: row.kind, key: row.key, json: row.json };
  const { kind, requestId, receivedAtMs, endedAtMs, stream, status, errorKind, attempts, snapshotId } = row;
  return {
    ...{ kind, requestId, receivedAtMs, endedAtMs, stream, status, errorKind, attempts, snapshotId, ...ownerOf(row) },
    queuedMs: row.queuedMs,
    bodyHash: row.bodyHash,
    user: cutOptional(row.user),
    app: cutOptional(row.app),
    session: cutOptional(row.session),
    endpoint: cut(row.endpoint),
    modelRequested: cut(row.modelRequested),
    decision: cut(row.decision),
    warnings: row.warnings.slice(0, WARNINGS_MAX).map(cut),
    trace: row.trace === undefined || row.trace.length > TRACE_CHARS_MAX ? undefined : row.trace,
  };
}

/** At most so many tags of a request are kept. */
const TAGS_MAX = 20;

function ownerOf({ key, keyId, team, organisation, tags }: Owner): Owner {
  return { key, keyId, team, organisation, tags: tags?.slice(0, TAGS_MAX).map(cut) };
}

function cut(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : text.slice(0, TEXT_CHARS_MAX);
}

function cutOptional(text: string | undefined): string | undefined {
  return text === undefined ? undefined : cut(text);
}

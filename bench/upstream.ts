// The fastest upstream that can be had in Node: providers' answers as ready-made bytes straight onto a TCP socket.
//
// It must cost far less than what is measured, so it is no HTTP server: it finds the end of each request in the bytes,
// the mark in its prompt, and writes. The router's simulator is the opposite: faithful, and slow.
import { createServer, type Socket } from "node:net";
import { ANSWERS, deltaText, nowUs, STAMP_DIGITS, type Wanted, type WireDialect, wantedOf } from "./answers.ts";
import { answerControl } from "./control.ts";

const HEAD_END = Buffer.from("\r\n\r\n");
const HEAD = "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nx-request-id: req_bench\r\n";
const STREAM_HEAD = `${HEAD}content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n`;
const NO_MARK = failure(400, "the prompt has no mark");
const FAILED = failure(500, "wanted");

interface Ready {
  json: Buffer;
  /** One write each, as a model's server makes them: the head with the first frame, then frame by frame. */
  streams: Map<number, StreamWrite[]>;
}

interface StreamWrite {
  bytes: Buffer;
  /** Where the time of its sending goes; undefined: it is no delta. */
  stampAt: number | undefined;
}

const READY: Record<WireDialect, Ready> = {
  openai: { json: jsonBytes("openai"), streams: new Map() },
  anthropic: { json: jsonBytes("anthropic"), streams: new Map() },
  google: { json: jsonBytes("google"), streams: new Map() },
};

function jsonBytes(dialect: WireDialect): Buffer {
  return document(200, ANSWERS[dialect].json);
}

function document(status: number, text: string): Buffer {
  const head = HEAD.replace("200 OK", status === 200 ? "200 OK" : `${status} Error`);
  return Buffer.from(
    `${head}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function failure(status: number, message: string): Buffer {
  return document(status, JSON.stringify({ error: { message, type: "server_error", param: null, code: null } }));
}

function streamWrites(dialect: WireDialect, deltas: number): StreamWrite[] {
  const found = READY[dialect].streams.get(deltas);
  if (found !== undefined) return found;
  const { opening, delta, closing } = ANSWERS[dialect].stream;
  const texts = Array.from({ length: deltas }, (_, number) => deltaText(number));
  const frames = [...opening, ...texts.map(delta), ...closing];
  const writes = frames.map((frame, index) => {
    const start = index === 0 ? STREAM_HEAD : "";
    const end = index === frames.length - 1 ? "\r\n0\r\n\r\n" : "\r\n";
    const bytes = Buffer.from(`${start}${Buffer.byteLength(frame).toString(16)}\r\n${frame}${end}`);
    const text = texts[index - opening.length];
    const stampAt = text === undefined ? undefined : bytes.indexOf(text) + text.length - STAMP_DIGITS;
    return { bytes, stampAt };
  });
  READY[dialect].streams.set(deltas, writes);
  return writes;
}

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let parts: Buffer[] = [];
  let held = 0;
  /** Before there are as many, looking is in vain. */
  let needed = 0;
  socket.on("data", (bytes) => {
    parts.push(bytes);
    held += bytes.length;
    if (held < needed) return;
    let pending = parts.length === 1 ? bytes : Buffer.concat(parts);
    let length = requestBytes(pending);
    for (; length <= pending.length; length = requestBytes(pending)) {
      answer(socket, pending.subarray(0, length));
      pending = pending.subarray(length);
    }
    needed = length === Number.POSITIVE_INFINITY ? 0 : length;
    parts = pending.length === 0 ? [] : [pending];
    held = pending.length;
  });
  // A subject that is stopped resets its connections.
  socket.on("error", () => {});
}

/** Bytes of the first request, head and body; infinite while the head is not complete. */
function requestBytes(bytes: Buffer): number {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return Number.POSITIVE_INFINITY;
  const length = /content-length: *(\d+)/i.exec(bytes.toString("latin1", 0, headEnd))?.[1];
  return headEnd + HEAD_END.length + Number(length ?? 0);
}

function answer(socket: Socket, request: Buffer): void {
  const dialect = dialectOf(request);
  const wanted = wantedOf(request);
  if (wanted === undefined) socket.write(NO_MARK);
  else if (wanted.ending === "fail") socket.write(FAILED);
  else if (wanted.deltas === 0) socket.write(READY[dialect].json);
  else stream(socket, streamWrites(dialect, wanted.deltas), wanted);
}

const LINE_BYTES = 160;

function dialectOf(request: Buffer): WireDialect {
  const line = request.toString("latin1", 0, Math.min(LINE_BYTES, request.indexOf("\r\n")));
  if (line.includes("/messages")) return "anthropic";
  return /enerateContent/.test(line) ? "google" : "openai";
}

function stream(socket: Socket, writes: readonly StreamWrite[], { paceMs, ending }: Required<Wanted>): void {
  const length = ending === "cut" ? Math.ceil(writes.length / 2) : writes.length;
  let next = 0;
  const writeNext = () => {
    const { bytes, stampAt } = writes[next] as StreamWrite;
    socket.write(stampAt === undefined || paceMs === 0 ? bytes : stamped(bytes, stampAt));
    next += 1;
    if (next === length && length < writes.length) socket.destroy();
  };
  if (paceMs === 0) {
    while (next < length) writeNext();
    return;
  }
  while (writes[next]?.stampAt === undefined) writeNext();
  writeNext();
  // Each its own timer: deltas of different streams do not come in step.
  const timer = setInterval(() => {
    if (next < length && !socket.destroyed) writeNext();
    // The end follows the last delta at once, as models send it.
    while (next < length && writes[next]?.stampAt === undefined && !socket.destroyed) writeNext();
    if (next >= length || socket.destroyed) clearInterval(timer);
  }, paceMs);
}

function stamped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.write(String(nowUs()).padStart(STAMP_DIGITS, "0"), at, "latin1");
  return copy;
}

const server = createServer(serve).listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () =>
  answerControl({ server }),
);

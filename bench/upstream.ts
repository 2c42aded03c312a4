// The fastest upstream that can be had in Node: OpenAI's answers as ready-made bytes straight onto a TCP socket.
//
// It must cost far less than what is measured, so it is no HTTP server: it knows the two requests of the bench, finds
// the end of each in the bytes and writes. The router's simulator is the opposite: faithful, and slow.
import { createServer, type Socket } from "node:net";
import { JSON_ANSWER, PACED_USER, STREAM_FRAMES } from "./answers.ts";
import { answerControl } from "./control.ts";

/** 500 deltas a second: faster than any model, slow enough that each arrives alone. */
const PACE_MS = 2;

const HEAD_END = Buffer.from("\r\n\r\n");
const STREAM_MARK = Buffer.from('"stream":true');
const PACED_MARK = Buffer.from(`"user":"${PACED_USER}"`);
const EMPTY = Buffer.alloc(0);

const COMMON_HEAD =
  "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nx-request-id: req_bench\r\nopenai-version: 2020-10-01\r\n";
const JSON_BYTES = Buffer.concat([
  Buffer.from(`${COMMON_HEAD}content-type: application/json\r\ncontent-length: ${JSON_ANSWER.length}\r\n\r\n`),
  JSON_ANSWER,
]);
const STREAM_HEAD = Buffer.from(
  `${COMMON_HEAD}content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n`,
);
/** One write each, as a model's server makes them: the head with the first frame, then frame by frame. */
const STREAM_WRITES = STREAM_FRAMES.map((frame, index) =>
  Buffer.concat([
    index === 0 ? STREAM_HEAD : EMPTY,
    Buffer.from(`${frame.length.toString(16)}\r\n`),
    frame,
    Buffer.from(index === STREAM_FRAMES.length - 1 ? "\r\n0\r\n\r\n" : "\r\n"),
  ]),
);

/** Streams that are on their way, with the number of the next write. */
const paced = new Map<Socket, number>();

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let pending: Buffer = EMPTY;
  socket.on("data", (bytes) => {
    pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    for (let length = requestBytes(pending); length <= pending.length; length = requestBytes(pending)) {
      answer(socket, pending.subarray(0, length));
      pending = pending.subarray(length);
    }
  });
  // A subject that is stopped resets its connections.
  socket.on("error", () => {});
  socket.on("close", () => paced.delete(socket));
}

/** Bytes of the first request, head and body; infinite while the head is not complete. */
function requestBytes(bytes: Buffer): number {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return Number.POSITIVE_INFINITY;
  const length = /content-length: *(\d+)/i.exec(bytes.toString("latin1", 0, headEnd))?.[1];
  return headEnd + HEAD_END.length + Number(length ?? 0);
}

function answer(socket: Socket, request: Buffer): void {
  if (!request.includes(STREAM_MARK)) {
    socket.write(JSON_BYTES);
  } else if (request.includes(PACED_MARK)) {
    socket.write(STREAM_WRITES[0] as Buffer);
    paced.set(socket, 1);
  } else {
    for (const bytes of STREAM_WRITES) socket.write(bytes);
  }
}

function tick(): void {
  for (const [socket, next] of paced) {
    socket.write(STREAM_WRITES[next] as Buffer);
    if (next + 1 < STREAM_WRITES.length) paced.set(socket, next + 1);
    else paced.delete(socket);
  }
}

setInterval(tick, PACE_MS);
const server = createServer(serve).listen(0, "127.0.0.1", () => answerControl({ server }));

// A provider on a bare TCP socket: it sends any bytes at any time and leaves in any way, which an HTTP library would not let it.
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { vi } from "vitest";
import { DIALECTS, type DialectId, WIRES, type Wire } from "./wires.ts";

/** What a call is answered with. */
export interface Act {
  /** Raw bytes of HTTP, head included. May be endless: it ends when the router leaves. */
  bytes: Iterable<Uint8Array>;
  /** Between two writes. */
  everyMs?: number;
  /** `done`: the answer is whole and the connection is kept; `end`: FIN; `reset`: RST; `silence`: nothing more, ever. */
  last: "done" | "end" | "reset" | "silence";
}

export interface Exchange {
  wire: Wire;
  stream: boolean;
}

export interface SeenCall {
  slot: number;
  dialect: DialectId;
  /** Resolves when the bytes are out. */
  sent: Promise<void>;
  /** Resolves when the answer is whole or the connection is gone: with true when the router cut it. */
  over: Promise<boolean>;
  /** Writes the kernel has taken so far. */
  progress(): number;
}

export interface Fake {
  port: number;
  /** Of the case that holds the slot. */
  calls: SeenCall[];
  /** What the next calls in this slot meet; a dialect that is not named is healthy. */
  script(slot: number, acts: Partial<Record<DialectId, (exchange: Exchange) => Act>>): void;
  /** Resolves with the call at that place (from 0) among those in the slot, when it comes. */
  nextCall(slot: number, place: number): Promise<SeenCall>;
  /** Connections, and those of them on which a call is being answered. */
  status(): { sockets: number; busy: number };
  /** Closes the connections on which nothing goes on. */
  dropIdle(): void;
  close(): Promise<void>;
}

type Acts = Partial<Record<DialectId, (exchange: Exchange) => Act>>;

interface State {
  scripts: Map<number, Acts>;
  calls: SeenCall[];
  sockets: Set<Socket>;
  busy: Set<Socket>;
  waiting: Set<() => void>;
}

export async function startFake(): Promise<Fake> {
  const state: State = { scripts: new Map(), calls: [], sockets: new Set(), busy: new Set(), waiting: new Set() };
  const server = createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
    state.sockets.add(socket);
    socket.on("close", () => state.sockets.delete(socket));
    // A router that leaves while bytes are on their way resets the connection: that is what is looked for.
    socket.on("error", () => {});
    serve(state, socket).catch((bug: unknown) => socket.destroy(bug as Error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    calls: state.calls,
    script: (slot, acts) => void state.scripts.set(slot, acts),
    nextCall: async (slot, place) => {
      for (;;) {
        const call = state.calls.filter((seen) => seen.slot === slot)[place];
        if (call !== undefined) return call;
        await new Promise<void>((resolve) => state.waiting.add(resolve));
      }
    },
    status: () => ({ sockets: state.sockets.size, busy: state.busy.size }),
    dropIdle: () => {
      for (const socket of state.sockets) if (!state.busy.has(socket)) socket.destroy();
    },
    close: async () => {
      server.close();
      for (const socket of state.sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

/** Answers one request after the other, as long as connections are kept. */
async function serve(state: State, socket: Socket): Promise<void> {
  let request = Buffer.alloc(0);
  for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
    request = Buffer.concat([request, bytes as Buffer]);
    const whole = readRequest(request);
    if (whole === undefined) continue;
    request = Buffer.alloc(0);
    // Not awaited: the iterator must go on, or the end of the connection would not be seen.
    void answer(state, socket, whole);
  }
}

interface Request {
  slot: number;
  dialect: DialectId;
  stream: boolean;
}

/** Paths begin with the slot and the dialect: `/7/openai-chat/…`. */
function readRequest(bytes: Buffer): Request | undefined {
  const headBytes = bytes.indexOf("\r\n\r\n");
  if (headBytes === -1) return undefined;
  const head = bytes.toString("latin1", 0, headBytes);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  if (bytes.length < headBytes + 4 + length) return undefined;
  const path = head.split(" ")[1] ?? "";
  const [, slot, name] = path.split("/");
  const dialect = DIALECTS.find((id) => id === name);
  if (dialect === undefined) throw new Error(`no fake answers at ${path}`);
  const body = JSON.parse(bytes.toString("utf8", headBytes + 4)) as { stream?: boolean };
  return { slot: Number(slot), dialect, stream: body.stream === true || path.includes(":streamGenerateContent") };
}

async function answer(state: State, socket: Socket, { slot, dialect, stream }: Request): Promise<void> {
  state.busy.add(socket);
  const sent = Promise.withResolvers<void>();
  const over = Promise.withResolvers<boolean>();
  let isOurs = false;
  const leave = () => {
    state.busy.delete(socket);
    sent.resolve();
    over.resolve(!isOurs);
  };
  socket.once("close", leave);
  let written = 0;
  state.calls.push({ slot, dialect, sent: sent.promise, over: over.promise, progress: () => written });
  for (const wake of state.waiting) wake();
  state.waiting.clear();
  const wire = WIRES[dialect];
  const act = (state.scripts.get(slot)?.[dialect] ?? healthy)({ wire, stream });
  await send(socket, act, () => {
    written += 1;
  });
  if (socket.destroyed) return;
  sent.resolve();
  if (act.last === "silence") return;
  isOurs = true;
  if (act.last === "end") socket.destroySoon();
  else if (act.last === "reset") socket.resetAndDestroy();
  else {
    socket.off("close", leave);
    leave();
  }
}

async function send(socket: Socket, { bytes, everyMs }: Act, onWritten: () => void): Promise<void> {
  for (const part of bytes) {
    if (socket.destroyed) return;
    // The next part is sent when this one is with the kernel: the other side reads them one by one.
    await new Promise<void>((resolve) => {
      const done = () => {
        socket.off("close", done);
        resolve();
      };
      socket.once("close", done);
      socket.write(part, done);
    });
    onWritten();
    if (everyMs !== undefined) await delay(everyMs);
  }
}

/** Resolves when all buffers between the fake and a caller who does not read are full. */
export function standstill({ progress }: SeenCall): Promise<void> {
  let before = -1;
  return vi.waitFor(
    () => {
      const now = progress();
      const isStill = now === before;
      before = now;
      if (!isStill) throw new Error("bytes still flow");
    },
    { interval: 100, timeout: 10_000 },
  );
}

const CRLF = "\r\n";

/** The head of an answer in chunks, unless it tells a length. */
export function head(status: number, headers: Record<string, string> = {}): Buffer {
  const framing = "content-length" in headers ? {} : { "transfer-encoding": "chunked" };
  const lines = Object.entries({ ...framing, ...headers }).map(([name, value]) => `${name}: ${value}${CRLF}`);
  return Buffer.from(`HTTP/1.1 ${status} Scripted${CRLF}${lines.join("")}${CRLF}`);
}

export function streamHead(): Buffer {
  return head(200, { "content-type": "text/event-stream" });
}

export function jsonHead(status: number, bytes: number, headers: Record<string, string> = {}): Buffer {
  return head(status, { "content-type": "application/json", "content-length": String(bytes), ...headers });
}

export function chunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(bytes.length.toString(16) + CRLF), bytes, Buffer.from(CRLF)]);
}

export const LAST_CHUNK = Buffer.from(`0${CRLF}${CRLF}`);

export function eventsOf({ preamble, content, closing }: Wire): Buffer[] {
  return [...preamble, ...content, ...closing];
}

/** Events in chunks of their own, after the head of a stream. */
export function streamed(events: readonly Uint8Array[]): Buffer[] {
  return [streamHead(), ...events.map(chunk)];
}

function healthy({ wire, stream }: Exchange): Act {
  const parts = stream ? [...streamed(eventsOf(wire)), LAST_CHUNK] : [jsonHead(200, wire.body.length), wire.body];
  return { bytes: [Buffer.concat(parts)], last: "done" };
}

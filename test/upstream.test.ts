// The door to providers, against real servers on loopback that hang, break off and talk without end.
import { getEventListeners } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ProviderError } from "../src/chat.ts";
import { type Clocks, createUpstream, type Opened, type UpstreamRequest } from "../src/upstream.ts";
import { selfSigned } from "./support/certificate.ts";

const SECRET = "sk-canary-123456";
/** Longer than any test may take. */
const LONG: Clocks = { firstByteMs: 60_000, idleMs: 60_000, contentIdleMs: 60_000, totalMs: 60_000 };

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

interface Served {
  url: string;
  /** Connections that were ever made. */
  connections: Socket[];
  /** Resolves when the first connection is closed. */
  closed: Promise<void>;
}

async function serve(handler: Handler): Promise<Served> {
  const server = createServer(handler);
  const connections: Socket[] = [];
  const closed = new Promise<void>((resolve) => {
    server.on("connection", (socket) => {
      connections.push(socket);
      socket.on("close", () => resolve());
      socket.on("error", () => {});
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of connections) socket.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat`, connections, closed };
}

function upstream(options: Parameters<typeof createUpstream>[0] = {}) {
  const door = createUpstream(options);
  onTestFinished(() => door.close());
  return door;
}

function call(url: string, changes: Partial<UpstreamRequest> = {}): UpstreamRequest {
  const headers = { authorization: `Bearer ${SECRET}`, "content-type": "application/json" };
  return { url, headers, body: "{}", signal: new AbortController().signal, clocks: LONG, ...changes };
}

async function open(url: string, changes: Partial<UpstreamRequest> = {}, door = upstream()): Promise<Opened> {
  const sent = await door.send(call(url, changes));
  if (sent.kind === "error") throw new Error(`no answer: ${sent.error.message}`);
  return sent;
}

/** The whole body as text, and how it ended; `progress` after each chunk, as if it held content. */
async function readAll(opened: Opened): Promise<{ text: string; error: ProviderError | undefined }> {
  let text = "";
  const chunks = opened.chunks();
  for (let step = await chunks.next(); ; step = await chunks.next()) {
    if (step.done) return { text, error: step.value };
    text += Buffer.from(step.value).toString();
    opened.progress();
  }
}

test("a thousand calls to one provider are under way at the same time", async () => {
  const waiting: ServerResponse[] = [];
  const { url } = await serve((_, response) => {
    waiting.push(response);
    // None is answered before all have arrived.
    if (waiting.length === 1_000) for (const one of waiting) one.end("{}");
  });
  const door = upstream();
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => open(url, {}, door).then(readAll)));
  expect(answers.filter(({ text }) => text !== "{}")).toEqual([]);
});

describe("a provider that answers", () => {
  test("gets method, path, headers and body as they were given", async () => {
    const { url } = await serve((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      const { method, url: path, headers } = request;
      request.on("end", () => response.end(JSON.stringify([method, path, headers.authorization, body])));
    });
    const read = await (await open(`${url}?a=b`, { body: '{"ż":1}' })).text(1_000);
    expect(read).toEqual({ text: JSON.stringify(["POST", "/v1/chat?a=b", `Bearer ${SECRET}`, '{"ż":1}']) });
  });

  test("is read to its end, whatever its status", async () => {
    const { url } = await serve((_, response) => response.writeHead(429).end("slow down"));
    const opened = await open(url);
    expect(opened.status).toBe(429);
    expect(await opened.text(9)).toEqual({ text: "slow down" });
  });

  test("may repeat a header; the first value counts, and names are lower case", async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, ["X-Limit", "1", "X-Limit", "2", "X-One", "a"]).end();
    });
    const opened = await open(url);
    expect(opened.headers).toMatchObject({ "x-limit": "1", "x-one": "a" });
    opened.close();
  });

  test("keeps its connection for the next call once the body was read or drained", async () => {
    const { url, connections } = await serve((request, response) => {
      request.resume().on("end", () => response.end("data: [DONE]\n\n"));
    });
    // With room for one connection the next call waits until the last one has given it back.
    const door = upstream({ connectionsPerOrigin: 1 });
    await (await open(url, {}, door)).text(100);
    const streamed = await open(url, {}, door);
    await streamed.chunks().next();
    streamed.drain();
    await (await open(url, {}, door)).text(100);
    expect(connections).toHaveLength(1);
  });

  test("that goes on after the end of its answer loses its connection", async () => {
    let written = 0;
    const { url, closed } = await serve((_, response) => {
      response.on("error", () => {});
      const more = () => {
        do written += 4_096;
        while (!response.destroyed && response.write("x".repeat(4_096)));
      };
      response.on("drain", more);
      more();
    });
    const opened = await open(url);
    await opened.chunks().next();
    opened.drain();
    await closed;
    // What fits into the buffers of two sockets, and far from what a second of loopback carries.
    expect(written).toBeLessThan(64 * 1024 ** 2);
  });

  test("larger than allowed is cut off at the bound", async () => {
    const { url, closed } = await serve((_, response) => {
      response.write("x".repeat(1_000));
    });
    expect(await (await open(url)).text(999)).toEqual({
      error: { kind: "malformed", message: "The provider's answer is larger than 999 bytes." },
    });
    await closed;
  });
});

describe("a provider that hangs for ever is given up by the clock that was set for it", () => {
  const firstByte = { kind: "timeout", message: "The provider sent no content within 300 ms.", code: "timeout" };

  test("before the head of the answer: first byte", async () => {
    const { url, closed } = await serve(() => {});
    const sent = await upstream().send(call(url, { clocks: { ...LONG, firstByteMs: 300 } }));
    expect(sent).toEqual({ kind: "error", error: firstByte, wasSent: true });
    await closed;
  });

  test("after keep-alives, which are no content: first byte", async () => {
    const { url, closed } = await serve((_, response) => {
      const timer = setInterval(() => response.write(": keep-alive\n\n"), 5);
      response.on("close", () => clearInterval(timer));
    });
    const opened = await open(url, { clocks: { ...LONG, firstByteMs: 300 } });
    const chunks = opened.chunks();
    let step = await chunks.next();
    while (!step.done) step = await chunks.next();
    expect(step.value).toEqual(firstByte);
    await closed;
  });

  test("in the middle of the content: idle", async () => {
    const { url, closed } = await serve((_, response) => {
      response.write("data: a\n\n");
    });
    expect(await readAll(await open(url, { clocks: { ...LONG, idleMs: 40 } }))).toEqual({
      text: "data: a\n\n",
      error: {
        kind: "timeout",
        message: "The provider fell silent for 40 ms in the middle of its answer.",
        code: "timeout",
      },
    });
    await closed;
  });

  test("that keeps its connection alive after some content but writes no more: content idle", async () => {
    const { url, closed } = await serve((_, response) => {
      response.write("data: a\n\n");
      const timer = setInterval(() => response.write(": ping\n\n"), 5);
      response.on("close", () => clearInterval(timer));
    });
    const opened = await open(url, { clocks: { ...LONG, contentIdleMs: 300 } });
    const chunks = opened.chunks();
    await chunks.next();
    opened.progress();
    let step = await chunks.next();
    // Keep-alives are no progress.
    while (!step.done) step = await chunks.next();
    expect(step.value).toEqual({
      kind: "timeout",
      message: "The provider sent no content for 300 ms in the middle of its answer, although its connection is alive.",
      code: "timeout",
    });
    await closed;
  });

  test("is not given up while nobody asks for the next piece: a slow caller is not the provider's silence", async () => {
    let answer: ServerResponse | undefined;
    const { url } = await serve((_, response) => {
      answer = response;
      response.write("a");
    });
    const opened = await open(url, { clocks: { ...LONG, idleMs: 100, contentIdleMs: 100 } });
    const chunks = opened.chunks();
    await chunks.next();
    opened.progress();
    const asked = new Promise((resolve) => setTimeout(resolve, 400)).then(() => chunks.next());
    setTimeout(() => answer?.end("b"), 350);
    const step = await asked;
    expect(step.done === true ? step.value : Buffer.from(step.value).toString()).toBe("b");
  });

  test("with content that never ends: total", async () => {
    const { url, closed } = await serve((_, response) => {
      const timer = setInterval(() => response.write("data: a\n\n"), 5);
      response.on("close", () => clearInterval(timer));
    });
    const { error } = await readAll(await open(url, { clocks: { ...LONG, totalMs: 300 } }));
    expect(error).toEqual({
      kind: "timeout",
      message: "The provider did not finish within 300 ms.",
      code: "timeout",
    });
    await closed;
  });

  test("with a buffered body that never ends: total", async () => {
    const { url, closed } = await serve((_, response) => {
      response.write("{");
    });
    const read = await (await open(url, { clocks: { ...LONG, firstByteMs: 300, totalMs: 300 } })).text(100);
    expect(read).toMatchObject({ error: { kind: "timeout" } });
    await closed;
  });

  test("content that keeps coming moves the idle clock on, past the first-byte clock", async () => {
    const { url } = await serve((_, response) => {
      response.write("a");
      setTimeout(() => response.end("b"), 700);
    });
    const read = await readAll(
      await open(url, { clocks: { ...LONG, firstByteMs: 500, idleMs: 15_000, contentIdleMs: 15_000 } }),
    );
    expect(read).toEqual({ text: "ab", error: undefined });
  });
});

describe("a connection that fails", () => {
  test("because nobody listens was certainly never used", async () => {
    const { url, connections } = await serve(() => {});
    const nobody = new URL(url);
    nobody.port = "1";
    expect(await upstream().send(call(nobody.href))).toEqual({
      kind: "error",
      error: {
        kind: "network",
        subkind: "connect",
        message: "The connection to the provider failed (ECONNREFUSED).",
        code: "upstream_unreachable",
      },
      wasSent: false,
    });
    expect(connections).toEqual([]);
  });

  test("because the certificate is nobody's was certainly never used, and says so", async () => {
    const server = createTlsServer(selfSigned("127.0.0.1"), () => {});
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await upstream().send(call(`https://127.0.0.1:${port}/v1/chat`))).toEqual({
      kind: "error",
      error: {
        kind: "network",
        subkind: "certificate",
        message: "The provider's certificate is not valid (DEPTH_ZERO_SELF_SIGNED_CERT).",
        code: "upstream_unreachable",
      },
      wasSent: false,
    });
  });

  test("whatever else the provider speaks, it is asked for HTTP/1.1 only: each call has a connection to itself", async () => {
    const offered: string[][] = [];
    const ALPNCallback = ({ protocols }: { protocols: string[] }) => {
      offered.push(protocols);
      return protocols.find((protocol) => protocol === "h2") ?? protocols[0];
    };
    const server = createTlsServer({ ...selfSigned("127.0.0.1"), ALPNCallback }, () => {});
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    await upstream().send(call(`https://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat`));
    expect(offered).toEqual([["http/1.1"]]);
  });

  test("before the head of the answer may have been used", async () => {
    const { url } = await serve((request) => request.socket.destroy());
    expect(await upstream().send(call(url))).toMatchObject({ error: { kind: "network" }, wasSent: true });
  });

  test("in the middle of a stream is told with what had come", async () => {
    const { url } = await serve((_, response) => {
      response.write("data: a\n\n", () => response.destroy());
    });
    const { text, error } = await readAll(await open(url));
    expect(text).toBe("data: a\n\n");
    expect(error).toMatchObject({ kind: "network" });
  });

  test("in the middle of a buffered body is told, not taken for its end", async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => response.destroy());
    });
    expect(await (await open(url)).text(100)).toMatchObject({ error: { kind: "network" } });
  });

  test("because the other side does not speak TLS is a failure of the network", async () => {
    const { url } = await serve(() => {});
    expect(await upstream().send(call(url.replace("http:", "https:")))).toMatchObject({ error: { kind: "network" } });
  });
});

describe("a caller that leaves", () => {
  const cancelled = { kind: "cancelled", message: "The caller closed the connection." };

  test("before the call is sent costs the provider nothing", async () => {
    const { url } = await serve(() => {
      throw new Error("the provider was called");
    });
    expect(await upstream().send(call(url, { signal: AbortSignal.abort() }))).toMatchObject({ error: cancelled });
  });

  test("before the answer closes the provider's connection", async () => {
    const abort = new AbortController();
    const { url, closed } = await serve(() => abort.abort());
    expect(await upstream().send(call(url, { signal: abort.signal }))).toMatchObject({ error: cancelled });
    await closed;
  });

  test("in the middle of the answer closes the provider's connection", async () => {
    const abort = new AbortController();
    const { url, closed } = await serve((_, response) => {
      response.write("data: a\n\n");
    });
    const opened = await open(url, { signal: abort.signal });
    const chunks = opened.chunks();
    await chunks.next();
    abort.abort();
    expect(await chunks.next()).toEqual({ done: true, value: cancelled });
    await closed;
  });

  test("in the middle of a buffered answer closes the provider's connection", async () => {
    const abort = new AbortController();
    const { url, closed } = await serve((_, response) => {
      response.write("{");
    });
    const read = (await open(url, { signal: abort.signal })).text(100);
    abort.abort();
    expect(await read).toEqual({ error: cancelled });
    await closed;
  });
});

test("a caller's signal is not held on to after the call", async () => {
  const { url } = await serve((_, response) => response.end("ok"));
  const { signal } = new AbortController();
  await (await open(url, { signal })).text(100);
  await upstream().send(call("http://127.0.0.1:1/v1", { signal }));
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("closing an answer that is not finished closes the provider's connection", async () => {
  const { url, closed } = await serve((_, response) => {
    response.write("data: a\n\n");
  });
  const opened = await open(url);
  await opened.chunks().next();
  opened.close();
  await closed;
});

test("what goes wrong is told without key, header or address", async () => {
  const hang = await serve(() => {});
  const broken = await serve((request) => request.socket.destroy());
  const door = upstream();
  const failures = [
    await door.send(call("http://127.0.0.1:1/v1")),
    await door.send(call(broken.url)),
    await door.send(call(hang.url, { clocks: { ...LONG, firstByteMs: 20 } })),
    await door.send(call(hang.url, { signal: AbortSignal.abort() })),
    await door.send(call(hang.url, { headers: { authorization: `Bearer ${SECRET}\n` } })),
  ];
  for (const failure of failures) {
    expect(failure.kind).toBe("error");
    expect(JSON.stringify(failure)).not.toMatch(/canary|127\.0\.0\.1|authorization/i);
  }
});

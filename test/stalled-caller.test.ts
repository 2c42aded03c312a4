// A caller that asks and then takes nothing: the provider is slowed, what is held for it has a bound, and it is cut.
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { chunk, DONE, startFakeProvider } from "./support/fake-provider.ts";
import { startTestRouter } from "./support/router.ts";

const CONFIG = "server: { send_timeout: 200ms }\n";
const RULES = "version: 1\nrules:\n  - { name: one, model: house, from: [openai/gpt-6-luna] }\n";
/** More than the kernel keeps for a connection. */
const FLOOD_BYTES = 48 * 1024 ** 2;
const PART = "x".repeat(256 * 1024);

async function start() {
  const fake = await startFakeProvider();
  const router = await startTestRouter({ env: fake.env, config: CONFIG, rules: RULES });
  return { fake, router };
}

/** A caller on a bare socket that reads nothing until it is told to, and the router's response to it. */
function ask(url: string, stream: boolean): { socket: Socket; response: Promise<ServerResponse> } {
  const response = new Promise<ServerResponse>((resolve) => {
    const onStart = (message: unknown) => {
      const { request, response: found } = message as { request: { url?: string }; response: ServerResponse };
      if (request.url !== "/v1/chat/completions") return;
      unsubscribe("http.server.request.start", onStart);
      resolve(found);
    };
    subscribe("http.server.request.start", onStart);
  });
  const body = JSON.stringify({ model: "house", stream, messages: [{ role: "user", content: "Hi" }] });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: router\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.write(`${head}\r\n\r\n${body}`);
  onTestFinished(() => {
    socket.destroy();
  });
  return { socket, response };
}

function closing(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once("close", () => resolve()));
}

describe("a stream that nobody takes", () => {
  async function flood() {
    const { fake, router } = await start();
    const { socket, response } = ask(router.url, true);
    const call = await fake.next();
    call.send(chunk({ role: "assistant", content: "" }));
    for (let sent = 0; sent < FLOOD_BYTES; sent += PART.length) call.send(chunk({ content: PART }));
    call.send(chunk({}, "stop"), DONE);
    call.end();
    return { router, socket, call, response: await response };
  }

  test("ends the call, and whoever reads on after all finds out why", async () => {
    const { router, socket, call, response } = await flood();
    expect(await call.over).toBe("cut");
    // One read of the provider's socket and what Node holds before it says that it is enough.
    expect(response.writableLength).toBeLessThan(2 * 1024 ** 2);
    let text = "";
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.setEncoding("utf8").on("data", (part: string) => {
      text = (text + part).slice(-1_000);
      if (text.endsWith("0\r\n\r\n")) socket.end();
    });
    await ended;
    expect(text).toContain('"code":"caller_stalled"');
    expect(text).toContain("The caller took nothing of its answer for 0.2 s");
    expect(text).not.toContain("[DONE]");
    const { requests, attempts } = await router.ledger();
    expect(requests).toMatchObject([{ status: 499, error_kind: "cancelled", attempts: 1 }]);
    expect(attempts).toMatchObject([{ state: "settled", end_reason: "cancelled" }]);
  });

  test("is cut for good when the caller goes on taking nothing", async () => {
    const { socket, response } = await flood();
    await closing(response);
    // Node reads once by itself.
    expect(socket.bytesRead).toBeLessThan(2 * 1024 ** 2);
    expect(response.writableFinished).toBe(false);
  });
});

test("a whole answer that nobody takes is cut too", async () => {
  const { fake, router } = await start();
  const { response } = ask(router.url, false);
  const call = await fake.next();
  const message = { role: "assistant", content: "x".repeat(FLOOD_BYTES) };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  call.answer(200, {
    ...chunk({}),
    object: "chat.completion",
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage,
  });
  await closing(await response);
  expect((await response).writableFinished).toBe(false);
  const { requests } = await router.ledger();
  expect(requests).toMatchObject([{ status: 200 }]);
});

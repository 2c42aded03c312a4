// kill -9 of the whole router under load: what callers have whole is in the ledger exactly, the rest is known as unknown.

import { writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { openLedger } from "../src/store/ledger.ts";
import { newDir, tables, wrongSums } from "./store-support.ts";
import { serving } from "./support/process.ts";

/** More with SIGNALBOX_KILL_ROUNDS=20. */
const ROUNDS = Number(process.env.SIGNALBOX_KILL_ROUNDS ?? 3);
const CALLS_PER_SECOND = 500;
const IN_NANO = 1_000;
const OUT_NANO = 2_000;

/** A provider whose every answer has another bill. Streams come in pieces, so that a kill meets them in the middle. */
async function startProvider(): Promise<string> {
  let count = 0;
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => {
      count += 1;
      const usage = { prompt_tokens: 10 + (count % 90), completion_tokens: 1 + (count % 900), total_tokens: 0 };
      const isStream = Buffer.concat(parts).includes('"stream":true');
      void (isStream ? streamAnswer(response, usage) : wholeAnswer(response, usage));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

const HEAD = { id: "c", created: 1, model: "m" };

async function wholeAnswer(response: ServerResponse, usage: object): Promise<void> {
  await delay(10);
  const choices = [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }];
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify({ ...HEAD, object: "chat.completion", choices, usage }));
}

async function streamAnswer(response: ServerResponse, usage: object): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (more: object) => `data: ${JSON.stringify({ ...HEAD, object: "chat.completion.chunk", ...more })}\n\n`;
  for (const content of ["o", "k", "!"]) {
    response.write(chunk({ choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
    await delay(10);
  }
  response.write(chunk({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }));
  response.end(`${chunk({ choices: [], usage })}data: [DONE]\n\n`);
}

interface Seen {
  /** Cost by request id of what came whole. */
  whole: Map<string, number>;
  /** Ids of answers that began. */
  begun: Set<string>;
}

async function call(url: string, agent: Agent, isStream: boolean, seen: Seen): Promise<void> {
  const body = {
    ...{ model: "biller/m", max_completion_tokens: 1_000, messages: [{ role: "user", content: "Say ok." }] },
    ...(isStream ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), dispatcher: agent } as const;
  const response = await request(`${url}/v1/chat/completions`, options);
  const id = String(response.headers["x-request-id"]);
  seen.begun.add(id);
  const text = await response.body.text();
  if (response.statusCode !== 200 || (isStream && !text.endsWith("data: [DONE]\n\n"))) return;
  const told = /"prompt_tokens":(\d+),"completion_tokens":(\d+)/.exec(text);
  seen.whole.set(id, Number(told?.[1]) * IN_NANO + Number(told?.[2]) * OUT_NANO);
}

/** Calls come evenly until the process is killed, after `lifeMs` of them. */
async function loadUntilKilled(url: string, kill: () => Promise<void>, lifeMs: number, seen: Seen): Promise<number> {
  const agent = new Agent({ connections: 256 });
  const calls: Promise<void>[] = [];
  const started = performance.now();
  let isKilled = false;
  const killing = delay(lifeMs).then(async () => {
    isKilled = true;
    await kill();
  });
  while (!isKilled) {
    const due = ((performance.now() - started) / 1_000) * CALLS_PER_SECOND;
    while (calls.length < due) calls.push(call(url, agent, calls.length % 2 === 0, seen).catch(() => {}));
    await delay(2);
  }
  await killing;
  await Promise.all(calls);
  await agent.destroy();
  return calls.length;
}

test("after kill -9 under load every answer that came whole has its exact row, and every other is known as unknown", async () => {
  const dir = newDir();
  const provider = await startProvider();
  const config = join(newDir(), "signalbox.yaml");
  const model = "{id: m, context: 8k, max_output: 1000, price: {input: $1, output: $2}}";
  writeFileSync(
    config,
    `providers:\n  biller: {dialect: openai-chat, base_url: "${provider}", models: [${model}]}\nbudgets:\n  - {everything: true, limit: $1000}\n`,
  );
  const seen: Seen = { whole: new Map(), begun: new Set() };
  let sent = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const router = await serving(["serve", "--port", "0", "--config", config, "--data", dir]);
    const kill = async () => {
      router.process.kill("SIGKILL");
      expect(await router.exited).toBe("SIGKILL");
    };
    const { url } = router;
    sent += await loadUntilKilled(url, kill, 600 + 97 * round, seen);
  }
  await (await openLedger({ dir })).close();

  const { attempts, requests } = tables(dir);
  const rows = new Map(attempts.map((row) => [row.requestId, row]));
  const finished = new Set(requests.map((row) => row.requestId));
  expect(seen.whole.size).toBeGreaterThan(ROUNDS * 50);
  for (const [id, costNanoUsd] of seen.whole) {
    expect(rows.get(id), id).toMatchObject({ state: "settled", costNanoUsd, endReason: "complete" });
    expect(finished.has(id), id).toBe(true);
  }
  for (const id of seen.begun) expect(rows.has(id), id).toBe(true);
  const unknown = attempts.filter(({ state }) => state === "unknown");
  expect(unknown.length).toBeGreaterThan(0);
  for (const row of unknown) expect(row.estimatedNanoUsd, row.requestId).toBeGreaterThanOrEqual(2_000_000);
  expect(attempts.filter(({ state }) => state === "open")).toEqual([]);
  expect(attempts.length).toBeLessThanOrEqual(sent);
  expect(wrongSums(dir)).toEqual([]);
}, 240_000);

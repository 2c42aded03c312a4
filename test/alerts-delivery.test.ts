// Alerts over real sockets: what an endpoint receives, and what is made of endpoints that fail, hang or send elsewhere.
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Alert, alertOf, testFinding } from "../src/alerts/alert.ts";
import { createDeliverer } from "../src/alerts/deliver.ts";
import { createAlerts } from "../src/alerts.ts";
import type { AlertDestination, AlertSettings } from "../src/config/alert-settings.ts";
import { Secret } from "../src/dialect.ts";
import { serving } from "./support/process.ts";
import { postChat, startTestRouter, temporaryFolder } from "./support/router.ts";

const CLI = new URL("../src/bin.js", import.meta.url).pathname;
const SECRET = "a-secret-for-signing";
const NOW_MS = Date.UTC(2026, 0, 5, 12);
const ALERT: Alert = alertOf(testFinding(), "alert_test", NOW_MS);

interface Received {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
}

type Answer = (response: ServerResponse, count: number) => void;

/** An operator's endpoint on loopback. */
async function endpoint(answer: Answer = (response) => response.end("ok")) {
  const received: Received[] = [];
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => (body += part));
    request.on("end", () => {
      received.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
      answer(response, received.length);
      for (const wake of waiting.splice(0)) wake();
    });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const heard = async (count: number) => {
    while (received.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { url, received, heard };
}

function webhook(url: string): AlertDestination {
  const host = URL.parse(url)?.host ?? "";
  return { kind: "webhook", name: "webhook", host, url: new Secret(url), signingSecret: new Secret(SECRET) };
}

function slack(url: string): AlertDestination {
  return { kind: "slack", name: "slack", host: URL.parse(url)?.host ?? "", url: new Secret(url) };
}

/** One try; `timeoutMs` is what a test of a silent endpoint has to sit through. */
async function deliver(destination: AlertDestination, timeoutMs = 5_000) {
  const deliverer = createDeliverer(() => NOW_MS, timeoutMs);
  onTestFinished(() => deliverer.close());
  return deliverer.deliver(destination, ALERT);
}

/** As README.md tells receivers to. */
function isGenuine({ headers, body }: Received, secret: string, nowMs: number): boolean {
  const signature = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers["x-signalbox-signature"]));
  const expected = createHmac("sha256", secret).update(`${signature?.[1]}.${body}`).digest("hex");
  return signature?.[2] === expected && Math.abs(nowMs / 1000 - Number(signature[1])) < 300;
}

/** When the alert says it was raised. */
function timeOf({ body }: Received): number {
  return Date.parse(JSON.parse(body).at);
}

describe("an endpoint", () => {
  test("receives a signed JSON document, at the path and query the operator gave", async () => {
    const { url, received } = await endpoint();
    expect(await deliver(webhook(`${url}/hook/a%20b?team=ops`))).toEqual({ kind: "arrived", status: 200 });
    const [only] = received as [Received];
    expect(received).toHaveLength(1);
    expect(only).toMatchObject({ method: "POST", path: "/hook/a%20b?team=ops" });
    expect(only.headers).toMatchObject({ "content-type": "application/json", "x-signalbox-event": "test" });
    expect(JSON.parse(only.body)).toEqual({
      id: "alert_test",
      type: "test",
      severity: "info",
      at: "2026-01-05T12:00:00.000Z",
      title: "Signalbox test alert",
      text: "This is what an alert looks like. Nothing has happened.",
      data: {},
    });
    expect(isGenuine(only, SECRET, NOW_MS)).toBe(true);
    expect(isGenuine(only, "another secret", NOW_MS)).toBe(false);
    expect(isGenuine({ ...only, body: only.body.replace("Nothing", "Much") }, SECRET, NOW_MS)).toBe(false);
    expect(isGenuine(only, SECRET, NOW_MS + 600_000)).toBe(false);
  });

  test("of Slack receives text and blocks and no signature", async () => {
    const { url, received } = await endpoint();
    expect(await deliver(slack(`${url}/services/T/B/x`))).toEqual({ kind: "arrived", status: 200 });
    expect(received[0]?.headers).not.toHaveProperty("x-signalbox-signature");
    expect(JSON.parse(received[0]?.body ?? "")).toMatchObject({
      text: "Signalbox test alert\nThis is what an alert looks like. Nothing has happened.",
      blocks: [{ type: "section", text: { type: "mrkdwn" } }, { type: "context" }],
    });
  });

  test("that redirects is not followed", async () => {
    const elsewhere = await endpoint();
    const { url } = await endpoint((response) => response.writeHead(307, { location: elsewhere.url }).end());
    const problem = "status 307, and redirects are not followed";
    expect(await deliver(webhook(url))).toEqual({ kind: "failed", problem });
    expect(elsewhere.received).toEqual([]);
  });

  test("that never answers is given up in time", async () => {
    const { url } = await endpoint(() => {});
    expect(await deliver(webhook(url), 200)).toEqual({ kind: "failed", problem: "no answer within 0.2 s" });
  });

  test("has taken the alert with its status, though its body never ends or is endless", async () => {
    const hanging = await endpoint((response) => response.writeHead(202).write("…"));
    expect(await deliver(webhook(hanging.url), 200)).toEqual({ kind: "arrived", status: 202 });
    const endless = await endpoint((response) => {
      const pour = () => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
      };
      response.writeHead(200);
      response.on("drain", pour);
      pour();
    });
    expect(await deliver(webhook(endless.url))).toEqual({ kind: "arrived", status: 200 });
  });

  test.each<[number, Record<string, string>, object]>([
    [500, {}, { isFinal: false, retryAfterMs: undefined }],
    [429, { "retry-after": "30" }, { isFinal: false, retryAfterMs: 30_000 }],
    [503, { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }, { isFinal: false, retryAfterMs: undefined }],
    [404, {}, { isFinal: false }],
    [400, {}, { isFinal: true }],
    [410, {}, { isFinal: true }],
  ])("that answers %i is told so", async (status, headers, rest) => {
    const { url } = await endpoint((response) => response.writeHead(status, headers).end("a reason"));
    expect(await deliver(webhook(url))).toMatchObject({ kind: "failed", problem: `status ${status}`, ...rest });
  });

  test("that is not there is named without its path", async () => {
    const { url } = await endpoint();
    const gone = url.replace(/:\d+$/, ":1");
    const delivery = await deliver(slack(`${gone}/services/canary`));
    expect(delivery).toEqual({ kind: "failed", problem: "the connection failed (ECONNREFUSED)" });
  });
});

test("an endpoint that fails twice gets the alert at the third try, the same one, freshly signed", async () => {
  const { url, received } = await endpoint((response, count) => response.writeHead(count < 3 ? 500 : 204).end());
  let nowMs = NOW_MS;
  const deliverer = createDeliverer(() => nowMs);
  onTestFinished(() => deliverer.close());
  const arrived = Promise.withResolvers<void>();
  const settings: AlertSettings = {
    budgetPercents: [50],
    spendRateFactor: undefined,
    errorRate: undefined,
    repeatAfterMs: 86_400_000,
    destinations: [webhook(url)],
  };
  const alerts = createAlerts({
    settings,
    nowMs: () => nowMs,
    // Time leaps to where something is due.
    schedule: (ms, callback) => {
      const timer = setImmediate(() => {
        nowMs += ms;
        callback();
      });
      return () => clearImmediate(timer);
    },
    deliver: async (destination, alert) => {
      const delivery = await deliverer.deliver(destination, alert);
      if (delivery.kind === "arrived") setImmediate(arrived.resolve);
      return delivery;
    },
    log: () => {},
    draw: () => 0.5,
    newId: (prefix) => `${prefix}1`,
  });
  const budget = { scope: "team", name: "research", window: "month", windowStartMs: Date.UTC(2026, 0) } as const;
  alerts.onBudget({ ...budget, spentNanoUsd: 60_000_000_000, limitNanoUsd: 100_000_000_000 });
  await arrived.promise;
  const seconds = received.map(({ headers }) => Number(/t=(\d+)/.exec(String(headers["x-signalbox-signature"]))?.[1]));
  expect(seconds.map((second) => second - NOW_MS / 1000)).toEqual([0, 7, 22]);
  expect(new Set(received.map(({ body }) => body)).size).toBe(1);
  expect(received.every((one, at) => isGenuine(one, SECRET, (seconds[at] ?? 0) * 1000))).toBe(true);
  await alerts.close();
  expect(alerts.status()[1]).toEqual({ to: "webhook", sent: 1, failed: 0, queued: 0 });
  expect(received).toHaveLength(3);
});

describe("a router", () => {
  test("tells its operator of a provider without money once, also over a restart, and shows what was sent", async () => {
    const { url, received, heard } = await endpoint();
    const dir = temporaryFolder();
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const yaml = `alerts:\n  to:\n    - webhook: { url: '${url}/hook', secret: '\${ALERT_SECRET}' }\n`;
    writeFileSync(join(dir, "signalbox.yaml"), yaml);
    const start = () => serving(["serve", "--port", "0"], { cwd: dir, env: { ALERT_SECRET: SECRET } });
    const broke = { model: "simulated-openai/gpt-6-sol+fault=quota", messages: [{ role: "user", content: "canary" }] };
    const first = await start();
    for (let i = 0; i < 3; i += 1) await (await postChat(first.url, broke)).text();
    await heard(1);
    first.process.kill("SIGTERM");
    expect(await first.exited).toBe(0);
    const second = await start();
    await (await postChat(second.url, broke)).text();
    const health = (await (await fetch(`${second.url}/health`)).json()) as { alerts: unknown };
    second.process.kill("SIGTERM");
    expect(await second.exited).toBe(0);
    expect(received).toHaveLength(1);
    expect(isGenuine(received[0] as Received, SECRET, timeOf(received[0] as Received))).toBe(true);
    expect(JSON.parse(received[0]?.body ?? "")).toMatchObject({
      type: "provider_out_of_money",
      data: { provider: "simulated-openai" },
    });
    expect(received[0]?.body).not.toContain("canary");
    expect(first.output()).toContain("ALERT critical provider_out_of_money: simulated-openai is out of money.");
    expect(second.output()).not.toContain("ALERT");
    expect(health.alerts).toEqual([
      { to: "log", sent: 0, failed: 0, queued: 0 },
      { to: "webhook", sent: 0, failed: 0, queued: 0 },
    ]);
  });

  test("tells of a model without a price, a refused key and failing requests", async () => {
    const { url, post, logs } = await startTestRouter();
    const messages = [{ role: "user", content: "Hello" }];
    const ask = async (model: string) => (await post({ model, messages })).status;
    expect(await ask("openai/gpt-of-tomorrow")).toBe(200);
    const refused = await Promise.all(Array.from({ length: 20 }, () => ask("openai/gpt-6-sol+fault=auth")));
    expect(new Set(refused)).toEqual(new Set([503]));
    const health = (await (await fetch(`${url}/health`)).json()) as { alerts: { sent: number }[] };
    expect(logs.filter((line) => line.startsWith("ALERT")).map((line) => line.split(/[ :]/)[2])).toEqual([
      "unpriced_model",
      "provider_key_refused",
      "error_rate",
    ]);
    expect(health.alerts[0]?.sent).toBe(3);
  });
});

describe("signalbox alerts test", () => {
  /** Runs the command over a configuration while this process plays the endpoints. */
  async function run(args: string[], destinations: string[] = []) {
    const dir = temporaryFolder();
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const items = destinations.map((item) => `    - ${item}\n`).join("");
    writeFileSync(join(dir, "signalbox.yaml"), items === "" ? "" : `alerts:\n  to:\n${items}`);
    const done = await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      execFile(process.execPath, [CLI, "alerts", ...args], { cwd: dir, env: {} }, (error, stdout, stderr) => {
        resolve({ code: Number(error?.code ?? 0), stdout, stderr });
      });
    });
    return done;
  }

  const signed = (url: string) => `webhook: { url: '${url}', secret: ${SECRET} }`;

  test("says of each destination whether it arrived, and fails when one did not", async () => {
    const good = await endpoint();
    const bad = await endpoint((response) => response.writeHead(403).end());
    const { code, stdout } = await run(["test"], [signed(good.url), `slack: { url: '${bad.url}/services/canary' }`]);
    expect(code).toBe(1);
    const [log, webhookLine, slackLine] = stdout.trimEnd().split("\n");
    expect(log).toMatch(/^log: arrived: ALERT info test: Signalbox test alert\. .* \(alert_\w{24}\)$/);
    expect(webhookLine).toMatch(/^webhook \(127\.0\.0\.1:\d+\): arrived \(status 200\) as alert_\w{24}$/);
    expect(slackLine).toMatch(/^slack \(127\.0\.0\.1:\d+\): failed: status 403$/);
    expect(stdout).not.toContain("canary");
    expect(isGenuine(good.received[0] as Received, SECRET, timeOf(good.received[0] as Received))).toBe(true);
    expect(bad.received).toHaveLength(1);
  });

  test("sends to those that --to names, by kind or by name", async () => {
    const first = await endpoint();
    const second = await endpoint();
    const both = [signed(first.url), signed(second.url)];
    expect(await run(["test", "--to", "webhook-2"], both)).toMatchObject({ code: 0 });
    expect([first.received.length, second.received.length]).toEqual([0, 1]);
    expect(await run(["test", "--to", "webhook"], both)).toMatchObject({ code: 0 });
    expect([first.received.length, second.received.length]).toEqual([1, 2]);
  });

  test("explains itself", async () => {
    expect(await run(["--help"])).toMatchObject({ code: 0, stdout: expect.stringContaining("signalbox alerts test") });
    const unknown = await run(["test", "--to", "slack"]);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('--to: no destination is called "slack". In signalbox.yaml: log.');
  });
});

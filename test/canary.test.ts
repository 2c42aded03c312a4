// Secrets and prompts go where they must and nowhere else: through the real command, up to its crash.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startSimulator } from "../src/simulator/server.ts";
import { newDir } from "./store-support.ts";
import { serving, signalbox } from "./support/process.ts";

const PROVIDER = "sk-canary-provider-1";
const API = "sk-canary-api-2";
const ADMIN = "adm-canary-admin-3";
const SIGNING = "canary-signing-secret-4";
const PROMPT = "canary-prompt-5";
const HEADER = "canary-header-6";
const CANARIES = [PROVIDER, API, ADMIN, SIGNING, PROMPT, HEADER];

/** Lets the test bring the process down by an error that nobody catches. */
const CRASHABLE = 'process.on("SIGUSR2", () => { throw new Error("crashed on purpose"); });';

function canariesIn(text: string, more: readonly string[]): string[] {
  return [...CANARIES, ...more].filter((canary) => text.includes(canary));
}

test("no secret and no prompt is in logs, files, reports or the output of a crash", async () => {
  const dir = newDir();
  const simulator = await startSimulator();
  const config = join(dir, "signalbox.yaml");
  const filled = ["$", "{ALERT_SECRET}"].join("");
  const hook = `webhook: { url: http://127.0.0.1:9/${SIGNING}, secret: '${filled}' }`;
  writeFileSync(config, `budgets:\n  - { key: "*", limit: $5/day soft }\nalerts:\n  to: [{ ${hook} }]\n`);
  writeFileSync(join(dir, "crashable.mjs"), CRASHABLE);
  const env = {
    ...{
      OPENAI_API_KEY: PROVIDER,
      OPENAI_BASE_URL: `${simulator.url}/openai/v1`,
      NODE_OPTIONS: `--import=${join(dir, "crashable.mjs")}`,
    },
    ...{ SIGNALBOX_API_KEY: API, SIGNALBOX_ADMIN_KEY: ADMIN, ALERT_SECRET: SIGNING },
  };
  const data = join(dir, "data");
  const where = ["--config", config, "--data", data];
  const router = await serving(["serve", "--port", "0", ...where], { env });
  const admin = async (path: string, body?: object) => {
    const headers = { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" };
    const method = body === undefined ? "GET" : "POST";
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    return (await fetch(`${router.url}${path}`, { method, headers, ...text })).text();
  };
  const { secret } = JSON.parse(await admin("/admin/keys", { name: "web", rpm: 100 })) as { secret: string };
  expect(secret).toMatch(/^sk-sb-/);
  const call = async (model: string, key: string, more: object = {}) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "x-canary": HEADER };
    const messages = [{ role: "user", content: PROMPT }];
    const body = JSON.stringify({ model, messages, ...more });
    const response = await fetch(`${router.url}/v1/chat/completions`, { method: "POST", headers, body });
    return { status: response.status, id: response.headers.get("x-request-id") ?? "", text: await response.text() };
  };
  const answered = await call("gpt-6-luna", secret);
  expect(answered.status).toBe(200);
  const outcomes = [
    answered,
    await call("gpt-6-luna", API, { stream: true }),
    await call("openai/gpt-6-luna+status=401", secret),
    await call("openai/gpt-6-luna+fault=quota", secret),
    await call("openai/gpt-6-luna+status=500", secret, { stream: true }),
    await call("no-such-model", secret),
    await call("gpt-6-luna", `${secret}x`),
    await call("gpt-6-luna", secret, { temperature: PROMPT }),
  ];
  expect(outcomes.map(({ status }) => status)).toEqual([200, 200, 503, 503, 502, 404, 401, 400]);
  const seen: string[] = outcomes.filter(({ status }) => status !== 200).map(({ text }) => text);
  for (const path of ["/admin/keys", "/admin/usage", "/admin/requests", "/admin/openapi.json", "/health"]) {
    seen.push(await admin(path));
  }
  for (const args of [
    ["usage"],

    ["limits", "--url", router.url],
    ["explain", answered.id],
    ["keys", "list"],
  ]) {
    const { stdout, stderr } = signalbox([...args, ...(args[0] === "limits" ? [] : where)], { env });
    expect(stdout, args[0]).not.toBe("");
    seen.push(stdout, stderr);
  }
  router.process.kill("SIGUSR2");
  expect(await router.exited).not.toBe(0);
  expect(router.output()).toContain("crashed on purpose");
  seen.push(router.output());
  await simulator.close();
  expect(canariesIn(seen.join("\n"), [secret])).toEqual([]);
  for (const name of readdirSync(data)) {
    expect(canariesIn(readFileSync(join(data, name), "latin1"), [secret]), name).toEqual([]);
  }
});

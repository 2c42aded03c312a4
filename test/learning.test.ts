// What the running router learns from its answers, and what it keeps: the next choice is better, also after a restart.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { JsonObject } from "../src/chat.ts";
import { startRouter } from "../src/main.ts";
import { startSimulator } from "../src/simulator/server.ts";
import { postChat, providerEnv, readLedger, startTestRouter, temporaryFolder } from "./support/router.ts";

const RULES = `
version: 1
rules:
  - name: quickest
    model: house
    pick: fastest
    from: [openai/gpt-6-luna, anthropic/claude-haiku-5-5]
`;
const ASK = { model: "house", messages: [{ role: "user", content: "Hello there, how are you today?" }] };

interface Explained {
  rule: string;
  input_tokens: number;
  plan: string[];
  targets: {
    target: string;
    price_usd_per_mtok: JsonObject;
    score: { latency_is_measured: boolean; failure_rate: number };
  }[];
}

async function explain(url: string): Promise<Explained> {
  const response = await fetch(`${url}/v1/route/explain`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(ASK),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as Explained;
}

test("a slow target is left for a quick one, and is known to be slow after a restart", async () => {
  const dir = temporaryFolder();
  const simulator = await startSimulator({ record: true });
  onTestFinished(async () => {
    await simulator.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const rules = join(dir, "rules");
  mkdirSync(rules);
  writeFileSync(join(rules, "rules.yaml"), RULES);
  const start = () =>
    startRouter({
      flags: { port: "0", rules, data: join(dir, "data") },
      env: providerEnv(simulator.url),
      log: () => {},
    });
  // Both are unknown at first, so the first of the rule answers; it takes longer than the router takes for usual.
  simulator.setScript(({ provider }) => (provider === "openai" ? { ttftMs: 3_000, tokens: 10 } : { tokens: 10 }));
  let router = await start();
  expect((await explain(router.url)).plan[0]).toBe("openai/gpt-6-luna");
  await (await postChat(router.url, { ...ASK, stream: true })).text();
  const learnt = await explain(router.url);
  expect(learnt.plan[0]).toBe("anthropic/claude-haiku-5-5");
  expect(learnt.targets.map(({ score }) => score.latency_is_measured)).toEqual([true, false]);
  await router.close();
  router = await start();
  const afterwards = await explain(router.url);
  await router.close();
  expect(afterwards.plan[0]).toBe("anthropic/claude-haiku-5-5");
  expect(afterwards.targets.map(({ score }) => score.latency_is_measured)).toEqual([true, false]);
  // The explanations were not sent anywhere, and the ledger holds the one call with what was weighed.
  expect(simulator.requests).toHaveLength(1);
  const { requests } = readLedger(join(dir, "data"));
  expect(requests).toHaveLength(1);
  expect(JSON.parse(String(requests[0]?.trace))).toMatchObject({
    rule: "quickest",
    pick: "fastest",
    targets: [
      { t: "openai/gpt-6-luna", c: expect.any(Number), ms: expect.any(Number) },
      { t: "anthropic/claude-haiku-5-5", c: expect.any(Number), ms: expect.any(Number) },
    ],
  });
});

test("health tells how far the token estimates were off, once prompts were estimated and billed", async () => {
  const { url, post } = await startTestRouter({ rules: RULES });
  const error = async () =>
    ((await (await fetch(`${url}/health`)).json()) as { token_estimate_error: number | null }).token_estimate_error;
  expect(await error()).toBeNull();
  expect((await post(ASK)).status).toBe(200);
  expect(await error()).toBeGreaterThanOrEqual(0);
});

test("a request with nothing to choose keeps no trace in the ledger", async () => {
  const { post, ledger } = await startTestRouter({ rules: RULES });
  expect((await post({ ...ASK, model: "openai/gpt-6-luna" })).status).toBe(200);
  const { requests } = await ledger();
  expect(requests[0]).toMatchObject({ trace: null, decision: expect.stringContaining("direct") });
});

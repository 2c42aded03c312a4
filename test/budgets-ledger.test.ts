// Hard budgets over the whole router, and over crashes: nothing that is not in the ledger, nothing beyond the limit.
import { appendFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { parseBudget } from "../src/budget-spec.ts";
import { type BudgetSettings, createBudgets, windowStarts } from "../src/budgets.ts";
import { formatUsd } from "../src/pricing.ts";
import { readBalances } from "../src/store/balances.ts";
import { Drain } from "../src/store/drain.ts";
import { encodeLine, segmentPath } from "../src/store/journal.ts";
import type { LedgerRow } from "../src/store/rows.ts";
import { DAY_MS, openedRow, settledRow } from "./store-rows.ts";
import { newDir, tables, wrongSums } from "./store-support.ts";
import { startTestRouter } from "./support/router.ts";

const IN_NANO = 1_000;
const OUT_NANO = 2_000;

interface Biller {
  url: string;
  /** Nanodollars, by its own count, as of each answer. */
  billed: number[];
}

/** A provider that keeps its own books: ten tokens in, as many out as it likes within the bound. */
async function startBiller(): Promise<Biller> {
  const billed: number[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = JSON.parse(Buffer.concat(parts).toString()) as { max_completion_tokens: number; stream?: boolean };
    const output = 1 + (billed.length % body.max_completion_tokens);
    billed.push(10 * IN_NANO + output * OUT_NANO);
    answer(request, response, body.stream === true, { prompt_tokens: 10, completion_tokens: output });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, billed };
}

function answer(_: IncomingMessage, response: ServerResponse, stream: boolean, tokens: Record<string, number>): void {
  const usage = { ...tokens, total_tokens: (tokens.prompt_tokens ?? 0) + (tokens.completion_tokens ?? 0) };
  const head = { id: "c", created: 1, model: "m" };
  if (!stream) {
    const choices = [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }];
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ ...head, object: "chat.completion", choices, usage }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const chunk = (more: object) => `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", ...more })}\n\n`;
  response.write(chunk({ choices: [{ index: 0, delta: { role: "assistant", content: "ok" }, finish_reason: null }] }));
  response.write(chunk({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }));
  response.end(`${chunk({ choices: [], usage })}data: [DONE]\n\n`);
}

const LIMIT_NANO = 1_000_000;

function configOf(biller: Biller, budgets: string): string {
  return `
providers:
  biller:
    dialect: openai-chat
    base_url: ${biller.url}
    models: [{id: m, context: 8k, max_output: 1000, price: {input: $1, output: $2}}, {id: free-for-all, context: 8k}]
budgets:
${budgets}`;
}

const body = (more: object = {}) => ({
  model: "biller/m",
  max_completion_tokens: 20,
  messages: [{ role: "user", content: "Say ok." }],
  ...more,
});

test("two hundred callers at once never spend more than a hard budget holds, to the nanodollar", async () => {
  const biller = await startBiller();
  const config = configOf(biller, "  - everything: true\n    limit: $0.001");
  const router = await startTestRouter({ config });
  const codes = new Map<string, number>();
  let wave = 0;
  do {
    const calls = Array.from({ length: 200 }, async (_, at) => {
      const response = await router.post(body({ stream: at % 2 === 0 }));
      const text = await response.text();
      const code = response.status === 200 ? "ok" : (JSON.parse(text) as { error: { code: string } }).error.code;
      if (response.status !== 200) expect(response.status, text).toBe(402);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    });
    await Promise.all(calls);
    wave += 1;
  } while (!codes.has("budget_exceeded") && wave < 20);
  const billed = biller.billed.reduce((sum, nano) => sum + nano, 0);
  expect(billed).toBeLessThanOrEqual(LIMIT_NANO);
  // It is used, too: what is left would not have held another call.
  expect(billed).toBeGreaterThan(LIMIT_NANO - 200_000);
  expect(codes.get("ok")).toBe(biller.billed.length);
  expect(codes.get("in_flight_budget_exhausted")).toBeGreaterThan(0);
  const { attempts } = await router.ledger();
  expect(attempts.map((row) => row.cost_nano_usd).sort()).toEqual([...biller.billed].sort());
});

test("who has spent a budget is told so with 402, its code and when to come back, and nothing is sent", async () => {
  const biller = await startBiller();
  const limit = "  - {key: '*', limit: [$0.0001/day, $1]}";
  const router = await startTestRouter({ config: configOf(biller, limit) });
  const big = await router.post(body({ max_completion_tokens: 900 }));
  expect([big.status, big.headers.get("x-should-retry")]).toEqual([402, "false"]);
  const { error } = (await big.json()) as { error: Record<string, unknown> };
  expect(error).toMatchObject({ code: "request_exceeds_budget", type: "insufficient_quota" });
  expect(error.message).toMatch(
    /^The budget of key "local" is \$0\.0001 per day; this request may cost \$0\.0018\d+\. Lower/,
  );
  const about = (await (await fetch(`${router.url}/v1/key`)).json()) as { data: object };
  expect(about.data).toMatchObject({ limit: 0.0001, limit_remaining: 0.0001, limit_reset: "daily" });
  let left = 100_000;
  for (;;) {
    const response = await router.post(body({ max_completion_tokens: 5 }));
    if (response.status === 200) {
      left -= biller.billed.at(-1) as number;
      expect(response.headers.get("x-signalbox-budget-remaining")).toBe(formatUsd(left));
      continue;
    }
    const refusal = (await response.json()) as { error: { code: string; message: string } };
    expect(refusal.error.code).toBe("budget_exceeded");
    expect(refusal.error.message).toMatch(/is spent.* The next begins at \d{4}-\d\d-\d\dT00:00:00\.000Z\./);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    break;
  }
  expect(biller.billed.length).toBeGreaterThan(0);
});

test("a key's own budget and that of its team stop it, the operator is told, and others go on", async () => {
  const biller = await startBiller();
  const config = configOf(biller, "  - {team: red, limit: $0.001/day}\nalerts: {budgets: [50%]}");
  const router = await startTestRouter({
    config,
    env: { SIGNALBOX_ADMIN_KEY: "adm-test", SIGNALBOX_API_KEY: "sk-test" },
  });
  const make = async (name: string, settings: object) => {
    const headers = { authorization: "Bearer adm-test", "content-type": "application/json" };
    const made = await fetch(`${router.url}/admin/keys`, {
      method: "POST",
      headers,
      body: JSON.stringify({ name, ...settings }),
    });
    return ((await made.json()) as { secret: string }).secret;
  };
  const spendAll = async (secret: string) => {
    for (;;) {
      const response = await router.post(body({ max_completion_tokens: 5 }), {
        headers: { authorization: `Bearer ${secret}` },
      });
      const text = await response.text();
      if (response.status !== 200) return { status: response.status, text };
    }
  };
  const poor = await make("poor", { team: "red", budgets: ["$0.0002"] });
  const rich = await make("rich", { team: "red", budgets: ["$1/day"] });
  const ofKey = await spendAll(poor);
  expect(ofKey.status).toBe(402);
  expect(ofKey.text).toContain('The budget of key \\"poor\\" is $0.0002; ');
  const ofTeam = await spendAll(rich);
  expect(ofTeam.status).toBe(402);
  expect(ofTeam.text).toContain('The budget of team \\"red\\" is $0.001 per day; ');
  const other = await router.post(body({ max_completion_tokens: 5 }), { headers: { authorization: "Bearer sk-test" } });
  expect(other.status).toBe(200);
  const told = router.logs.filter((line) => line.startsWith("ALERT") && line.includes("budget"));
  expect(told.some((line) => line.includes("poor"))).toBe(true);
  expect(told.some((line) => line.includes("red"))).toBe(true);
  const { attempts } = await router.ledger();
  expect(attempts.reduce((sum, row) => sum + Number(row.cost_nano_usd), 0)).toBe(
    biller.billed.reduce((a, b) => a + b, 0),
  );
  expect(new Set(attempts.map((row) => `${row.key}/${row.team}`))).toEqual(
    new Set(["poor/red", "rich/red", "default/"]),
  );
});

test("a model without a price is not called on a hard budget, and is on a soft one", async () => {
  const biller = await startBiller();
  const hard = await startTestRouter({ config: configOf(biller, "  - {everything: true, limit: $1}") });
  const refusal = await hard.post(body({ model: "biller/free-for-all" }));
  expect(refusal.status).toBe(402);
  expect(await refusal.json()).toMatchObject({ error: { code: "unpriced_model" } });
  expect(biller.billed).toEqual([]);
  const soft = await startTestRouter({ config: configOf(biller, "  - {everything: true, limit: $1 soft}") });
  expect((await soft.post(body({ model: "biller/free-for-all" }))).status).toBe(200);
});

test("where the rule says so an answer's bound is lowered to what the budget holds, and never below a few words", async () => {
  const biller = await startBiller();
  const rules = `version: 1
rules:
  - {name: thrifty, model: thrifty, from: [biller/m], affordable_max_tokens: true}
`;
  // 8 tokens in, 64 and a tenth more at the most: what is left holds about 210 tokens out.
  const config = configOf(biller, "  - {everything: true, limit: $0.0005}");
  const router = await startTestRouter({ config, rules });
  const asked = body({ model: "thrifty", max_completion_tokens: 900 });
  const lowered = await router.post(asked);
  expect(lowered.status).toBe(200);
  expect(lowered.headers.get("x-signalbox-warnings")).toMatch(/^clamped:max_completion_tokens=900->2\d\d$/);
  const unbounded = await router.post({ ...asked, max_completion_tokens: undefined });
  expect(unbounded.headers.get("x-signalbox-warnings")).toMatch(/^clamped:max_completion_tokens=none->[12]\d\d$/);
  expect((await router.post({ ...asked, model: "biller/m" })).status).toBe(402);
  for (let calls = 0; calls < 20; calls += 1) await (await router.post(asked)).text();
  expect((await router.post(asked)).status).toBe(402);
  expect(biller.billed.reduce((sum, nano) => sum + nano, 0)).toBeLessThanOrEqual(500_000);
});

function restart(dir: string): void {
  const drain = new Drain(
    { dir, busyTimeoutMs: 0 },
    () => {},
    () => {},
  );
  const segment = drain.recover();
  drain.receive({ kind: "close", upTo: { segment, offset: 0 } });
}

test("wherever a process dies between two rows, its successor spends no more than what the budget still holds", () => {
  const LIMIT = 10_000;
  const settings: BudgetSettings[] = [{ scope: "everything", name: "", spec: parseBudget("$0.00001")! }];
  const call = fc.record({
    upper: fc.integer({ min: 1, max: 3_000 }),
    share: fc.nat({ max: 100 }),
    ends: fc.boolean(),
  });
  const lives = fc.array(fc.record({ calls: fc.array(call, { maxLength: 12 }), cut: fc.nat() }), { maxLength: 4 });
  fc.assert(
    fc.property(lives, (processes) => {
      const dir = newDir();
      restart(dir);
      let billed = 0;
      for (const [life, { calls, cut }] of processes.entries()) {
        const nowMs = DAY_MS;
        const balances = readBalances(dir, windowStarts(nowMs));
        const budgets = createBudgets({ nowMs: () => nowMs, settings, balances, hasKey: () => true, log() {} });
        const rows: { row: LedgerRow; bills: number }[] = [];
        for (const [at, { upper, share, ends }] of calls.entries()) {
          const owner = { key: "a", team: "red", tags: [] };
          const hold = budgets.reserve({ payer: owner, provider: "acme", upperNanoUsd: upper, likelyNanoUsd: upper });
          if ("code" in hold) continue;
          const id = `req-${life}-${at}`;
          const cost = Math.floor((upper * share) / 100);
          // Once it is journalled it is sent, and billed, whether or not its end is ever written.
          const opened = openedRow(id, { ...owner, openedAtMs: nowMs, reservedNanoUsd: upper });
          rows.push({ row: { kind: "opened", ...opened }, bills: cost });
          if (!ends) continue;
          hold.settle(cost);
          const settled = settledRow(id, { endedAtMs: nowMs, costNanoUsd: cost });
          rows.push({ row: { kind: "settled", ...settled }, bills: 0 });
        }
        // The process dies after any of its appends: nothing after it has happened.
        const kept = rows.slice(0, cut % (rows.length + 1));
        billed += kept.reduce((sum, { bills }) => sum + bills, 0);
        appendFileSync(segmentPath(dir, life + 1), kept.map(({ row }) => encodeLine(row)).join(""));
        restart(dir);
        const [counted = { total: 0 }] = readBalances(dir, windowStarts(nowMs)).filter(({ total }) => total > 0);
        expect(counted.total).toBeGreaterThanOrEqual(billed);
        expect(counted.total).toBeLessThanOrEqual(LIMIT);
      }
      expect(billed).toBeLessThanOrEqual(LIMIT);
      expect(wrongSums(dir)).toEqual([]);
      expect(tables(dir).attempts.filter(({ state }) => state === "open")).toEqual([]);
    }),
    { numRuns: 40 },
  );
}, 60_000);

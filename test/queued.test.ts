// Time that requests spend waiting for a place at a provider: told to the caller, kept in the ledger.
import { expect, test } from "vitest";
import { explainPast } from "../src/cli/explain-past.ts";
import { openLedger } from "../src/store/ledger.ts";
import { finishedRow } from "./store-rows.ts";
import { newDir } from "./store-support.ts";
import { type FakeCall, startFakeProvider } from "./support/fake-provider.ts";
import { startTestRouter } from "./support/router.ts";

const ASK = { model: "openai/gpt-6-luna", messages: [{ role: "user", content: "Hello there" }] };
const ADMIN = "sk-admin-of-this-test";

/** Anthropic is asked for a stream whatever the caller wants. */
function answerAsAnthropic(call: FakeCall): void {
  const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-haiku-5-5", content: [] };
  call.send(
    { type: "message_start", message: { ...message, usage: { input_tokens: 3, output_tokens: 1 } } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "Hello" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } },
    { type: "message_stop" },
  );
  call.end();
}

const OPENAI_ANSWER = {
  ...{ id: "chatcmpl-1", object: "chat.completion", created: 1_790_000_000, model: "gpt-6-luna" },
  choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 },
};

test.each([
  { name: "a buffered answer", stream: false, second: {}, status: 200 },
  { name: "a stream", stream: true, second: {}, status: 200 },
  { name: "a failure", stream: false, second: { status: 400 }, status: 400 },
])("$name says how long its request waited, and so do the ledger and /admin/requests", async (how) => {
  const { post, simulator, url, ledger } = await startTestRouter({ env: { SIGNALBOX_ADMIN_KEY: ADMIN } });
  simulator.setScript(({ serial }) => (serial === 1 ? { status: 429, retryAfterS: 1 } : how.second));
  const answer = await post({ ...ASK, stream: how.stream });
  await answer.text();
  expect(answer.status).toBe(how.status);
  const queuedMs = Number(answer.headers.get("x-signalbox-queued-ms"));
  // The provider has asked for a second, and what came before was not waiting.
  expect(queuedMs).toBeGreaterThan(500);
  const id = answer.headers.get("x-request-id");
  const listed = () => fetch(`${url}/admin/requests`, { headers: { authorization: `Bearer ${ADMIN}` } });
  const found = async () => ((await (await listed()).json()) as { data: Record<string, unknown>[] }).data[0];
  await expect.poll(found, { timeout: 10_000 }).toMatchObject({ id, queued_ms: queuedMs });
  const { requests } = await ledger();
  expect(requests[0]).toMatchObject({ status: how.status, queued_ms: queuedMs });
  expect((requests[0]?.ended_at_ms as number) - (requests[0]?.received_at_ms as number)).toBeGreaterThanOrEqual(
    queuedMs,
  );
});

test("a request that found its place free says nothing of waiting", async () => {
  const { post, ledger } = await startTestRouter();
  const answer = await post(ASK);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("x-signalbox-queued-ms")).toBeNull();
  expect((await ledger()).requests[0]).toMatchObject({ queued_ms: null });
});

test("explain tells how long a request waited, where it did", async () => {
  const dir = newDir();
  const ledger = await openLedger({ dir });
  ledger.finishRequest(finishedRow("req_waited", { queuedMs: 1_240 }));
  ledger.finishRequest(finishedRow("req_free"));
  await ledger.close();
  expect(explainPast(dir, "req_waited", false)).toContain("\nwaited     1.24 s for a place at a provider\n");
  expect(explainPast(dir, "req_free", false)).not.toContain("waited");
});

test("whoever waits does not go where calls are no longer made, and goes where they are again", async () => {
  const fake = await startFakeProvider();
  const rules = `version: 1
rules:
  - { name: one, model: house, from: [openai/gpt-6-luna], fallback: [anthropic/claude-haiku-5-5] }
`;
  const config = `pools:
  luna: { targets: [openai/gpt-6-luna], concurrency: 1 }
  haiku: { targets: [anthropic/claude-haiku-5-5], concurrency: 1 }
`;
  const router = await startTestRouter({ env: fake.env, rules, config });
  const ask = () => router.post({ ...ASK, model: "house" });
  const first = ask();
  const atOpenai = await fake.next();
  const second = ask();
  const atAnthropic = await fake.next();
  const waiting = [ask(), ask(), ask()];
  const queued = async () =>
    ((await (await fetch(`${router.url}/health`)).json()) as { limits: { queued: number } }).limits.queued;
  await expect.poll(queued).toBe(3);
  // The key is refused: its target is closed for ten minutes, and the place is free.
  atOpenai.answer(401, { error: { message: "bad key", type: "invalid_request_error", code: "invalid_api_key" } });
  await expect.poll(queued).toBe(4);
  expect(fake.calls).toHaveLength(2);
  answerAsAnthropic(atAnthropic);
  answerAsAnthropic(await fake.next());
  const last = await fake.next();
  // The operator knows better: what waits goes to both again.
  router.router.forgetOutages();
  const again = await fake.next();
  again.answer(200, OPENAI_ANSWER);
  answerAsAnthropic(last);
  answerAsAnthropic(await fake.next());
  const statuses = (await Promise.all([first, second, ...waiting])).map(({ status }) => status);
  expect(statuses).toEqual([200, 200, 200, 200, 200]);
  const providers = fake.calls.map(({ path }) => path.split("/")[1]);
  expect(providers).toEqual(["openai", "anthropic", "anthropic", "anthropic", "openai", "anthropic"]);
});

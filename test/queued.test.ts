// Time that requests spend waiting for a place at a provider: told to the caller, kept in the ledger.
import { expect, test } from "vitest";
import { explainPast } from "../src/cli/explain-past.ts";
import { openLedger } from "../src/store/ledger.ts";
import { finishedRow } from "./store-rows.ts";
import { newDir } from "./store-support.ts";
import { startTestRouter } from "./support/router.ts";

const ASK = { model: "openai/gpt-6-luna", messages: [{ role: "user", content: "Hello there" }] };
const ADMIN = "sk-admin-of-this-test";

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

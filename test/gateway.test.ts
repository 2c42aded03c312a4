// What a caller sees when providers fail: one clean answer from the next one, or one true error.
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import type { Script } from "../src/simulator/server.ts";
import { startTestRouter } from "./support/router.ts";

const TWO_PROVIDERS = `
version: 1
rules:
  - name: two sources
    model: house
    pick: order
    from: [openai/gpt-6-luna]
    fallback: [anthropic/claude-haiku-5-5]
    timeouts: { first_byte: 300ms, idle: 300ms, total: 60s }
`;

const ASK = { model: "house", messages: [{ role: "user", content: "Hello there" }] };

/** Only the first provider misbehaves. */
const firstFails = (script: Script) => (request: { provider: string }) =>
  request.provider === "openai" ? script : undefined;

const FAILURES: { name: string; script: Script; kind: string; status: number | null }[] = [
  { name: "answers 429", script: { status: 429 }, kind: "rate_limited", status: 429 },
  {
    name: "answers 429 with a Retry-After",
    script: { status: 429, retryAfterS: 30 },
    kind: "rate_limited",
    status: 429,
  },
  { name: "answers 500", script: { status: 500 }, kind: "server", status: 500 },
  { name: "answers 503", script: { status: 503 }, kind: "overloaded", status: 503 },
  { name: "answers 529", script: { status: 529 }, kind: "overloaded", status: 529 },
  { name: "refuses the router's key", script: { status: 401 }, kind: "auth", status: 401 },
  { name: "is out of money", script: { status: 402 }, kind: "quota", status: 402 },
  { name: "does not know the model", script: { status: 404 }, kind: "not_found", status: 404 },
  { name: "drops the connection without a byte", script: { refuse: true }, kind: "network", status: null },
];

const BUFFERED_FAILURES: typeof FAILURES = [
  { name: "hangs", script: { hang: "headers" }, kind: "timeout", status: null },
  { name: "answers with broken JSON", script: { malformed: true }, kind: "malformed", status: 200 },
  { name: "drops the connection in mid-answer", script: { cut: true }, kind: "network", status: 200 },
];

const STREAM_FAILURES: typeof FAILURES = [
  { name: "hangs before the head", script: { hang: "headers" }, kind: "timeout", status: null },
  { name: "hangs after the preamble", script: { hang: "preamble" }, kind: "timeout", status: 200 },
  { name: "fails after the preamble but before content", script: { error: "preamble" }, kind: "server", status: 200 },
];

describe("the first provider fails, the second answers, and the caller sees one clean answer", () => {
  test.each([...FAILURES, ...BUFFERED_FAILURES])("it $name (buffered)", async ({ script, kind, status }) => {
    const { post, simulator, ledger } = await startTestRouter({ rules: TWO_PROVIDERS.replace("60s", "2s") });
    simulator.setScript(firstFails(script));
    const response = await post(ASK);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-signalbox-provider")).toBe("anthropic");
    expect(response.headers.get("x-signalbox-attempts")).toBe("2");
    expect(response.headers.get("x-signalbox-decision")).toBe("rule=two%20sources;pick=order;candidates=2");
    const body = (await response.json()) as { choices: { message: { content: string } }[] };
    expect(body.choices[0]?.message.content).toContain("Anthropic");
    await expectTwoAttempts(ledger, kind, status);
  });

  test.each([...FAILURES, ...STREAM_FAILURES])("it $name (stream)", async ({ script, kind, status }) => {
    const { post, simulator, ledger } = await startTestRouter({ rules: TWO_PROVIDERS });
    simulator.setScript(firstFails(script));
    const response = await post({ ...ASK, stream: true });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).not.toContain('"error"');
    expect(text).not.toContain("playing the model gpt");
    expect(text.match(/"role":"assistant"/g)).toHaveLength(1);
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
    await expectTwoAttempts(ledger, kind, status);
  });

  async function expectTwoAttempts(
    ledger: () => Promise<{ requests: Record<string, unknown>[]; attempts: Record<string, unknown>[] }>,
    kind: string,
    status: number | null,
  ) {
    const { requests, attempts } = await ledger();
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ status: 200, attempts: 2, error_kind: null });
    expect(
      attempts.map(({ provider, attempt, end_reason, error_kind, http_status }) => ({
        provider,
        attempt,
        end_reason,
        error_kind,
        http_status,
      })),
    ).toEqual([
      { provider: "openai", attempt: 1, end_reason: "failed", error_kind: kind, http_status: status },
      { provider: "anthropic", attempt: 2, end_reason: "complete", error_kind: null, http_status: 200 },
    ]);
  }

  test("it refuses the connection", async () => {
    const { post, ledger } = await startTestRouter({
      rules: TWO_PROVIDERS,
      env: { OPENAI_BASE_URL: `http://127.0.0.1:${await unusedPort()}/v1` },
    });
    const response = await post(ASK);
    expect(response.status).toBe(200);
    const { attempts } = await ledger();
    // Known to have cost nothing: the request never arrived.
    expect(attempts[0]).toMatchObject({ error_kind: "network", cost_nano_usd: 0, price_status: "unmetered" });
    expect(attempts[1]).toMatchObject({ provider: "anthropic", end_reason: "complete" });
  });
});

describe("after the first content no other provider is tried", () => {
  const CUTS: { name: string; script: Script; code: string }[] = [
    { name: "is cut in mid-answer", script: { cut: true }, code: "upstream_stream_truncated" },
    { name: "carries an error event", script: { error: "stream" }, code: "upstream_error" },
    { name: "turns into garbage", script: { malformed: true }, code: "upstream_malformed" },
    { name: "falls silent", script: { hang: "stream" }, code: "timeout" },
  ];
  test.each(CUTS)(
    "a stream that $name ends in a typed error, without [DONE], and is booked as truncated",
    async ({ script, code }) => {
      for (const model of ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-3.8-flash"]) {
        const rules = TWO_PROVIDERS.replace("openai/gpt-6-luna", model);
        const { post, simulator, ledger } = await startTestRouter({ rules });
        simulator.setScript(() => script);
        const text = await (await post({ ...ASK, stream: true })).text();
        const events = text.split("\n\n").filter((line) => line !== "");
        const last = JSON.parse(events.at(-1)?.replace(/^data: /, "") ?? "") as { error: Record<string, unknown> };
        expect(last.error).toMatchObject({ type: "server_error" });
        expect(last.error.message).toBeTypeOf("string");
        if (code !== "upstream_error") expect(last.error.code).toBe(code);
        expect(text).not.toContain("[DONE]");
        expect(text).not.toMatch(/"finish_reason":"/);
        const { requests, attempts } = await ledger();
        expect(attempts).toHaveLength(1);
        expect(attempts[0]).toMatchObject({ end_reason: "truncated", state: "settled" });
        expect(requests[0]).toMatchObject({ status: 200, attempts: 1 });
      }
    },
  );

  test("the official SDK raises on it", async () => {
    const { openai, simulator } = await startTestRouter({ rules: TWO_PROVIDERS });
    simulator.setScript(() => ({ cut: true }));
    const stream = await openai.chat.completions.create({
      model: "house",
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
    });
    await expect(async () => {
      for await (const _ of stream);
    }).rejects.toThrow(/ended before the message was complete|broke before the answer was complete/);
  });
});

describe("when every provider fails the caller gets one true error", () => {
  test("with the status of its kind, the earlier failures and an order not to retry on top", async () => {
    const { post, simulator, ledger } = await startTestRouter({ rules: TWO_PROVIDERS });
    simulator.setScript(({ provider }) => (provider === "openai" ? { status: 500 } : { status: 529 }));
    const response = await post(ASK);
    expect(response.status).toBe(503);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(response.headers.get("x-signalbox-attempts")).toBe("3");
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ type: "server_error", code: "overloaded" });
    expect(error.metadata).toMatchObject({
      error_type: "overloaded",
      provider: "anthropic",
      previous_errors: [
        { provider: "openai", code: "server", status: 500 },
        { provider: "anthropic", code: "overloaded", status: 529 },
      ],
    });
    const { requests, attempts } = await ledger();
    expect(attempts).toHaveLength(3);
    expect(requests[0]).toMatchObject({ status: 503, error_kind: "overloaded", attempts: 3 });
  });

  test("a bad key or an empty account of ours is never shown as the caller's 401 or 402, nor in the provider's words", async () => {
    for (const status of [401, 402, 403]) {
      const { post, simulator } = await startTestRouter();
      simulator.setScript(() => ({ status }));
      const response = await post({ ...ASK, model: "openai/gpt-6-luna" });
      expect(response.status).toBe(503);
      const { error } = (await response.json()) as { error: { message: string } };
      expect(error.message).toMatch(/router's (own credentials|account)/);
    }
  });

  test("a 429 keeps its Retry-After", async () => {
    const { post, simulator } = await startTestRouter();
    simulator.setScript(() => ({ status: 429, retryAfterS: 77 }));
    const response = await post({ ...ASK, model: "openai/gpt-6-luna" });
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("77");
    expect(response.headers.get("retry-after-ms")).toBe("77000");
  });

  test("a request the provider finds wrong is not sent to another one", async () => {
    const { post, simulator, ledger } = await startTestRouter({ rules: TWO_PROVIDERS });
    simulator.setScript(() => ({ status: 400 }));
    const response = await post(ASK);
    expect(response.status).toBe(400);
    const { attempts } = await ledger();
    expect(attempts).toHaveLength(1);
  });
});

test("a second answer from the only target is asked for once after a 503, and no more", async () => {
  const { post, simulator, ledger } = await startTestRouter();
  simulator.setScript(({ serial }) => (serial === 1 ? { status: 503 } : undefined));
  const response = await post({ ...ASK, model: "openai/gpt-6-luna" });
  expect(response.status).toBe(200);
  const { attempts } = await ledger();
  expect(attempts.map((row) => row.error_kind)).toEqual(["overloaded", null]);
});

test("a caller that leaves before the first byte stops the attempt, and the next provider is not tried", async () => {
  const { post, simulator, ledger } = await startTestRouter({ rules: TWO_PROVIDERS.replace("300ms", "60s") });
  const abort = new AbortController();
  simulator.setScript(() => {
    abort.abort();
    return { hang: "headers" };
  });
  await expect(post(ASK, { signal: abort.signal })).rejects.toThrow();
  await simulator.requests[0]?.client.closed;
  const { requests, attempts } = await ledger();
  expect(attempts).toHaveLength(1);
  expect(attempts[0]).toMatchObject({ end_reason: "cancelled", error_kind: "cancelled" });
  expect(requests[0]).toMatchObject({ status: 499, attempts: 1 });
});

test("every attempt is booked once when a hundred calls fail and succeed at the same time", async () => {
  const { post, simulator, ledger } = await startTestRouter({ rules: TWO_PROVIDERS });
  simulator.setScript(({ provider, serial }) => {
    if (provider !== "openai") return undefined;
    return [undefined, { status: 500 }, { refuse: true }, { error: "preamble" as const }][serial % 4];
  });
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => (await post({ ...ASK, stream: i % 2 === 0 })).text()),
  );
  expect(answers).toHaveLength(100);
  const { requests, attempts } = await ledger();
  expect(requests).toHaveLength(100);
  expect(attempts.every((row) => row.state === "settled")).toBe(true);
  expect(attempts).toHaveLength(requests.reduce((sum, row) => sum + Number(row.attempts), 0));
});

/** A port nobody listens on. */
function unusedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

describe("limits", () => {
  const config = "pools: { luna: { targets: [openai/gpt-6-luna], concurrency: 2 } }\n";
  const slow = { ttftMs: 150 };

  test("more calls than a provider allows at once wait for their turn, and all are answered", async () => {
    const { post, simulator, ledger } = await startTestRouter({ config });
    simulator.setScript(() => slow);
    const answers = await Promise.all(Array.from({ length: 8 }, () => post({ ...ASK, model: "openai/gpt-6-luna" })));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    // Never more than two at a time: each begins when an earlier one has ended.
    const { attempts } = await ledger();
    const begun = attempts.map(({ opened_at_ms }) => opened_at_ms as number).sort((a, b) => a - b);
    const ended = attempts.map(({ ended_at_ms }) => ended_at_ms as number).sort((a, b) => a - b);
    for (let at = 2; at < 8; at += 1) expect(begun[at]).toBeGreaterThanOrEqual(ended[at - 2] as number);
  });

  test("a call that would wait for longer than its rule allows is refused at once, with the time to come back", async () => {
    const rules = `
version: 1
rules:
  - { name: hurry, model: house, from: [openai/gpt-6-luna], queue: { max_wait: 1ms } }
`;
    const { post, simulator } = await startTestRouter({ config: config.replace("2", "1"), rules });
    simulator.setScript(() => ({ hang: "headers" }));
    const leaving = new AbortController();
    const first = post(ASK, { signal: leaving.signal }).catch(() => undefined);
    await expect.poll(() => simulator.requests.length).toBe(1);
    const refused = await post(ASK);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(Number(refused.headers.get("retry-after-ms"))).toBeGreaterThanOrEqual(1_000);
    const { error } = (await refused.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ type: "rate_limit_error", code: "router_capacity", param: "concurrency" });
    leaving.abort();
    await first;
  });

  test("a target that keeps failing is passed over, and /health says so", async () => {
    const { post, simulator, url } = await startTestRouter({ rules: TWO_PROVIDERS });
    simulator.setScript(firstFails({ status: 503 }));
    for (let call = 0; call < 5; call += 1) expect((await post(ASK)).status).toBe(200);
    expect(simulator.requests.filter(({ path }) => path.includes("chat/completions"))).toHaveLength(3);
    const health = (await (await fetch(`${url}/health`)).json()) as { breakers: unknown[] };
    expect(health.breakers).toMatchObject([{ name: "openai/gpt-6-luna", scope: "target", state: "open" }]);
  });

  test("a 429 of the only target is waited out", async () => {
    const { post, simulator, ledger } = await startTestRouter();
    simulator.setScript(({ serial }) => (serial === 1 ? { status: 429, retryAfterS: 1 } : undefined));
    const answer = await post({ ...ASK, model: "openai/gpt-6-luna" });
    expect(answer.status).toBe(200);
    const { attempts } = await ledger();
    expect(attempts.map(({ error_kind }) => error_kind)).toEqual(["rate_limited", null]);
    expect((attempts[1]?.opened_at_ms as number) - (attempts[0]?.ended_at_ms as number)).toBeGreaterThanOrEqual(1_000);
  });
});

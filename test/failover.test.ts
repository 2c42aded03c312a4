// Where a failure leads by its kind: which target is asked next, what is learnt of it, and what the caller is told.
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ProviderError } from "../src/chat.ts";
import { windowIn } from "../src/context-window.ts";
import { inView } from "../src/gateway/failures.ts";
import { createLease } from "../src/gateway/lease.ts";
import type { Reservation } from "../src/limits.ts";
import { startTestRouter, type TestRouter } from "./support/router.ts";

const rulesOf = (more = "", fallback = "[anthropic/claude-haiku-5-5]") => `
version: 1
rules:
  - name: sources
    model: house
    pick: order
    from: [openai/gpt-6-luna]
    fallback: ${fallback}
    ${more}
`;
const ASK = { model: "house", messages: [{ role: "user", content: "Hello there" }] };
const ALONE = { ...ASK, model: "openai/gpt-6-luna" };

interface Said {
  status: number;
  headers?: Record<string, string>;
  error: Record<string, unknown>;
}

/** An OpenAI that answers every call with an error; `calls` are the bodies it was sent. */
async function refusingOpenAi(say: (body: Record<string, unknown>) => Said) {
  const calls: { body: Record<string, unknown>; headers: IncomingHttpHeaders }[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text) as Record<string, unknown>;
    calls.push({ body, headers: request.headers });
    const { status, headers = {}, error } = say(body);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { calls, env: { OPENAI_BASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` } };
}

async function attemptsOf({ ledger }: TestRouter): Promise<string[]> {
  const { attempts } = await ledger();
  return attempts.map(({ provider, error_kind }) => `${provider} ${error_kind ?? "ok"}`);
}

async function breakersOf({ url }: TestRouter): Promise<{ name: string; state: string }[]> {
  const health = (await (await fetch(`${url}/health`)).json()) as { breakers: { name: string; state: string }[] };
  return health.breakers;
}

describe("x-should-retry", () => {
  test.each([429, 503])("after %i by all is not said where it is known when to come back", async (status) => {
    const { post, simulator } = await startTestRouter({ rules: rulesOf() });
    simulator.setScript(() => ({ status, retryAfterS: 60 }));
    const response = await post(ASK);
    expect(response.status).toBe(status);
    expect(Number(response.headers.get("x-signalbox-attempts"))).toBeGreaterThan(1);
    expect(response.headers.get("x-should-retry")).toBeNull();
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(60);
  });

  test("is false after two attempts that say nothing of when", async () => {
    const { post, simulator } = await startTestRouter({ rules: rulesOf() });
    simulator.setScript(() => ({ status: 503 }));
    expect((await post(ASK)).headers.get("x-should-retry")).toBe("false");
  });

  test.each([401, 402, 404])("is false after a single %i: no retry helps", async (status) => {
    const { post, simulator } = await startTestRouter();
    simulator.setScript(() => ({ status }));
    const response = await post(ALONE);
    expect(response.headers.get("x-signalbox-attempts")).toBe("1");
    expect(response.headers.get("x-should-retry")).toBe("false");
  });
});

describe("a request that two providers answer with 500", () => {
  const THREE = rulesOf("", "[[anthropic/claude-haiku-5-5], [google/gemini-3.8-flash]]");

  test("is not sent to a third, and the second is not blamed", async () => {
    const router = await startTestRouter({ rules: THREE });
    router.simulator.setScript(() => ({ status: 500 }));
    const response = await router.post(ASK);
    expect(response.status).toBe(502);
    expect(response.headers.get("x-should-retry")).toBe("false");
    const { error } = (await response.json()) as { error: { metadata: Record<string, unknown> } };
    expect(error.metadata).toMatchObject({ provider: "anthropic", previous_errors: [{ provider: "openai" }] });
    expect((await breakersOf(router)).map(({ name }) => name)).toEqual(["openai/gpt-6-luna"]);
    expect(await attemptsOf(router)).toEqual(["openai server", "anthropic server"]);
  });

  test("goes on where the second was overloaded instead", async () => {
    const router = await startTestRouter({ rules: THREE });
    router.simulator.setScript(({ provider }) => {
      if (provider === "google") return undefined;
      return { status: provider === "openai" ? 500 : 503 };
    });
    expect((await router.post(ASK)).status).toBe(200);
    expect(await attemptsOf(router)).toEqual(["openai server", "anthropic overloaded", "google ok"]);
  });

  test("is known by its providers: two models of one are one provider", () => {
    const targetOf = (id: string) => ({ provider: { id } }) as Parameters<typeof inView>[1];
    const error = { kind: "server", status: 500, message: "m" } as const;
    const past = [{ target: targetOf("p"), error }];
    expect(inView(past, targetOf("p"), error).subkind).toBeUndefined();
    expect(inView(past, targetOf("q"), error).subkind).toBe("repeated");
    expect(inView(past, targetOf("q"), { ...error, status: 502 }).subkind).toBeUndefined();
    expect(inView([], targetOf("q"), error).subkind).toBeUndefined();
  });
});

describe("a 503 is repeated once where nobody else can take the call", () => {
  const onceBusy = ({ provider, serial }: { provider: string; serial: number }) => {
    return provider === "openai" && serial <= 2 ? { status: 503 } : undefined;
  };

  test("because all places of the other are taken", async () => {
    const config = "pools: { haiku: { targets: [anthropic/claude-haiku-5-5], concurrency: 1 } }\n";
    const rules = rulesOf("queue: { max_wait: 1ms }");
    const router = await startTestRouter({ rules, config });
    router.simulator.setScript((request) =>
      request.provider === "anthropic" ? { hang: "headers" } : onceBusy(request),
    );
    const leaving = new AbortController();
    const holder = router.post({ ...ASK, model: "anthropic/claude-haiku-5-5" }, { signal: leaving.signal });
    const held = holder.catch(() => undefined);
    await expect.poll(() => router.simulator.requests.length).toBe(1);
    const response = await router.post(ASK);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-signalbox-provider")).toBe("openai");
    expect(response.headers.get("x-signalbox-attempts")).toBe("2");
    leaving.abort();
    await held;
  });

  test("because the other's breaker is open", async () => {
    const router = await startTestRouter({ rules: rulesOf() });
    router.simulator.setScript(({ provider }) => (provider === "anthropic" ? { status: 401 } : undefined));
    await router.post({ ...ASK, model: "anthropic/claude-haiku-5-5" });
    router.simulator.setScript(onceBusy);
    const response = await router.post(ASK);
    expect(response.status).toBe(200);
    expect(await attemptsOf(router)).toEqual(["anthropic auth", "openai overloaded", "openai ok"]);
  });
});

describe("what a refusal teaches", () => {
  test("the true window: what cannot fit goes elsewhere from then on, what can does not", async () => {
    const message =
      "This model's maximum context length is 2000 tokens. However, your messages resulted in 3000 tokens.";
    const { calls, env } = await refusingOpenAi(() => ({
      status: 400,
      error: { message, type: "invalid_request_error", code: "context_length_exceeded" },
    }));
    const router = await startTestRouter({ rules: rulesOf(), env });
    const long = { ...ASK, messages: [{ role: "user", content: "many words of a prompt ".repeat(1_000) }] };
    expect((await router.post(long)).headers.get("x-signalbox-provider")).toBe("anthropic");
    expect(calls).toHaveLength(1);
    const second = await router.post(long);
    expect(second.headers.get("x-signalbox-attempts")).toBe("1");
    expect(second.headers.get("x-signalbox-decision")).toContain("excluded=1");
    expect(calls).toHaveLength(1);
    await router.post(ASK);
    expect(calls).toHaveLength(2);
  });

  test("a parameter it does not take, where no repair helps: requests with it go elsewhere, others do not", async () => {
    const { calls, env } = await refusingOpenAi(() => ({
      status: 400,
      error: { message: "Unsupported parameter: 'tools'", type: "invalid_request_error", param: "tools" },
    }));
    const router = await startTestRouter({ rules: rulesOf(), env });
    const tools = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
    expect((await router.post({ ...ASK, tools })).headers.get("x-signalbox-provider")).toBe("anthropic");
    expect(calls).toHaveLength(1);
    expect((await router.post({ ...ASK, tools })).headers.get("x-signalbox-attempts")).toBe("1");
    expect(calls).toHaveLength(1);
    await router.post(ASK);
    expect(calls).toHaveLength(2);
    const explained = await fetch(`${router.url}/v1/route/explain`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...ASK, tools }),
    });
    expect(await explained.text()).toContain("it refused tools within the last hour");
  });

  const WINDOWS: [message: string, tokens: number | undefined][] = [
    ["This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", 8_192],
    ["prompt is too long: 210000 tokens > 200000 maximum", 200_000],
    ["input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length", 200_000],
    ["The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576],
    ["the request exceeds the available context size (8192 tokens), try increasing it", 8_192],
    ["This endpoint's maximum context length is 131,072 tokens. However, you requested about 140,000", 131_072],
    ["Your request exceeded model token limit", undefined],
    ["prompt is too long", undefined],
    ["maximum context length is 0 tokens", undefined],
  ];
  test.each(WINDOWS)("the window in: %s", (message, tokens) => {
    expect(windowIn(message)).toBe(tokens);
  });
});

describe("a refusal by a content policy", () => {
  const firstFilters =
    (script: object) =>
    ({ provider }: { provider: string }) => {
      return provider === "openai" ? script : undefined;
    };
  const FILTERS = [
    { name: "of the prompt", script: { fault: "filter" }, alone: 400 },
    { name: "of the whole answer", script: { finish: "filter" }, alone: 200 },
  ] as const;

  test.each(FILTERS)("$name is not tried elsewhere unless the rule says so", async ({ script, alone }) => {
    const router = await startTestRouter({ rules: rulesOf() });
    router.simulator.setScript(firstFilters(script));
    for (const stream of [false, true]) {
      const response = await router.post({ ...ASK, stream });
      expect(response.status).toBe(alone);
      await response.text();
    }
    const all = await attemptsOf(router);
    expect(all.filter((attempt) => attempt.startsWith("anthropic"))).toEqual([]);
    expect(all).toHaveLength(2);
  });

  test.each(FILTERS)("$name goes to the next target with on_filter: next", async ({ script }) => {
    const router = await startTestRouter({ rules: rulesOf("on_filter: next") });
    router.simulator.setScript(firstFilters(script));
    for (const stream of [false, true]) {
      const response = await router.post({ ...ASK, stream });
      expect(response.headers.get("x-signalbox-provider")).toBe("anthropic");
      const text = await response.text();
      expect(text).toContain("claude-haiku-5-5");
      expect(text).not.toMatch(/"error"|content_filter/);
    }
    expect(await breakersOf(router)).toEqual([]);
    expect(await attemptsOf(router)).toEqual(Array(2).fill(["openai content_filter", "anthropic ok"]).flat());
  });

  test("of the last target is told as it came, on_filter: next or not", async () => {
    const router = await startTestRouter({ rules: rulesOf("on_filter: next") });
    router.simulator.setScript(() => ({ finish: "filter" }));
    const response = await router.post(ASK);
    expect(response.status).toBe(200);
    const { choices } = (await response.json()) as { choices: { finish_reason: string }[] };
    expect(choices[0]?.finish_reason).toBe("content_filter");
  });
});

describe("an answer without any content", () => {
  test.each([false, true])("is asked once of somebody else, and both are billed (stream: %s)", async (stream) => {
    const router = await startTestRouter({ rules: rulesOf() });
    router.simulator.setScript(({ provider }) => (provider === "openai" ? { empty: true } : undefined));
    const response = await router.post({ ...ASK, stream });
    expect(response.headers.get("x-signalbox-provider")).toBe("anthropic");
    await response.text();
    const { attempts } = await router.ledger();
    expect(attempts.map(({ error_kind }) => error_kind)).toEqual(["malformed", null]);
    for (const { cost_nano_usd } of attempts) expect(cost_nano_usd).toBeGreaterThan(0);
  });

  test("is the answer when the other has nothing to say either, or nobody else is there", async () => {
    const router = await startTestRouter({
      rules: rulesOf("", "[[anthropic/claude-haiku-5-5], [google/gemini-3.8-flash]]"),
    });
    router.simulator.setScript(() => ({ empty: true }));
    for (const ask of [ASK, ALONE]) {
      const response = await router.post(ask);
      expect(response.status).toBe(200);
      const { choices } = (await response.json()) as { choices: { finish_reason: string }[] };
      expect(choices[0]?.finish_reason).toBe("stop");
    }
    expect(await attemptsOf(router)).toEqual(["openai malformed", "anthropic ok", "openai ok"]);
  });
});

describe("limits that are told in other words", () => {
  test("402 with a Retry-After is waited for, and no breaker opens", async () => {
    const router = await startTestRouter();
    router.simulator.setScript(({ serial }) => (serial === 1 ? { status: 402, retryAfterS: 1 } : undefined));
    expect((await router.post(ALONE)).status).toBe(200);
    expect(await breakersOf(router)).toEqual([]);
    expect(await attemptsOf(router)).toEqual(["openai quota", "openai ok"]);
  });

  test.each([429, 503])(
    "slow_down under %i lowers the limit to 70 % and is no failure of the target",
    async (status) => {
      const { env } = await refusingOpenAi(() => ({
        status,
        error: { message: "Slow down: a sudden increase in your request rate.", type: "requests", code: "slow_down" },
      }));
      const config = "pools: { luna: { targets: [openai/gpt-6-luna], rpm: 600 } }\n";
      const router = await startTestRouter({ rules: rulesOf(), env, config });
      expect((await router.post(ASK)).headers.get("x-signalbox-provider")).toBe("anthropic");
      const health = (await (await fetch(`${router.url}/health`)).json()) as {
        limits: { pools: { name: string; scale: number }[] };
        breakers: unknown[];
      };
      expect(health.limits.pools.find(({ name }) => name === "luna")?.scale).toBe(0.7);
      expect(health.breakers).toEqual([]);
    },
  );

  const TOLD: [error: ProviderError, refusal: object | undefined][] = [
    [
      { kind: "rate_limited", message: "m", retryAfterMs: 5 },
      { waitMs: 5, reaction: "lower" },
    ],
    [{ kind: "rate_limited", subkind: "slow_down", message: "m" }, { reaction: "slow_down" }],
    [
      { kind: "rate_limited", subkind: "daily_quota", quotaId: "PerDay", message: "m", retryAfterMs: 36_000 },
      { waitMs: 36_000, reaction: "day", quotaId: "PerDay" },
    ],
    [
      { kind: "quota", status: 402, message: "m", retryAfterMs: 5 },
      { waitMs: 5, reaction: "block" },
    ],
    [{ kind: "rate_limited", subkind: "no_spare_capacity", message: "m" }, undefined],
    [{ kind: "quota", status: 402, message: "m" }, undefined],
    [{ kind: "server", message: "m", retryAfterMs: 5 }, undefined],
  ];
  test.each(TOLD)("%o: what the limit is told of it", (error, refusal) => {
    const told: unknown[] = [];
    const reservation: Reservation = {
      correct: () => {},
      learn: () => {},
      refuse: (said) => told.push(said),
      settle: () => {},
    };
    const lease = createLease({} as Parameters<typeof createLease>[0], reservation, () => 0, {
      answers: () => {},
      end: () => {},
    });
    lease.end({ usage: undefined, error, wasDone: false });
    expect(told).toEqual(refusal === undefined ? [] : [expect.objectContaining(refusal)]);
  });

  test("a full flex tier parks the flex tier of the target, and only that", async () => {
    const { calls, env } = await refusingOpenAi(() => ({
      status: 429,
      error: { message: "Resource unavailable. Please try again.", type: "resource_unavailable", code: null },
    }));
    const router = await startTestRouter({ rules: rulesOf(), env });
    await router.post({ ...ASK, service_tier: "flex" });
    expect(await breakersOf(router)).toMatchObject([{ name: "openai/gpt-6-luna (flex)", state: "open" }]);
    await router.post({ ...ASK, service_tier: "flex" });
    expect(calls).toHaveLength(1);
    await router.post(ASK);
    expect(calls).toHaveLength(2);
  });
});

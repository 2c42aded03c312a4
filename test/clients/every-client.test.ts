// The same behaviours for every client library and every family of models: one list, in no library's words.
import { describe, expect, test } from "vitest";
import type { Script } from "../../src/simulator/server.ts";
import { startTestRouter } from "../support/router.ts";
import { aiSdkCompatible, aiSdkOpenai } from "./ai-sdk.ts";
import {
  booked,
  type ChatClient,
  expectCancelled,
  FAMILIES,
  type Failure,
  type Family,
  PIXEL,
  type Question,
  RECIPE,
  type Trouble,
} from "./client.ts";
import { langchain } from "./langchain.ts";
import { openaiSdk } from "./openai-sdk.ts";
import { type SharedRouter, shareRouter } from "./shared-router.ts";

const CLIENTS = [openaiSdk, aiSdkOpenai, aiSdkCompatible, langchain];

interface Case extends Pick<Family, "family" | "model"> {
  client: ChatClient;
  router: SharedRouter;
  url: string;
}

interface Behaviour {
  name: string;
  check(at: Case): Promise<void>;
}

const ANSWERS: Behaviour[] = [
  {
    name: "gets text, a finish reason and the usage that is in the ledger",
    async check({ client, router, url, family, model }) {
      const answer = await client.ask(url, { model, system: "Be brief.", prompt: "Hello there" });
      expect(answer.text).toContain(`from ${family}`);
      expect(answer.text).toContain('You said: "Hello there"');
      expect(answer.finishReason).toBe(client.words.stop);
      expect(answer.usage.input).toBeGreaterThan(0);
      expect(answer.usage).toEqual(booked(await router.ledger()));
    },
  },
  {
    name: "gets the same answer as a stream, in pieces, with the usage that is in the ledger",
    async check({ client, router, url, model }) {
      const question = { model, prompt: "Hello there" };
      const plain = await client.ask(url, question);
      const streamed = await client.stream(url, question);
      expect(streamed.pieces.length).toBeGreaterThan(3);
      expect(streamed.pieces.join("")).toBe(plain.text);
      expect(streamed.text).toBe(plain.text);
      expect(streamed.finishReason).toBe(client.words.stop);
      expect(streamed.usage).toEqual(plain.usage);
      const { attempts } = await router.ledger();
      expect(attempts).toHaveLength(2);
      expect(attempts[1]).toMatchObject({
        input_tokens: streamed.usage.input,
        output_tokens: streamed.usage.output,
        end_reason: "complete",
      });
    },
  },
  {
    name: "is told when its output limit cut the answer",
    async check({ client, router, url, model }) {
      for (const way of ["ask", "stream"] as const) {
        const answer = await client[way](url, { model, prompt: "Hello there", maxTokens: 20 });
        expect(answer.finishReason).toBe(client.words.length);
        expect(answer.text).not.toBe("");
        expect(answer.usage.output).toBeLessThanOrEqual(20);
      }
      expect((await router.ledger()).attempts).toHaveLength(2);
    },
  },
  {
    name: "has its picture seen by the provider",
    async check({ client, router, url, model }) {
      const answer = await client.ask(url, { model, prompt: "What is this?", image: PIXEL });
      expect(answer.text).toContain('You said: "What is this?"');
      expect(JSON.stringify(router.simulator.requests[0]?.body)).toContain(PIXEL.split(",")[1]);
    },
  },
];

const STRUCTURED: Behaviour[] = [
  {
    name: "gets an object of its zod schema",
    async check({ client, url, model }) {
      const recipe = await client.parse(url, { model, prompt: "A recipe, please" });
      expect(RECIPE.parse(recipe)).toEqual(recipe);
      expect(recipe).toMatchObject({ course: "starter", ingredients: [{ name: "example" }] });
    },
  },
  {
    name: "sees an object of its zod schema grow while it is streamed",
    async check({ client, url, model }) {
      const { partial, whole } = await client.parseStream(url, { model, prompt: "A recipe, please" });
      expect(RECIPE.parse(whole)).toEqual(whole);
      expect(partial.length).toBeGreaterThan(1);
      expect(partial.some((part) => JSON.stringify(part) !== JSON.stringify(whole))).toBe(true);
    },
  },
];

const WEATHER_CALL = { name: "get_weather", args: { city: "Oslo" } };
const TIME_CALL = { name: "get_time", args: { zone: "UTC", seconds: true } };

const TOOL_LOOPS: Behaviour[] = (["runTools", "runToolsStreaming"] as const).flatMap((way) => {
  const how = way === "runTools" ? "" : ", streaming";
  return [
    {
      name: `has its tool called with checked arguments and the result answered${how}`,
      async check({ client, router, url, model }) {
        const run = await client[way](url, { model, prompt: "Weather?" });
        expect(run.calls).toEqual([WEATHER_CALL]);
        expect(run.text).toContain('The tool said: "rain in Oslo"');
        expect(run.finishReason).toBe(client.words.stop);
        expect(run.turns).toBe(2);
        expect(run.usage).toEqual(booked(await router.ledger()));
      },
    },
    {
      name: `has several tools called side by side and every result answered${how}`,
      async check({ client, url, model }) {
        const run = await client[way](url, { model, prompt: "Weather and time, in parallel" });
        expect(run.calls).toEqual([WEATHER_CALL, TIME_CALL]);
        expect(run.text).toContain('The tool said: "rain in Oslo | noon in UTC"');
        expect(run.turns).toBe(2);
      },
    },
    {
      name: `can go through several rounds of calls${how}`,
      async check({ client, router, url, model }) {
        router.simulator.setScript(() =>
          router.simulator.requests.length <= 3 ? { finish: "tool", reasoningTokens: 4 } : undefined,
        );
        const run = await client[way](url, { model, prompt: "Keep looking" });
        expect(run.calls).toEqual([WEATHER_CALL, WEATHER_CALL, WEATHER_CALL]);
        expect(run.turns).toBe(4);
        expect(run.text).toContain("rain in Oslo");
        const rows = await router.ledger();
        expect(rows.attempts.map((row) => row.end_reason)).toEqual(Array(4).fill("complete"));
        expect(run.usage).toEqual(booked(rows));
      },
    },
  ] satisfies Behaviour[];
});

const LEAVING: Behaviour[] = [
  {
    name: "closes the provider's connection when it aborts a stream",
    async check({ client, router, url, model }) {
      router.simulator.setScript(() => ({ tokensPerSecond: 200, tokens: 20_000 }));
      await client.leave(url, { model, prompt: "Go on for ever" });
      await expectCancelled(router);
    },
  },
];

interface Failing {
  trouble: Trouble;
  script?: Script;
  question?(family: Family): Partial<Question>;
  /** What the client makes of it. */
  expect: { status: number | undefined; code: string | null; message: RegExp };
}

const FAILURES: Failing[] = [
  {
    trouble: "bad request",
    script: { status: 400 },
    expect: { status: 400, code: null, message: /simulated|invalid argument/i },
  },
  {
    trouble: "not found",
    script: { status: 404 },
    expect: { status: 404, code: "model_not_found", message: /model/ },
  },
  {
    trouble: "rate limit",
    script: { status: 429, retryAfterS: 30 },
    expect: { status: 429, code: "rate_limit_exceeded", message: /limit|quota/i },
  },
  {
    trouble: "server",
    script: { status: 401 },
    expect: { status: 503, code: "upstream_auth_error", message: /router's own credentials/ },
  },
  {
    trouble: "too long",
    question: ({ window }) => ({ model: window.model, prompt: "one ".repeat(window.tooMany) }),
    expect: { status: 400, code: "context_length_exceeded", message: /token/ },
  },
];

async function failed(client: ChatClient, call: Promise<unknown>): Promise<Failure> {
  const error = await call.then(
    (answer) => expect.unreachable(`answered ${JSON.stringify(answer)}`),
    (thrown: unknown) => thrown,
  );
  return client.failure(error);
}

describe.each(CLIENTS)("$name", (client) => {
  describe.each(FAMILIES)("with a model of $family", (family) => {
    const shared = shareRouter();

    test.each([...ANSWERS, ...STRUCTURED, ...TOOL_LOOPS, ...LEAVING])("$name", async ({ check }) => {
      const router = shared();
      await check({ client, router, url: router.baseURL, ...family });
    });

    for (const { trouble, script, question, ...failing } of FAILURES) {
      test(`raises its own error for: ${trouble}`, async () => {
        const { baseURL, simulator, forgetOutages } = shared();
        if (script !== undefined) simulator.setScript(() => script);
        const asked = { model: family.model, prompt: "Hello there", ...question?.(family) };
        for (const way of ["ask", "stream"] as const) {
          forgetOutages();
          const { name, status, code, message } = await failed(client, client[way](baseURL, asked));
          const expected = { status: failing.expect.status, code: failing.expect.code };
          expect({ name, status, code }).toEqual({ name: client.errorNames[trouble], ...expected });
          expect(message).toMatch(failing.expect.message);
        }
      });
    }

    test.each<[string, Script, string]>([
      ["is cut off", { cut: true, reasoningTokens: 0 }, "upstream_stream_truncated"],
      ["turns into garbage", { malformed: true, reasoningTokens: 0 }, "upstream_malformed"],
    ])("does not take a stream that %s for an answer", async (_, script, expected) => {
      const { baseURL, simulator } = shared();
      simulator.setScript(() => script);
      const { name, code, message } = await failed(
        client,
        client.stream(baseURL, { model: family.model, prompt: "Hi" }),
      );
      expect({ name, code }).toEqual({ name: client.errorNames["broken stream"], code: expected });
      expect(message).not.toBe("");
    });
  });

  test("raises its own error for: wrong key", async () => {
    const { url } = await startTestRouter({ env: { SIGNALBOX_API_KEY: "sk-another-key" } });
    const error = await failed(client, client.ask(`${url}/v1`, { model: "gpt-6-luna", prompt: "Hello there" }));
    expect(error).toMatchObject({ name: client.errorNames["wrong key"], status: 401, code: "invalid_api_key" });
    expect(error.message).toMatch(/not one of this router's/);
  });
});

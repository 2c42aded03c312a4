// What only the AI SDK does: its object functions, its parts, steps and retries, in front of every family.
import {
  APICallError,
  generateObject,
  generateText,
  isStepCount,
  NoObjectGeneratedError,
  Output,
  streamObject,
  streamText,
  type ToolSet,
  tool,
} from "ai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { startTestRouter } from "../support/router.ts";
import { compatible, openaiChat } from "./ai-sdk.ts";
import { booked, CITY, FAMILIES, RECIPE } from "./client.ts";
import { shareRouter } from "./shared-router.ts";

const PROVIDERS = [
  { name: "openai.chat", connect: openaiChat },
  { name: "openai-compatible", connect: compatible },
];
const prompt = "Hello there";

describe.each(PROVIDERS)("the AI SDK with $name", ({ connect }) => {
  describe.each(FAMILIES)("in front of a model of $family", (family) => {
    const shared = shareRouter();
    const start = () => ({ ...shared(), model: connect(shared().baseURL, family.model) });

    test("gets an object from generateObject, its usage as booked", async () => {
      const { model, ledger } = start();
      const { object, finishReason, usage } = await generateObject({ model, schema: RECIPE, prompt });
      expect(RECIPE.parse(object)).toEqual(object);
      expect(finishReason).toBe("stop");
      expect({ input: usage.inputTokens, output: usage.outputTokens }).toEqual(booked(await ledger()));
    });

    test("gets a growing object from streamObject, and the whole one at its end", async () => {
      const { model, ledger } = start();
      const { partialObjectStream, object, usage } = streamObject({ model, schema: RECIPE, prompt });
      const titles: unknown[] = [];
      for await (const part of partialObjectStream) titles.push(part.ingredients?.length ?? 0);
      expect(titles[0]).toBe(0);
      expect(titles.at(-1)).toBe(1);
      expect(RECIPE.parse(await object)).toEqual(await object);
      const { inputTokens, outputTokens } = await usage;
      expect({ input: inputTokens, output: outputTokens }).toEqual(booked(await ledger()));
    });

    test("gets a list and a choice as structured output", async () => {
      const { model } = start();
      const list = await generateText({ model, prompt, output: Output.array({ element: CITY }) });
      expect(list.output).toEqual([{ city: "Oslo" }]);
      const choice = await generateText({ model, prompt, output: Output.choice({ options: ["yes", "no"] }) });
      expect(choice.output).toBe("yes");
    });

    test("is told that an answer is no object, with the text and why it ended", async () => {
      const { model, simulator } = start();
      simulator.setScript(() => ({ finish: "length", text: '{"title":"Sou', reasoningTokens: 0 }));
      const error = await generateObject({ model, schema: RECIPE, prompt }).then(
        () => expect.unreachable("answered"),
        (thrown: unknown) => thrown,
      );
      if (!NoObjectGeneratedError.isInstance(error)) throw error;
      expect(error.text).toContain('{"title":"Sou');
      expect(error.finishReason).toBe("length");
    });

    test("sees each part of a stream with a tool, in order, step by step", async () => {
      const { model, ledger } = start();
      const look = tool({ inputSchema: CITY, execute: ({ city }) => ({ city, degrees: 7 }) });
      const result = streamText({ model, prompt, tools: { look }, stopWhen: isStepCount(3) });
      const types: string[] = [];
      for await (const { type } of result.stream) if (types.at(-1) !== type) types.push(type);
      expect(types.filter((type) => !type.startsWith("reasoning"))).toEqual([
        "start",
        "start-step",
        "tool-input-start",
        "tool-input-delta",
        "tool-input-end",
        "tool-call",
        "tool-result",
        "finish-step",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
      ]);
      const steps = await result.steps;
      expect(steps.map(({ finishReason }) => finishReason)).toEqual(["tool-calls", "stop"]);
      expect(steps[0]?.toolResults).toMatchObject([{ toolName: "look", output: { city: "Oslo", degrees: 7 } }]);
      expect(await result.text).toContain('{"city":"Oslo","degrees":7}'.slice(0, 15));
      const rows = await ledger();
      expect(steps.map(({ usage }) => [usage.inputTokens, usage.outputTokens])).toEqual(
        rows.attempts.map((row) => [row.input_tokens, row.output_tokens]),
      );
    });

    test("can be made to call a tool, a certain one, or none", async () => {
      const { model } = start();
      const tools: ToolSet = { first: { inputSchema: z.object({}) }, second: { inputSchema: CITY } };
      const names = async (toolChoice: "required" | "none" | { type: "tool"; toolName: "second" }) =>
        (await generateText({ model, prompt, tools, toolChoice })).toolCalls.map(({ toolName }) => toolName);
      expect(await names("required")).toEqual(["first"]);
      expect(await names({ type: "tool", toolName: "second" })).toEqual(["second"]);
      expect(await names("none")).toEqual([]);
    });

    test("is told how many of the tokens were thought and how many came from a cache", async () => {
      const { model, simulator, ledger } = start();
      simulator.setScript(() => ({ reasoningTokens: 40, cachedTokens: 100 }));
      const { usage } = await generateText({ model, prompt });
      expect(usage.outputTokenDetails.reasoningTokens).toBe(40);
      expect(usage.inputTokenDetails.cacheReadTokens).toBe(100);
      const { attempts } = await ledger();
      expect(attempts[0]).toMatchObject({ reasoning_tokens: 40, cache_read_tokens: 100 });
    });

    test("is told of a filtered answer by its finish reason, or by an error where nothing was said", async () => {
      const { model, simulator } = start();
      simulator.setScript(() => ({ finish: "filter", text: "Well, this", reasoningTokens: 0 }));
      const { finishReason, text } = await generateText({ model, prompt });
      expect(text).toContain("Well, this");
      expect(finishReason).toBe("content-filter");
    });
  });
});

describe("reasoning of the AI SDK with openai-compatible", () => {
  const shared = shareRouter();

  test.each(FAMILIES.filter(({ provider }) => provider !== "openai"))(
    "comes from $family as parts of their own, before the text, whole and streamed",
    async (family) => {
      const router = shared();
      const model = compatible(router.baseURL, family.model);
      const options = { model, prompt, providerOptions: { signalbox: { reasoningEffort: "high" } } };
      const whole = await generateText(options);
      expect(whole.reasoningText).toMatch(/^The simulator thinks this over/);
      expect(whole.content.map(({ type }) => type)).toEqual(["reasoning", "text"]);
      expect(whole.text).toContain("Hello there");
      const streamed = streamText(options);
      const order: string[] = [];
      for await (const { type } of streamed.stream) if (type.endsWith("-delta")) order.push(type);
      expect([...new Set(order)]).toEqual(["reasoning-delta", "text-delta"]);
      expect(await streamed.reasoningText).toBe(whole.reasoningText);
      expect(await streamed.text).toBe(whole.text);
      const sent = router.simulator.requests.map(({ body }) => JSON.stringify(body));
      expect(sent.every((body) => body.includes('"high"'))).toBe(true);
    },
  );

  test.each(FAMILIES)("survives rounds of tools with $family, though its parts do not go back", async (family) => {
    const { simulator, ledger, baseURL } = shared();
    simulator.setScript(() => (simulator.requests.length < 3 ? { finish: "tool", reasoningTokens: 8 } : undefined));
    const look = tool({ inputSchema: CITY, execute: ({ city }) => `rain in ${city}` });
    const { text, steps } = await generateText({
      model: compatible(baseURL, family.model),
      prompt,
      tools: { look },
      stopWhen: isStepCount(5),
      providerOptions: { signalbox: { reasoningEffort: "high" } },
    });
    expect(text).toContain("rain in Oslo");
    expect(steps).toHaveLength(3);
    const { attempts } = await ledger();
    expect(attempts.map((row) => row.end_reason)).toEqual(["complete", "complete", "complete"]);
  });
});

describe("retries of the AI SDK", () => {
  test.each(PROVIDERS)("with $name end well when the provider recovers", async ({ connect }) => {
    const rules =
      "version: 1\nrules: [{ name: one, model: house, from: [google/gemini-3.8-flash], timeouts: { total: 1s } }]\n";
    const router = await startTestRouter({ rules });
    router.simulator.setScript(({ serial }) => (serial === 1 ? { status: 429, retryAfterS: 1 } : undefined));
    const model = connect(`${router.url}/v1`, "house");
    expect((await generateText({ model, prompt, maxRetries: 1 })).text).toContain("Hello there");
    const { requests } = await router.ledger();
    expect(requests.map((row) => row.status)).toEqual([429, 200]);
  });

  test.each(PROVIDERS)("with $name are not made for a mistake of the request", async ({ connect }) => {
    const router = await startTestRouter();
    router.simulator.setScript(() => ({ status: 400 }));
    const ask = generateText({ model: connect(`${router.url}/v1`, "claude-haiku-5-5"), prompt, maxRetries: 2 });
    await expect(ask).rejects.toSatisfy((error) => APICallError.isInstance(error) && !error.isRetryable);
    expect(router.simulator.requests).toHaveLength(1);
  });
});

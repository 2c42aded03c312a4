// The main job: an unchanged OpenAI SDK against the running router, for models of all three families.
import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { startTestRouter } from "./support/router.ts";

const FAMILIES = [
  { family: "OpenAI", model: "gpt-6-luna", provider: "openai" },
  { family: "Anthropic", model: "claude-haiku-5-5", provider: "anthropic" },
  { family: "Google", model: "gemini-3.8-flash", provider: "google" },
] as const;

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
} satisfies OpenAI.ChatCompletionTool;

describe.each(FAMILIES)("a model of $family answers the unchanged OpenAI SDK", ({ model, provider }) => {
  test("a plain call returns text, a finish reason and usage, and is one row in the ledger", async () => {
    const { openai, ledger } = await startTestRouter();
    const { data, response } = await openai.chat.completions
      .create({
        model,
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Hello there" },
        ],
      })
      .withResponse();
    expect(data.object).toBe("chat.completion");
    expect(data.choices[0]?.message.content).toContain("Hello there");
    expect(data.choices[0]?.finish_reason).toBe("stop");
    expect(data.usage?.total_tokens).toBe((data.usage?.prompt_tokens ?? 0) + (data.usage?.completion_tokens ?? 0));
    expect(response.headers.get("x-signalbox-provider")).toBe(provider);
    expect(response.headers.get("x-signalbox-model")).toBe(model);
    expect(response.headers.get("x-signalbox-attempts")).toBe("1");
    expect(response.headers.get("x-signalbox-decision")).toBe("direct;pick=balanced;candidates=1");
    const { requests, attempts } = await ledger();
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ request_id: response.headers.get("x-request-id"), status: 200, attempts: 1 });
    expect(attempts).toHaveLength(1);
    expect(attempts[0]).toMatchObject({
      provider,
      model,
      state: "settled",
      end_reason: "complete",
      input_tokens: data.usage?.prompt_tokens,
      output_tokens: data.usage?.completion_tokens,
      price_status: "exact",
    });
    const costUsd = Number(response.headers.get("x-signalbox-cost-usd"));
    expect(costUsd).toBeGreaterThan(0);
    expect(Math.round(costUsd * 1e9)).toBe(attempts[0]?.cost_nano_usd);
  });

  test("a stream arrives as deltas with one role, one finish reason and, because it was asked for, usage", async () => {
    const { openai, ledger } = await startTestRouter();
    const stream = await openai.chat.completions.create({
      model,
      messages: [{ role: "user", content: "Hello there" }],
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    const finishReasons: string[] = [];
    let usage: OpenAI.CompletionUsage | undefined;
    const ids = new Set<string>();
    for await (const chunk of stream) {
      ids.add(chunk.id);
      text += chunk.choices[0]?.delta.content ?? "";
      const reason = chunk.choices[0]?.finish_reason;
      if (reason) finishReasons.push(reason);
      if (chunk.usage) usage = chunk.usage;
    }
    expect(text).toContain("Hello there");
    expect(finishReasons).toEqual(["stop"]);
    expect(ids.size).toBe(1);
    const { attempts } = await ledger();
    expect(attempts[0]).toMatchObject({ end_reason: "complete", output_tokens: usage?.completion_tokens });
    expect(attempts[0]?.cost_nano_usd).toBeGreaterThan(0);
  });

  test("the usage chunk is not sent to a caller that did not ask for it, and is accounted for all the same", async () => {
    const { openai, ledger } = await startTestRouter();
    const stream = await openai.chat.completions.create({
      model,
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
    });
    for await (const chunk of stream) expect(chunk.choices).toHaveLength(1);
    const { attempts } = await ledger();
    expect(attempts[0]?.output_tokens).toBeGreaterThan(0);
  });

  test("the SDK's stream helper accumulates the same answer a plain call gives", async () => {
    const { openai } = await startTestRouter();
    const messages = [{ role: "user" as const, content: "Hello there" }];
    const plain = await openai.chat.completions.create({ model, messages });
    const streamed = await openai.chat.completions.stream({ model, messages }).finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(plain.choices[0]?.message.content);
    expect(streamed.choices[0]?.finish_reason).toBe("stop");
  });

  test("a tool loop of two turns works, buffered and streamed", async () => {
    const { openai } = await startTestRouter();
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "Weather in Oslo?" }];
    for (const turn of [1, 2]) {
      const call = await openai.chat.completions.stream({ model, messages, tools: [WEATHER] }).finalChatCompletion();
      const message = call.choices[0]?.message;
      expect(call.choices[0]?.finish_reason).toBe("tool_calls");
      const toolCall = message?.tool_calls?.[0];
      if (message === undefined || toolCall?.type !== "function") throw new Error("no function call");
      expect(toolCall.function.name).toBe("get_weather");
      expect(JSON.parse(toolCall.function.arguments)).toHaveProperty("city");
      // The SDK's own message goes back as it is, extensions of the answer included.
      messages.push(message, { role: "tool", tool_call_id: toolCall.id, content: `rain, round ${turn}` });
      const answer = await openai.chat.completions.create({ model, messages, tools: [WEATHER] });
      expect(answer.choices[0]?.message.content).toContain(`rain, round ${turn}`);
      messages.push(answer.choices[0]!.message, { role: "user", content: "And tomorrow?" });
    }
  });

  test("aborting a stream closes the provider's connection at once and is booked as cancelled", async () => {
    const { openai, simulator, ledger } = await startTestRouter();
    simulator.setScript(() => ({ tokensPerSecond: 20, tokens: 2_000 }));
    const stream = await openai.chat.completions.create({
      model,
      messages: [{ role: "user", content: "Go on for ever" }],
      stream: true,
    });
    for await (const _ of stream) break;
    const leftAtMs = Date.now();
    stream.controller.abort();
    const seenAtMs = await simulator.requests[0]?.client.closed;
    expect(simulator.requests[0]?.client.closedByClient).toBe(true);
    // 100 ms is the promise; the bound is wider only for machines that are busy with other things.
    expect((seenAtMs ?? Number.POSITIVE_INFINITY) - leftAtMs).toBeLessThan(1_000);
    const { requests, attempts } = await ledger();
    expect(attempts[0]).toMatchObject({ end_reason: "cancelled", error_kind: "cancelled", state: "settled" });
    expect(requests[0]).toMatchObject({ status: 499 });
  });

  test("an image, stop sequences, limits and sampling reach the provider in its own words", async () => {
    const { openai, simulator } = await startTestRouter();
    const image =
      "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    const answer = await openai.chat.completions.create({
      model,
      max_completion_tokens: 50,
      stop: ["END"],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: image } },
          ],
        },
      ],
    });
    expect(answer.choices[0]?.finish_reason).toMatch(/stop|length/);
    expect(JSON.stringify(simulator.requests[0]?.body)).toContain("iVBORw0KGgo");
    expect(JSON.stringify(simulator.requests[0]?.body)).toContain("END");
  });
});

test("a relayed stream reaches the caller byte for byte, unknown fields included", async () => {
  const { post, simulator } = await startTestRouter();
  const body = { model: "gpt-6-luna", stream: true, messages: [{ role: "user", content: "Hi" }] };
  const routed = await (await post({ ...body, stream_options: { include_usage: true } })).text();
  const direct = await fetch(`${simulator.url}/openai/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer x" },
    body: JSON.stringify({ ...body, stream_options: { include_usage: true } }),
  });
  const withoutIds = (text: string) => text.replaceAll(/"(id|created|obfuscation)":("[^"]*"|\d+)/g, '"$1":0');
  expect(withoutIds(routed)).toBe(withoutIds(await direct.text()));
});

test("curl sees the first data line while the provider is still generating, proper headers, and [DONE] at the end", async () => {
  const { post, simulator } = await startTestRouter();
  // The provider sends some content, then nothing more until the caller has seen it and let it go on.
  simulator.setScript(() => ({ hang: "stream" }));
  const abort = new AbortController();
  const hanging = await post(
    { model: "claude-haiku-5-5", stream: true, messages: [{ role: "user", content: "Hi" }] },
    { signal: abort.signal },
  );
  expect(hanging.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(hanging.headers.get("cache-control")).toBe("no-cache");
  expect(hanging.headers.get("x-accel-buffering")).toBe("no");
  const first = await hanging.body?.getReader().read();
  expect(Buffer.from(first?.value ?? []).toString()).toMatch(/^data: \{/);
  abort.abort();
  simulator.setScript(undefined);
  const whole = await post({ model: "claude-haiku-5-5", stream: true, messages: [{ role: "user", content: "Hi" }] });
  expect(await whole.text()).toMatch(/data: \[DONE\]\n\n$/);
});

test("usage.cost is in the body for those who ask with usage.include, buffered and streamed, and equals the ledger", async () => {
  const { post, ledger } = await startTestRouter();
  const costs: number[] = [];
  for (const model of ["gpt-6-luna", "claude-haiku-5-5"]) {
    const body = { model, usage: { include: true }, messages: [{ role: "user", content: "Hi" }] };
    const buffered = (await (await post(body)).json()) as { usage: { cost: number } };
    costs.push(buffered.usage.cost);
    const text = await (await post({ ...body, stream: true })).text();
    const chunks = text.split("\n\n").filter((line) => line.startsWith("data: {"));
    costs.push((JSON.parse(chunks.at(-1)?.slice(6) ?? "") as { usage: { cost: number } }).usage.cost);
  }
  const { attempts } = await ledger();
  expect(costs.map((cost) => Math.round(cost * 1e9))).toEqual(attempts.map((row) => row.cost_nano_usd));
  expect(costs.every((cost) => cost > 0)).toBe(true);
});

test("cached input tokens are billed at their own price, exact to the nanodollar", async () => {
  const { openai, simulator, ledger } = await startTestRouter({
    config: `
providers:
  anthropic:
    models:
      - { id: priced, context: 200k, price: { input: $3, output: $15, cache_read: $0.30, cache_write: $3.75 } }
`,
  });
  simulator.setScript(() => ({ cachedTokens: 1_000, tokens: 7 }));
  const filler = "x".repeat(8_000);
  const { data, response } = await openai.chat.completions
    .create({ model: "anthropic/priced", messages: [{ role: "user", content: filler }] })
    .withResponse();
  const usage = data.usage;
  expect(usage?.prompt_tokens_details?.cached_tokens).toBe(1_000);
  const fresh = (usage?.prompt_tokens ?? 0) - 1_000;
  // By hand: $3 per million is 3,000 nanodollars a token; cached reads 300, output 15,000.
  const expected = fresh * 3_000 + 1_000 * 300 + (usage?.completion_tokens ?? 0) * 15_000;
  const { attempts } = await ledger();
  expect(attempts[0]).toMatchObject({ cost_nano_usd: expected, cache_read_tokens: 1_000 });
  expect(Number(response.headers.get("x-signalbox-cost-usd"))).toBe(expected / 1e9);
});

test("a model without a price is answered and shows as unpriced, never as free", async () => {
  const { openai, ledger } = await startTestRouter();
  const { response } = await openai.chat.completions
    .create({ model: "openai/some-future-model", messages: [{ role: "user", content: "Hi" }] })
    .withResponse();
  expect(response.headers.get("x-signalbox-cost-usd")).toBeNull();
  const { attempts } = await ledger();
  expect(attempts[0]).toMatchObject({ cost_nano_usd: null, price_status: "unknown" });
});

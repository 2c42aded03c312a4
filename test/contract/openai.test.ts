// The vendor's SDK as oracle: what the router makes of a call must be what the SDK would have sent to OpenAI itself.
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import OpenAI from "openai";
import type { ChatCompletionCreateParams } from "openai/resources/chat/completions";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { openai as provider } from "../../providers/openai.ts";
import type { JsonObject } from "../../src/chat.ts";
import type { Encoded } from "../../src/dialect.ts";

interface Captured {
  url: string;
  authorization: string | null;
  text: string;
}

let captured: Captured[] = [];

const server = setupServer(
  http.post(/\/v1\/chat\/completions$/, async ({ request }) => {
    const text = await request.text();
    captured.push({ url: request.url, authorization: request.headers.get("authorization"), text });
    const { stream } = JSON.parse(text) as JsonObject;
    if (stream === true) return new HttpResponse("", { headers: { "content-type": "text/event-stream" } });
    return HttpResponse.json({ id: "c", object: "chat.completion", created: 0, model: "m", choices: [] });
  }),
);

beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
beforeEach(() => {
  captured = [];
});
afterAll(() => server.close());

const ROUTER = "https://router.test/v1";

/** What the SDK sends to an address, to the byte. */
async function sentBySdk(baseURL: string, params: ChatCompletionCreateParams): Promise<Captured> {
  const client = new OpenAI({
    apiKey: "sk-test",
    baseURL,
    maxRetries: 0,
    // The client would keep the `fetch` of the moment it is made, before msw has replaced it.
    fetch: (input, init) => fetch(input, init),
  });
  await client.chat.completions.create(params);
  return captured.at(-1)!;
}

/** The same call through the router: parsed as a caller's, encoded for OpenAI. */
function relayed(text: string, model: string): Encoded {
  const request = openaiChatInbound.parse(JSON.parse(text), () => undefined);
  if ("kind" in request) throw new Error(`refused: ${request.error.message}`);
  const target = { provider: { ...provider, baseUrl: "", key: undefined, models: new Map() }, model, entry: undefined };
  const encoded = provider.dialect.encode({ request, target, nowMs: 0, newId: (prefix) => prefix });
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  return encoded;
}

const weather = {
  type: "function" as const,
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

const CALLS: { name: string; params: Omit<ChatCompletionCreateParams, "model"> }[] = [
  { name: "one question", params: { messages: [{ role: "user", content: "Hello" }] } },
  {
    name: "a conversation of several turns, with a developer and names",
    params: {
      messages: [
        { role: "developer", content: "Be brief." },
        { role: "user", name: "ann", content: "Hello" },
        { role: "assistant", content: "Hi." },
        { role: "user", content: [{ type: "text", text: "And?" }] },
      ],
      temperature: 0.3,
      top_p: 0.9,
      stop: ["END"],
      seed: 7,
      n: 2,
      user: "u-1",
      metadata: { a: "b" },
      store: false,
    },
  },
  {
    name: "tools with a forced choice",
    params: {
      messages: [{ role: "user", content: "Weather in Oslo?" }],
      tools: [weather],
      tool_choice: { type: "function", function: { name: "get_weather" } },
      parallel_tool_calls: false,
    },
  },
  {
    name: "tool results, whose arguments are text that must not be touched",
    params: {
      messages: [
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{ "city" : "Ošlo" }' } },
          ],
        },
        { role: "tool", tool_call_id: "call_1", content: "4 °C" },
      ],
      tools: [weather],
    },
  },
  {
    name: "images by address and inline, and a file",
    params: {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "low" } },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
            { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0x" } },
          ],
        },
      ],
    },
  },
  {
    name: "an answer by JSON schema",
    params: {
      messages: [{ role: "user", content: "Weather as JSON" }],
      response_format: {
        type: "json_schema",
        json_schema: { name: "weather", strict: true, schema: weather.function.parameters },
      },
    },
  },
  {
    name: "a stream with its usage",
    params: {
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
    },
  },
  {
    name: "reasoning effort with the output limit of reasoning models",
    params: {
      messages: [{ role: "user", content: "Think." }],
      reasoning_effort: "high",
      max_completion_tokens: 2_000,
      verbosity: "low",
      service_tier: "flex",
      prompt_cache_key: "k",
    },
  },
];

describe("a call through the router reaches OpenAI as the SDK would have sent it", () => {
  test.each(CALLS)("$name", async ({ params }) => {
    const direct = await sentBySdk("https://api.openai.com/v1", { ...params, model: "gpt-6-sol" });
    const asked = await sentBySdk(ROUTER, { ...params, model: "openai/gpt-6-sol" });
    const { wire, relay, warnings } = relayed(asked.text, "gpt-6-sol");
    expect(`${provider.baseUrl}${wire.path}`).toBe(direct.url);
    expect(provider.authorize("sk-test").authorization).toBe(direct.authorization);
    // As text: a relay does not even change the order of the keys.
    expect(wire.body).toBe(direct.text);
    expect({ relay, warnings }).toEqual({ relay: true, warnings: [] });
  });
});

test("a stream that did not ask for usage differs in that only", async () => {
  const params: ChatCompletionCreateParams = {
    model: "gpt-6-sol",
    messages: [{ role: "user", content: "q" }],
    stream: true,
  };
  const direct = await sentBySdk("https://api.openai.com/v1", params);
  const { wire } = relayed((await sentBySdk(ROUTER, params)).text, "gpt-6-sol");
  const { stream_options, ...rest } = JSON.parse(wire.body) as JsonObject;
  expect(rest).toEqual(JSON.parse(direct.text));
  expect(stream_options).toEqual({ include_usage: true });
});

test("the old name of the output limit goes out as the one every model of OpenAI takes", async () => {
  const params = { model: "gpt-6-sol", messages: [{ role: "user" as const, content: "q" }], max_tokens: 5 };
  const { wire } = relayed((await sentBySdk(ROUTER, params)).text, "gpt-6-sol");
  expect(JSON.parse(wire.body)).toEqual({ model: "gpt-6-sol", messages: params.messages, max_completion_tokens: 5 });
});

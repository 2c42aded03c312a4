// The vendor's SDK as oracle: our encoder writes what it writes for the same call, our decoder reads what it reads.
import { readdirSync, readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import type { MessageCreateParamsNonStreaming } from "@anthropic-ai/sdk/resources/messages";
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import { type ChatBody, fold } from "../../src/chat.ts";
import { anthropicCall, decodeChunks } from "../dialects/anthropic-calls.ts";

const server = setupServer();
beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
afterEach(() => server.resetHandlers());
afterAll(() => server.close());

const client = new Anthropic({
  apiKey: "sk-ant-test",
  baseURL: "https://anthropic.test",
  maxRetries: 0,
  // The client would keep the `fetch` of the moment it is made, before msw has replaced it.
  fetch: (input, init) => fetch(input, init),
});

interface Sent {
  path: string;
  contentType: string | null;
  body: unknown;
}

/** What the SDK puts on the wire for a call. */
async function sentBySdk(params: MessageCreateParamsNonStreaming, stream: boolean): Promise<Sent> {
  let sent: Sent | undefined;
  server.use(
    http.post("https://anthropic.test/*", async ({ request }) => {
      const path = new URL(request.url).pathname;
      sent = { path, contentType: request.headers.get("content-type"), body: await request.json() };
      if (stream) return new HttpResponse("", { headers: { "content-type": "text/event-stream" } });
      return HttpResponse.json({ id: "msg_1", type: "message", role: "assistant", content: [], usage: {} });
    }),
  );
  if (stream) await client.messages.create({ ...params, stream: true });
  else await client.messages.create(params);
  return sent!;
}

const weather = {
  type: "object" as const,
  properties: { city: { type: "string", description: "City and country" } },
  required: ["city"],
  additionalProperties: false,
};
const PIXEL = "iVBORw0KGgo=";

const SEARCHED = [
  { type: "server_tool_use" as const, id: "srvtoolu_1", name: "web_search" as const, input: { query: "q" } },
  {
    type: "web_search_tool_result" as const,
    tool_use_id: "srvtoolu_1",
    content: [{ type: "web_search_result" as const, url: "https://e.x", title: "T", encrypted_content: "E" }],
  },
  { type: "text" as const, text: "42" },
];

const CALLS: { name: string; ours: ChatBody; theirs: MessageCreateParamsNonStreaming }[] = [
  {
    name: "one question with a system prompt",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" },
      ],
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      system: "Be brief.",
      messages: [{ role: "user", content: [{ type: "text", text: "Hello" }] }],
    },
  },
  {
    name: "a streamed conversation of several turns with stop sequences and a user id",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      stream: true,
      stop: ["END", "STOP"],
      user: "u-17",
      messages: [
        { role: "user", content: "One?" },
        { role: "assistant", content: "One." },
        { role: "user", content: "Two?" },
      ],
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      stop_sequences: ["END", "STOP"],
      metadata: { user_id: "u-17" },
      messages: [
        { role: "user", content: [{ type: "text", text: "One?" }] },
        { role: "assistant", content: [{ type: "text", text: "One." }] },
        { role: "user", content: [{ type: "text", text: "Two?" }] },
      ],
    },
  },
  {
    name: "a forced tool without parallel calls",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: "Weather in Oslo?" }],
      tools: [{ type: "function", function: { name: "weather", description: "Looks it up", parameters: weather } }],
      tool_choice: { type: "function", function: { name: "weather" } },
      parallel_tool_calls: false,
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: [{ type: "text", text: "Weather in Oslo?" }] }],
      tools: [{ name: "weather", description: "Looks it up", input_schema: weather }],
      tool_choice: { type: "tool", name: "weather", disable_parallel_tool_use: true },
    },
  },
  {
    name: "two tool calls and their results, one of them an error",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: "Looking.",
          tool_calls: [
            { id: "toolu_1", type: "function", function: { name: "weather", arguments: '{"city":"Oslo"}' } },
            { id: "toolu_2", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } },
          ],
        },
        { role: "tool", tool_call_id: "toolu_1", content: "rain" },
        { role: "tool", tool_call_id: "toolu_2", content: "no such city", is_error: true },
      ],
      tools: [{ type: "function", function: { name: "weather", parameters: weather } }],
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        { role: "user", content: [{ type: "text", text: "Weather?" }] },
        {
          role: "assistant",
          content: [
            { type: "text", text: "Looking." },
            { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Oslo" } },
            { type: "tool_use", id: "toolu_2", name: "weather", input: { city: "Rome" } },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "rain" }] },
            {
              type: "tool_result",
              tool_use_id: "toolu_2",
              is_error: true,
              content: [{ type: "text", text: "no such city" }],
            },
          ],
        },
      ],
      tools: [{ name: "weather", input_schema: weather }],
    },
  },
  {
    name: "images by url and by value and a document",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "Compare." },
            { type: "image_url", image_url: { url: "https://example.com/a.png" } },
            { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
            { type: "file", file: { filename: "r.pdf", file_data: "data:application/pdf;base64,JVBERi0xLjQ=" } },
          ],
        },
      ],
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "Compare." },
            { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
            { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
            {
              type: "document",
              source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjQ=" },
              title: "r.pdf",
            },
          ],
        },
      ],
    },
  },
  {
    name: "effort and adaptive thinking with signed thinking of an earlier turn",
    ours: {
      model: "claude-opus-5",
      max_tokens: 4000,
      reasoning_effort: "high",
      messages: [
        { role: "user", content: "2+2?" },
        {
          role: "assistant",
          content: "4",
          reasoning_details: [
            { type: "reasoning.text", text: "Sum.", signature: "SIG", format: "anthropic-claude-v1" },
          ],
        },
        { role: "user", content: "Sure?" },
      ],
    },
    theirs: {
      model: "claude-opus-5",
      max_tokens: 4000,
      thinking: { type: "adaptive", display: "summarized" },
      output_config: { effort: "high" },
      messages: [
        { role: "user", content: [{ type: "text", text: "2+2?" }] },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Sum.", signature: "SIG" },
            { type: "text", text: "4" },
          ],
        },
        { role: "user", content: [{ type: "text", text: "Sure?" }] },
      ],
    },
  },
  {
    name: "a thinking budget on a model with budgets",
    ours: {
      model: "claude-haiku-4-5",
      max_tokens: 20_000,
      reasoning_effort: "medium",
      messages: [{ role: "user", content: "Think." }],
    },
    theirs: {
      model: "claude-haiku-4-5",
      max_tokens: 20_000,
      thinking: { type: "enabled", budget_tokens: 4096 },
      messages: [{ role: "user", content: [{ type: "text", text: "Think." }] }],
    },
  },
  {
    name: "structured output",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: "Oslo as JSON" }],
      response_format: { type: "json_schema", json_schema: { name: "city", strict: true, schema: weather } },
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: [{ type: "text", text: "Oslo as JSON" }] }],
      output_config: { format: { type: "json_schema", schema: weather } },
    },
  },
  {
    name: "cache markers on system, tool and message",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        { role: "system", content: [{ type: "text", text: "Long.", cache_control: { type: "ephemeral", ttl: "1h" } }] },
        { role: "user", content: [{ type: "text", text: "Hi", cache_control: { type: "ephemeral" } }] },
      ],
      tools: [{ type: "function", function: { name: "weather", parameters: weather } }],
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      system: [{ type: "text", text: "Long.", cache_control: { type: "ephemeral", ttl: "1h" } }],
      messages: [{ role: "user", content: [{ type: "text", text: "Hi", cache_control: { type: "ephemeral" } }] }],
      tools: [{ name: "weather", input_schema: weather }],
    },
  },
  {
    name: "a custom tool beside a web search",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: "List" }],
      tools: [{ type: "custom", custom: { name: "sh", description: "run" } }],
      web_search_options: { user_location: { type: "approximate", approximate: { country: "NO" } } },
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [{ role: "user", content: [{ type: "text", text: "List" }] }],
      tools: [
        {
          name: "sh",
          description: "run",
          input_schema: {
            type: "object",
            properties: { input: { type: "string" } },
            required: ["input"],
            additionalProperties: false,
          },
        },
        {
          type: "web_search_20250305",
          name: "web_search",
          max_uses: 5,
          user_location: { type: "approximate", country: "NO" },
        },
      ],
    },
  },
  {
    name: "an answer after one that came with its own blocks",
    ours: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        { role: "user", content: "Search" },
        { role: "assistant", content: "42", content_blocks: SEARCHED },
        { role: "user", content: "Sure?" },
      ],
    },
    theirs: {
      model: "claude-opus-4-6",
      max_tokens: 100,
      messages: [
        { role: "user", content: [{ type: "text", text: "Search" }] },
        { role: "assistant", content: SEARCHED },
        { role: "user", content: [{ type: "text", text: "Sure?" }] },
      ],
    },
  },
];

describe("the encoder writes what the SDK writes", () => {
  for (const { name, ours, theirs } of CALLS) {
    test(name, async () => {
      const encoded = anthropicMessages.encode(anthropicCall(ours));
      if (encoded.kind !== "encoded") throw new Error(encoded.error.message);
      const sent = await sentBySdk(theirs, ours.stream === true || encoded.streams === true);
      expect(encoded.warnings).toEqual([]);
      expect(JSON.parse(encoded.wire.body)).toEqual(sent.body);
      expect(encoded.wire.path).toBe(sent.path);
      expect(sent.contentType).toBe("application/json");
    });
  }
});

test("betas and what they bring are written as the SDK's beta client writes them", async () => {
  let sent: { beta: string | null; body: unknown } | undefined;
  server.use(
    http.post("https://anthropic.test/*", async ({ request }) => {
      sent = { beta: request.headers.get("anthropic-beta"), body: await request.json() };
      return HttpResponse.json({ id: "msg_1", type: "message", role: "assistant", content: [], usage: {} });
    }),
  );
  const shared = { model: "claude-opus-5-5", max_tokens: 100 };
  await client.beta.messages.create({
    ...shared,
    messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
    thinking: {
      type: "adaptive",
      display: "summarized",
      block_binding: { prefix_mismatch_behavior: "drop_block" },
    },
    speed: "fast",
    betas: ["files-api-2025-04-14", "fast-mode-2026-02-01", "thinking-binding-controls-2026-08-01"],
  });
  const body = { ...shared, service_tier: "fast", betas: ["files-api-2025-04-14"] };
  const encoded = anthropicMessages.encode(
    anthropicCall(
      { ...body, messages: [{ role: "user", content: "hi" }] },
      {
        entry: { id: shared.model, features: { fastMode: true } },
        repairs: ["thinking_blocks=drop_unbound"],
      },
    ),
  );
  if (encoded.kind !== "encoded") throw new Error(encoded.error.message);
  expect(encoded.wire.headers["anthropic-beta"]).toBe(sent?.beta);
  expect(JSON.parse(encoded.wire.body)).toEqual(sent?.body);
});

const ROOT = new URL("../dialects/anthropic-messages/", import.meta.url);
/** Complete streams of first-party form: the SDK does not read what compatible servers get wrong. */
const STREAMS = [
  "text-streams-word-by-word",
  "text-then-two-parallel-tool-calls",
  "summarised-thinking-then-text",
  "signature-only-thinking-and-a-call-without-arguments",
  "redacted-thinking-keeps-its-place-between-thinking-blocks",
  "a-refusal-after-output-keeps-the-output",
  "json-of-a-server-tool-does-not-leak-into-a-call",
];

describe("the decoder reads what the SDK reads", () => {
  test("the streams it is compared on exist", () => {
    expect(readdirSync(ROOT)).toEqual(expect.arrayContaining(STREAMS));
  });

  for (const name of STREAMS) {
    test(name.replaceAll("-", " "), async () => {
      const bytes = readFileSync(new URL(`${name}/upstream.sse`, ROOT));
      const headers = { "content-type": "text/event-stream" };
      server.use(http.post("https://anthropic.test/*", () => new HttpResponse(bytes, { headers })));
      const message = await client.messages
        .stream({ model: "claude-opus-5", max_tokens: 1, messages: [{ role: "user", content: "hi" }] })
        .finalMessage();
      const answer = fold(decodeChunks([bytes], anthropicCall()));
      const [choice] = answer.choices;
      const calls = message.content.filter((block) => block.type === "tool_use");
      expect(answer).toMatchObject({ id: message.id, model: message.model, error: undefined });
      expect(choice?.text).toBe(message.content.map((block) => (block.type === "text" ? block.text : "")).join(""));
      expect(choice?.nativeReason).toBe(message.stop_reason);
      expect(choice?.toolCalls.map((call) => ({ ...call, argumentsText: JSON.parse(call.argumentsText) }))).toEqual(
        calls.map(({ id, name: tool, input }) => ({ id, name: tool, argumentsText: input })),
      );
      expect(choice?.reasoningDetails.map((detail) => detail.signature ?? detail.data)).toEqual(
        message.content.flatMap((block) =>
          block.type === "thinking" ? [block.signature] : block.type === "redacted_thinking" ? [block.data] : [],
        ),
      );
      expect(answer.usage?.outputTokens).toBe(message.usage.output_tokens);
    });
  }

  test("blocks of an answer that comes as it is are those the SDK puts together", async () => {
    const name = "content-blocks-come-whole-when-asked-for";
    const bytes = readFileSync(new URL(`${name}/upstream.sse`, ROOT));
    const headers = { "content-type": "text/event-stream" };
    server.use(http.post("https://anthropic.test/*", () => new HttpResponse(bytes, { headers })));
    const message = await client.messages
      .stream({ model: "claude-opus-5", max_tokens: 1, messages: [{ role: "user", content: "hi" }] })
      .finalMessage();
    const request = JSON.parse(readFileSync(new URL(`${name}/request.json`, ROOT), "utf8")) as ChatBody;
    const [choice] = fold(decodeChunks([bytes], anthropicCall(request))).choices;
    expect(choice?.messageExtra.content_blocks).toEqual(message.content);
  });
});

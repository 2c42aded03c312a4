// What callers of /v1/chat/completions are told and sent: refusals in OpenAI's words, chunks its SDK can read.
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { openaiChatInbound as inbound } from "../../providers/dialects/openai/inbound.ts";
import { type ChatEvent, type FinishReason, fold, type JsonObject, type Usage } from "../../src/chat.ts";
import type { AnswerHead } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";
import { decodeBody } from "./openai-harness.ts";

const user = [{ role: "user", content: "q" }];
const valid = { model: "m", messages: user };

function parse(body: unknown, headers: Record<string, string> = {}) {
  return inbound.parse(body, (name) => headers[name]);
}

describe("a request that cannot be read is refused in OpenAI's words", () => {
  const supported = "'system', 'developer', 'user', 'assistant', 'tool', and 'function'";
  const noArray = "Expected an array with minimum length 1, but got an empty array instead.";
  test.each<[unknown, string | undefined, string, string]>([
    [null, undefined, "invalid_type", "The request body must be a JSON object."],
    [[], undefined, "invalid_type", "The request body must be a JSON object."],
    ["{}", undefined, "invalid_type", "The request body must be a JSON object."],
    [{ messages: user }, "model", "missing_required_parameter", "Missing required parameter: 'model'."],
    [{ model: "m" }, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."],
    [{ model: "m", messages: [] }, "messages", "empty_array", `Invalid 'messages': empty array. ${noArray}`],
    [
      { model: "m", messages: "hi" },
      "messages",
      "invalid_type",
      "Invalid type for 'messages': expected an array, but got a string instead.",
    ],
    [
      { model: null, messages: user },
      "model",
      "invalid_type",
      "Invalid type for 'model': expected a string, but got null instead.",
    ],
    [
      { model: "", messages: user },
      "model",
      "empty_string",
      "Invalid 'model': empty string. Expected a string with minimum length 1, but got an empty string instead.",
    ],
    [
      { model: "m".repeat(257), messages: user },
      "model",
      "string_above_max_length",
      "Invalid 'model': string too long. Expected a string with maximum length 256, but got a string with length 257 instead.",
    ],
    [
      { model: "m", messages: [...user, { content: "x" }] },
      "messages[1].role",
      "missing_required_parameter",
      "Missing required parameter: 'messages[1].role'.",
    ],
    [
      { model: "m", messages: [{ role: "bot", content: "x" }] },
      "messages[0].role",
      "invalid_value",
      `Invalid value: 'bot'. Supported values are: ${supported}.`,
    ],
    [
      { model: "m", messages: [{ role: 1, content: "x" }] },
      "messages[0].role",
      "invalid_type",
      "Invalid type for 'messages[0].role': expected a string, but got an integer instead.",
    ],
    [
      { model: "m", messages: [null] },
      "messages[0]",
      "invalid_type",
      "Invalid type for 'messages[0]': expected an object, but got null instead.",
    ],
    [
      { model: "m", messages: [{ role: "user", content: 5 }] },
      "messages[0].content",
      "invalid_type",
      "Invalid type for 'messages[0].content': expected one of a string or an array of objects, but got an integer instead.",
    ],
    [
      { model: "m", messages: [{ role: "user", content: [{ type: "text", text: "a" }, { text: "b" }] }] },
      "messages[0].content[1].type",
      "missing_required_parameter",
      "Missing required parameter: 'messages[0].content[1].type'.",
    ],
    [
      { ...valid, temperature: 2.5 },
      "temperature",
      "decimal_above_max_value",
      "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
    ],
    [
      { ...valid, temperature: "1" },
      "temperature",
      "invalid_type",
      "Invalid type for 'temperature': expected a decimal, but got a string instead.",
    ],
    [
      { ...valid, top_p: -0.5 },
      "top_p",
      "decimal_below_min_value",
      "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -0.5 instead.",
    ],
    [
      { ...valid, n: 0 },
      "n",
      "integer_below_min_value",
      "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    ],
    [
      { ...valid, n: 129 },
      "n",
      "integer_above_max_value",
      "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
    ],
    [
      { ...valid, max_tokens: 1.5 },
      "max_tokens",
      "invalid_type",
      "Invalid type for 'max_tokens': expected an integer, but got a decimal number instead.",
    ],
    [
      { ...valid, max_tokens: Number.POSITIVE_INFINITY },
      "max_tokens",
      "invalid_type",
      "Invalid type for 'max_tokens': expected an integer, but got a number beyond all bounds instead.",
    ],
    [
      { ...valid, temperature: Number.POSITIVE_INFINITY },
      "temperature",
      "invalid_type",
      "Invalid type for 'temperature': expected a decimal, but got a number beyond all bounds instead.",
    ],
    [
      { ...valid, stream: "yes" },
      "stream",
      "invalid_type",
      "Invalid type for 'stream': expected a boolean, but got a string instead.",
    ],
    [
      { ...valid, tools: {} },
      "tools",
      "invalid_type",
      "Invalid type for 'tools': expected an array, but got an object instead.",
    ],
    [
      { ...valid, tools: [{ type: "function", function: {} }] },
      "tools[0].function.name",
      "missing_required_parameter",
      "Missing required parameter: 'tools[0].function.name'.",
    ],
  ])("%j", (body, param, code, message) => {
    expect(parse(body)).toEqual({ kind: "refusal", error: { kind: "invalid_request", message, param, code } });
  });
});

describe("a request that can be read", () => {
  test("is the caller's own object, so that unknown keys and their order reach the provider", () => {
    const body = { zzz: 1, model: "m", messages: [{ role: "user", content: "q", extension: {} }], aaa: null };
    expect(parse(body)).toMatchObject({ dialect: "openai-chat", stream: false, strict: false });
    expect((parse(body) as { body: unknown }).body).toBe(body);
  });

  test("may hold null wherever a field is optional", () => {
    const nulls = { stream: null, tools: null, temperature: null, n: null, max_tokens: null, stream_options: null };
    expect(
      parse({ model: "m", messages: [{ role: "assistant", content: null, tool_calls: null }], ...nulls }),
    ).toMatchObject({ stream: false, includeUsage: false, includeCost: false });
  });

  test.each([
    [{ stream: true }, {}, { stream: true, includeUsage: false, includeCost: false }],
    [{ stream_options: { include_usage: true } }, {}, { includeUsage: true, includeCost: false }],
    [{ usage: { include: true } }, {}, { includeUsage: true, includeCost: true }],
    [{ usage: { include: false } }, {}, { includeUsage: false, includeCost: false }],
    [{}, { "x-signalbox-strict": "true" }, { strict: true }],
    [{}, { "x-signalbox-strict": "false" }, { strict: false }],
  ])("with %j and headers %j asks for %j", (fields, headers, asked) => {
    expect(parse({ ...valid, ...fields }, headers)).toMatchObject(asked);
  });
});

// ---- answers

const head: AnswerHead = {
  createdS: 1_790_000_000,
  model: "claude-opus-5",
  includeUsage: true,
  usageExtras: () => undefined,
};
const start: ChatEvent = { type: "start", id: "msg_1", model: "claude-opus-5" };
const end: ChatEvent = { type: "end" };

function text(words: string): ChatEvent {
  return { type: "text_delta", index: 0, text: words };
}

function finish(reason: FinishReason): ChatEvent {
  return { type: "finish", index: 0, reason, nativeReason: reason };
}

function usage(inputTokens: number, outputTokens: number, more: Usage = {}): ChatEvent {
  return { type: "usage", usage: { inputTokens, outputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, ...more } };
}

function callStart(call: number, id: string, name: string): ChatEvent {
  return { type: "tool_call_start", index: 0, call, id, name };
}

function callDelta(call: number, argumentsText: string): ChatEvent {
  return { type: "tool_call_delta", index: 0, call, argumentsText };
}

function thought(words: string, signature: string): ChatEvent {
  const detail = { type: "reasoning.text" as const, text: words, signature, format: "anthropic-claude-v1" };
  return { type: "reasoning_detail", index: 0, detail: { ...detail, index: 0, text_offset: 0, tool_offset: 0 } };
}

const detail = (words: string, signature: string) => ({
  reasoning_details: [
    {
      type: "reasoning.text",
      text: words,
      signature,
      format: "anthropic-claude-v1",
      index: 0,
      text_offset: 0,
      tool_offset: 0,
    },
  ],
});

const used = (prompt: number, completion: number, cached = 0, more = {}) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: { cached_tokens: cached, cache_write_tokens: 0 },
  ...more,
});

const calls = (index: number, fragment: object) => ({ tool_calls: [{ index, ...fragment }] });
const called = (id: string, name: string) => ({ id, type: "function", function: { name, arguments: "" } });

interface Example {
  name: string;
  events: ChatEvent[];
  /** The deltas in order, then the finish reason. */
  deltas: object[];
  reason: FinishReason;
  usage: object;
}

const EXAMPLES: Example[] = [
  {
    name: "text",
    events: [start, usage(2_010, 1, { cacheReadTokens: 2_000 }), text("Hel"), text("lo"), finish("stop")].concat([
      { type: "usage", usage: { outputTokens: 5 } },
      end,
    ]),
    deltas: [{ role: "assistant", content: "" }, { content: "Hel" }, { content: "lo" }],
    reason: "stop",
    usage: used(2_010, 5, 2_000),
  },
  {
    name: "text, then two parallel tool calls",
    events: [
      start,
      text("Checking."),
      callStart(0, "toolu_A", "get_weather"),
      callDelta(0, '{"city":'),
      callDelta(0, '"Oslo"}'),
      callStart(1, "toolu_B", "get_weather"),
      callDelta(1, '{"city":"Rome"}'),
      finish("tool_calls"),
      usage(300, 60),
      end,
    ],
    deltas: [
      { role: "assistant", content: "" },
      { content: "Checking." },
      calls(0, called("toolu_A", "get_weather")),
      calls(0, { function: { arguments: '{"city":' } }),
      calls(0, { function: { arguments: '"Oslo"}' } }),
      calls(1, called("toolu_B", "get_weather")),
      calls(1, { function: { arguments: '{"city":"Rome"}' } }),
    ],
    reason: "tool_calls",
    usage: used(300, 60),
  },
  {
    // `content` is null until there is text: the AI SDK takes any other value for the start of a text part, and showed
    // an empty one before the call of a model that thinks first.
    name: "reasoning, its signature whole and last, usage replaced on the way",
    events: [
      start,
      usage(43, 1),
      { type: "reasoning_delta", index: 0, text: "Two plus " },
      { type: "reasoning_delta", index: 0, text: "two." },
      thought("Two plus two.", "EqQBsig=="),
      text("4"),
      finish("stop"),
      usage(61, 30, { reasoningTokens: 24, cacheReadTokens: undefined, cacheWriteTokens: undefined }),
      end,
    ],
    deltas: [
      { role: "assistant", content: null },
      { reasoning_content: "Two plus " },
      { reasoning_content: "two." },
      { content: "4" },
      detail("Two plus two.", "EqQBsig=="),
    ],
    reason: "stop",
    usage: used(61, 30, 0, { completion_tokens_details: { reasoning_tokens: 24 } }),
  },
  {
    name: "a call without arguments behind a thought that is only a signature",
    events: [
      start,
      thought("", "EqQBonly=="),
      callStart(0, "toolu_C", "now"),
      callDelta(0, ""),
      finish("tool_calls"),
      usage(20, 9),
      end,
    ],
    deltas: [
      { role: "assistant", content: null },
      calls(0, called("toolu_C", "now")),
      calls(0, { function: { arguments: "{}" } }),
      detail("", "EqQBonly=="),
    ],
    reason: "tool_calls",
    usage: used(20, 9),
  },
  {
    name: "a refusal before any output",
    events: [
      start,
      { type: "refusal_delta", index: 0, text: "The model declined to answer (category: cyber)." },
      finish("content_filter"),
      usage(20, 0),
      end,
    ],
    deltas: [{ role: "assistant", content: "" }, { refusal: "The model declined to answer (category: cyber)." }],
    reason: "content_filter",
    usage: used(20, 0),
  },
];

function chunkOf(delta: object, reason: FinishReason | null = null): JsonObject {
  return {
    id: "msg_1",
    object: "chat.completion.chunk",
    created: 1_790_000_000,
    model: "claude-opus-5",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
  };
}

function stream(events: ChatEvent[], changes: Partial<AnswerHead> = {}): string {
  const renderer = inbound.renderer({ ...head, ...changes });
  return events.map((event) => renderer.push([event])).join("");
}

function chunksIn(sse: string): (JsonObject | string)[] {
  const frames = new SseParser(1_000_000).push(Buffer.from(sse));
  return frames.map(({ data }) => (data === "[DONE]" ? data : (JSON.parse(data) as JsonObject)));
}

describe("a stream with include_usage is, chunk by chunk, what OpenAI would send", () => {
  test.each(EXAMPLES)("$name", ({ events, deltas, reason, usage: total }) => {
    const chunks = [...deltas.map((delta) => chunkOf(delta)), chunkOf({}, reason)];
    expect(chunksIn(stream(events))).toEqual([
      ...chunks.map((chunk) => ({ ...chunk, usage: null })),
      { ...chunkOf({}), choices: [], usage: total },
      "[DONE]",
    ]);
  });
});

describe("a stream whose caller did not ask for usage never has the key", () => {
  test.each(EXAMPLES)("$name", ({ events, deltas, reason }) => {
    expect(chunksIn(stream(events, { includeUsage: false }))).toEqual([
      ...deltas.map((delta) => chunkOf(delta)),
      chunkOf({}, reason),
      "[DONE]",
    ]);
  });
});

test("how many events are rendered at once makes no difference", () => {
  for (const { events } of EXAMPLES) expect(inbound.renderer(head).push(events)).toBe(stream(events));
});

test("a first tool call starts a message without content", () => {
  const sse = stream([start, callStart(0, "c", "f"), finish("tool_calls"), end]);
  expect(chunksIn(sse)[0]).toMatchObject({ choices: [{ delta: { role: "assistant", content: null } }] });
});

test("the cost that was asked for is part of the usage chunk, as it stands at the end", () => {
  let cost = 0;
  const renderer = inbound.renderer({ ...head, usageExtras: () => ({ cost }) });
  renderer.push([start, text("a"), finish("stop"), usage(1, 1)]);
  cost = 0.25;
  expect(chunksIn(renderer.push([end]))[0]).toMatchObject({ usage: { total_tokens: 2, cost: 0.25 } });
});

test("after an error comes neither a finish nor the end marker, only the error itself", () => {
  const failure: ChatEvent = { type: "error", error: { kind: "overloaded", message: "Overloaded" } };
  const sent = stream([start, text("The"), failure]);
  expect(sent).not.toContain("[DONE]");
  expect(sent).not.toContain('"finish_reason":"');
  const error = { status: 503, message: "Overloaded", type: "server_error", code: "overloaded", param: null };
  expect(inbound.renderStreamError(error)).toBe(
    'data: {"error":{"message":"Overloaded","type":"server_error","param":null,"code":"overloaded"}}\n\n',
  );
});

describe("OpenAI's own stream helper reads what we send", () => {
  test.each(EXAMPLES)("$name", async ({ events, usage: total }) => {
    const client = new OpenAI({
      apiKey: "k",
      baseURL: "http://router.invalid/v1",
      maxRetries: 0,
      fetch: async () => new Response(stream(events), { headers: { "content-type": "text/event-stream" } }),
    });
    const helper = client.chat.completions.stream({
      model: "m",
      messages: [{ role: "user", content: "q" }],
      stream_options: { include_usage: true },
    });
    const seen = await helper.finalChatCompletion();
    const answer = fold(events);
    const choice = answer.choices[0]!;
    const message = seen.choices[0]!.message as unknown as JsonObject & { tool_calls?: { function: object }[] };
    expect(seen).toMatchObject({ id: "msg_1", model: "claude-opus-5", usage: total });
    expect(seen.choices[0]!.finish_reason).toBe(choice.finishReason);
    expect(message.content ?? "").toBe(choice.text);
    expect(message.refusal ?? "").toBe(choice.refusal);
    expect(message.reasoning_details ?? []).toEqual(choice.reasoningDetails);
    expect(message.tool_calls?.map(({ function: { ...calledWith } }) => calledWith) ?? []).toEqual(
      choice.toolCalls.map(({ name, argumentsText }) => {
        return expect.objectContaining({ name, arguments: argumentsText || "{}" });
      }),
    );
  });

  test("and throws on the error that ends a broken stream, instead of taking it for an answer", async () => {
    const error = { status: 503, message: "Overloaded", type: "server_error", code: "overloaded", param: null };
    const sse = stream([start, text("The")]) + inbound.renderStreamError(error);
    const client = new OpenAI({
      apiKey: "k",
      baseURL: "http://router.invalid/v1",
      maxRetries: 0,
      fetch: async () => new Response(sse, { headers: { "content-type": "text/event-stream" } }),
    });
    const read = async () => {
      const chunks = await client.chat.completions.create({ ...valid, messages: [], stream: true });
      for await (const chunk of chunks) expect(chunk.choices[0]?.finish_reason).toBeNull();
    };
    await expect(read()).rejects.toThrow("Overloaded");
  });
});

describe("a buffered answer", () => {
  test.each(EXAMPLES)("survives the way out and back in: $name", ({ events }) => {
    const body = inbound.renderBody(fold(events), head);
    const again = inbound.renderBody(fold(decodeBody(JSON.parse(JSON.stringify(body)))), head);
    // Reasoning items are read back by the dialect that signed them, from the history.
    const choice = (body.choices as { message: JsonObject }[])[0]!;
    const { reasoning_details, ...message } = choice.message;
    const words = ((reasoning_details ?? []) as { text: string }[]).map(({ text: told }) => told).join("");
    const reasoning = message.reasoning_content ?? (words || undefined);
    expect(again).toEqual({
      ...body,
      choices: [
        { ...choice, message: { ...message, ...(reasoning === undefined ? {} : { reasoning_content: reasoning }) } },
      ],
    });
  });

  test("has every member OpenAI's has", () => {
    const events = [start, callStart(0, "c", "f"), finish("tool_calls"), usage(1, 2), end];
    expect(inbound.renderBody(fold(events), { ...head, usageExtras: () => ({ cost: null }) })).toEqual({
      id: "msg_1",
      object: "chat.completion",
      created: 1_790_000_000,
      model: "claude-opus-5",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: null,
            refusal: null,
            tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: "{}" } }],
          },
          logprobs: null,
          finish_reason: "tool_calls",
        },
      ],
      usage: { ...used(1, 2), cost: null },
    });
  });

  test("has no usage when the provider told none: unknown is not zero", () => {
    expect(inbound.renderBody(fold([start, text("a"), finish("stop"), end]), head)).not.toHaveProperty("usage");
  });

  test("tells details only where the provider told them, and both kinds of cache writes as one", () => {
    const told: ChatEvent = {
      type: "usage",
      usage: { inputTokens: 9, outputTokens: 1, cacheWriteTokens: 2, cacheWrite1hTokens: 3, audioOutputTokens: 1 },
    };
    expect(inbound.renderBody(fold([start, told]), head).usage).toEqual({
      prompt_tokens: 9,
      completion_tokens: 1,
      total_tokens: 10,
      prompt_tokens_details: { cache_write_tokens: 5 },
      completion_tokens_details: { audio_tokens: 1 },
    });
  });

  test("an error has OpenAI's four members, and ours apart", () => {
    const error = { status: 404, message: "no", type: "invalid_request_error", code: null, param: "model" };
    expect(inbound.renderError(error)).toEqual({
      error: { message: "no", type: "invalid_request_error", param: "model", code: null },
    });
    expect(inbound.renderError({ ...error, metadata: { a: 1 } })).toMatchObject({ error: { metadata: { a: 1 } } });
  });
});

import Anthropic from "@anthropic-ai/sdk";
import { ApiError, type Content, FunctionCallingConfigMode, type GenerateContentResponse, Type } from "@google/genai";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { sample } from "../src/simulator/sample.ts";
import { keys, names, post, useSimulator } from "./simulator-clients.ts";

const clients = useSimulator();
const user = { role: "user", content: "Tell me about Kraków" } as const;
const parameters = {
  type: "object" as const,
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 2 } },
  required: ["city", "days"],
};

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

describe("the OpenAI client", () => {
  const weather = { type: "function", function: { name: "weather", parameters } } as const;

  test("gets a recognisable answer that quotes the question, with usage, ids and limits in OpenAI's manner", async () => {
    const { data, response, request_id } = await clients.openai.chat.completions
      .create({ model: "gpt-5-mini", messages: [user] })
      .withResponse();
    expect(data.id).toMatch(/^chatcmpl-[A-Za-z0-9]{29}$/);
    expect(data.choices[0]?.message.content).toMatch(/^This is a simulated answer from OpenAI.*Tell me about Kraków/);
    expect(data.choices[0]?.finish_reason).toBe("stop");
    const usage = data.usage;
    expect(usage?.prompt_tokens).toBe(Math.ceil(user.content.length / 4));
    expect(usage?.completion_tokens).toBe(Math.ceil((data.choices[0]?.message.content?.length ?? 0) / 4));
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("9999");
    expect(request_id).toMatch(/^req_/);
  });

  test("streams the same text in many deltas, and usage only when asked for, after the finish", async () => {
    const whole = await clients.openai.chat.completions.create({ model: "gpt-4o", messages: [user] });
    const plain = await collect(
      await clients.openai.chat.completions.create({ model: "gpt-4o", messages: [user], stream: true }),
    );
    const text = plain.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(plain.length).toBeGreaterThan(10);
    expect(plain.every((chunk) => !("usage" in chunk) && chunk.choices.length === 1)).toBe(true);
    const counted = await collect(
      await clients.openai.chat.completions.create({
        model: "gpt-4o",
        messages: [user],
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(counted.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    expect(counted.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: whole.usage?.total_tokens } });
    expect(counted.at(-2)?.choices[0]?.finish_reason).toBe("stop");
  });

  test("is asked to call the first tool with arguments that fit its schema, and then quotes the result", async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [user];
    const first = await clients.openai.chat.completions.create({ model: "gpt-4o", messages, tools: [weather] });
    const message = first.choices[0]?.message;
    const call = message?.tool_calls?.[0];
    if (message === undefined || call?.type !== "function") throw new Error("no function call");
    expect(first.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call.id).toMatch(/^call_[A-Za-z0-9]{24}$/);
    expect(JSON.parse(call.function.arguments)).toEqual({ city: "example", days: 2 });
    messages.push(message, { role: "tool", tool_call_id: call.id, content: "11 °C and rain" });
    const second = await clients.openai.chat.completions.create({ model: "gpt-4o", messages, tools: [weather] });
    expect(second.choices[0]?.message.content).toContain("11 °C and rain");
  });

  test("gets every tool called at once when the text says parallel, and the stream helper puts them together", async () => {
    const tools = [weather, { type: "function", function: { name: "now" } }] as const;
    const stream = clients.openai.chat.completions.stream({
      model: "gpt-4o",
      messages: [{ role: "user", content: "Do it in parallel" }],
      tools: [...tools],
    });
    const final = await stream.finalChatCompletion();
    const calls = final.choices[0]?.message.tool_calls?.map((call) =>
      call.type === "function" ? call.function : undefined,
    );
    expect(calls).toMatchObject([
      { name: "weather", arguments: '{"city":"example","days":2}' },
      { name: "now", arguments: "{}" },
    ]);
  });

  test("gets JSON that fits the schema, n choices, stop sequences and limits honoured", async () => {
    const create = (extra: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>) =>
      clients.openai.chat.completions.create({ model: "gpt-4o", messages: [user], ...extra });
    const schema = { ...parameters, additionalProperties: false };
    const json = await create({
      response_format: { type: "json_schema", json_schema: { name: "trip", schema, strict: true } },
    });
    expect(JSON.parse(json.choices[0]?.message.content ?? "")).toEqual({ city: "example", days: 2 });
    const three = await create({ n: 3 });
    expect(new Set(three.choices.map((choice) => choice.message.content)).size).toBe(3);
    const stopped = await create({ stop: ["answer"] });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: "This is a simulated " } });
    const short = await create({ max_tokens: 5 });
    expect(short).toMatchObject({ choices: [{ finish_reason: "length" }], usage: { completion_tokens: 5 } });
  });

  test.each([
    [400, OpenAI.BadRequestError],
    [401, OpenAI.AuthenticationError],
    [402, OpenAI.APIError],
    [403, OpenAI.PermissionDeniedError],
    [404, OpenAI.NotFoundError],
    [413, OpenAI.APIError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
    [529, OpenAI.InternalServerError],
  ])("raises its own error for status %i", async (status, kind) => {
    const failed = clients.openai.chat.completions.create({ model: `gpt-4o+status=${status}`, messages: [user] });
    const error = await failed.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ status, requestID: expect.stringMatching(/^req_/), type: expect.any(String) });
  });

  test("lists models", async () => {
    expect((await clients.openai.models.list()).data.map((model) => model.id)).toContain("gpt-5-mini");
  });
});

describe("the Anthropic client", () => {
  const tool = { name: "weather", input_schema: parameters };
  const base = { model: "claude-opus-4-6", max_tokens: 1000 };

  test("gets a recognisable answer, usage without cached tokens in the input, ids and limits in Anthropic's manner", async () => {
    const { data, response, request_id } = await clients.anthropic.messages
      .create({ ...base, model: "claude-opus-4-6+cached=3", messages: [user] })
      .withResponse();
    expect(data.id).toMatch(/^msg_01[A-Za-z0-9]{22}$/);
    expect(data.content[0]).toMatchObject({
      type: "text",
      text: expect.stringMatching(/answer from Anthropic.*Kraków/),
    });
    expect(data).toMatchObject({ stop_reason: "end_turn", usage: { input_tokens: 2, cache_read_input_tokens: 3 } });
    expect(response.headers.get("anthropic-ratelimit-requests-reset")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(request_id).toMatch(/^req_/);
  });

  test("streams the same message that it gets whole, thinking with its signature included", async () => {
    const request = { ...base, messages: [{ ...user }], thinking: { type: "adaptive" as const } };
    const whole = await clients.anthropic.messages.create(request);
    const streamed = await clients.anthropic.messages.stream(request).finalMessage();
    const readable = (message: Anthropic.Message) =>
      message.content.map((block) =>
        block.type === "thinking" ? block.thinking : block.type === "text" ? block.text : "",
      );
    expect(readable(streamed)).toEqual(readable(whole));
    expect(streamed.content[0]).toMatchObject({ type: "thinking", signature: expect.stringMatching(/./) });
    expect(streamed.usage).toMatchObject({
      output_tokens: whole.usage.output_tokens,
      output_tokens_details: { thinking_tokens: 16 },
    });
  });

  test("is asked to call a tool, sends thinking and result back, and gets the result quoted", async () => {
    const thinking = { type: "enabled", budget_tokens: 1024 } as const;
    const request = { model: "sim", max_tokens: 2000, tools: [tool], thinking };
    const first = await clients.anthropic.messages.stream({ ...request, messages: [user] }).finalMessage();
    expect(first.stop_reason).toBe("tool_use");
    const call = first.content.find((block) => block.type === "tool_use");
    expect(call).toMatchObject({
      name: "weather",
      input: { city: "example", days: 2 },
      id: expect.stringMatching(/^toolu_01/),
    });
    const result = { type: "tool_result", tool_use_id: call?.id ?? "", content: "11 °C" } as const;
    const second = await clients.anthropic.messages.create({
      ...request,
      messages: [user, { role: "assistant", content: first.content }, { role: "user", content: [result] }],
    });
    expect(second.content.at(-1)).toMatchObject({ type: "text", text: expect.stringContaining("11 °C") });
  });

  test("gets structured output, stop sequences and limits honoured", async () => {
    const create = (extra: Partial<Anthropic.MessageCreateParamsNonStreaming>) =>
      clients.anthropic.messages.create({ ...base, messages: [user], ...extra });
    const schema = {
      type: "object",
      properties: { ok: { type: "boolean" } },
      required: ["ok"],
      additionalProperties: false,
    };
    const json = await create({ output_config: { format: { type: "json_schema", schema } } });
    expect(json.content).toMatchObject([{ text: '{"ok":true}' }]);
    const stopped = await create({ stop_sequences: ["answer"] });
    expect(stopped).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: "answer" });
    const short = await create({ max_tokens: 5 });
    expect(short).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 5 } });
  });

  test.each([
    [400, Anthropic.BadRequestError, "invalid_request_error"],
    [401, Anthropic.AuthenticationError, "authentication_error"],
    [402, Anthropic.APIError, "billing_error"],
    [403, Anthropic.PermissionDeniedError, "permission_error"],
    [404, Anthropic.NotFoundError, "not_found_error"],
    [413, Anthropic.APIError, "request_too_large"],
    [429, Anthropic.RateLimitError, "rate_limit_error"],
    [500, Anthropic.InternalServerError, "api_error"],
    [503, Anthropic.InternalServerError, "api_error"],
    [529, Anthropic.InternalServerError, "overloaded_error"],
  ])("raises its own error for status %i", async (status, kind, type) => {
    const failed = clients.anthropic.messages.create({ ...base, model: `claude+status=${status}`, messages: [user] });
    const error = await failed.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({
      status,
      error: { type: "error", error: { type }, request_id: expect.stringMatching(/^req_/) },
    });
  });

  test("lists models", async () => {
    const ids = (await collect(await clients.anthropic.models.list())).map((model) => model.id);
    expect(ids).toContain("claude-opus-5-5");
  });
});

describe("the Google client", () => {
  const model = "gemini-3-flash-preview";
  const declaration = {
    name: "weather",
    parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] },
  };
  const tools = [{ functionDeclarations: [declaration] }];

  test("gets a recognisable answer, with usage in Gemini's manner", async () => {
    const answer = await clients.google.models.generateContent({ model, contents: user.content });
    expect(answer.text).toMatch(/^This is a simulated answer from Google.*Kraków/);
    expect(answer.candidates?.[0]?.finishReason).toBe("STOP");
    expect(answer.usageMetadata).toMatchObject({ promptTokenCount: 5, totalTokenCount: expect.any(Number) });
    expect(answer.modelVersion).toBe(model);
  });

  test("streams the same text, with cumulative usage and the reason in a last chunk of its own", async () => {
    const whole = await clients.google.models.generateContent({ model, contents: user.content });
    const request = { model, contents: user.content, config: { thinkingConfig: { includeThoughts: true } } };
    const chunks = await collect<GenerateContentResponse>(await clients.google.models.generateContentStream(request));
    expect(chunks.map((chunk) => chunk.text ?? "").join("")).toBe(whole.text);
    expect(chunks[0]?.candidates?.[0]?.content?.parts?.[0]?.thought).toBe(true);
    expect(chunks.at(-1)?.candidates?.[0]).toMatchObject({
      finishReason: "STOP",
      content: { parts: [{ text: "", thoughtSignature: expect.stringMatching(/./) }] },
    });
    expect(chunks.at(-1)?.usageMetadata?.thoughtsTokenCount).toBe(16);
  });

  test("is asked to call a function with a signature, sends both back, and gets the result quoted", async () => {
    const first = await clients.google.models.generateContent({ model, contents: user.content, config: { tools } });
    const called = first.candidates?.[0]?.content as Content;
    expect(called.parts).toMatchObject([
      { functionCall: { name: "weather", args: { city: "example" } }, thoughtSignature: expect.stringMatching(/./) },
    ]);
    const response = { name: "weather", response: { output: "11 °C" } };
    const contents = [
      { role: "user", parts: [{ text: user.content }] },
      called,
      { role: "user", parts: [{ functionResponse: response }] },
    ];
    const second = await clients.google.models.generateContent({ model, contents, config: { tools } });
    expect(second.text).toContain("11 °C");
  });

  test("gets JSON that fits the schema, a forced function, stop sequences and limits honoured", async () => {
    const generate = (config: object) =>
      clients.google.models.generateContent({ model, contents: user.content, config });
    const json = await generate({ responseMimeType: "application/json", responseSchema: declaration.parameters });
    expect(json.text).toBe('{"city":"example"}');
    const functionCallingConfig = { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["weather"] };
    const forced = await generate({ tools, toolConfig: { functionCallingConfig } });
    expect(forced.functionCalls).toMatchObject([{ name: "weather" }]);
    expect((await generate({ stopSequences: ["answer"] })).text).toBe("This is a simulated ");
    const short = await generate({ maxOutputTokens: 5 });
    expect(short.candidates?.[0]?.finishReason).toBe("MAX_TOKENS");
    expect(short.usageMetadata?.candidatesTokenCount).toBe(5);
  });

  test.each([
    [400, "INVALID_ARGUMENT"],
    [401, "UNAUTHENTICATED"],
    [403, "PERMISSION_DENIED"],
    [404, "NOT_FOUND"],
    [429, "RESOURCE_EXHAUSTED"],
    [500, "INTERNAL"],
    [503, "UNAVAILABLE"],
    [504, "DEADLINE_EXCEEDED"],
  ])("raises its own error for status %i", async (status, name) => {
    const failed = clients.google.models.generateContent({ model: `gemini+status=${status}`, contents: "Hello" });
    const error = await failed.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status, message: expect.stringContaining(`"status":"${name}"`) });
  });

  test("lists models", async () => {
    const listed = await collect(await clients.google.models.list());
    expect(listed.map((one) => one.name)).toContain("models/gemini-3.8-flash");
  });
});

test("a stream without alt=sse is one JSON array", async () => {
  const url = `${clients.simulator.url}/v1beta/models/gemini-3-flash-preview:streamGenerateContent`;
  const body = JSON.stringify({ contents: [{ role: "user", parts: [{ text: "Hello" }] }] });
  const answer = await fetch(url, { method: "POST", headers: keys.google, body });
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  const events = (await answer.json()) as { candidates: { finishReason?: string }[] }[];
  expect(events.length).toBeGreaterThan(2);
  expect(events.at(-1)?.candidates[0]?.finishReason).toBe("STOP");
});

test("a missing key and a wrong key are refused the way each provider refuses them", async () => {
  const refusals = async (key: string) =>
    Promise.all(
      names.map(async (name) => {
        const headers = {
          openai: { authorization: `Bearer ${key}` },
          anthropic: { "x-api-key": key },
          google: { "x-goog-api-key": key },
        };
        const answer = await post(clients.simulator, name, "m", {}, { headers: headers[name] });
        const { error } = (await answer.json()) as { error: { message: string } };
        return `${answer.status} ${error.message.slice(0, 40)}`;
      }),
    );
  expect(await refusals("sk-wrong-0123456789")).toEqual([
    "401 Incorrect API key provided: sk-wrong****",
    "401 invalid x-api-key",
    "400 API key not valid. Please pass a valid A",
  ]);
  expect(await refusals("")).toEqual([
    "401 You didn't provide an API key. You need ",
    "401 x-api-key header is required",
    "403 Method doesn't allow unregistered caller",
  ]);
});

test("example values fit their schema, also through references, unions, bounds and recursion", () => {
  const node = {
    type: "object",
    properties: { next: { $ref: "#/$defs/node" }, id: { type: "integer" } },
    required: ["id"],
  };
  const shape = {
    type: "object",
    $defs: { node },
    properties: {
      list: { $ref: "#/$defs/node" },
      when: { type: "string", format: "date-time" },
      maybe: { anyOf: [{ type: "null" }, { type: "number", exclusiveMinimum: 4 }] },
      kind: { enum: ["b", "a"] },
      fixed: { const: 7 },
      pair: { type: "array", items: { type: ["null", "boolean"] }, minItems: 2 },
      both: {
        allOf: [{ properties: { x: { type: "string", maxLength: 2 } } }, { properties: { y: { type: "STRING" } } }],
      },
    },
  };
  expect(sample(shape)).toEqual({
    list: { id: 1 },
    when: "2026-01-02T03:04:05Z",
    maybe: 4.5,
    kind: "b",
    fixed: 7,
    pair: [true, true],
    both: { x: "ex", y: "example" },
  });
  const twins = { type: "object", properties: { a: { $ref: "#" }, b: { $ref: "#" }, c: { $ref: "#" } } };
  expect(JSON.stringify(sample(twins)).length).toBeLessThan(200_000);
});

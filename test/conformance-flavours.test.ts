// The simulated providers are as strict as the real ones: what each refuses, in its own words, and how it answers.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../src/chat.ts";
import { flavours } from "../src/simulator/flavours.ts";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";

let simulator: Simulator;
beforeAll(async () => {
  simulator = await startSimulator();
});
afterAll(() => simulator.close());

const HELLO = [{ role: "user", content: "Hello" }];
const CALL = { id: "call_123456789", type: "function", function: { name: "f", arguments: "{}" } };
const LOOP = [
  ...HELLO,
  { role: "assistant", content: null, tool_calls: [CALL] },
  { role: "tool", tool_call_id: CALL.id, content: "1" },
];
const TOOLS = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: { a: {} } } } }];
const SCHEMA = { type: "json_schema", json_schema: { name: "x", schema: { type: "object" } } };
const NAMED = { type: "function", function: { name: "f" } };

async function post(provider: string, body: JsonObject, script = ""): Promise<{ response: Response; text: string }> {
  const response = await fetch(`${simulator.url}/${provider}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: "Bearer k",
      "api-key": "k",
      ...(script === "" ? {} : { "x-simulate": script }),
    },
    body: JSON.stringify({ model: "m", messages: HELLO, ...body }),
  });
  return { response, text: await response.text() };
}

interface Refusal {
  provider: string;
  body: JsonObject;
  status: number;
  says: RegExp;
}

const refuses = (provider: string, body: JsonObject, status: number, says: RegExp): Refusal => ({
  provider,
  body,
  status,
  says,
});

describe("what a provider does not take, it refuses in its own words", () => {
  test.each([
    refuses(
      "mistral",
      { max_completion_tokens: 5 },
      422,
      /"message":\{"detail":\[\{"type":"extra_forbidden","loc":\["body","max_completion_tokens"\]/,
    ),
    refuses("mistral", { stream: true, stream_options: { include_usage: true } }, 422, /stream_options/),
    refuses("mistral", { messages: [{ ...HELLO[0], name: "bob" }] }, 422, /"messages",0,"user","name"/),
    refuses("mistral", { tools: TOOLS, tool_choice: "required" }, 422, /tool_choice/),
    refuses("mistral", { tools: [] }, 400, /tools/),
    refuses("mistral", { messages: LOOP, tools: TOOLS }, 400, /length of 9/),
    refuses("mistral", { messages: [...HELLO, { role: "assistant", content: "So" }] }, 400, /Expected last role/),
    refuses("groq", { logprobs: true }, 400, /property 'logprobs' is unsupported/),
    refuses(
      "groq",
      { messages: [{ role: "assistant", content: "a", reasoning_content: "r" }, ...HELLO] },
      400,
      /property 'reasoning_content' is unsupported/,
    ),
    refuses("groq", { n: 2 }, 400, /'n'/),
    refuses("groq", { messages: [{ ...HELLO[0], role: "developer" }] }, 400, /role/),
    refuses("deepseek", { response_format: SCHEMA }, 400, /response_format type is unavailable/),
    refuses(
      "deepseek",
      { thinking: { type: "enabled" }, messages: [...HELLO, { role: "assistant", content: "a" }, ...HELLO] },
      400,
      /reasoning_content in the thinking mode must be passed back/,
    ),
    refuses(
      "deepseek",
      { messages: [{ role: "user", content: [{ type: "text", text: "a" }] }] },
      400,
      /invalid type: sequence/,
    ),
    refuses(
      "moonshot",
      { model: "kimi-k2.6", temperature: 0.2 },
      400,
      /invalid temperature: only 1 is allowed for this model/,
    ),
    refuses(
      "moonshot",
      { model: "kimi-k2.6", messages: LOOP, tools: TOOLS },
      400,
      /reasoning_content is missing in assistant tool call message at index 1/,
    ),
    refuses(
      "moonshot",
      {
        messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://example.com/a.png" } }] }],
      },
      400,
      /image url/,
    ),
    refuses(
      "xai",
      { model: "grok-4.3", presence_penalty: 1 },
      400,
      /^\{"code":"invalid-argument","error":"Argument not supported on this model: presencePenalty"/,
    ),
    refuses("xai", { model: "grok-4.20-0309-reasoning", reasoning_effort: "low" }, 400, /reasoningEffort/),
    refuses("cerebras", { presence_penalty: 1 }, 400, /^\{"message":"Unsupported parameter: 'presence_penalty'"/),
    refuses("perplexity", { messages: [...HELLO, ...HELLO] }, 400, /should alternate/),
    refuses("perplexity", { tools: TOOLS }, 400, /tools/),
    refuses("dashscope", { model: "qwen3-32b" }, 400, /enable_thinking must be set to false for non-streaming/),
    refuses("zai", { tools: TOOLS, tool_choice: "required" }, 400, /"code":"1210"/),
    refuses("minimax", { user: "u" }, 200, /"base_resp":\{"status_code":2013/),
    refuses("minimax", { messages: [...HELLO, { role: "system", content: "s" }] }, 200, /invalid message role: system/),
    refuses("minimax", { model: "MiniMax-M3", thinking: { type: "enabled" } }, 400, /"type":"error".*thinking/),
    refuses("minimax", { tools: [{ type: "function", function: { name: "f" } }] }, 200, /parameters is empty/),
    refuses(
      "lmstudio",
      { tools: TOOLS, tool_choice: NAMED },
      400,
      /"error":"Invalid tool_choice type: 'object'. Supported string values: none, auto, required"/,
    ),
    refuses(
      "lmstudio",
      { response_format: { type: "json_object" } },
      400,
      /'response_format.type' must be 'json_schema' or 'text'/,
    ),
    refuses("azure", { some_field: 1 }, 400, /Unrecognized request argument supplied: some_field/),
    refuses("together", { seed: null }, 400, /seed/),
    refuses("fireworks", { reasoning_effort: "minimal" }, 400, /"object":"error"/),
    refuses("cohere", { reasoning_effort: "low" }, 400, /none, high/),
    refuses("bedrock", { n: 2 }, 400, /'n'/),
  ])("$provider: $body", async ({ provider, body, status, says }) => {
    const { response, text } = await post(provider, body);
    expect(text).toMatch(says);
    expect(response.status).toBe(status);
  });
});

const THINK = { stream: true, reasoning_effort: "high", stream_options: { include_usage: true } };
const CALLS = { stream: true, tools: TOOLS };

describe("each streams in its own manner", () => {
  test.each([
    ["azure", { stream: true }, /^data: \{"id":"".*"choices":\[\],"prompt_filter_results"/],
    ["openrouter", { stream: true }, /^: OPENROUTER PROCESSING\n\n/],
    ["zai", { stream: true }, /^data: \{"id":"".*"choices":null/],
    ["groq", { stream: true }, /"x_groq":\{"id":"req_simulated","usage":\{/],
    ["moonshot", { stream: true }, /"finish_reason":"stop","usage":\{/],
    ["perplexity", { stream: true }, /"message":\{"role":"assistant","content":"This is a /],
    ["together", { stream: true }, /"finish_reason":"eos"/],
    [
      "mistral",
      { ...THINK, stream_options: undefined },
      /"content":\[\{"type":"thinking","thinking":\[\{"type":"text"/,
    ],
    ["minimax", { stream: true, reasoning_split: true, model: "MiniMax-M2.7" }, /"reasoning_details":\[\{/],
    ["vllm", THINK, /"delta":\{"reasoning":"The /],
    ["openrouter", THINK, /"reasoning_details":\[\{"type":"reasoning.text"/],
    ["ollama", { ...CALLS, tool_choice: "required" }, /"index":0,"id":.*"finish_reason":"stop"/s],
    ["mistral", CALLS, /"tool_calls":\[\{"id":"[A-Za-z0-9]{9}"/],
    ["dashscope", { ...CALLS, model: "qwen-plus" }, /\{"index":0,"id":"","type":"function","function":\{"name":null/],
    ["fireworks", CALLS, /"type":"function","function":\{"arguments":""\}/],
  ] as const)("%s: %o", async (provider, body, shows) => {
    const { text } = await post(provider, body);
    expect(text).toMatch(shows);
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
  });
});

describe("each fails in its own shape", () => {
  test.each([
    ["minimax", "fault=quota", 200, /"base_resp":\{"status_code":1008,"status_msg":"insufficient balance"\}/],
    ["zai", "fault=overloaded", 200, /"error":\{"code":"1305"/],
    ["xai", "fault=overloaded", 200, /^\{"code":"The service is currently unavailable"/],
    ["deepseek", "fault=quota", 402, /Insufficient Balance/],
    ["groq", "fault=overloaded", 498, /capacity/],
    ["azure", "fault=filter", 400, /"innererror":\{"code":"ResponsibleAIPolicyViolation"/],
    ["llamacpp", "fault=context", 400, /"type":"exceed_context_size_error","n_prompt_tokens":9412/],
    ["perplexity", "fault=auth", 401, /^<html>/],
    ["nebius", "fault=server", 500, /^\{"detail":"/],
    ["deepinfra", "fault=server", 500, /^\{"detail":\{"error":"/],
    ["nvidia", "fault=auth", 403, /"title":"Error","detail":"Authorization failed"/],
  ] as const)("%s: %s", async (provider, script, status, says) => {
    const { response, text } = await post(provider, {}, script);
    expect(text).toMatch(says);
    expect(response.status).toBe(status);
  });

  test.each([
    ["mistral", "x-ratelimit-remaining-req-minute", /^0$/],
    ["groq", "x-ratelimit-reset-requests", /^30s$/],
    ["together", "x-ratelimit-reset", /^30$/],
    ["openrouter", "x-ratelimit-reset", /^\d{13}$/],
    ["cerebras", "x-ratelimit-reset-requests-minute", /^30\.\d+$/],
    ["sambanova", "x-ratelimit-reset-requests-day", /^4h17m$/],
  ] as const)("%s tells its limits in %s", async (provider, header, value) => {
    const { response } = await post(provider, {}, "fault=rate");
    expect(response.headers.get(header)).toMatch(value);
  });
});

test("a wrong key is refused by all of them, and an unknown provider is no provider", async () => {
  for (const id of flavours.keys()) {
    const response = await fetch(`${simulator.url}/${id}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer sk-wrong", "api-key": "sk-wrong" },
      body: "{}",
    });
    const told = await response.text();
    expect([id, response.status < 400 ? /base_resp/.test(told) : true]).toEqual([id, true]);
  }
  const { response } = await post("nobody", {});
  expect(response.status).toBe(404);
});

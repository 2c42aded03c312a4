// Nothing is billed twice or not at all: what a provider counts, in whatever words, comes back as the disjoint parts it was made of.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { providers } from "../providers/index.ts";
import { fold, type Usage } from "../src/chat.ts";
import { classesOf } from "../src/pricing/classes.ts";
import { callOf } from "./dialects/openai-harness.ts";

const tokens = fc.nat({ max: 1_000_000 });

function usageIn(id: string, model: string, body: object): Usage {
  const provider = providers.find((one) => one.id === id);
  const call = callOf({ model, messages: [{ role: "user", content: "Hi" }] }, { provider: id });
  const { usage } = fold(provider?.dialect.decodeBody(body, call) ?? []);
  if (usage === undefined) throw new Error(`${id} told no usage`);
  return usage;
}

const NONE = {
  input: 0,
  audioInput: 0,
  imageInput: 0,
  cacheRead: 0,
  audioCacheRead: 0,
  cacheWrite: 0,
  cacheWrite1h: 0,
};
const NOTHING = {
  ...NONE,
  output: 0,
  audioOutput: 0,
  imageOutput: 0,
  reasoningOutput: 0,
  citation: 0,
  search: 0,
  request: 1,
};

function comesBack(parts: Partial<typeof NOTHING>, usage: Usage): void {
  expect(classesOf(usage)).toEqual({ ...NOTHING, ...parts });
  const { inputTokens = 0, outputTokens = 0 } = usage;
  const { input, audioInput, imageInput, cacheRead, audioCacheRead, cacheWrite, cacheWrite1h } = { ...NONE, ...parts };
  expect(inputTokens).toBe(input + audioInput + imageInput + cacheRead + audioCacheRead + cacheWrite + cacheWrite1h);
  const { output, audioOutput, imageOutput, reasoningOutput } = { ...NOTHING, ...parts };
  expect(outputTokens).toBe(output + audioOutput + imageOutput + reasoningOutput);
}

const chat = (usage: object) => ({
  ...{ id: "c", object: "chat.completion", created: 1, model: "m", usage },
  choices: [{ index: 0, message: { role: "assistant", content: "Hi." }, finish_reason: "stop" }],
});

describe("the parts of a prompt and an answer", () => {
  test("OpenAI: cached, written, audio and reasoning are within the two counts", () => {
    const parts = fc.record({
      ...{ input: tokens, cacheRead: tokens, cacheWrite: tokens, audioInput: tokens },
      ...{ output: tokens, audioOutput: tokens, reasoningOutput: tokens },
    });
    fc.assert(
      fc.property(parts, (told) => {
        const prompt = told.input + told.cacheRead + told.cacheWrite + told.audioInput;
        const completion = told.output + told.audioOutput + told.reasoningOutput;
        const body = chat({
          ...{ prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
          prompt_tokens_details: {
            ...{ cached_tokens: told.cacheRead, cache_write_tokens: told.cacheWrite, audio_tokens: told.audioInput },
          },
          completion_tokens_details: { reasoning_tokens: told.reasoningOutput, audio_tokens: told.audioOutput },
        });
        comesBack(told, usageIn("openai", "gpt-4o", body));
      }),
    );
  });

  test("xAI: reasoning is beside the completion, which the total shows", () => {
    fc.assert(
      fc.property(tokens, tokens, fc.integer({ min: 1, max: 1_000_000 }), (input, output, reasoningOutput) => {
        const body = chat({
          ...{ prompt_tokens: input, completion_tokens: output, total_tokens: input + output + reasoningOutput },
          completion_tokens_details: { reasoning_tokens: reasoningOutput },
        });
        comesBack({ input, output, reasoningOutput }, usageIn("xai", "grok-4.20", body));
      }),
    );
  });

  test("Anthropic: the input is only what was not cached, and writes are told by lifetime and together", () => {
    const parts = fc.record({
      ...{ input: tokens, cacheRead: tokens, cacheWrite: tokens, cacheWrite1h: tokens },
      ...{ output: tokens, reasoningOutput: tokens, search: fc.nat({ max: 20 }) },
    });
    fc.assert(
      fc.property(parts, (told) => {
        const usage = {
          input_tokens: told.input,
          cache_read_input_tokens: told.cacheRead,
          cache_creation_input_tokens: told.cacheWrite + told.cacheWrite1h,
          cache_creation: {
            ...{ ephemeral_5m_input_tokens: told.cacheWrite, ephemeral_1h_input_tokens: told.cacheWrite1h },
          },
          output_tokens: told.output + told.reasoningOutput,
          output_tokens_details: { thinking_tokens: told.reasoningOutput },
          server_tool_use: { web_search_requests: told.search },
        };
        const content = [{ type: "text", text: "Hi." }];
        const body = {
          id: "m",
          type: "message",
          role: "assistant",
          model: "m",
          content,
          stop_reason: "end_turn",
          usage,
        };
        comesBack(told, usageIn("anthropic", "claude-opus-5", body));
      }),
    );
  });

  test("Google: parts are told by modality, of the prompt as of the cache, and thoughts are beside the candidates", () => {
    const parts = fc.record({
      ...{ input: tokens, audioInput: tokens, imageInput: tokens, cacheRead: tokens, audioCacheRead: tokens },
      ...{ output: tokens, imageOutput: tokens, reasoningOutput: tokens },
    });
    const modalities = (text: number, audio: number, image: number) => [
      { modality: "TEXT", tokenCount: text },
      { modality: "AUDIO", tokenCount: audio },
      { modality: "IMAGE", tokenCount: image },
    ];
    fc.assert(
      fc.property(parts, (told) => {
        const cached = told.cacheRead + told.audioCacheRead;
        const prompt = told.input + told.audioInput + told.imageInput + cached;
        const candidates = told.output + told.imageOutput;
        const usageMetadata = {
          promptTokenCount: prompt,
          promptTokensDetails: modalities(
            told.input + told.cacheRead,
            told.audioInput + told.audioCacheRead,
            told.imageInput,
          ),
          cachedContentTokenCount: cached,
          cacheTokensDetails: modalities(told.cacheRead, told.audioCacheRead, 0),
          candidatesTokenCount: candidates,
          candidatesTokensDetails: modalities(told.output, 0, told.imageOutput),
          thoughtsTokenCount: told.reasoningOutput,
          totalTokenCount: prompt + candidates + told.reasoningOutput,
        };
        const content = { role: "model", parts: [{ text: "Hi." }] };
        const body = { candidates: [{ content, finishReason: "STOP", index: 0 }], usageMetadata, responseId: "R" };
        comesBack(told, usageIn("google", "gemini-2.5-flash", body));
      }),
    );
  });
});

describe("what a provider did not say does not appear", () => {
  test.each<[string, string, object]>([
    ["openai", "gpt-4o", chat({ prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 })],
    ["openrouter", "openai/gpt-4o", chat({ prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 })],
    [
      "anthropic",
      "claude-opus-5",
      {
        ...{ id: "m", type: "message", role: "assistant", model: "m", stop_reason: "end_turn" },
        content: [{ type: "text", text: "Hi." }],
        usage: { input_tokens: 1, output_tokens: 1, server_tool_use: null, service_tier: null, inference_geo: null },
      },
    ],
  ])("%s", (id, model, body) => {
    const told = Object.entries(usageIn(id, model, body)).filter(([, value]) => value !== undefined);
    expect(Object.fromEntries(told)).toEqual({ inputTokens: 1, outputTokens: 1 });
  });
});

test("a tier of any length is not kept: names are short", () => {
  const body = { ...chat({ prompt_tokens: 1, completion_tokens: 1 }), service_tier: "x".repeat(65) };
  expect(usageIn("openai", "gpt-4o", body).serviceTier).toBeUndefined();
});

test("the tier is known from whichever chunk of a stream tells it", () => {
  const call = callOf({ model: "gpt-4o", messages: [], stream: true }, { provider: "openai", stream: true });
  const decoder = providers.find(({ id }) => id === "openai")?.dialect.decoder(call);
  const head = { id: "c", object: "chat.completion.chunk", created: 1, model: "m" };
  const chunks = [
    { ...head, service_tier: "priority", choices: [{ index: 0, delta: { content: "Hi." }, finish_reason: "stop" }] },
    { ...head, choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
  ];
  const events = chunks.flatMap((chunk) => decoder?.push({ event: "", data: JSON.stringify(chunk) } as never) ?? []);
  expect(fold(events).usage).toMatchObject({ inputTokens: 1, outputTokens: 1, serviceTier: "priority" });
});

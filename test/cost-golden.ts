// Answers as providers document them, and what each costs, worked out by hand. Products are written as tokens × nanodollars per
// token (a price per million tokens in dollars, times a thousand).
import type { PriceStatus } from "../src/chat.ts";

export interface GoldenCost {
  what: string;
  provider: string;
  model: string;
  /** What the provider answers, without what does not matter here. */
  body: object;
  /** When the call was opened; a Tuesday noon where it does not matter. */
  at?: string;
  nanoUsd: number | undefined;
  status?: PriceStatus;
}

const chat = (usage: object, more: object = {}) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Hi." }, finish_reason: "stop" }],
  usage,
  ...more,
});
const claude = (usage: object) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "m",
  content: [{ type: "text", text: "Hi." }],
  stop_reason: "end_turn",
  usage,
});
const gemini = (usageMetadata: object) => ({
  candidates: [{ content: { role: "model", parts: [{ text: "Hi." }] }, finishReason: "STOP", index: 0 }],
  usageMetadata,
  responseId: "R",
});

const VENDORS: GoldenCost[] = [
  {
    what: "a cached prompt",
    provider: "openai",
    model: "gpt-5.6-sol",
    body: chat(
      {
        ...{ prompt_tokens: 2_006, completion_tokens: 300, total_tokens: 2_306 },
        prompt_tokens_details: { cached_tokens: 1_920, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
      },
      { service_tier: "default" },
    ),
    nanoUsd: 86 * 4_000 + 1_920 * 400 + 300 * 20_000, // 344,000 + 768,000 + 6,000,000
  },
  {
    what: "a long prompt in fast mode: twice $8 and $30, from the first token of the tier on",
    provider: "openai",
    model: "gpt-5.6-sol",
    body: chat(
      { prompt_tokens: 272_000, completion_tokens: 1_000, total_tokens: 273_000 },
      { service_tier: "priority" },
    ),
    nanoUsd: 4_412_000_000, // 272,000 × 16,000 + 1,000 × 60,000
  },
  {
    what: "one token less, at the standard price",
    provider: "openai",
    model: "gpt-5.6-sol",
    body: chat({ prompt_tokens: 271_999, completion_tokens: 0, total_tokens: 271_999 }),
    nanoUsd: 1_087_996_000, // 271,999 × 4,000
  },
  {
    what: "flex at half price, reasoning as output",
    provider: "openai",
    model: "gpt-5.4",
    body: chat(
      {
        ...{ prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 },
        completion_tokens_details: { reasoning_tokens: 320 },
      },
      { service_tier: "flex" },
    ),
    nanoUsd: 5_000_000, // 1,000 × 1,250 + 500 × 7,500
  },
  {
    what: "a tier that is paid for in advance has no price per token",
    provider: "openai",
    model: "gpt-4o",
    body: chat({ prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 }, { service_tier: "scale" }),
    nanoUsd: undefined,
    status: "unknown",
  },
  {
    what: "caching",
    provider: "azure",
    model: "gpt-5.4",
    body: chat({
      ...{ prompt_tokens: 1_200, completion_tokens: 80, total_tokens: 1_280 },
      prompt_tokens_details: { cached_tokens: 1_024 },
    }),
    nanoUsd: 1_896_000, // 176 × 2,500 + 1,024 × 250 + 80 × 15,000
  },
  {
    what: "all kinds of cached input",
    provider: "anthropic",
    model: "claude-sonnet-4-6",
    body: claude({
      input_tokens: 2_048,
      cache_read_input_tokens: 1_800,
      cache_creation_input_tokens: 248,
      cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 100 },
      output_tokens: 503,
      service_tier: "standard",
    }),
    // 2,048 × 3,000 + 1,800 × 300 + 148 × 3,750 + 100 × 6,000 + 503 × 15,000
    nanoUsd: 6_144_000 + 540_000 + 555_000 + 600_000 + 7_545_000,
  },
  {
    what: "fast mode at six times, US-only at 1.1 times, and three searches at a cent",
    provider: "anthropic",
    model: "claude-opus-4-6",
    body: claude({
      ...{ input_tokens: 1_000, output_tokens: 200, service_tier: "standard", speed: "fast", inference_geo: "us" },
      server_tool_use: { web_search_requests: 3, web_fetch_requests: 1 },
    }),
    nanoUsd: 96_000_000, // 1,000 × 5,000 × 6.6 + 200 × 25,000 × 6.6 + 3 × 10,000,000
  },
  {
    what: "a batch at half price",
    provider: "anthropic",
    model: "claude-opus-5-5",
    body: claude({ input_tokens: 100, output_tokens: 10, service_tier: "batch" }),
    nanoUsd: 300_000, // 100 × 2,000 + 10 × 10,000
  },
  {
    what: "the Priority Tier is priced by contract",
    provider: "anthropic",
    model: "claude-opus-5-5",
    body: claude({ input_tokens: 100, output_tokens: 10, service_tier: "priority" }),
    nanoUsd: undefined,
    status: "unknown",
  },
  {
    what: "audio, a cache that holds some of it, and thoughts",
    provider: "google",
    model: "gemini-2.5-flash",
    body: gemini({
      promptTokenCount: 1_000,
      promptTokensDetails: [
        { modality: "TEXT", tokenCount: 700 },
        { modality: "AUDIO", tokenCount: 300 },
      ],
      cachedContentTokenCount: 400,
      cacheTokensDetails: [
        { modality: "TEXT", tokenCount: 300 },
        { modality: "AUDIO", tokenCount: 100 },
      ],
      ...{ candidatesTokenCount: 50, thoughtsTokenCount: 150, totalTokenCount: 1_200 },
    }),
    // text 400 × 300, audio 200 × 1,000, cached text 300 × 30, cached audio 100 × 100, out 200 × 2,500
    nanoUsd: 120_000 + 200_000 + 9_000 + 10_000 + 500_000,
  },
  {
    what: "a picture of 1,290 tokens",
    provider: "google",
    model: "gemini-2.5-flash-image",
    body: gemini({
      ...{ promptTokenCount: 8, candidatesTokenCount: 1_290, totalTokenCount: 1_298 },
      candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 1_290 }],
    }),
    nanoUsd: 38_702_400, // 8 × 300 + 1,290 × 30,000
  },
  {
    what: "one token above the standard prompt",
    provider: "google",
    model: "gemini-2.5-pro",
    body: gemini({ promptTokenCount: 200_001, candidatesTokenCount: 100, totalTokenCount: 200_101 }),
    nanoUsd: 501_502_500, // 200,001 × 2,500 + 100 × 15,000
  },
  {
    what: "the last minute of an introductory price",
    provider: "google",
    model: "gemini-3.8-flash",
    body: gemini({ promptTokenCount: 1_000, candidatesTokenCount: 1_000, totalTokenCount: 2_000 }),
    at: "2026-12-31T23:59:59Z",
    nanoUsd: 4_500_000, // 1,000 × 750 + 1,000 × 3,750
  },
  {
    what: "a second later",
    provider: "google",
    model: "gemini-3.8-flash",
    body: gemini({ promptTokenCount: 1_000, candidatesTokenCount: 1_000, totalTokenCount: 2_000 }),
    at: "2027-01-01T00:00:00Z",
    nanoUsd: 9_000_000, // twice that
  },
  {
    what: "flex, in the word of Vertex",
    provider: "vertex",
    model: "gemini-2.5-flash",
    body: gemini({
      ...{ promptTokenCount: 1_000, candidatesTokenCount: 100, totalTokenCount: 1_100 },
      trafficType: "ON_DEMAND_FLEX",
    }),
    nanoUsd: 275_000, // 1,000 × 150 + 100 × 1,250
  },
  {
    what: "reserved capacity is paid for by the hour",
    provider: "vertex",
    model: "gemini-2.5-flash",
    body: gemini({
      ...{ promptTokenCount: 1_000, candidatesTokenCount: 100, totalTokenCount: 1_100 },
      trafficType: "PROVISIONED_THROUGHPUT",
    }),
    nanoUsd: undefined,
    status: "unknown",
  },
  {
    what: "billed units, not the tokens Cohere adds",
    provider: "cohere",
    model: "command-a-03-2025",
    body: {
      id: "1",
      finish_reason: "COMPLETE",
      message: { role: "assistant", content: [{ type: "text", text: "Hi." }] },
      usage: {
        billed_units: { input_tokens: 1, output_tokens: 20 },
        tokens: { input_tokens: 60, output_tokens: 20 },
      },
    },
    nanoUsd: 202_500, // 1 × 2,500 + 20 × 10,000
    status: "alias",
  },
];

const DEEPSEEK = chat({
  ...{ prompt_tokens: 1_000, completion_tokens: 200, total_tokens: 1_200 },
  ...{ prompt_cache_hit_tokens: 600, prompt_cache_miss_tokens: 400 },
});

const COMPATIBLE: GoldenCost[] = [
  {
    what: "off-peak",
    provider: "deepseek",
    model: "deepseek-v4-pro",
    body: DEEPSEEK,
    nanoUsd: 673_200, // 400 × 660 + 600 × 22 + 200 × 1,980
  },
  {
    what: "peak costs twice as much",
    provider: "deepseek",
    model: "deepseek-v4-pro",
    body: DEEPSEEK,
    at: "2026-11-24T03:59:59Z",
    nanoUsd: 1_346_400,
  },
  {
    what: "but not on a Sunday",
    provider: "deepseek",
    model: "deepseek-v4-pro",
    body: DEEPSEEK,
    at: "2026-11-29T03:59:59Z",
    nanoUsd: 673_200,
  },
  {
    what: "flex costs what on-demand does",
    provider: "groq",
    model: "openai/gpt-oss-120b",
    body: chat(
      {
        ...{ queue_time: 0.04, prompt_time: 0.001, completion_time: 1.2, total_time: 1.2 },
        ...{ prompt_tokens: 18, completion_tokens: 556, total_tokens: 574 },
      },
      { service_tier: "flex", x_groq: { id: "req_1" } },
    ),
    nanoUsd: 336_300, // 18 × 150 + 556 × 600
  },
  {
    what: "a model by its moving name",
    provider: "mistral",
    model: "codestral-latest",
    body: chat({ prompt_tokens: 14, completion_tokens: 72, total_tokens: 86 }),
    nanoUsd: 69_000, // 14 × 300 + 72 × 900
    status: "alias",
  },
  {
    what: "what it says it charged, in ticks of 10⁻¹⁰ dollars",
    provider: "xai",
    model: "grok-4.20",
    body: chat({ prompt_tokens: 100, completion_tokens: 10, total_tokens: 110, cost_in_usd_ticks: 37_756_000 }),
    nanoUsd: 3_775_600, // 37,756,000 / 10
    status: "reported",
  },
  {
    what: "reasoning beside the completion",
    provider: "xai",
    model: "grok-4.20",
    body: chat({
      ...{ prompt_tokens: 100, completion_tokens: 10, total_tokens: 150 },
      prompt_tokens_details: { cached_tokens: 20 },
      completion_tokens_details: { reasoning_tokens: 40 },
    }),
    nanoUsd: 229_000, // 80 × 1,250 + 20 × 200 + 50 × 2,500
  },
  {
    what: "what it says it charged",
    provider: "openrouter",
    model: "openai/gpt-5.4",
    body: chat({ prompt_tokens: 194, completion_tokens: 2, total_tokens: 196, cost: 0.00014, is_byok: false }),
    nanoUsd: 140_000,
    status: "reported",
  },
  {
    what: "with a key of one's own: its fee and the bill of the provider behind it",
    provider: "openrouter",
    model: "openai/gpt-5.4",
    body: chat({
      ...{ prompt_tokens: 194, completion_tokens: 2, total_tokens: 196, cost: 1e-5, is_byok: true },
      cost_details: { upstream_inference_cost: 0.0002 },
    }),
    nanoUsd: 210_000,
    status: "reported",
  },
  {
    what: "the list price where it says nothing",
    provider: "openrouter",
    model: "openai/gpt-5.4",
    body: chat({ prompt_tokens: 194, completion_tokens: 2, total_tokens: 196 }),
    nanoUsd: 515_000, // 194 × 2,500 + 2 × 15,000
  },
  {
    what: "what it says it charged, the fee of the request included",
    provider: "perplexity",
    model: "sonar",
    body: chat({
      ...{ prompt_tokens: 14, completion_tokens: 275, total_tokens: 289, search_context_size: "low" },
      cost: { input_tokens_cost: 0, output_tokens_cost: 0, request_cost: 0.005, total_cost: 0.005289 },
    }),
    nanoUsd: 5_289_000,
    status: "reported",
  },
  {
    what: "the highest fee of a request where it says nothing",
    provider: "perplexity",
    model: "sonar",
    body: chat({ prompt_tokens: 14, completion_tokens: 275, total_tokens: 289 }),
    nanoUsd: 12_289_000, // 14 × 1,000 + 275 × 1,000 + 12,000,000
  },
  {
    what: "reasoning, sources and searches, each at its price",
    provider: "perplexity",
    model: "sonar-deep-research",
    body: chat({
      ...{ prompt_tokens: 33, completion_tokens: 7_163, total_tokens: 7_196 },
      ...{ citation_tokens: 20_016, num_search_queries: 18, reasoning_tokens: 73_994 },
    }),
    // 33 × 2,000 + 7,163 × 8,000 + 73,994 × 3,000 + 20,016 × 2,000 + 18 × 5,000,000
    nanoUsd: 66_000 + 57_304_000 + 221_982_000 + 40_032_000 + 90_000_000,
  },
  {
    what: "cached input at half price",
    provider: "fireworks",
    model: "accounts/fireworks/models/deepseek-v3p2",
    body: chat({ prompt_tokens: 100, completion_tokens: 50, prompt_tokens_details: { cached_tokens: 40 } }),
    nanoUsd: 128_800, // 60 × 560 + 40 × 280 + 50 × 1,680
    status: "alias",
  },
  {
    what: "cached tokens told beside the details",
    provider: "together",
    model: "MiniMaxAI/MiniMax-M3",
    body: chat({ prompt_tokens: 100, completion_tokens: 50, total_tokens: 150, cached_tokens: 40 }),
    nanoUsd: 80_400, // 60 × 300 + 40 × 60 + 50 × 1,200
  },
  {
    what: "a model of another provider",
    provider: "huggingface",
    model: "MiniMaxAI/MiniMax-M2.5",
    body: chat({ prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 }),
    nanoUsd: 42_000, // 100 × 300 + 10 × 1,200
  },
  {
    what: "caching",
    provider: "minimax",
    model: "MiniMax-M2",
    body: chat({ prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 50 } }),
    nanoUsd: 40_500, // 50 × 300 + 50 × 30 + 20 × 1,200
  },
  {
    what: "caching, told beside the counts",
    provider: "moonshot",
    model: "kimi-k2-0905-preview",
    body: chat({ prompt_tokens: 19, completion_tokens: 21, total_tokens: 40, cached_tokens: 10 }),
    nanoUsd: 59_400, // 9 × 600 + 10 × 150 + 21 × 2,500
  },
  {
    what: "input and output",
    provider: "novita",
    model: "deepseek/deepseek-r1",
    body: chat({ prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 }),
    nanoUsd: 120_000, // 30 × 4,000
  },
  {
    what: "caching",
    provider: "baseten",
    model: "deepseek-ai/DeepSeek-V4-Pro",
    body: chat({ prompt_tokens: 1_000, completion_tokens: 100, prompt_tokens_details: { cached_tokens: 512 } }),
    nanoUsd: 1_271_360, // 488 × 1,740 + 512 × 145 + 100 × 3,480
  },
  {
    what: "cached input at the full price",
    provider: "cerebras",
    model: "gpt-oss-120b",
    body: chat({ prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 64 } }),
    nanoUsd: 50_000, // 100 × 350 + 20 × 750
  },
  {
    what: "prices with fractions of a nanodollar",
    provider: "xiaomi",
    model: "mimo-v2.6-flash",
    body: chat({ prompt_tokens: 3, completion_tokens: 0, prompt_tokens_details: { cached_tokens: 3 } }),
    nanoUsd: 8, // 3 × 2.8
  },
  {
    what: "caching",
    provider: "zai",
    model: "glm-5.2",
    body: chat({ prompt_tokens: 100, completion_tokens: 10, prompt_tokens_details: { cached_tokens: 60 } }),
    nanoUsd: 115_600, // 40 × 1,400 + 60 × 260 + 10 × 4,400
  },
];

export const GOLDEN_COSTS: readonly GoldenCost[] = [...VENDORS, ...COMPATIBLE];

// No tools, not even in the past; system messages stand at the start, and user and assistant must alternate. Every chunk carries cumulative usage, so it need not be asked for.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const perplexity: Provider = {
  id: "perplexity",
  name: "Perplexity",
  docs: "https://docs.perplexity.ai/api-reference",
  baseUrl: "https://api.perplexity.ai",
  baseUrlEnv: ["PERPLEXITY_BASE_URL"],
  keyEnv: ["PERPLEXITY_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    streamUsage: false,
    drop: ["logit_bias", "logprobs", "seed", "stop", "tools", "tool_choice", "parallel_tool_calls", "top_logprobs"],
    refuse: ["n"],
    messageKeys: ["role", "content"],
    textParts: "flat",
    systemMessages: "first",
    alternates: true,
    pastCalls: "refuse",
    responseFormat: "bare_schema",
    thinking: {},
    byModel: [
      { models: /deep-research/, thinking: { efforts: efforts("minimal", "low", "medium", "high") } },
      { models: /reasoning|deep-research/, thinkTag: { tag: "think" } },
    ],
    answers: "normalise",
    citations: true,
    extras: ["search_results", "images", "related_questions"],
    // The fee of a request goes by how much was searched, which no count tells.
    usage: { reasoningApart: "when_larger", charged: { path: ["cost", "total_cost"], unit: "usd" } },
  }),
  authorize: bearer,
};

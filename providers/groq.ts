// Answers 400 to log-probabilities, `logit_bias`, several choices, and members of messages it does not know.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const groq: Provider = {
  id: "groq",
  name: "Groq",
  docs: "https://console.groq.com/docs/api-reference",
  baseUrl: "https://api.groq.com/openai/v1",
  baseUrlEnv: ["GROQ_BASE_URL"],
  keyEnv: ["GROQ_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    drop: ["logit_bias", "logprobs", "top_logprobs"],
    refuse: ["n"],
    messageKeys: ["role", "content", "tool_calls", "tool_call_id"],
    replay: { as: "reasoning", turns: "all", models: /gpt-oss|qwen3/ },
    thinking: {},
    byModel: [
      { models: /gpt-oss/, thinking: { efforts: efforts("low", "medium", "high") } },
      {
        models: /qwen|deepseek-r1/,
        thinking: { efforts: { none: "none", high: "default" } },
        thinkTag: { tag: "think" },
      },
    ],
    answers: "normalise",
    limits: { per: { requests: "day", tokens: "minute" } },
  }),
  // console.groq.com/docs/rate-limits: cached tokens do not count.
  accounting: { cachedInput: "free", output: "actual" },
  authorize: bearer,
};

import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const together: Provider = {
  id: "together",
  name: "Together AI",
  docs: "https://docs.together.ai/reference/chat-completions",
  baseUrl: "https://api.together.xyz/v1",
  baseUrlEnv: ["TOGETHER_BASE_URL"],
  keyEnv: ["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    empties: "strip",
    logprobs: "count",
    replay: { as: "both", turns: "all" },
    thinking: { on: { reasoning: { enabled: true } }, off: { reasoning: { enabled: false } } },
    byModel: [{ models: /gpt-oss/, thinking: { efforts: efforts("low", "medium", "high") } }],
    answers: "normalise",
    // Per second, unlike everybody else.
    limits: {
      per: { requests: "second" },
      more: [
        {
          window: "tokens/second",
          limit: "x-tokenlimit-limit",
          remaining: "x-tokenlimit-remaining",
          reset: "x-tokenlimit-reset",
        },
      ],
    },
  }),
  authorize: bearer,
};

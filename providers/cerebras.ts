import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const cerebras: Provider = {
  id: "cerebras",
  name: "Cerebras",
  docs: "https://inference-docs.cerebras.ai/api-reference/chat-completions",
  baseUrl: "https://api.cerebras.ai/v1",
  baseUrlEnv: ["CEREBRAS_BASE_URL"],
  keyEnv: ["CEREBRAS_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    drop: ["frequency_penalty", "logit_bias", "presence_penalty"],
    messageKeys: ["role", "content", "name", "tool_calls", "tool_call_id"],
    replay: { as: "reasoning", turns: "all" },
    thinking: {},
    byModel: [
      { models: /gpt-oss/, thinking: { efforts: efforts("low", "medium", "high") } },
      // Thinks unless told not to.
      { models: /glm/, thinking: { on: {}, off: { reasoning_effort: "none" } }, jsonAsCalls: true },
    ],
    answers: "normalise",
  }),
  // inference-docs.cerebras.ai/support/rate-limits: `max_completion_tokens` counts when a call is admitted.
  accounting: { cachedInput: "counted", output: "reserved" },
  authorize: bearer,
  // Its edge turns away calls without a user agent.
  headers: { "user-agent": "signalbox" },
};

import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

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
  }),
  authorize: bearer,
  // Its edge turns away calls without a user agent.
  headers: { "user-agent": "signalbox" },
};

// Model ids are paths: `accounts/fireworks/models/…`.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const fireworks: Provider = {
  id: "fireworks",
  name: "Fireworks AI",
  docs: "https://docs.fireworks.ai/api-reference/post-chatcompletions",
  baseUrl: "https://api.fireworks.ai/inference/v1",
  baseUrlEnv: ["FIREWORKS_BASE_URL"],
  keyEnv: ["FIREWORKS_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    thinking: { efforts: efforts("none", "low", "medium", "high") },
    replay: { as: "reasoning_content", turns: "all" },
  }),
  authorize: bearer,
};

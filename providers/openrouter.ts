import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const openrouter: Provider = {
  id: "openrouter",
  name: "OpenRouter",
  docs: "https://openrouter.ai/docs/api-reference",
  baseUrl: "https://openrouter.ai/api/v1",
  baseUrlEnv: ["OPENROUTER_BASE_URL"],
  keyEnv: ["OPENROUTER_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    // Reasoning has to come back as it was told: Gemini, Anthropic and OpenAI behind it check signatures.
    keep: ["cache_control", "reasoning", "reasoning_details", "annotations", "images"],
    callContent: "keep",
  }),
  authorize: bearer,
};

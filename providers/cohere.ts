// The OpenAI-compatible endpoint, not the native v2 chat.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const cohere: Provider = {
  id: "cohere",
  name: "Cohere",
  docs: "https://docs.cohere.com/docs/compatibility-api",
  baseUrl: "https://api.cohere.ai/compatibility/v1",
  baseUrlEnv: ["COHERE_BASE_URL"],
  keyEnv: ["COHERE_API_KEY", "CO_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens" }),
  authorize: bearer,
};

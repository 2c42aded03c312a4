import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const xai: Provider = {
  id: "xai",
  name: "xAI",
  docs: "https://docs.x.ai/docs/api-reference",
  baseUrl: "https://api.x.ai/v1",
  baseUrlEnv: ["XAI_BASE_URL"],
  keyEnv: ["XAI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_completion_tokens" }),
  authorize: bearer,
};

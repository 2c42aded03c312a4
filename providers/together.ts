import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const together: Provider = {
  id: "together",
  name: "Together AI",
  docs: "https://docs.together.ai/reference/chat-completions",
  baseUrl: "https://api.together.xyz/v1",
  baseUrlEnv: ["TOGETHER_BASE_URL"],
  keyEnv: ["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens" }),
  authorize: bearer,
};

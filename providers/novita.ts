import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const novita: Provider = {
  id: "novita",
  name: "Novita AI",
  docs: "https://novita.ai/docs/api-reference/model-apis-llm-create-chat-completion",
  baseUrl: "https://api.novita.ai/openai/v1",
  baseUrlEnv: ["NOVITA_BASE_URL"],
  keyEnv: ["NOVITA_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    replay: { as: "reasoning_content", turns: "all" },
  }),
  authorize: bearer,
};

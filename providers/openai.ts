// Reasoning models answer 400 to `max_tokens`; the others take both names.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const openai: Provider = {
  id: "openai",
  name: "OpenAI",
  docs: "https://platform.openai.com/docs/api-reference/chat",
  baseUrl: "https://api.openai.com/v1",
  baseUrlEnv: ["OPENAI_BASE_URL"],
  keyEnv: ["OPENAI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    developerRole: "keep",
  }),
  authorize: bearer,
};

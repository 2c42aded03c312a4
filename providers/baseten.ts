import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const baseten: Provider = {
  id: "baseten",
  name: "Baseten",
  docs: "https://docs.baseten.co/development/model-apis/overview",
  baseUrl: "https://inference.baseten.co/v1",
  baseUrlEnv: ["BASETEN_BASE_URL"],
  keyEnv: ["BASETEN_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    thinking: { efforts: efforts("none", "low", "medium", "high", "max") },
    replay: { as: "reasoning_content", turns: "all" },
  }),
  authorize: bearer,
};

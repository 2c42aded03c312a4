import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const nebius: Provider = {
  id: "nebius",
  name: "Nebius Token Factory",
  docs: "https://docs.tokenfactory.nebius.com",
  baseUrl: "https://api.tokenfactory.nebius.com/v1",
  baseUrlEnv: ["NEBIUS_BASE_URL"],
  keyEnv: ["NEBIUS_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    thinking: { efforts: efforts("low", "medium", "high") },
    replay: { as: "reasoning_content", turns: "all" },
  }),
  authorize: bearer,
};

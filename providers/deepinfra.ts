import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const deepinfra: Provider = {
  id: "deepinfra",
  name: "DeepInfra",
  docs: "https://deepinfra.com/docs/openai_api",
  baseUrl: "https://api.deepinfra.com/v1/openai",
  baseUrlEnv: ["DEEPINFRA_BASE_URL"],
  keyEnv: ["DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    thinking: { efforts: efforts("none", "low", "medium", "high") },
    replay: { as: "reasoning_content", turns: "all" },
    answers: "normalise",
    usage: { reasoningApart: "when_larger", charged: { path: ["estimated_cost"], unit: "usd" } },
  }),
  authorize: bearer,
};

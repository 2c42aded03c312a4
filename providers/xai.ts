import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const xai: Provider = {
  id: "xai",
  name: "xAI",
  docs: "https://docs.x.ai/docs/api-reference",
  baseUrl: "https://api.x.ai/v1",
  baseUrlEnv: ["XAI_BASE_URL"],
  keyEnv: ["XAI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    thinking: {},
    byModel: [
      {
        // "Argument not supported on this model: presencePenalty"
        models: /grok-(3-mini|4|code|build)(?!.*non-reasoning)/,
        drop: ["presence_penalty", "frequency_penalty", "stop"],
      },
      { models: /grok-3-mini/, thinking: { efforts: efforts("low", "high") } },
      { models: /grok-4\.3/, thinking: { efforts: efforts("none", "low", "medium", "high") } },
      { models: /grok-4\.[6-9]/, thinking: { efforts: efforts("none", "low", "medium", "high", "xhigh") } },
    ],
    answers: "normalise",
    echoesPrefix: true,
    citations: true,
    usage: {
      reasoningApart: "always",
      cachedApart: true,
      // With everything the table lacks: searches, tools, discounts (docs.x.ai, "Cost tracking").
      charged: { path: ["cost_in_usd_ticks"], unit: "usd_ticks" },
    },
  }),
  authorize: bearer,
};

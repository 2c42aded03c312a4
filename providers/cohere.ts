// The OpenAI-compatible endpoint, not the native v2 chat.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const cohere: Provider = {
  id: "cohere",
  name: "Cohere",
  docs: "https://docs.cohere.com/docs/compatibility-api",
  baseUrl: "https://api.cohere.ai/compatibility/v1",
  baseUrlEnv: ["COHERE_BASE_URL"],
  keyEnv: ["COHERE_API_KEY", "CO_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    textParts: "flat",
    thinking: { efforts: efforts("none", "high") },
    answers: "normalise",
    limits: {
      more: [
        { window: "requests/month", limit: "x-endpoint-monthly-call-limit" },
        {
          window: "trial_requests",
          limit: "x-trial-endpoint-call-limit",
          remaining: "x-trial-endpoint-call-remaining",
        },
      ],
    },
  }),
  authorize: bearer,
};

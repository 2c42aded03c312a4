import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat, words } from "./dialects/openai-chat.ts";

export const openrouter: Provider = {
  id: "openrouter",
  name: "OpenRouter",
  docs: "https://openrouter.ai/docs/api-reference",
  baseUrl: "https://openrouter.ai/api/v1",
  baseUrlEnv: ["OPENROUTER_BASE_URL"],
  keyEnv: ["OPENROUTER_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    // Reasoning has to come back as it was told: Gemini, Anthropic and OpenAI behind it check signatures.
    keep: ["cache_control", "reasoning", "reasoning_details", "annotations", "images"],
    replay: { as: "reasoning", turns: "all" },
    callContent: "keep",
    // Reasoning is told in `reasoning`, where OpenAI's clients do not look.
    answers: "normalise",
    extras: words("service_tier system_fingerprint provider"),
    choiceExtras: ["native_finish_reason"],
    messageExtras: ["reasoning_details", "annotations", "images"],
    usage: {
      extras: ["cost", "cost_details", "is_byok"],
      charged: {
        path: ["cost"],
        unit: "usd",
        // With a key of the operator's own, the provider behind it sends a bill as well.
        elsewhere: { when: "is_byok", path: ["cost_details", "upstream_inference_cost"] },
      },
    },
  }),
  authorize: bearer,
};

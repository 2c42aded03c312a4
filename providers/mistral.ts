// Answers 422 `extra_forbidden` to any key it does not know, `stream_options` included; usage comes unasked.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const mistral: Provider = {
  id: "mistral",
  name: "Mistral",
  docs: "https://docs.mistral.ai/api",
  baseUrl: "https://api.mistral.ai/v1",
  baseUrlEnv: ["MISTRAL_BASE_URL"],
  keyEnv: ["MISTRAL_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    streamUsage: false,
    drop: ["logit_bias", "logprobs", "metadata", "service_tier", "store", "top_logprobs", "user"],
  }),
  authorize: bearer,
};

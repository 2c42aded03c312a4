// Answers 400 to log-probabilities and `logit_bias`.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const groq: Provider = {
  id: "groq",
  name: "Groq",
  docs: "https://console.groq.com/docs/api-reference",
  baseUrl: "https://api.groq.com/openai/v1",
  baseUrlEnv: ["GROQ_BASE_URL"],
  keyEnv: ["GROQ_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    drop: ["logit_bias", "logprobs", "top_logprobs"],
  }),
  authorize: bearer,
};

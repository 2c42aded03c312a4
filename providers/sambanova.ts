import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const sambanova: Provider = {
  id: "sambanova",
  name: "SambaNova",
  docs: "https://docs.sambanova.ai/cloud/api-reference",
  baseUrl: "https://api.sambanova.ai/v1",
  baseUrlEnv: ["SAMBANOVA_BASE_URL"],
  keyEnv: ["SAMBANOVA_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    drop: ["frequency_penalty", "logit_bias", "logprobs", "presence_penalty", "top_logprobs"],
    refuse: ["n"],
    answers: "normalise",
    thinkTag: { tag: "think" },
    limits: { per: { requests: "minute" } },
  }),
  authorize: bearer,
};

// Every chunk of a stream carries cumulative usage, so it need not be asked for.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const perplexity: Provider = {
  id: "perplexity",
  name: "Perplexity",
  docs: "https://docs.perplexity.ai/api-reference",
  baseUrl: "https://api.perplexity.ai",
  baseUrlEnv: ["PERPLEXITY_BASE_URL"],
  keyEnv: ["PERPLEXITY_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    streamUsage: false,
    drop: ["logit_bias", "logprobs", "n", "seed", "stop", "top_logprobs"],
  }),
  authorize: bearer,
};

import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const hyperbolic: Provider = {
  id: "hyperbolic",
  name: "Hyperbolic",
  docs: "https://docs.hyperbolic.xyz/docs/rest-api",
  baseUrl: "https://api.hyperbolic.xyz/v1",
  baseUrlEnv: ["HYPERBOLIC_BASE_URL"],
  keyEnv: ["HYPERBOLIC_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    replay: { as: "reasoning_content", turns: "all" },
  }),
  authorize: bearer,
};

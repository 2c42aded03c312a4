// Chinese platform: MINIMAX_BASE_URL=https://api.minimaxi.com/v1.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const minimax: Provider = {
  id: "minimax",
  name: "MiniMax",
  docs: "https://platform.minimax.io/docs/api-reference/text-openai-api",
  baseUrl: "https://api.minimax.io/v1",
  baseUrlEnv: ["MINIMAX_BASE_URL"],
  keyEnv: ["MINIMAX_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens" }),
  authorize: bearer,
};

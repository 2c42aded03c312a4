import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const xiaomi: Provider = {
  id: "xiaomi",
  name: "Xiaomi MiMo",
  docs: "https://platform.xiaomimimo.com/docs",
  baseUrl: "https://api.xiaomimimo.com/v1",
  baseUrlEnv: ["XIAOMI_BASE_URL"],
  keyEnv: ["XIAOMI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    thinking: { on: { thinking: { type: "enabled" } }, off: { thinking: { type: "disabled" } } },
    replay: { as: "reasoning_content", turns: "tool_calls", otherwise: " ", remembers: true },
  }),
  authorize: bearer,
};

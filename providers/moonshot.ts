// Keys of platform.moonshot.cn work only there: MOONSHOT_BASE_URL=https://api.moonshot.cn/v1.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const moonshot: Provider = {
  id: "moonshot",
  name: "Moonshot AI (Kimi)",
  docs: "https://platform.moonshot.ai/docs/api/chat",
  baseUrl: "https://api.moonshot.ai/v1",
  baseUrlEnv: ["MOONSHOT_BASE_URL"],
  keyEnv: ["MOONSHOT_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens", drop: ["seed"] }),
  authorize: bearer,
};

// For keys of the Chinese platform: ZAI_BASE_URL=https://open.bigmodel.cn/api/paas/v4; coding plan: https://api.z.ai/api/coding/paas/v4.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const zai: Provider = {
  id: "zai",
  name: "Z.ai (Zhipu GLM)",
  docs: "https://docs.z.ai/api-reference",
  baseUrl: "https://api.z.ai/api/paas/v4",
  baseUrlEnv: ["ZAI_BASE_URL"],
  keyEnv: ["ZAI_API_KEY", "ZHIPU_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens" }),
  authorize: bearer,
};

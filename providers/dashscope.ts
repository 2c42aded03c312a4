// Keys belong to a region: dashscope-intl (Singapore) by default, dashscope.aliyuncs.com (China) or dashscope-us by URL.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const dashscope: Provider = {
  id: "dashscope",
  name: "Alibaba DashScope (Qwen)",
  docs: "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
  baseUrl: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
  baseUrlEnv: ["DASHSCOPE_BASE_URL"],
  keyEnv: ["DASHSCOPE_API_KEY", "ALIBABA_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    drop: ["frequency_penalty"],
  }),
  authorize: bearer,
};

// Keys belong to a region: dashscope-intl (Singapore) by default, dashscope.aliyuncs.com (China) or dashscope-us by URL.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

const THINKING = {
  on: { enable_thinking: true },
  off: { enable_thinking: false },
  budget: { field: "thinking_budget", tokens: 16_384 },
};

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
    emptyTurns: "drop",
    toolChoice: { required: "auto" },
    thinking: THINKING,
    byModel: [
      {
        // Open weights: they think unless told not to, and answer 400 when they do and do not stream.
        models: /^(qwen3-\d|qwen3-(coder|next|vl)-|qwq-\d)/,
        thinking: { ...THINKING, silent: THINKING.off, streamsOnly: true },
      },
    ],
    answers: "normalise",
    errors: { codes: { data_inspection_failed: "content_filter", Arrearage: "quota" }, words: [] },
  }),
  authorize: bearer,
};

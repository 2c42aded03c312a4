// Also self-hosted: NVIDIA_BASE_URL=http://host:8000/v1.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const nvidia: Provider = {
  id: "nvidia",
  name: "NVIDIA NIM",
  docs: "https://docs.api.nvidia.com/nim/reference/llm-apis",
  baseUrl: "https://integrate.api.nvidia.com/v1",
  baseUrlEnv: ["NVIDIA_BASE_URL"],
  keyEnv: ["NVIDIA_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    empties: "strip",
    thinking: {
      on: { chat_template_kwargs: { enable_thinking: true } },
      off: { chat_template_kwargs: { enable_thinking: false } },
    },
    // Other models only where the catalogue says so: schemas differ per model, and unknown members are refused.
    replay: { as: "reasoning_content", turns: "all", models: /deepseek-v[4-9]/ },
    byModel: [{ models: /gpt-oss/, thinking: { efforts: efforts("low", "medium", "high") } }],
    answers: "normalise",
    thinkTag: { tag: "think" },
  }),
  authorize: bearer,
};

import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const vllm: Provider = {
  id: "vllm",
  name: "vLLM",
  docs: "https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html",
  baseUrl: "http://127.0.0.1:8000/v1",
  baseUrlEnv: ["VLLM_BASE_URL"],
  keyEnv: ["VLLM_API_KEY"],
  enabledBy: "url",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    thinking: {
      on: { chat_template_kwargs: { enable_thinking: true } },
      off: { chat_template_kwargs: { enable_thinking: false } },
    },
    // Which of the two is read depends on the version, and the other is ignored.
    replay: { as: "both", turns: "all" },
    byModel: [{ models: /gpt-oss/, thinking: { efforts: efforts("low", "medium", "high") } }],
    answers: "normalise",
  }),
  authorize: bearer,
};

// Tools need a server started with `--jinja`.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const llamacpp: Provider = {
  id: "llamacpp",
  name: "llama.cpp",
  docs: "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
  baseUrl: "http://127.0.0.1:8080/v1",
  baseUrlEnv: ["LLAMACPP_BASE_URL"],
  keyEnv: ["LLAMA_API_KEY"],
  enabledBy: "url",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    textParts: "flat",
    thinking: {
      on: { chat_template_kwargs: { enable_thinking: true } },
      off: { chat_template_kwargs: { enable_thinking: false } },
    },
    replay: { as: "reasoning_content", turns: "all" },
  }),
  authorize: bearer,
};

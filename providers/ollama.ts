// On when a URL is set. OLLAMA_HOST is the variable of Ollama itself: often `host:port` without scheme or `/v1`.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const ollama: Provider = {
  id: "ollama",
  name: "Ollama",
  docs: "https://docs.ollama.com/openai",
  baseUrl: "http://127.0.0.1:11434/v1",
  baseUrlEnv: ["OLLAMA_BASE_URL", "OLLAMA_HOST"],
  keyEnv: ["OLLAMA_API_KEY"],
  enabledBy: "url",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    textParts: "flat",
    images: "data",
    // Ignored, so that only leaving tools out has an effect.
    toolChoice: { required: "auto", none: "no_tools" },
    thinking: { efforts: efforts("none", "low", "medium", "high", "max") },
    replay: { as: "reasoning", turns: "all" },
    answers: "normalise",
  }),
  authorize: bearer,
};

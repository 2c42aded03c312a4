// Keys of platform.moonshot.cn work only there: MOONSHOT_BASE_URL=https://api.moonshot.cn/v1.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { codes, efforts, openaiChat } from "./dialects/openai-chat.ts";

export const moonshot: Provider = {
  id: "moonshot",
  name: "Moonshot AI (Kimi)",
  docs: "https://platform.moonshot.ai/docs/api/chat",
  baseUrl: "https://api.moonshot.ai/v1",
  baseUrlEnv: ["MOONSHOT_BASE_URL"],
  keyEnv: ["MOONSHOT_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    drop: ["seed"],
    images: "data",
    toolSchema: "mfjs",
    prefixField: "partial",
    replay: {
      as: "reasoning_content",
      turns: "tool_calls",
      otherwise: " ",
      remembers: true,
      models: /kimi-k2-thinking|kimi-k2\.[5-9]|kimi-k[3-9]/,
    },
    byModel: [
      {
        // "invalid temperature: only 1 is allowed for this model"
        models: /kimi-k2\.[5-9]|kimi-k[3-9]/,
        drop: ["temperature", "top_p", "presence_penalty", "frequency_penalty"],
        refuse: ["n"],
        thinking: { on: { thinking: { type: "enabled" } }, off: { thinking: { type: "disabled" } } },
      },
      { models: /kimi-k2\.7-code|kimi-k2-thinking/, thinking: { on: {} } },
      { models: /kimi-k[3-9]/, thinking: { efforts: efforts("low", "high", "max") } },
    ],
    // Cached tokens are told under a name of its own.
    answers: "normalise",
    // With status 429.
    errors: { codes: codes({ overloaded: "engine_overloaded_error" }), words: [] },
  }),
  authorize: bearer,
};

import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const deepseek: Provider = {
  id: "deepseek",
  name: "DeepSeek",
  docs: "https://api-docs.deepseek.com",
  baseUrl: "https://api.deepseek.com",
  baseUrlEnv: ["DEEPSEEK_BASE_URL"],
  keyEnv: ["DEEPSEEK_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    drop: ["seed", "logit_bias"],
    refuse: ["n"],
    textParts: "flat",
    responseFormat: "schema_in_prompt",
    thinking: {
      on: { thinking: { type: "enabled" } },
      off: { thinking: { type: "disabled" } },
      efforts: efforts("high", "max"),
    },
    // While it thinks, the field has to be there on every turn, even empty (vercel/ai#14739).
    replay: {
      as: "reasoning_content",
      turns: "all",
      otherwise: "",
      remembers: true,
      models: /deepseek-(v[4-9]|flash|pro)/,
      whenOn: true,
    },
    // Cached tokens are told under a name of its own.
    answers: "normalise",
    errors: { codes: {}, words: [[/Model Not Exist/i, "not_found"]] },
  }),
  authorize: bearer,
};

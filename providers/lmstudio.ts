import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const lmstudio: Provider = {
  id: "lmstudio",
  name: "LM Studio",
  docs: "https://lmstudio.ai/docs/developer/openai-compat",
  baseUrl: "http://127.0.0.1:1234/v1",
  baseUrlEnv: ["LMSTUDIO_BASE_URL"],
  keyEnv: ["LMSTUDIO_API_KEY"],
  enabledBy: "url",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    // "Supported string values: none, auto, required"; "'response_format.type' must be 'json_schema' or 'text'".
    toolChoice: { required: "required" },
    responseFormat: "schema_only",
    thinking: {},
    answers: "normalise",
    thinkTag: { tag: "think" },
  }),
  authorize: bearer,
};

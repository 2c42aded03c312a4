// For keys of the Chinese platform: ZAI_BASE_URL=https://open.bigmodel.cn/api/paas/v4; coding plan: https://api.z.ai/api/coding/paas/v4.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { codes, efforts, openaiChat } from "./dialects/openai-chat.ts";

const THINKING = { on: { thinking: { type: "enabled" } }, off: { thinking: { type: "disabled" } } };

/** Also told with status 200 (openclaw/openclaw#93212). */
const CODES = codes({
  auth: "1000 1001 1002 1003 1004",
  quota: "1113 1304 1308 1309 1310",
  invalid_request: "1210 1214",
  not_found: "1211",
  server: "1234",
  context_length: "1261",
  content_filter: "1301",
  rate_limited: "1302 1303 1313",
  overloaded: "1305",
});

export const zai: Provider = {
  id: "zai",
  name: "Z.ai (Zhipu GLM)",
  docs: "https://docs.z.ai/api-reference",
  baseUrl: "https://api.z.ai/api/paas/v4",
  baseUrlEnv: ["ZAI_BASE_URL"],
  keyEnv: ["ZAI_API_KEY", "ZHIPU_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    toolChoice: { required: "auto", none: "no_tools" },
    responseFormat: "schema_in_prompt",
    instead: [{ field: "temperature", value: 0, members: { do_sample: false } }],
    bounds: { top_p: [0.01, 0.99] },
    toolStream: { tool_stream: true },
    thinking: THINKING,
    replay: { as: "reasoning_content", turns: "all" },
    byModel: [{ models: /glm-(5\.[2-9]|[6-9])/, thinking: { ...THINKING, efforts: efforts("high", "max") } }],
    answers: "normalise",
    // Instants are those of Beijing.
    errors: { codes: CODES, words: [], clockAheadHours: 8 },
  }),
  authorize: bearer,
};

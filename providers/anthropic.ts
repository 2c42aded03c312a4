import type { Provider } from "../src/dialect.ts";
import { keyHeader } from "./auth.ts";
import { anthropicMessages } from "./dialects/anthropic-messages.ts";

export const anthropic: Provider = {
  id: "anthropic",
  name: "Anthropic",
  docs: "https://docs.anthropic.com/en/api/messages",
  // Without `/v1`, as in the vendor's SDKs: the dialect's path is `/v1/messages`.
  baseUrl: "https://api.anthropic.com",
  baseUrlEnv: ["ANTHROPIC_BASE_URL"],
  keyEnv: ["ANTHROPIC_API_KEY"],
  enabledBy: "key",
  dialect: anthropicMessages,
  // docs.anthropic.com/en/api/rate-limits: reads from the cache are free, `max_tokens` does not factor in.
  accounting: { cachedInput: "free", output: "actual" },
  authorize: keyHeader("x-api-key"),
};

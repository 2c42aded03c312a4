// Also self-hosted: NVIDIA_BASE_URL=http://host:8000/v1.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const nvidia: Provider = {
  id: "nvidia",
  name: "NVIDIA NIM",
  docs: "https://docs.api.nvidia.com/nim/reference/llm-apis",
  baseUrl: "https://integrate.api.nvidia.com/v1",
  baseUrlEnv: ["NVIDIA_BASE_URL"],
  keyEnv: ["NVIDIA_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens" }),
  authorize: bearer,
};

// A model id may end in `:provider`, `:fastest` or `:cheapest`.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const huggingface: Provider = {
  id: "huggingface",
  name: "Hugging Face Inference Providers",
  docs: "https://huggingface.co/docs/inference-providers",
  baseUrl: "https://router.huggingface.co/v1",
  baseUrlEnv: ["HUGGINGFACE_BASE_URL"],
  keyEnv: ["HF_TOKEN", "HUGGINGFACE_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens", answers: "normalise" }),
  authorize: bearer,
};

import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const baseten: Provider = {
  id: "baseten",
  name: "Baseten",
  docs: "https://docs.baseten.co/development/model-apis/overview",
  baseUrl: "https://inference.baseten.co/v1",
  baseUrlEnv: ["BASETEN_BASE_URL"],
  keyEnv: ["BASETEN_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({ outputLimitField: "max_tokens" }),
  authorize: bearer,
};

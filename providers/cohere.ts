// The native v2 chat, not the OpenAI-compatible endpoint.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { cohereChat } from "./dialects/cohere-chat.ts";

export const cohere: Provider = {
  id: "cohere",
  name: "Cohere",
  docs: "https://docs.cohere.com/reference/chat",
  baseUrl: "https://api.cohere.com",
  baseUrlEnv: ["COHERE_BASE_URL"],
  keyEnv: ["COHERE_API_KEY", "CO_API_KEY"],
  enabledBy: "key",
  dialect: cohereChat,
  authorize: bearer,
};

import type { Provider } from "../src/dialect.ts";
import { keyHeader } from "./auth.ts";
import { googleGenerate } from "./dialects/google-generate.ts";

export const google: Provider = {
  id: "google",
  name: "Google Gemini API",
  docs: "https://ai.google.dev/api/generate-content",
  baseUrl: "https://generativelanguage.googleapis.com/v1beta",
  baseUrlEnv: ["GEMINI_BASE_URL", "GOOGLE_BASE_URL"],
  keyEnv: ["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
  enabledBy: "key",
  dialect: googleGenerate,
  // Never as `?key=`: a URL ends up in logs.
  // ai.google.dev/gemini-api/docs/rate-limits: TPM is of input; days begin at midnight Pacific.
  accounting: { cachedInput: "counted", output: "none" },
  quotaZone: "America/Los_Angeles",
  authorize: keyHeader("x-goog-api-key"),
};

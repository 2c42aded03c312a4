// The same service and key as `bedrock`, by the protocol that serves every model of it: Claude, Nova, Llama, Mistral and
// the rest. `bedrock` reaches only the models Amazon offers under OpenAI's protocol, gpt-oss first of all, and gives those
// the fields of that protocol which Converse lacks (penalties, seed, one call at a time).
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { bedrockConverse as dialect } from "./dialects/bedrock-converse.ts";

export const bedrockConverse: Provider = {
  id: "bedrock-converse",
  name: "Amazon Bedrock (Converse)",
  docs: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: filled from the environment when the provider is enabled.
  baseUrl: "https://bedrock-runtime.${AWS_REGION}.amazonaws.com",
  baseUrlEnv: ["BEDROCK_CONVERSE_BASE_URL"],
  keyEnv: ["AWS_BEARER_TOKEN_BEDROCK"],
  enabledBy: "key",
  dialect,
  authorize: bearer,
};

// The v1 endpoint of Azure OpenAI: the model of a call is the name of a deployment.
import type { Provider } from "../src/dialect.ts";
import { keyHeader } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";

export const azure: Provider = {
  id: "azure",
  name: "Azure OpenAI",
  docs: "https://learn.microsoft.com/azure/ai-foundry/openai/latest",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: filled from the environment when the provider is enabled.
  baseUrl: "https://${AZURE_RESOURCE_NAME}.openai.azure.com/openai/v1",
  baseUrlEnv: ["AZURE_BASE_URL", "AZURE_OPENAI_BASE_URL"],
  keyEnv: ["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    developerRole: "keep",
  }),
  authorize: keyHeader("api-key"),
};

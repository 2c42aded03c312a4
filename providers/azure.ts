// Azure OpenAI: the model of a call is the name of a deployment. Base URLs of the older API, `…/openai/deployments` or
// `…/openai/deployments/<name>`, work as well.
import type { Provider } from "../src/dialect.ts";
import { keyHeader } from "./auth.ts";
import { openaiChat } from "./dialects/openai-chat.ts";
import { openaiModels } from "./openai.ts";

/** The last stable version of the older API. */
const API_VERSION = "2024-10-21";

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
    ...openaiModels,
    replay: { as: "reasoning_content", turns: "all", models: /deepseek/i },
    path: ({ provider, model }) => {
      const [, name] = /\/openai\/deployments(\/[^/]+)?$/.exec(provider.baseUrl) ?? [undefined, ""];
      if (name === "") return "/chat/completions";
      const deployment = name === undefined ? `/${encodeURIComponent(model)}` : "";
      return `${deployment}/chat/completions?api-version=${API_VERSION}`;
    },
  }),
  // learn.microsoft.com/azure/ai-foundry/openai/how-to/quota: `max_tokens` counts when a call is admitted.
  accounting: { cachedInput: "counted", output: "reserved" },
  authorize: keyHeader("api-key"),
};

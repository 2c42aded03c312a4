// The OpenAI-compatible endpoints of Amazon Bedrock, with a Bedrock API key. Which of two routes a model is on, only the
// endpoint knows. The other endpoint: BEDROCK_BASE_URL=https://bedrock-mantle.<region>.api.aws.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat } from "./dialects/openai-chat.ts";

export const bedrock: Provider = {
  id: "bedrock",
  name: "Amazon Bedrock (OpenAI-compatible)",
  docs: "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: filled from the environment when the provider is enabled.
  baseUrl: "https://bedrock-runtime.${AWS_REGION}.amazonaws.com",
  baseUrlEnv: ["BEDROCK_BASE_URL"],
  keyEnv: ["AWS_BEARER_TOKEN_BEDROCK"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_completion_tokens",
    developerRole: "keep",
    refuse: ["n"],
    thinking: { efforts: efforts("low", "medium", "high") },
    answers: "normalise",
    // gpt-oss writes its reasoning into the text.
    thinkTag: { tag: "reasoning" },
    path: ({ provider }, isOther) => {
      if (/\/v1$/.test(provider.baseUrl)) return "/chat/completions";
      return isOther ? "/v1/chat/completions" : "/openai/v1/chat/completions";
    },
  }),
  authorize: bearer,
};

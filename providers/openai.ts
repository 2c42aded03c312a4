// Reasoning models answer 400 to `max_tokens`; the others take both names.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, type OpenAiChatProfile, openaiChat, words } from "./dialects/openai-chat.ts";

/** What OpenAI's models take, whoever serves them. */
export const openaiModels: Partial<OpenAiChatProfile> = {
  outputLimitField: "max_completion_tokens",
  developerRole: "keep",
  callContent: "keep",
  keep: [],
  // Longer ids are refused, and others make longer ones (`chatcmpl-tool-…` of vLLM).
  toolCallId: { pattern: /^[\s\S]{1,40}$/, length: 24 },
  thinking: { efforts: efforts("none", "minimal", "low", "medium", "high", "xhigh", "max") },
  byModel: [
    {
      // From gpt-5.1 on it depends on the effort.
      models: /^(o\d|gpt-5(?!\.\d|-chat))/,
      drop: words("temperature top_p presence_penalty frequency_penalty logit_bias logprobs top_logprobs stop"),
    },
  ],
};

export const openai: Provider = {
  id: "openai",
  name: "OpenAI",
  docs: "https://platform.openai.com/docs/api-reference/chat",
  baseUrl: "https://api.openai.com/v1",
  baseUrlEnv: ["OPENAI_BASE_URL"],
  keyEnv: ["OPENAI_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat(openaiModels),
  // The bound counts when a call is admitted: platform.openai.com/docs/guides/rate-limits.
  accounting: { cachedInput: "counted", output: "reserved" },
  authorize: bearer,
};

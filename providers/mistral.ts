// Answers 422 `extra_forbidden` to any member it does not know; usage comes unasked.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { efforts, openaiChat, words } from "./dialects/openai-chat.ts";

export const mistral: Provider = {
  id: "mistral",
  name: "Mistral",
  docs: "https://docs.mistral.ai/api",
  baseUrl: "https://api.mistral.ai/v1",
  baseUrlEnv: ["MISTRAL_BASE_URL"],
  keyEnv: ["MISTRAL_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    streamUsage: false,
    accepts: words(
      "model messages stream max_tokens temperature top_p stop random_seed n tools tool_choice parallel_tool_calls " +
        "response_format presence_penalty frequency_penalty prediction prompt_mode reasoning_effort safe_prompt",
    ),
    rename: { seed: "random_seed" },
    empties: "strip",
    messageKeys: ["role", "content", "tool_calls", "tool_call_id", "prefix"],
    toolChoice: { required: "any" },
    toolParameters: "required",
    toolCallId: { pattern: /^[a-zA-Z0-9]{9}$/, length: 9 },
    prefixField: "prefix",
    echoesPrefix: true,
    thinking: {},
    byModel: [
      {
        models: /magistral|mistral-small-(2603|latest)|mistral-medium-(3[.-]5|2604|latest)/,
        thinking: { efforts: efforts("none", "high") },
        replay: { as: "thinking_parts", turns: "all" },
      },
    ],
    answers: "normalise",
    limits: { endsWithMinute: true, zeroIsNoAllowance: true },
  }),
  authorize: bearer,
};

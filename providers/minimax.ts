// Chinese platform: MINIMAX_BASE_URL=https://api.minimaxi.com/v1.
import type { Provider } from "../src/dialect.ts";
import { bearer } from "./auth.ts";
import { codes, openaiChat, words } from "./dialects/openai-chat.ts";

/** Of `base_resp`, which comes with status 200. */
const CODES = codes({
  rate_limited: "1002 1039",
  auth: "1004 2049",
  quota: "1008",
  content_filter: "1026 1027",
  invalid_request: "2013",
});

export const minimax: Provider = {
  id: "minimax",
  name: "MiniMax",
  docs: "https://platform.minimax.io/docs/api-reference/text-openai-api",
  baseUrl: "https://api.minimax.io/v1",
  baseUrlEnv: ["MINIMAX_BASE_URL"],
  keyEnv: ["MINIMAX_API_KEY"],
  enabledBy: "key",
  dialect: openaiChat({
    outputLimitField: "max_tokens",
    accepts: words(
      "model messages stream stream_options max_tokens temperature top_p tools tool_choice response_format thinking " +
        "reasoning_split mask_sensitive_info",
    ),
    refuse: ["n"],
    bounds: { temperature: [0.01, 1] },
    empties: "strip",
    messageKeys: ["role", "content", "name", "tool_calls", "tool_call_id"],
    systemMessages: "first",
    pastArguments: "object",
    toolParameters: "required",
    thinking: { on: { thinking: { type: "adaptive" } }, off: { thinking: { type: "disabled" } } },
    byModel: [
      {
        // The reasoning apart from the text, which then comes as snapshots; M3 refuses the switch.
        models: /MiniMax-M2/i,
        thinking: { on: { reasoning_split: true }, silent: { reasoning_split: true } },
        replay: { as: "reasoning_details", turns: "all" },
        snapshots: true,
      },
    ],
    answers: "normalise",
    thinkTag: { tag: "think" },
    errors: { codes: CODES, words: [] },
  }),
  authorize: bearer,
};

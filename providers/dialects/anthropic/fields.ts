// What becomes of each field of a Chat Completions request that has no counterpart here: kept quiet, reported, refused.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { ChatBody } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";
import type { Deviations } from "./deviations.ts";

/**
 * `mapped`: the encoder reads it · `ignored`: it cannot change the answer · otherwise values that are `noop` (OpenAI's
 * own defaults) go silently, and all others are dropped and reported or, when they change the answer's shape, refused.
 */
type Rule =
  | "mapped"
  | "ignored"
  | { noop: (value: unknown) => boolean; else: "dropped" | "unsupported_parameter" | "unsupported_value" };

const isZero = (value: unknown) => value === 0;
const isFalse = (value: unknown) => value === false;
const never = () => false;

const OPENAI_FIELDS = {
  model: "mapped",
  messages: "mapped",
  max_completion_tokens: "mapped",
  max_tokens: "mapped",
  temperature: "mapped",
  top_p: "mapped",
  stop: "mapped",
  tools: "mapped",
  functions: "mapped",
  tool_choice: "mapped",
  function_call: "mapped",
  parallel_tool_calls: "mapped",
  response_format: "mapped",
  reasoning_effort: "mapped",
  user: "mapped",
  safety_identifier: "mapped",
  service_tier: "mapped",
  stream: "mapped",
  web_search_options: "mapped",
  prompt_cache_options: "mapped",
  // The router tells usage itself; obfuscation padding has no meaning upstream.
  stream_options: "ignored",
  // Only `user_id` of it is read: Anthropic's `metadata` takes nothing else, so it is never spread.
  metadata: "ignored",
  prompt_cache_key: "ignored",
  prompt_cache_retention: "ignored",
  // Voice settings mean something with audio in `modalities` only, which is refused.
  audio: "ignored",
  n: { noop: (value) => value === 1, else: "unsupported_value" },
  logprobs: { noop: isFalse, else: "unsupported_parameter" },
  top_logprobs: { noop: isZero, else: "unsupported_parameter" },
  modalities: { noop: (value) => Array.isArray(value) && !value.includes("audio"), else: "unsupported_value" },
  moderation: { noop: never, else: "dropped" },
  seed: { noop: never, else: "dropped" },
  frequency_penalty: { noop: isZero, else: "dropped" },
  presence_penalty: { noop: isZero, else: "dropped" },
  logit_bias: { noop: (value) => isObject(value) && Object.keys(value).length === 0, else: "dropped" },
  store: { noop: isFalse, else: "dropped" },
  prediction: { noop: never, else: "dropped" },
  // Mapping it to `output_config.effort`, as one router does, would change how much the model thinks.
  verbosity: { noop: (value) => value === "medium", else: "dropped" },
} satisfies Record<keyof ChatCompletionCreateParamsBase, Rule>;

/** Fields of other dialects that clients of routers send, and fields only the router reads. */
const EXTENSIONS = {
  thinking: "mapped",
  reasoning: "mapped",
  output_config: "mapped",
  top_k: "mapped",
  cache_control: "mapped",
  usage: "ignored",
  provider: "ignored",
  models: "ignored",
  route: "ignored",
  transforms: "ignored",
  plugins: "ignored",
  session_id: "ignored",
} satisfies Record<string, Rule>;

const RULES = new Map<string, Rule>(Object.entries({ ...OPENAI_FIELDS, ...EXTENSIONS }));

/** Applies the rules to every field that is set; unknown ones are dropped and reported, never a 400. */
export function classifyFields(body: ChatBody, deviations: Deviations): void {
  for (const [field, value] of Object.entries(body)) {
    if (value === undefined || value === null) continue;
    const rule = RULES.get(field) ?? { noop: never, else: "dropped" };
    if (rule === "mapped" || rule === "ignored" || rule.noop(value)) continue;
    if (rule.else === "dropped" && !(field === "moderation" && blocks(value))) deviations.report("dropped", field);
    else {
      const code = rule.else === "dropped" ? "unsupported_parameter" : rule.else;
      deviations.refuse(code, field, `'${field}' with this value is not supported for this model.`);
    }
  }
}

/** A moderation policy that blocks is a guarantee the caller relies on; one that only scores is not. */
function blocks(moderation: unknown): boolean {
  const policy = isObject(moderation) && isObject(moderation.policy) ? moderation.policy : {};
  return [policy.input, policy.output].some((side) => isObject(side) && side.mode === "block");
}

// What becomes of every field of a request. A field of OpenAI's type that is missing here does not compile.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { ChatBody } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";
import type { Report } from "./report.ts";

/**
 * `mapped`: another module reads it · `ignored`: it cannot change the answer and is left out without a word · `dropped`:
 * reported, unless the value is the one that changes nothing (`noop`) or is empty.
 */
type FieldClass = "mapped" | "ignored" | "dropped" | { noop: unknown };

const OPENAI_FIELDS = {
  audio: "mapped",
  frequency_penalty: "mapped",
  function_call: "mapped",
  functions: "mapped",
  logit_bias: "dropped",
  logprobs: "mapped",
  max_completion_tokens: "mapped",
  max_tokens: "mapped",
  messages: "mapped",
  // Not Google's `labels`: those have other rules for characters.
  metadata: "ignored",
  modalities: "mapped",
  model: "mapped",
  moderation: "dropped",
  n: "mapped",
  parallel_tool_calls: "mapped",
  prediction: "dropped",
  presence_penalty: "mapped",
  prompt_cache_key: "ignored",
  prompt_cache_options: "ignored",
  prompt_cache_retention: "ignored",
  reasoning_effort: "mapped",
  response_format: "mapped",
  safety_identifier: "ignored",
  seed: "mapped",
  service_tier: "mapped",
  stop: "mapped",
  store: { noop: false },
  stream: "mapped",
  stream_options: "mapped",
  temperature: "mapped",
  tool_choice: "mapped",
  tools: "mapped",
  top_logprobs: "dropped",
  top_p: "mapped",
  user: "ignored",
  verbosity: { noop: "medium" },
  web_search_options: "mapped",
} satisfies Record<keyof ChatCompletionCreateParamsBase, FieldClass>;

const EXTENSION_FIELDS: Record<string, FieldClass> = {
  extra_body: "mapped",
  google: "mapped",
  reasoning: "mapped",
  thinking: "mapped",
  top_k: "mapped",
  // Read by the router itself (OpenRouter's request dialect).
  models: "ignored",
  plugins: "ignored",
  provider: "ignored",
  route: "ignored",
  session_id: "ignored",
  transforms: "ignored",
  usage: "ignored",
};

const CLASSES = new Map<string, FieldClass>(Object.entries({ ...OPENAI_FIELDS, ...EXTENSION_FIELDS }));

/** Reports what no other module looks at. Unknown fields never fail a request: clients send all sorts of things. */
export function reportFields(body: ChatBody, report: Report): void {
  for (const [field, value] of Object.entries(body)) {
    const known = CLASSES.get(field) ?? "dropped";
    if (known === "mapped" || known === "ignored" || isNothing(value)) continue;
    if (known !== "dropped" && known.noop === value) continue;
    if (field === "moderation" && blocks(value)) {
      report.unsupported(field, "unsupported_value", "This model cannot hold back what a moderation policy blocks.");
    } else report.dropped(field);
  }
}

function isNothing(value: unknown): boolean {
  if (value == null) return true;
  return (Array.isArray(value) && value.length === 0) || (isObject(value) && Object.keys(value).length === 0);
}

/** A policy that blocks is a guarantee the caller relies on; one that only scores is not. */
function blocks(moderation: unknown): boolean {
  const policy = isObject(moderation) && isObject(moderation.policy) ? moderation.policy : {};
  return [policy.input, policy.output].some((side) => isObject(side) && side.mode === "block");
}

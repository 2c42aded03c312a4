// What becomes of every field of a request. A field of OpenAI's type that is missing here does not compile.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { ChatBody } from "../../../src/chat.ts";
import type { FieldClass } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { type Report, ROUTER_FIELDS } from "../report.ts";

const mapped: FieldClass = { class: "mapped" };
const silent: FieldClass = { class: "silent" };
const dropped: FieldClass = { class: "dropped" };

const OPENAI_FIELDS = {
  audio: { class: "mapped", note: "models that speak; refused for others" },
  frequency_penalty: { class: "mapped", note: "dropped where the model has no penalties" },
  function_call: mapped,
  functions: mapped,
  logit_bias: dropped,
  logprobs: { class: "mapped", note: "dropped where the model does not tell them" },
  max_completion_tokens: mapped,
  max_tokens: mapped,
  messages: mapped,
  metadata: { class: "silent", note: "not Google's `labels`: those have other rules for characters" },
  modalities: { class: "mapped", note: "refused where the model has only text" },
  model: mapped,
  moderation: { class: "dropped", note: "refused when its policy blocks" },
  n: { class: "mapped", note: "refused above 1 where the model gives one answer only" },
  parallel_tool_calls: { class: "mapped", note: "`true` is what happens anyway, `false` is dropped" },
  prediction: dropped,
  presence_penalty: { class: "mapped", note: "dropped where the model has no penalties" },
  prompt_cache_key: silent,
  prompt_cache_options: silent,
  prompt_cache_retention: silent,
  reasoning_effort: { class: "mapped", note: "clamped to the levels or the budget of the model" },
  response_format: { class: "mapped", note: "in words where the model has no JSON mode beside tools" },
  safety_identifier: silent,
  seed: { class: "mapped", note: "32 bits" },
  service_tier: { class: "mapped", note: "flex, priority and standard; others are dropped" },
  stop: { class: "mapped", note: "at most 5 sequences" },
  store: dropped,
  stream: mapped,
  stream_options: mapped,
  temperature: { class: "mapped", note: "dropped where the model ignores it" },
  tool_choice: mapped,
  tools: mapped,
  top_logprobs: { class: "mapped", note: "dropped with `logprobs`" },
  top_p: { class: "mapped", note: "dropped where the model ignores it" },
  user: silent,
  verbosity: dropped,
  web_search_options: { class: "mapped", note: "Google Search; its members are dropped" },
} satisfies Record<keyof ChatCompletionCreateParamsBase, FieldClass>;

/** Every known field of a request; unknown ones are dropped and reported. */
export const FIELDS: Readonly<Record<string, FieldClass>> = {
  ...OPENAI_FIELDS,
  extra_body: { class: "mapped", note: "its member `google` only" },
  google: { class: "mapped", note: "Google's own settings; an unknown one is refused" },
  reasoning: mapped,
  thinking: mapped,
  top_k: { class: "mapped", note: "dropped where the model ignores it" },
  ...Object.fromEntries(ROUTER_FIELDS.map((field) => [field, silent])),
};

const CLASSES = new Map(Object.entries(FIELDS));

/** Values that change nothing go without a word. */
const NO_OP = new Map<string, unknown>([
  ["store", false],
  ["verbosity", "medium"],
]);

/** Reports what no other module looks at. Unknown fields never fail a request: clients send all sorts of things. */
export function reportFields(body: ChatBody, report: Report): void {
  for (const [field, value] of Object.entries(body)) {
    const isDropped = (CLASSES.get(field) ?? dropped).class === "dropped";
    if (!isDropped || isNothing(value) || (NO_OP.has(field) && NO_OP.get(field) === value)) continue;
    if (field === "moderation" && blocks(value)) {
      report.refuse("unsupported_value", field, "This model cannot hold back what a moderation policy blocks.");
    } else report.note("dropped", field);
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

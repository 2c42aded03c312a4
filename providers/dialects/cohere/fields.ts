// What becomes of every field of a request. A field of OpenAI's type that is missing here does not compile.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { ChatBody } from "../../../src/chat.ts";
import type { FieldClass } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { type Report, ROUTER_FIELDS } from "../report.ts";
import { NATIVE_FIELDS } from "./settings.ts";

const mapped: FieldClass = { class: "mapped" };
const silent: FieldClass = { class: "silent" };
const dropped: FieldClass = { class: "dropped" };

const OPENAI_FIELDS = {
  audio: { class: "refused" },
  frequency_penalty: { class: "mapped", note: "kept within 0 and 1" },
  function_call: mapped,
  functions: mapped,
  logit_bias: dropped,
  logprobs: mapped,
  max_completion_tokens: { class: "mapped", note: "sent as max_tokens" },
  max_tokens: mapped,
  messages: mapped,
  metadata: silent,
  modalities: { class: "refused", note: "unless it is text" },
  model: mapped,
  moderation: { class: "dropped", note: "refused when its policy blocks" },
  n: { class: "refused", note: "above 1" },
  parallel_tool_calls: { class: "mapped", note: "`true` is what happens anyway, `false` is dropped" },
  prediction: dropped,
  presence_penalty: { class: "mapped", note: "kept within 0 and 1" },
  prompt_cache_key: silent,
  prompt_cache_options: silent,
  prompt_cache_retention: silent,
  reasoning_effort: { class: "mapped", note: "as a budget; without a bound from `high` on" },
  response_format: { class: "mapped", note: "in words beside tools" },
  safety_identifier: silent,
  seed: mapped,
  service_tier: dropped,
  stop: { class: "mapped", note: "at most 5 sequences" },
  store: dropped,
  stream: mapped,
  stream_options: { class: "silent", note: "usage is always told" },
  temperature: { class: "mapped", note: "kept within 0 and 1" },
  tool_choice: { class: "mapped", note: "a named tool is asked for by leaving out the others" },
  tools: { class: "mapped", note: "functions only; `strict` when all of them are" },
  top_logprobs: { class: "dropped", note: "only the chosen tokens are told" },
  top_p: { class: "mapped", note: "sent as p, kept within 0.01 and 0.99" },
  user: silent,
  verbosity: dropped,
  web_search_options: dropped,
} satisfies Record<keyof ChatCompletionCreateParamsBase, FieldClass>;

/** Every known field of a request; unknown ones are dropped and reported. */
export const FIELDS: Readonly<Record<string, FieldClass>> = {
  ...OPENAI_FIELDS,
  reasoning: mapped,
  thinking: mapped,
  top_k: { class: "mapped", note: "sent as k" },
  ...Object.fromEntries(NATIVE_FIELDS.map((field) => [field, { class: "mapped", note: "Cohere's own" }])),
  ...Object.fromEntries(ROUTER_FIELDS.map((field) => [field, silent])),
};

const CLASSES = new Map(Object.entries(FIELDS));

/** Values that change nothing go without a word. */
const NO_OPS: readonly (readonly [field: string, value: unknown])[] = [
  ["service_tier", "auto"],
  ["service_tier", "default"],
  ["store", false],
  ["top_logprobs", 0],
  ["verbosity", "medium"],
];

/** Reports what no other module looks at. Unknown fields never fail a request: clients send all sorts of things. */
export function reportFields(body: ChatBody, report: Report): void {
  for (const [field, value] of Object.entries(body)) {
    const isDropped = (CLASSES.get(field) ?? dropped).class === "dropped";
    const isNoOp = NO_OPS.some(([name, noop]) => name === field && noop === value);
    // An empty wish for a web search is one.
    if (!isDropped || isNoOp || (isNothing(value) && !(field === "web_search_options" && isObject(value)))) continue;
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

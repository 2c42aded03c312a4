// What becomes of each field of a Chat Completions request: translated elsewhere, kept quiet, reported or refused.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { ChatBody } from "../../../src/chat.ts";
import type { FieldClass } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { type Report, ROUTER_FIELDS } from "../report.ts";

/** Values that are `isNoop` (OpenAI's own defaults) go without a word. `code` is what a refusal says. */
interface Rule extends FieldClass {
  isNoop?: (value: unknown) => boolean;
  code?: "unsupported_parameter" | "unsupported_value";
}

const mapped = (note?: string): Rule => (note === undefined ? { class: "mapped" } : { class: "mapped", note });
const silent = (note: string): Rule => ({ class: "silent", note });
const dropped = (isNoop?: Rule["isNoop"], note?: string): Rule => ({
  class: "dropped",
  ...(isNoop === undefined ? {} : { isNoop }),
  ...(note === undefined ? {} : { note }),
});
const refused = (code: NonNullable<Rule["code"]>, isNoop: NonNullable<Rule["isNoop"]>, note: string): Rule => ({
  class: "refused",
  code,
  isNoop,
  note,
});
const equals = (noop: unknown) => (value: unknown) => value === noop;
const isEmpty = (value: unknown) => isObject(value) && Object.keys(value).length === 0;
const isTextOnly = (value: unknown) => Array.isArray(value) && !value.includes("audio");

const OPENAI_FIELDS = {
  model: mapped(),
  messages: mapped(),
  max_completion_tokens: mapped("`max_tokens`; absent: the maximum of the model; above it: cut to it"),
  max_tokens: mapped("`max_completion_tokens` wins over it"),
  temperature: mapped("above 1: cut to 1; dropped on models without sampling and while thinking"),
  top_p: mapped("dropped on models without sampling, and beside a temperature on those that take one of them"),
  stop: mapped("`stop_sequences`, without entries that are blank"),
  tools: mapped("function and custom tools; a custom tool with a grammar is refused"),
  functions: mapped(),
  tool_choice: mapped("asked for in words on models that cannot be forced"),
  function_call: mapped(),
  parallel_tool_calls: mapped("`tool_choice.disable_parallel_tool_use`"),
  response_format: mapped("schemas natively, as a tool, or in words; JSON mode in words"),
  reasoning_effort: mapped("`thinking` and `output_config.effort`"),
  user: mapped("`metadata.user_id`; hashed when it looks personal"),
  safety_identifier: mapped("`metadata.user_id`; wins over `user`"),
  service_tier: mapped("`default` and, where the model has it, `fast`; other tiers are dropped"),
  stream: mapped(),
  web_search_options: mapped("the provider's web search tool"),
  prompt_cache_options: mapped("`implicit` caching only"),
  stream_options: silent("the router tells usage itself"),
  metadata: silent("OpenAI stores it; only its `user_id` is read, never the rest"),
  prompt_cache_key: silent("caches need no key here"),
  prompt_cache_retention: silent("no equal; `cache_control` has a `ttl`"),
  audio: silent("means something with audio among `modalities` only, which is refused"),
  n: refused("unsupported_value", equals(1), "one choice per answer"),
  logprobs: refused("unsupported_parameter", equals(false), "not told by this API"),
  top_logprobs: refused("unsupported_parameter", equals(0), "not told by this API"),
  modalities: refused("unsupported_value", isTextOnly, "text only"),
  moderation: dropped(undefined, "a policy that blocks is refused"),
  seed: dropped(),
  frequency_penalty: dropped(equals(0)),
  presence_penalty: dropped(equals(0)),
  logit_bias: dropped(isEmpty),
  store: dropped(equals(false)),
  prediction: dropped(),
  verbosity: dropped(equals("medium"), "not an effort: that would change how much the model thinks"),
} satisfies Record<keyof ChatCompletionCreateParamsBase, Rule>;

/** Fields of other dialects that clients of routers send, and fields only the router reads. */
const EXTENSIONS: Record<string, Rule> = {
  thinking: mapped("Anthropic's own object; wins over `reasoning` and `reasoning_effort`"),
  reasoning: mapped("OpenRouter's object: effort, max_tokens, enabled, exclude"),
  output_config: mapped("Anthropic's own object: effort, format"),
  top_k: mapped("dropped on models without sampling and while thinking"),
  cache_control: mapped("automatic caching; also on messages, parts and tools"),
  betas: mapped("names for the header anthropic-beta, from a list"),
  content_blocks: mapped(
    "true: the answer's message carries Anthropic's own blocks as `content_blocks`, to be sent back",
  ),
  ...Object.fromEntries(ROUTER_FIELDS.map((field) => [field, silent("read by the router alone")])),
};

const RULES = new Map<string, Rule>(Object.entries({ ...OPENAI_FIELDS, ...EXTENSIONS }));

export const FIELD_CLASSES: Readonly<Record<string, FieldClass>> = Object.fromEntries(
  [...RULES].map(([field, { class: kind, note }]) => [field, { class: kind, ...(note === undefined ? {} : { note }) }]),
);

/** Applies the rules to every field that is set; unknown ones are dropped and reported, never a 400. */
export function classifyFields(body: ChatBody, report: Report): void {
  for (const [field, value] of Object.entries(body)) {
    if (value === undefined || value === null) continue;
    const rule = RULES.get(field) ?? dropped();
    if (rule.class === "mapped" || rule.class === "silent" || rule.isNoop?.(value)) continue;
    const code = field === "moderation" && blocks(value) ? "unsupported_parameter" : rule.code;
    if (code === undefined) report.note("dropped", field);
    else report.refuseField(code, field, value);
  }
}

/** A moderation policy that blocks is a guarantee the caller relies on; one that only scores is not. */
function blocks(moderation: unknown): boolean {
  const policy = isObject(moderation) && isObject(moderation.policy) ? moderation.policy : {};
  return [policy.input, policy.output].some((side) => isObject(side) && side.mode === "block");
}

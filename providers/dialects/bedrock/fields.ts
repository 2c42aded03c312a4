// What becomes of each field of a Chat Completions request: translated elsewhere, kept quiet, reported or refused.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { ChatBody } from "../../../src/chat.ts";
import type { FieldClass } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { type Report, ROUTER_FIELDS } from "../report.ts";

/** Values that are `isNoop` (OpenAI's own defaults) go without a word. */
interface Rule extends FieldClass {
  isNoop?: (value: unknown) => boolean;
}

const mapped = (note?: string): Rule => ({ class: "mapped", ...(note === undefined ? {} : { note }) });
const silent = (note: string): Rule => ({ class: "silent", note });
const dropped = (isNoop?: Rule["isNoop"], note?: string): Rule => ({
  class: "dropped",
  ...(isNoop === undefined ? {} : { isNoop }),
  ...(note === undefined ? {} : { note }),
});
const refused = (isNoop: NonNullable<Rule["isNoop"]>, note: string): Rule => ({ class: "refused", isNoop, note });
const equals = (noop: unknown) => (value: unknown) => value === noop;
const isEmpty = (value: unknown) => isObject(value) && Object.keys(value).length === 0;
const isTextOnly = (value: unknown) => Array.isArray(value) && !value.includes("audio");

const OPENAI_FIELDS = {
  model: mapped("in the path"),
  messages: mapped(),
  max_completion_tokens: mapped("`inferenceConfig.maxTokens`; above the maximum of the model: cut to it"),
  max_tokens: mapped("`max_completion_tokens` wins over it"),
  temperature: mapped("above 1: cut to 1; dropped on models without sampling and while thinking"),
  top_p: mapped("dropped on models without sampling, and beside a temperature on those that take one of them"),
  stop: mapped("`stopSequences`, without entries that are blank"),
  tools: mapped("function and custom tools; `strict` is dropped; a custom tool with a grammar is refused"),
  functions: mapped(),
  tool_choice: mapped("`none` leaves the tools out; asked for in words on models that cannot be forced"),
  function_call: mapped(),
  parallel_tool_calls: mapped("cannot be turned off: `false` is dropped"),
  response_format: mapped("schemas natively on Claude, as a tool elsewhere; JSON mode in words"),
  reasoning_effort: mapped("each model's own fields; dropped where it has none"),
  service_tier: mapped("`default`, `flex` and `priority`; other tiers are dropped"),
  stream: mapped(),
  prompt_cache_options: mapped("`implicit` caching only"),
  stream_options: silent("usage is always told"),
  metadata: silent("OpenAI stores it"),
  user: silent("nothing here tells one user from another"),
  safety_identifier: silent("nothing here tells one user from another"),
  prompt_cache_key: silent("caches need no key here"),
  prompt_cache_retention: silent("no equal"),
  audio: silent("means something with audio among `modalities` only, which is refused"),
  n: dropped(equals(1), "one choice per answer"),
  logprobs: dropped(equals(false)),
  top_logprobs: dropped(equals(0)),
  modalities: refused(isTextOnly, "text only"),
  moderation: dropped(undefined, "a policy that blocks is refused; `guardrailConfig` is this API's own"),
  seed: dropped(),
  frequency_penalty: dropped(equals(0)),
  presence_penalty: dropped(equals(0)),
  logit_bias: dropped(isEmpty),
  store: dropped(equals(false)),
  prediction: dropped(),
  verbosity: dropped(equals("medium")),
  web_search_options: dropped(),
} satisfies Record<keyof ChatCompletionCreateParamsBase, Rule>;

/** Fields of other dialects that clients of routers send, and fields only the router reads. */
const EXTENSIONS: Record<string, Rule> = {
  thinking: mapped("Anthropic's own object, for Claude; wins over `reasoning` and `reasoning_effort`"),
  reasoning: mapped("OpenRouter's object: effort, max_tokens, enabled, exclude"),
  output_config: mapped("Anthropic's own object, for Claude: effort, format"),
  top_k: mapped("under the model's own name for it; dropped where it has none"),
  cache_control: mapped(
    "a cache point at the end; also on messages, parts and tools; other models than Claude and Nova get none",
  ),
  guardrailConfig: mapped("Converse's own object, sent as it is"),
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
    const isRefused = rule.class === "refused" || (field === "moderation" && blocks(value));
    if (!isRefused) report.note("dropped", field);
    else report.refuseField("unsupported_value", field, value);
  }
}

/** A moderation policy that blocks is a guarantee the caller relies on; one that only scores is not. */
function blocks(moderation: unknown): boolean {
  const policy = isObject(moderation) && isObject(moderation.policy) ? moderation.policy : {};
  return [policy.input, policy.output].some((side) => isObject(side) && side.mode === "block");
}

// What becomes of every field of a request. A field of OpenAI's type that is missing here does not compile.
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions";
import type { FieldClass } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { ROUTER_FIELDS } from "../report.ts";
import type { OpenAiChatProfile, ThinkingSwitch } from "./profile.ts";

/** `noop`: OpenAI's default, whose loss changes nothing. `isSilent`: it cannot change the answer, whatever its value. */
interface Field {
  noop?: unknown;
  isSilent?: true;
}

const FIELDS = {
  audio: {},
  frequency_penalty: { noop: 0 },
  function_call: {},
  functions: {},
  logit_bias: {},
  logprobs: { noop: false },
  max_completion_tokens: {},
  max_tokens: {},
  messages: {},
  metadata: { isSilent: true },
  modalities: { noop: ["text"] },
  model: {},
  moderation: {},
  n: { noop: 1 },
  parallel_tool_calls: { noop: true },
  prediction: {},
  presence_penalty: { noop: 0 },
  prompt_cache_key: { isSilent: true },
  prompt_cache_options: { isSilent: true },
  prompt_cache_retention: { isSilent: true },
  reasoning_effort: {},
  response_format: { noop: { type: "text" } },
  safety_identifier: { isSilent: true },
  seed: {},
  service_tier: { noop: "auto" },
  stop: {},
  store: { noop: false },
  stream: { noop: false },
  stream_options: { isSilent: true },
  temperature: { noop: 1 },
  tool_choice: { noop: "auto" },
  tools: {},
  top_logprobs: { noop: 0 },
  top_p: { noop: 1 },
  user: { isSilent: true },
  verbosity: { noop: "medium" },
  web_search_options: {},
} satisfies Record<keyof ChatCompletionCreateParamsBase, Field>;

const KNOWN = new Map<string, Field>(Object.entries(FIELDS));

/** Whether leaving the field out loses nothing worth a report. */
export function isNoLoss(field: string, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  const known = KNOWN.get(field);
  if (known?.isSilent) return true;
  if (isObject(value) && Object.keys(value).length === 0) return true;
  if (Array.isArray(value) && value.length === 0) return true;
  return known?.noop !== undefined && JSON.stringify(known.noop) === JSON.stringify(value);
}

/** The table of one provider, for its documentation and the tests. */
export function fieldsOf(profile: OpenAiChatProfile): Readonly<Record<string, FieldClass>> {
  const openai = [...KNOWN].map(([field, known]) => [
    field,
    withModels(profile, field, classOf(profile, field, known)),
  ]);
  const router = ROUTER_FIELDS.map((field) => [field, { class: "silent", note: "read by the router" }]);
  return Object.fromEntries([...openai, ...router]);
}

function classOf(profile: OpenAiChatProfile, field: string, known: Field): FieldClass {
  if (profile.refuse.includes(field)) return { class: "refused" };
  const special = SPECIAL[field]?.(profile);
  if (special !== undefined) return special;
  if (!isTaken(profile, field)) return { class: known.isSilent ? "silent" : "dropped" };
  const bounds = profile.bounds[field];
  if (bounds !== undefined) return { class: "mapped", note: `kept within ${bounds[0]} and ${bounds[1]}` };
  const renamed = profile.rename[field];
  return renamed === undefined ? { class: "mapped" } : { class: "mapped", note: `sent as ${renamed}` };
}

/** After renaming, as the provider sees it. */
export function isTaken({ drop, accepts, rename }: OpenAiChatProfile, field: string): boolean {
  return !drop.includes(field) && (accepts?.includes(rename[field] ?? field) ?? true);
}

/** Fields that more than their name decides about; `undefined`: the general rule holds. */
const SPECIAL: Record<string, (profile: OpenAiChatProfile) => FieldClass | undefined> = {
  max_tokens: outputLimit,
  max_completion_tokens: outputLimit,
  messages: (profile) => ({ class: rebuildsTurns(profile) ? "repaired" : "mapped" }),
  reasoning_effort: ({ thinking, byModel }) => {
    if (thinking === undefined) return undefined;
    if (!isMute(thinking)) return { class: "mapped", note: "levels are clamped" };
    const isForSome = byModel.some((changes) => changes.thinking !== undefined && !isMute(changes.thinking));
    return isForSome
      ? { class: "mapped", note: "for models with levels or a switch; others drop it" }
      : { class: "dropped" };
  },
  logprobs: ({ logprobs }) => (logprobs === "count" ? { class: "mapped", note: "sent as a number" } : undefined),
  top_logprobs: ({ logprobs }) => (logprobs === "count" ? { class: "mapped", note: "sent as logprobs" } : undefined),
  stream_options: ({ streamUsage }) => (streamUsage ? { class: "mapped" } : { class: "silent" }),
};

function isMute(thinking: ThinkingSwitch): boolean {
  return Object.keys(thinking).length === 0;
}

function outputLimit({ outputLimitField }: OpenAiChatProfile): FieldClass {
  return outputLimitField === "as_sent"
    ? { class: "mapped" }
    : { class: "mapped", note: `sent as ${outputLimitField}` };
}

function rebuildsTurns({ systemMessages, alternates, emptyTurns, pastArguments }: OpenAiChatProfile): boolean {
  return systemMessages === "first" || alternates || emptyTurns === "drop" || pastArguments === "object";
}

function withModels({ byModel }: OpenAiChatProfile, field: string, found: FieldClass): FieldClass {
  const others = byModel.filter(({ drop, refuse }) => drop?.includes(field) || refuse?.includes(field));
  if (others.length === 0 || found.class !== "mapped") return found;
  return { ...found, note: "not taken by some models" };
}

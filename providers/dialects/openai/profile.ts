// How providers that speak Chat Completions depart from OpenAI: the vocabulary of their profiles, all of it data.
import type { ErrorKind, JsonObject } from "../../../src/chat.ts";
import type { Call, Target } from "../../../src/dialect.ts";
import type { LimitHeaders } from "./limits.ts";

export interface OpenAiChatProfile {
  // ——— The request
  /** Name of the output limit; the caller's `max_tokens` / `max_completion_tokens` is renamed to it. */
  outputLimitField: "max_tokens" | "max_completion_tokens" | "as_sent";
  /** Knows `stream_options.include_usage`. Without it most providers report no usage for streams. */
  streamUsage: boolean;
  /** Fields the provider does not take: left out and reported, unless they cannot change the answer. */
  drop: readonly string[];
  /** Fields that cannot be left out without changing the shape of the answer: another candidate has to do it. */
  refuse: readonly string[];
  /** The only fields the provider takes (it answers 4xx to others); absent: it takes what it does not know. */
  accepts?: readonly string[];
  /** Other names for fields: `{ seed: "random_seed" }`. */
  rename: Readonly<Record<string, string>>;
  /** `null` and empty lists. */
  empties: "keep" | "strip";
  /** Ranges narrower than OpenAI's, inclusive. */
  bounds: Readonly<Record<string, readonly [min: number, max: number]>>;
  /** Values that are said in another way: `temperature: 0` as `do_sample: false`. */
  instead: readonly { field: string; value: unknown; members: JsonObject }[];
  /** `count`: `logprobs` is how many of them are told per token, a number instead of a flag. */
  logprobs: "flag" | "count";
  /** Members for streams with tools. */
  toolStream?: JsonObject;
  /** How the amount of thinking is set; absent: fields about it go through as the caller sent them. */
  thinking?: ThinkingSwitch;
  responseFormat: ResponseFormat;
  toolChoice?: ToolChoice;
  /** `required`: a tool without parameters gets those of an empty object. */
  toolParameters: "as_sent" | "required";
  /** `mfjs`: Moonshot's subset of JSON schema, see schema-subset.ts. */
  toolSchema: "as_sent" | "mfjs";

  // ——— Its messages
  developerRole: "keep" | "system";
  /** The only members the provider takes in messages; absent: all but those our own answers add. */
  messageKeys?: readonly string[];
  /** Members our answers add to messages that this provider wants back, whatever else happens to reasoning. */
  keep: readonly string[];
  replay?: Replay;
  /** `content` of an assistant turn with tool calls and no text. */
  callContent: "keep" | "null";
  /** `flat`: content arrays that hold nothing but text become a string. */
  textParts: "keep" | "flat";
  /** `first`: system messages are merged into one, at the start. */
  systemMessages: "keep" | "first";
  /** Neighbours of the same role are merged. */
  alternates: boolean;
  /** `drop`: assistant turns that hold nothing (any more) are left out. */
  emptyTurns: "keep" | "drop";
  /** Ids of tool calls that do not match become hex digits of their hash, the same for call and answer. */
  toolCallId?: { pattern: RegExp; length: number };
  /** `refuse`: a history with tool calls, or with their results, cannot be told here. */
  pastCalls: "keep" | "refuse";
  /** `object`: arguments in the history that are no JSON object are wrapped in one. */
  pastArguments: "keep" | "object";
  /** `data`: images must come inline, so the router fetches them. */
  images: "url" | "data";
  /** Member that marks a last message of the assistant as the beginning of the answer. */
  prefixField?: string;

  // ——— The answer
  /** `relay`: what comes is what OpenAI's clients expect. `normalise`: it is rendered anew from its events. */
  answers: "relay" | "normalise";
  /** The answer may begin by repeating the assistant message the request ended with. */
  echoesPrefix: boolean;
  /** Every delta repeats the whole text so far. */
  snapshots: boolean;
  /** Reasoning comes in the text, in `<tag>…</tag>` at its start. */
  thinkTag?: { tag: string; isOpen?: boolean };
  /** Answers to a `json_schema` may repeat it as tool calls nobody asked for. */
  jsonAsCalls: boolean;
  /** Tells `citations` (URLs) and `search_results` beside the choices. */
  citations: boolean;
  /** Members of the answer that are passed on although they have no neutral meaning. */
  extras: readonly string[];
  /** The same for members of a choice, and for members of its message: lists come piece by piece and are told whole. */
  choiceExtras: readonly string[];
  messageExtras: readonly string[];
  usage: UsageQuirks;

  // ——— Failures and limits
  errors: ErrorQuirks;
  limits: LimitHeaders;
  /** Path below the base URL. `isOther`: the first was answered "not supported on this route". */
  path(target: Target, isOther: boolean): string;

  /** What is different for some models: every entry that matches is laid over the profile, `drop` and `refuse` add up. */
  byModel: readonly ({ models: RegExp } & Partial<Omit<OpenAiChatProfile, "byModel">>)[];
}

export const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;
export type Effort = (typeof EFFORTS)[number];

/**
 * What the caller's wish (`reasoning_effort`, OpenRouter's `reasoning`, Anthropic's `thinking`) becomes. A caller who sends
 * the provider's own members is left alone. An empty object: the wish cannot be expressed, it is dropped and reported.
 */
export interface ThinkingSwitch {
  /** Members that turn thinking on and off; without `off` it cannot be turned off. */
  on?: JsonObject;
  off?: JsonObject;
  /** Levels `reasoning_effort` takes, with the provider's word where it differs. Others go to the next stronger one. */
  efforts?: Partial<Record<Effort, string>>;
  /** Member that takes a number of tokens: a share of `tokens`. */
  budget?: { field: string; tokens: number };
  /** Members for callers who wish nothing (and do not stream, where it thinks in streams only). */
  silent?: JsonObject;
  /** Thinks in streams only: a caller who wants the answer whole gets a collected stream. */
  streamsOnly?: true;
}

/** Levels that are sent as they are. */
export function efforts(...levels: Effort[]): Partial<Record<Effort, string>> {
  return Object.fromEntries(levels.map((level) => [level, level]));
}

/** A list of names, written as one text. */
export function words(text: string): string[] {
  return text.split(" ");
}

/** A provider's own codes by what they mean: `{ auth: "1000 1001" }`. */
export function codes(meanings: { [kind in ErrorKind]?: string }): Record<string, ErrorKind> {
  const entries = Object.entries(meanings) as [ErrorKind, string][];
  return Object.fromEntries(entries.flatMap(([kind, text]) => words(text).map((code) => [code, kind])));
}

/** How reasoning of earlier turns goes back. */
export interface Replay {
  as: "reasoning_content" | "reasoning" | "both" | "reasoning_details" | "thinking_parts";
  turns: "all" | "tool_calls";
  /** What is sent where nobody knows the reasoning; absent: nothing. */
  otherwise?: string;
  /** The provider insists, so it is kept by tool call for callers that drop it. */
  remembers?: true;
  /** Models this is about, unless the catalogue says (`reasoningReplay`); absent: all. */
  models?: RegExp;
  /** It is about other models as well, while a request turns their thinking on. */
  whenOn?: true;
}

/**
 * `schema_in_prompt`: knows `json_object` only. `schema_only`: knows `json_schema` only. `bare_schema`: likewise, and
 * takes nothing but the schema in it.
 */
export type ResponseFormat = "keep" | "schema_in_prompt" | "schema_only" | "bare_schema";

export interface ToolChoice {
  /** The word for "some tool"; `auto` is a downgrade. */
  required: "required" | "any" | "auto";
  /** Does not know `none`: the tools are left out instead. */
  none?: "no_tools";
}

export interface UsageQuirks {
  /** Reasoning is not counted in `completion_tokens`: never, or not where it is larger. */
  reasoningApart?: "always" | "when_larger";
  /** Cached tokens are not counted in `prompt_tokens` where they are more. */
  cachedApart?: true;
  /** Members that are passed on although they count no tokens: what the provider charged. */
  extras?: readonly string[];
  /** Where `usage` says what the call was charged. */
  charged?: Charged;
}

export interface Charged {
  path: readonly string[];
  /** A tick is 10⁻¹⁰ dollars. */
  unit: "usd" | "usd_ticks";
  /** Where the member `when` is true, another provider charges the operator at `path` too. */
  elsewhere?: { when: string; path: readonly string[] };
}

export interface ErrorQuirks {
  /** The provider's own codes (numbers as text) and types. */
  codes: Readonly<Record<string, ErrorKind>>;
  /** Sentences that tell the kind where code and status do not. */
  words: readonly (readonly [RegExp, ErrorKind])[];
  /** `Your limit will reset at 2026-10-05 12:12:52`: hours of that clock ahead of UTC. */
  clockAheadHours?: number;
}

export const DEFAULT_PROFILE: OpenAiChatProfile = {
  outputLimitField: "as_sent",
  streamUsage: true,
  drop: [],
  refuse: [],
  rename: {},
  empties: "keep",
  bounds: {},
  instead: [],
  logprobs: "flag",
  responseFormat: "keep",
  toolParameters: "as_sent",
  toolSchema: "as_sent",
  developerRole: "system",
  // Read by many compatible servers, ignored by most others.
  keep: ["cache_control"],
  callContent: "null",
  textParts: "keep",
  systemMessages: "keep",
  alternates: false,
  emptyTurns: "keep",
  pastCalls: "keep",
  pastArguments: "keep",
  images: "url",
  answers: "relay",
  echoesPrefix: false,
  snapshots: false,
  jsonAsCalls: false,
  citations: false,
  extras: ["service_tier", "system_fingerprint"],
  choiceExtras: [],
  messageExtras: [],
  usage: {},
  errors: { codes: {}, words: [] },
  limits: {},
  path: () => "/chat/completions",
  byModel: [],
};

/** The profile for one model. The usual case allocates nothing. */
export function forModel(profile: OpenAiChatProfile, model: string): OpenAiChatProfile {
  let merged = profile;
  for (const { models, ...changes } of profile.byModel) {
    if (!models.test(model)) continue;
    const drop = [...merged.drop, ...(changes.drop ?? [])];
    const refuse = [...merged.refuse, ...(changes.refuse ?? [])];
    merged = { ...merged, ...changes, drop, refuse };
  }
  return merged;
}

/** Whether the caller gets the provider's own bytes. */
export function isRelayed({ request }: Call, { answers }: OpenAiChatProfile): boolean {
  return answers === "relay" && request.dialect === "openai-chat";
}

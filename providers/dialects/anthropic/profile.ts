// What each Claude model accepts, as data: limits, sampling, thinking, forced tools, prefill, structured outputs.
// Taken in November 2026 from the vendor's model overview and from the error texts named at the fields.
import type { Target } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";

export type Effort = "low" | "medium" | "high" | "xhigh" | "max";

/** Weakest first: a level a model lacks becomes the nearest lower one. */
export const EFFORTS: readonly Effort[] = ["low", "medium", "high", "xhigh", "max"];

/**
 * How thinking is asked for:
 * `none`: never · `manual`: `enabled` with a budget, off unless asked · `optional`: `adaptive`, off unless asked ·
 * `default_on`: `adaptive`, can be `disabled` · `between_tools`: `adaptive`, at the least `between_tools` ·
 * `always_on`: `adaptive` only.
 */
type ThinkingClass = "none" | "manual" | "optional" | "default_on" | "between_tools" | "always_on";

export interface ModelProfile {
  contextTokens: number;
  maxOutputTokens: number;
  /** `one`: temperature or top_p, 400 on both. `none`: 400 on anything but the default. */
  sampling: "both" | "one" | "none";
  thinking: ThinkingClass;
  /** Also takes `thinking.type: "enabled"` (deprecated on the 4.6 models). */
  budgets: boolean;
  efforts: readonly Effort[];
  /** `output_config.effort` allowed next to `thinking.type: "disabled"`; undefined = any. */
  effortMaxWhenDisabled?: Effort;
  /** `tool_choice` may be `any` or `tool`. */
  forcedTools: boolean;
  /** The conversation may end with an assistant message. */
  prefill: boolean;
  structuredOutputs: boolean;
  /** Takes `role: "system"` after the first user turn. */
  midSystem: boolean;
}

const K = 1_000;
const M = 1_000_000;

const CLAUDE_3: ModelProfile = {
  contextTokens: 200 * K,
  maxOutputTokens: 4_096,
  sampling: "both",
  thinking: "none",
  budgets: false,
  efforts: [],
  forcedTools: true,
  prefill: true,
  structuredOutputs: false,
  midSystem: false,
};
const CLAUDE_3_5: ModelProfile = { ...CLAUDE_3, maxOutputTokens: 8_192 };
const CLAUDE_4_0: ModelProfile = { ...CLAUDE_3, maxOutputTokens: 64 * K, thinking: "manual", budgets: true };
const CLAUDE_4: ModelProfile = { ...CLAUDE_4_0, sampling: "one", structuredOutputs: true };
const CLAUDE_4_6: ModelProfile = {
  ...CLAUDE_4,
  contextTokens: M,
  maxOutputTokens: 128 * K,
  thinking: "optional",
  efforts: ["low", "medium", "high", "max"],
  prefill: false,
};
const CLAUDE_4_7: ModelProfile = { ...CLAUDE_4_6, sampling: "none", budgets: false, efforts: EFFORTS };
const CLAUDE_4_8: ModelProfile = { ...CLAUDE_4_7, midSystem: true };
const CLAUDE_5: ModelProfile = { ...CLAUDE_4_8, thinking: "default_on" };
const ALWAYS_THINKING: ModelProfile = { ...CLAUDE_5, thinking: "always_on", forcedTools: false };

const PROFILES: Record<string, ModelProfile> = {
  "claude-2": CLAUDE_3,
  "claude-3-haiku": CLAUDE_3,
  "claude-3-opus": CLAUDE_3,
  "claude-3-sonnet": CLAUDE_3,
  "claude-3-5-haiku": CLAUDE_3_5,
  "claude-3-5-sonnet": CLAUDE_3_5,
  "claude-3-7-sonnet": CLAUDE_4_0,
  "claude-sonnet-4": CLAUDE_4_0,
  "claude-sonnet-4-0": CLAUDE_4_0,
  "claude-opus-4": { ...CLAUDE_4_0, maxOutputTokens: 32 * K },
  "claude-opus-4-0": { ...CLAUDE_4_0, maxOutputTokens: 32 * K },
  "claude-opus-4-1": { ...CLAUDE_4, maxOutputTokens: 32 * K },
  "claude-haiku-4-5": CLAUDE_4,
  "claude-sonnet-4-5": CLAUDE_4,
  "claude-opus-4-5": { ...CLAUDE_4, efforts: ["low", "medium", "high"] },
  "claude-opus-4-6": CLAUDE_4_6,
  "claude-sonnet-4-6": CLAUDE_4_6,
  "claude-opus-4-7": CLAUDE_4_7,
  "claude-opus-4-8": CLAUDE_4_8,
  "claude-sonnet-5": { ...CLAUDE_5, midSystem: false },
  "claude-opus-5": { ...CLAUDE_5, effortMaxWhenDisabled: "high" },
  "claude-haiku-5-5": CLAUDE_5,
  "claude-sonnet-5-5": { ...CLAUDE_5, thinking: "between_tools", forcedTools: false },
  "claude-opus-5-5": ALWAYS_THINKING,
  "claude-fable-5": ALWAYS_THINKING,
  "claude-fable-5-1": ALWAYS_THINKING,
  "claude-fable-5-2": ALWAYS_THINKING,
  "claude-mythos-5": ALWAYS_THINKING,
  "claude-mythos-5-1": ALWAYS_THINKING,
  "claude-mythos-5-2": ALWAYS_THINKING,
};

/** For ids nobody knows: what every model since 4.6 takes, and nothing a newer one might refuse. */
const UNKNOWN: ModelProfile = {
  ...CLAUDE_4_7,
  contextTokens: 200 * K,
  maxOutputTokens: 32 * K,
  efforts: ["low", "medium", "high"],
};

/** The profile of the target's model. What the table does not know the catalogue may: a new model needs no code. */
export function profileOf({ model, entry }: Target): ModelProfile {
  const name = familyName(model);
  const known = Object.keys(PROFILES)
    .filter((prefix) => isSameModel(name, prefix))
    .sort((a, b) => b.length - a.length)[0];
  if (known !== undefined) return PROFILES[known]!;
  const { effort, midSystem } = entry?.features ?? {};
  const levels = isObject(effort) ? effort : {};
  return {
    ...UNKNOWN,
    contextTokens: entry?.contextTokens ?? UNKNOWN.contextTokens,
    maxOutputTokens: entry?.maxOutputTokens ?? UNKNOWN.maxOutputTokens,
    efforts: EFFORTS.filter((level) => UNKNOWN.efforts.includes(level) || typeof levels[level] === "string"),
    midSystem: midSystem === true,
  };
}

/** `us.anthropic.claude-opus-4-5-20251101-v1:0`, `anthropic/claude-opus-4.5` and the like → `claude-opus-4-5`. */
function familyName(model: string): string {
  return model
    .toLowerCase()
    .replace(/^.*\//, "")
    .replace(/^(?:[a-z-]+\.)?anthropic\./, "")
    .replace(/[@:].*$/, "")
    .replace(/-v\d+$/, "")
    .replace(/-(?:20\d{6}|latest)$/, "")
    .replaceAll(".", "-");
}

/** A further number makes another model (`claude-opus-5-7` is not `claude-opus-5`), a further word a variant of it. */
function isSameModel(name: string, prefix: string): boolean {
  return name === prefix || (name.startsWith(`${prefix}-`) && !/^-\d/.test(name.slice(prefix.length)));
}

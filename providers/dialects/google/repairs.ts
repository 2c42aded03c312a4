// What a target was found not to accept, as tokens, and what follows from them for the next try.
import type { JsonObject, ProviderError } from "../../../src/chat.ts";
import type { Repair } from "../../../src/dialect.ts";
import type { Gates, ThinkingLevel } from "./gates.ts";

export interface Repairs {
  /** Schemas are sent as the OpenAPI subset, and without these keywords. */
  plainSchemas: boolean;
  schemaKeywords: ReadonlySet<string>;
  /** Every step of the history is signed, not only those of the current turn. */
  signAll: boolean;
  /** Fields that are left out. */
  dropped: ReadonlySet<string>;
  /** Levels of thinking that do not exist, `0` for "thinking cannot be switched off". */
  thinking: ReadonlySet<string>;
}

const SCHEMA = "schema:";
const DROP = "drop:";
const THINKING = "thinking:";
const SIGN_ALL = "signatures";

export function repairsOf(tokens: readonly string[] = []): Repairs {
  const after = (prefix: string) =>
    new Set(tokens.filter((token) => token.startsWith(prefix)).map((token) => token.slice(prefix.length)));
  const schemaKeywords = after(SCHEMA);
  return {
    plainSchemas: schemaKeywords.size > 0,
    schemaKeywords,
    signAll: tokens.includes(SIGN_ALL),
    dropped: after(DROP),
    thinking: after(THINKING),
  };
}

/** The token for an error, or `undefined` when another try would fail alike. */
export function repairFor({ code, param, message }: ProviderError): Repair | undefined {
  if (code === "missing_thought_signature") return { token: SIGN_ALL, isLasting: false };
  if (code === "invalid_schema") {
    const keyword = /Unknown name "([^"]{1,60})"/.exec(message)?.[1];
    return keyword === undefined ? undefined : { token: SCHEMA + keyword, isLasting: true };
  }
  if (code !== "unsupported_parameter" || param === undefined) return undefined;
  const level = /Thinking level "?(\w{1,20})"? is not supported/i.exec(message)?.[1];
  if (level !== undefined) return { token: THINKING + level.toLowerCase(), isLasting: true };
  if (/Budget 0 is invalid/i.test(message)) return { token: `${THINKING}0`, isLasting: true };
  return { token: DROP + param, isLasting: true };
}

/** What 2.5 Pro, which cannot be kept from thinking, takes at least. */
const MIN_BUDGET_TOKENS = 128;

/** What was learned about a model corrects what its id suggests. */
export function learned(gates: Gates, repairs: Repairs): Gates {
  return {
    ...gates,
    jsonSchema: gates.jsonSchema && !repairs.plainSchemas,
    penalties: gates.penalties && !repairs.dropped.has("presence_penalty"),
    logprobs: gates.logprobs && !repairs.dropped.has("logprobs"),
    thinking: learnedThinking(gates.thinking, repairs),
  };
}

function learnedThinking(knob: Gates["thinking"], { dropped, thinking }: Repairs): Gates["thinking"] {
  if (dropped.has("reasoning_effort")) return { kind: "none" };
  if (knob.kind === "budget" && thinking.has("0"))
    return { ...knob, minTokens: Math.max(knob.minTokens, MIN_BUDGET_TOKENS), canDisable: false };
  if (knob.kind !== "level") return knob;
  const levels = knob.levels.filter((level: ThinkingLevel) => !thinking.has(level));
  return levels.length === 0 ? { kind: "none" } : { kind: "level", levels };
}

/** The caller's own `thinkingConfig` without the member that was refused. */
export function acceptedThinking(
  config: JsonObject,
  { dropped, thinking }: Repairs,
): { config: JsonObject; refused: boolean } {
  const { thinkingLevel, thinkingBudget, ...rest } = config;
  const isAnyRefused = dropped.has("reasoning_effort");
  const isLevelRefused =
    typeof thinkingLevel === "string" && (isAnyRefused || thinking.has(thinkingLevel.toLowerCase()));
  const isBudgetRefused = thinkingBudget !== undefined && (isAnyRefused || (thinkingBudget === 0 && thinking.has("0")));
  const kept = {
    ...(thinkingLevel !== undefined && !isLevelRefused && { thinkingLevel }),
    ...(thinkingBudget !== undefined && !isBudgetRefused && { thinkingBudget }),
  };
  return { config: { ...kept, ...rest }, refused: isLevelRefused || isBudgetRefused };
}

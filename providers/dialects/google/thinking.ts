// How much the model shall think, from the spellings of OpenAI, OpenRouter and Anthropic.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { THINKING_LEVELS, type ThinkingKnob, type ThinkingLevel } from "./gates.ts";

const EFFORTS = ["none", ...THINKING_LEVELS, "xhigh", "max"] as const;
type Effort = (typeof EFFORTS)[number];

/** The budgets Google's own OpenAI endpoint uses. */
const BUDGET_TOKENS: Record<Exclude<Effort, "none">, number> = {
  minimal: 1024,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 32_768,
  max: 32_768,
};

/** What the caller asked for. `field` is where, for reports. */
interface Wish {
  field: string;
  effort?: Effort;
  /** −1 leaves the amount to the model. */
  budgetTokens?: number;
  /** Show summaries of the thoughts. */
  show?: boolean;
}

/** `thinkingConfig`, or `undefined` to leave everything to the model. Budget and level are never sent together. */
export function toThinkingConfig(body: ChatBody, knob: ThinkingKnob, report: Report): JsonObject | undefined {
  const wish = wishOf(body, report);
  if (wish === undefined) return undefined;
  if (knob.kind === "none") {
    // Not to think, and not to show it, is what such a model does anyway.
    const isNoOp = wish.effort === "none" || wish.budgetTokens === 0 || wish.show === false;
    if (!isNoOp) report.note("dropped", wish.field);
    return undefined;
  }
  const show = wish.show ?? (wish.effort !== "none" && wish.budgetTokens !== 0 ? true : undefined);
  const amount = knob.kind === "budget" ? budgetOf(wish, knob, report) : levelOf(wish, knob.levels, report);
  return { ...amount, ...(show !== undefined && { includeThoughts: show }) };
}

/** Precedence: `thinking`, then `reasoning`, then `reasoning_effort`; `reasoning.exclude` goes with the last two. */
function wishOf(body: ChatBody, report: Report): Wish | undefined {
  if (isObject(body.thinking)) return anthropicWish(body.thinking, report);
  const reasoning = isObject(body.reasoning) ? body.reasoning : {};
  const show = reasoning.exclude === true ? { show: false } : {};
  if (reasoning.effort != null) return effortWish("reasoning.effort", reasoning.effort, show, report);
  if (typeof reasoning.max_tokens === "number")
    return { field: "reasoning.max_tokens", budgetTokens: reasoning.max_tokens, ...show };
  if (reasoning.enabled === false) return { field: "reasoning", effort: "none", ...show };
  if (body.reasoning_effort != null) return effortWish("reasoning_effort", body.reasoning_effort, show, report);
  return reasoning.enabled === true || reasoning.exclude === true ? { field: "reasoning", ...show } : undefined;
}

function effortWish(field: string, value: unknown, show: { show?: boolean }, report: Report): Wish | undefined {
  const effort = EFFORTS.find((known) => known === value);
  if (effort !== undefined) return { field, effort, ...show };
  report.refuse("invalid_value", field, `Invalid value: '${firstText(value)}'; use one of: ${EFFORTS.join(", ")}.`);
  return undefined;
}

/** `{type: "enabled", budget_tokens}`, `{type: "disabled"}`, `{type: "adaptive"}`. */
function anthropicWish({ type, budget_tokens }: JsonObject, report: Report): Wish | undefined {
  const field = "thinking";
  if (type === "disabled") return { field, effort: "none" };
  if (type === "enabled" && typeof budget_tokens === "number")
    return { field: "thinking.budget_tokens", budgetTokens: budget_tokens };
  if (type === "enabled" || type === "adaptive") return { field };
  report.refuse("invalid_value", "thinking.type", "Use one of: enabled, disabled, adaptive.");
  return undefined;
}

function budgetOf(wish: Wish, knob: Extract<ThinkingKnob, { kind: "budget" }>, report: Report): JsonObject {
  if (wish.budgetTokens === -1) return { thinkingBudget: -1 };
  const wanted = wish.effort === "none" ? 0 : (wish.budgetTokens ?? (wish.effort && BUDGET_TOKENS[wish.effort]));
  if (wanted === undefined) return {};
  if (wanted === 0 && knob.canDisable) return { thinkingBudget: 0 };
  const thinkingBudget = Math.min(Math.max(Math.round(wanted), knob.minTokens), knob.maxTokens);
  const isExact = thinkingBudget === wanted || (wish.effort !== undefined && wish.effort !== "none");
  // An effort is a wish without a number, so any number that serves it is exact.
  if (!isExact) report.note("clamped", wish.field, `${wish.effort ?? wanted}->${thinkingBudget}`);
  return { thinkingBudget };
}

function levelOf(wish: Wish, levels: ThinkingLevel[], report: Report): JsonObject {
  const lowest = levels[0] ?? "low";
  const { effort, budgetTokens } = wish;
  if (effort === undefined && (budgetTokens === undefined || budgetTokens === -1)) return {};
  if (effort === "none" || budgetTokens === 0) {
    // These models cannot be kept from thinking.
    report.note("clamped", wish.field, `${effort ?? 0}->${lowest}`);
    return { thinkingLevel: lowest };
  }
  const wanted = effort === undefined ? levelOfTokens(budgetTokens ?? 0, lowest) : levelOfEffort(effort);
  const rank = THINKING_LEVELS.indexOf(wanted);
  const level = levels.find((one) => THINKING_LEVELS.indexOf(one) >= rank) ?? levels.at(-1) ?? "high";
  if (effort !== undefined && effort !== level) report.note("clamped", wish.field, `${effort}->${level}`);
  return { thinkingLevel: level };
}

function levelOfEffort(effort: Exclude<Effort, "none">): ThinkingLevel {
  return THINKING_LEVELS.find((level) => level === effort) ?? "high";
}

function levelOfTokens(tokens: number, lowest: ThinkingLevel): ThinkingLevel {
  if (tokens <= 1024) return lowest;
  return tokens <= 8192 ? "medium" : "high";
}

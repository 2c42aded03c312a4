// How hard to think: the caller's `thinking`, `reasoning` or `reasoning_effort` in the form the model takes.
import type { ChatBody } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { EFFORTS, type Effort, type ModelProfile } from "./profile.ts";
import type { Terms } from "./terms.ts";
import type { Thinking } from "./wire.ts";

export interface ReasoningPlan {
  thinking?: Thinking;
  effort?: Effort;
}

/** Facts of the request that forbid thinking on some models. */
export interface ThinkingContext {
  maxTokens: number;
  forcesTool: boolean;
  /** The last turn answers tool calls of an assistant turn that starts without a thinking block. */
  openLoopWithoutThinking: boolean;
}

/** What the caller asked for, whichever field said it. `field` names it in reports. */
interface Wish {
  field: string;
  asks: "to think" | "not to think" | "nothing";
  effort?: Effort | "minimal";
  /** The effort came as `output_config.effort`, which is also meant for models that are not to think. */
  effortIsNative?: boolean;
  budgetTokens?: number;
  /** `type` of Anthropic's own `thinking` object. */
  nativeType?: unknown;
  display: "summarized" | "omitted";
}

/** Vendor minimum for `thinking.budget_tokens`. */
const BUDGET_TOKENS_MIN = 1024;
const BUDGET_TOKENS: Record<Effort | "minimal", number> = {
  minimal: 1024,
  low: 1024,
  medium: 4096,
  high: 16_384,
  xhigh: 32_000,
  max: 32_000,
};

export function planReasoning(body: ChatBody, terms: Terms, context: ThinkingContext, report: Report): ReasoningPlan {
  const wish = wishOf(body, report);
  const plan = planFor(wish, terms, context, report);
  if (thinks(plan) && conflicts(terms, context)) {
    report.note(wish.asks === "to think" ? "dropped" : "repaired", wish.asks === "to think" ? wish.field : "thinking");
    return wish.effortIsNative && plan.effort !== undefined ? { effort: plan.effort } : {};
  }
  if (terms.isThinkingRepaired && plan.thinking !== undefined) report.note("repaired", "thinking");
  if (!terms.dropsUnboundThinking || !thinks(plan)) return plan;
  report.note("repaired", "thinking");
  return { ...plan, thinking: { ...plan.thinking!, block_binding: { prefix_mismatch_behavior: "drop_block" } } };
}

/**
 * Models that think only when asked refuse thinking beside a forced tool ("Thinking may not be enabled when tool_choice
 * forces tool use"), and those with budgets refuse a tool loop that began without thinking (Kilo-Org/kilocode#5219).
 */
function conflicts(terms: Terms, { forcesTool, openLoopWithoutThinking }: ThinkingContext): boolean {
  const thinksOnlyWhenAsked = terms.thinking === "manual" || terms.thinking === "optional";
  if (forcesTool && (thinksOnlyWhenAsked || !terms.thinksBesideForcedTool)) return true;
  return terms.thinking === "manual" && (openLoopWithoutThinking || !terms.replaysThinking);
}

function planFor(wish: Wish, profile: ModelProfile, context: ThinkingContext, report: Report): ReasoningPlan {
  switch (profile.thinking) {
    case "none":
      if (wish.asks === "to think") report.note("dropped", wish.field);
      return nativeEffort(wish, profile, report);
    case "manual":
      return { ...manualPlan(wish, context, report), ...nativeEffort(wish, profile, report) };
    case "optional":
      if (wish.asks === "to think" && wish.nativeType === "enabled" && profile.budgets)
        return manualPlan(wish, context, report);
      if (wish.asks !== "to think") return nativeEffort(wish, profile, report);
      return adaptivePlan(wish, profile, report);
    default:
      return wish.asks === "not to think" ? leastThinking(wish, profile, report) : adaptivePlan(wish, profile, report);
  }
}

/** The model thinks about this request; sampling parameters and prefill are then out. */
export function thinks(plan: ReasoningPlan): boolean {
  return plan.thinking?.type === "enabled" || plan.thinking?.type === "adaptive";
}

/** `reasoning.exclude`: the answer is to carry no reasoning at all. */
export function excludesReasoning(body: ChatBody): boolean {
  return isObject(body.reasoning) && body.reasoning.exclude === true;
}

/** Precedence: `thinking`, `reasoning`, `reasoning_effort`; `output_config.effort` replaces the effort of all three. */
function wishOf(body: ChatBody, report: Report): Wish {
  const display = excludesReasoning(body) ? "omitted" : "summarized";
  const wish =
    thinkingWish(body.thinking, display) ??
    reasoningWish(body.reasoning, display, report) ??
    effortWish(body.reasoning_effort, "reasoning_effort", display, report);
  const native = isObject(body.output_config) ? body.output_config.effort : undefined;
  const own = effortWish(native, "output_config.effort", display, report);
  if (own?.effort !== undefined)
    return { ...own, ...wish, effort: own.effort, effortIsNative: true, asks: wish?.asks ?? "nothing" };
  return wish ?? own ?? { field: "reasoning_effort", asks: "nothing", display };
}

/** Anthropic's own `thinking` object, kept for models that take it as it is. */
function thinkingWish(thinking: unknown, display: Wish["display"]): Wish | undefined {
  if (!isObject(thinking)) return undefined;
  const { type, budget_tokens, display: told } = thinking;
  const wish: Wish = {
    field: "thinking",
    asks: type === "disabled" || type === "between_tools" ? "not to think" : "to think",
    nativeType: type,
    display: told === "omitted" || told === "summarized" ? told : display,
  };
  return type === "enabled" && typeof budget_tokens === "number" ? { ...wish, budgetTokens: budget_tokens } : wish;
}

/** OpenRouter's `reasoning` object. One that only says `exclude` asks for nothing. */
function reasoningWish(reasoning: unknown, display: Wish["display"], report: Report): Wish | undefined {
  if (!isObject(reasoning)) return undefined;
  const { effort, max_tokens, enabled } = reasoning;
  const field = "reasoning";
  if (enabled === false) return { field, asks: "not to think", display };
  const levelled = effortWish(effort, "reasoning.effort", display, report);
  if (levelled !== undefined) return levelled;
  if (typeof max_tokens === "number") return { field, asks: "to think", budgetTokens: max_tokens, display };
  return enabled === true ? { field, asks: "to think", effort: "medium", display } : undefined;
}

function effortWish(effort: unknown, field: string, display: Wish["display"], report: Report): Wish | undefined {
  if (effort === undefined || effort === null) return undefined;
  if (effort === "none") return { field, asks: "not to think", display };
  const levels: readonly unknown[] = ["minimal", ...EFFORTS];
  if (levels.includes(effort)) return { field, asks: "to think", effort: effort as Effort, display };
  const message = `${field} ${JSON.stringify(effort)} is unknown; use one of: none, ${levels.join(", ")}.`;
  report.refuse("unsupported_value", field, message);
  return undefined;
}

/** A client's `max_tokens` is never raised: a budget that does not fit below it means no thinking. */
function manualPlan(wish: Wish, { maxTokens }: ThinkingContext, report: Report): ReasoningPlan {
  if (wish.asks !== "to think") return {};
  const wanted = Math.floor(wish.budgetTokens ?? BUDGET_TOKENS[wish.effort ?? "high"]);
  // Anthropic's own field may claim nearly all; what the router derives leaves a fifth for the answer.
  const most = wish.nativeType === "enabled" && wanted < maxTokens ? wanted : Math.floor(0.8 * maxTokens);
  const budget = Math.min(wanted, most);
  if (budget < BUDGET_TOKENS_MIN) {
    report.note("dropped", wish.field);
    return {};
  }
  if (wish.budgetTokens !== undefined && budget < wanted) report.note("clamped", wish.field, `${wanted}->${budget}`);
  const display = wish.display === "omitted" ? { display: wish.display } : {};
  return { thinking: { type: "enabled", budget_tokens: budget, ...display } };
}

function adaptivePlan(wish: Wish, profile: ModelProfile, report: Report): ReasoningPlan {
  return { thinking: { type: "adaptive", display: wish.display }, ...effortOf(wish, profile, report) };
}

/** Models that think by default must be told not to: leaving `thinking` out would leave it on. */
function leastThinking(wish: Wish, profile: ModelProfile, report: Report): ReasoningPlan {
  const { effort } = nativeEffort(wish, profile, report);
  if (profile.thinking === "always_on") {
    report.note("clamped", wish.field, `none->${effort ?? "low"}`);
    return { thinking: { type: "adaptive", display: wish.display }, effort: effort ?? "low" };
  }
  const type = profile.thinking === "default_on" ? "disabled" : "between_tools";
  const most = type === "disabled" ? profile.effortMaxWhenDisabled : undefined;
  if (effort === undefined) return { thinking: { type } };
  if (most === undefined || EFFORTS.indexOf(effort) <= EFFORTS.indexOf(most)) return { thinking: { type }, effort };
  report.note("clamped", "output_config.effort", `${effort}->${most}`);
  return { thinking: { type }, effort: most };
}

/** `output_config.effort` stands on its own; other efforts go with thinking or not at all. */
function nativeEffort(wish: Wish, profile: ModelProfile, report: Report): Pick<ReasoningPlan, "effort"> {
  return wish.effortIsNative === true ? effortOf(wish, profile, report) : {};
}

/** The level the model knows: the nearest lower one where it lacks the level asked for. */
function effortOf(wish: Wish, profile: ModelProfile, report: Report): Pick<ReasoningPlan, "effort"> {
  const wanted = wish.effort ?? (wish.budgetTokens === undefined ? undefined : effortOfBudget(wish.budgetTokens));
  if (wanted === undefined) return {};
  const level = wanted === "minimal" ? "low" : wanted;
  const known = EFFORTS.slice(0, EFFORTS.indexOf(level) + 1).findLast((effort) => profile.efforts.includes(effort));
  if (known === undefined) {
    report.note("dropped", wish.effortIsNative ? "output_config.effort" : wish.field);
    return {};
  }
  if (known !== level) report.note("clamped", wish.field, `${wanted}->${known}`);
  return { effort: known };
}

/** Adaptive models take no budget ("thinking.adaptive.budget_tokens: Extra inputs are not permitted"). */
function effortOfBudget(budgetTokens: number): Effort {
  if (budgetTokens < 2000) return "low";
  if (budgetTokens < 8000) return "medium";
  return budgetTokens < 24_000 ? "high" : "xhigh";
}

// How hard to think, in the words of each family; Claude's are its vendor's own.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { isObject } from "../../../src/json.ts";
import { planReasoning, type ReasoningPlan, type ThinkingContext } from "../anthropic/reasoning.ts";
import type { Report } from "../report.ts";
import type { ConverseTerms } from "./families.ts";

const LEVELS = ["low", "medium", "high"];
/** Levels these families lack, as the nearest one they have. */
const NEAREST: ReadonlyMap<string, string> = new Map([
  ["minimal", "low"],
  ["xhigh", "high"],
  ["max", "high"],
]);

export interface Thinking {
  /** Claude's; empty for other families. */
  plan: ReasoningPlan;
  /** For `additionalModelRequestFields`. */
  fields: JsonObject;
}

export function toThinking(body: ChatBody, terms: ConverseTerms, context: ThinkingContext, report: Report): Thinking {
  if (terms.family.thinking === "claude") {
    const plan = planReasoning(body, terms, context, report);
    return { plan, fields: plan.thinking === undefined ? {} : { thinking: plan.thinking } };
  }
  return { plan: {}, fields: effortFields(body, terms, report) };
}

function effortFields(body: ChatBody, { family }: ConverseTerms, report: Report): JsonObject {
  if (isObject(body.thinking)) report.note("dropped", "thinking");
  const wish = effortOf(body);
  if (wish === undefined) return {};
  const { field, effort } = wish;
  const level = NEAREST.get(effort) ?? effort;
  const isKnown = LEVELS.includes(level) || level === "none";
  if (!isKnown) {
    report.refuse(
      "unsupported_value",
      field,
      `${field} "${effort}" is unknown; use one of: none, ${LEVELS.join(", ")}.`,
    );
    return {};
  }
  if (family.thinking === "nova") {
    if (level !== effort) report.note("clamped", field, `${effort}->${level}`);
    if (level === "none") return { reasoningConfig: { type: "disabled" } };
    return { reasoningConfig: { type: "enabled", maxReasoningEffort: level } };
  }
  if (family.thinking === "effort") {
    // These always think.
    const sent = level === "none" ? "low" : level;
    if (sent !== effort) report.note("clamped", field, `${effort}->${sent}`);
    return { reasoning_effort: sent };
  }
  if (level !== "none") report.note("dropped", field);
  return {};
}

function effortOf({ reasoning, reasoning_effort }: ChatBody): { field: string; effort: string } | undefined {
  if (isObject(reasoning)) {
    const { effort, enabled } = reasoning;
    if (enabled === false) return { field: "reasoning", effort: "none" };
    if (typeof effort === "string") return { field: "reasoning.effort", effort };
    if (enabled === true || typeof reasoning.max_tokens === "number") return { field: "reasoning", effort: "medium" };
  }
  return typeof reasoning_effort === "string" ? { field: "reasoning_effort", effort: reasoning_effort } : undefined;
}

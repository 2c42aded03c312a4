// How much the model shall think, from the spellings of OpenAI, OpenRouter and Anthropic.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { Report } from "../report.ts";

const OFF = { type: "disabled" };
const ON = { type: "enabled" };

/** Cohere has a budget and no levels: what the lower ones are worth. From `high` on there is no bound, its default. */
const EFFORTS = new Map<unknown, JsonObject>([
  ["none", OFF],
  ["minimal", { ...ON, token_budget: 512 }],
  ["low", { ...ON, token_budget: 2048 }],
  ["medium", { ...ON, token_budget: 8192 }],
  ["high", ON],
  ["xhigh", ON],
  ["max", ON],
]);

/** `thinking` upstream, or `undefined` to leave it to the model. `thinking` goes before `reasoning`, then `reasoning_effort`. */
export function toThinking(body: ChatBody, report: Report): JsonObject | undefined {
  if (isObject(body.thinking)) return anthropicThinking(body.thinking, report);
  const reasoning = isObject(body.reasoning) ? body.reasoning : {};
  if (reasoning.effort != null) return ofEffort("reasoning.effort", reasoning.effort, report);
  if (reasoning.max_tokens != null) return ofBudget("reasoning.max_tokens", reasoning.max_tokens, report);
  if (reasoning.enabled === false) return OFF;
  if (body.reasoning_effort != null) return ofEffort("reasoning_effort", body.reasoning_effort, report);
  return reasoning.enabled === true ? ON : undefined;
}

function ofEffort(field: string, value: unknown, report: Report): JsonObject | undefined {
  const known = EFFORTS.get(value);
  if (known === undefined) {
    const words = [...EFFORTS.keys()].join(", ");
    report.refuse("invalid_value", field, `Invalid value: '${firstText(value)}'; use one of: ${words}.`);
  }
  return known;
}

/** `{type: "enabled", budget_tokens}`, also in Cohere's own words (`token_budget`). */
function anthropicThinking({ type, budget_tokens, token_budget }: JsonObject, report: Report): JsonObject | undefined {
  if (type === "disabled") return OFF;
  const budget = budget_tokens ?? token_budget;
  if (type === "enabled" && budget != null) return ofBudget("thinking.budget_tokens", budget, report);
  if (type === "enabled" || type === "adaptive") return ON;
  report.refuse("invalid_value", "thinking.type", "Use one of: enabled, disabled, adaptive.");
  return undefined;
}

function ofBudget(field: string, tokens: unknown, report: Report): JsonObject | undefined {
  if (tokens === 0) return OFF;
  if (Number.isInteger(tokens) && Number(tokens) > 0) return { ...ON, token_budget: tokens };
  report.refuse("invalid_value", field, `Invalid value for '${field}': expected an integer of at least 0.`);
  return undefined;
}

/** The caller wants the model to think and not to hear of it. Cohere has no such switch, so the decoder leaves it out. */
export function hidesThoughts({ reasoning }: ChatBody): boolean {
  return isObject(reasoning) && reasoning.exclude === true;
}

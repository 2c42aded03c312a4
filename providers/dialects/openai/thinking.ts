// How much the model shall think: the wish in the words of OpenAI, OpenRouter or Anthropic, as the provider's own switch.
import type { JsonObject } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import { firstText, isObject } from "../../../src/json.ts";
import { Report } from "../report.ts";
import { EFFORTS, type Effort, type OpenAiChatProfile, type ThinkingSwitch } from "./profile.ts";

/** What the caller asked for; `field` is where, for reports. */
interface Wish {
  field: string;
  effort?: Effort;
  budgetTokens?: number;
}

interface Thinking {
  /** The request turns thinking on, or off; neither: it leaves that to the model. */
  isOn: boolean;
  isOff: boolean;
  /** The answer must be asked for as a stream. */
  streams: boolean;
}

const WISHES = ["reasoning_effort", "reasoning", "thinking"];
const AS_IT_IS: Thinking = { isOn: false, isOff: false, streams: false };

export function turnsThinkingOn(call: Call, profile: OpenAiChatProfile): boolean {
  return setThinking({ ...call.request.body }, call, profile, new Report(false)).isOn;
}

/** Replaces the caller's wish in `body` by the provider's members. */
export function setThinking(body: JsonObject, call: Call, profile: OpenAiChatProfile, report: Report): Thinking {
  const { thinking } = profile;
  if (thinking === undefined) return AS_IT_IS;
  // Written for this provider: as it is. Its levels are not second-guessed either.
  const spoken = ownMembers(thinking).find((member) => isOwn(body[member], member, thinking));
  if (spoken !== undefined)
    return { ...switched(!/disabled|false/.test(JSON.stringify(body[spoken]))), streams: false };
  const wish = wishOf(body, report);
  // Not deleted: a level that goes out under the same name keeps its place.
  for (const field of WISHES) if (body[field] !== undefined) body[field] = undefined;
  if (wish === undefined) return unasked(body, call, thinking);
  const isOff = wish.effort === "none" || wish.budgetTokens === 0;
  if (call.target.entry?.reasoning === false) {
    // Not to think is what such a model does anyway.
    if (!isOff) report.note("dropped", wish.field);
    return { ...switched(false), streams: false };
  }
  const knob = knobOf(call, thinking);
  if (isOff) return { ...AS_IT_IS, isOff: turnOff(body, wish, knob, report) };
  const isOn = turnOn(body, wish, knob, report);
  if (!isOn) report.note("dropped", wish.field);
  return { isOn, isOff: false, streams: thinking.streamsOnly === true && !call.request.stream };
}

function switched(isOn: boolean): Pick<Thinking, "isOn" | "isOff"> {
  return { isOn, isOff: !isOn };
}

/** Members of the switch that are not the common field for the level. */
function ownMembers({ on, off, budget }: ThinkingSwitch): string[] {
  const members = [
    ...Object.keys(on ?? {}),
    ...Object.keys(off ?? {}),
    ...(budget === undefined ? [] : [budget.field]),
  ];
  return members.filter((member) => member !== "reasoning_effort");
}

/** Not OpenRouter's or Anthropic's member of the same name. */
function isOwn(value: unknown, member: string, { on, off }: ThinkingSwitch): boolean {
  if (!isObject(value)) return value !== undefined;
  if (["budget_tokens", "effort", "max_tokens"].some((key) => key in value)) return false;
  const types = [on?.[member], off?.[member]].map((own) => (isObject(own) ? own.type : undefined));
  return value.type === undefined || types.includes(value.type);
}

function unasked(body: JsonObject, { request }: Call, { silent, off, streamsOnly }: ThinkingSwitch): Thinking {
  if (silent === undefined || (streamsOnly && request.stream)) return AS_IT_IS;
  Object.assign(body, silent);
  return { ...AS_IT_IS, isOff: JSON.stringify(silent) === JSON.stringify(off) };
}

/** The switch of one model. */
interface Knob extends Pick<ThinkingSwitch, "on" | "off" | "budget"> {
  levels: Map<Effort, string>;
}

/** What the profile says, corrected by what the catalogue knows of this model (`null`: the level is refused). */
function knobOf({ target }: Call, thinking: ThinkingSwitch): Knob {
  const levels = new Map(Object.entries(thinking.efforts ?? {}) as [Effort, string][]);
  const features = target.entry?.features;
  const told = isObject(features?.effort) ? features.effort : undefined;
  for (const effort of told === undefined ? [] : EFFORTS) {
    const word = told?.[effort];
    if (typeof word === "string") levels.set(effort, word);
    else if (word === null || effort === "xhigh" || effort === "max") levels.delete(effort);
  }
  const { off, ...rest } = thinking;
  const canTurnOff = off !== undefined && told?.none !== null;
  return {
    ...rest,
    levels: features?.effortField === false ? new Map() : levels,
    ...(canTurnOff ? { off } : {}),
  };
}

/** False when the model thinks all the same. */
function turnOff(body: JsonObject, wish: Wish, { off, on, levels }: Knob, report: Report): boolean {
  const word = levels.get("none");
  if (off !== undefined) Object.assign(body, off);
  else if (word !== undefined) body.reasoning_effort = word;
  if (off !== undefined || word !== undefined) return true;
  // It cannot be kept from thinking: as little as it can, if there are levels at all.
  Object.assign(body, on);
  const least = EFFORTS.find((effort) => levels.has(effort));
  if (least === undefined) {
    report.note("dropped", wish.field);
    return false;
  }
  body.reasoning_effort = levels.get(least);
  report.note("clamped", wish.field, `${wish.effort ?? 0}->${least}`);
  return false;
}

/** False when nothing of the wish can be said. */
function turnOn(body: JsonObject, wish: Wish, { on, budget, levels }: Knob, report: Report): boolean {
  Object.assign(body, on);
  const effort = wish.effort ?? effortOf(wish.budgetTokens);
  if (budget !== undefined) {
    const tokens = wish.budgetTokens ?? (effort && Math.round(SHARES[effort] * budget.tokens));
    if (tokens !== undefined) body[budget.field] = tokens;
    return true;
  }
  const thinks = EFFORTS.filter((level) => level !== "none" && levels.has(level));
  // An effort is a wish without a number: where thinking can only be turned on, that serves it.
  if (thinks.length === 0) return on !== undefined;
  if (effort === undefined) return true;
  const rank = EFFORTS.indexOf(effort);
  const level = thinks.find((one) => EFFORTS.indexOf(one) >= rank) ?? (thinks.at(-1) as Effort);
  body.reasoning_effort = levels.get(level);
  // A budget is served by any level; a level that was asked for by name is not.
  if (wish.effort !== undefined && level !== effort) report.note("clamped", wish.field, `${effort}->${level}`);
  return true;
}

const SHARES: Record<Effort, number> = { none: 0, minimal: 0.1, low: 0.2, medium: 0.5, high: 0.8, xhigh: 0.95, max: 1 };

function effortOf(budgetTokens: number | undefined): Effort | undefined {
  if (budgetTokens === undefined || budgetTokens < 0) return undefined;
  if (budgetTokens <= 1024) return "minimal";
  if (budgetTokens <= 4096) return "low";
  return budgetTokens <= 12_288 ? "medium" : "high";
}

/** Precedence: `thinking`, then `reasoning`, then `reasoning_effort`. */
function wishOf(body: JsonObject, report: Report): Wish | undefined {
  if (isObject(body.thinking)) return anthropicWish(body.thinking);
  const reasoning = isObject(body.reasoning) ? body.reasoning : {};
  if (reasoning.effort != null) return effortWish("reasoning.effort", reasoning.effort, report);
  if (typeof reasoning.max_tokens === "number")
    return { field: "reasoning.max_tokens", budgetTokens: reasoning.max_tokens };
  if (reasoning.enabled === false) return { field: "reasoning", effort: "none" };
  if (body.reasoning_effort != null) return effortWish("reasoning_effort", body.reasoning_effort, report);
  return reasoning.enabled === true ? { field: "reasoning" } : undefined;
}

/** `{type: "enabled", budget_tokens}`, `{type: "disabled"}`, `{type: "adaptive"}`. */
function anthropicWish({ type, budget_tokens: budgetTokens }: JsonObject): Wish {
  if (type === "disabled") return { field: "thinking", effort: "none" };
  if (typeof budgetTokens === "number") return { field: "thinking.budget_tokens", budgetTokens };
  return { field: "thinking" };
}

function effortWish(field: string, value: unknown, report: Report): Wish | undefined {
  const effort = EFFORTS.find((known) => known === value);
  if (effort !== undefined) return { field, effort };
  const message = `Invalid value: '${firstText(value).slice(0, 100)}'. Supported values are: ${EFFORTS.join(", ")}.`;
  report.refuse("invalid_value", field, message);
  return undefined;
}

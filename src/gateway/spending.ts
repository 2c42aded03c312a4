// What a call may cost, set aside before it is made: the money side of an attempt.
import type { Ask, BudgetRefusal, Budgets, Hold } from "../budgets.ts";
import type { ChatBody, JsonObject, ProviderError } from "../chat.ts";
import { type Target, targetName } from "../dialect.ts";
import { isObject } from "../json.ts";
import type { RateClass } from "../pricing/classes.ts";
import { formatUsd, worstCostNanoUsd } from "../pricing.ts";
import { type Asked, type Caller, contentOf, maxOutputTokens } from "../routing/facts.ts";
import type { FleetView } from "../routing/fleet-view.ts";
import type { Plan, PlannedTarget } from "../routing/plan.ts";

/** The money of one attempt. Ends exactly once. */
export interface Money {
  /** For the ledger: what a hard budget holds for it, else about what it will cost. */
  reservedNanoUsd: number | undefined;
  /**
   * What a call that told no bill will have cost: at the most, given the tokens it answered with, or else how many
   * characters of it were seen; all that is set aside when neither is known. `undefined`: there is no price.
   */
  estimateNanoUsd(outputTokens: number | undefined, charsSeen: number | undefined): number | undefined;
  settle(spentNanoUsd: number): void;
  /** Nothing was sent after all. After `settle` this does nothing. */
  cancel(): void;
}

/** What a call may come to. */
export interface Spending {
  caller: Caller;
  target: Target;
  /** As estimated, and at the most. */
  inputTokens: number;
  inputTokensMax: number;
  /** Of all choices together: as long as such answers nearly always are, and as the request or the model bounds them. */
  outputTokens: number;
  outputTokensMax: number | undefined;
  atMs: number;
  /** Classes of use that the request rules out, and how often it may search. */
  never: RateClass[];
  searches: number;
  /** Tiers that may answer. */
  serviceTiers: string[] | undefined;
}

export interface SpendingDeps {
  budgets: Budgets;
  fleet: FleetView;
  nowMs(): number;
  /** How far a prompt may be longer than its estimate, as a share of it. */
  inputMargin(): number;
}

/** The share of answers that soft budgets set aside enough for. */
const LIKELY_QUANTILE = 0.95;
const PRIOR_OUTPUT_TOKENS = 500;
/** Templates and hidden instructions of providers, whatever the prompt. */
const INPUT_TOKENS_MORE = 64;

/** `body`: as it goes to the target. */
function spendingOf(deps: SpendingDeps, asked: Asked, planned: Plan, at: number, body: ChatBody): Spending {
  const { target } = planned.candidates[at] as PlannedTarget;
  const choices = typeof body.n === "number" && body.n > 1 ? body.n : 1;
  const bound = maxOutputTokens(body);
  const scope = { rule: planned.ruleName, key: asked.caller.key, model: target.model, maxTokens: bound };
  const usual = deps.fleet.outputTokensQuantile(scope, LIKELY_QUANTILE) ?? PRIOR_OUTPUT_TOKENS;
  const most = bound ?? target.entry?.maxOutputTokens;
  const inputTokens = Math.ceil(asked.inputTokens(targetName(target)));
  return {
    caller: asked.caller,
    target,
    inputTokens,
    inputTokensMax: Math.ceil(inputTokens * (1 + deps.inputMargin())) + INPUT_TOKENS_MORE,
    outputTokens: choices * Math.min(Math.ceil(usual), most ?? Number.POSITIVE_INFINITY),
    outputTokensMax: most === undefined ? undefined : choices * most,
    atMs: deps.nowMs(),
    ...usesOf(body),
  };
}

/** A request that allows searching on the web says nowhere how often; answers with more than a handful are rare. */
const SEARCHES_MAX = 10;

/** Audio and pictures may cost many times what text does, fast tiers too: they count only where the request has them or asks
 *  for them. An account whose standing tier is a dearer one spends more than was set aside, which is logged. */
function usesOf(body: ChatBody): Pick<Spending, "never" | "searches" | "serviceTiers"> {
  const has = contentOf(body);
  const modalities: unknown[] = Array.isArray(body.modalities) ? body.modalities : [];
  const mayAnswer = (modality: string) => modalities.includes(modality);
  const isSearching =
    body.web_search_options !== undefined || (body.tools ?? []).some(({ type }) => type !== "function");
  const never: RateClass[] = [];
  if (!has.audio) never.push("audioInput", "audioCacheRead");
  if (!has.images) never.push("imageInput");
  if (!mayAnswer("audio")) never.push("audioOutput");
  if (!mayAnswer("image")) never.push("imageOutput");
  if (!isSearching) never.push("citation");
  if (!body.messages.some(({ content }) => Array.isArray(content) && content.some(isCachedForAnHour))) {
    never.push("cacheWrite1h");
  }
  const asked = body.service_tier;
  const serviceTiers = typeof asked === "string" && asked !== "auto" ? ["", asked] : [""];
  return { never, searches: isSearching ? SEARCHES_MAX : 0, serviceTiers };
}

function isCachedForAnHour(part: JsonObject): boolean {
  return isObject(part.cache_control) && part.cache_control.ttl === "1h";
}

/** What one call is made with: money, and the body that the money suffices for. */
export interface Funded {
  money: Money;
  body: ChatBody;
  warnings: string[];
}

/** Fewer tokens are no answer. */
const AFFORDABLE_TOKENS_MIN = 16;

/** Sets aside what the call may cost; where the rule says so, a bound on the answer that no budget covers is lowered. */
export function fund(
  deps: SpendingDeps,
  asked: Asked,
  planned: Plan,
  at: number,
  body: ChatBody,
): Funded | { error: ProviderError } {
  const spending = spendingOf(deps, asked, planned, at, body);
  const money = setAside(deps.budgets, spending);
  if (!("error" in money)) return { money, body, warnings: [] };
  const headroom = planned.lowersMaxTokens
    ? deps.budgets.headroomNanoUsd(spending.caller, spending.target.provider.id)
    : undefined;
  if (headroom === undefined) return money;
  const choices = typeof body.n === "number" && body.n > 1 ? body.n : 1;
  const tokens = Math.floor(affordableTokens(spending, headroom) / choices);
  if (tokens < AFFORDABLE_TOKENS_MIN) return money;
  const field =
    body.max_tokens !== undefined && body.max_completion_tokens === undefined ? "max_tokens" : "max_completion_tokens";
  const lowered = { ...body, [field]: tokens };
  const less = setAside(deps.budgets, spendingOf(deps, asked, planned, at, lowered));
  if ("error" in less) return money;
  const before = maxOutputTokens(body);
  return { money: less, body: lowered, warnings: [`clamped:${field}=${before ?? "none"}->${tokens}`] };
}

/** Sets aside what the call may cost, or says whose budget does not cover it. */
function setAside(budgets: Budgets, spending: Spending): Money | { error: ProviderError } {
  const { caller, target, inputTokens, inputTokensMax, outputTokens, outputTokensMax, atMs } = spending;
  // A price that was guessed from the name of another model holds no hard budget.
  const isGuess = target.entry?.priceStatus === "prefix";
  const upperNanoUsd = isGuess ? undefined : costOf(spending, inputTokensMax, outputTokensMax);
  const likelyNanoUsd = costOf(spending, inputTokens, outputTokens);
  const ask: Ask = { payer: caller, provider: target.provider.id, upperNanoUsd, likelyNanoUsd };
  const held = budgets.reserve(ask);
  if ("code" in held) return { error: refusalOf(held, atMs) };
  return moneyOf(held, spending, held.reservedNanoUsd ?? likelyNanoUsd);
}

function moneyOf(hold: Hold, spending: Spending, reservedNanoUsd: number | undefined): Money {
  let isOver = false;
  return {
    reservedNanoUsd,
    estimateNanoUsd: (outputTokens, charsSeen) => {
      const tokens = outputTokens ?? (charsSeen === undefined ? undefined : tokensBound(charsSeen));
      const worst = tokens === undefined ? undefined : costOf(spending, spending.inputTokensMax, tokens);
      if (hold.reservedNanoUsd === undefined) return worst ?? reservedNanoUsd;
      return Math.min(hold.reservedNanoUsd, worst ?? hold.reservedNanoUsd);
    },
    settle: (spentNanoUsd) => {
      isOver = true;
      hold.settle(spentNanoUsd);
    },
    cancel: () => {
      if (isOver) return;
      isOver = true;
      hold.settle(0);
    },
  };
}

/** No fewer tokens than a text of so many characters is, and some that were on their way. */
function tokensBound(chars: number): number {
  return Math.ceil(chars / 2) + 256;
}

function costOf(
  { target, atMs, never, searches, serviceTiers }: Spending,
  inputTokens: number,
  maxOutputTokens: number | undefined,
): number | undefined {
  const rates = target.entry?.rates;
  if (rates === undefined || maxOutputTokens === undefined) return undefined;
  return worstCostNanoUsd({ inputTokens, maxOutputTokens, rates, atMs, never, searches, serviceTiers });
}

/** The largest bound on the answer, no larger than `maxOutputTokens`, whose worst cost is within `headroomNanoUsd`. */
function affordableTokens(spending: Spending, headroomNanoUsd: number): number {
  let low = 0;
  let high = spending.outputTokensMax ?? 0;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const worst = costOf(spending, spending.inputTokensMax, middle);
    if (worst !== undefined && worst <= headroomNanoUsd) low = middle;
    else high = middle - 1;
  }
  return low;
}

export function refusalOf(refusal: BudgetRefusal, nowMs: number): ProviderError {
  const { code } = refusal;
  const retryAfterMs = code === "in_flight_budget_exhausted" ? IN_FLIGHT_RETRY_MS : untilReset(refusal, nowMs);
  return {
    kind: "budget",
    ...(code === "in_flight_budget_exhausted" ? { subkind: "in_flight" as const } : {}),
    message: messageOf(refusal),
    code: code === "unpriced" ? "unpriced_model" : code,
    ...(code === "request_exceeds_budget" || code === "unpriced" ? {} : { retryAfterMs }),
  };
}

/** Calls under way end within seconds, as a rule. */
const IN_FLIGHT_RETRY_MS = 2_000;

function untilReset({ resetsAtMs }: BudgetRefusal, nowMs: number): number | undefined {
  return resetsAtMs === undefined ? undefined : Math.max(0, resetsAtMs - nowMs);
}

function messageOf(refusal: BudgetRefusal): string {
  const { scope, name, spec, code, spentNanoUsd, reservedNanoUsd, neededNanoUsd, resetsAtMs } = refusal;
  const whose = scope === "everything" ? "of this router" : `of ${scope} "${name}"`;
  const per = spec.window === "total" ? "" : ` per ${spec.window}`;
  const budget = `The budget ${whose} is $${formatUsd(spec.limitNanoUsd)}${per}`;
  const spent = `$${formatUsd(spentNanoUsd)} is spent`;
  const held = `$${formatUsd(reservedNanoUsd)} is set aside for calls under way`;
  const need = `this request may cost $${formatUsd(neededNanoUsd ?? 0)}`;
  const again = resetsAtMs === undefined ? "" : ` The next begins at ${new Date(resetsAtMs).toISOString()}.`;
  if (code === "unpriced") {
    return `${budget} and hard: a model without a known price, or a request without a bound on its answer (max_tokens), cannot be held to it.`;
  }
  if (code === "request_exceeds_budget") return `${budget}; ${need}. Lower max_tokens, or shorten the prompt.`;
  if (code === "in_flight_budget_exhausted")
    return `${budget}; ${spent}, ${held}, and ${need}. Try again when those have ended.`;
  return `${budget}; ${spent}${neededNanoUsd ? `, and ${need}` : ""}.${again}`;
}

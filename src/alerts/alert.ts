// The alerts there are, in words and in data. Never in either: prompts, keys, what providers answered.
import type { BudgetWindow } from "../budget-spec.ts";
import type { JsonObject } from "../chat.ts";
import { formatUsd } from "../pricing.ts";

export type AlertType =
  | "budget_threshold"
  | "spend_rate"
  | "error_rate"
  | "unpriced_model"
  | "provider_out_of_money"
  | "provider_key_refused"
  | "test";

/** What is sent. `data` holds numbers to compute with; amounts in it are exact decimal dollars. */
export interface Alert {
  /** Stays the same when the alert is delivered again. */
  id: string;
  type: AlertType;
  severity: "info" | "warning" | "critical";
  /** ISO 8601, UTC. */
  at: string;
  title: string;
  text: string;
  data: JsonObject;
}

/** An alert before it is certain that it is sent. */
export type Finding = Omit<Alert, "id" | "at">;

/** How far a budget is spent. */
export interface BudgetSpent {
  /** What kind of thing it belongs to: key, team, tag … */
  scope: string;
  name: string;
  window: BudgetWindow;
  windowStartMs: number;
  spentNanoUsd: number;
  limitNanoUsd: number;
}

/** `percent`: the highest threshold that is passed. */
export function budgetFinding(spent: BudgetSpent, percent: number): Finding {
  const { scope, window, windowStartMs, spentNanoUsd, limitNanoUsd } = spent;
  const whose = `${word(scope)} ${word(spent.name)}`;
  const startedAt = new Date(windowStartMs).toISOString();
  const since = window === "total" ? "" : ` in the ${window} that began at ${startedAt.slice(0, 16)}Z`;
  return {
    type: "budget_threshold",
    severity: percent >= 100 ? "critical" : "warning",
    title: `The budget of ${whose} is at ${percent} %`,
    text: `${usd(spentNanoUsd)} of ${usd(limitNanoUsd)} are spent${since}.`,
    data: {
      scope: word(scope),
      name: word(spent.name),
      window,
      ...(window === "total" ? {} : { window_start: startedAt }),
      threshold_percent: percent,
      spent_usd: formatUsd(spentNanoUsd),
      limit_usd: formatUsd(limitNanoUsd),
    },
  };
}

export interface HourlySpend {
  /** Spent in the hour that is running. */
  hourNanoUsd: number;
  /** Of the hours of the trailing week in which anything was spent. */
  meanNanoUsd: number;
}

export function spendRateFinding({ hourNanoUsd, meanNanoUsd }: HourlySpend, factor: number): Finding {
  const times = Math.floor((10 * hourNanoUsd) / meanNanoUsd) / 10;
  const usual =
    meanNanoUsd === 0
      ? "after a week without any spend"
      : `${times} times the ${usd(meanNanoUsd)} of a mean hour of the last 7 days (the threshold is ${factor} times)`;
  return {
    type: "spend_rate",
    severity: "warning",
    title: "Money is being spent faster than usual",
    text: `${usd(hourNanoUsd)} since the hour began, ${usual}.`,
    data: { hour_usd: formatUsd(hourNanoUsd), mean_hour_usd: formatUsd(meanNanoUsd), threshold_factor: factor },
  };
}

export function errorRateFinding(
  { failed, requests }: { failed: number; requests: number },
  threshold: number,
): Finding {
  const percent = Math.floor((100 * failed) / requests);
  return {
    type: "error_rate",
    severity: "critical",
    title: `${percent} % of the requests fail`,
    text: `${failed} of ${requests} requests failed in the last 5 minutes (the threshold is ${round(100 * threshold)} %).`,
    data: { failed, requests, window_seconds: 300, threshold_percent: round(100 * threshold) },
  };
}

/** `reason`: why the ledger has no cost for it. */
export function unpricedFinding(provider: string, model: string, reason: "no_price" | "no_usage"): Finding {
  const why =
    reason === "no_price"
      ? "no price is known for what it used. Give it one under providers in signalbox.yaml"
      : "the provider did not tell how many tokens it used";
  return {
    type: "unpriced_model",
    severity: "warning",
    title: `${word(model)} is used without a known cost`,
    text: `Calls of ${word(provider)}/${word(model)} are in no sum and no budget: ${why}.`,
    data: { provider: word(provider), model: word(model), reason },
  };
}

/** What was called when a provider refused the router. */
interface Refused {
  provider: string;
  model: string;
  /** With which of several keys, by its name. */
  account?: string | undefined;
}

export function outOfMoneyFinding(refused: Refused): Finding {
  const provider = word(refused.provider);
  const { of, others, data } = wordsOf(refused);
  return {
    type: "provider_out_of_money",
    severity: "critical",
    title: `${provider} is out of money${of}`,
    text: `${provider} refuses calls${of} because the account's money or quota is used up (asked for ${word(refused.model)}). ${others}`,
    data,
  };
}

export function keyRefusedFinding(refused: Refused): Finding {
  const provider = word(refused.provider);
  const { of, others, data } = wordsOf(refused);
  return {
    type: "provider_key_refused",
    severity: "critical",
    title: `${provider} refuses the router's key${of}`,
    text: `${provider} does not accept the router's key${of} for ${word(refused.model)}: it is wrong, expired, or may not use this model. ${others}`,
    data,
  };
}

function wordsOf({ provider, model, account }: Refused): { of: string; others: string; data: JsonObject } {
  const data = { provider: word(provider), model: word(model) };
  if (account === undefined) return { of: "", others: "Other providers answer where the rules name any.", data };
  const others = "Other keys of its pool answer, and other providers, where there are any.";
  return { of: ` (${word(account)})`, others, data: { ...data, account: word(account) } };
}

export function testFinding(): Finding {
  return {
    type: "test",
    severity: "info",
    title: "Signalbox test alert",
    text: "This is what an alert looks like. Nothing has happened.",
    data: {},
  };
}

export function alertOf(finding: Finding, id: string, atMs: number): Alert {
  return { id, at: new Date(atMs).toISOString(), ...finding };
}

/** Callers choose the names of models and of tags: one line, and not long. */
function word(name: string): string {
  return name
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .slice(0, 200)
    .toWellFormed();
}

const NANO_PER_CENT = 10_000_000;

/** Whole cents from one dollar on: the rest is in the data. */
function usd(nanoUsd: number): string {
  const isLarge = nanoUsd >= 100 * NANO_PER_CENT;
  return `$${formatUsd(isLarge ? Math.floor(nanoUsd / NANO_PER_CENT) * NANO_PER_CENT : Math.round(nanoUsd))}`;
}

function round(percent: number): number {
  return Number(percent.toFixed(2));
}

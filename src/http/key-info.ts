// GET /v1/key: what the calling key may do and has spent, in OpenRouter's shape.
import type { BudgetSpec, BudgetWindow } from "../budget-spec.ts";
import type { JsonObject } from "../chat.ts";
import { formatUsd } from "../pricing.ts";
import type { Caller } from "../routing/plan.ts";

/** What a key has spent: for ever, and since the current UTC day, week (from Monday) and month began. Nanodollars. */
export type Spent = Record<BudgetWindow, number>;

/** `undefined` spending is unknown, and shown as `null`. Dollars are JSON numbers, as OpenRouter's are. */
export function keyInfo(
  caller: Caller,
  spent: Spent | undefined,
  specs: readonly BudgetSpec[] = caller.budgets ?? [],
): JsonObject {
  const budgets = specs.map((budget) => budgetInfo(budget, spent));
  const binding = tightest(budgets);
  return {
    data: {
      label: caller.key,
      limit: binding?.limit ?? null,
      limit_remaining: binding?.remaining ?? null,
      limit_reset: binding === undefined ? null : RESETS[binding.window],
      usage: usd(spent?.total),
      usage_daily: usd(spent?.day),
      usage_weekly: usd(spent?.week),
      usage_monthly: usd(spent?.month),
      is_free_tier: false,
      // OpenRouter's word for "no limit" is -1.
      rate_limit: { requests: caller.limits?.rpm ?? -1, interval: "1m" },
      tokens_per_minute: caller.limits?.tpm ?? null,
      concurrency: caller.limits?.concurrency ?? null,
      budgets: budgets.map((budget) => ({ ...budget })),
      allowed_models: caller.models?.patterns ?? null,
      team: caller.team ?? null,
      organisation: caller.organisation ?? null,
      tags: caller.keyTags ?? [],
    },
  };
}

interface BudgetInfo {
  limit: number;
  window: BudgetWindow;
  hard: boolean;
  remaining: number | null;
}

const RESETS: Record<BudgetWindow, string | null> = {
  hour: "hourly",
  day: "daily",
  week: "weekly",
  month: "monthly",
  total: null,
};

function budgetInfo({ limitNanoUsd, window, isHard }: BudgetSpec, spent: Spent | undefined): BudgetInfo {
  const used = spent?.[window];
  const remaining = used === undefined ? null : usd(Math.max(0, limitNanoUsd - used));
  return { limit: usd(limitNanoUsd) as number, window, hard: isHard, remaining };
}

/** The one that will stop the key first: hard ones before soft ones, then that with the least left. */
function tightest(budgets: readonly BudgetInfo[]): BudgetInfo | undefined {
  const left = ({ remaining, limit }: BudgetInfo) => remaining ?? limit;
  return budgets.toSorted((a, b) => Number(b.hard) - Number(a.hard) || left(a) - left(b))[0];
}

/** Exact to the nanodollar below nine million dollars. */
function usd(nanoUsd: number | undefined): number | null {
  return nanoUsd === undefined ? null : Number(formatUsd(nanoUsd));
}

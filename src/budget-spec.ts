// A budget as people write it: `$5/day`, `$100/month`, `$20`, each with `soft` behind it where it only warns.
export type BudgetWindow = "hour" | "day" | "week" | "month" | "total";

export interface BudgetSpec {
  /** Integer nanodollars. */
  limitNanoUsd: number;
  /** Calendar windows in UTC; weeks begin on Monday. `total`: for ever. */
  window: BudgetWindow;
  /** Hard: no call that could exceed it is made. Soft: calls are made until it is spent. */
  isHard: boolean;
}

export const BUDGET_EXPECTED = 'a budget such as "$5/day", "$100/month soft" or "$20" (hour, day, week, month)';

const FORM = /^\$(\d{1,6})(?:\.(\d{1,9}))?(?:\s*\/\s*(hour|day|week|month))?(?:\s+(soft|hard))?$/;

/** `undefined` when it is none. Nine decimals at the most, so nothing is rounded. */
export function parseBudget(text: string): BudgetSpec | undefined {
  const match = FORM.exec(text.trim());
  if (match === null) return undefined;
  const limitNanoUsd = Number(match[1]) * 1_000_000_000 + Number((match[2] ?? "").padEnd(9, "0"));
  return { limitNanoUsd, window: (match[3] as BudgetWindow | undefined) ?? "total", isHard: match[4] !== "soft" };
}

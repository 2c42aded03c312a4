// The section `budgets` of signalbox.yaml: what may be spent.
import { z } from "zod";
import { BUDGET_EXPECTED, type BudgetSpec, parseBudget } from "../budget-spec.ts";
import type { BudgetSettings } from "../budgets.ts";

const LIMIT = z.string().transform((text, context): BudgetSpec => {
  const spec = parseBudget(text);
  if (spec !== undefined) return spec;
  context.addIssue({ code: "custom", message: `expected ${BUDGET_EXPECTED}` });
  return z.NEVER;
});

const NAME = z.string().min(1).max(200);

const BUDGET = z
  .strictObject({
    key: NAME.optional(),
    team: NAME.optional(),
    organisation: NAME.optional(),
    provider: NAME.optional(),
    everything: z.literal(true).optional(),
    limit: z.union([LIMIT.transform((spec) => [spec]), z.array(LIMIT).min(1).max(10)]),
  })
  .refine(({ limit: _, ...scopes }) => Object.values(scopes).filter((name) => name !== undefined).length === 1, {
    message: 'a budget is of one of key, team, organisation, provider (a name, or "*" for each) or everything: true',
  });

export const BUDGETS = z.array(BUDGET).max(1_000).prefault([]);

export function budgetsOf(budgets: z.output<typeof BUDGETS>): BudgetSettings[] {
  return budgets.flatMap(({ limit, key, team, organisation, provider }): BudgetSettings[] => {
    const named = Object.entries({ key, team, organisation, provider } as const).find(([, name]) => name !== undefined);
    const [scope, name] = named === undefined ? (["everything", ""] as const) : [named[0] as "key", named[1] as string];
    return limit.map((spec) => ({ scope, name, spec }));
  });
}

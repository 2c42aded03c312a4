// The targets a request may go to, tier by tier, and why each of the others may not.
import { type Target, targetName } from "../dialect.ts";
import type { Rule, RuleTarget } from "./rules.ts";
import type { SetEntry } from "./schema.ts";
import { type Exclusion, resolve, type Snapshot } from "./snapshot.ts";

/** OpenRouter's words for why a target is out (`error.availability.excluded_by`), and ours where it has none. */
export type ReasonCode =
  | "not_enabled"
  | "context_length"
  | "require_parameters"
  | "data_region"
  | "data_policy"
  | "max_price"
  | "max_cost"
  | "max_latency"
  | "quality"
  | "quantization"
  | "allowed_providers";

export interface Reason {
  code: ReasonCode;
  detail: string;
}

export interface Candidate {
  name: string;
  target: Target;
  tier: number;
  weight: number;
  quality: number | undefined;
  /** The rule's parameters, the target's own over them. */
  set: SetEntry;
  /** Not empty: out. */
  reasons: Reason[];
  /** Falls short of what the caller prefers: tried after those that do not. */
  isSecondChoice: boolean;
}

export interface Gathered {
  candidates: Candidate[];
  /** Named, but of a provider that is not enabled. */
  missing: Exclusion[];
}

/** The targets of a rule. Each target once, in its first tier. */
export function candidatesOf(snapshot: Snapshot, rule: Rule): Gathered {
  return gather(snapshot, rule.tiers, rule.set);
}

/** The targets of names that no rule speaks about: each name is a tier of its own. */
export function directCandidates(snapshot: Snapshot, names: readonly string[]): Gathered {
  const tiers = names.map((use): RuleTarget[] => [{ use, weight: 1, quality: undefined, set: {} }]);
  return gather(snapshot, tiers, {});
}

function gather(snapshot: Snapshot, tiers: readonly (readonly RuleTarget[])[], ruleSet: SetEntry): Gathered {
  const found = new Map<string, Candidate>();
  const missing = new Map<string, Exclusion>();
  for (const [tier, targets] of tiers.entries()) {
    for (const { use, weight, quality, set } of targets) {
      const resolved = resolve(snapshot, use);
      for (const exclusion of resolved.excluded) missing.set(exclusion.target, exclusion);
      for (const target of resolved.targets) {
        const name = targetName(target);
        if (found.has(name)) continue;
        const all = { ...ruleSet, ...set };
        found.set(name, { name, target, tier, weight, quality, set: all, reasons: [], isSecondChoice: false });
      }
    }
  }
  return { candidates: [...found.values()], missing: [...missing.values()] };
}

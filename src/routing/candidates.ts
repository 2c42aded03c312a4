// The targets a request may go to, tier by tier, and why each of the others may not.
import { type Target, targetName } from "../dialect.ts";
import type { ModelMatcher } from "./key-models.ts";
import type { Rule, RuleTarget } from "./rules.ts";
import type { SetEntry } from "./schema.ts";
import { type Exclusion, resolve, type Snapshot } from "./snapshot.ts";

/** OpenRouter's words for why a target is out (`error.availability.excluded_by`), and ours where it has none. */
export type ReasonCode =
  | "not_enabled"
  | "context_length"
  | "require_parameters"
  | "data_region"
  | "data_policy:zdr"
  | "data_policy:training"
  | "max_price"
  | "max_cost"
  | "max_latency"
  | "quality"
  | "quantization"
  | "allowed_providers"
  | "allowed_models";

export interface Reason {
  code: ReasonCode;
  detail: string;
}

export interface Candidate {
  name: string;
  target: Target;
  /** Whose demands it must meet; `undefined` when no rule speaks about the name. */
  rule: Rule | undefined;
  tier: number;
  weight: number;
  quality: number | undefined;
  /** One of the names it was asked for by is an alias that the key may use. */
  isAllowedByAlias: boolean;
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

/** One of the names a caller asked for, and the rule that decides about it. */
export interface Named {
  name: string;
  rule: Rule | undefined;
}

/** The targets behind the names, each once, in its first tier. The tiers of a name come after those of the name before it;
 *  `isAcross`: beside them, first beside first. */
export function candidatesOf(
  snapshot: Snapshot,
  names: readonly Named[],
  isAcross: boolean,
  mayUse: ModelMatcher | undefined,
): Gathered {
  const found = new Map<string, Candidate>();
  const missing = new Map<string, Exclusion>();
  let above = 0;
  for (const { name, rule } of names) {
    const places = rule === undefined ? placesOfName(snapshot, name, missing) : placesOfRule(snapshot, rule, missing);
    if (rule?.deny !== undefined) missing.set(name, { target: name, reason: `rule "${rule.name}" refuses it` });
    const isAllowedByAlias = mayUse !== undefined && snapshot.rules.aliases.has(name) && mayUse.allowsAlias(name);
    for (const place of places) addOnce(found, rule, { ...place, tier: above + place.tier }, isAllowedByAlias);
    if (!isAcross) above += 1 + places.reduce((last, { tier }) => Math.max(last, tier), -1);
  }
  return { candidates: [...found.values()], missing: [...missing.values()] };
}

type Place = RuleTarget & { target: Target; tier: number };

/** A provider that was named goes before others that only have a model of that name. */
function placesOfName(snapshot: Snapshot, name: string, missing: Map<string, Exclusion>): Place[] {
  const { targets, isExact, excluded } = resolve(snapshot, name, "caller");
  for (const exclusion of excluded) missing.set(exclusion.target, exclusion);
  return targets.map((target, at) => {
    return { use: name, weight: 1, quality: undefined, set: {}, target, tier: isExact && at > 0 ? 1 : 0 };
  });
}

function placesOfRule(snapshot: Snapshot, rule: Rule, missing: Map<string, Exclusion>): Place[] {
  return rule.tiers.flatMap((entries, tier) =>
    entries.flatMap((entry) => {
      const { targets, excluded } = resolve(snapshot, entry.use, "operator");
      for (const exclusion of excluded) missing.set(exclusion.target, exclusion);
      return targets.map((target) => ({ ...entry, target, tier }));
    }),
  );
}

function addOnce(found: Map<string, Candidate>, rule: Rule | undefined, place: Place, isAllowedByAlias: boolean): void {
  const { target, tier, weight, quality } = place;
  const name = targetName(target);
  const known = found.get(name);
  if (known !== undefined) {
    known.isAllowedByAlias ||= isAllowedByAlias;
    return;
  }
  const set = { ...rule?.set, ...place.set };
  const about = { name, target, rule, tier, weight, quality, set };
  found.set(name, { ...about, isAllowedByAlias, reasons: [], isSecondChoice: false });
}

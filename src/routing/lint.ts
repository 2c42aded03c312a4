// Rules that hold and yet are probably not what their author meant. Warnings only: nothing here stops anything.
import { targetName } from "../dialect.ts";
import type { FileError } from "../yaml.ts";
import { reviewOf } from "./conditions.ts";
import { globMatcher } from "./glob.ts";
import type { ReadFile } from "./rules.ts";
import type { RuleEntry, TargetEntry } from "./schema.ts";
import { resolve, type Snapshot } from "./snapshot.ts";

export type LintCode =
  | "unreachable"
  | "constant_condition"
  | "odd_condition"
  | "not_enabled"
  | "dead_rule"
  | "no_price"
  | "no_limits"
  | "shadowed_model"
  | "repeated_target"
  | "idle_weight";

export interface Finding extends FileError {
  code: LintCode;
}

/** `isModel`: the catalogue has a model of this name, enabled or not. */
export function lint(snapshot: Snapshot, isModel: (name: string) => boolean): Finding[] {
  const rules = snapshot.rules.files.flatMap((file) =>
    file.value.rules.map((rule, index) => written(file, rule, index)),
  );
  return [
    ...snapshot.rules.files.flatMap((file) => aliasFindings(snapshot, file, isModel)),
    ...rules.flatMap((rule) => [
      ...conditionFindings(rule),
      ...targetFindings(snapshot, rule),
      ...repeatFindings(snapshot, rule),
      ...weightFindings(rule),
    ]),
    ...rules.flatMap((rule, at) => reachFindings(rule, rules.slice(0, at))),
  ];
}

/** A rule where it stands in its file. */
interface Written {
  rule: RuleEntry;
  timeZone: string;
  matches(model: string): boolean;
  /** From, then the tiers of `fallback`. */
  tiers: Named[][];
  /** What the condition always is; `true` without one. */
  constant: boolean | undefined;
  at(code: LintCode, path: PropertyKey[], message: string): Finding;
}

/** A target of a rule, and where it is written. */
interface Named {
  use: string;
  weight: number | undefined;
  path: PropertyKey[];
}

function written(file: ReadFile, rule: RuleEntry, index: number): Written {
  const named = (target: TargetEntry, path: PropertyKey[]): Named => {
    return typeof target === "string"
      ? { use: target, weight: undefined, path }
      : { ...target, weight: target.weight, path };
  };
  const tiers = [(rule.from ?? []).map((target, item) => named(target, ["from", item]))];
  let single: Named[] | undefined;
  for (const [item, target] of (rule.fallback ?? []).entries()) {
    if (Array.isArray(target)) {
      tiers.push(target.map((inner, place) => named(inner, ["fallback", item, place])));
      single = undefined;
    } else {
      if (single === undefined) {
        single = [];
        tiers.push(single);
      }
      single.push(named(target, ["fallback", item]));
    }
  }
  return {
    rule,
    matches: globMatcher(rule.model),
    timeZone: file.value.timezone ?? "UTC",
    tiers,
    constant: rule.when === undefined ? true : reviewOf(rule.when).constant,
    at: (code, path, message) => {
      return { code, ...file.at(["rules", index, ...path], `rule "${rule.name}": ${message}`) };
    },
  };
}

function aliasFindings(snapshot: Snapshot, file: ReadFile, isModel: (name: string) => boolean): Finding[] {
  return Object.entries(file.value.aliases).flatMap(([alias, targets]) => {
    const own = targets.flatMap((target, index) =>
      oneTarget(snapshot, target).map(
        ({ code, message }): Finding => ({ code, ...file.at(["aliases", alias, index], message) }),
      ),
    );
    // An alias that leads to the model of its name among others extends it; that is deliberate.
    const leads = leavesOf(snapshot, alias).some((leaf) => leaf.endsWith(`/${alias}`));
    if (leads || !isModel(alias)) return own;
    const message = `alias "${alias}" hides the model of that name: callers who ask for it get the alias.`;
    return [{ code: "shadowed_model", ...file.at(["aliases", alias], message) }, ...own];
  });
}

function conditionFindings({ rule, constant, at }: Written): Finding[] {
  if (rule.when === undefined) return [];
  if (constant !== undefined) {
    const what = constant ? "always true: leave it out" : "never true: the rule decides nothing";
    return [at("constant_condition", ["when"], `its condition is ${what}.`)];
  }
  return reviewOf(rule.when).remarks.map((remark) => at("odd_condition", ["when"], `${remark}.`));
}

function targetFindings(snapshot: Snapshot, { rule, tiers, at }: Written): Finding[] {
  const all = tiers.flat();
  // What is behind an alias is said where the alias is defined.
  const own = all
    .filter(({ use }) => !snapshot.rules.aliases.has(use))
    .flatMap(({ use, path }) => oneTarget(snapshot, use).map(({ code, message }) => at(code, path, message)));
  const isDead = rule.deny === undefined && all.every(({ use }) => resolve(snapshot, use).targets.length === 0);
  if (!isDead) return own;
  return [
    ...own,
    at("dead_rule", ["from"], "none of its targets can be used here, so it refuses whatever it matches."),
  ];
}

/** What a target lacks here, aliases aside. */
function oneTarget(snapshot: Snapshot, use: string): { code: LintCode; message: string }[] {
  if (snapshot.rules.aliases.has(use)) return [];
  const { targets, excluded } = resolve(snapshot, use);
  const [lack] = excluded;
  if (lack !== undefined) return [{ code: "not_enabled", message: `target "${use}" is passed over: ${lack.reason}.` }];
  if (targets.length === 0) {
    const why = use.endsWith("/*") ? "the catalogue lists no model of it" : "no enabled provider has it";
    return [{ code: "not_enabled", message: `target "${use}" is passed over: ${why}.` }];
  }
  const without = (lacks: (target: (typeof targets)[number]) => boolean) =>
    targets.filter(lacks).map((target) => targetName(target));
  const unpriced = without(({ entry }) => entry?.rates === undefined);
  const unlimited = without(({ entry }) => entry?.contextTokens === undefined);
  const found: { code: LintCode; message: string }[] = [];
  if (unpriced.length > 0) {
    const effect = "its calls have no cost in the ledger, and choosing by cost puts it last";
    found.push({ code: "no_price", message: `target "${use}": no price is known for ${some(unpriced)}: ${effect}.` });
  }
  if (unlimited.length > 0) {
    const effect = "prompts that are too long for it are found out by calling it";
    found.push({
      code: "no_limits",
      message: `target "${use}": no context window is known for ${some(unlimited)}: ${effect}.`,
    });
  }
  return found;
}

function some(names: string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** Each target is tried once, in its first place; the later place, and a weight there, mean nothing. */
function repeatFindings(snapshot: Snapshot, { tiers, at }: Written): Finding[] {
  const seen = new Set<string>();
  return tiers.flat().flatMap(({ use, path }) => {
    const leaves = leavesOf(snapshot, use);
    const isNew = leaves.some((leaf) => !seen.has(leaf) && !seen.has(leaf.replace(/\/.*$/, "/*")));
    for (const leaf of leaves) seen.add(leaf);
    if (isNew || leaves.length === 0) return [];
    return [at("repeated_target", path, `"${use}" has no effect here: all of it is named before.`)];
  });
}

/** What an alias stands for in the end, as written. */
function leavesOf(snapshot: Snapshot, name: string): string[] {
  const targets = snapshot.rules.aliases.get(name);
  // Rules that compiled hold no circles.
  return targets === undefined ? [name] : targets.flatMap((target) => leavesOf(snapshot, target));
}

function weightFindings({ rule, tiers, at }: Written): Finding[] {
  if (rule.pick !== "weighted") return [];
  return tiers.flatMap((tier) => {
    const [only] = tier;
    if (tier.length > 1 || only?.weight === undefined) return [];
    return [at("idle_weight", only.path, `the \`weight\` of "${only.use}" has no effect: nothing is beside it.`)];
  });
}

function reachFindings(later: Written, earlier: Written[]): Finding[] {
  const cover = earlier.find((rule) => covers(rule, later));
  if (cover === undefined) return [];
  const why =
    cover.constant === true ? "takes every model it names" : "takes every model it names on the same condition";
  return [later.at("unreachable", ["name"], `it is never reached: rule "${cover.rule.name}" above it ${why}.`)];
}

/** Whatever the later rule would match, the earlier one matches first. */
function covers(earlier: Written, later: Written): boolean {
  const isSameCondition =
    earlier.rule.when !== undefined &&
    earlier.rule.when.trim() === later.rule.when?.trim() &&
    earlier.timeZone === later.timeZone;
  if (earlier.constant !== true && !isSameCondition) return false;
  // A character that no pattern spells out stands for "anything": only a star can take it.
  const anything = "\u{10FFFF}";
  return [later.rule.model ?? "*"].flat().every((pattern) => earlier.matches(pattern.replaceAll("*", anything)));
}

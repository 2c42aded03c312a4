// What an edit changed: which rules and aliases came, went or read otherwise now. Written text is compared, not effects.
import type { RuleSet } from "./rules.ts";

export interface NameChanges {
  added: string[];
  removed: string[];
  changed: string[];
}

export interface RuleChanges {
  rules: NameChanges;
  aliases: NameChanges;
  /** Rules that are in both stand in another order now, which may decide who matches first. */
  isReordered: boolean;
}

export function changesBetween(before: RuleSet, after: RuleSet): RuleChanges {
  const [old, now] = [writtenRules(before), writtenRules(after)];
  const kept = (names: Iterable<string>, other: ReadonlyMap<string, string>) =>
    [...names].filter((name) => other.has(name)).join("\n");
  return {
    rules: compare(old, now),
    aliases: compare(writtenAliases(before), writtenAliases(after)),
    isReordered: kept(old.keys(), now) !== kept(now.keys(), old),
  };
}

/** One line; lists are cut after a few names. */
export function changesText({ rules, aliases, isReordered }: RuleChanges): string {
  const parts = (["added", "changed", "removed"] as const).flatMap((verb) => [
    ...listed(`${verb} rule`, rules[verb]),
    ...listed(`${verb} alias`, aliases[verb]),
  ]);
  if (isReordered) parts.push("the order of rules changed");
  return parts.length === 0 ? "no rule or alias changed" : parts.join("; ");
}

const SHOWN_MAX = 10;

function listed(what: string, names: string[]): string[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, SHOWN_MAX).map((name) => JSON.stringify(name));
  const more = names.length > SHOWN_MAX ? ` and ${names.length - SHOWN_MAX} more` : "";
  const plural = names.length === 1 ? "" : what.endsWith("s") ? "es" : "s";
  return [`${what}${plural} ${shown.join(", ")}${more}`];
}

function compare(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): NameChanges {
  return {
    added: [...after.keys()].filter((name) => !before.has(name)),
    removed: [...before.keys()].filter((name) => !after.has(name)),
    changed: [...after].filter(([name, text]) => before.has(name) && before.get(name) !== text).map(([name]) => name),
  };
}

function writtenRules({ files }: RuleSet): Map<string, string> {
  // A file's time zone is part of what its conditions mean.
  const entries = files.flatMap(({ value }) =>
    value.rules.map((rule): [string, string] => [rule.name, stable([rule, value.timezone ?? "UTC"])]),
  );
  return new Map(entries);
}

function writtenAliases({ aliases }: RuleSet): Map<string, string> {
  return new Map([...aliases].map(([name, targets]) => [name, stable(targets)]));
}

/** JSON without regard to the order in which keys were written. */
function stable(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

// Rule files: YAML and CEL in, an immutable rule set out, or every error with its place.
import { z } from "zod";
import { nearest } from "../nearest.ts";
import { durationMs } from "../units.ts";
import { type Checked, type FileError, readYaml, type Source } from "../yaml.ts";
import { type Condition, compileCondition } from "./conditions.ts";
import { globMatcher } from "./glob.ts";

/** A rule ready to be matched. */
export interface Rule {
  name: string;
  /** Does the rule speak about this model name? */
  matches(model: string): boolean;
  when: Condition | undefined;
  pick: "order";
  from: string[];
  fallback: string[];
  attempts: number | undefined;
  timeouts: Timeouts;
}

export interface Timeouts {
  firstByteMs?: number | undefined;
  idleMs?: number | undefined;
  totalMs?: number | undefined;
}

export interface RuleSet {
  aliases: ReadonlyMap<string, readonly string[]>;
  rules: readonly Rule[];
}

/** A wait of 0 would end every attempt before it began. */
const TIMEOUT = durationMs.refine((ms) => ms > 0, "expected a duration longer than 0");
const TARGETS = z.array(z.string().min(1)).min(1);

const RULE = z.strictObject({
  name: z.string().min(1).max(100),
  model: z.union([z.string().min(1), TARGETS]).optional(),
  when: z.string().optional(),
  pick: z.enum(["order"]).default("order"),
  from: TARGETS,
  fallback: TARGETS.optional(),
  attempts: z.int().min(1).max(10).optional(),
  timeouts: z
    .strictObject({
      first_byte: TIMEOUT.optional(),
      idle: TIMEOUT.optional(),
      total: TIMEOUT.optional(),
    })
    .optional(),
});

/** A rule file; its keys are documented in routing-rules/README.md, and a test keeps the two equal. */
export const RULE_FILE = z.strictObject({
  version: z.literal(1),
  aliases: z.record(z.string().min(1), TARGETS).default({}),
  rules: z.array(RULE).default([]),
});
type RuleFile = Checked<z.output<typeof RULE_FILE>>;

/** What is wrong with a target that is no alias, or `undefined` when it may be named. */
export type TargetProblem = (target: string) => string | undefined;

/** Compiles the files of a rules folder, in the order given. Either everything holds or nothing does. */
export function compile(files: Source[], problemOf: TargetProblem): RuleSet | { errors: FileError[] } {
  const errors: FileError[] = [];
  const aliases = new Map<string, string[]>();
  const rules: Rule[] = [];
  const names = new Set<string>();
  const checked: RuleFile[] = [];
  for (const source of files) {
    const read = readYaml(source, RULE_FILE);
    if ("errors" in read) errors.push(...read.errors);
    else checked.push(read);
  }
  for (const read of checked) collect(read, { aliases, rules, names, errors });
  // Targets last: an alias may be defined in a later file than the rule that names it.
  for (const read of checked) checkTargets(read, aliases, problemOf, errors);
  return errors.length > 0 ? { errors } : { aliases, rules };
}

interface Collected {
  aliases: Map<string, string[]>;
  rules: Rule[];
  names: Set<string>;
  errors: FileError[];
}

function collect(read: RuleFile, { aliases, rules, names, errors }: Collected): void {
  for (const [alias, targets] of Object.entries(read.value.aliases)) {
    if (aliases.has(alias)) errors.push(read.at(["aliases", alias], `alias "${alias}" is defined twice.`));
    aliases.set(alias, targets);
  }
  for (const [index, rule] of read.value.rules.entries()) {
    const at = (key: string, message: string) => read.at(["rules", index, key], `rule "${rule.name}": ${message}`);
    if (names.has(rule.name)) errors.push(at("name", "another rule has the same name."));
    names.add(rule.name);
    const when = rule.when === undefined ? undefined : compileCondition(rule.when);
    if (when !== undefined && "error" in when) {
      errors.push(at("when", when.error));
      continue;
    }
    const { first_byte, idle, total } = rule.timeouts ?? {};
    rules.push({
      name: rule.name,
      matches: globMatcher(rule.model),
      when,
      pick: rule.pick,
      from: rule.from,
      fallback: rule.fallback ?? [],
      attempts: rule.attempts,
      timeouts: { firstByteMs: first_byte, idleMs: idle, totalMs: total },
    });
  }
}

function checkTargets(
  read: RuleFile,
  aliases: ReadonlyMap<string, readonly string[]>,
  problemOf: TargetProblem,
  errors: FileError[],
): void {
  const check = (targets: readonly string[], path: PropertyKey[]) => {
    for (const [index, target] of targets.entries()) {
      const problem = aliases.has(target) ? undefined : problemOf(target);
      if (problem === undefined) continue;
      const close = nearest(target, aliases.keys(), 1)[0];
      const hint = close === undefined ? "" : ` There is an alias "${close}".`;
      errors.push(read.at([...path, index], problem + hint));
    }
  };
  for (const [alias, targets] of Object.entries(read.value.aliases)) {
    check(targets, ["aliases", alias]);
    const circle = circleFrom(alias, aliases);
    if (circle === undefined) continue;
    const message = `alias "${alias}" refers to itself: ${circle.join(" -> ")}.`;
    errors.push(read.at(["aliases", alias], message));
  }
  for (const [index, rule] of read.value.rules.entries()) {
    check(rule.from, ["rules", index, "from"]);
    check(rule.fallback ?? [], ["rules", index, "fallback"]);
  }
}

/** The way from an alias back to itself, both ends included; `undefined` when there is none. */
function circleFrom(alias: string, aliases: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const seen = new Set<string>();
  const search = (path: string[]): string[] | undefined => {
    for (const target of aliases.get(path.at(-1) as string) ?? []) {
      if (target === alias) return [...path, target];
      if (seen.has(target)) continue;
      seen.add(target);
      const found = search([...path, target]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search([alias]);
}

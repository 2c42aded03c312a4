// Rule files: YAML and CEL in, an immutable rule set out, or every error with its place.
import { z } from "zod";
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
      first_byte: durationMs.optional(),
      idle: durationMs.optional(),
      total: durationMs.optional(),
    })
    .optional(),
});

const FILE = z.strictObject({
  version: z.literal(1),
  aliases: z.record(z.string().min(1), TARGETS).default({}),
  rules: z.array(RULE).default([]),
});
type RuleFile = Checked<z.output<typeof FILE>>;

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
    const read = readYaml(source, FILE);
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
    if (targets.includes(alias)) errors.push(read.at(["aliases", alias], `alias "${alias}" refers to itself.`));
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
  aliases: ReadonlyMap<string, unknown>,
  problemOf: TargetProblem,
  errors: FileError[],
): void {
  const check = (targets: readonly string[], path: PropertyKey[]) => {
    for (const [index, target] of targets.entries()) {
      const problem = aliases.has(target) ? undefined : problemOf(target);
      if (problem !== undefined) errors.push(read.at([...path, index], problem));
    }
  };
  for (const [alias, targets] of Object.entries(read.value.aliases)) check(targets, ["aliases", alias]);
  for (const [index, rule] of read.value.rules.entries()) {
    check(rule.from, ["rules", index, "from"]);
    check(rule.fallback ?? [], ["rules", index, "fallback"]);
  }
}

// Rule files: YAML and CEL in, an immutable rule set out, or every error with its place.
import { Lru } from "../lru.ts";
import { nearest } from "../nearest.ts";
import { type Checked, type FileError, readYaml, type Source } from "../yaml.ts";
import { type Condition, compileCondition } from "./conditions.ts";
import { type Clock, clockIn } from "./facts.ts";
import { globMatcher } from "./glob.ts";
import {
  type PRIORITIES,
  type Requirements,
  RULE_FILE,
  type RuleEntry,
  type RuleFile,
  type SetEntry,
  type StrategyName,
  type TargetEntry,
} from "./schema.ts";

/** A rule ready to be matched. */
export interface Rule {
  name: string;
  /** Does the rule speak about this model name? */
  matches(model: string): boolean;
  when: Condition | undefined;
  pick: StrategyName;
  /** `from`, then each tier of `fallback`: a tier is tried when every target above it failed or was excluded. */
  tiers: readonly (readonly RuleTarget[])[];
  require: Requirements;
  attempts: number | undefined;
  timeouts: Timeouts;
  priority: Priority;
  /** How long a caller may be kept waiting for its turn. */
  maxWaitMs: number;
  /** The rule does not say: longer for callers who say that they have the time. */
  isMaxWaitAdapted: boolean;
  /** The conversation's prompt cache counts in choosing. */
  affinity: boolean;
  affinityTtlMs: number | undefined;
  /** How long an answer is read on whose caller has left; `undefined`: not at all. */
  drainMs: number | undefined;
  /** A stream whose provider fails after its first content goes on at the next target. */
  continuesStreams: boolean;
  hedge: Hedge | undefined;
  set: SetEntry;
  /** What a second is worth, in nanodollars. */
  valueOfSecondNanoUsd: number | undefined;
  deny: { status: number; message: string } | undefined;
  /** The caller may narrow the choice (OpenRouter's `provider` object, `:floor`, `:nitro`). */
  callerMayNarrow: boolean;
  /** A refusal by a provider's content policy may be tried elsewhere. */
  /** A bound on the answer that no budget covers is lowered to what one does. */
  lowersMaxTokens: boolean;
  mayPassFilter: boolean;
  /** In the time zone of its file. */
  clock: Clock;
}

/** A call that is slow to answer gets a rival at the next target. */
export interface Hedge {
  /** So many ms after its start, or when it has taken longer than 95 of 100 do. */
  after: number | "p95";
  /** Of the rule's requests, at most. */
  share: number;
}

export interface RuleTarget {
  use: string;
  weight: number;
  quality: number | undefined;
  set: SetEntry;
}

export interface Timeouts {
  connectMs?: number | undefined;
  firstByteMs?: number | undefined;
  idleMs?: number | undefined;
  contentIdleMs?: number | undefined;
  totalMs?: number | undefined;
}

export interface RuleSet {
  aliases: ReadonlyMap<string, readonly string[]>;
  rules: readonly Rule[];
  /** Those that speak about the model, in the same order. */
  rulesFor(model: string): readonly Rule[];
  /** As written, in the order read: for lint and for telling what an edit changed. */
  files: readonly ReadFile[];
}

export type ReadFile = Checked<RuleFile>;

/** What is wrong with a target that is no alias, or `undefined` when it may be named. */
export type TargetProblem = (target: string) => string | undefined;

/** Compiles the files of a rules folder, in the order given. Either everything holds or nothing does. */
export function compile(files: Source[], problemOf: TargetProblem): RuleSet | { errors: FileError[] } {
  const errors: FileError[] = [];
  const aliases = new Map<string, string[]>();
  const rules: Rule[] = [];
  const names = new Set<string>();
  const checked: ReadFile[] = [];
  for (const source of files) {
    const read = readYaml(source, RULE_FILE);
    if ("errors" in read) errors.push(...read.errors);
    else checked.push(read);
  }
  const shared = { condition: once(compileCondition), clock: once(clockIn) };
  for (const read of checked) collect(read, { aliases, rules, names, errors, ...shared });
  // Targets last: an alias may be defined in a later file than the rule that names it.
  for (const read of checked) checkTargets(read, aliases, problemOf, errors);
  return errors.length > 0 ? { errors } : { aliases, rules, rulesFor: rulesByModel(rules), files: checked };
}

/** Names that callers ask for are few; those who make them up must not fill the memory. */
const MODELS_KEPT_MAX = 1_000;
const MODEL_CHARS_MAX = 200;

function rulesByModel(rules: readonly Rule[]): RuleSet["rulesFor"] {
  const kept = new Lru<readonly Rule[]>(MODELS_KEPT_MAX);
  const about = (model: string) => rules.filter((rule) => rule.matches(model));
  return (model) => (model.length > MODEL_CHARS_MAX ? about(model) : kept.touch(model, () => about(model)));
}

/** Rules that say the same share what it is compiled to, so that what it comes to need not be found out for each. */
function once<T>(make: (text: string) => T): (text: string) => T {
  const made = new Map<string, T>();
  return (text) => {
    const found = made.get(text) ?? make(text);
    made.set(text, found);
    return found;
  };
}

interface Collected {
  aliases: Map<string, string[]>;
  rules: Rule[];
  names: Set<string>;
  errors: FileError[];
  condition: typeof compileCondition;
  clock: typeof clockIn;
}

function collect(read: ReadFile, { aliases, rules, names, errors, ...compiled }: Collected): void {
  for (const [alias, targets] of Object.entries(read.value.aliases)) {
    if (aliases.has(alias)) errors.push(read.at(["aliases", alias], `alias "${alias}" is defined twice.`));
    aliases.set(alias, targets);
  }
  const clock = compiled.clock(read.value.timezone ?? "UTC");
  for (const [index, rule] of read.value.rules.entries()) {
    const at = (key: string, message: string) => read.at(["rules", index, key], `rule "${rule.name}": ${message}`);
    if (names.has(rule.name)) errors.push(at("name", "another rule has the same name."));
    names.add(rule.name);
    errors.push(...ineffective(rule, at));
    const when = rule.when === undefined ? undefined : compiled.condition(rule.when);
    if (when !== undefined && "error" in when) errors.push(at("when", when.error));
    else rules.push(toRule(rule, when, clock));
  }
}

/** Keys that would have no effect are errors: whoever wrote them believes that they have one. */
function ineffective(rule: RuleEntry, at: (key: string, message: string) => FileError): FileError[] {
  const errors: FileError[] = [];
  const targets = [...(rule.from ?? []), ...(rule.fallback ?? []).flat()];
  if (rule.deny === undefined && rule.from === undefined) {
    errors.push(at("name", "it needs `from` (where requests go) or `deny` (that they are refused)."));
  }
  const idle = [
    "from",
    "fallback",
    "pick",
    "require",
    "attempts",
    "timeouts",
    "queue",
    "affinity",
    "on_client_abort",
    "stream_failover",
    "hedge",
    "set",
    "value_of_time",
    "affordable_max_tokens",
    "on_filter",
    "caller_overrides",
  ] as const;
  for (const key of rule.deny === undefined ? [] : idle) {
    if (rule[key] !== undefined) errors.push(at(key, `\`${key}\` has no effect beside \`deny\`.`));
  }
  if (rule.pick !== "weighted" && targets.some((target) => typeof target === "object" && target.weight !== undefined)) {
    errors.push(at("pick", "a `weight` has an effect only with `pick: weighted`."));
  }
  if (rule.value_of_time !== undefined && rule.pick !== undefined && rule.pick !== "balanced") {
    errors.push(at("value_of_time", "it has an effect only with `pick: balanced`."));
  }
  const isRated = targets.some((target) => typeof target === "object" && target.quality !== undefined);
  if (rule.require?.quality !== undefined && !isRated) {
    errors.push(at("require", "`quality` needs targets with a `quality` of their own: { use: …, quality: 8 }."));
  }
  if (rule.require?.quality === undefined && isRated) {
    errors.push(at("from", "a `quality` has an effect only with `require: { quality: … }`."));
  }
  if (rule.hedge !== undefined && rule.attempts === 1) {
    errors.push(at("hedge", "it is a second attempt, so it has no effect with `attempts: 1`."));
  }
  if (rule.hedge?.after === 0 && rule.require?.max_cost === undefined) {
    const bound = "say what a request may cost at each with `require: { max_cost: $0.05 }`";
    errors.push(at("hedge", `\`after: 0ms\` asks two targets at once, and both are paid: ${bound}.`));
  }
  if (rule.affinity?.by === "none" && rule.affinity.ttl !== undefined) {
    errors.push(at("affinity", "`ttl` has no effect with `by: none`."));
  }
  return errors;
}

export type Priority = (typeof PRIORITIES)[number];
export const DEFAULT_PRIORITY: Priority = "default";
export const MAX_WAIT_MS: Readonly<Record<Priority, number>> = {
  interactive: 10_000,
  default: 30_000,
  batch: 600_000,
};

function toRule(rule: RuleEntry, when: Condition | undefined, clock: Clock): Rule {
  const { connect, first_byte, idle, content_idle, total } = rule.timeouts ?? {};
  return {
    name: rule.name,
    matches: globMatcher(rule.model),
    when,
    pick: rule.pick ?? "balanced",
    tiers: tiersOf(rule).map((tier) => tier.map(toRuleTarget)),
    require: rule.require ?? {},
    attempts: rule.attempts,
    timeouts: {
      connectMs: connect,
      firstByteMs: first_byte,
      idleMs: idle,
      contentIdleMs: content_idle,
      totalMs: total,
    },
    priority: rule.queue?.priority ?? DEFAULT_PRIORITY,
    maxWaitMs: rule.queue?.max_wait ?? MAX_WAIT_MS[rule.queue?.priority ?? DEFAULT_PRIORITY],
    isMaxWaitAdapted: rule.queue?.max_wait === undefined && (rule.queue?.priority ?? "default") === "default",
    affinity: rule.affinity?.by !== "none",
    affinityTtlMs: rule.affinity?.ttl,
    drainMs: drainMsOf(rule.on_client_abort),
    continuesStreams: rule.stream_failover === "continue",
    hedge: rule.hedge && { after: rule.hedge.after, share: rule.hedge.max ?? HEDGE_SHARE },
    set: rule.set ?? {},
    valueOfSecondNanoUsd: rule.value_of_time,
    deny: rule.deny === undefined ? undefined : { status: rule.deny.status ?? 403, message: rule.deny.message },
    lowersMaxTokens: rule.affordable_max_tokens === true,
    mayPassFilter: rule.on_filter === "next",
    callerMayNarrow: rule.caller_overrides !== "deny",
    clock,
  };
}

const HEDGE_SHARE = 0.02;
const DRAIN_MS = 20_000;

function drainMsOf(entry: RuleEntry["on_client_abort"]): number | undefined {
  if (entry === undefined || entry === "cancel") return undefined;
  return entry === "drain" ? DRAIN_MS : entry.drain;
}

/** `from`, then `fallback` as written: single targets next to one another are one tier, each list is one of its own. */
function tiersOf({ from = [], fallback = [] }: RuleEntry): TargetEntry[][] {
  const tiers = [from];
  let single: TargetEntry[] | undefined;
  for (const item of fallback) {
    if (Array.isArray(item)) {
      tiers.push(item);
      single = undefined;
    } else if (single === undefined) {
      single = [item];
      tiers.push(single);
    } else {
      single.push(item);
    }
  }
  return tiers.filter((tier) => tier.length > 0);
}

function toRuleTarget(target: TargetEntry): RuleTarget {
  if (typeof target === "string") return { use: target, weight: 1, quality: undefined, set: {} };
  return { use: target.use, weight: target.weight ?? 1, quality: target.quality, set: target.set ?? {} };
}

function nameOf(target: TargetEntry): string {
  return typeof target === "string" ? target : target.use;
}

function checkTargets(
  read: ReadFile,
  aliases: ReadonlyMap<string, readonly string[]>,
  problemOf: TargetProblem,
  errors: FileError[],
): void {
  const check = (target: string, path: PropertyKey[]) => {
    const problem = aliases.has(target) ? undefined : problemOf(target);
    if (problem === undefined) return;
    const close = nearest(target, aliases.keys(), 1)[0];
    const hint = close === undefined ? "" : ` There is an alias "${close}".`;
    errors.push(read.at(path, problem + hint));
  };
  for (const [alias, targets] of Object.entries(read.value.aliases)) {
    for (const [index, target] of targets.entries()) check(target, ["aliases", alias, index]);
    const circle = circleFrom(alias, aliases);
    if (circle === undefined) continue;
    const message = `alias "${alias}" refers to itself: ${circle.join(" -> ")}.`;
    errors.push(read.at(["aliases", alias], message));
  }
  for (const [rule, { from, fallback }] of read.value.rules.entries()) {
    for (const [index, target] of (from ?? []).entries()) check(nameOf(target), ["rules", rule, "from", index]);
    for (const [index, item] of (fallback ?? []).entries()) {
      const path = ["rules", rule, "fallback", index];
      if (!Array.isArray(item)) check(nameOf(item), path);
      else for (const [inner, target] of item.entries()) check(nameOf(target), [...path, inner]);
    }
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

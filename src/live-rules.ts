// The rules in force: read from the configured folder, compiled over the configured providers, followed while the router runs.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Catalog } from "./catalog.ts";
import type { Config } from "./config.ts";
import { type Reading, readRulesFolder } from "./live-rules/folder.ts";
import { type LiveRules, watchRules } from "./live-rules/watch.ts";
import { nearest } from "./nearest.ts";
import { packageRoot } from "./package-root.ts";
import { changesBetween, changesText } from "./routing/changes.ts";
import { type Finding, lint } from "./routing/lint.ts";
import { compile } from "./routing/rules.ts";
import { buildSnapshot, type Snapshot } from "./routing/snapshot.ts";
import { type FileError, formatFileError, type Source } from "./yaml.ts";

/** What rules are checked against. */
export interface RulesWorld {
  config: Config;
  catalog: Catalog;
  /** Built-in providers, enabled or not: a rule may name them. */
  knownIds: readonly string[];
}

/** ./routing-rules where it exists, else the rules that come with the package. */
export function rulesDirOf(config: Config): string {
  if (config.rulesDir !== undefined) return config.rulesDir;
  return existsSync("routing-rules") ? "routing-rules" : join(packageRoot(), "routing-rules");
}

/** What was read of a folder as a snapshot, or everything that is wrong with it. */
export function buildRules(
  world: RulesWorld,
  { sources, errors }: Reading,
): { value: Snapshot } | { errors: FileError[] } {
  if (errors.length > 0) return { errors };
  const { config, catalog } = world;
  const rules = compile(sources, (target) => targetProblem(target, world));
  if ("errors" in rules) return rules;
  const { providers, disabled } = config;
  const rulesText = JSON.stringify(sources);
  return { value: buildSnapshot({ rules, rulesText, providers, disabled, catalogVersion: catalog.version }) };
}

/** Reads the rules, says what is odd about them, and follows every later edit. */
export function followRules(
  world: RulesWorld,
  { log, nowMs }: { log(message: string): void; nowMs(): number },
): LiveRules<Snapshot> | { errors: FileError[]; sources: Source[] } {
  const dir = rulesDirOf(world.config);
  const reading = readRulesFolder(dir);
  const built = buildRules(world, reading);
  if ("errors" in built) return { ...built, sources: reading.sources };
  const warn = warner(world, log);
  warn(built.value);
  return watchRules({
    dir,
    first: { value: built.value, sources: reading.sources },
    build: (sources) => buildRules(world, { sources, errors: [] }),
    describe: (before, after) => `${changesText(changesBetween(before.rules, after.rules))} (snapshot ${after.id})`,
    onChange: warn,
    log,
    nowMs,
  });
}

/** Logs each warning once: after an edit only what the edit brought. */
function warner(world: RulesWorld, log: (message: string) => void): (snapshot: Snapshot) => void {
  let told = new Set<string>();
  return (snapshot) => {
    const lines = new Map(warningLines(lintRules(world, snapshot)).map((line) => [withoutPlace(line), line]));
    for (const [text, line] of lines) if (!told.has(text)) log(line);
    told = new Set(lines.keys());
  };
}

/** A line that was only pushed down is no news. */
function withoutPlace(line: string): string {
  return line.replace(/:\d+:\d+ {2}/, "  ");
}

/** What is odd about rules that hold; models of providers that are not enabled here count as models. */
export function lintRules({ config, catalog }: RulesWorld, snapshot: Snapshot): Finding[] {
  const ids = [...config.providers.keys(), ...config.disabled.keys()];
  const models = new Set(ids.flatMap((id) => [...(config.providers.get(id)?.models ?? catalog.models(id)).keys()]));
  return lint(snapshot, (name) => models.has(name));
}

const WARNINGS_MAX = 50;

/** One file serves machines with different keys: that targets are passed over is worth one line, not one for each. */
function warningLines(findings: Finding[]): string[] {
  const worth = findings.filter(({ code }) => code !== "not_enabled");
  const lines = worth.slice(0, WARNINGS_MAX).map((finding) => `Warning: ${formatFileError(finding)}`);
  const left = findings.length - lines.length;
  if (left === 0) return lines;
  const passedOver = findings.length - worth.length;
  const about = passedOver === left ? "targets passed over here" : "further warnings";
  return [...lines, `Rules: ${left} ${about}; "signalbox rules check" lists them.`];
}

/** A rule may name providers that are not enabled here, but not ones that do not exist. */
function targetProblem(target: string, { config, catalog, knownIds }: RulesWorld): string | undefined {
  const ids = [...config.providers.keys(), ...config.disabled.keys(), ...knownIds];
  const slash = target.indexOf("/");
  if (slash > 0 && ids.includes(target.slice(0, slash))) return undefined;
  const models = ids.flatMap((id) => [...(config.providers.get(id)?.models ?? catalog.models(id)).keys()]);
  if (models.includes(target)) return undefined;
  const close = slash > 0 ? nearest(target.slice(0, slash), ids, 3) : nearest(target, models, 3);
  const hint = close.length === 0 ? "" : ` Did you mean ${close.join(" or ")}?`;
  const what = slash > 0 ? `there is no provider "${target.slice(0, slash)}"` : "no provider has this model";
  return `target "${target}": ${what}.${hint} A target is an alias, provider/model or a model of the catalogue.`;
}

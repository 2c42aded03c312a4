// `signalbox rules check | diff | schema`: rules before they meet a request.
import type { Environment } from "../config.ts";
import { showFileErrors } from "../excerpt.ts";
import { createFleet } from "../fleet.ts";
import { readRulesFolder } from "../live-rules/folder.ts";
import { buildRules, lintRules, type RulesWorld, rulesDirOf } from "../live-rules.ts";
import { diffRules, type RulesDiff } from "../routing/diff.ts";
import { diffText } from "../routing/diff-text.ts";
import { rulesJsonSchema } from "../routing/json-schema.ts";
import type { Finding } from "../routing/lint.ts";
import type { Snapshot } from "../routing/snapshot.ts";
import { readSettings, StartError, worldOf } from "../settings.ts";
import type { FileError, Source } from "../yaml.ts";
import { type Printed, parse, UsageError } from "./arguments.ts";

const HELP = `signalbox rules: check routing rules, and show what an edit of them changes.

Usage: signalbox rules check [DIR] [--json] [--config FILE]
       signalbox rules diff OLD-DIR NEW-DIR [--json] [--config FILE]
       signalbox rules schema

  check          All mistakes and warnings, each with its line. Exit code 1 when there is a mistake, 0 otherwise.
                 DIR is the folder the router would use, unless given.
  diff           For every model name and a few kinds of request (plain, tools, images, long prompt, json_schema): where
                 it goes now and where it would go. Only what differs is printed.
  schema         The JSON schema of a rule file, for editors.
  --json         One JSON document
  --config FILE  Configuration (SIGNALBOX_CONFIG)      default ./signalbox.yaml, if there
  -h, --help     This text

Targets are judged by the providers that are enabled here: their keys in the environment, as for serve.
`;

export function rules(args: string[], env: Environment, nowMs: number): string | Printed {
  const { values, positionals } = parse(args, {
    json: { type: "boolean", default: false },
    config: { type: "string" },
    rules: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  const [action, ...dirs] = positionals;
  if (values.help || action === undefined) return HELP;
  if (action === "schema") return `${JSON.stringify(rulesJsonSchema(), null, 2)}\n`;
  if (action !== "check" && action !== "diff") {
    throw new UsageError(`"rules ${action}" is not a command. Commands: rules check, rules diff, rules schema.`);
  }
  const { config, catalog } = readSettings({ flags: values, env });
  const world = worldOf(config, catalog);
  if (action === "check") {
    if (dirs.length > 1) throw new UsageError(`rules check: expected one folder; found ${dirs.length}.`);
    return check(world, dirs[0] ?? rulesDirOf(config), values.json);
  }
  const [before, after] = dirs;
  if (before === undefined || after === undefined || dirs.length > 2) {
    throw new UsageError(`rules diff: expected two folders, the old and the new rules; found ${dirs.length}.`);
  }
  const found = diff(world, nowMs, before, after);
  return values.json ? `${JSON.stringify(found, null, 2)}\n` : diffText(found);
}

function check(world: RulesWorld, dir: string, asJson: boolean): Printed {
  const reading = readRulesFolder(dir);
  const built = buildRules(world, reading);
  const errors = "errors" in built ? built.errors : [];
  const warnings = "errors" in built ? [] : lintRules(world, built.value);
  const exitCode = errors.length > 0 ? 1 : 0;
  if (asJson) return { text: `${JSON.stringify({ dir, errors, warnings }, null, 2)}\n`, exitCode };
  if ("errors" in built) {
    const text = `${showFileErrors(errors, reading.sources, 0, errors.length)}\n\n${dir}: ${count(errors, "mistake")}.\n`;
    return { text, exitCode };
  }
  const { rules: all, aliases } = built.value.rules;
  const sum = `${dir}: ${all.length} rules and ${aliases.size} aliases hold, ${count(warnings, "warning")}.\n`;
  return { text: `${warningsText(warnings, reading.sources)}${sum}`, exitCode };
}

function warningsText(warnings: Finding[], sources: Source[]): string {
  if (warnings.length === 0) return "";
  const named = warnings.map((finding) => ({ ...finding, message: `${finding.message} [${finding.code}]` }));
  return `${showFileErrors(named, sources, 0, named.length)}\n\n`;
}

function count(found: FileError[], what: string): string {
  return `${found.length === 0 ? "no" : found.length} ${what}${found.length === 1 ? "" : "s"}`;
}

function diff(world: RulesWorld, nowMs: number, before: string, after: string): RulesDiff {
  return diffRules({
    before: snapshotOf(world, before),
    after: snapshotOf(world, after),
    // Nothing measured: what differs then is what the rules say, not what the day brought.
    fleet: createFleet({ nowMs: () => nowMs }),
    nowMs,
  });
}

function snapshotOf(world: RulesWorld, dir: string): Snapshot {
  const reading = readRulesFolder(dir);
  const built = buildRules(world, reading);
  if (!("errors" in built)) return built.value;
  throw new StartError(`The rules in ${dir} cannot be used:\n${showFileErrors(built.errors, reading.sources, 2)}`);
}

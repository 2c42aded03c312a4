// `signalbox usage`: the ledger summed up.
import type { Environment } from "../config.ts";
import { formatCsv } from "../csv.ts";
import { formatUsd } from "../pricing.ts";
import { readSettings } from "../settings.ts";
import { readUsage } from "../store/reports.ts";
import {
  SUM_NAMES,
  USAGE_GROUPINGS,
  type UsageGroup,
  type UsageGrouping,
  type UsageSummary,
  type UsageSums,
} from "../store/usage.ts";
import { table } from "../table.ts";
import { parse, UsageError } from "./arguments.ts";
import {
  bigJson,
  FILTER_HELP,
  FILTER_OPTIONS,
  filtersOf,
  PLACE_OPTIONS,
  reported,
  TIME_HELP,
  TIME_OPTIONS,
  timeOf,
  timeText,
} from "./report-options.ts";
import { waste } from "./waste.ts";
import { instead, savings } from "./what-if.ts";

const USAGE_HELP = `signalbox usage: what was used and what it cost, from the ledger. Works while the router runs.

Usage: signalbox usage [--since 24h] [--by day,model] [--key K …] [--csv | --json]
       signalbox usage --instead openai/gpt-6-luna [--by team …]
       signalbox usage savings | waste   What choosing saved, by rule; what was paid for nothing (each with --help)

Options:
${TIME_HELP}
                 default of --since: 24h
  --by A[,B]     One or two of model, provider, key, team, organisation, tag, rule, day, hour   default model
${FILTER_HELP}
  --instead P/M  What the same tokens would have cost at that model's prices, and the difference
  --csv          RFC 4180, without the line of totals; costs in dollars
  --json         One JSON array; costs in integer nanodollars
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  -h, --help     This text

"cost" is what is known exactly. "estimated" is what attempts of unknown cost will have cost, about or at the most. "unpriced"
attempts have no known cost; the outcome of "unknown" ones died with the process.
By model, provider or rule "requests" are those that were tried there; else all, those refused untried included. A request
with two tags counts under both, and once in the totals.
`;

export function usage(args: string[], env: Environment, nowMs: number): string {
  if (args[0] === "savings") return savings(args.slice(1), env, nowMs);
  if (args[0] === "waste") return waste(args.slice(1), env, nowMs);
  const { values, positionals } = parse(args, {
    ...TIME_OPTIONS,
    ...FILTER_OPTIONS,
    ...PLACE_OPTIONS,
    by: { type: "string", default: "model" },
    instead: { type: "string" },
    json: { type: "boolean", default: false },
    csv: { type: "boolean", default: false },
  });
  if (values.help) return USAGE_HELP;
  if (positionals.length > 0) throw new UsageError(`"${positionals[0]}" is not a report; there are savings and waste.`);
  if (values.csv && values.json) throw new UsageError("--csv and --json: choose one.");
  const by = groupingsOf(values.by);
  const time = timeOf(values, nowMs, "24h");
  const filters = filtersOf(values);
  const settings = readSettings({ flags: values, env });
  if (values.instead !== undefined) {
    const form = values.json ? "json" : values.csv ? "csv" : "table";
    return instead({ settings, target: values.instead, time, by, filters, form });
  }
  const summary = reported(() => readUsage(settings.config.dataDir, { ...time, nowMs, by, filters }));
  if (values.json) return bigJson(summary.rows.map((row) => jsonRow(row, by)));
  if (values.csv) return formatCsv([csvHeader(by), ...summary.rows.map(csvRow)]);
  return printed(summary, by);
}

/** Throws a UsageError for what is not one or two groupings. */
export function groupingsOf(text: string): UsageGrouping[] {
  const by = text.split(",").map((name) => {
    const grouping = USAGE_GROUPINGS.find((candidate) => candidate === name.trim());
    if (grouping === undefined) throw new UsageError(`--by: "${name}" is not one of ${USAGE_GROUPINGS.join(", ")}.`);
    return grouping;
  });
  if (by.length > 2 || new Set(by).size < by.length) {
    throw new UsageError(`--by: expected one grouping or two different ones; found "${text}".`);
  }
  return by;
}

function jsonRow({ groups, ...sums }: UsageGroup, by: readonly UsageGrouping[]): object {
  const named = by.length === 1 ? { group: groups[0] } : Object.fromEntries(by.map((name, at) => [name, groups[at]]));
  return { ...named, ...sums };
}

const CSV_NAMES: Record<keyof UsageSums, string> = {
  requests: "requests",
  attempts: "attempts",
  failedAttempts: "failed_attempts",
  inputTokens: "input_tokens",
  cacheReadTokens: "cache_read_tokens",
  cacheWriteTokens: "cache_write_tokens",
  outputTokens: "output_tokens",
  costNanoUsd: "cost_usd",
  estimatedNanoUsd: "estimated_usd",
  unpricedAttempts: "unpriced_attempts",
  unknownAttempts: "unknown_attempts",
};

function csvHeader(by: readonly UsageGrouping[]): string[] {
  return [...by, ...SUM_NAMES.map((name) => CSV_NAMES[name])];
}

function csvRow(row: UsageGroup): string[] {
  return [...row.groups, ...cells(row)];
}

function cells(sums: UsageSums): string[] {
  return SUM_NAMES.map((name) => (name.endsWith("NanoUsd") ? formatUsd(sums[name]) : String(sums[name])));
}

const TABLE_NAMES = [
  ...["requests", "attempts", "failed", "input", "cached", "written", "output", "cost $", "estimated $"],
  ...["unpriced", "unknown"],
];

function printed({ rows, totals, range }: UsageSummary, by: readonly UsageGrouping[]): string {
  if (rows.length === 0) return `No calls in this part of the ledger (${timeText(range)}).\n`;
  const header = [...by, ...TABLE_NAMES];
  const body = rows.map(csvRow);
  const foot = ["total", ...by.slice(1).map(() => ""), ...cells(totals)];
  return `${table([header, ...body, foot], by.length)}${timeText(range)}\n`;
}

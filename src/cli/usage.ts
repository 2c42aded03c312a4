// `signalbox usage`: the ledger summed up.
import type { Environment } from "../config.ts";
import { formatUsd } from "../pricing.ts";
import { readSettings, StartError } from "../settings.ts";
import { USAGE_GROUPINGS, type UsageOptions, type UsageRow, usageReport } from "../store/reports.ts";
import { table } from "../table.ts";
import { parseDurationMs } from "../units.ts";
import { parse, UsageError } from "./arguments.ts";

const USAGE_HELP = `signalbox usage: what was used and what it cost, from the ledger. Works while the router runs.

Usage: signalbox usage [--since 24h] [--by model] [--json] [--data DIR] [--config FILE]

Options:
  --since AGE    How far back: 90m, 24h, 7d …             default 24h
  --by WHAT      model, provider, key, team, tag, rule, day or hour (UTC)   default model
  --json         One JSON array; costs in integer nanodollars
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  -h, --help     This text
`;

export function usage(args: string[], env: Environment, nowMs: number): string {
  const { values } = parse(args, {
    since: { type: "string", default: "24h" },
    by: { type: "string", default: "model" },
    json: { type: "boolean", default: false },
    data: { type: "string" },
    config: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return USAGE_HELP;
  const by = USAGE_GROUPINGS.find((grouping) => grouping === values.by);
  if (by === undefined) throw new UsageError(`--by: "${values.by}" is not one of ${USAGE_GROUPINGS.join(", ")}.`);
  const ageMs = parseDurationMs(values.since);
  if (ageMs === undefined)
    throw new UsageError(`--since: expected an age such as 90m, 24h or 7d; found "${values.since}".`);
  const { config } = readSettings({ flags: values, env });
  const rows = readUsage({ dir: config.dataDir, sinceMs: nowMs - ageMs, nowMs, by });
  if (values.json) return `${JSON.stringify(rows, null, 2)}\n`;
  if (rows.length === 0) return `No calls in the last ${values.since}.\n`;
  const header = [
    by,
    "requests",
    "attempts",
    "failed",
    "input",
    "cached",
    "written",
    "output",
    "cost $",
    "estimated $",
    "unpriced",
    "unknown",
  ];
  const cells = rows.map((row) => [
    row.group,
    ...[row.requests, row.attempts, row.failedAttempts, row.inputTokens, row.cacheReadTokens].map(String),
    ...[row.cacheWriteTokens, row.outputTokens].map(String),
    formatUsd(row.costNanoUsd),
    formatUsd(row.estimatedNanoUsd),
    ...[row.unpricedAttempts, row.unknownAttempts].map(String),
  ]);
  return table([header, ...cells]);
}

/** What goes wrong here is for the operator (no ledger yet, made by a newer version): a line, not a stack. */
function readUsage(options: UsageOptions): UsageRow[] {
  try {
    return usageReport(options);
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

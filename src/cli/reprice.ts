// `signalbox reprice`: what was booked, at the prices of now.
import type { Environment } from "../config.ts";
import { formatUsd } from "../pricing.ts";
import { readSettings } from "../settings.ts";
import { type Repriced, reprice as repriceRows } from "../store/reprice.ts";
import { table } from "../table.ts";
import { parse, UsageError } from "./arguments.ts";
import { pricerOf, pricesNow } from "./prices.ts";
import {
  FILTER_OPTIONS,
  filtersOf,
  PLACE_OPTIONS,
  reported,
  TIME_HELP,
  TIME_OPTIONS,
  timeOf,
  timeText,
} from "./report-options.ts";

const HELP = `signalbox reprice: work out again what calls cost, with the prices of now, and correct the ledger.

Usage: signalbox reprice --since 2026-11-01 [--until …] [--model 'openai/gpt-*'] [--dry-run]

Options:
${TIME_HELP}
  --model M      Only these: a model or provider/model, "*" for any characters; may be given twice
  --provider P   Only these
  --dry-run      Print the differences, write nothing
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  --config FILE  Configuration: its prices and discounts count   default ./signalbox.yaml, if there
  -h, --help     This text

From the tokens that were booked; rows whose price was unknown become priced. What the provider itself said it charged, and
what cost nothing, stays. Providers that are not enabled here are left out: run it with the environment of the router. Works
while the router runs, and may be interrupted and done again; budgets count the new costs from the next start on.
`;

export function reprice(args: string[], env: Environment, nowMs: number): string {
  const { model, provider } = FILTER_OPTIONS;
  const spec = {
    ...TIME_OPTIONS,
    ...PLACE_OPTIONS,
    model,
    provider,
    "dry-run": { type: "boolean", default: false },
  } as const;
  const { values } = parse(args, spec);
  if (values.help) return HELP;
  if (values.since === undefined) throw new UsageError("--since: say from when on, such as 30d or 2026-11-01.");
  const time = timeOf(values, nowMs, values.since);
  const settings = readSettings({ flags: values, env });
  const prices = pricesNow(settings);
  const isDry = values["dry-run"];
  const rows = reported(() =>
    repriceRows(settings.config.dataDir, {
      ...time,
      filters: filtersOf(values),
      isDry,
      price: pricerOf(prices),
    }),
  );
  if (rows.length === 0) return `No priced calls in this time (${timeText(time)}).\n`;
  const notEnabled = [...new Set(rows.map((row) => row.provider))].filter((id) => !prices.isEnabled(id));
  const done = isDry ? "Nothing was written (--dry-run)." : "The ledger is corrected.";
  const left = notEnabled.length === 0 ? "" : ` Not enabled here, so left as they are: ${notEnabled.join(", ")}.`;
  return `${printed(rows)}${timeText(time)}. ${done}${left}\n`;
}

function printed(rows: readonly Repriced[]): string {
  const header = ["model", "attempts", "changed", "newly priced", "no price", "before $", "after $", "difference $"];
  const cells = rows.map((row) => [
    `${row.provider}/${row.model}`,
    ...[row.attempts, row.changed, row.priced, row.leftOut].map(String),
    ...[row.beforeNanoUsd, row.afterNanoUsd, row.afterNanoUsd - row.beforeNanoUsd].map(formatUsd),
  ]);
  const sum = (of: (row: Repriced) => number) => String(rows.reduce((total, row) => total + of(row), 0));
  const before = rows.reduce((total, row) => total + row.beforeNanoUsd, 0n);
  const after = rows.reduce((total, row) => total + row.afterNanoUsd, 0n);
  const counts = [
    sum((row) => row.attempts),
    sum((row) => row.changed),
    sum((row) => row.priced),
    sum((row) => row.leftOut),
  ];
  return table([header, ...cells, ["total", ...counts, ...[before, after, after - before].map(formatUsd)]]);
}

// `signalbox usage --instead` and `signalbox usage savings`: what the traffic would have cost elsewhere.
import type { Environment } from "../config.ts";
import { formatCsv } from "../csv.ts";
import { formatUsd } from "../pricing.ts";
import { readSettings, type Settings } from "../settings.ts";
import type { UsageFilters } from "../store/filters.ts";
import { reading } from "../store/reader.ts";
import type { UsageGrouping } from "../store/usage.ts";
import { type Instead, type InsteadRow, insteadReport, savingsByRule } from "../store/what-if.ts";
import { table } from "../table.ts";
import { parse, UsageError } from "./arguments.ts";
import { costOf, pricesNow } from "./prices.ts";
import {
  type AskedTime,
  bigJson,
  PLACE_OPTIONS,
  reported,
  TIME_HELP,
  TIME_OPTIONS,
  timeOf,
  timeText,
} from "./report-options.ts";

/** Rows one report reads; the newest ones where there are more. */
const ROWS_MAX = 2_000_000;

export interface InsteadAsked {
  settings: Settings;
  /** provider/model */
  target: string;
  time: AskedTime;
  by: readonly UsageGrouping[];
  filters: UsageFilters;
  form: "table" | "csv" | "json";
}

export function instead({ settings, target, time, by, filters, form }: InsteadAsked): string {
  const slash = target.indexOf("/");
  const prices = pricesNow(settings);
  const rates = slash > 0 ? prices.listed(target.slice(0, slash), target.slice(slash + 1)) : undefined;
  if (rates === undefined) {
    const like = prices.like(target);
    const hint = like.length === 0 ? "" : ` Did you mean ${like.join(", ")}?`;
    throw new UsageError(`--instead: expected provider/model with a price in the catalogue; found "${target}".${hint}`);
  }
  const price = (usage: Parameters<typeof costOf>[0], atMs: number) => costOf(usage, rates, atMs);
  const report = reported(() =>
    reading(settings.config.dataDir, (db) => insteadReport(db, { ...time, by, filters, price, limit: ROWS_MAX })),
  );
  if (form === "json") return bigJson(report);
  const rows = report.rows.map(insteadCells);
  const header = [...by, "compared", "cost_usd", "instead_usd", "difference_usd", "left_out"];
  if (form === "csv") return formatCsv([header, ...rows]);
  const heads = [...by, "compared", "cost $", `${target} $`, "difference $", "left out"];
  const foot = ["total", ...by.slice(1).map(() => ""), ...insteadCells({ ...report.total, groups: [] })];
  return `${table([heads, ...rows, foot], by.length)}${lookedText(report, time)}
The same tokens at that model's prices; it would count and write others. Left out: cost or tokens unknown.
`;
}

function insteadCells({ groups, compared, costNanoUsd, insteadNanoUsd, leftOut }: InsteadRow): string[] {
  const money = [costNanoUsd, insteadNanoUsd, insteadNanoUsd - costNanoUsd].map(formatUsd);
  return [...groups, String(compared), ...money, String(leftOut)];
}

function lookedText({ lookedAt, isCut }: Pick<Instead, "lookedAt" | "isCut">, time: AskedTime): string {
  const cut = isCut ? ", the newest: there are more" : "";
  return `${timeText(time)}; ${lookedAt} rows looked at${cut}.`;
}

const SAVINGS_HELP = `signalbox usage savings: what choosing saved, by rule.

Usage: signalbox usage savings [--since 7d] [--json]

Options:
${TIME_HELP}
                 default of --since: 7d
  --json         As JSON; money in integer nanodollars
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  -h, --help     This text

"expected" and "dearest" are what the candidate that answered and the dearest one that was allowed were expected to cost
before the call, by the same estimate; "cost" is what was paid in fact. Requests for which fewer than two were weighed by
cost are left out.
`;

export function savings(args: string[], env: Environment, nowMs: number): string {
  const { values } = parse(args, { ...TIME_OPTIONS, ...PLACE_OPTIONS, json: { type: "boolean", default: false } });
  if (values.help) return SAVINGS_HELP;
  const time = timeOf(values, nowMs, "7d");
  const { config } = readSettings({ flags: values, env });
  const report = reported(() => reading(config.dataDir, (db) => savingsByRule(db, { ...time, limit: ROWS_MAX })));
  if (values.json) return bigJson(report);
  const header = ["rule", "compared", "cost $", "expected $", "dearest $", "saved $", "left out"];
  const rows = report.rows.map(({ rule, compared, costNanoUsd, takenNanoUsd, dearestNanoUsd, leftOut }) => [
    rule === "" ? "(none)" : rule,
    String(compared),
    ...[costNanoUsd, takenNanoUsd, dearestNanoUsd, dearestNanoUsd - takenNanoUsd].map(formatUsd),
    String(leftOut),
  ]);
  return `${table([header, ...rows])}${lookedText(report, time)}\n`;
}

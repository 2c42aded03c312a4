// `signalbox reconcile`: what a provider says it served, against what the ledger has.
import { readFileSync, statSync } from "node:fs";
import type { Environment } from "../config.ts";
import { CsvError } from "../csv.ts";
import { formatUsd } from "../pricing.ts";
import { readSettings, StartError } from "../settings.ts";
import { readUsage } from "../store/reports.ts";
import type { UsageGroup } from "../store/usage.ts";
import { table } from "../table.ts";
import { type Printed, parse, UsageError } from "./arguments.ts";
import {
  type Columns,
  type ExportRow,
  MEASURES,
  type Measure,
  type ProviderExport,
  readExport,
} from "./provider-exports.ts";
import { bigJson, PLACE_OPTIONS, reported, TIME_OPTIONS, timeOf, timeText } from "./report-options.ts";

const HELP = `signalbox reconcile: compare a provider's usage export with the ledger, by day and model.

Usage: signalbox reconcile usage.csv [--provider openai] [--by hour] [--tolerance 0.5%]

Options:
  --provider P   Whose calls of the ledger; the columns tell it for exports of OpenAI and Anthropic
  --columns LIST For other files: time=date,model=name,requests=n,input=fresh+cached,cached=…,written=…,output=…,cost=usd
                 (time and one more are needed; "+" adds columns up; input is the whole prompt; cost is in dollars)
  --by STEP      day or hour (UTC)                          default day
  --since WHEN, --until WHEN   Only this time               default: that of the export
  --tolerance S  A share such as 0.5%                       default 0.5%
  --json         The differences as JSON; costs in integer nanodollars
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)      default ./data
  -h, --help     This text

Exit code 0 when there is no difference, 1 when there is one. Dates at the end of a model's name are not compared.
Requests agree when the provider's number lies between the attempts that succeeded and all that were made.
`;

const EXPORT_BYTES_MAX = 256 * 1024 * 1024;
const STEP_MS = { day: 86_400_000, hour: 3_600_000 };
type Step = keyof typeof STEP_MS;

interface Difference {
  time: string;
  model: string;
  what: Measure;
  provider: bigint;
  ledger: bigint;
  maybe: string;
}

export function reconcile(args: string[], env: Environment, nowMs: number): string | Printed {
  const text = { type: "string" } as const;
  const { values, positionals } = parse(args, {
    ...TIME_OPTIONS,
    ...PLACE_OPTIONS,
    provider: text,
    columns: text,
    by: { type: "string", default: "day" },
    tolerance: { type: "string", default: "0.5%" },
    json: { type: "boolean", default: false },
  });
  if (values.help) return HELP;
  const [path, ...others] = positionals;
  if (path === undefined || others.length > 0) throw new UsageError("Name one file: signalbox reconcile usage.csv");
  const by = values.by === "day" || values.by === "hour" ? values.by : undefined;
  if (by === undefined) throw new UsageError(`--by: expected day or hour; found "${values.by}".`);
  const tolerance = toleranceOf(values.tolerance);
  const file = readFile(path, values.columns === undefined ? undefined : columnsOf(values.columns));
  const provider = values.provider ?? file.provider;
  if (provider === undefined) throw new UsageError("--columns needs --provider: whose calls are these?");
  const range = rangeOf(file, values, nowMs, by);
  const { config } = readSettings({ flags: values, env });
  const ledger = reported(() => {
    const grouping = file.hasModels ? ([by, "model"] as const) : ([by] as const);
    return readUsage(config.dataDir, { ...range, nowMs, by: grouping, filters: { provider: [provider] } });
  });
  const theirs = theirSums(file.rows, range, by);
  const ours = ourSums(ledger.rows, provider);
  const places = [...new Set([...theirs.keys(), ...ours.keys()])].sort();
  const differences = places.flatMap((place) =>
    differencesAt(place, { theirs: theirs.get(place), ours: ours.get(place), measures: file.measures, tolerance }),
  );
  const exitCode = differences.length === 0 ? 0 : 1;
  if (values.json) return { text: bigJson(differences), exitCode };
  const compared = `${places.length} ${file.hasModels ? `${by}s and models` : `${by}s`} of ${provider} compared, ${timeText(range)}`;
  return { text: `${printed(differences)}${compared}: ${differences.length} differences.\n`, exitCode };
}

function toleranceOf(text: string): { millionths: bigint } {
  const match = /^(\d{1,2}(?:\.\d{1,4})?)\s*%$/.exec(text);
  if (match === null) throw new UsageError(`--tolerance: expected a share such as 0.5%; found "${text}".`);
  return { millionths: BigInt(Math.round(Number(match[1]) * 10_000)) };
}

function columnsOf(text: string): Columns {
  const accepted = ["time", "model", ...MEASURES];
  const pairs = text.split(",").map((pair): [string, string[]] => {
    const [name = "", list = ""] = pair.split("=");
    if (accepted.includes(name.trim()) && list !== "") return [name.trim(), list.split("+").map((part) => part.trim())];
    throw new UsageError(`--columns: expected name=column with a name of ${accepted.join(", ")}; found "${pair}".`);
  });
  const { time, ...columns } = Object.fromEntries(pairs);
  if (time === undefined) throw new UsageError('--columns: "time=…" is missing.');
  if (!MEASURES.some((measure) => measure in columns)) {
    throw new UsageError(`--columns: one of ${MEASURES.join(", ")} is needed.`);
  }
  return { time, ...columns };
}

function readFile(path: string, columns: Columns | undefined): ProviderExport {
  try {
    const { size } = statSync(path);
    if (size > EXPORT_BYTES_MAX)
      throw new StartError(`${path} has ${size} bytes; at most ${EXPORT_BYTES_MAX} are read.`);
    return readExport(readFileSync(path, "utf8"), columns);
  } catch (error) {
    if (error instanceof CsvError) throw new StartError(`${path}: ${error.message}.`);
    if (error instanceof StartError) throw error;
    throw new StartError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown reason"}).`);
  }
}

type Range = { fromMs: number; toMs: number };

function rangeOf(file: ProviderExport, values: { since?: string; until?: string }, nowMs: number, by: Step): Range {
  const stepMs = STEP_MS[by];
  const times = file.rows.map(({ atMs }) => atMs);
  if (times.length === 0) throw new StartError("The export has no rows.");
  if (by === "hour" && times.every((ms) => ms % STEP_MS.day === 0)) {
    throw new UsageError("--by hour: the export has days only.");
  }
  const first = times.reduce((least, ms) => Math.min(least, ms));
  const last = times.reduce((most, ms) => Math.max(most, ms));
  const given = timeOf({ until: values.until, since: values.since }, nowMs, new Date(first).toISOString());
  const fromMs = Math.floor(given.fromMs / stepMs) * stepMs;
  const toMs = given.toMs === undefined ? last + 1 : given.toMs;
  return { fromMs, toMs: Math.ceil(toMs / stepMs) * stepMs };
}

/** Sums by time and model; the name of a place is both, with a line break between. */
type Sums<Value> = Map<string, Value>;

function theirSums(rows: readonly ExportRow[], { fromMs, toMs }: Range, by: Step): Sums<ExportRow["sums"]> {
  const found: Sums<ExportRow["sums"]> = new Map();
  for (const { atMs, model, sums } of rows) {
    if (atMs < fromMs || atMs >= toMs) continue;
    const iso = new Date(atMs).toISOString();
    const place = `${by === "day" ? iso.slice(0, 10) : `${iso.slice(0, 13)}:00Z`}\n${plainName(model)}`;
    const sum = found.get(place) ?? {};
    for (const measure of MEASURES) {
      const more = sums[measure];
      if (more !== undefined) sum[measure] = (sum[measure] ?? 0n) + more;
    }
    found.set(place, sum);
  }
  return found;
}

interface Ours extends Record<Measure, bigint> {
  leastRequests: bigint;
  unknown: bigint;
  unpriced: bigint;
  failed: bigint;
  estimatedNanoUsd: bigint;
}

function ourSums(rows: readonly UsageGroup[], provider: string): Sums<Ours> {
  const found: Sums<Ours> = new Map();
  for (const row of rows) {
    const [time = "", model = ""] = row.groups;
    const place = `${time}\n${plainName(model.slice(model === "" ? 0 : provider.length + 1))}`;
    const more: Ours = {
      requests: row.attempts,
      leastRequests: row.attempts - row.failedAttempts - row.unknownAttempts,
      input: row.inputTokens,
      cached: row.cacheReadTokens,
      written: row.cacheWriteTokens,
      output: row.outputTokens,
      cost: row.costNanoUsd,
      unknown: row.unknownAttempts,
      unpriced: row.unpricedAttempts,
      failed: row.failedAttempts,
      estimatedNanoUsd: row.estimatedNanoUsd,
    };
    const sum = found.get(place);
    const names = Object.keys(more) as (keyof Ours)[];
    for (const name of names) more[name] += sum?.[name] ?? 0n;
    found.set(place, more);
  }
  return found;
}

/** Exports say `gpt-4o-2024-08-06`, callers `gpt-4o`; cost exports `Claude Opus 4.5` where the API says claude-opus-4-5. */
function plainName(model: string): string {
  return model
    .toLowerCase()
    .replaceAll(/[ .]/g, "-")
    .replace(/-(\d{4}-\d\d-\d\d|\d{8})$/, "");
}

interface Compared {
  theirs: ExportRow["sums"] | undefined;
  ours: Ours | undefined;
  measures: readonly Measure[];
  tolerance: { millionths: bigint };
}

function differencesAt(place: string, { theirs, ours, measures, tolerance }: Compared): Difference[] {
  const [time = "", model = ""] = place.split("\n");
  return measures.flatMap((what) => {
    const provider = theirs?.[what] ?? 0n;
    const ledger = ours?.[what] ?? 0n;
    const least = what === "requests" ? (ours?.leastRequests ?? 0n) : ledger;
    const apart = provider > ledger ? provider - ledger : provider < least ? least - provider : 0n;
    const larger = provider > ledger ? provider : ledger;
    if (apart * 1_000_000n <= larger * tolerance.millionths) return [];
    return [{ time, model, what, provider, ledger, maybe: maybe(what, provider > ledger, ours) }];
  });
}

/** What the ledger itself does not know may be what is missing in it. */
function maybe(what: Measure, isMissing: boolean, ours: Ours | undefined): string {
  if (ours === undefined) return "not in the ledger: called past the router?";
  if (!isMissing) return "not billed (yet), or another time zone";
  const { unknown, unpriced, failed, estimatedNanoUsd } = ours;
  const parts = [
    ...(unknown > 0n ? [`${unknown} attempts of unknown outcome`] : []),
    ...(what === "cost" && unpriced > 0n ? [`${unpriced} unpriced attempts`] : []),
    ...(what === "cost" && estimatedNanoUsd > 0n ? [`estimated at $${formatUsd(estimatedNanoUsd)}`] : []),
    ...(failed > 0n && what !== "requests" ? [`${failed} failed attempts that were billed`] : []),
  ];
  return parts.length === 0 ? "called past the router?" : parts.join(", ");
}

function printed(differences: readonly Difference[]): string {
  if (differences.length === 0) return "";
  const header = ["time", "model", "what", "maybe", "provider", "ledger", "difference"];
  const rows = differences.map(({ time, model, what, maybe: why, provider, ledger }) => {
    const show = (value: bigint) => (what === "cost" ? `$${formatUsd(value)}` : String(value));
    return [time, model, what, why, show(provider), show(ledger), show(provider - ledger)];
  });
  return table([header, ...rows], 4);
}

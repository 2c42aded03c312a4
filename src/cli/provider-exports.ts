// The CSV files in which providers export what they billed: which columns they have, and what is in them.
import { CsvError, type CsvRecord, parseCsv } from "../csv.ts";

/** What is compared. Input is the whole prompt, what was read from a cache and written to one included. */
export const MEASURES = ["requests", "input", "cached", "written", "output", "cost"] as const;
export type Measure = (typeof MEASURES)[number];

/** Names of columns; several are added up. */
export type Columns = { time: string[]; model?: string[] } & { [name in Measure]?: string[] };

interface Format {
  name: string;
  provider: string;
  columns: Columns;
}

/** As exported by the providers' consoles in 2026. The first whose columns are all there is taken. */
const FORMATS: readonly Format[] = [
  {
    name: "OpenAI, usage of completions",
    provider: "openai",
    columns: {
      time: ["start_time"],
      model: ["model"],
      requests: ["num_model_requests"],
      input: ["input_tokens"],
      cached: ["input_cached_tokens"],
      output: ["output_tokens"],
    },
  },
  { name: "OpenAI, costs", provider: "openai", columns: { time: ["start_time"], cost: ["amount_value"] } },
  {
    name: "Anthropic, usage",
    provider: "anthropic",
    columns: {
      time: ["usage_date_utc"],
      model: ["model_version"],
      input: [
        ...["usage_input_tokens_no_cache", "usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"],
        "usage_input_tokens_cache_read",
      ],
      cached: ["usage_input_tokens_cache_read"],
      written: ["usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"],
      output: ["usage_output_tokens"],
    },
  },
  {
    name: "Anthropic, costs",
    provider: "anthropic",
    columns: { time: ["usage_date_utc"], model: ["model"], cost: ["cost_usd"] },
  },
];

export interface ExportRow {
  atMs: number;
  /** "" where the export does not tell models apart. */
  model: string;
  /** Cost in nanodollars. */
  sums: Partial<Record<Measure, bigint>>;
}

export interface ProviderExport {
  /** Absent when the columns were given: it must then be named. */
  provider?: string;
  hasModels: boolean;
  measures: Measure[];
  rows: ExportRow[];
}

/** Throws a CsvError that names line and column, or lists the headers that are known. */
export function readExport(text: string, given: Columns | undefined): ProviderExport {
  const [header, ...records] = parseCsv(text);
  if (header === undefined) throw new CsvError("the file is empty");
  const names = header.fields.map((name) => name.trim());
  const format = given === undefined ? FORMATS.find(({ columns }) => lacking(columns, names).length === 0) : undefined;
  const columns = given ?? format?.columns;
  if (columns === undefined) throw new CsvError(unknownHeader(names));
  const [lack] = lacking(columns, names);
  if (lack !== undefined) throw new CsvError(`there is no column "${lack}"; there are ${names.join(", ")}`);
  const measures = MEASURES.filter((measure) => columns[measure] !== undefined);
  const rows = records.map((record) => rowOf(record, names, columns, measures));
  return { ...(format && { provider: format.provider }), hasModels: columns.model !== undefined, measures, rows };
}

function lacking(columns: Columns, names: readonly string[]): string[] {
  return Object.values(columns)
    .flat()
    .filter((name) => !names.includes(name));
}

function unknownHeader(names: readonly string[]): string {
  const known = FORMATS.map(
    ({ name, columns }) => `  ${name}: ${[...new Set(Object.values(columns).flat())].join(", ")}`,
  ).join("\n");
  const found = names.join(", ").slice(0, 500);
  return `these columns are no export that is known: ${found}\nKnown are\n${known}\nOthers: say which column is what with --columns`;
}

function rowOf(record: CsvRecord, names: readonly string[], columns: Columns, measures: readonly Measure[]): ExportRow {
  const value = (name: string) => (record.fields[names.indexOf(name)] ?? "").trim();
  const fail = (name: string, expected: string): never => {
    const found = value(name).slice(0, 60);
    throw new CsvError(`line ${record.line}, column "${name}": expected ${expected}; found "${found}"`);
  };
  const [timeColumn = ""] = columns.time;
  const atMs = parseTime(value(timeColumn)) ?? fail(timeColumn, "a date, a time, or seconds since 1970");
  const sums = Object.fromEntries(
    measures.map((measure) => {
      const isMoney = measure === "cost";
      const parts = (columns[measure] ?? []).map((name) => {
        const part = isMoney ? parseNanoUsd(value(name)) : parseWhole(value(name));
        return part ?? fail(name, isMoney ? "an amount of dollars" : "a whole number");
      });
      return [measure, parts.reduce((sum, part) => sum + part, 0n)];
    }),
  );
  return { atMs, model: (columns.model ?? []).map(value).join(" "), sums };
}

function parseTime(text: string): number | undefined {
  if (/^\d{9,11}$/.test(text)) return Number(text) * 1000;
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(Z|UTC|[+-]\d\d:?\d\d)?)?$/.exec(text);
  if (match === null) return undefined;
  const [, day, time = "00:00", zone = "Z"] = match;
  const ms = Date.parse(`${day}T${time}${zone === "UTC" ? "Z" : zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** An empty field counts as none. */
function parseWhole(text: string): bigint | undefined {
  const match = /^(\d*)(?:\.0*)?$/.exec(text);
  return match === null ? undefined : BigInt(match[1] || "0");
}

const NANO_DIGITS = 9;

/** Digits beyond nanodollars are cut off: exports give sums of doubles, whose last digits say nothing. */
function parseNanoUsd(text: string): bigint | undefined {
  const plain = /^-?\d+(\.\d+)?e[+-]?\d+$/i.test(text) ? Number(text).toFixed(NANO_DIGITS) : text;
  const match = /^(-?)\$?(\d*)(?:\.(\d*))?$/.exec(plain);
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = ""] = match;
  const nano = BigInt(`${whole || "0"}${fraction.slice(0, NANO_DIGITS).padEnd(NANO_DIGITS, "0")}`);
  return sign === "-" ? -nano : nano;
}

// What the commands that read the ledger share: which time, which part of it, and in which form it is printed.

import { StartError } from "../settings.ts";
import { SumsNotKept, type TimeRange } from "../store/buckets.ts";
import type { UsageFilters } from "../store/filters.ts";
import { isTimeZone, MOMENT, parseMoment } from "../zones.ts";
import { UsageError } from "./arguments.ts";

const text = { type: "string" } as const;
const texts = { type: "string", multiple: true } as const;

export const TIME_OPTIONS = { since: text, until: text, "time-zone": text } as const;

export const FILTER_OPTIONS = {
  key: texts,
  team: texts,
  organisation: texts,
  tag: texts,
  model: texts,
  provider: texts,
  rule: texts,
} as const;

export const PLACE_OPTIONS = { data: text, config: text, help: { type: "boolean", short: "h" } } as const;

export const FILTER_HELP = `  --key K, --team T, --organisation O, --tag T, --model M, --provider P, --rule R
                 Only these. "*" stands for any characters; an option given twice means either. M is a model or
                 provider/model, K the name or the id of a key`;

export const TIME_HELP = `  --since WHEN   An age (90m, 24h, 7d), a day (2026-11-01) or a time (2026-11-01T09:30, …Z)
  --until WHEN   The end, itself not included: --since 2026-11-01 --until 2026-12-01 is November    default now
  --time-zone Z  Whose days and hours, such as Europe/Berlin      default UTC`;

interface TimeValues {
  since?: string | undefined;
  until?: string | undefined;
  "time-zone"?: string | undefined;
}

export interface AskedTime extends TimeRange {
  timeZone: string;
}

/** Throws a UsageError for what is no time, or ends before it begins. */
export function timeOf(values: TimeValues, nowMs: number, sinceDefault: string): AskedTime {
  const timeZone = values["time-zone"] ?? "UTC";
  if (!isTimeZone(timeZone)) {
    throw new UsageError(`--time-zone: "${timeZone}" is unknown; expected a name such as Europe/Berlin or UTC.`);
  }
  const fromMs = instantOf("--since", values.since ?? sinceDefault, nowMs, timeZone);
  const toMs = values.until === undefined ? undefined : instantOf("--until", values.until, nowMs, timeZone);
  if (toMs !== undefined && toMs <= fromMs) {
    throw new UsageError(`--until ${values.until} is not after --since ${values.since ?? sinceDefault}.`);
  }
  return { fromMs, toMs, timeZone };
}

function instantOf(option: string, given: string, nowMs: number, timeZone: string): number {
  const ms = parseMoment(given, nowMs, timeZone);
  if (ms === undefined) throw new UsageError(`${option}: expected ${MOMENT}; found "${given}".`);
  return ms;
}

const PATTERN_CHARS_MAX = 200;
const PATTERNS_MAX = 50;

export function filtersOf(values: UsageFilters): UsageFilters {
  const names = Object.keys(FILTER_OPTIONS) as (keyof UsageFilters)[];
  const given = names.filter((name) => values[name] !== undefined);
  for (const name of given) {
    const patterns = values[name] ?? [];
    const isTooMuch = patterns.length > PATTERNS_MAX || patterns.some(({ length }) => length > PATTERN_CHARS_MAX);
    if (isTooMuch)
      throw new UsageError(`--${name}: at most ${PATTERNS_MAX} patterns of ${PATTERN_CHARS_MAX} characters each.`);
  }
  return Object.fromEntries(given.map((name) => [name, values[name]]));
}

/** What goes wrong here is for the operator (no ledger yet, made by a newer version): a line, not a stack. */
export function reported<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof SumsNotKept) throw new UsageError(`${error.message}.`);
    throw new StartError((error as Error).message);
  }
}

export function timeText({ fromMs, toMs }: TimeRange): string {
  const at = (ms: number) => `${new Date(ms).toISOString().slice(0, 16)}Z`;
  return `${at(fromMs)} to ${toMs === undefined ? "now" : at(toMs)}`;
}

/** JSON with integers of any size as they are: readers that hold them as doubles lose units beyond 2^53. */
export function bigJson(value: unknown): string {
  const raw = (_: string, part: unknown) => (typeof part === "bigint" ? rawJson(String(part)) : part);
  return `${JSON.stringify(value, raw, 2)}\n`;
}

/** Node has it; TypeScript's library does not know it yet. */
const { rawJSON: rawJson } = JSON as unknown as { rawJSON(text: string): unknown };

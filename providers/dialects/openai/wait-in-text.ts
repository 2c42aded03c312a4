// How long to wait, where only the sentence of a refusal says it.

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `retry after 6 seconds`, `try again in 7.66s`, `in 1m2.5s`: text without a unit tells nothing. */
const WAIT =
  /(?:retry|try again)(?: your request)?[^0-9]{0,20}((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|seconds?|secs?|minutes?|mins?|hours?|s|m|h)\b\s*|\d+(?:\.\d+)?(?:h|m|s)(?=\d))+)/i;
const STEP = /(\d+(?:\.\d+)?)\s*([a-z]+)/gi;
/** `Your limit will reset at 2026-10-05 12:12:52`. */
const RESET_AT = /reset (?:at|on) (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?!\S*Z)/i;
const CHARS_MAX = 2_000;
const LONGEST_MS = 31 * 86_400_000;

/** `clockAheadHours`: hours by which the provider's clock is ahead of UTC; absent: its instants tell nothing. */
export function waitInText(text: string, nowMs: number, clockAheadHours: number | undefined): number | undefined {
  const said = text.slice(0, CHARS_MAX);
  const waitMs = waitUntil(said, nowMs, clockAheadHours) ?? duration(said);
  return waitMs === undefined || waitMs > LONGEST_MS ? undefined : Math.ceil(waitMs);
}

function waitUntil(text: string, nowMs: number, clockAheadHours: number | undefined): number | undefined {
  const [, day, time] = RESET_AT.exec(text) ?? [];
  if (clockAheadHours === undefined || day === undefined) return undefined;
  const atMs = Date.parse(`${day}T${time}Z`) - clockAheadHours * (UNIT_MS.h as number);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

function duration(text: string): number | undefined {
  const told = WAIT.exec(text)?.[1];
  if (told === undefined) return undefined;
  return [...told.matchAll(STEP)].reduce((sum, [, count, unit = ""]) => sum + Number(count) * unitMs(unit), 0);
}

function unitMs(unit: string): number {
  const word = unit.toLowerCase();
  return UNIT_MS[word === "ms" || word.startsWith("mill") ? "ms" : word.charAt(0)] ?? 0;
}

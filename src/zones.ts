// Days and hours of a time zone: what report columns are named by, where a local day begins, and times as people write them.
import { parseDurationMs } from "./units.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MINUTE_MS = 60_000;

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export interface Zone {
  /** `2026-03-29` */
  day(ms: number): string;
  /** `2026-03-29T03:00+02:00`: with the offset, for one hour of the year comes twice. */
  hour(ms: number): string;
  /** Milliseconds that local time is ahead of UTC. */
  offsetMs(ms: number): number;
}

/** Throws a RangeError for a name that is no time zone: ask `isTimeZone` first. */
export function zoneOf(name: string): Zone {
  const format = new Intl.DateTimeFormat("en-GB", {
    ...{ timeZone: name, hourCycle: "h23", calendar: "gregory", numberingSystem: "latn" },
    ...{ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" },
  });
  const localMs = (ms: number) => {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  };
  const offsetMs = (ms: number) => localMs(ms) - Math.floor(ms / 1000) * 1000;
  return {
    offsetMs,
    day: (ms) => new Date(localMs(ms)).toISOString().slice(0, 10),
    hour: (ms) => `${new Date(localMs(ms)).toISOString().slice(0, 13)}:00${offsetText(offsetMs(ms))}`,
  };
}

function offsetText(offsetMs: number): string {
  if (offsetMs === 0) return "Z";
  const minutes = Math.round(Math.abs(offsetMs) / MINUTE_MS);
  const two = (part: number) => String(part).padStart(2, "0");
  return `${offsetMs < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The instant at which clocks of the zone show this time (ms as if it were UTC); the earlier one where it comes twice. */
export function instantAt(localMs: number, zone: Zone): number {
  const early = localMs - zone.offsetMs(localMs - DAY_MS);
  const late = localMs - zone.offsetMs(localMs + DAY_MS);
  const [first, second] = early < late ? [early, late] : [late, early];
  // A time that clocks skip counts as the instant at which they do, for those that begin at the skip.
  return first + zone.offsetMs(first) === localMs ? first : second;
}

/** Whether all days in that time begin on a full hour of UTC; else sums by hour cannot be put together to days. */
export function hasWholeHours(zone: Zone, fromMs: number, toMs: number): boolean {
  for (let ms = fromMs; ms < toMs; ms += DAY_MS) if (zone.offsetMs(ms) % HOUR_MS !== 0) return false;
  return zone.offsetMs(toMs) % HOUR_MS === 0;
}

export const MOMENT = "an age such as 90m, 24h or 7d, a day such as 2026-11-01, or a time such as 2026-11-01T09:30";

const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** A time as people write it (see MOMENT) in ms; without an offset it is what clocks of the zone show. `undefined` for none. */
export function parseMoment(text: string, nowMs: number, timeZone: string): number | undefined {
  const ageMs = parseDurationMs(text);
  if (ageMs !== undefined) return nowMs - ageMs;
  const [, year, month, day, hour, , , offset] = DATE_TIME.exec(text) ?? [];
  // `Date.parse` takes 31 February for 3 March.
  if (year === undefined || Number(day) > daysIn(Number(year), Number(month))) return undefined;
  const ms = Date.parse(offset !== undefined ? text : hour === undefined ? `${text}T00:00Z` : `${text}Z`);
  if (Number.isNaN(ms)) return undefined;
  return offset === undefined ? instantAt(ms, zoneOf(timeZone)) : ms;
}

function daysIn(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

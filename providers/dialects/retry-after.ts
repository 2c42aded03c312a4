// When to come back, in the spellings providers use. Pure: the time is an argument.

const DAY_MS = 86_400_000;
/** Longer hints are taken for garbage (an epoch in the wrong unit, a year-long ban). */
const LONGEST_HINT_MS = 31 * DAY_MS;

/**
 * Wait told by `retry-after-ms` or `retry-after` (seconds, fractions allowed, or an HTTP date), in ms, never negative.
 * `undefined` when neither header holds a usable value.
 */
export function retryAfterMs(headers: Record<string, string | undefined>, nowMs: number): number | undefined {
  const ms = Number(headers["retry-after-ms"] ?? "");
  if (headers["retry-after-ms"] && Number.isFinite(ms) && ms >= 0) return bounded(Math.ceil(ms));
  const text = headers["retry-after"]?.trim();
  if (!text) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return seconds < 0 ? undefined : bounded(Math.ceil(seconds * 1000));
  const duration = durationMs(text);
  if (duration !== undefined) return bounded(duration);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : bounded(Math.max(0, at - nowMs));
}

/** `1s`, `6m0s`, `2m59.56s`, `120ms`, `4h17m`, `1d2h` in ms, rounded up; `undefined` for anything else. */
export function durationMs(text: string): number | undefined {
  const grammar = /^\s*(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?\s*$/;
  const [match, d, h, m, s, ms] = grammar.exec(text) ?? [];
  if (match === undefined || [d, h, m, s, ms].every((part) => part === undefined)) return undefined;
  const part = (value: string | undefined, unitMs: number) => Number(value ?? 0) * unitMs;
  return Math.ceil(part(d, DAY_MS) + part(h, 3_600_000) + part(m, 60_000) + part(s, 1000) + part(ms, 1));
}

function bounded(ms: number): number | undefined {
  return ms > LONGEST_HINT_MS ? undefined : ms;
}

// Anthropic's rate-limit headers as windows in one form.
import type { LimitReading, LimitWindow, ResponseHeaders } from "../../../src/dialect.ts";
import { retryAfterMs } from "../retry-after.ts";

/** Header up to `-limit`, `-remaining`, `-reset` → what is counted. `tokens` is the tightest token limit in force. */
const WINDOWS: Record<string, string> = {
  "anthropic-ratelimit-requests": "requests",
  "anthropic-ratelimit-tokens": "tokens",
  "anthropic-ratelimit-input-tokens": "input_tokens",
  "anthropic-ratelimit-output-tokens": "output_tokens",
  // Only with a priority commitment.
  "anthropic-priority-input-tokens": "priority_input_tokens",
  "anthropic-priority-output-tokens": "priority_output_tokens",
  // A limit of 0 means that the account has no fast mode.
  "anthropic-fast-input-tokens": "fast_input_tokens",
  "anthropic-fast-output-tokens": "fast_output_tokens",
  // Subscription credentials only; these resets are epoch seconds.
  "anthropic-ratelimit-unified": "unified",
  "anthropic-ratelimit-unified-5h": "unified/5h",
  "anthropic-ratelimit-unified-7d": "unified/7d",
};

/** `date` has a resolution of a second and is as old as the answer: smaller differences are no skew of the clocks. */
const SKEW_MS_MIN = 2_000;

/** What the headers of an answer tell about limits. Total: what cannot be read is left out. */
export function readLimits(headers: ResponseHeaders, nowMs: number): LimitReading {
  const skewMs = clockSkewMs(headers.date, nowMs);
  const windows = Object.entries(WINDOWS).flatMap(([prefix, name]): LimitWindow[] => {
    const limit = count(headers[`${prefix}-limit`]);
    const remaining = count(headers[`${prefix}-remaining`]);
    const resetMs = instantMs(headers[`${prefix}-reset`]);
    if (limit === undefined && remaining === undefined && resetMs === undefined) return [];
    const window: LimitWindow = { name };
    if (limit !== undefined) window.limit = limit;
    if (remaining !== undefined) window.remaining = remaining;
    // A reset that has passed means now.
    if (resetMs !== undefined) window.resetAtMs = Math.max(nowMs, resetMs + skewMs);
    return [window];
  });
  const waitMs = retryAfterMs(headers, nowMs);
  return waitMs === undefined ? { windows } : { windows, retryAfterMs: waitMs };
}

/** Our clock minus theirs. */
function clockSkewMs(date: string | undefined, nowMs: number): number {
  const theirs = Date.parse(date ?? "");
  const skewMs = nowMs - theirs;
  return Number.isFinite(skewMs) && Math.abs(skewMs) >= SKEW_MS_MIN ? skewMs : 0;
}

function count(text: string | undefined): number | undefined {
  const value = Number(text?.trim());
  return text !== undefined && /^\s*\d+\s*$/.test(text) && Number.isSafeInteger(value) ? value : undefined;
}

/** RFC 3339, or epoch seconds. Bare numbers of another length mean something nobody knows. */
function instantMs(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? "";
  if (/^\d{9,11}$/.test(trimmed)) return Number(trimmed) * 1000;
  const at = /^\d{4}-\d{2}-\d{2}T/.test(trimmed) ? Date.parse(trimmed) : Number.NaN;
  return Number.isFinite(at) ? at : undefined;
}

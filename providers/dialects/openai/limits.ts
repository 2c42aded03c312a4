// Rate limits told in headers: one parser for every spelling seen, and each provider's own as data.
import type { LimitReading, LimitWindow, ResponseHeaders } from "../../../src/dialect.ts";
import { durationMs, retryAfterMs } from "../retry-after.ts";

/** What a provider's headers do not say themselves. */
export interface LimitHeaders {
  /** Period of windows whose header names none: `{ requests: "day" }`. */
  per?: Readonly<Record<string, string>>;
  /** Windows told under other names. */
  more?: readonly { window: string; limit?: string; remaining?: string; reset?: string }[];
  /** Windows per minute end with the minute of the clock, untold. */
  endsWithMinute?: true;
  /** A limit of 0 means that this key may not use the model at all. */
  zeroIsNoAllowance?: true;
}

const WINDOWS_MAX = 20;
const MINUTE_MS = 60_000;
/** Later instants are garbage (an epoch in the wrong unit). */
const LATEST_MS = 31 * 86_400_000;

/** Limits and remaining counts without a subject count requests. */
const HEADER =
  /^x-ratelimit-(limit|remaining|reset)(?:-(project-)?(requests|tokens|req)(?:-(prompt|generated|cache-adjusted-prompt))?(?:-(second|minute|hour|day|month))?)?$/;

const TOKENS: Record<string, string> = {
  prompt: "input_tokens",
  generated: "output_tokens",
  "cache-adjusted-prompt": "uncached_input_tokens",
};

export function readLimits(headers: ResponseHeaders, nowMs: number, known: LimitHeaders): LimitReading {
  const windows = new Map<string, LimitWindow>();
  for (const [name, text] of Object.entries(headers)) {
    const told = HEADER.exec(name);
    if (told !== null && text !== undefined) addValue(windows, windowOf(told, known), told[1] ?? "", text, nowMs);
  }
  for (const { window, ...names } of known.more ?? []) {
    for (const [what, name] of Object.entries(names)) addValue(windows, window, what, headers[name] ?? "", nowMs);
  }
  if (windows.size === 0) addDraft(windows, headers, nowMs);
  const found = [...windows.values()].map((window) => withEnd(window, nowMs, known)).slice(0, WINDOWS_MAX);
  const wait = waitOf(headers, found, nowMs);
  return wait === undefined ? { windows: found } : { windows: found, retryAfterMs: wait };
}

/** The shortest wait after which something is free again: for a refusal that told nothing better. */
export function shortestWaitMs({ windows }: LimitReading, nowMs: number): number | undefined {
  const resets = windows.flatMap(({ resetAtMs }) => (resetAtMs === undefined ? [] : [resetAtMs - nowMs]));
  return resets.length === 0 ? undefined : Math.min(...resets);
}

function windowOf([, , project, subject, kind, period]: RegExpExecArray, { per }: LimitHeaders): string {
  const counted = subject === "tokens" ? (TOKENS[kind ?? ""] ?? "tokens") : "requests";
  const name = project === undefined ? counted : `project_${counted}`;
  const each = period ?? per?.[name];
  return each === undefined ? name : `${name}/${each}`;
}

function addValue(windows: Map<string, LimitWindow>, name: string, what: string, text: string, nowMs: number): void {
  const value = what === "reset" ? instantMs(text, nowMs) : countOf(text);
  if (value === undefined) return;
  const window = windows.get(name) ?? { name };
  windows.set(name, window);
  if (what === "reset") window.resetAtMs ??= value;
  else if (what === "remaining") window.remaining ??= value;
  else window.limit ??= value;
}

/** Counts may carry a unit or a policy behind them; negative ones are placeholders. */
function countOf(text: string): number | undefined {
  const digits = /^\s*(\d{1,15})(?!\d)/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

const EPOCH_MS = 1e12;
const EPOCH_S = 1e9;

/** A duration, a number (epoch in ms or s by its size, else seconds from now) or a date. */
export function instantMs(text: string, nowMs: number): number | undefined {
  const at = durationOrInstant(text.trim(), nowMs);
  if (at === undefined || at - nowMs > LATEST_MS) return undefined;
  return Math.max(at, nowMs);
}

function durationOrInstant(text: string, nowMs: number): number | undefined {
  if (text === "") return undefined;
  const duration = durationMs(text);
  if (duration !== undefined) return nowMs + duration;
  const number = Number(text);
  if (Number.isFinite(number)) {
    if (number < 0) return undefined;
    if (number >= EPOCH_MS) return Math.ceil(number);
    return number >= EPOCH_S ? Math.ceil(number * 1000) : nowMs + Math.ceil(number * 1000);
  }
  // The engine reads a date out of nearly any text that holds a number.
  const date = /\b\d{4}\b/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : date;
}

/** The IETF drafts: `ratelimit-limit` and kin, `ratelimit: limit=10, remaining=4, reset=7`, `"default";r=4;t=7`. */
function addDraft(windows: Map<string, LimitWindow>, headers: ResponseHeaders, nowMs: number): void {
  const members = new Map<string, string>();
  for (const text of [headers.ratelimit, headers["ratelimit-policy"]]) {
    for (const [, name = "", value = ""] of text?.matchAll(/(?:^|[\s;,])(limit|remaining|reset|[qrtw])=(\d+)/g) ?? [])
      if (!members.has(name)) members.set(name, value);
  }
  const first = (...texts: (string | undefined)[]) => texts.find((text) => text !== undefined) ?? "";
  const limit = first(headers["ratelimit-limit"], members.get("limit"), members.get("q"), headers["ratelimit-policy"]);
  addValue(windows, "requests", "limit", limit, nowMs);
  const remaining = first(headers["ratelimit-remaining"], members.get("remaining"), members.get("r"));
  addValue(windows, "requests", "remaining", remaining, nowMs);
  const reset = first(headers["ratelimit-reset"], members.get("reset"), members.get("t"));
  addValue(windows, "requests", "reset", reset, nowMs);
}

function withEnd(window: LimitWindow, nowMs: number, { endsWithMinute }: LimitHeaders): LimitWindow {
  if (!endsWithMinute || window.resetAtMs !== undefined || !window.name.endsWith("/minute")) return window;
  return { ...window, resetAtMs: (Math.floor(nowMs / MINUTE_MS) + 1) * MINUTE_MS };
}

/** Told outright, or the end of the longest window that has nothing left. */
function waitOf(headers: ResponseHeaders, windows: LimitWindow[], nowMs: number): number | undefined {
  const told = retryAfterMs(headers, nowMs);
  if (told !== undefined) return told;
  const at = instantMs(headers["x-ratelimit-reset-after"] ?? "", nowMs);
  if (at !== undefined) return at - nowMs;
  const spent = windows.filter(({ remaining, resetAtMs }) => remaining === 0 && resetAtMs !== undefined);
  return spent.length === 0 ? undefined : Math.max(...spent.map(({ resetAtMs }) => (resetAtMs ?? nowMs) - nowMs));
}

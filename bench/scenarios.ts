// What is asked of the systems: which body, which answer, how often.
import type { WireDialect } from "./answers.ts";

export interface Scenario {
  id: string;
  title: string;
  /** Of the provider. The floor, which translates nothing, is asked for OpenAI's. */
  dialect: WireDialect;
  promptBytes: number;
  /** 0: one JSON document. */
  deltas: number;
  /** Between deltas; 0: all at once. */
  paceMs: number;
  concurrency: number;
  /** Calls a second for the CPU at equal load, below what the slowest can carry. Undefined: the pace sets the load. */
  ratePerS: number | undefined;
  /** Also measured with as many calls as each can take. */
  isFlatOut: boolean;
  /** One call at a time is timed, in turns. */
  hasProbes: boolean;
}

const KB = 1_000;
const CONCURRENCY = 32;
const json = {
  dialect: "openai",
  deltas: 0,
  paceMs: 0,
  concurrency: CONCURRENCY,
  isFlatOut: false,
  hasProbes: true,
} as const;
const stream = {
  dialect: "openai",
  promptBytes: KB,
  concurrency: CONCURRENCY,
  isFlatOut: false,
  hasProbes: false,
} as const;
const burst64 = { ...stream, deltas: 64, paceMs: 0, ratePerS: 60 } as const;
const paced64 = { ...stream, deltas: 64, paceMs: 20, ratePerS: undefined } as const;
const translated = { hasProbes: true } as const;

export const SCENARIOS: readonly Scenario[] = [
  { ...json, id: "json-1k", title: "JSON, 1 KB", promptBytes: KB, ratePerS: 300, isFlatOut: true },
  { ...json, id: "json-10k", title: "JSON, 10 KB", promptBytes: 10 * KB, ratePerS: 200 },
  { ...json, id: "json-100k", title: "JSON, 100 KB", promptBytes: 100 * KB, ratePerS: 50 },
  { ...json, id: "json-1m", title: "JSON, 1 MB", promptBytes: 1_000 * KB, ratePerS: 5 },
  { ...burst64, id: "stream-64", title: "stream, 64 deltas at once", isFlatOut: true },
  { ...paced64, id: "stream-64-paced", title: "stream, 64 deltas, one every 20 ms" },
  { ...stream, id: "stream-1000", title: "stream, 1,000 deltas at once", deltas: 1_000, paceMs: 0, ratePerS: 5 },
  {
    ...stream,
    id: "first-token",
    title: "stream, 4 deltas, one every 2 ms",
    deltas: 4,
    paceMs: 2,
    ratePerS: 60,
    hasProbes: true,
  },
  {
    ...json,
    ...translated,
    id: "anthropic-json",
    title: "JSON, 1 KB, Anthropic",
    dialect: "anthropic",
    promptBytes: KB,
    ratePerS: 300,
  },
  { ...burst64, ...translated, id: "anthropic-stream", title: "stream, 64 deltas, Anthropic", dialect: "anthropic" },
  {
    ...json,
    ...translated,
    id: "google-json",
    title: "JSON, 1 KB, Gemini",
    dialect: "google",
    promptBytes: KB,
    ratePerS: 300,
  },
  { ...burst64, ...translated, id: "google-stream", title: "stream, 64 deltas, Gemini", dialect: "google" },
];

/** What the streams that are held have: one every 200 ms, 13 s long. */
export const HELD: Scenario = {
  ...{ ...stream, id: "held", title: "streams held, 64 deltas, one every 200 ms", deltas: 64, paceMs: 200 },
  ratePerS: undefined,
};

// What a call counts against its provider's limits: providers differ, so it is data of theirs.
import type { Usage } from "../chat.ts";
import type { Accounting } from "../dialect.ts";

/** What a call is expected to take, before it is made. */
export interface Need {
  inputTokens: number;
  /** Of them, expected to be read from the provider's cache. */
  cachedTokens: number;
  /** A high quantile of what such calls answered: what is reserved where the provider counts what was written. */
  outputTokens: number;
  /** The bound the request carries. */
  maxOutputTokens: number | undefined;
  /** The whole call, in ms: how long it holds its place where places are limited. */
  expectedMs: number;
}

export const DIMENSIONS = ["requests", "tokens", "input_tokens", "output_tokens"] as const;
export type Dimension = (typeof DIMENSIONS)[number];
export type Amounts = Readonly<Record<Dimension, number>>;

/** Windows of headers that a rate can follow; without a period they are per minute, as at OpenAI and Anthropic. */
export const COUNTED: Readonly<Record<string, { dimension: Dimension; minutes: number }>> = Object.fromEntries(
  DIMENSIONS.flatMap((dimension) => [
    [dimension, { dimension, minutes: 1 }],
    [`${dimension}/minute`, { dimension, minutes: 1 }],
    [`${dimension}/second`, { dimension, minutes: 1 / 60 }],
    [`project_${dimension}`, { dimension, minutes: 1 }],
  ]),
);

const ORDINARY: Accounting = { cachedInput: "counted", output: "actual" };

export function amountsOf(need: Need, accounting: Accounting = ORDINARY): Amounts {
  const isReserved = accounting.output === "reserved";
  const output = isReserved ? (need.maxOutputTokens ?? need.outputTokens) : need.outputTokens;
  return together(accounting, { input: need.inputTokens, cached: need.cachedTokens, output });
}

/** What the call came to; `undefined` parts stay as they were reserved. */
export function settledAmounts(reserved: Amounts, usage: Usage, accounting: Accounting = ORDINARY): Amounts {
  const input = usage.inputTokens;
  const cached = usage.cacheReadTokens ?? 0;
  // What was reserved by the bound is not given back where the provider does not.
  const output = accounting.output === "reserved" ? undefined : usage.outputTokens;
  const known = together(accounting, { input: input ?? 0, cached, output: output ?? 0 });
  const inputTokens = input === undefined ? reserved.input_tokens : known.input_tokens;
  const outputTokens = output === undefined ? reserved.output_tokens : known.output_tokens;
  return { requests: 1, input_tokens: inputTokens, output_tokens: outputTokens, tokens: inputTokens + outputTokens };
}

function together(accounting: Accounting, of: { input: number; cached: number; output: number }): Amounts {
  const input = accounting.cachedInput === "free" ? Math.max(0, of.input - of.cached) : of.input;
  const output = accounting.output === "none" ? 0 : of.output;
  return { requests: 1, input_tokens: input, output_tokens: output, tokens: input + output };
}

// Four providers that differ in everything a router has to put up with, and what its operator would know of them.
import type { PoolConfig } from "../../src/limits.ts";
import type { Incident, Profile } from "./provider.ts";

/** Anthropic-like: three limits as a bucket, output counted as it is written, headers tell everything. The dearest. */
export const ANTHROPIC_LIKE: Profile = {
  id: "a",
  rates: { input: 1_000_000, output: 4_000_000 },
  limits: { requests: 240, inputTokens: 300_000, outputTokens: 80_000 },
  enforcement: { kind: "bucket", burstMs: 10_000 },
  accounting: { cachedInput: "free", output: "actual" },
  headers: "anthropic",
  retryAfter: "honest",
  firstByte: { medianMs: 900, sigma: 0.4, msPerInputToken: 0.1 },
  tokensPerSecond: { median: 70, sigma: 0.2 },
  tokenFactor: 1.15,
  errors: { server: 0.001, overloaded: 0.002 },
  incidents: [],
};

/** OpenAI-like: `max_tokens` is reserved. That refused calls count too is left out: whoever knocks would never be let in. */
export const OPENAI_LIKE: Profile = {
  id: "b",
  rates: { input: 750_000, output: 3_000_000 },
  limits: { requests: 300, tokens: 650_000 },
  enforcement: { kind: "bucket", burstMs: 10_000 },
  accounting: { cachedInput: "counted", output: "reserved" },
  headers: "openai",
  retryAfter: "honest",
  firstByte: { medianMs: 600, sigma: 0.4, msPerInputToken: 0.05 },
  tokensPerSecond: { median: 80, sigma: 0.2 },
  tokenFactor: 1,
  errors: { server: 0.002 },
  incidents: [],
};

/** Gemini-like: input only, minutes of the clock, no headers, the wait only in the message. */
export const GEMINI_LIKE: Profile = {
  id: "c",
  rates: { input: 600_000, output: 2_500_000 },
  limits: { requests: 240, inputTokens: 300_000 },
  enforcement: { kind: "window", windowMs: 60_000 },
  accounting: { cachedInput: "counted", output: "none" },
  headers: "none",
  retryAfter: "text",
  firstByte: { medianMs: 500, sigma: 0.4, msPerInputToken: 0.05 },
  // Fast enough that eight times as slow is still within most deadlines.
  tokensPerSecond: { median: 170, sigma: 0.2 },
  tokenFactor: 0.95,
  errors: { server: 0.001, overloaded: 0.003 },
  incidents: [],
};

/** A small host: cheapest, fails now and then, and takes twenty calls at a time, which it tells nobody. */
export const SMALL_HOST: Profile = {
  id: "d",
  rates: { input: 500_000, output: 2_000_000 },
  limits: {},
  concurrency: 20,
  enforcement: { kind: "bucket", burstMs: 10_000 },
  accounting: { cachedInput: "counted", output: "actual" },
  headers: "none",
  retryAfter: "absent",
  firstByte: { medianMs: 800, sigma: 0.5, msPerInputToken: 0.1 },
  tokensPerSecond: { median: 60, sigma: 0.3 },
  tokenFactor: 1.05,
  errors: { server: 0.008, network: 0.003, truncated: 0.002 },
  incidents: [],
};

export const FOUR: readonly Profile[] = [ANTHROPIC_LIKE, OPENAI_LIKE, GEMINI_LIKE, SMALL_HOST];

/** What the documentation of these providers says; nothing is known of a host that has none. */
export function poolsOf(profiles: readonly Profile[]): Omit<PoolConfig, "matches">[] {
  return profiles
    .filter(({ limits }) => Object.keys(limits).length > 0)
    .map(({ id, limits, requestsPerDay }) => ({ name: id, ...limits, requestsPerDay }));
}

/** The same providers, with incidents for some of them by id. */
export function withIncidents(profiles: readonly Profile[], incidents: Record<string, Incident[]>): Profile[] {
  return profiles.map((profile) => ({ ...profile, incidents: incidents[profile.id] ?? [] }));
}

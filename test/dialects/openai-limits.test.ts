// The rate-limit headers of every provider that sends some, in one form.
import { describe, expect, test } from "vitest";
import type { LimitReading } from "../../src/dialect.ts";
import { providerOf } from "./openai-harness.ts";

const nowMs = Date.parse("2026-10-07T12:00:20Z");
const at = (seconds: number) => nowMs + seconds * 1000;

function read(provider: string, headers: Record<string, string>): LimitReading | undefined {
  return providerOf(provider).dialect.readLimits?.(headers, nowMs);
}

describe("windows", () => {
  test.each<[provider: string, why: string, headers: Record<string, string>, LimitReading["windows"]]>([
    [
      "openai",
      "durations, and a window of the project",
      {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-project-tokens": "1000",
        "x-ratelimit-reset-project-tokens": "6m0s",
      },
      [
        { name: "requests", limit: 500, remaining: 499, resetAtMs: at(0.12) },
        { name: "project_tokens", limit: 1000, resetAtMs: at(360) },
      ],
    ],
    ["azure", "counts alone", { "x-ratelimit-remaining-tokens": "12" }, [{ name: "tokens", remaining: 12 }]],
    [
      "mistral",
      "windows end with the minute of the clock",
      {
        "x-ratelimit-limit-req-minute": "60",
        "x-ratelimit-remaining-req-minute": "59",
        "x-ratelimit-remaining-tokens-month": "7",
        "x-ratelimit-tokens-query-cost": "3",
      },
      [
        { name: "requests/minute", limit: 60, remaining: 59, resetAtMs: at(40) },
        { name: "tokens/month", remaining: 7 },
      ],
    ],
    [
      "groq",
      "requests per day, tokens per minute",
      { "x-ratelimit-limit-requests": "14400", "x-ratelimit-reset-tokens": "7.66s" },
      [
        { name: "requests/day", limit: 14_400 },
        { name: "tokens/minute", resetAtMs: at(7.66) },
      ],
    ],
    [
      "together",
      "per second, tokens under a prefix of their own",
      { "x-ratelimit-limit": "10", "x-tokenlimit-remaining": "100", "x-tokenlimit-reset": "1" },
      [
        { name: "requests/second", limit: 10 },
        { name: "tokens/second", remaining: 100, resetAtMs: at(1) },
      ],
    ],
    [
      "fireworks",
      "tokens by kind",
      {
        "x-ratelimit-limit-tokens-prompt": "1",
        "x-ratelimit-limit-tokens-generated": "2",
        "x-ratelimit-remaining-tokens-cache-adjusted-prompt": "3",
        "x-ratelimit-over-limit": "yes",
      },
      [
        { name: "input_tokens", limit: 1 },
        { name: "output_tokens", limit: 2 },
        { name: "uncached_input_tokens", remaining: 3 },
      ],
    ],
    ["openrouter", "epoch in ms", { "x-ratelimit-reset": String(at(60)) }, [{ name: "requests", resetAtMs: at(60) }]],
    [
      "cerebras",
      "fractions of seconds",
      { "x-ratelimit-reset-requests-day": "33011.382867", "x-ratelimit-limit-requests-day": "14400" },
      [{ name: "requests/day", limit: 14_400, resetAtMs: nowMs + 33_011_383 }],
    ],
    [
      "sambanova",
      "epoch in seconds",
      { "x-ratelimit-limit-requests": "20", "x-ratelimit-reset-requests": String(at(60) / 1000) },
      [{ name: "requests/minute", limit: 20, resetAtMs: at(60) }],
    ],
    [
      "cohere",
      "trial keys",
      { "x-endpoint-monthly-call-limit": "1000", "x-trial-endpoint-call-remaining": "9" },
      [
        { name: "requests/month", limit: 1000 },
        { name: "trial_requests", remaining: 9 },
      ],
    ],
    ["deepseek", "none", { "x-request-id": "r" }, []],
    [
      "acme",
      "the IETF's draft in one header",
      { ratelimit: "limit=10, remaining=4, reset=7" },
      [{ name: "requests", limit: 10, remaining: 4, resetAtMs: at(7) }],
    ],
    [
      "acme",
      "the IETF's later draft",
      { ratelimit: '"default";r=4;t=7', "ratelimit-policy": '"default";q=10;w=60' },
      [{ name: "requests", limit: 10, remaining: 4, resetAtMs: at(7) }],
    ],
    [
      "acme",
      "the IETF's earlier draft",
      { "ratelimit-limit": "10, 10;w=60", "ratelimit-remaining": "4", "ratelimit-reset": "7" },
      [{ name: "requests", limit: 10, remaining: 4, resetAtMs: at(7) }],
    ],
    [
      "acme",
      "instants",
      {
        "x-ratelimit-reset-requests": "2026-10-07T12:01:20Z",
        "x-ratelimit-reset-tokens": "Wed, 07 Oct 2026 12:00:30 GMT",
      },
      [
        { name: "requests", resetAtMs: at(60) },
        { name: "tokens", resetAtMs: at(10) },
      ],
    ],
    [
      "acme",
      "garbage, placeholders, and what lies a year ahead",
      {
        "x-ratelimit-limit-requests": "-1",
        "x-ratelimit-remaining-requests": "many",
        "x-ratelimit-reset-requests": "soon",
        "x-ratelimit-reset-tokens": String(at(31_536_000)),
        "x-ratelimit-reset": "1 fortnight",
      },
      [],
    ],
    [
      "acme",
      "an instant that has passed is now",
      { "x-ratelimit-reset-requests": "2020-01-01T00:00:00Z" },
      [{ name: "requests", resetAtMs: nowMs }],
    ],
  ])("%s: %s", (provider, _, headers, windows) => {
    expect(read(provider, headers)?.windows).toEqual(windows);
  });
});

describe("when to come back", () => {
  test.each<[Record<string, string>, number | undefined]>([
    [{ "retry-after-ms": "1250", "retry-after": "2" }, 1_250],
    [{ "retry-after": "2", "x-ratelimit-reset-after": "9" }, 2_000],
    [{ "x-ratelimit-reset-after": "9.5" }, 9_500],
    [{ "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "5s" }, undefined],
    [
      {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "5s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "9s",
      },
      9_000,
    ],
  ])("%j -> %s", (headers, ms) => {
    expect(read("acme", headers)?.retryAfterMs).toBe(ms);
  });
});

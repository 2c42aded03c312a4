// What a failed attempt leads to: the whole table, and what the caller hears in the end.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ErrorKind, ProviderError } from "../src/chat.ts";
import { backoffMs, toCallerError, verdict } from "../src/retry.ts";
import { hurtsHealth } from "../src/taxonomy.ts";

interface Row {
  /** The first try failed and there is another candidate. */
  withNext: "next" | "stop";
  /** … and there is none. */
  alone: "again" | "stop";
  /** … and there is none, and the provider said to come back in a second. */
  aloneSoon: "again" | "stop";
  /** … in an hour. */
  aloneLate: "stop";
  hurts: boolean;
  status: number;
  type: "server_error" | "invalid_request_error" | "rate_limit_error" | "insufficient_quota";
  code: string | null;
}

const once = { withNext: "next", alone: "again", aloneSoon: "again", aloneLate: "stop" } as const;
const never = { withNext: "next", alone: "stop", aloneSoon: "stop", aloneLate: "stop" } as const;
const final = { ...never, withNext: "stop" } as const;
const ours = { hurts: true, type: "server_error" } as const;
const theirs = { hurts: false, type: "invalid_request_error" } as const;

const TABLE: Record<ErrorKind, Row> = {
  rate_limited: {
    ...{ withNext: "next", alone: "again", aloneSoon: "again", aloneLate: "stop" },
    ...{ hurts: false, status: 429, type: "rate_limit_error", code: "rate_limit_exceeded" },
  },
  overloaded: { ...once, ...ours, status: 503, code: "overloaded" },
  server: { ...once, ...ours, status: 502, code: "upstream_error" },
  network: { ...once, ...ours, status: 502, code: "upstream_unreachable" },
  timeout: { ...never, ...ours, status: 504, code: "timeout" },
  truncated: { ...never, ...ours, status: 502, code: "upstream_stream_truncated" },
  malformed: { ...never, ...ours, status: 502, code: "upstream_malformed" },
  auth: { ...never, ...ours, hurts: false, status: 503, code: "upstream_auth_error" },
  quota: { ...never, ...ours, hurts: false, status: 503, code: "upstream_quota_exhausted" },
  not_found: { ...never, ...theirs, status: 404, code: "model_not_found" },
  context_length: { ...never, ...theirs, status: 400, code: "context_length_exceeded" },
  unsupported: { ...never, ...theirs, status: 400, code: "unsupported_parameter" },
  invalid_request: { ...final, ...theirs, status: 400, code: null },
  content_filter: { ...final, ...theirs, status: 400, code: "content_filter" },
  budget: {
    ...never,
    ...{ hurts: false, status: 402, type: "insufficient_quota", code: "budget_exceeded" },
  },
  cancelled: { ...final, ...ours, hurts: false, status: 499, code: "cancelled" },
  hedge_lost: { ...final, ...ours, hurts: false, status: 499, code: "hedge_lost" },
};

const kinds = Object.keys(TABLE) as ErrorKind[];

function failed(kind: ErrorKind, more: Partial<ProviderError> = {}): ProviderError {
  return { kind, message: "what the provider said", ...more };
}

const FAR = 600_000;

describe.each(kinds)("%s", (kind) => {
  const row = TABLE[kind];
  const soon = failed(kind, { retryAfterMs: 1_000 });
  const late = failed(kind, { retryAfterMs: 3_600_000 });

  test(`with another candidate left: ${row.withNext}, however long the provider asks to wait`, () => {
    for (const onTarget of [0, 1, 2]) {
      for (const error of [failed(kind), soon, late]) {
        expect(verdict(error, { onTarget, hasNext: true, msLeft: FAR })).toBe(row.withNext);
      }
    }
  });

  test(`alone: ${row.alone}, within a second ${row.aloneSoon}, in an hour ${row.aloneLate}`, () => {
    const tries = { onTarget: 1, hasNext: false, msLeft: FAR };
    expect(verdict(failed(kind), tries)).toBe(row.alone);
    expect(verdict(soon, tries)).toBe(row.aloneSoon);
    expect(verdict(late, tries)).toBe(row.aloneLate);
  });

  test("alone, the second failure on the same target ends it, unless it only was one call too many", () => {
    for (const error of [failed(kind), soon, late]) {
      const isInTurn = kind === "rate_limited" && error !== late;
      expect(verdict(error, { onTarget: 2, hasNext: false, msLeft: FAR })).toBe(isInTurn ? "again" : "stop");
    }
  });

  test("a wait that would pass the deadline is not begun", () => {
    expect(verdict(soon, { onTarget: 1, hasNext: false, msLeft: 1_000 })).toBe("stop");
    expect(verdict(soon, { onTarget: 1, hasNext: false, msLeft: 1_001 })).toBe(row.aloneSoon);
  });

  test(`the caller gets ${row.status} ${row.type}, and the target's health is ${row.hurts ? "" : "not "}touched`, () => {
    expect(hurtsHealth(failed(kind))).toBe(row.hurts);
    expect(toCallerError(failed(kind))).toMatchObject({ status: row.status, type: row.type, code: row.code });
  });
});

test("waits of twenty seconds and more are never slept on, whatever the deadline", () => {
  const tries = { onTarget: 1, hasNext: false, msLeft: FAR };
  expect(verdict(failed("rate_limited", { retryAfterMs: 19_999 }), tries)).toBe("again");
  expect(verdict(failed("rate_limited", { retryAfterMs: 20_000 }), tries)).toBe("stop");
  expect(verdict(failed("overloaded", { retryAfterMs: 20_000 }), tries)).toBe("stop");
});

describe("the wait before another try", () => {
  const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  test("is spread over half a second, doubled with each try, and never above eight seconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), draw, (onTarget, drawn) => {
        const waitMs = backoffMs(onTarget, failed("server"), drawn);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThan(Math.min(8_000, 500 * 2 ** (onTarget - 1)));
      }),
    );
    expect([1, 2, 3, 4, 5, 9].map((n) => backoffMs(n, failed("server"), 0.5))).toEqual([
      250, 500, 1_000, 2_000, 4_000, 4_000,
    ]);
  });

  test("is never shorter than the provider asked for", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), draw, fc.nat(60_000), (onTarget, drawn, retryAfterMs) => {
        expect(backoffMs(onTarget, failed("server", { retryAfterMs }), drawn)).toBeGreaterThanOrEqual(retryAfterMs);
      }),
    );
    expect(backoffMs(1, failed("rate_limited", { retryAfterMs: 3_000 }), 0)).toBe(3_000);
  });
});

describe("what the caller hears", () => {
  const said = { message: "Incorrect key sk-123 of org-1", code: "invalid_api_key", param: "api_key", status: 401 };

  test.each(["auth", "quota"] as const)("of %s is nothing the provider said: it speaks of our account", (kind) => {
    const error = toCallerError(failed(kind, said));
    expect(JSON.stringify(error)).not.toMatch(/sk-123|org-1|invalid_api_key|api_key|401/);
    expect(error.message).toMatch(/router/);
    expect(error.param).toBeNull();
  });

  test("of a prompt that is too long says so in the words clients look for, and only once", () => {
    const { message } = toCallerError(
      failed("context_length", { message: "prompt is too long: 9 tokens > 8 maximum" }),
    );
    expect(message).toBe(
      "The prompt is longer than this model's maximum context length. prompt is too long: 9 tokens > 8 maximum",
    );
    const known = "This model's maximum context length is 8 tokens.";
    expect(toCallerError(failed("context_length", { message: known })).message).toBe(known);
  });

  const OWN_WORDS = ["auth", "quota", "context_length"];
  test.each(kinds.filter((kind) => !OWN_WORDS.includes(kind)))("of %s is what the provider said", (kind) => {
    expect(toCallerError(failed(kind, { ...said, status: 400 }))).toMatchObject({
      message: said.message,
      code: "invalid_api_key",
      param: "api_key",
      status: TABLE[kind].status,
    });
  });

  test("of a body that was too large for the provider is 413", () => {
    expect(toCallerError(failed("invalid_request", { status: 413 })).status).toBe(413);
    expect(toCallerError(failed("context_length", { status: 413 })).status).toBe(400);
  });
});

test("a content policy's refusal moves on only where the rule allows it, and then only to another candidate", () => {
  const error = failed("content_filter");
  const tries = { onTarget: 1, msLeft: FAR };
  expect(verdict(error, { ...tries, hasNext: true })).toBe("stop");
  expect(verdict(error, { ...tries, hasNext: true, mayPassFilter: true })).toBe("next");
  expect(verdict(error, { ...tries, hasNext: false, mayPassFilter: true })).toBe("stop");
});

describe("subkinds", () => {
  const ROWS: [error: ProviderError, withNext: string, alone: string][] = [
    [failed("rate_limited", { subkind: "slow_down" }), "next", "stop"],
    [failed("rate_limited", { subkind: "no_spare_capacity" }), "next", "stop"],
    [failed("rate_limited", { subkind: "daily_quota", retryAfterMs: 5_000 }), "next", "again"],
    [failed("server", { subkind: "repeated", status: 500 }), "stop", "stop"],
    [failed("network", { subkind: "certificate" }), "next", "stop"],
    [failed("timeout", { status: 504 }), "next", "again"],
    [failed("timeout", { subkind: "connect" }), "next", "stop"],
    [failed("quota", { status: 402, retryAfterMs: 5_000 }), "next", "again"],
    [failed("quota", { status: 402 }), "next", "stop"],
    [failed("quota", { status: 429, retryAfterMs: 5_000 }), "next", "stop"],
  ];
  test.each(ROWS)("%o: with another candidate %s, alone %s", (error, withNext, alone) => {
    expect(verdict(error, { onTarget: 1, hasNext: true, msLeft: FAR })).toBe(withNext);
    expect(verdict(error, { onTarget: 1, hasNext: false, msLeft: FAR })).toBe(alone);
  });

  test("a daily quota is told in our words: the provider's speak of our account", () => {
    const { message, status } = toCallerError(failed("rate_limited", { subkind: "daily_quota", message: "your plan" }));
    expect({ status, message }).toEqual({ status: 429, message: expect.not.stringContaining("your plan") });
  });
});

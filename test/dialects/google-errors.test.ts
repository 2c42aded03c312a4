// Refusals in all their shapes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import type { JsonObject, ProviderError } from "../../src/chat.ts";

const nowMs = Date.parse("2026-10-07T12:00:00Z");

interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
  at?: string;
}

function errorOf({ status, body, headers = {}, at }: Answer): ProviderError {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return googleGenerate.decodeError({ status, headers, text, nowMs: at === undefined ? nowMs : Date.parse(at) });
}

function google(status: number, message: string, details: JsonObject[] = [], rpc = "INVALID_ARGUMENT"): Answer {
  return { status, body: { error: { code: status, message, status: rpc, details } } };
}

const info = (reason: string) => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason });
const retryInfo = (retryDelay: string) => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay });
const quota = (violation: JsonObject) => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [violation],
});

describe("kinds", () => {
  const table: [name: string, answer: Answer, expected: Partial<ProviderError>][] = [
    [
      "an expired key",
      google(400, "API key expired. Please renew the API key."),
      { kind: "auth", code: "invalid_api_key" },
    ],
    ["an expired token", google(401, "m", [info("ACCESS_TOKEN_EXPIRED")], "UNAUTHENTICATED"), { kind: "auth" }],
    ["a disabled service", google(403, "m", [info("SERVICE_DISABLED")], "PERMISSION_DENIED"), { kind: "auth" }],
    [
      "a missing bill",
      google(400, "Billing is not enabled.", [], "FAILED_PRECONDITION"),
      { kind: "quota", code: "billing_not_active" },
    ],
    [
      "an unknown schema key",
      google(
        400,
        `Invalid JSON payload received. Unknown name "const" at 'tools[0].function_declarations[0].parameters': Cannot find field.`,
      ),
      { kind: "unsupported", code: "invalid_schema" },
    ],
    [
      "an unknown level",
      google(400, "Thinking level MINIMAL is not supported for this model."),
      { kind: "unsupported", param: "reasoning_effort" },
    ],
    [
      "a second candidate",
      google(400, "Multiple candidates is not enabled for this model"),
      { kind: "unsupported", param: "n" },
    ],
    ["a bad image", google(400, "Unable to process input image."), { kind: "unsupported", code: "invalid_image" }],
    [
      "a lost file",
      google(404, "File files/abc not found.", [], "NOT_FOUND"),
      { kind: "invalid_request", code: "resource_not_found" },
    ],
    [
      "a heavy request",
      { status: 413, body: "<html><body>Too  large</body></html>" },
      { kind: "invalid_request", message: "Too large" },
    ],
    [
      "a field violation",
      google(400, "m", [{ "@type": "x/google.rpc.BadRequest", fieldViolations: [{ field: "contents" }] }]),
      { kind: "invalid_request", param: "contents" },
    ],
    ["a cancellation on Google's side", google(499, "m", [], "CANCELLED"), { kind: "server" }],
    ["a deadline", google(504, "m", [], "DEADLINE_EXCEEDED"), { kind: "timeout" }],
    ["an empty body", { status: 500, body: "" }, { kind: "server", message: "The provider answered with status 500." }],
    ["an error that is only text", { status: 503, body: { error: "busy" } }, { kind: "overloaded", message: "busy" }],
    [
      "a message that is the body again",
      google(400, JSON.stringify({ error: { message: "API key not valid." } })),
      { kind: "auth", message: "API key not valid." },
    ],
    [
      "the shape of the Interactions API",
      { status: 400, body: { error: { code: "invalid_request", message: "m" } } },
      { kind: "invalid_request", message: "m" },
    ],
  ];

  test.each(table)("%s", (_, answer, expected) => {
    expect(errorOf(answer)).toMatchObject(expected);
  });
});

describe("when to come back", () => {
  const limited = (message: string, details: JsonObject[] = []) => google(429, message, details, "RESOURCE_EXHAUSTED");
  const waits: [name: string, answer: Answer, retryAfterMs: number][] = [
    ["from the message", limited("Please retry in 1m2.5s."), 62_750],
    [
      "from the reset delay of Code Assist",
      limited("m", [{ ...info("X"), metadata: { quotaResetDelay: "373.8ms" } }]),
      624,
    ],
    ["from the header, when the body is silent", { ...limited("m"), headers: { "retry-after": "7" } }, 7250],
    [
      "from the body, when the header disagrees",
      { ...limited("m", [retryInfo("3s")]), headers: { "retry-after": "7" } },
      3250,
    ],
    ["never more than ten minutes", limited("m", [retryInfo("86400s")]), 600_000],
  ];

  test.each(waits)("%s", (_, answer, retryAfterMs) => {
    expect(errorOf(answer)).toMatchObject({ kind: "rate_limited", retryAfterMs });
  });

  // The clocks go back on 1 November 2026 and forward on 14 March 2027, at two in the morning.
  const midnights: [at: string, until: string][] = [
    ["2026-10-07T06:59:59.999Z", "2026-10-07T07:00:00Z"],
    ["2026-10-07T07:00:00Z", "2026-10-08T07:00:00Z"],
    ["2026-11-01T07:30:00Z", "2026-11-02T08:00:00Z"],
    ["2027-03-14T08:30:00Z", "2027-03-15T07:00:00Z"],
    ["2026-12-31T23:00:00Z", "2027-01-01T08:00:00Z"],
  ];

  test.each(midnights)("a daily limit hit at %s without a wait lasts until midnight in California, %s", (at, until) => {
    const answer = limited("m", [quota({ quotaId: "GenerateRequestsPerDayPerProjectPerModel" })]);
    const error = errorOf({ ...answer, at });
    expect(error).toMatchObject({ kind: "rate_limited", subkind: "daily_quota" });
    expect(error.quotaId).toContain("GenerateRequestsPerDayPerProjectPerModel");
    expect(Date.parse(at) + (error.retryAfterMs ?? 0)).toBe(Date.parse(until));
  });

  test("a short wait beside a daily limit is told as it is, with the limit: whether it is meant shows when it is over", () => {
    const answer = limited("m", [quota({ quotaId: "GenerateRequestsPerDayPerProjectPerModel" }), retryInfo("30s")]);
    expect(errorOf(answer)).toMatchObject({ kind: "rate_limited", subkind: "daily_quota", retryAfterMs: 30_250 });
  });

  test("a limit of 0 means that the account's tier does not include the model", () => {
    const answer = limited("m", [quota({ quotaId: "GenerateRequestsPerDayPerProjectPerModel", quotaValue: "0" })]);
    expect(errorOf(answer)).toMatchObject({ kind: "quota", subkind: "no_allowance" });
  });
});

test("keys and project numbers do not reach the caller", () => {
  const key = `AIza${"x".repeat(35)}`;
  const { message } = errorOf(
    google(403, `Key ${key} and AQ.${"y".repeat(30)} of projects/123456 (project_number:789)`),
  );
  expect(message).toBe("Key [key] and [key] of projects/[project] (project_number:[project])");
});

test("a message is cut at a bound", () => {
  expect(errorOf(google(400, "x".repeat(100_000))).message).toHaveLength(2000);
});

test("whatever a provider answers, it is some kind of error with a message", () => {
  const body = fc.oneof(
    fc.string(),
    fc.jsonValue(),
    fc.record({ error: fc.jsonValue() }),
    fc.record({
      error: fc.dictionary(fc.constantFrom("code", "message", "status", "details"), fc.jsonValue()),
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 300, max: 599 }), body, (status, value) => {
      const error = errorOf({ status, body: value });
      expect(error.kind).toBeTypeOf("string");
      expect(error.message).not.toBe("");
    }),
    { numRuns: 500 },
  );
});

// What Cohere says when it refuses, and what may help.
import { describe, expect, test } from "vitest";
import { cohereChat } from "../../providers/dialects/cohere-chat.ts";
import type { ProviderError } from "../../src/chat.ts";
import { callOf, decodeText, recordOf } from "./cohere-harness.ts";

function errorOf(status: number, message: string): ProviderError {
  return cohereChat.decodeError({ status, headers: {}, text: JSON.stringify({ id: "x", message }), nowMs: 0 });
}

describe("an error answer becomes the kind that leads to the right next step", () => {
  test.each([
    [401, "invalid api token", { kind: "auth" }],
    [498, "invalid token", { kind: "auth" }],
    [402, "please add or update your payment method", { kind: "quota" }],
    [
      404,
      "model 'x' not found, make sure the correct model ID was used",
      { kind: "not_found", code: "model_not_found" },
    ],
    [429, "You are using a Trial key, which is limited to 40 API calls / minute.", { kind: "rate_limited" }],
    [429, "You are using a Trial key, which is limited to 1000 API calls / month.", { kind: "quota" }],
    [
      400,
      "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
      { kind: "context_length", code: "context_length_exceeded", param: "messages" },
    ],
    [
      400,
      "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192.",
      { kind: "unsupported", param: "max_completion_tokens" },
    ],
    [400, "invalid request: thinking is not supported by this model", { kind: "unsupported" }],
    [400, "invalid request: all messages must have content.", { kind: "invalid_request" }],
    [422, "unknown field: parameter 'foo' is not a valid field", { kind: "unsupported" }],
    [408, "", { kind: "timeout" }],
    [499, "request cancelled", { kind: "server" }],
    [500, "internal server error", { kind: "server" }],
    [503, "service unavailable", { kind: "overloaded" }],
    [301, "moved", { kind: "malformed" }],
  ] as const)("%d: %s", (status, message, expected) => {
    expect(errorOf(status, message)).toMatchObject({ status, ...expected });
  });
});

test("the message is found in any of the shapes, and there is always one", () => {
  const messageIn = (text: string) => cohereChat.decodeError({ status: 400, headers: {}, text, nowMs: 0 }).message;
  expect(messageIn('{"message":"a"}')).toBe("a");
  expect(messageIn('{"data":"b"}')).toBe("b");
  expect(messageIn('{"error":{"message":"c"}}')).toBe("c");
  expect(messageIn("<html>d</html>")).toBe("<html>d</html>");
  expect(messageIn("")).toBe("The provider answered with status 400.");
});

test("the wait and the id of the request are handed on", () => {
  const headers = { "retry-after": "7", "x-debug-trace-id": "t" };
  const error = cohereChat.decodeError({ status: 429, headers, text: "{}", nowMs: 0 });
  expect(error).toMatchObject({ retryAfterMs: 7000, upstreamRequestId: "t" });
});

test("limits are told without a wait that nobody told", () => {
  const headers = { "x-trial-endpoint-call-limit": "40", "x-trial-endpoint-call-remaining": "0" };
  expect(cohereChat.readLimits?.(headers, 0)).toEqual({
    windows: [{ name: "trial_requests", limit: 40, remaining: 0 }],
  });
});

test("an error inside a stream is one, whether it is an event, a document or the last word", () => {
  const kindOf = (sse: string) =>
    decodeText(sse).map((event) => (event.type === "error" ? event.error.kind : event.type));
  expect(kindOf('event: error\ndata: {"message":"out of order"}\n\n')).toEqual(["server"]);
  expect(kindOf('{"message":"too many tokens"}')).toEqual(["context_length"]);
  const end = { type: "message-end", delta: { finish_reason: "ERROR", error: "NO_VALID_RESPONSE_GENERATED" } };
  expect(kindOf(`data: ${JSON.stringify(end)}\n\n`)).toEqual(["start", "server"]);
  const late = { type: "message-end", delta: { finish_reason: "TIMEOUT" } };
  expect(kindOf(`data: ${JSON.stringify(late)}\n\n`)).toEqual(["start", "timeout"]);
});

describe("a model that does not take a field gets the request without it", () => {
  const messages = [{ role: "user", content: "q" }];
  const body = {
    model: "command-r",
    messages,
    presence_penalty: 0.5,
    frequency_penalty: 0.5,
    reasoning_effort: "high",
  };

  test("thinking is left out, and reported", () => {
    const error = errorOf(400, "invalid request: thinking is not supported by this model");
    expect(cohereChat.repair?.(error, callOf(body))).toEqual({ token: "drop:thinking", isLasting: true });
    const told = recordOf(callOf(body, { repairs: ["drop:thinking"] }));
    expect(told.body).not.toHaveProperty("thinking");
    expect(told.warnings).toEqual(["dropped:reasoning_effort"]);
  });

  test("one of two penalties goes", () => {
    const error = errorOf(
      400,
      "only one of 'presence_penalty' and 'frequency_penalty' can be specified for this model.",
    );
    expect(cohereChat.repair?.(error, callOf(body))).toEqual({ token: "drop:presence_penalty", isLasting: true });
  });

  test("what was not asked for, or is left out already, is no help", () => {
    const error = errorOf(400, "invalid request: thinking is not supported by this model");
    expect(cohereChat.repair?.(error, callOf({ model: "command-r", messages }))).toBeUndefined();
    expect(cohereChat.repair?.(error, callOf(body, { repairs: ["drop:thinking"] }))).toBeUndefined();
    expect(cohereChat.repair?.({ ...error, kind: "server" }, callOf(body))).toBeUndefined();
  });

  test("a model that cannot think and is told not to does as it is told", () => {
    const told = recordOf(callOf({ ...body, reasoning_effort: "none" }, { repairs: ["drop:thinking"] }));
    expect(told).toMatchObject({ warnings: [] });
  });
});

// What Bedrock's errors mean to the loop, by HTTP and inside a stream; and which fields of a request are known.
import { describe, expect, test } from "vitest";
import type { ChatBody, ErrorKind } from "../../src/chat.ts";
import { converseCall, decodeEvents, dialect, wireBody } from "./bedrock-harness.ts";

const NOON = Date.parse("2026-11-24T12:00:00Z");

interface Case {
  says: string;
  status: number;
  type?: string;
  message?: string;
  body?: unknown;
  kind: ErrorKind;
  more?: object;
}

const V = "ValidationException";
const CASES: Case[] = [
  { says: "throttling", status: 429, type: "ThrottlingException", message: "Too many requests", kind: "rate_limited" },
  {
    says: "a daily quota, which begins anew at midnight UTC",
    status: 429,
    type: "ThrottlingException",
    message: "Too many tokens per day, please wait before trying again.",
    kind: "rate_limited",
    more: { subkind: "daily_quota", retryAfterMs: 12 * 3_600_000 },
  },
  { says: "a model that is not ready", status: 429, type: "ModelNotReadyException", kind: "overloaded" },
  { says: "a service quota", status: 400, type: "ServiceQuotaExceededException", kind: "quota" },
  { says: "a missing permission", status: 403, type: "AccessDeniedException", kind: "auth" },
  { says: "an expired token", status: 403, type: "ExpiredTokenException", kind: "auth" },
  { says: "a missing model", status: 404, type: "ResourceNotFoundException", kind: "not_found" },
  { says: "a model that takes too long", status: 408, type: "ModelTimeoutException", kind: "timeout" },
  { says: "a failure of the model", status: 424, type: "ModelErrorException", kind: "server" },
  { says: "a failure of the service", status: 500, type: "InternalServerException", kind: "server" },
  { says: "a service that is away", status: 503, type: "ServiceUnavailableException", kind: "overloaded" },
  { says: "an invalid request", status: 400, type: V, message: "Malformed input request", kind: "invalid_request" },
  {
    says: "an input that is too long",
    status: 400,
    type: V,
    message: "Input is too long for requested model.",
    kind: "context_length",
    more: { code: "context_length_exceeded" },
  },
  {
    says: "an unknown model",
    status: 400,
    type: V,
    message: "The provided model identifier is invalid.",
    kind: "not_found",
  },
  {
    says: "a missing ability",
    status: 400,
    type: V,
    message: "This model doesn't support tool use.",
    kind: "unsupported",
  },
  {
    says: "a type in the body alone",
    status: 400,
    body: { __type: "com.amazon.coral.availability#ThrottlingException", message: "slow" },
    kind: "rate_limited",
    more: { message: "slow" },
  },
  { says: "nothing but a status", status: 429, body: {}, kind: "rate_limited" },
  { says: "a name that every object knows", status: 500, type: "constructor", kind: "server" },
  { says: "a page instead of an error", status: 502, body: "<html>", kind: "server" },
];

describe("an error answer", () => {
  test.each(CASES)("with $says", ({ status, type, message = "words", body = { message }, kind, more = {} }) => {
    const url = "http://internal.amazon.com/coral/com.amazon.bedrock/";
    const headers = { "x-amzn-errortype": type && `${type}:${url}`, "x-amzn-requestid": "r-1" };
    const text = typeof body === "string" ? body : JSON.stringify(body);
    expect(dialect.decodeError({ status, headers, text, nowMs: NOON })).toMatchObject({
      kind,
      status,
      message: expect.stringMatching(/./),
      upstreamRequestId: "r-1",
      ...more,
    });
  });
});

describe("an exception in a stream", () => {
  test.each([
    ["throttlingException", "rate_limited", 429],
    ["modelStreamErrorException", "server", 502],
    ["internalServerException", "server", 500],
    ["serviceUnavailableException", "overloaded", 503],
    ["validationException", "invalid_request", 400],
  ])("%s is %s", async (type, kind, status) => {
    const call = converseCall({ model: "m", messages: [] });
    const events = await decodeEvents([{ exception: { type, message: "words" } }], call);
    expect(events).toMatchObject([{ type: "error", error: { kind, status, message: "words" } }]);
  });
});

test("a claude that names what it does not take is asked again without it, within what converse can say", () => {
  const body: ChatBody = {
    model: "us.anthropic.claude-haiku-9",
    messages: [{ role: "user", content: "a" }],
    max_tokens: 9_000,
  };
  const message =
    "The model returned the following errors: max_tokens: 9000 > 4096, which is the maximum allowed number of output tokens";
  const error = { kind: "invalid_request", status: 400, message } as const;
  const repair = dialect.repair?.(error, converseCall(body));
  expect(repair).toEqual({ token: "max_tokens=4096", isLasting: true });
  expect(wireBody(body, { repairs: ["max_tokens=4096"] })).toMatchObject({ inferenceConfig: { maxTokens: 4096 } });
  // Profiles of other vendors' models do not come from Anthropic.
  expect(dialect.repair?.(error, converseCall({ ...body, model: "amazon.nova-pro-v1:0" }))).toBeUndefined();
});

test("files are fetched by the router, whatever their address", () => {
  const image = (url: string) => ({ type: "image_url", image_url: { url } });
  const urls = ["https://e.x/a.png", "http://e.x/b.png", "data:image/png;base64,AAAA"];
  const call = converseCall({ model: "amazon.nova-pro-v1:0", messages: [{ role: "user", content: urls.map(image) }] });
  expect(dialect.attachments?.(call)).toEqual(urls.slice(0, 2));
  const downloads = new Map(urls.slice(0, 2).map((url) => [url, { mediaType: "image/png", base64: "iVBORw0KGgo=" }]));
  const { body } = call.request;
  expect(wireBody(body, { downloads }).messages).toMatchObject([
    { content: [{ image: { format: "png", source: { bytes: "iVBORw0KGgo=" } } }, { image: {} }, { image: {} }] },
  ]);
});

test("an unknown field is dropped and reported, and a known one is in the table", () => {
  const call = converseCall({ model: "m", messages: [{ role: "user", content: "a" }], brand_new: 1, seed: 2 });
  expect(dialect.encode(call)).toMatchObject({ warnings: ["dropped:brand_new", "dropped:seed"] });
  expect(dialect.fields?.seed).toEqual({ class: "dropped" });
  expect(dialect.fields?.brand_new).toBeUndefined();
});

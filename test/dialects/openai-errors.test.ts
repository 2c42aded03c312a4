// What providers say when they refuse, in every shape seen in the field.
import { describe, expect, test } from "vitest";
import { openaiChat } from "../../providers/dialects/openai-chat.ts";
import { durationMs, retryAfterMs } from "../../providers/dialects/retry-after.ts";
import type { ErrorKind, ProviderError } from "../../src/chat.ts";
import { fold } from "../../src/chat.ts";
import { anyCall, decodeBody, decodeText, providerOf } from "./openai-harness.ts";

function refusal(status: number, body: unknown, headers: Record<string, string> = {}): ProviderError {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return openaiChat().decodeError({ status, headers, text, nowMs: 0 });
}

describe("the message is found wherever the vendor put it", () => {
  test.each<[string, unknown, string]>([
    ["{error:{message}}", { error: { message: "bad", type: "x", param: null, code: null } }, "bad"],
    ['{error:"…"}', { error: "bad" }, "bad"],
    ['{code,error:"…"} (xAI)', { code: "invalid-argument", error: "bad" }, "bad"],
    ["flat {message,type,param,code} (Cerebras, old vLLM)", { object: "error", message: "bad", code: 400 }, "bad"],
    ["{message:{detail:[…]}} (Mistral)", { message: { detail: [{ loc: ["body", "n"], msg: "bad" }] } }, "body.n: bad"],
    ['{detail:"…"}', { detail: "bad" }, "bad"],
    ["{detail:{error}} (DeepInfra)", { detail: { error: "bad" } }, "bad"],
    ["{detail:[…]} (FastAPI)", { detail: [{ loc: ["a", 0], msg: "bad" }, { msg: "worse" }] }, "a.0: bad; worse"],
    ["error.metadata.raw (OpenRouter)", { error: { code: 400, metadata: { raw: "bad" } } }, "bad"],
    ["problem+json (NVIDIA)", { type: "about:blank", status: 400, title: "bad" }, "bad"],
    ["base_resp (MiniMax)", { base_resp: { status_code: 2013, status_msg: "bad" } }, "bad"],
    ["the first of a list (Google's wrapper)", [{ error: { code: 400, message: "bad" } }], "bad"],
    ["a list of strings (Perplexity)", ["bad"], '["bad"]'],
    ["HTML", "<html>bad</html>\n", "<html>bad</html>"],
    ["nothing", "", "The provider answered with status 400."],
    ["a number", 7, "7"],
    ["null", null, "null"],
  ])("%s", (_, body, message) => {
    expect(refusal(400, body).message).toBe(message);
  });

  test("a page of HTML is cut", () => {
    expect(refusal(502, "x".repeat(5_000)).message).toHaveLength(300);
    expect(refusal(400, { error: { message: "x".repeat(5_000) } }).message).toHaveLength(2_000);
  });
});

describe("the kind of a refusal decides what happens next", () => {
  const say = (message: string, code: string | number | null = null, type = "invalid_request_error") => {
    return { error: { message, code, type, param: null } };
  };
  test.each<[ErrorKind, number, unknown, string]>([
    ["invalid_request", 400, say("messages must alternate"), "a plain 400"],
    ["invalid_request", 422, say("n must be 1"), "a plain 422"],
    ["invalid_request", 405, say("method"), "405"],
    ["auth", 401, say("Incorrect API key"), "401"],
    ["auth", 403, say("no access to this region"), "403"],
    ["auth", 400, say("Incorrect API key provided"), "400 that speaks of the key (xAI)"],
    ["auth", 400, say("no", "invalid_api_key"), "400 whose code speaks of the key"],
    ["quota", 402, say("Insufficient Balance"), "402 (DeepSeek)"],
    ["quota", 429, say("You exceeded your current quota", "insufficient_quota"), "429 for want of money (OpenAI)"],
    ["quota", 429, say("no", null, "exceeded_current_quota_error"), "429 whose type says so (Moonshot)"],
    ["quota", 400, say("Billing hard limit has been reached", "billing_hard_limit_reached"), "400 for want of money"],
    ["quota", 403, say("no credits left", "insufficient_quota"), "403 for want of money (xAI)"],
    ["rate_limited", 413, say("too many tokens per minute"), "413 that speaks of tokens and of a rate"],
    ["invalid_request", 400, say("too many tokens per minute"), "400 that speaks of tokens and of a rate"],
    ["not_found", 404, say("The model does not exist", "model_not_found"), "404"],
    ["timeout", 408, "", "408"],
    ["timeout", 504, "<html>", "504"],
    ["server", 409, "", "409"],
    ["server", 500, say("oops"), "500"],
    ["server", 502, "<html>", "502"],
    ["server", 520, "<html>", "520 (Cloudflare)"],
    ["server", 400, say("Failed to call a function.", "tool_use_failed"), "a call the model wrote wrong (Groq)"],
    ["overloaded", 503, say("Loading model"), "503"],
    ["overloaded", 529, "", "529"],
    ["overloaded", 498, say("flex capacity"), "498 (Groq)"],
    ["rate_limited", 429, say("slow down"), "429"],
    ["rate_limited", 503, say("Slow Down", "slow_down"), "503 whose code is that of a rate (OpenAI)"],
    [
      "content_filter",
      403,
      say("Your chosen model requires moderation and your input was flagged"),
      "403 (OpenRouter)",
    ],
    ["rate_limited", 413, say("Request too large … tokens per minute (TPM): Limit 6000"), "413 that is a rate (Groq)"],
    ["context_length", 413, say("prompt is too long"), "413 that is a length"],
    ["context_length", 400, say("maximum context length is 8192 tokens"), "400 that is a length"],
    ["context_length", 500, say("exceed_context_size_error"), "500 that is a length"],
    ["context_length", 422, say("input token count exceeds"), "422 that is a length"],
    ["context_length", 400, say("x", null, "exceed_context_size_error"), "a type that says length (llama.cpp)"],
    ["context_length", 400, say("too many tokens to generate accurately"), "a length that talks of generating"],
    ["content_filter", 400, say("filtered", "content_filter"), "a filter (Azure)"],
    ["content_filter", 400, say("inappropriate content", "data_inspection_failed"), "a filter (DashScope)"],
    ["unsupported", 400, say("Unsupported parameter: 'stop'"), "a parameter (OpenAI)"],
    ["unsupported", 400, say("Unrecognized request argument supplied: x"), "a parameter (Azure)"],
    [
      "unsupported",
      422,
      { detail: [{ type: "extra_forbidden", loc: ["body", "x"], msg: "no" }] },
      "a parameter (FastAPI)",
    ],
    ["malformed", 301, "<html>moved</html>", "a redirect: the address is wrong"],
  ])("%s: %i %s %s", (kind, status, body) => {
    expect(refusal(status, body).kind).toBe(kind);
  });

  test.each([
    [429, say("slow down", "slow_down"), "slow_down"],
    [429, say("There was a sudden increase in your request rate."), "slow_down"],
    [429, say("Resource unavailable, please try again.", "resource_unavailable"), "no_spare_capacity"],
    [429, say("Rate limit reached for requests per minute", "rate_limit_exceeded"), undefined],
    [500, say("slow down", "slow_down"), undefined],
  ])("%i %o is of the subkind %s", (status, body, subkind) => {
    expect(refusal(status, body).subkind).toBe(subkind);
  });

  test("a rate limit that advises to visit the billing page is a rate limit", () => {
    const message =
      "Rate limit reached for gpt-4o in organization org-AbCdEf123456 on requests per min (RPM): Limit 3. " +
      "Add a payment method at https://platform.openai.com/account/billing.";
    const error = refusal(429, say(message, "rate_limit_exceeded", "requests"), { "retry-after": "20" });
    expect(error).toMatchObject({ kind: "rate_limited", code: "rate_limit_exceeded", retryAfterMs: 20_000 });
  });

  test("status, code, parameter and request id of the provider are kept", () => {
    const body = { error: { message: "bad", code: "invalid_value", param: "top_p", type: "invalid_request_error" } };
    expect(refusal(400, body, { "x-request-id": "req_7" })).toEqual({
      kind: "invalid_request",
      message: "bad",
      status: 400,
      code: "invalid_value",
      param: "top_p",
      retryAfterMs: undefined,
      upstreamRequestId: "req_7",
    });
  });

  test("the code of a length, a filter or an unknown field is OpenAI's, whatever the vendor calls it", () => {
    expect(refusal(400, say("prompt is too long", "too_long")).code).toBe("context_length_exceeded");
    expect(refusal(400, say("no", "data_inspection_failed")).code).toBe("content_filter");
    expect(refusal(400, say("Argument not supported on this model: x", "invalid-argument")).code).toBe(
      "unsupported_parameter",
    );
    expect(refusal(400, say("Unsupported value: 'temperature'", "unsupported_value")).code).toBe("unsupported_value");
  });

  test.each<[string, number, string | number, string | undefined]>([
    ["a rate limit", 429, "1302", "rate_limit_exceeded"],
    ["a model nobody has", 404, "DeploymentNotFound", "model_not_found"],
    ["an overload", 503, "The service is currently unavailable", undefined],
    ["a failure", 500, "internal_error_17", undefined],
    ["a bad request by number", 400, "1214", undefined],
    ["a bad request by sentence", 400, "Client specified an invalid argument", undefined],
    ["a bad request by word", 400, "integer_above_max_value", "integer_above_max_value"],
    ["a call the model wrote wrong", 400, "tool_use_failed", "tool_use_failed"],
  ])("%s (%i, %s) has the code %s", (_, status, code, expected) => {
    expect(refusal(status, say("no", code)).code).toBe(expected);
  });
});

describe("an error inside a 200 is judged by its words", () => {
  test.each<[ErrorKind, unknown]>([
    ["rate_limited", { error: { type: "rate_limit_error", message: "slow" } }],
    ["rate_limited", { error: { code: 429, message: "slow" } }],
    ["rate_limited", { code: "Throttling.RateQuota", message: "slow" }],
    ["overloaded", { error: { type: "overloaded_error", message: "busy" } }],
    ["overloaded", { choices: [{ index: 0, error: { code: 503, message: "busy" } }] }],
    ["auth", { error: { type: "authentication_error", message: "key" } }],
    ["auth", { code: "Client specified an invalid argument", error: "Incorrect API key provided: xa***23." }],
    ["server", { detail: "Internal server error." }],
    ["server", { detail: { error: "Internal server error." } }],
    ["quota", { error: { type: "insufficient_quota", message: "money" } }],
    ["invalid_request", { code: "InvalidParameter", message: "enable_thinking must be false" }],
    ["context_length", { error: { type: "invalid_request_error", message: "maximum context length" } }],
    ["context_length", { error: { message: "prompt is too long" } }],
    ["content_filter", { error: { message: "content_policy_violation" } }],
    ["server", { error: { code: 502, message: "gone" }, choices: [] }],
    ["server", { error: "something" }],
    ["server", { error: {} }],
    ["server", { base_resp: { status_code: 9999, status_msg: "new" } }],
  ])("%s: %j", (kind, body) => {
    expect(fold(decodeBody(body)).error?.kind).toBe(kind);
    expect(fold(decodeText(`data: ${JSON.stringify(body)}\n\n`)).error?.kind).toBe(kind);
  });

  test("a number that is no HTTP status is not passed off as one", () => {
    expect(fold(decodeBody({ error: { code: 1305, message: "busy" } })).error).toMatchObject({ status: undefined });
  });

  test("an answer that merely has the members of an error, empty, is an answer", () => {
    const choices = [{ index: 0, message: { content: "a" }, finish_reason: "stop" }];
    for (const extra of [{ error: null }, { error: "" }, { base_resp: { status_code: 0, status_msg: "" } }]) {
      expect(fold(decodeBody({ choices, ...extra })).error).toBeUndefined();
    }
  });
});

describe("what only one provider's profile knows", () => {
  const error = (message: string, code: unknown = null) => ({ error: { message, code, type: "x" } });
  const base = (code: number) => ({ base_resp: { status_code: code, status_msg: "no" }, choices: null });
  test.each<[provider: string, ErrorKind, status: number, body: unknown]>([
    ["minimax", "rate_limited", 200, base(1002)],
    ["minimax", "rate_limited", 200, base(1039)],
    ["minimax", "auth", 200, base(1004)],
    ["minimax", "auth", 200, base(2049)],
    ["minimax", "quota", 200, base(1008)],
    ["minimax", "content_filter", 200, base(1026)],
    ["minimax", "content_filter", 200, base(1027)],
    ["minimax", "invalid_request", 200, base(2013)],
    ["minimax", "server", 200, base(9999)],
    ["zai", "auth", 401, error("key", "1002")],
    ["zai", "quota", 429, error("arrears", "1113")],
    ["zai", "invalid_request", 400, error("bad history", "1214")],
    ["zai", "not_found", 400, error("no such model", "1211")],
    ["zai", "server", 400, error("network", "1234")],
    ["zai", "context_length", 400, error("too long", "1261")],
    ["zai", "content_filter", 400, error("no", "1301")],
    ["zai", "rate_limited", 429, error("slow", "1302")],
    ["zai", "overloaded", 429, error("busy", "1305")],
    ["zai", "quota", 429, error("[1308][Usage limit reached for 5 hour][20261007]")],
    ["zai", "rate_limited", 200, error("slow", "1302")],
    ["dashscope", "content_filter", 400, error("inappropriate", "data_inspection_failed")],
    ["dashscope", "quota", 400, error("overdue", "Arrearage")],
    ["dashscope", "rate_limited", 200, { code: "Throttling.RateQuota", message: "slow", request_id: "r" }],
    ["deepseek", "not_found", 400, error("Model Not Exist", "invalid_request_error")],
    ["deepseek", "quota", 402, error("Insufficient Balance")],
    ["groq", "rate_limited", 413, error("Request too large … on tokens per minute (TPM): Limit 6000")],
    ["azure", "content_filter", 400, { error: { code: "content_filter", innererror: { content_filter_result: {} } } }],
    ["azure", "not_found", 404, error("The API deployment does not exist", "DeploymentNotFound")],
    [
      "nvidia",
      "not_found",
      404,
      { status: 404, title: "Not Found", detail: "Function 'x': Not found for account 'y'" },
    ],
    ["moonshot", "overloaded", 503, error("busy", "engine_overloaded_error")],
    ["moonshot", "overloaded", 429, { error: { message: "busy", type: "engine_overloaded_error" } }],
    ["moonshot", "rate_limited", 429, { error: { message: "slow", type: "rate_limit_reached_error" } }],
    [
      "xai",
      "auth",
      400,
      { code: "Client specified an invalid argument", error: "Incorrect API key provided: xa***23." },
    ],
  ])("%s: %s %i %j", (provider, kind, status, body) => {
    const call = anyCall({ provider });
    const { dialect } = call.target.provider;
    const text = JSON.stringify(body);
    const refused = () => dialect.decodeError({ status, headers: {}, text, nowMs: 0 });
    expect((status === 200 ? fold(decodeBody(body, call)).error : refused())?.kind).toBe(kind);
  });

  test("what the provider behind OpenRouter said is heard, and its headers as well", () => {
    const metadata = {
      raw: '{"error":{"message":"prompt is too long: 9 tokens > 8"}}',
      headers: { "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": 5_000 },
    };
    const long = refusal(400, { error: { message: "Provider returned error", code: 400, metadata } });
    expect(long).toMatchObject({
      kind: "context_length",
      message: "Provider returned error: prompt is too long: 9 tokens > 8",
    });
    const limited = refusal(429, { error: { message: "Rate limit exceeded", code: 429, metadata } });
    expect(limited).toMatchObject({ kind: "rate_limited", retryAfterMs: 5_000_000 });
  });
});

describe("when to come back, from all that a refusal tells", () => {
  const nowMs = Date.parse("2026-10-07T12:00:00Z");
  const wait = (message: string, provider = "openai", headers: Record<string, string> = {}) => {
    const text = JSON.stringify({ error: { message } });
    return providerOf(provider).dialect.decodeError({ status: 429, headers, text, nowMs }).retryAfterMs;
  };
  test.each<[string, number | undefined]>([
    ["Please retry after 6 seconds.", 6_000],
    ["Rate limit reached. Please try again in 7.66s. Visit …", 7_660],
    ["Please try again in 1m2.5s.", 62_500],
    ["Please try again in 320ms", 320],
    ["try again in 2 minutes", 120_000],
    ["Please retry your request after 20 seconds", 20_000],
    ["Please try again later.", undefined],
    ["Please try again in 99999h", undefined],
    ["Limit 6000, Requested 9000", undefined],
  ])("%s -> %s", (message, ms) => {
    expect(wait(message)).toBe(ms);
  });

  test("headers go before words, and words before the next window that opens", () => {
    expect(wait("try again in 7s", "openai", { "retry-after": "3" })).toBe(3_000);
    expect(wait("try again in 7s", "openai", { "x-ratelimit-reset-requests": "9s" })).toBe(7_000);
    expect(wait("slow down", "openai", { "x-ratelimit-reset-requests": "9s" })).toBe(9_000);
  });

  test("an instant of a clock in another zone", () => {
    const message = "Your limit will reset at 2026-10-07 21:00:05";
    expect(wait(message, "zai")).toBe(3_605_000);
    expect(wait(message, "openai")).toBeUndefined();
  });

  test("a refusal for another reason is told no time to come back", () => {
    const headers = { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s" };
    const text = JSON.stringify({ error: { message: "try again in 7s" } });
    expect(openaiChat().decodeError({ status: 400, headers, text, nowMs }).retryAfterMs).toBeUndefined();
  });

  test("a model this key may not use at all is no matter of waiting", () => {
    const headers = { "x-ratelimit-limit-req-minute": "0", "x-ratelimit-remaining-req-minute": "0" };
    const text = JSON.stringify({ message: "Rate limit exceeded" });
    expect(providerOf("mistral").dialect.decodeError({ status: 429, headers, text, nowMs }).kind).toBe("quota");
  });
});

describe("what providers quote of us is masked", () => {
  test.each([
    ["Incorrect API key provided: sk-proj-abc***xyz. Find it", "Incorrect API key provided: [key]. Find it"],
    ["key gsk_abcdef1234567 is revoked", "key [key] is revoked"],
    ["API key AIzaSyA1234567890abcdef not valid", "API key [key] not valid"],
    ["Incorrect API key provided: xa***23. You can obtain", "Incorrect API key provided: [key]. You can obtain"],
    ["Incorrect API key provided: 3f9a8b7c6d. Find it", "Incorrect API key provided: [key]. Find it"],
    ["the key ab12****cd34 is revoked", "the key [key] is revoked"],
    ["Rate limit reached in organization org-AbCdEf123456 on", "Rate limit reached in organization [account] on"],
    ["project proj_AbCdEf123456 is archived", "project [account] is archived"],
  ])("%s", (message, shown) => {
    expect(refusal(401, { error: { message } }).message).toBe(shown);
    expect(fold(decodeBody({ error: { message } })).error?.message).toBe(shown);
  });

  test("ordinary words are left alone", () => {
    const message = "risk-assessment of the organisation's task-list: org-chart, hf_x";
    expect(refusal(400, { error: { message } }).message).toBe(message);
  });
});

describe("when to come back", () => {
  const now = Date.parse("2026-10-07T12:00:00Z");
  test.each<[Record<string, string>, number | undefined]>([
    [{}, undefined],
    [{ "retry-after": "2" }, 2_000],
    [{ "retry-after": "0.25" }, 250],
    [{ "retry-after": " 7 " }, 7_000],
    [{ "retry-after": "1m30s" }, 90_000],
    [{ "retry-after": "Wed, 07 Oct 2026 12:00:30 GMT" }, 30_000],
    [{ "retry-after": "Wed, 07 Oct 2026 11:00:00 GMT" }, 0],
    [{ "retry-after-ms": "1250", "retry-after": "2" }, 1_250],
    [{ "retry-after-ms": "0.5" }, 1],
    [{ "retry-after-ms": "-1", "retry-after": "2" }, 2_000],
    [{ "retry-after-ms": "soon", "retry-after": "2" }, 2_000],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after": "" }, undefined],
    [{ "retry-after": "later" }, undefined],
    [{ "retry-after": "Infinity" }, undefined],
    [{ "retry-after": "1791417600" }, undefined],
    [{ "retry-after": "2678400" }, 2_678_400_000],
  ])("%j -> %s", (headers, ms) => {
    expect(retryAfterMs(headers, now)).toBe(ms);
  });

  test.each<[string, number | undefined]>([
    ["1s", 1_000],
    ["6m0s", 360_000],
    ["2m59.56s", 179_560],
    ["12ms", 12],
    ["4h17m", 15_420_000],
    ["1d2h", 93_600_000],
    ["0.1ms", 1],
    ["", undefined],
    ["5", undefined],
    ["1s2m", undefined],
    ["1 fortnight", undefined],
  ])("the duration %j is %s ms", (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });
});

// Answers that are not as they should be, and what the recorded cases do not show.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addPartialArgs } from "../../providers/dialects/google/partial-args.ts";
import { toUsage } from "../../providers/dialects/google/usage.ts";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { type ChatBody, type ChatEvent, fold, type JsonObject } from "../../src/chat.ts";
import { callOf, decodeText, sseOf } from "./google-harness.ts";

const ask: ChatBody = { model: "gemini-3.8-flash", messages: [{ role: "user", content: "q" }] };

function chunk(parts: unknown[], more: JsonObject = {}): JsonObject {
  return { responseId: "R", candidates: [{ content: { role: "model", parts }, ...more }] };
}

function stream(payloads: unknown[], tail = ""): ChatEvent[] {
  return decodeText(sseOf(payloads) + tail, callOf(ask, { stream: true }));
}

function buffered(body: unknown): ChatEvent[] {
  return googleGenerate.decodeBody(body, callOf(ask));
}

function errorCode(events: ChatEvent[]): string | undefined {
  const last = events.at(-1);
  return last?.type === "error" ? last.error.code : undefined;
}

const half = chunk([{ text: "half" }]);
const whole = chunk([{ text: "whole" }], { finishReason: "STOP" });

describe("the end of a stream", () => {
  test("nothing at all is a truncated answer", () => {
    expect(stream([])).toMatchObject([
      { type: "error", error: { kind: "truncated", code: "upstream_stream_truncated" } },
    ]);
  });

  test("an error after a finish reason is an error: old models finish in every chunk", () => {
    expect(errorCode(stream([whole], '{"error":{"code":503,"message":"m"}}'))).toBe("upstream_unavailable");
    expect(errorCode(stream([whole], '[{"error":{"code":429,"message":"m"}}]'))).toBe("rate_limit_exceeded");
  });

  test("a tail that is no error spoils neither a whole answer nor a half one's diagnosis", () => {
    expect(stream([whole], ": bye").at(-1)).toEqual({ type: "end" });
    expect(errorCode(stream([half], '{"error": {"code": 503, "mess'))).toBe("upstream_stream_truncated");
  });

  test("a whole call without a finish reason is still a cut answer", () => {
    expect(errorCode(stream([chunk([{ functionCall: { name: "f", args: {} } }])]))).toBe("upstream_stream_truncated");
  });

  test("one choice that was cut fails the answer", () => {
    const second = { candidates: [{ content: { parts: [{ text: "b" }] }, index: 1 }] };
    expect(errorCode(stream([whole, second]))).toBe("upstream_stream_truncated");
  });

  test("usage comes as it is told, so that a broken stream is billed", () => {
    const events = stream([{ ...half, usageMetadata: { promptTokenCount: 5, totalTokenCount: 5 } }]);
    expect(events.map(({ type }) => type)).toEqual(["start", "text_delta", "usage", "error"]);
  });

  test("after an error nothing follows", () => {
    const events = stream([{ error: { code: 500, message: "m" } }, whole]);
    expect(events.map(({ type }) => type)).toEqual(["error"]);
  });
});

describe("frames", () => {
  test("several responses in one event are read one after the other", () => {
    expect(fold(stream([[half, whole]])).choices[0]?.text).toBe("halfwhole");
  });

  test("an event that is not JSON is an error", () => {
    expect(errorCode(decodeText("data: {oops\n\n", callOf(ask)))).toBe("upstream_malformed");
  });

  test("the end marker of proxies is not a message", () => {
    expect(decodeText(`${sseOf([whole])}data: [DONE]\n\n`, callOf(ask)).at(-1)).toEqual({ type: "end" });
  });
});

describe("how an answer ends", () => {
  const reasons: [native: string | undefined, parts: unknown[], expected: string][] = [
    ["STOP", [], "stop"],
    ["STOP", [{ functionCall: { name: "f" } }], "tool_calls"],
    ["MAX_TOKENS", [], "length"],
    ["CONTINUATION", [{ text: "a" }], "length"],
    ["SAFETY", [{ text: "a" }], "content_filter"],
    ["LANGUAGE", [], "content_filter"],
    ["IMAGE_RECITATION", [], "content_filter"],
    ["OTHER", [{ text: "a" }], "stop"],
    ["OTHER", [{ text: "only thoughts", thought: true }], "no_output"],
    ["NO_IMAGE", [], "no_output"],
    ["constructor", [], "no_output"],
    ["BRAND_NEW", [{ functionCall: { name: "f" } }], "tool_calls"],
    ["UNEXPECTED_TOOL_CALL", [{ text: "a" }], "unexpected_tool_call"],
    ["MALFORMED_RESPONSE", [{ text: "a" }], "malformed_response"],
    [undefined, [{ text: "a" }], "stop"],
    [undefined, [], "empty_response"],
    ["STOP", [{ inlineData: { mimeType: "image/png", data: "AA" } }], "stop"],
    ["IMAGE_OTHER", [{ inlineData: { mimeType: "image/png", data: "AA" } }], "stop"],
    ["IMAGE_OTHER", [{ inlineData: { mimeType: "image/png", data: "AA" }, thought: true }], "no_output"],
  ];

  test.each(reasons)("%s with %j ends as %s", (finishReason, parts, expected) => {
    const events = buffered(chunk(parts, finishReason === undefined ? {} : { finishReason }));
    expect(errorCode(events) ?? fold(events).choices[0]?.finishReason).toBe(expected);
  });

  test("a buffered answer without candidates is empty", () => {
    expect(errorCode(buffered({ usageMetadata: { promptTokenCount: 1 } }))).toBe("empty_response");
    expect(errorCode(buffered("<html>"))).toBe("invalid_response");
    expect(errorCode(buffered({ error: { code: 503, message: "m" } }))).toBe("upstream_unavailable");
  });
});

describe("calls", () => {
  const tools = [{ type: "function", function: { name: "3d" } }];
  const nameOf = (name: string) => {
    const call = callOf({ ...ask, tools });
    const events = googleGenerate.decodeBody(chunk([{ functionCall: { name } }], { finishReason: "STOP" }), call);
    return fold(events).choices[0]?.toolCalls[0]?.name;
  };

  test("come back under the caller's name, also from Gemini's internal module", () => {
    expect(["_3d", "default_api:_3d", "default_api.other"].map(nameOf)).toEqual(["3d", "3d", "default_api.other"]);
  });

  test("with arguments in pieces are whole when the next call begins", () => {
    const events = stream([
      chunk([{ functionCall: { id: "a", name: "f", willContinue: true } }]),
      chunk([{ functionCall: { partialArgs: [{ jsonPath: '$["x y"]', boolValue: true }], willContinue: true } }]),
      chunk([{ functionCall: {} }, { functionCall: { id: "b", name: "g", args: { z: 1 } } }], { finishReason: "STOP" }),
    ]);
    const calls = fold(events).choices[0]?.toolCalls.map(({ id, argumentsText }) => [id, argumentsText]);
    expect(calls).toEqual([
      ["a", '{"x y":true}'],
      ["b", '{"z":1}'],
    ]);
  });

  test("cannot reach the prototype through the address of a piece", () => {
    const args: JsonObject = {};
    const paths = ["$.__proto__.polluted", "$.constructor.prototype.polluted", "$.a[99999999]", "$", "a", 7, "$..a"];
    addPartialArgs(
      args,
      paths.map((jsonPath) => ({ jsonPath, stringValue: "x" })),
    );
    expect(args).toEqual({});
    addPartialArgs(args, [
      { jsonPath: "$.l[0]", numberValue: 1 },
      { jsonPath: "$.l.length", numberValue: -1 },
    ]);
    expect(args).toEqual({ l: [1] });
    expect(({} as JsonObject).polluted).toBeUndefined();
  });
});

describe("usage", () => {
  test("a frame without counts says nothing", () => {
    expect(toUsage({ trafficType: "ON_DEMAND" })).toBeUndefined();
  });

  test("without any word about output, output is unknown and not zero", () => {
    expect(toUsage({ promptTokenCount: 5 })).toMatchObject({ inputTokens: 5 });
    expect(toUsage({ promptTokenCount: 5 })?.outputTokens).toBeUndefined();
  });

  test("parts never exceed their whole, whatever is reported", () => {
    const count = fc.option(fc.oneof(fc.nat(), fc.integer(), fc.double(), fc.string()), { nil: undefined });
    const metadata = fc.record({
      promptTokenCount: count,
      candidatesTokenCount: count,
      thoughtsTokenCount: count,
      toolUsePromptTokenCount: count,
      cachedContentTokenCount: count,
      totalTokenCount: count,
    });
    fc.assert(
      fc.property(metadata, (told) => {
        const { inputTokens = 0, cacheReadTokens = 0, outputTokens = 0, reasoningTokens = 0 } = toUsage(told) ?? {};
        expect(cacheReadTokens).toBeLessThanOrEqual(inputTokens);
        expect(reasoningTokens).toBeLessThanOrEqual(outputTokens);
      }),
    );
  });
});

test("whatever the provider sends, there is exactly one terminal event, the last one, and no throw", () => {
  const part = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(fc.constantFrom("text", "thought", "functionCall", "inlineData", "thoughtSignature"), fc.jsonValue()),
  );
  const candidate = fc.dictionary(fc.constantFrom("finishReason", "index", "finishMessage"), fc.jsonValue());
  const payload = fc.oneof(
    fc.jsonValue(),
    fc.record({ candidates: fc.array(candidate), usageMetadata: fc.jsonValue(), promptFeedback: fc.jsonValue() }),
    fc.array(part).map((parts) => chunk(parts, { finishReason: "STOP" })),
    fc.record({ error: fc.jsonValue() }),
  );
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 5 }), fc.string(), (payloads, tail) => {
      for (const events of [stream(payloads, tail.replaceAll("data", "")), buffered(payloads[0]), buffered(payloads)]) {
        const terminals = events.filter(({ type }) => type === "end" || type === "error");
        expect(terminals).toEqual(events.slice(-1));
      }
    }),
    { numRuns: 400 },
  );
});

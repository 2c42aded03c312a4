// Where a text that one model began meets what another one writes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ChatBody, ChatEvent, ChatRequest } from "../src/chat.ts";
import {
  asksForPlainText,
  type ContinuationStyle,
  continuedRequest,
  DeliveredText,
  OverlapFilter,
} from "../src/gateway/continued-text.ts";

function requestOf(more: Partial<ChatBody> = {}): ChatRequest {
  const body: ChatBody = { model: "m", messages: [{ role: "user", content: "Tell me." }], ...more };
  return { dialect: "openai-chat", body, stream: true, includeUsage: false, includeCost: false, strict: false };
}

function joined(before: string, after: string, style: ContinuationStyle = "user_turn", cuts = [after]): string {
  const filter = new OverlapFilter(before, style);
  return before + cuts.map((cut) => filter.push(cut)).join("") + filter.flush();
}

describe("only a plain text is gone on with", () => {
  test.each<[string, Partial<ChatBody>]>([
    ["tools", { tools: [{ type: "function", function: { name: "f" } }] }],
    ["old functions", { functions: [{ name: "f" }] }],
    ["a search of the web", { web_search_options: {} }],
    ["a schema", { response_format: { type: "json_schema", json_schema: { name: "x" } } }],
    ["a JSON object", { response_format: { type: "json_object" } }],
    ["several choices", { n: 2 }],
    ["log-probabilities", { logprobs: true }],
    ["their number alone", { top_logprobs: 3 }],
    ["sound", { modalities: ["text", "audio"], audio: { voice: "alloy" } }],
  ])("not with %s", (_, more) => {
    expect(asksForPlainText(requestOf(more))).toBe(false);
  });

  test("what changes nothing is no obstacle", () => {
    const more = { tools: [], n: 1, logprobs: false, response_format: { type: "text" }, modalities: ["text"] };
    expect(asksForPlainText(requestOf(more))).toBe(true);
  });

  test.each<[string, ChatEvent]>([
    ["a tool call", { type: "tool_call_start", index: 0, call: 0, id: "c", name: "f" }],
    ["reasoning", { type: "reasoning_delta", index: 0, text: "hm" }],
    ["something signed", { type: "remember", key: "k", value: {} }],
    ["a picture", { type: "extra", at: "message", index: 0, members: { images: [] } }],
    ["a second choice", { type: "text_delta", index: 1, text: "b" }],
    ["the finish", { type: "finish", index: 0, reason: "stop", nativeReason: "stop" }],
  ])("not after %s", (_, event) => {
    const delivered = new DeliveredText();
    delivered.observe([
      { type: "start", id: "a", model: "m" },
      { type: "text_delta", index: 0, text: "Once" },
    ]);
    expect(delivered.isPlain).toBe(true);
    delivered.observe([event]);
    expect(delivered.isPlain).toBe(false);
  });

  test("not when nothing but blanks has come, and not when more has come than is kept", () => {
    const delivered = new DeliveredText();
    delivered.observe([{ type: "text_delta", index: 0, text: " \n" }]);
    expect(delivered.isPlain).toBe(false);
    delivered.observe([{ type: "text_delta", index: 0, text: "x".repeat(500_000) }]);
    expect(delivered.isPlain).toBe(false);
    expect(delivered.text).toBe("");
  });
});

describe("the request for the rest", () => {
  test("ends with the text where the model goes on with it, else with a word from the user", () => {
    const prefill = continuedRequest(requestOf(), "Once upon", "prefill").body.messages;
    expect(prefill.slice(1)).toEqual([{ role: "assistant", content: "Once upon" }]);
    const turn = continuedRequest(requestOf(), "Once upon", "user_turn").body.messages;
    expect(turn.slice(1)).toEqual([
      { role: "assistant", content: "Once upon" },
      { role: "user", content: expect.stringMatching(/exactly where it stops/) },
    ]);
  });

  test("adds to an answer that the caller began itself", () => {
    const messages = [
      { role: "user", content: "Tell me." },
      { role: "assistant", content: "Once" },
    ];
    const asked = continuedRequest(requestOf({ messages }), " upon", "prefill").body.messages;
    expect(asked[1]).toEqual({ role: "assistant", content: "Once upon" });
    expect(asked).toHaveLength(2);
    expect(messages[1]?.content).toBe("Once");
  });

  test("leaves of the bound on the output what the text has not used, and nothing else is changed", () => {
    const text = "word ".repeat(50);
    const { body } = continuedRequest(requestOf({ max_tokens: 100, temperature: 0.5 }), text, "prefill");
    expect(body.max_tokens).toBeGreaterThan(20);
    expect(body.max_tokens).toBeLessThan(75);
    expect(body.temperature).toBe(0.5);
    expect(continuedRequest(requestOf({ max_completion_tokens: 5 }), text, "prefill").body.max_completion_tokens).toBe(
      1,
    );
    expect("max_tokens" in continuedRequest(requestOf(), text, "prefill").body).toBe(false);
  });
});

describe("what a continuation repeats is shown once", () => {
  const SEAMS: [string, ContinuationStyle, string, string, string][] = [
    ["the last words", "user_turn", "The quick brown fox", "brown fox jumps", "The quick brown fox jumps"],
    ["the beginning of a word", "user_turn", "The quick bro", "brown fox", "The quick brown fox"],
    ["nothing, when it goes on in a word", "user_turn", "The quick bro", "wn fox", "The quick brown fox"],
    ["nothing, when only a letter is the same", "user_turn", "Hel", "lo", "Hello"],
    ["nothing, when brackets are the same", "user_turn", "  }\n", "}\n", "  }\n}\n"],
    [
      "a long piece from the middle of a word",
      "user_turn",
      "Donaudampfschifffahrt",
      "dampfschifffahrt!",
      "Donaudampfschifffahrt!",
    ],
    ["blanks that were not sent to it", "prefill", "Hello ", " world", "Hello world"],
    [
      "nothing, when a prefilled answer says a word twice",
      "prefill",
      "It was very ",
      "very good",
      "It was very very good",
    ],
    [
      "the whole end of a prefill",
      "prefill",
      "And so the very quick brown fox",
      "the very quick brown fox ran",
      "And so the very quick brown fox ran",
    ],
  ];
  test.each(SEAMS)("%s (%s)", (_, style, before, after, whole) => {
    expect(joined(before, after, style)).toBe(whole);
    expect(joined(before, after, style, [...after])).toBe(whole);
  });

  test("up to 200 characters", () => {
    const words = Array.from({ length: 100 }, (_, i) => `word${i}`).join(" ");
    expect(joined(`Once. ${words}`, `${words.slice(-200)} and more`)).toBe(`Once. ${words} and more`);
    expect(joined(`Once. ${words}`, `${words.slice(-201)} and more`)).not.toBe(`Once. ${words} and more`);
  });

  test("however it is cut, and never more is taken than is repeated", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "abc", " ", "\n", "ż"), maxLength: 40 });
    const style = fc.constantFrom<ContinuationStyle>("prefill", "user_turn");
    fc.assert(
      fc.property(text, text, style, fc.array(fc.nat(40), { maxLength: 6 }), (before, after, how, at) => {
        const bounds = [0, ...at.map((cut) => Math.min(cut, after.length)).sort((a, b) => a - b), after.length];
        const cuts = bounds.slice(1).map((end, i) => after.slice(bounds[i], end));
        const whole = joined(before, after, how);
        expect(joined(before, after, how, cuts)).toBe(whole);
        expect(whole.startsWith(before) && whole.endsWith(after)).toBe(true);
      }),
    );
  });
});

// What a caller says of itself, and what it is told of itself: read and shown without a router around it.
import { describe, expect, test } from "vitest";
import type { ChatBody } from "../src/chat.ts";
import { attributionOf, tagsOf } from "../src/http/attribution.ts";
import { keyInfo } from "../src/http/key-info.ts";

const read = (body: object, headers: Record<string, string> = {}) =>
  attributionOf({ model: "m", messages: [], ...body } as unknown as ChatBody, (name) => headers[name]);

describe("whose request it is", () => {
  test.each<[string, object, Record<string, string>, object]>([
    ["nothing is said", {}, {}, { user: undefined, app: undefined, session: undefined }],
    ["OpenAI's user", { user: "u-1", metadata: { user_id: "u-2" } }, {}, { user: "u-1" }],
    ["its successor", { safety_identifier: "s-1" }, {}, { user: "s-1" }],
    ["metadata", { metadata: { user_id: "u-2", session_id: "s-2" } }, {}, { user: "u-2", session: "s-2" }],
    ["a title", {}, { "x-title": "My app", "http-referer": "https://a.example" }, { app: "My app" }],
    ["OpenRouter's title", {}, { "x-title": "Old", "x-openrouter-title": "New" }, { app: "New" }],
    [
      "a site alone, without its path",
      {},
      { "http-referer": "https://a.example/p?secret=1" },
      { app: "https://a.example" },
    ],
    ["a referer that is no address", {}, { "http-referer": "my-tool" }, { app: "my-tool" }],
    ["a session in a header", { session_id: "b" }, { "x-session-id": "h" }, { session: "h" }],
    ["a session in the body", { session_id: "b" }, {}, { session: "b" }],
    ["what is no text", { user: 7, session_id: ["x"], metadata: [] }, {}, { user: undefined, session: undefined }],
    ["control characters", { user: "a\u0000b\n" }, {}, { user: "a b" }],
  ])("%s", (_, body, headers, expected) => {
    expect(read(body, headers)).toMatchObject(expected);
  });

  test("long texts are cut at 256 characters and stay valid text", () => {
    expect(read({ user: "x".repeat(1_000) }).user).toHaveLength(256);
    expect(read({ user: `${"x".repeat(255)}😀` }).user?.isWellFormed()).toBe(true);
  });
});

test("tags are split at commas, trimmed, each taken once, and none is no tags", () => {
  expect(tagsOf(() => undefined)).toEqual([]);
  expect(tagsOf(() => " a, b:1 ,a,, team/x.y-z ")).toEqual(["a", "b:1", "team/x.y-z"]);
  expect(tagsOf(() => `ok,${"bad tag"}`)).toMatchObject({ status: 400, param: "x-signalbox-tags" });
});

describe("what a key has left", () => {
  const spent = {
    total: 9_000_000_000,
    day: 1_250_000_000,
    week: 2_000_000_000,
    month: 3_000_000_001,
    hour: 100_000_000,
  };
  const usd = (dollars: number) => dollars * 1_000_000_000;

  test("is that of the hard budget with the least left; soft ones do not stop it", () => {
    const budgets = [
      { limitNanoUsd: usd(1), window: "month", isHard: false },
      { limitNanoUsd: usd(5), window: "day", isHard: true },
      { limitNanoUsd: usd(10), window: "total", isHard: true },
      { limitNanoUsd: usd(2), window: "hour", isHard: true },
    ] as const;
    expect(keyInfo({ key: "ann", budgets }, spent).data).toMatchObject({
      usage: 9,
      usage_daily: 1.25,
      usage_weekly: 2,
      usage_monthly: 3.000000001,
      limit: 10,
      limit_remaining: 1,
      limit_reset: null,
      budgets: [
        { limit: 1, window: "month", hard: false, remaining: 0 },
        { limit: 5, window: "day", hard: true, remaining: 3.75 },
        { limit: 10, window: "total", hard: true, remaining: 1 },
        { limit: 2, window: "hour", hard: true, remaining: 1.9 },
      ],
    });
  });

  test("is null, not zero, where nobody counts", () => {
    const budgets = [{ limitNanoUsd: usd(5), window: "day", isHard: true }] as const;
    expect(keyInfo({ key: "ann", budgets }, undefined).data).toMatchObject({
      usage: null,
      limit: 5,
      limit_remaining: null,
      limit_reset: "daily",
    });
  });
});

// Rate-limit headers in one form, and the files a provider would not fetch.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import type { ChatMessage } from "../../src/chat.ts";
import type { LimitReading } from "../../src/dialect.ts";
import { anthropicCall } from "./anthropic-calls.ts";

const NOW_MS = Date.parse("2026-11-08T12:00:00Z");

function read(headers: Record<string, string>): LimitReading {
  return anthropicMessages.readLimits!(headers, NOW_MS);
}

/** Limit, remaining and reset under one prefix. */
function told(prefix: string, limit: string, remaining: string, reset: string): Record<string, string> {
  return { [`${prefix}-limit`]: limit, [`${prefix}-remaining`]: remaining, [`${prefix}-reset`]: reset };
}

describe("limits told in headers", () => {
  test("every window the provider tells has a name", () => {
    const prefixes = [
      "anthropic-ratelimit-requests",
      "anthropic-ratelimit-tokens",
      "anthropic-ratelimit-input-tokens",
      "anthropic-ratelimit-output-tokens",
      "anthropic-priority-input-tokens",
      "anthropic-priority-output-tokens",
      "anthropic-fast-input-tokens",
      "anthropic-fast-output-tokens",
      "anthropic-ratelimit-unified",
      "anthropic-ratelimit-unified-5h",
      "anthropic-ratelimit-unified-7d",
    ];
    const headers = Object.assign(
      {},
      ...prefixes.map((prefix, i) => told(prefix, "50", String(i), "2026-11-08T12:01:00Z")),
    );
    const names = [
      "requests",
      "tokens",
      "input_tokens",
      "output_tokens",
      "priority_input_tokens",
      "priority_output_tokens",
      "fast_input_tokens",
      "fast_output_tokens",
      "unified",
      "unified/5h",
      "unified/7d",
    ];
    const resetAtMs = NOW_MS + 60_000;
    expect(read(headers)).toEqual({
      windows: names.map((name, remaining) => ({ name, limit: 50, remaining, resetAtMs })),
    });
  });

  test("a limit of zero is told: the account has no fast mode", () => {
    expect(read({ "anthropic-fast-input-tokens-limit": "0" })).toEqual({
      windows: [{ name: "fast_input_tokens", limit: 0 }],
    });
  });

  test("resets of subscriptions are epoch seconds", () => {
    const reset = String(NOW_MS / 1000 + 90);
    expect(read({ "anthropic-ratelimit-unified-reset": reset }).windows).toEqual([
      { name: "unified", resetAtMs: NOW_MS + 90_000 },
    ]);
  });

  test("a reset in the past means now", () => {
    expect(read({ "anthropic-ratelimit-requests-reset": "2026-11-08T11:59:58Z" }).windows).toEqual([
      { name: "requests", resetAtMs: NOW_MS },
    ]);
  });

  test("clocks that differ are corrected with the date of the answer, small differences are its own delay", () => {
    const resetAfter = (date: string) =>
      read({ "anthropic-ratelimit-requests-reset": "2026-11-08T12:00:30Z", date }).windows[0]!.resetAtMs! - NOW_MS;
    expect(resetAfter("Sun, 08 Nov 2026 12:00:00 GMT")).toBe(30_000);
    expect(resetAfter("Sun, 08 Nov 2026 11:59:59 GMT")).toBe(30_000);
    expect(resetAfter("Sun, 08 Nov 2026 11:59:58 GMT")).toBe(32_000);
    expect(resetAfter("Sun, 08 Nov 2026 12:00:20 GMT")).toBe(10_000);
    expect(resetAfter("Sun, 08 Nov 2026 13:00:00 GMT")).toBe(0);
    expect(resetAfter("yesterday")).toBe(30_000);
  });

  test("the wait the provider asks for comes along", () => {
    expect(read({ "retry-after": "17" })).toEqual({ windows: [], retryAfterMs: 17_000 });
  });

  test("what cannot be read is left out", () => {
    for (const junk of ["", " ", "-1", "1.5", "soon", "1e3", "99999999999999999999", "2026-13-99T00:00:00Z"]) {
      expect(read(told("anthropic-ratelimit-requests", junk, junk, junk))).toEqual({ windows: [] });
    }
    const names = fc.constantFrom("requests", "tokens", "unified-5h", "x");
    const fields = fc.constantFrom("limit", "remaining", "reset");
    const headers = fc.array(fc.tuple(names, fields, fc.string()), { maxLength: 8 });
    fc.assert(
      fc.property(headers, fc.string(), (given, date) => {
        const entries = given.map(([name, field, value]) => [`anthropic-ratelimit-${name}-${field}`, value]);
        for (const window of read({ ...Object.fromEntries(entries), date }).windows) {
          for (const [key, value] of Object.entries(window))
            if (key !== "name") expect(value).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

describe("files the router fetches", () => {
  const image = (url: string) => ({ type: "image_url", image_url: { url } });
  const file = (file_data: string, more = {}) => ({ type: "file", file: { file_data, ...more } });
  const messages: ChatMessage[] = [
    {
      role: "user",
      content: [image("http://e.x/1.png"), image("https://e.x/2.png"), image("data:image/png;base64,AA==")],
    },
    { role: "assistant", content: [image("http://e.x/3.png")] },
    { role: "tool", tool_call_id: "a", content: [image(" HTTP://e.x/4.png "), file("http://e.x/5.pdf")] },
    {
      role: "user",
      content: [file("https://e.x/6.pdf"), file("http://e.x/7.pdf", { file_id: "file_1" }), file("JVBERi0")],
    },
    { role: "user", content: "http://e.x/8.png" },
    {
      role: "user",
      content: [image("ftp://e.x/9.png"), { type: "image_url", image_url: "http://e.x/10.png" as never }],
    },
  ];
  const asked = (features: object) => {
    const entry = { id: "claude-opus-5", features: { ...features } };
    return anthropicMessages.attachments!(anthropicCall({ model: "claude-opus-5", messages }, { entry }));
  };

  test("are those behind plain http, since the provider takes https alone", () => {
    expect(asked({})).toEqual(["http://e.x/1.png", "HTTP://e.x/4.png", "http://e.x/5.pdf", "http://e.x/10.png"]);
  });

  test("are all of them where the catalogue says that the provider takes no URLs", () => {
    expect(asked({ urlSources: false })).toEqual([
      "http://e.x/1.png",
      "https://e.x/2.png",
      "HTTP://e.x/4.png",
      "http://e.x/5.pdf",
      "https://e.x/6.pdf",
      "http://e.x/10.png",
    ]);
  });
});

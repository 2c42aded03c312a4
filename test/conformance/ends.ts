// How answers end and fail: usage, filters, errors of every kind, broken streams, callers that leave.
import { expect } from "vitest";
import type { ErrorKind } from "../../src/chat.ts";
import type { FaultName } from "../../src/simulator/script.ts";
import { policyOf } from "../../src/taxonomy.ts";
import type { Behaviour } from "./behaviour.ts";
import { HELLO, user } from "./conversations.ts";

const FAULTS: Record<FaultName, { kind: ErrorKind; sentence: string }> = {
  auth: { kind: "auth", sentence: "a refused key is the router's trouble, and no word of it reaches the caller" },
  quota: { kind: "quota", sentence: "an empty account is the router's trouble, and no word of it reaches the caller" },
  rate: { kind: "rate_limited", sentence: "a rate limit is one" },
  model: { kind: "not_found", sentence: "a model the provider does not have is not found" },
  context: { kind: "context_length", sentence: "a prompt that is too long is told as such" },
  filter: { kind: "content_filter", sentence: "a prompt the provider filters is told as such" },
  params: { kind: "invalid_request", sentence: "a request the provider finds invalid is the caller's" },
  overloaded: { kind: "overloaded", sentence: "an overloaded provider is told as such" },
  server: { kind: "server", sentence: "a failure of the provider is one" },
};

/** Kinds whose code is ours, whatever the provider calls it. */
const OWN_CODES: ErrorKind[] = ["auth", "quota", "context_length", "content_filter"];

const errors = Object.entries(FAULTS).map(
  ([name, { kind, sentence }]): Behaviour => ({
    column: name === "filter" ? "filtered prompts" : "errors",
    title: sentence,
    async run(scene) {
      for (const stream of [false, true]) {
        scene.script({ fault: name as FaultName });
        const failure = await scene.fail({ messages: HELLO, stream });
        const policy = policyOf({ kind });
        expect({ kind: failure.kind, status: failure.status, type: failure.error.type }).toEqual({
          kind,
          status: policy.status,
          type: policy.type,
        });
        expect(failure.error.message).toMatch(/./);
        if (OWN_CODES.includes(kind)) expect(failure.error.code).toBe(policy.code);
        if (policy.message !== undefined) expect(failure.error.message).toBe(policy.message);
      }
    },
  }),
);

export const ENDS: Behaviour[] = [
  {
    column: "usage",
    title: "a stream tells the same usage as a plain call",
    async run(scene) {
      const whole = await scene.ask({ messages: HELLO });
      const streamed = await scene.stream({ messages: HELLO, stream_options: { include_usage: true } });
      expect(streamed.usage).toEqual(whole.usage);
      const thought = whole.usage?.reasoning ?? 0;
      expect(whole.usage?.completion).toBe(thought + Math.ceil(whole.text.length / 4));
    },
  },
  {
    column: "cached usage",
    title: "cached tokens are told, and are part of the prompt",
    async run(scene) {
      scene.script({ cachedTokens: 40 });
      const messages = [user("x".repeat(400))];
      const whole = await scene.ask({ messages });
      expect(whole.usage).toMatchObject({ cached: 40, prompt: 100 });
      const streamed = await scene.stream({ messages, stream_options: { include_usage: true } });
      expect(streamed.usage).toEqual(whole.usage);
    },
  },
  {
    column: "content filter",
    title: "an answer the provider filters finishes with content_filter",
    async run(scene) {
      scene.script({ finish: "filter", text: "Well, " });
      const whole = await scene.ask({ messages: HELLO });
      expect(whole.finish).toBe("content_filter");
      const streamed = await scene.stream({ messages: HELLO });
      expect(streamed).toMatchObject({ finish: "content_filter", isDone: true });
    },
  },
  ...errors,
  {
    column: "waits",
    title: "a rate limit hands on the wait the provider asks for",
    async run(scene) {
      scene.script({ fault: "rate", retryAfterS: 7 });
      const { headers, kind } = await scene.fail({ messages: HELLO });
      expect(kind).toBe("rate_limited");
      // Google's delays get a margin.
      expect(["7", "8"]).toContain(headers.get("retry-after"));
    },
  },
  {
    column: "waits",
    title: "a rate limit without a Retry-After tells the wait that headers or words give, or none",
    async run(scene) {
      scene.script({ fault: "rate" });
      const { headers } = await scene.fail({ messages: HELLO });
      const told = headers.get("retry-after");
      const { waitS } = scene.member;
      if (waitS === undefined) expect(told).toBeNull();
      else {
        expect(Number(told)).toBeGreaterThanOrEqual(waitS[0]);
        expect(Number(told)).toBeLessThanOrEqual(waitS[1]);
      }
    },
  },
  {
    column: "aborts",
    title: "a caller that leaves in mid-stream closes the provider's connection",
    async run(scene) {
      scene.script({ hang: "stream" });
      const abort = new AbortController();
      const response = await scene.post({ messages: HELLO, stream: true }, { signal: abort.signal });
      const reader = response.body?.getReader();
      await reader?.read();
      abort.abort();
      const client = scene.requests[0]?.client;
      expect(await client?.closed).toEqual(expect.any(Number));
      expect(client?.closedByClient).toBe(true);
    },
  },
  {
    column: "broken streams",
    title: "a stream the provider drops ends with an error and without [DONE]",
    async run(scene) {
      scene.script({ cut: true });
      const { error, isDone, text, reasoning } = await scene.stream({ messages: HELLO });
      expect(reasoning + text).toMatch(/^Th/);
      expect(error).toMatchObject({ message: expect.stringMatching(/./), code: expect.any(String) });
      expect(isDone).toBe(false);
    },
  },
  {
    column: "broken streams",
    title: "an error in mid-stream reaches the caller as one",
    async run(scene) {
      scene.script({ error: "stream" });
      const { error, isDone, text, reasoning } = await scene.stream({ messages: HELLO });
      expect(reasoning + text).toMatch(/^Th/);
      expect(error).toMatchObject({ message: expect.stringMatching(/./), type: "server_error" });
      expect(isDone).toBe(false);
    },
  },
  {
    column: "broken streams",
    title: "an error before any content is an error answer, not a stream",
    async run(scene) {
      scene.script({ error: "preamble" });
      const { status } = await scene.fail({ messages: HELLO, stream: true });
      expect([502, 503]).toContain(status);
    },
  },
  {
    column: "broken streams",
    title: "a stream of broken JSON ends with an error",
    async run(scene) {
      scene.script({ malformed: true });
      const { error, isDone } = await scene.stream({ messages: HELLO });
      expect(error).toBeDefined();
      expect(isDone).toBe(false);
    },
  },
  {
    column: "empty answers",
    title: "an empty answer is one, and no error",
    async run(scene) {
      scene.script({ empty: true });
      expect(await scene.ask({ messages: HELLO })).toMatchObject({ text: "", finish: "stop", calls: [] });
      expect(await scene.stream({ messages: HELLO })).toMatchObject({ text: "", finish: "stop", isDone: true });
    },
  },
  {
    column: "unicode",
    title: "any text survives, surrogate pairs that are cut in two included",
    async run(scene) {
      const text = "Kraków 🚲 日本語 👩‍👩‍👧 \u2028 end";
      scene.script({ text, halves: true });
      const messages = [user(text)];
      expect((await scene.ask({ messages })).text).toBe(text);
      expect((await scene.stream({ messages })).text).toBe(text);
      expect(JSON.stringify(scene.latest)).toContain("Kraków 🚲 日本語 👩‍👩‍👧");
    },
  },
];

// Recorded cases: what a request looks like on the wire, and which events an answer amounts to.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cohereChat } from "../../providers/dialects/cohere-chat.ts";
import { type ChatBody, fold } from "../../src/chat.ts";
import type { Call } from "../../src/dialect.ts";
import { callOf, decodeChunks, decodeText, plain, recordOf } from "./cohere-harness.ts";

const root = new URL("cohere-chat/", import.meta.url);

interface Case {
  name: string;
  call(): Call;
  has(file: string): boolean;
  text(file: string): string;
  json(file: string): unknown;
}

const cases: Case[] = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => {
    const has = (file: string) => existsSync(new URL(`${name}/${file}`, root));
    const text = (file: string) => readFileSync(new URL(`${name}/${file}`, root), "utf8");
    const json = (file: string) => JSON.parse(text(file)) as unknown;
    return {
      name,
      has,
      text,
      json,
      call: () => callOf(has("request.json") ? (json("request.json") as ChatBody) : undefined),
    };
  });

function casesWith(...files: string[]): Case[] {
  return cases.filter(({ has }) => files.every(has));
}

describe("a request goes out as recorded", () => {
  test.each(casesWith("wire.json"))("$name", ({ call, json }) => {
    const before = JSON.stringify(call().request.body);
    const asked = call();
    expect(recordOf(asked)).toEqual(json("wire.json"));
    // The same request may go to another candidate next.
    expect(JSON.stringify(asked.request.body)).toBe(before);
  });
});

describe("a streamed answer amounts to the recorded events", () => {
  test.each(casesWith("upstream.sse"))("$name", ({ call, text, json }) => {
    expect(plain(decodeText(text("upstream.sse"), call()))).toEqual(json("events.json"));
  });
});

describe("the events do not depend on where the network cuts the bytes", () => {
  test.each(casesWith("upstream.sse"))("$name", ({ call, text }) => {
    const bytes = Buffer.from(text("upstream.sse"));
    const whole = decodeChunks([bytes], call());
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 40 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(decodeChunks(chunks, call())).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });
});

describe("a buffered answer is the stream, folded", () => {
  test.each(casesWith("upstream.sse", "upstream.json"))("$name", ({ call, text, json }) => {
    const buffered = fold(cohereChat.decodeBody(json("upstream.json"), call()));
    expect(plain(buffered)).toEqual(plain(fold(decodeText(text("upstream.sse"), call()))));
  });
});

describe("a buffered answer amounts to the recorded events", () => {
  test.each(casesWith("upstream.json").filter(({ has }) => !has("upstream.sse")))("$name", ({ call, json }) => {
    expect(plain(cohereChat.decodeBody(json("upstream.json"), call()))).toEqual(json("events.json"));
  });
});

test("every recorded answer keeps to the grammar: at most one start, one terminal event, and it is the last", () => {
  for (const { name, call, text } of casesWith("upstream.sse")) {
    const types = decodeText(text("upstream.sse"), call()).map(({ type }) => type);
    expect(types.lastIndexOf("start"), name).toBeLessThanOrEqual(0);
    expect(
      types.findIndex((type) => type === "end" || type === "error"),
      name,
    ).toBe(types.length - 1);
  }
});

const TYPES = [
  ..."message-start content-start content-delta content-end tool-plan-delta tool-call-start".split(" "),
  ..."tool-call-delta tool-call-end citation-start citation-end message-end debug".split(" "),
];
const KEYS = [
  ..."id index delta message content text thinking tool_plan tool_calls function name arguments citations".split(" "),
  ..."sources document data url start end content_index usage tokens finish_reason error logprobs".split(" "),
];

const nested = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.jsonValue({ maxDepth: 2 }),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie("value"), { maxKeys: 6 }),
  ),
})).value;
const event = fc.tuple(fc.constantFrom(...TYPES), nested).map(([type, value]) => ({ ...(value as object), type }));

function expectOneEnd(types: string[]): void {
  expect(types.findIndex((type) => type === "end" || type === "error")).toBe(types.length - 1);
}

test("whatever a provider sends, decoding ends with one terminal event and never throws", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 8 }), nested, (events, body) => {
      const sse = events.map((one) => `data: ${JSON.stringify(one)}\n\n`).join("");
      expectOneEnd(decodeText(sse).map(({ type }) => type));
      expectOneEnd(cohereChat.decodeBody(body, callOf()).map(({ type }) => type));
    }),
    { numRuns: 1000 },
  );
});

test("bytes of any kind are no reason to throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expectOneEnd(decodeChunks([bytes]).map(({ type }) => type));
      const response = { status: 400, headers: {}, text: Buffer.from(bytes).toString("utf8"), nowMs: 0 };
      expect(cohereChat.decodeError(response).message).not.toBe("");
    }),
  );
});

test("a hundred thousand citations and calls are no reason to throw either", () => {
  const many = Array.from({ length: 100_000 }, () => ({ start: 0, end: 1, text: "a", sources: [] }));
  const message = { content: [{ type: "text", text: "a" }], citations: many, tool_calls: many };
  const answer = fold(cohereChat.decodeBody({ id: "x", message, finish_reason: "COMPLETE" }, callOf()));
  expect(answer.choices[0]?.messageExtra.citations).toHaveLength(100_000);
  expect(answer.choices[0]?.toolCalls).toHaveLength(100_000);
});

// Recorded cases: what a request looks like on the wire, and which events an answer amounts to.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { OpenAiChatProfile } from "../../providers/dialects/openai-chat.ts";
import { type ChatBody, fold } from "../../src/chat.ts";
import { decodeBody, decodeChunks, decodeText, encode } from "./openai-harness.ts";

const root = new URL("openai-chat/", import.meta.url);

/** What a case says beside its files; everything has a default. */
interface About {
  model?: string;
  strict?: boolean;
  profile?: Partial<OpenAiChatProfile>;
}

const cases = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => {
    const has = (file: string) => existsSync(new URL(`${name}/${file}`, root));
    const text = (file: string) => readFileSync(new URL(`${name}/${file}`, root), "utf8");
    return { name, has, text, json: (file: string) => JSON.parse(text(file)) as unknown };
  });

function casesWith(...files: string[]) {
  return cases.filter(({ has }) => files.every(has));
}

describe("a request goes out as recorded", () => {
  test.each(casesWith("request.json"))("$name", ({ has, json }) => {
    const { profile, ...options } = (has("about.json") ? json("about.json") : {}) as About;
    const body = json("request.json") as ChatBody;
    const before = JSON.stringify(body);
    const encoded = encode(body, { ...options, provider: profile ?? {} });
    // The same request may go to another candidate next.
    expect(JSON.stringify(body)).toBe(before);
    if (encoded.kind === "refusal") {
      expect(encoded.error).toEqual(json("refusal.json"));
      return;
    }
    const { wire, ...rest } = encoded;
    const recorded = json("wire.json") as { path: string; relay: boolean; warnings: string[]; body: unknown };
    expect({ path: wire.path, relay: rest.relay, warnings: rest.warnings, headers: wire.headers }).toEqual({
      path: recorded.path,
      relay: recorded.relay,
      warnings: recorded.warnings,
      headers: {},
    });
    // As text: the order of the keys counts.
    expect(wire.body).toBe(JSON.stringify(recorded.body));
  });
});

describe("a streamed answer amounts to the recorded events", () => {
  test.each(casesWith("upstream.sse"))("$name", ({ text, json }) => {
    expect(plain(decodeText(text("upstream.sse")))).toEqual(json("events.json"));
  });
});

describe("the events do not depend on where the network cuts the bytes", () => {
  test.each(casesWith("upstream.sse"))("$name", ({ text, json }) => {
    const bytes = Buffer.from(text("upstream.sse"));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 40 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(plain(decodeChunks(chunks))).toEqual(json("events.json"));
      }),
      { numRuns: 50 },
    );
  });
});

describe("a buffered answer is the stream, folded", () => {
  test.each(casesWith("upstream.sse", "body.json"))("$name", ({ text, json }) => {
    expect(plain(fold(decodeBody(json("body.json"))))).toEqual(plain(fold(decodeText(text("upstream.sse")))));
  });
});

describe("a buffered answer amounts to the recorded events", () => {
  test.each(casesWith("body.json").filter(({ has }) => !has("upstream.sse")))("$name", ({ json }) => {
    expect(plain(decodeBody(json("body.json")))).toEqual(json("events.json"));
  });
});

test("every recorded answer keeps to the grammar: at most one start, one terminal event, and it is the last", () => {
  for (const { text, name } of casesWith("upstream.sse")) {
    const types = decodeText(text("upstream.sse")).map(({ type }) => type);
    expect(types.lastIndexOf("start"), name).toBeLessThanOrEqual(0);
    expect(
      types.findIndex((type) => type === "end" || type === "error"),
      name,
    ).toBe(types.length - 1);
    expect(types[0], name).toMatch(/^(start|error)$/);
  }
});

test("whatever a provider sends, decoding ends with one terminal event and never throws", () => {
  const json = fc.jsonValue({ maxDepth: 6 });
  const keys = [
    "choices",
    "delta",
    "message",
    "tool_calls",
    "function",
    "usage",
    "error",
    "finish_reason",
    "index",
    "id",
  ];
  const nested = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 6 },
      json,
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie("value"), { maxKeys: 5 }),
    ),
  })).value;
  fc.assert(
    fc.property(nested, nested, (first, second) => {
      const sse = [first, second].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
      for (const events of [decodeText(sse), decodeBody(first)]) {
        const terminal = events.map(({ type }) => type === "end" || type === "error");
        expect(terminal.indexOf(true)).toBe(events.length - 1);
      }
    }),
    { numRuns: 500 },
  );
});

/** Without members that are `undefined`, as JSON has none. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

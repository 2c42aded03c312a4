// Recorded cases: what a request looks like on the wire, and which events an answer amounts to.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { type ChatBody, type ChatEvent, fold } from "../../src/chat.ts";
import type { Call } from "../../src/dialect.ts";
import { callOf, decodeChunks, decodeText } from "./google-harness.ts";

const root = new URL("google-generate/", import.meta.url);

interface Case {
  name: string;
  call(): Call;
  /** The text of one of its files, `undefined` when the case has none. */
  file(name: string): string | undefined;
}

const cases: Case[] = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => {
    const file = (fileName: string) => {
      const url = new URL(`${name}/${fileName}`, root);
      return existsSync(url) ? readFileSync(url, "utf8") : undefined;
    };
    const body = JSON.parse(file("request.json") ?? "") as ChatBody;
    return { name, file, call: () => callOf(body, { stream: body.stream === true }) };
  });

function casesWith(...files: string[]): Case[] {
  return cases.filter(({ file }) => files.every((name) => file(name) !== undefined));
}

describe("a request goes out as recorded", () => {
  test.each(casesWith("wire.json"))("$name", ({ call, file }) => {
    expect(recordOf(call())).toEqual(JSON.parse(file("wire.json")!));
  });
});

function recordOf(call: Call): unknown {
  const encoded = googleGenerate.encode(call);
  if (encoded.kind === "refusal") return { refusal: encoded.error };
  return { path: encoded.wire.path, body: JSON.parse(encoded.wire.body), warnings: encoded.warnings };
}

describe("a streamed answer amounts to the recorded events", () => {
  test.each(casesWith("upstream.sse"))("$name", ({ call, file }) => {
    expect(decodeText(file("upstream.sse")!, call())).toEqual(JSON.parse(file("events.json")!));
  });
});

describe("the events do not depend on where the network cuts the bytes", () => {
  test.each(casesWith("upstream.sse"))("$name", ({ call, file }) => {
    const bytes = Buffer.from(file("upstream.sse")!);
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
  test.each(casesWith("upstream.sse", "upstream.json"))("$name", ({ call, file }) => {
    const buffered = fold(googleGenerate.decodeBody(JSON.parse(file("upstream.json")!), call()));
    expect(buffered).toEqual(fold(decodeText(file("upstream.sse")!, call())));
  });
});

describe("a buffered answer amounts to the recorded events", () => {
  const bufferedOnly = casesWith("upstream.json").filter(({ file }) => file("upstream.sse") === undefined);
  test.each(bufferedOnly)("$name", ({ call, file }) => {
    const events = googleGenerate.decodeBody(JSON.parse(file("upstream.json")!), call());
    expect(events).toEqual(JSON.parse(file("events.json")!));
  });
});

test("every recorded answer keeps to the grammar: one start, one terminal event, and it is the last", () => {
  const answers: ChatEvent[][] = casesWith("upstream.sse").map(({ call, file }) => {
    return decodeText(file("upstream.sse")!, call());
  });
  for (const events of answers) {
    const types = events.map(({ type }) => type);
    expect(types.indexOf("start")).toBe(0);
    expect(types.lastIndexOf("start")).toBe(0);
    expect(types.findIndex((type) => type === "end" || type === "error")).toBe(types.length - 1);
  }
});

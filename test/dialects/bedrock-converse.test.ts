// Recorded exchanges: what goes out for a request, and what an answer amounts to, however the network cuts it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ChatBody, type ChatEvent, fold, type JsonObject } from "../../src/chat.ts";
import type { Call } from "../../src/dialect.ts";
import { converseCall, decodeChunks, dialect, streamOf } from "./bedrock-harness.ts";

interface Case {
  name: string;
  call(): Call;
  file(name: string): string | undefined;
}

const root = new URL("bedrock-converse/", import.meta.url);
const cases: Case[] = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => {
    const file = (fileName: string) => {
      const url = new URL(`${name}/${fileName}`, root);
      return existsSync(url) ? readFileSync(url, "utf8") : undefined;
    };
    const body = JSON.parse(file("request.json") ?? "") as ChatBody;
    return { name, file, call: () => converseCall(body, { stream: body.stream === true }) };
  });

function casesWith(...files: string[]): Case[] {
  return cases.filter(({ file }) => files.every((name) => file(name) !== undefined));
}

/** One native event a line; the frames around them are binary. */
function bytesOf({ file }: Case): Buffer {
  const lines = file("upstream.jsonl")!.trim().split("\n");
  return streamOf(lines.map((line) => JSON.parse(line) as JsonObject));
}

const streamed = casesWith("upstream.jsonl");

test("there are cases of every kind", () => {
  expect(streamed.length).toBeGreaterThan(5);
  expect(casesWith("wire.json").length).toBeGreaterThan(5);
});

describe("a request goes out as recorded", () => {
  test.each(casesWith("wire.json"))("$name", ({ call, file }) => {
    expect(recordOf(call())).toEqual(JSON.parse(file("wire.json")!));
  });
});

function recordOf(call: Call): unknown {
  const encoded = dialect.encode(call);
  if (encoded.kind === "refusal") return { refusal: encoded.error };
  return { path: encoded.wire.path, body: JSON.parse(encoded.wire.body), warnings: encoded.warnings };
}

describe("a streamed answer amounts to the recorded events", () => {
  test.each(streamed)("$name", async (one) => {
    expect(await decodeChunks([bytesOf(one)], one.call())).toEqual(JSON.parse(one.file("events.json")!));
  });
});

describe("the events do not depend on where the network cuts the bytes", () => {
  test.each(streamed)("$name", async (one) => {
    const bytes = bytesOf(one);
    const whole = await decodeChunks([bytes], one.call());
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 40 }), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(await decodeChunks(chunks, one.call())).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });
});

describe("a buffered answer is the stream, folded", () => {
  test.each(casesWith("upstream.jsonl", "upstream.json"))("$name", async (one) => {
    const buffered = fold(dialect.decodeBody(JSON.parse(one.file("upstream.json")!), one.call()));
    expect(buffered).toEqual(fold(await decodeChunks([bytesOf(one)], one.call())));
  });
});

describe("a flipped bit anywhere is an error, and no other end", () => {
  test.each(streamed)("$name", async (one) => {
    const bytes = bytesOf(one);
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect((await decodeChunks([damaged], one.call())).at(-1)?.type, `bit ${bit}`).toBe("error");
    }
  });
});

describe("a stream that stops anywhere but between its frames is an error", () => {
  test.each(streamed)("$name", async (one) => {
    const bytes = bytesOf(one);
    for (let length = 0; length < bytes.length; length += 1) {
      const events = await decodeChunks([bytes.subarray(0, length)], one.call());
      const hasFinish = events.some(({ type }) => type === "finish");
      // After the stop reason the usage is all that can be missing, if a whole frame of it is.
      if (events.at(-1)?.type !== "error") expect(hasFinish).toBe(true);
    }
  });
});

test("every recorded answer keeps to the grammar: one start, one terminal event, and it is the last", async () => {
  for (const one of streamed) {
    const types = (await decodeChunks([bytesOf(one)], one.call())).map(({ type }: ChatEvent) => type);
    expect(types.indexOf("start"), one.name).toBe(0);
    expect(types.lastIndexOf("start"), one.name).toBe(0);
    expect(
      types.findIndex((type) => type === "end" || type === "error"),
      one.name,
    ).toBe(types.length - 1);
  }
});

const KEYS =
  "output message role content text toolUse toolUseId name input reasoningContent reasoningText signature redactedContent " +
  "stopReason usage inputTokens outputTokens cacheReadInputTokens delta start contentBlockIndex";
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom("end_turn", "tool_use", "malformed_tool_use", "constructor", "", 0, 1, -1, 1.5, true, null),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...KEYS.split(" ")), tie("value"), { maxKeys: 5 }),
  ),
})).value;

const EVENTS =
  "messageStart contentBlockStart contentBlockDelta contentBlockStop messageStop metadata exception:x exception: other";

describe("nothing a provider sends makes the decoder throw", () => {
  const call = () => converseCall({ model: "amazon.nova-pro-v1:0", messages: [{ role: "user", content: "a" }] });

  test("arbitrary bytes end in an error", async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(chunks, async (bytes) => {
        expect((await decodeChunks(bytes, call())).at(-1)?.type).toBe("error");
      }),
    );
  });

  test("arbitrary payloads in sound frames", () => {
    const event = fc.constantFrom(...EVENTS.split(" "), undefined);
    const data = fc.oneof(
      json.map((value) => JSON.stringify(value)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ event, data }), { maxLength: 12 }), (frames) => {
        const decoder = dialect.decoder(call());
        const events = [...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end("")];
        expect(events.filter(({ type }) => type === "end" || type === "error")).toHaveLength(1);
        expect(["end", "error"]).toContain(events.at(-1)?.type);
      }),
    );
  });

  test("arbitrary bodies and errors", () => {
    fc.assert(
      fc.property(json, fc.string(), fc.integer({ min: 400, max: 599 }), (body, type, status) => {
        expect(["end", "error"]).toContain(dialect.decodeBody(body, call()).at(-1)?.type);
        const headers = { "x-amzn-errortype": type };
        const error = dialect.decodeError({ status, headers, text: JSON.stringify(body), nowMs: 0 });
        expect(error).toMatchObject({ status, message: expect.stringMatching(/./) });
      }),
    );
  });
});

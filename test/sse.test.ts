import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameTooLarge, SseParser } from "../src/sse.ts";

const stream =
  ': hello\n\ndata: {"a":"żółć 🚦"}\n\nevent: error\r\ndata:one\r\ndata: two\r\n\r\ndata: x\r\rdata: [DONE]\n\n';

function parse(chunks: Uint8Array[]) {
  const parser = new SseParser(10_000);
  const frames = [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end().frames];
  return frames.map(({ event, data }) => ({ event, data }));
}

const whole = [
  { event: undefined, data: "" },
  { event: undefined, data: '{"a":"żółć 🚦"}' },
  { event: "error", data: "one\ntwo" },
  { event: undefined, data: "x" },
  { event: undefined, data: "[DONE]" },
];

test("every line end and comments are understood", () => {
  expect(parse([Buffer.from(stream)])).toEqual(whole);
});

test("a line end that is not the usual one never becomes part of the data", () => {
  for (const text of ["data: a\r\n\n", "data: a\n\r\n", "data: a\r\r"]) {
    expect(parse([Buffer.from(text)])).toEqual([{ event: undefined, data: "a" }]);
  }
  expect(parse([Buffer.from("data: a\rdata: b\n\n")])).toEqual([{ event: undefined, data: "a\nb" }]);
});

test("frames do not depend on where the network cuts the bytes, even inside a character or a CRLF", () => {
  const bytes = Buffer.from(stream);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 30 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      expect(parse(chunks)).toEqual(whole);
    }),
  );
});

test("the raw bytes of all frames are the bytes of the stream, so a relay changes nothing", () => {
  const parser = new SseParser(10_000);
  const frames = parser.push(Buffer.from(stream));
  expect(Buffer.concat(frames.map((frame) => frame.raw)).toString()).toBe(stream);
});

test("a last event without its blank line still counts, and what is no event comes back as rest", () => {
  const parser = new SseParser(10_000);
  parser.push(Buffer.from("data: a\n\ndata: b"));
  expect(parser.end().frames.map((frame) => frame.data)).toEqual(["b"]);
  parser.push(Buffer.from('data: a\n\n{"error":\n {"code":503}}'));
  expect(parser.end()).toEqual({ frames: [], rest: '{"error":\n {"code":503}}' });
});

test("an event that never ends is refused at the bound", () => {
  const parser = new SseParser(100);
  expect(() => parser.push(Buffer.alloc(101, 120))).toThrow(FrameTooLarge);
});

test("a bare JSON error between or after events comes back as rest, also when a blank line follows it", () => {
  for (const tail of [
    '{"error":\n {"code":503}}',
    '{"error":\n {"code":503}}\n\n',
    '{"error":\r\n {"code":503}}\r\n\r\n',
  ]) {
    const parser = new SseParser(10_000);
    parser.push(Buffer.from(`: ping\n\ndata: a\n\n${tail}`));
    expect(JSON.parse(parser.end().rest)).toEqual({ error: { code: 503 } });
  }
});

test("events of many megabytes arrive whole, whatever came before and comes after them in the same chunks", () => {
  const parser = new SseParser(32 * 1024 ** 2);
  const texts = ["first", "ä".repeat(700_000), "🚦".repeat(900_000), "last"];
  const bytes = Buffer.from(texts.map((text) => `data: ${text}\n\n`).join(""));
  const frames = [];
  for (let at = 0; at < bytes.length; at += 10_007)
    frames.push(...parser.push(Buffer.from(bytes.subarray(at, at + 10_007))));
  // Looked at after all has come: what is handed out is not written over.
  expect(frames.map(({ data }) => data === texts.shift())).toEqual([true, true, true, true]);
  expect(Buffer.concat(frames.map(({ raw }) => raw)).equals(bytes)).toBe(true);
});

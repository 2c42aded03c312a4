import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { EventStreamParser } from "../src/event-stream.ts";
import { eventFrame, exceptionFrame } from "../src/simulator/event-frame.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const stream = bytes(
  eventFrame("messageStart", { role: "assistant" }) + eventFrame("contentBlockDelta", { delta: { text: "żółć 🚦" } }),
);
const whole = [
  { event: "messageStart", data: '{"role":"assistant"}' },
  { event: "contentBlockDelta", data: '{"delta":{"text":"żółć 🚦"}}' },
];

function parse(chunks: Uint8Array[], maxFrameBytes = 10_000) {
  const parser = new EventStreamParser(maxFrameBytes);
  const frames = chunks.flatMap((chunk) => parser.push(chunk));
  return { frames: frames.map(({ event, data }) => ({ event, data })), isCut: parser.end().isCut };
}

/** A frame with headers given as bytes. */
function frameOf(headers: Buffer, payload = "{}"): Buffer {
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(12 + headers.length + payload.length + 4, 0);
  prelude.writeUInt32BE(headers.length, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const checked = Buffer.concat([prelude, headers, Buffer.from(payload)]);
  const trailer = Buffer.alloc(4);
  trailer.writeUInt32BE(crc32(checked));
  return Buffer.concat([checked, trailer]);
}

const text = (name: string, value: string) =>
  Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7, 0, value.length]), Buffer.from(value)]);

test("events come out under their names, with the payload as text", () => {
  expect(parse([stream])).toEqual({ frames: whole, isCut: false });
});

test("the checksums of frames from the format's own description are found right", () => {
  // Both lack the header that says what they are, which is looked at only once the checksums are right.
  const noHeaders = ["000000100000000005c248eb7d98c8ff", "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936"];
  for (const hex of noHeaders) expect(() => parse([Buffer.from(hex, "hex")])).toThrow(/neither an event nor an error/);
});

test("exceptions and errors are told from events", () => {
  expect(parse([bytes(exceptionFrame("throttlingException", "slow down"))]).frames).toEqual([
    { event: "exception:throttlingException", data: '{"message":"slow down"}' },
  ]);
  const headers = [text(":message-type", "error"), text(":error-code", "Gone"), text(":error-message", "no more")];
  expect(parse([frameOf(Buffer.concat(headers), "")]).frames).toEqual([
    { event: "exception:Gone", data: '{"message":"no more"}' },
  ]);
});

test("headers of every type are passed over", () => {
  const values = [[0], [1], [2, 9], [3, 9, 9], [4, 9, 9, 9, 9], [5, ...Array<number>(8).fill(9)], [6, 0, 2, 9, 9]];
  values.push([8, ...Array<number>(8).fill(9)], [9, ...Array<number>(16).fill(9)]);
  const others = values.map((value) => Buffer.from([1, 97, ...value]));
  const headers = Buffer.concat([...others, text(":message-type", "event"), text(":event-type", "x")]);
  expect(parse([frameOf(headers)]).frames).toEqual([{ event: "x", data: "{}" }]);
});

test("frames do not depend on where the network cuts the bytes", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 30 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const chunks = at.slice(1).map((end, i) => stream.subarray(at[i], end));
      expect(parse(chunks)).toEqual({ frames: whole, isCut: false });
    }),
  );
});

test("an incomplete last frame is told", () => {
  for (let length = 1; length < stream.length; length += 1) {
    const { frames, isCut } = parse([stream.subarray(0, length)]);
    const isBetween = length === bytes(eventFrame("messageStart", { role: "assistant" })).length;
    expect({ frames: frames.length <= 1, isCut }).toEqual({ frames: true, isCut: !isBetween });
  }
});

test("every flipped bit is found", () => {
  for (let bit = 0; bit < stream.length * 8; bit += 1) {
    const damaged = Buffer.from(stream);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => parse([damaged]), `bit ${bit}`).toThrow(/damaged/);
  }
});

test("the frames before the damage come out, and nothing after it does", () => {
  const parser = new EventStreamParser(10_000);
  const first = bytes(eventFrame("messageStart", {}));
  const damaged = Buffer.concat([first, Buffer.alloc(16), first]);
  expect(parser.push(damaged)).toMatchObject([{ event: "messageStart" }]);
  expect(() => parser.push(first)).toThrow(/checksum/);
  expect(() => parser.end()).toThrow(/checksum/);
});

test("a frame that is too large is refused as soon as its length is known", () => {
  expect(() => parse([stream.subarray(0, 12)], 50)).toThrow("larger than 50 bytes");
});

test("lengths that contradict each other and headers that do not fit are damage", () => {
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(16, 0);
  prelude.writeUInt32BE(1, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  expect(() => parse([prelude])).toThrow(/contradict/);
  expect(() => parse([frameOf(Buffer.from([9, 97]))])).toThrow(/does not fit/);
  expect(() => parse([frameOf(Buffer.from([1, 97, 77]))])).toThrow(/no known type/);
});

test("any bytes are either frames or an error", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      try {
        parse(chunks);
      } catch (error) {
        expect(String(error)).toMatch(/damaged|larger than/);
      }
    }),
  );
});

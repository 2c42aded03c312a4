// Everything that can go wrong at a provider, at every point of the exchange, and what the caller is owed for it.
import type { ErrorKind } from "../../src/chat.ts";
import { type Act, chunk, type Exchange, eventsOf, head, jsonHead, LAST_CHUNK, streamed, streamHead } from "./fake.ts";
import { DIALECTS, type DialectId, WIRES } from "./wires.ts";

/**
 * `answer`: the whole answer, as if nothing had been. `fails`: nothing has reached the caller, so the next candidate is
 * asked. `stops`: a mistake of the request, which no other is asked about. `breaks`: the caller has a part of the answer,
 * then the error. With the kinds of error that tell it truly.
 */
export type Owed = { what: "answer" } | { what: "fails" | "stops" | "breaks"; kinds: ErrorKind[] };

export interface Fault {
  name: string;
  /** Each mode it makes sense in. */
  modes: { stream?: Owed; buffered?: Owed };
  /** Those it is played by; all when absent. */
  dialects?: readonly DialectId[];
  /** Missing: the provider's address has no one behind it. */
  act?: (exchange: Exchange) => Act;
  /** `slow` and `flood` end by a clock; `bulk` and `flood` keep the process busy. */
  pace: "fast" | "bulk" | "slow" | "flood";
  /** It ends well, or nothing of the fallback depends on where exactly the answer was cut: two scenes tell enough. */
  isPlain: boolean;
  /** Nothing but the end of the connection tells it from another fault: one scene tells enough. */
  isVariant?: boolean;
  /** The answer is its first piece again and again. */
  isEndless?: true;
}

const answer: Owed = { what: "answer" };
const fails = (...kinds: ErrorKind[]): Owed => ({ what: "fails", kinds });
const stops = (...kinds: ErrorKind[]): Owed => ({ what: "stops", kinds });
const breaks = (...kinds: ErrorKind[]): Owed => ({ what: "breaks", kinds });
const both = (owed: Owed) => ({ stream: owed, buffered: owed });

const FAST = { pace: "fast", isPlain: false } as const;
const SLOW = { pace: "slow", isPlain: false } as const;
const ENDINGS = ["done", "end", "reset"] as const;

const ENDED = { done: "ends", end: "is closed", reset: "is reset" } as const;

/** The bytes, and, where the answer is to end as HTTP wants it, the last chunk. */
function leaving(bytes: Iterable<Uint8Array>, last: Act["last"]): Act {
  return { bytes: last === "done" ? [...bytes, LAST_CHUNK] : bytes, last };
}

const BEFORE_THE_HEAD: Fault[] = [
  { ...FAST, name: "nobody listens at the address", modes: both(fails("network")) },
  { ...FAST, name: "closes before a byte", modes: both(fails("network")), act: () => ({ bytes: [], last: "end" }) },
  { ...FAST, name: "resets before a byte", modes: both(fails("network")), act: () => ({ bytes: [], last: "reset" }) },
  {
    ...FAST,
    name: "closes in the middle of the head",
    modes: both(fails("network")),
    act: () => ({ bytes: [streamHead().subarray(0, 40)], last: "end" }),
  },
  {
    ...FAST,
    name: "speaks another protocol",
    modes: both(fails("network")),
    act: () => ({ bytes: [Buffer.from("220 mail.example ESMTP\r\n\r\n")], last: "end" }),
  },
  {
    ...FAST,
    name: "sends a head without an end",
    modes: both(fails("network")),
    act: () => ({ bytes: [Buffer.from(`HTTP/1.1 200 OK\r\nx-long: ${"x".repeat(100_000)}`)], last: "silence" }),
  },
  {
    ...SLOW,
    name: "hangs before the head",
    modes: both(fails("timeout")),
    act: () => ({ bytes: [], last: "silence" }),
  },
];

const STATUSES: { status: number; headers?: Record<string, string>; owed: Owed }[] = [
  { status: 400, owed: stops("invalid_request") },
  { status: 401, owed: fails("auth") },
  { status: 402, owed: fails("quota") },
  { status: 403, owed: fails("auth") },
  { status: 404, owed: fails("not_found") },
  { status: 429, owed: fails("rate_limited") },
  { status: 429, headers: { "retry-after": "30" }, owed: fails("rate_limited") },
  { status: 500, owed: fails("server") },
  { status: 502, owed: fails("server", "overloaded") },
  { status: 503, owed: fails("overloaded") },
  { status: 503, headers: { "retry-after": "30" }, owed: fails("overloaded") },
  { status: 529, owed: fails("overloaded", "server") },
];

const REFUSALS: Fault[] = [
  ...STATUSES.map(({ status, headers, owed }): Fault => {
    const told = headers === undefined ? "" : " and tells when to come back";
    const act = ({ wire }: Exchange): Act => {
      const body = wire.errorBody(status);
      return { bytes: [jsonHead(status, body.length, headers), body], last: "done" };
    };
    return { ...FAST, name: `answers ${status}${told}`, modes: both(owed), act };
  }),
  {
    ...FAST,
    name: "answers 500 with a page of HTML that is cut",
    modes: both(fails("server", "overloaded")),
    act: () => ({ bytes: [jsonHead(500, 9_000), Buffer.from("<html><h1>Oh no")], last: "reset" }),
  },
  {
    ...SLOW,
    name: "answers 500 and hangs in the body",
    modes: both(fails("server", "overloaded", "timeout")),
    act: () => ({ bytes: [jsonHead(500, 9_000), Buffer.from("<html>")], last: "silence" }),
  },
  {
    ...FAST,
    name: "sends the call elsewhere with a 302",
    modes: both(fails("server", "malformed")),
    act: () => ({ bytes: [head(302, { location: "http://127.0.0.1:9/", "content-length": "0" })], last: "done" }),
  },
];

/** The stream with its first `count` events, and how it is left; of the event after them the first half when `half`. */
function cutAt(count: (wire: Exchange["wire"]) => number, half: boolean, last: Act["last"]) {
  return ({ wire }: Exchange): Act => {
    const events = eventsOf(wire);
    const whole = count(wire);
    const next = events[whole];
    const parts = events.slice(0, whole);
    return leaving(streamed(half && next !== undefined ? [...parts, halfOf(next)] : parts), last);
  };
}

/** Up to the middle of a character, where the event has one of several bytes. */
function halfOf(event: Buffer): Buffer {
  const lead = event.findIndex((byte) => byte >= 0xc3);
  return event.subarray(0, lead === -1 ? event.length >> 1 : lead + 1);
}

function owedAt(dialect: DialectId, count: number, half: boolean): Owed {
  const { preamble, content, wholeAfter } = WIRES[dialect];
  const kinds: ErrorKind[] = half ? ["truncated", "malformed"] : ["truncated"];
  if (count <= preamble.length) return fails(...kinds);
  return count < preamble.length + content.length + wholeAfter ? breaks(...kinds) : answer;
}

const CUT_STREAMS: Fault[] = DIALECTS.flatMap((dialect) =>
  [...eventsOf(WIRES[dialect]).keys()].flatMap((count) =>
    [false, true].flatMap((half) =>
      ENDINGS.map((last): Fault => {
        const owed = owedAt(dialect, count, half);
        return {
          ...FAST,
          name: `${ENDED[last]} after ${count} events${half ? " and a half" : ""}`,
          dialects: [dialect],
          modes: { stream: owed },
          act: cutAt(() => count, half, last),
          isPlain: true,
          isVariant: last !== "end",
        };
      }),
    ),
  ),
);

const CUT_BODIES: Fault[] = (["nothing", "a half", "all but the last byte"] as const).flatMap((part) =>
  ENDINGS.map((last): Fault => {
    const cut = (body: Buffer) =>
      part === "nothing" ? body.subarray(0, 0) : part === "a half" ? halfOf(body) : body.subarray(0, -1);
    return {
      ...FAST,
      name: `sends ${part} of the body, which ${ENDED[last]}`,
      modes: { buffered: last === "done" ? fails("malformed") : fails("network", "truncated") },
      act: ({ wire }) => {
        const bytes = cut(wire.body);
        const length = last === "done" ? bytes.length : wire.body.length;
        return { bytes: [jsonHead(200, length), bytes], last };
      },
      isPlain: part === "all but the last byte",
    };
  }),
);

const someContent = ({ wire }: Exchange) => [...wire.preamble, ...wire.content.slice(0, 2)];

function afterContent(exchange: Exchange, bytes: Uint8Array[], last: Act["last"]): Act {
  return leaving([...streamed(someContent(exchange)), ...bytes], last);
}

const HANGS: Fault[] = [
  {
    ...SLOW,
    name: "hangs after the head",
    modes: both(fails("timeout")),
    act: ({ stream, wire }) => ({ bytes: [stream ? streamHead() : jsonHead(200, wire.body.length)], last: "silence" }),
  },
  {
    ...SLOW,
    name: "hangs after the preamble",
    modes: { stream: fails("timeout") },
    act: ({ wire }) => ({ bytes: streamed(wire.preamble), last: "silence" }),
  },
  {
    ...SLOW,
    name: "hangs in mid-answer",
    modes: { stream: breaks("timeout"), buffered: fails("timeout") },
    act: ({ stream, wire }) => ({
      bytes: stream ? streamed(someContent({ wire, stream })) : [jsonHead(200, wire.body.length), halfOf(wire.body)],
      last: "silence",
    }),
  },
  {
    ...SLOW,
    name: "hangs after the last event",
    modes: { stream: answer },
    dialects: ["openai-chat", "anthropic-messages"],
    act: ({ wire }) => ({ bytes: streamed(eventsOf(wire)), last: "silence" }),
    isPlain: true,
  },
];

const GARBAGE: Fault[] = [
  {
    ...FAST,
    name: "sends broken JSON instead of the first event",
    modes: { stream: fails("malformed") },
    act: () => leaving(streamed([Buffer.from('data: {"id": "x", "cho\n\n')]), "done"),
  },
  {
    ...FAST,
    name: "sends broken JSON after some content",
    modes: { stream: breaks("malformed") },
    act: (exchange) => afterContent(exchange, [chunk(Buffer.from('data: {"id": "x", "cho\n\n'))], "done"),
  },
  {
    ...FAST,
    name: "sends a page of HTML",
    modes: { stream: fails("truncated", "malformed"), buffered: fails("malformed") },
    act: () => leaving([streamHead(), chunk(Buffer.from("<html><p>\n\nWe are closed.</p></html>\n"))], "done"),
  },
  {
    ...FAST,
    name: "sends bytes that are no text",
    modes: { stream: fails("truncated", "malformed"), buffered: fails("malformed") },
    act: () => leaving([streamHead(), chunk(Buffer.from([0xff, 0x00, 0x0a, 0x0a, 0xfe, 0x80, 0x0a, 0x0a]))], "done"),
  },
  {
    ...FAST,
    name: "breaks the framing of its chunks after some content",
    modes: { stream: breaks("truncated", "malformed") },
    act: (exchange) => ({ bytes: [...streamed(someContent(exchange)), Buffer.from("ZZZ\r\n")], last: "silence" }),
  },
  {
    ...FAST,
    name: "sends an empty object",
    modes: { buffered: fails("malformed", "truncated", "server", "content_filter") },
    act: () => ({ bytes: [jsonHead(200, 2), Buffer.from("{}")], last: "done" }),
  },
  {
    ...FAST,
    name: "sends an error event before any content",
    modes: { stream: fails("server") },
    act: ({ wire }) => leaving(streamed([...wire.preamble, wire.streamError]), "done"),
  },
  {
    ...FAST,
    name: "sends an error event after some content",
    modes: { stream: breaks("server") },
    act: (exchange) => afterContent(exchange, [chunk(exchange.wire.streamError)], "done"),
  },
  {
    ...FAST,
    name: "answers 200 with the JSON of an error",
    modes: both(fails("server", "overloaded")),
    act: ({ wire }) => ({ bytes: [jsonHead(200, wire.errorBody(500).length), wire.errorBody(500)], last: "done" }),
  },
];

function* without(end: Uint8Array, start: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield* start;
  for (;;) yield end;
}

const MIB = Buffer.alloc(1024 ** 2, " ");

const ENDLESS: Fault[] = [
  {
    name: "never comes to the content",
    pace: "flood",
    isPlain: true,
    modes: { stream: fails("malformed", "timeout") },
    act: ({ wire }) => ({
      bytes: without(chunk(Buffer.concat(Array(50).fill(wire.idle))), streamed(wire.preamble)),
      everyMs: 1,
      last: "silence",
    }),
  },
  {
    name: "sends a body without an end",
    pace: "bulk",
    isPlain: true,
    dialects: ["openai-chat"],
    modes: { buffered: fails("malformed") },
    act: () => ({ bytes: without(chunk(MIB), [head(200)]), last: "silence" }),
  },
  {
    name: "sends an event without an end",
    pace: "bulk",
    isPlain: true,
    dialects: ["anthropic-messages"],
    modes: { stream: fails("malformed") },
    act: () => ({ bytes: without(chunk(MIB), [streamHead(), chunk(Buffer.from("data: "))]), last: "silence" }),
  },
  {
    ...SLOW,
    name: "never comes to the end",
    isEndless: true,
    isPlain: true,
    modes: { stream: breaks("timeout") },
    act: ({ wire }) => ({
      bytes: without(chunk(wire.content[0] as Buffer), streamed(wire.preamble)),
      everyMs: 20,
      last: "silence",
    }),
  },
];

/** The bytes of a whole answer in pieces of so many bytes, wherever that cuts them. */
function pieces({ wire, stream }: Exchange, bytesEach: number): Buffer[] {
  const parts = stream ? [...streamed(eventsOf(wire)), LAST_CHUNK] : [jsonHead(200, wire.body.length), wire.body];
  const all = Buffer.concat(parts);
  const count = Math.ceil(all.length / bytesEach);
  return Array.from({ length: count }, (_, at) => all.subarray(at * bytesEach, (at + 1) * bytesEach));
}

const WELL: Fault[] = [
  {
    ...FAST,
    name: "sends its answer in crumbs that cut characters and lines",
    modes: both(answer),
    act: (exchange) => ({ bytes: pieces(exchange, 5), last: "done" }),
    isPlain: true,
  },
  {
    ...FAST,
    name: "sends its answer slowly",
    modes: both(answer),
    act: (exchange) => ({ bytes: pieces(exchange, 150), everyMs: 25, last: "done" }),
    isPlain: true,
  },
  {
    ...FAST,
    name: "tells 103 before its answer",
    modes: both(answer),
    act: (exchange) => ({
      bytes: [Buffer.from("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), ...pieces(exchange, 200)],
      last: "done",
    }),
    isPlain: true,
  },
  {
    ...FAST,
    name: "goes on after the end of its answer",
    dialects: ["openai-chat", "anthropic-messages"],
    modes: { stream: answer },
    act: ({ wire }) => leaving(streamed([...eventsOf(wire), ...eventsOf(wire), wire.streamError]), "done"),
    isPlain: true,
  },
  {
    pace: "flood",
    name: "never stops after the end of its answer",
    dialects: ["openai-chat", "anthropic-messages"],
    modes: { stream: answer },
    act: ({ wire }) => ({ bytes: without(chunk(wire.idle), streamed(eventsOf(wire))), everyMs: 1, last: "silence" }),
    isPlain: true,
  },
];

export const FAULTS: readonly Fault[] = [
  ...BEFORE_THE_HEAD,
  ...REFUSALS,
  ...CUT_STREAMS,
  ...CUT_BODIES,
  ...HANGS,
  ...GARBAGE,
  ...ENDLESS,
  ...WELL,
];

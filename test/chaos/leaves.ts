// Callers who leave, at each stage of the exchange, and what is known of the call they leave behind.
import { setTimeout as delay } from "node:timers/promises";
import { type Calling, call } from "./caller.ts";
import { type Act, chunk, type Exchange, eventsOf, jsonHead, type SeenCall, standstill, streamed } from "./fake.ts";
import { bodyFor } from "./rounds.ts";
import { DIALECTS, type DialectId, WIRES } from "./wires.ts";
import { modelFor, seatsFrom, type World } from "./world.ts";

interface At {
  world: World;
  calling: Calling;
  /** The call of the candidate at that place, when it comes. */
  seen(place: number): Promise<SeenCall>;
  first: DialectId;
}

export interface Stage {
  name: string;
  stream: boolean;
  /** What the candidates do, in order. */
  acts: ((exchange: Exchange) => Act)[];
  /** Resolves when the caller is to leave. */
  when(at: At): Promise<unknown>;
  /** Much flows before the caller leaves. */
  isBulky?: true;
  /** How the calls end in the ledger. */
  ends: string[];
}

const silent =
  (parts: (exchange: Exchange) => Iterable<Uint8Array>) =>
  (exchange: Exchange): Act => ({
    bytes: parts(exchange),
    last: "silence",
  });
const refusing = ({ wire }: Exchange): Act => {
  const body = wire.errorBody(500);
  return { bytes: [jsonHead(500, body.length), body], last: "done" };
};

function* endless({ wire }: Exchange, repeated: Uint8Array): Generator<Uint8Array> {
  yield* streamed(wire.preamble);
  for (;;) yield chunk(repeated);
}

const both = (stage: Omit<Stage, "stream">): Stage[] => [true, false].map((stream) => ({ ...stage, stream }));

export const STAGES: readonly Stage[] = [
  ...both({
    name: "before the provider has sent a byte",
    acts: [silent(() => [])],
    when: ({ seen }) => seen(0),
    ends: ["cancelled"],
  }),
  {
    name: "before any content",
    stream: true,
    acts: [silent(({ wire }) => streamed(wire.preamble))],
    when: async ({ seen }) => (await seen(0)).sent,
    ends: ["cancelled"],
  },
  {
    name: "in the middle of the body",
    stream: false,
    acts: [silent(({ wire }) => [jsonHead(200, wire.body.length), wire.body.subarray(0, 50)])],
    when: async ({ seen }) => (await seen(0)).sent,
    ends: ["cancelled"],
  },
  {
    name: "in the middle of the body of an error",
    stream: false,
    acts: [silent(() => [jsonHead(500, 9_000), Buffer.from("<html>")])],
    when: async ({ seen }) => (await seen(0)).sent,
    ends: ["cancelled"],
  },
  {
    name: "after the first piece",
    stream: true,
    acts: [silent(({ wire }) => streamed([...wire.preamble, ...wire.content.slice(0, 1)]))],
    when: ({ calling, first }) => calling.has(WIRES[first].pieces[0] as string),
    ends: ["cancelled"],
  },
  {
    name: "while the answer flows",
    stream: true,
    acts: [
      (exchange) => ({ bytes: endless(exchange, exchange.wire.content[0] as Buffer), everyMs: 2, last: "silence" }),
    ],
    when: ({ calling, first }) => calling.has(WIRES[first].pieces[0] as string),
    ends: ["cancelled"],
  },
  {
    name: "while it does not read what flows",
    isBulky: true,
    stream: true,
    acts: [
      (exchange) => ({
        bytes: endless(exchange, Buffer.concat(Array(500).fill(exchange.wire.content[0]))),
        last: "silence",
      }),
    ],
    when: async ({ calling, first, seen }) => {
      await calling.has(WIRES[first].pieces[0] as string);
      calling.pause();
      await standstill(await seen(0));
    },
    ends: ["cancelled"],
  },
  {
    name: "with the last byte",
    stream: true,
    acts: [silent(({ wire }) => streamed(eventsOf(wire)))],
    when: ({ calling }) => calling.has("data: [DONE]\n\n"),
    // What Google calls its end is that the connection closes.
    ends: ["complete"],
  },
  ...both({
    name: "while the second candidate is asked",
    acts: [refusing, silent(() => [])],
    when: ({ seen }) => seen(1),
    ends: ["failed", "cancelled"],
  }),
];

export interface Left {
  stage: Stage;
  dialect: DialectId;
  model: string;
  slot: number;
  calls: number;
  /** The router has let go of every call soon after the caller left. */
  isPrompt: boolean;
}

/** Far below the clocks of a patient world. */
const PROMPT_MS = 2_000;

/** These stages with every protocol, all at once. */
export async function leaveAt(world: World, stages: readonly Stage[]): Promise<Left[]> {
  const cases = stages
    .flatMap((stage) => DIALECTS.map((dialect) => ({ stage, dialect })))
    .filter(({ stage, dialect }) => stage.ends[0] !== "complete" || dialect !== "google-generate");
  return Promise.all(cases.map(({ stage, dialect }, slot) => leave(world, stage, dialect, slot)));
}

async function leave(world: World, stage: Stage, dialect: DialectId, slot: number): Promise<Left> {
  const { fake } = world;
  const seats = seatsFrom(dialect, stage.acts.length, 0);
  fake.script(slot, Object.fromEntries(seats.map((seat, at) => [seat.dialect, stage.acts[at]])));
  const model = modelFor(slot, seats, "leaves");
  const calling = call(world.url, bodyFor(model, stage.stream));
  const seen = (place: number) => fake.nextCall(slot, place);
  await stage.when({ world, calling, seen, first: dialect });
  calling.leave();
  const calls = fake.calls.filter((one) => one.slot === slot);
  const isPrompt = await Promise.race([
    Promise.all(calls.map(({ over }) => over)).then(() => true),
    delay(PROMPT_MS, false, { ref: false }),
  ]);
  return { stage, dialect, model, slot, calls: calls.length, isPrompt };
}

// The cases (fault × mode × candidates × protocol), run in waves, and what came of each.
import type { JsonObject } from "../../src/chat.ts";
import { call, type Received } from "./caller.ts";
import { FAULTS, type Fault, type Owed } from "./faults.ts";
import { DIALECTS, type DialectId } from "./wires.ts";
import { modelFor, type Patience, type Seat, seatsFrom, type World } from "./world.ts";

export interface Scene {
  name: string;
  candidates: number;
  /** So many of them, from the first, meet the fault; the others are healthy. */
  faulty: number;
}

const SCENES: Scene[] = [
  { name: "the only candidate", candidates: 1, faulty: 1 },
  { name: "the first of two", candidates: 2, faulty: 1 },
  { name: "two of three", candidates: 3, faulty: 2 },
  { name: "both candidates", candidates: 2, faulty: 2 },
  { name: "all three", candidates: 3, faulty: 3 },
];

export interface Case {
  name: string;
  fault: Fault;
  scene: Scene;
  seats: Seat[];
  stream: boolean;
  owed: Owed;
}

export const CASES: readonly Case[] = FAULTS.flatMap((fault) =>
  (fault.dialects ?? DIALECTS).flatMap((dialect) =>
    SCENES.filter((scene) => isTold(fault, scene)).flatMap((scene) =>
      (["stream", "buffered"] as const).flatMap((mode): Case[] => {
        const owed = fault.modes[mode];
        if (owed === undefined) return [];
        const seats = seatsFrom(dialect, scene.candidates, fault.act === undefined ? scene.faulty : 0);
        const name = `${scene.name} ${fault.name} (${dialect}, ${mode})`;
        return [{ name, fault, scene, seats, stream: mode === "stream", owed }];
      }),
    ),
  ),
);

/** Where nothing follows a fault, more candidates tell no more; faults for one protocol only cannot meet the others. */
function isTold({ isPlain, isVariant, dialects }: Fault, { candidates, faulty }: Scene): boolean {
  if (isVariant) return candidates === 1;
  return isPlain || dialects !== undefined ? faulty === 1 && candidates <= 2 : true;
}

export interface Result {
  received: Received;
  model: string;
  /** Who was called, in order, as the fake saw it. */
  called: DialectId[];
}

/** Whose patience the case needs. */
export function patienceFor({ fault }: Case): Patience {
  return fault.pace === "slow" || fault.pace === "flood" ? "impatient" : "patient";
}

/** Runs the cases and tells what came of each; the world is at rest after every wave. */
export async function runAll(world: World, cases: readonly Case[]): Promise<Map<Case, Result>> {
  const results = new Map<Case, Result>();
  for (const wave of wavesOf(cases, world.slotCount)) {
    const running = wave.map((one, slot) => runOne(world, one, slot));
    const received = await Promise.all(running);
    await world.atRest();
    wave.forEach((one, slot) => {
      const called = world.fake.calls.filter((seen) => seen.slot === slot).map(({ dialect }) => dialect);
      results.set(one, { ...(received[slot] as Omit<Result, "called">), called });
    });
    world.turnThePage();
  }
  return results;
}

/** What the process has for retries when it is full, less a margin; see src/retry-budget.ts. */
const RETRIES_PER_WAVE = 55;
const HEAVY_PER_WAVE = 3;

/** Cases of a like pace together, so that none waits for a slow one, and no more retries than the process may make. */
function* wavesOf(cases: readonly Case[], slotCount: number): Generator<Case[]> {
  const groups = Object.groupBy(cases, ({ fault, scene }) =>
    fault.pace === "bulk" || fault.pace === "flood" ? fault.name : `${fault.pace} ${scene.faulty === scene.candidates}`,
  );
  for (const group of Object.values(groups)) {
    let wave: Case[] = [];
    let retries = 0;
    for (const one of group ?? []) {
      const needs = one.scene.candidates + 1;
      const isFull =
        wave.length === (one.fault.pace === "bulk" || one.fault.pace === "flood" ? HEAVY_PER_WAVE : slotCount);
      if (isFull || retries + needs > RETRIES_PER_WAVE) {
        yield wave;
        wave = [];
        retries = 0;
      }
      wave.push(one);
      retries += needs;
    }
    if (wave.length > 0) yield wave;
  }
}

/** A buffered attempt is ended by the time its caller has; half of it, where another may follow. */
const CALLER_WAITS_MS = { stream: 3_000, buffered: 1_600 };
const ENDLESS_MS = 1_000;

async function runOne(world: World, one: Case, slot: number): Promise<Omit<Result, "called">> {
  const { fault, scene, seats, stream } = one;
  const { act } = fault;
  const faulty = act === undefined ? [] : seats.slice(0, scene.faulty);
  world.fake.script(slot, Object.fromEntries(faulty.map(({ dialect }) => [dialect, act])));
  const model = modelFor(slot, seats, String(CASES.indexOf(one)));
  const waitsMs = fault.isPlain ? ENDLESS_MS : CALLER_WAITS_MS[stream ? "stream" : "buffered"];
  const headers: Record<string, string> = fault.pace === "slow" ? { "x-request-timeout-ms": String(waitsMs) } : {};
  const received = await call(world.url, bodyFor(model, stream), headers).received;
  return { received, model };
}

export function bodyFor(model: string, stream: boolean): JsonObject {
  return { model, stream, messages: [{ role: "user", content: "Wie geht es?" }], max_tokens: 100 };
}

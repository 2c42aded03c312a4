// Who asks for what, and when: drawn once per run, so that every policy faces the same requests.
import { readFileSync } from "node:fs";
import type { Engine } from "./engine.ts";
import type { Random } from "./random.ts";

export interface Arrival {
  id: string;
  key: string;
  /** Since the start of the run. */
  atMs: number;
  /** Characters of the prompt ÷ 4. */
  plainTokens: number;
  /** What a model writes when nothing bounds it. */
  outputTokens: number;
  maxTokens: number;
  stream: boolean;
  /** The caller hangs up so long after asking; absent: it waits until its deadline. */
  leavesAfterMs?: number;
}

/** A caller waits this long for the whole answer. */
export const DEADLINE_MS = 60_000;
/** The key that sends in bursts; all others behave. */
export const FLOODING_KEY = "key-00";
const KEYS = 20;
const BURST = { onMs: 30_000, everyMs: 120_000 };

export interface Load {
  /** Mean of all keys together, at an instant of the run. */
  perSecond(atMs: number): number;
  /** The most that `perSecond` answers. */
  perSecondMax: number;
  /** Of all requests, sent by the flooding key; 0: it is one like the others. */
  floodingShare: number;
  /** Of every key's arrivals; absent: drawn, 0.25 to 1. */
  shape?: number;
  /** Of requests whose caller hangs up early. */
  leavingShare: number;
}

export function constantLoad(perSecond: number, more: Partial<Load> = {}): Load {
  return { perSecond: () => perSecond, perSecondMax: perSecond, floodingShare: 0.4, leavingShare: 0, ...more };
}

/** Gamma arrivals of twenty keys (Azure's and BurstGPT's traces fit shapes of 0.25 to 1), in order. */
export function drawArrivals(engine: Engine, load: Load, minutes: number): Arrival[] {
  const arrivals: Arrival[] = [];
  const others = load.floodingShare === 0 ? KEYS : KEYS - 1;
  for (let at = 0; at < KEYS; at += 1) {
    const key = `key-${String(at).padStart(2, "0")}`;
    const isFlooding = key === FLOODING_KEY && load.floodingShare > 0;
    const share = isFlooding ? load.floodingShare : (1 - load.floodingShare) / others;
    arrivals.push(...arrivalsOfKey(engine.random(`caller ${key}`), key, { load, minutes, share, isFlooding }));
  }
  return numbered(arrivals);
}

interface KeyLoad {
  load: Load;
  minutes: number;
  share: number;
  isFlooding: boolean;
}

function arrivalsOfKey(random: Random, key: string, { load, minutes, share, isFlooding }: KeyLoad): Arrival[] {
  const arrivals: Arrival[] = [];
  const drawn = 0.25 + 0.75 * random.next();
  const shape = load.shape ?? drawn;
  const burstOffsetMs = BURST.everyMs * random.next();
  // In a burst all of the share is sent in a quarter of the time. Bursts are thinned out of an even stream.
  const perMs = (load.perSecondMax * share * (isFlooding ? BURST.everyMs / BURST.onMs : 1)) / 1_000;
  const endMs = minutes * 60_000;
  for (let atMs = random.gamma(shape) / perMs; atMs < endMs; atMs += random.gamma(shape) / perMs) {
    const arrival = drawRequest(random, key, atMs, load.leavingShare);
    const isOff = isFlooding && (atMs + burstOffsetMs) % BURST.everyMs >= BURST.onMs;
    const isThinned = random.next() >= load.perSecond(atMs) / load.perSecondMax;
    if (!isOff && !isThinned) arrivals.push(arrival);
  }
  return arrivals;
}

function drawRequest(random: Random, key: string, atMs: number, leavingShare: number): Arrival {
  const plainTokens = Math.round(Math.min(8_000, Math.max(20, random.lognormal(650, 0.9))));
  const outputTokens = Math.round(Math.min(8_000, Math.max(1, random.lognormal(200, 0.8))));
  const stream = random.next() < 0.8;
  const isLeaving = random.next() < leavingShare;
  const patienceMs = 200 + 9_800 * random.next();
  const arrival: Arrival = { id: "", key, atMs, plainTokens, outputTokens, maxTokens: 1_024, stream };
  return isLeaving ? { ...arrival, leavesAfterMs: patienceMs } : arrival;
}

function numbered(arrivals: Arrival[]): Arrival[] {
  arrivals.sort((a, b) => a.atMs - b.atMs);
  return arrivals.map((arrival, at) => ({ ...arrival, id: `req-${at}` }));
}

/** The first minutes of a recorded trace (`TIMESTAMP,ContextTokens,GeneratedTokens`), as many times as fast as
 *  `speedOf` says of all of it. The trace knows no callers: requests are dealt to the keys by chance. */
export function replayArrivals(engine: Engine, file: string, minutes: number, speedOf: SpeedOf): Arrival[] {
  const random = engine.random("trace");
  const rows = readFileSync(file, "utf8").trim().split(/\r?\n/).slice(1);
  const firstMs = instantOf(rows[0] ?? "");
  const arrivals = rows.map((row): Arrival => {
    const [, context = "0", generated = "0"] = row.split(",");
    const key = `key-${String(1 + Math.floor(random.next() * (KEYS - 1))).padStart(2, "0")}`;
    const tokens = { plainTokens: Math.max(20, Number(context)), outputTokens: Math.max(1, Number(generated)) };
    const atMs = instantOf(row) - firstMs;
    return { id: "", key, atMs, ...tokens, maxTokens: 1_024, stream: random.next() < 0.8 };
  });
  const speed = speedOf(arrivals);
  const faster = arrivals.map((arrival) => ({ ...arrival, atMs: arrival.atMs / speed }));
  return numbered(faster.filter(({ atMs }) => atMs < minutes * 60_000));
}

/** How many times as fast a trace is to be replayed. */
export type SpeedOf = (arrivals: readonly Arrival[]) => number;

/** `2023-11-16 18:15:46.6805900` */
function instantOf(row: string): number {
  return Date.parse(`${row.slice(0, 23).replace(" ", "T")}Z`);
}

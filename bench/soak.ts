// Hours in minutes: a mixed load with everything that goes wrong in it, and whether the router's memory grows meanwhile.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Dispatcher, Pool } from "undici";
import { requestBody, type Wanted, type WireDialect } from "./answers.ts";
import { BenchFailure } from "./subject.ts";
import { requireSystem, type System, stopAll, systemStarter } from "./systems.ts";
import { askedModel, LOAD_KEY, rulesText } from "./world.ts";

export interface SoakOptions {
  durationMs: number;
  profileDir: string | undefined;
  progress(line: string): void;
}

export interface Soaked {
  minutes: number;
  calls: Record<string, number>;
  reloads: number;
  rssMb: { first: number; last: number; max: number };
  /** Of a line through the samples after the first third, in which the heap finds its size. */
  slopeMbPerMin: number;
  isMet: boolean;
}

const SLOPE_MB_PER_MIN_MAX = 1;
const SAMPLE_MS = 2_000;
const RELOAD_MS = 1_000;
const CONNECTIONS = 64;
const KB = 1_000;

interface Kind {
  name: string;
  callers: number;
  dialect: WireDialect;
  promptBytes: number;
  wanted: Wanted;
  /** The caller leaves after the first bytes. */
  leaves?: true;
  /** Of a whole answer; of others any status will do, but there must be one. */
  status?: number;
}

const KINDS: readonly Kind[] = [
  { name: "json", callers: 4, dialect: "openai", promptBytes: KB, wanted: { deltas: 0, paceMs: 0 }, status: 200 },
  { name: "stream", callers: 8, dialect: "openai", promptBytes: KB, wanted: { deltas: 64, paceMs: 20 }, status: 200 },
  {
    name: "translated",
    callers: 4,
    dialect: "anthropic",
    promptBytes: KB,
    wanted: { deltas: 64, paceMs: 5 },
    status: 200,
  },
  {
    name: "big",
    callers: 1,
    dialect: "openai",
    promptBytes: 1_000 * KB,
    wanted: { deltas: 0, paceMs: 0 },
    status: 200,
  },
  { name: "left", callers: 4, dialect: "openai", promptBytes: KB, wanted: { deltas: 64, paceMs: 20 }, leaves: true },
  // By way of a provider of their own: its breaker opens.
  { name: "failed", callers: 1, dialect: "google", promptBytes: KB, wanted: { deltas: 0, paceMs: 0, ending: "fail" } },
  { name: "cut", callers: 1, dialect: "google", promptBytes: KB, wanted: { deltas: 64, paceMs: 5, ending: "cut" } },
];

/** Rejects with BenchFailure when a call that should succeed does not, or the router dies. */
export async function soak({ durationMs, profileDir, progress }: SoakOptions): Promise<Soaked> {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-soak-"));
  const running: System[] = [];
  try {
    const starter = systemStarter({ dir, connections: CONNECTIONS, profileDir, progress }, running);
    const upstreamUrl = (await starter.direct()).subject.url;
    await starter.signalbox(upstreamUrl);
    const { subject } = requireSystem(running, "signalbox");
    const soaked = await Promise.race([
      soakIn(dir, requireSystem(running, "signalbox"), durationMs, progress),
      subject.death,
    ]);
    await stopAll(running);
    return soaked;
  } finally {
    for (const { subject } of running) subject.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function soakIn(
  dir: string,
  { subject }: System,
  durationMs: number,
  progress: SoakOptions["progress"],
): Promise<Soaked> {
  const stopAtMs = performance.now() + durationMs;
  const isOn = () => performance.now() < stopAtMs;
  const pool = new Pool(subject.url, { connections: CONNECTIONS });
  const calls: Record<string, number> = {};
  const keepCalling = async (kind: Kind) => {
    const body = requestBody(askedModel(kind.dialect), kind.promptBytes, kind.wanted);
    while (isOn()) {
      await makeCall(pool, kind, body);
      calls[kind.name] = (calls[kind.name] ?? 0) + 1;
      // A caller that only meets failures comes back after a moment, as people do.
      if (kind.status === undefined) await delay(50);
    }
  };
  let reloads = 0;
  const keepReloading = async () => {
    for (; isOn(); reloads += 1) {
      writeFileSync(join(dir, "signalbox-home", "rules", "rules.yaml"), rulesText(1 + (reloads % 5)));
      await delay(RELOAD_MS);
    }
  };
  const samples: { atMs: number; rssMb: number }[] = [];
  const keepSampling = async () => {
    for (; isOn(); await delay(SAMPLE_MS)) {
      const { rssBytes } = await subject.sample();
      samples.push({ atMs: performance.now(), rssMb: rssBytes / 1e6 });
      if (samples.length % 15 === 0) progress(`${(rssBytes / 1e6).toFixed(0)} MB; ${JSON.stringify(calls)}`);
    }
  };
  const callers = KINDS.flatMap((kind) => Array.from({ length: kind.callers }, () => keepCalling(kind)));
  await Promise.all([...callers, keepReloading(), keepSampling()]);
  await pool.close();
  const rss = samples.map(({ rssMb }) => rssMb);
  const slopeMbPerMin = slope(samples.slice(Math.floor(samples.length / 3)));
  return {
    ...{ minutes: durationMs / 60_000, calls, reloads },
    rssMb: { first: rss[0] ?? Number.NaN, last: rss.at(-1) ?? Number.NaN, max: Math.max(...rss) },
    ...{ slopeMbPerMin, isMet: slopeMbPerMin <= SLOPE_MB_PER_MIN_MAX },
  };
}

async function makeCall(pool: Pool, kind: Kind, body: string): Promise<void> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${LOAD_KEY}` };
  const path = "/v1/chat/completions";
  const answer: Dispatcher.ResponseData = await pool.request({ path, method: "POST", headers, body });
  if (kind.status !== undefined && answer.statusCode !== kind.status) {
    throw new BenchFailure(`${kind.name}: status ${answer.statusCode}: ${(await answer.body.text()).slice(0, 300)}`);
  }
  if (kind.leaves) {
    for await (const _ of answer.body) break;
    return;
  }
  const text = await answer.body.text();
  if (kind.status !== undefined && kind.wanted.deltas > 0 && !text.endsWith("data: [DONE]\n\n")) {
    throw new BenchFailure(`${kind.name}: the stream ends with ${text.slice(-300)}`);
  }
}

/** Least squares, in MB per minute. */
function slope(samples: readonly { atMs: number; rssMb: number }[]): number {
  const meanOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const atMean = meanOf(samples.map(({ atMs }) => atMs));
  const rssMean = meanOf(samples.map(({ rssMb }) => rssMb));
  const above = samples.reduce((sum, { atMs, rssMb }) => sum + (atMs - atMean) * (rssMb - rssMean), 0);
  const below = samples.reduce((sum, { atMs }) => sum + (atMs - atMean) ** 2, 0);
  return (above / below) * 60_000;
}

export function soakText({ minutes, calls, reloads, rssMb, slopeMbPerMin, isMet }: Soaked): string {
  const counts = Object.entries(calls).map(([name, count]) => `${count} ${name}`);
  const mb = (value: number) => `${value.toFixed(0)} MB`;
  return (
    `${minutes.toFixed(1)} minutes: ${counts.join(", ")}; ${reloads} reloads.\n` +
    `Resident memory ${mb(rssMb.first)} at the start, ${mb(rssMb.last)} at the end, ${mb(rssMb.max)} at the most; slope ` +
    `${slopeMbPerMin.toFixed(2)} MB/min after the first third (at most ${SLOPE_MB_PER_MIN_MAX}: ${isMet ? "met" : "missed"}).\n`
  );
}

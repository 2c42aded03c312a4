// One run: the systems side by side, every scenario, worlds of different sizes, streams held, and the ledger checked
// against the calls made.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type UsageRow, usageReport } from "../src/store/reports.ts";
import { TOKENS } from "./answers.ts";
import { type DecisionFigures, measureDecisions } from "./decision-figures.ts";
import { figuresOf, ratioOf, type ScenarioFigures, type Spread } from "./figures.ts";
import { type Held, holdStreams } from "./held.ts";
import type { Ask } from "./load.ts";
import { measure, type Plan, type Round, runRound } from "./measure.ts";
import { HELD, SCENARIOS, type Scenario } from "./scenarios.ts";
import { BenchFailure } from "./subject.ts";
import { PEERS, requireSystem, type System, stopAll, systemStarter } from "./systems.ts";
import { PLAIN_WORLD, type World } from "./world.ts";

export interface BenchOptions {
  plan: Plan;
  scenarios: readonly Scenario[];
  worlds: readonly NamedWorld[];
  /** So many streams at once, one count after the other. */
  held: { counts: readonly number[]; paceMs: number };
  decisionSeconds: number;
  /** How many of the others, in the order in which they start fast. */
  peers: number;
  profileDir: string | undefined;
  /** Called with a line for whoever waits. */
  progress(line: string): void;
}

export interface NamedWorld extends World {
  name: string;
}

export interface SystemFacts {
  name: string;
  startMs: number;
  idleRssBytes: number;
  /** The most that was seen at the end of a round with as many calls as it could take. */
  loadedRssBytes: number;
  afterRssBytes: number;
}

export interface BenchResult {
  machine: { cores: number; cpu: string; loadAverage: number };
  versions: Record<string, string>;
  atMs: number;
  plan: Plan;
  systems: SystemFacts[];
  scenarios: ScenarioFigures[];
  /** CPU of a 1 KB call ÷ that of the plain world. */
  worlds: { name: string; cpuUs: number; ratio: Spread }[];
  held: Held[];
  decisions: DecisionFigures | undefined;
  /** All calls made to Signalbox, warm-up and probes included, and what its ledger has of them. */
  calls: number;
  ledger: UsageRow[];
}

const ROOT = join(import.meta.dirname, "..");
const AFTER_MS = 3_000;

/** Rejects with BenchFailure when something is broken: a wrong answer, a process that died, a ledger that misses calls. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-bench-"));
  const removeDir = () => rmSync(dir, { recursive: true, force: true });
  process.once("exit", removeDir);
  const running: System[] = [];
  try {
    return await runIn(dir, options, running);
  } finally {
    for (const { subject } of running) subject.kill();
    await Promise.all(running.map(({ target }) => target.pool.destroy()));
    process.off("exit", removeDir);
    removeDir();
  }
}

async function runIn(dir: string, options: BenchOptions, running: System[]): Promise<BenchResult> {
  // Before the bench itself is the load.
  const where = machine();
  const { plan, scenarios, peers, profileDir, progress } = options;
  const connections = Math.max(plan.concurrencyMax, ...options.held.counts);
  const starter = systemStarter({ dir, connections, profileDir, progress }, running);
  const upstreamUrl = (await starter.direct()).subject.url;
  await starter.floor(upstreamUrl);
  await starter.signalbox(upstreamUrl);
  const versions = ownVersions();
  for (const peer of PEERS.slice(0, peers)) {
    if ((await starter.peer(peer, upstreamUrl)) !== undefined) versions[peer.name] = await peer.version();
  }
  const systems = [...running];
  const figures: ScenarioFigures[] = [];
  const loaded = new Map<string, number>();
  for (const scenario of scenarios) {
    const measurement = await measure(systems, scenario, plan, progress);
    figures.push(figuresOf(measurement));
    for (const { system, flatOut } of measurement.measured) {
      loaded.set(system, Math.max(loaded.get(system) ?? 0, ...flatOut.map(({ rssBytes }) => rssBytes)));
    }
  }
  const held = await holdAll(systems, options);
  const signalbox = requireSystem(systems, "signalbox");
  const facts = await Promise.all(systems.map((system) => factsOf(system, loaded.get(system.name) ?? 0)));
  const worlds = await measureWorlds(options, upstreamUrl, starter);
  progress("stopping, and counting the ledger's rows");
  await stopAll(running);
  const ledger = usageReport({
    dir: join(dir, "signalbox-home", "data"),
    sinceMs: 0,
    nowMs: Date.now(),
    by: "provider",
  });
  // Of a held stream that broke, nobody can say whether it reached the ledger; the report says that it broke.
  const isExact = held.every(({ system, broken }) => system !== "signalbox" || broken === 0);
  const problem = isExact ? ledgerProblem(ledger, signalbox.target.calls) : undefined;
  if (problem !== undefined) throw new BenchFailure(problem);
  const decisions = options.decisionSeconds === 0 ? undefined : await measureDecisions(options.decisionSeconds);
  const result = { machine: where, versions, atMs: Date.now(), plan, systems: facts, scenarios: figures, worlds, held };
  return { ...result, decisions, calls: signalbox.target.calls, ledger };
}

async function holdAll(
  systems: readonly System[],
  { held: { counts, paceMs }, progress }: BenchOptions,
): Promise<Held[]> {
  const held: Held[] = [];
  for (const streams of counts) {
    for (const system of systems) {
      const ask = system.ask({ ...HELD, paceMs });
      if (ask === undefined) continue;
      progress(`${system.name}: holding ${streams} streams`);
      held.push(await holdStreams(system, ask, streams));
    }
  }
  if (counts.length > 0) await delay(AFTER_MS);
  return held;
}

async function factsOf({ name, startMs, idleRssBytes, subject }: System, loadedRssBytes: number): Promise<SystemFacts> {
  return { name, startMs, idleRssBytes, loadedRssBytes, afterRssBytes: (await subject.sample()).rssBytes };
}

/** A router for each world and a plain one, all as fresh: what has run for minutes is better compiled. In turns. */
async function measureWorlds(
  { worlds, plan, progress }: BenchOptions,
  upstreamUrl: string,
  starter: ReturnType<typeof systemStarter>,
): Promise<BenchResult["worlds"]> {
  if (worlds.length === 0) return [];
  const systems: System[] = [];
  for (const { name, ...world } of [{ ...PLAIN_WORLD, name: "plain" }, ...worlds])
    systems.push(await starter.signalbox(upstreamUrl, world, `signalbox-${name}`));
  const scenario = SCENARIOS[0] as Scenario;
  const rounds = new Map<System, Round[]>(systems.map((system) => [system, []]));
  for (const system of systems) {
    await runRound(system, system.ask(scenario) as Ask, { ...plan, roundMs: WARMUPS * plan.warmupMs }, undefined);
  }
  const count = WORLD_ROUNDS * plan.rounds;
  for (let round = 1; round <= count; round += 1) {
    for (const [system, into] of rounds) {
      into.push(await runRound(system, system.ask(scenario) as Ask, plan, scenario.ratePerS));
    }
    progress(`worlds, ${round} of ${count}`);
  }
  const base = rounds.get(systems[0] as System) ?? [];
  return [...rounds].map(([system, own]) => ({
    name: system.name.replace("signalbox-", ""),
    cpuUs: own.reduce((sum, { cpuUs, calls }) => sum + cpuUs / calls, 0) / own.length,
    ratio: ratioOf(own, base),
  }));
}

/** What is compiled while it is measured would be taken for what the world costs. */
const WARMUPS = 2;
/** The differences looked for are small. */
const WORLD_ROUNDS = 2;

/** What the ledger should say of so many calls that all succeeded, and does not. */
export function ledgerProblem(rows: readonly UsageRow[], calls: number): string | undefined {
  const expected = {
    requests: calls,
    attempts: calls,
    failedAttempts: 0,
    inputTokens: calls * TOKENS.input,
    cacheReadTokens: calls * TOKENS.cached,
    outputTokens: calls * TOKENS.output,
    unpricedAttempts: 0,
    unknownAttempts: 0,
  };
  const columns = Object.keys(expected) as (keyof typeof expected)[];
  for (const column of columns) {
    const found = rows.reduce((sum, row) => sum + row[column], 0);
    if (found !== expected[column]) {
      return `the ledger is wrong: ${calls} calls were made, so ${column} should be ${expected[column]}; it says ${found}`;
    }
  }
  return undefined;
}

function machine(): BenchResult["machine"] {
  const [loadAverage = 0] = loadavg();
  return { cores: availableParallelism(), cpu: cpus()[0]?.model ?? "unknown", loadAverage };
}

function ownVersions(): Record<string, string> {
  const of = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")).version as string;
  const packages = ["hono", "@hono/node-server", "undici"].map((name) => [name, of(join("node_modules", name))]);
  return { node: process.versions.node, signalbox: of("."), ...Object.fromEntries(packages) };
}

// One run: upstream, floor and Signalbox side by side, every scenario, and the ledger checked against the calls made.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { type UsageRow, usageReport } from "../src/store/reports.ts";
import { USAGE } from "./answers.ts";
import { figuresOf, type ScenarioFigures } from "./figures.ts";
import { LOAD_KEY, type LoadTarget, openTarget } from "./load.ts";
import { measure, type Plan } from "./measure.ts";
import type { Scenario } from "./scenarios.ts";
import { BenchFailure, type ProcessName, type Subject, startSubject } from "./subject.ts";

export interface BenchOptions {
  plan: Plan;
  scenarios: readonly Scenario[];
  profileDir: string | undefined;
  /** Called with a line for whoever waits. */
  progress(line: string): void;
}

export interface BenchResult {
  machine: { node: string; cores: number; cpu: string };
  plan: Plan;
  scenarios: ScenarioFigures[];
  /** All calls made to Signalbox, warm-up and probes included, and what its ledger has of them. */
  calls: number;
  ledger: UsageRow[];
}

/** Rejects with BenchFailure when something is broken: a wrong answer, a process that died, a ledger that misses calls. */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-bench-"));
  const removeDir = () => rmSync(dir, { recursive: true, force: true });
  process.once("exit", removeDir);
  const running: Subject[] = [];
  const targets: LoadTarget[] = [];
  try {
    return await runIn(dir, options, running, targets);
  } finally {
    for (const subject of running) subject.kill();
    await Promise.all(targets.map(({ pool }) => pool.destroy()));
    process.off("exit", removeDir);
    removeDir();
  }
}

async function runIn(
  dir: string,
  { plan, scenarios, profileDir, progress }: BenchOptions,
  running: Subject[],
  targets: LoadTarget[],
): Promise<BenchResult> {
  const start = async (name: ProcessName, env: Record<string, string>) => {
    const subjectDir = join(dir, name);
    mkdirSync(subjectDir);
    const subject = await startSubject(name, { dir: subjectDir, env, profileDir });
    running.push(subject);
    const target = openTarget(name, subject.url, name === "upstream" ? 1 : plan.concurrencyMax);
    targets.push(target);
    return { subject, target };
  };
  const upstream = await start("upstream", {});
  const env = { OPENAI_BASE_URL: `${upstream.subject.url}/v1`, OPENAI_API_KEY: "sk-upstream" };
  const dataDir = join(dir, "data");
  const floor = await start("floor", env);
  const signalbox = await start("signalbox", {
    ...env,
    SIGNALBOX_API_KEY: LOAD_KEY,
    SIGNALBOX_DATA: dataDir,
    SIGNALBOX_PORT: "0",
  });
  const rig = { direct: upstream.target, floor, signalbox, progress };
  const figures: ScenarioFigures[] = [];
  for (const scenario of scenarios) figures.push(figuresOf(await measure(rig, scenario, plan)));
  progress("stopping, and counting the ledger's rows");
  await Promise.all(targets.map(({ pool }) => pool.close()));
  for (const { subject } of [signalbox, floor, upstream]) await subject.stop();
  const ledger = usageReport({ dir: dataDir, sinceMs: 0, nowMs: Date.now(), by: "provider" });
  const problem = ledgerProblem(ledger, signalbox.target.calls);
  if (problem !== undefined) throw new BenchFailure(problem);
  return { machine: machine(), plan, scenarios: figures, calls: signalbox.target.calls, ledger };
}

/** What the ledger should say of so many calls that all succeeded, and does not. */
export function ledgerProblem(rows: readonly UsageRow[], calls: number): string | undefined {
  const expected = {
    requests: calls,
    attempts: calls,
    failedAttempts: 0,
    inputTokens: calls * USAGE.prompt_tokens,
    cacheReadTokens: calls * USAGE.prompt_tokens_details.cached_tokens,
    outputTokens: calls * USAGE.completion_tokens,
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
  return { node: process.version, cores: availableParallelism(), cpu: cpus()[0]?.model ?? "unknown" };
}

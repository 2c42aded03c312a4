// The router and three simpler policies over the same simulated providers and callers, in virtual time.
// `node bench/simulate.ts [--scenario S2] [--policy signalbox] [--seed 7] [--seeds 3] [--minutes 20]
// [--rule "timeouts: { first_byte: 10s }"] [--trace file.csv] [--nightly]`.
// `--scenario` takes the beginning of a name. `--nightly`: fifty seeds of the router alone, and the share of them that meets each
// target. Exit code 1 when attempts do not add up.
import { parseArgs } from "node:util";
import { type Metrics, meanOf } from "../test/simulator/metrics.ts";
import { POLICIES, type PolicyName, type Run, simulate } from "../test/simulator/run.ts";
import { SCENARIO_NAMES, type Scenario, scenario } from "../test/simulator/scenarios.ts";
import { judged, meanRun, textOf } from "../test/simulator/targets.ts";
import { type SeededRun, summaryOf } from "./nightly.ts";

const { values: flags } = parseArgs({
  options: {
    scenario: { type: "string" },
    policy: { type: "string" },
    seed: { type: "string", default: "1" },
    seeds: { type: "string" },
    minutes: { type: "string", default: "20" },
    rule: { type: "string" },
    trace: { type: "string" },
    nightly: { type: "boolean", default: false },
  },
});
const SEEDS = Number(flags.seeds ?? (flags.nightly ? "50" : "1"));

const COLUMNS: { title: string; of(metrics: Metrics): string }[] = [
  { title: "success", of: ({ success }) => percent(success) },
  { title: "at best", of: ({ best }) => percent(best) },
  { title: "by price", of: ({ bestByPrice }) => percent(bestByPrice) },
  { title: "well-beh.", of: ({ wellBehaved }) => percent(wellBehaved) },
  { title: "worst key", of: ({ worstKey }) => percent(worstKey) },
  { title: "Jain", of: ({ jain }) => jain.toFixed(4) },
  { title: "added p50/p99 s", of: ({ addedP50Ms, addedP99Ms }) => `${seconds(addedP50Ms)} / ${seconds(addedP99Ms)}` },
  { title: "well-beh. p99", of: ({ wellBehavedAddedP99Ms }) => seconds(wellBehavedAddedP99Ms) },
  { title: "cost/oracle", of: ({ costOverOracle }) => costOverOracle.toFixed(2) },
  { title: "429/req", of: ({ upstream429 }) => upstream429.toFixed(3) },
  { title: "wasted/req", of: ({ wasted }) => wasted.toFixed(3) },
  { title: "429 seen", of: ({ surfaced429 }) => surfaced429.toFixed(0) },
  { title: "silent", of: ({ silentLosses }) => silentLosses.toFixed(0) },
];

function percent(share: number): string {
  return (100 * share).toFixed(2);
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}

async function runAll(scenario: Scenario, policy: PolicyName, trace: string | undefined): Promise<SeededRun[]> {
  const runs: SeededRun[] = [];
  for (let at = 0; at < SEEDS; at += 1) {
    const seed = Number(flags.seed) + at;
    const startMs = performance.now();
    const onMinute = (minute: number) => {
      if (minute % 5 === 0) process.stderr.write(`\r${scenario.name} ${policy} seed ${seed}: minute ${minute} `);
    };
    const run = await simulate(scenario, policy, { seed, onMinute, trace, rule: flags.rule });
    const took = seconds(performance.now() - startMs);
    process.stderr.write(`\r${scenario.name} ${policy} seed ${seed}: ${run.metrics.requests} requests in ${took} s\n`);
    for (const fault of run.faults.slice(0, 5)) console.log(`FAULT ${scenario.name} ${policy} seed ${seed}: ${fault}`);
    if (run.faults.length > 0) process.exitCode = 1;
    runs.push({ seed, run });
  }
  return runs;
}

function row(name: string, cells: readonly string[]): string {
  return (
    name.padEnd(12) +
    cells.map((cell, at) => cell.padStart(Math.max(10, (COLUMNS[at]?.title.length ?? 0) + 2))).join("")
  );
}

function findingsText(runs: readonly Run[]): string {
  const names = Object.keys(runs[0]?.findings ?? {});
  // Of fifty seeds the summary says what there is to say.
  if (runs.length > 5) return "";
  return names
    .map((name) => `${name}: ${runs.map(({ findings }) => findings[name]?.toFixed(2)).join(", ")}`)
    .join("; ");
}

/** A target is of the mean over the seeds. */
function missesOf(name: string, runs: readonly Run[]): string[] {
  const short = judged(name, meanRun(runs)).filter(({ isMet }) => !isMet);
  return short.map(({ target, value }) => `${textOf(target)}, found ${value.toFixed(4)}`);
}

function printRows(name: string, policy: PolicyName, runs: readonly Run[]): void {
  const metrics = meanOf(runs.map((run) => run.metrics));
  console.log(
    row(
      policy,
      COLUMNS.map(({ of }) => of(metrics)),
    ),
  );
  const errors = Object.entries(metrics.errors).map(([kind, count]) => `${kind} ${count}`);
  const indent = " ".repeat(12);
  if (errors.length > 0) console.log(`${indent}failed: ${errors.join(", ")}`);
  const misses = policy === "signalbox" ? missesOf(name, runs) : [];
  if (misses.length > 0) console.log(`${indent}targets missed: ${misses.join("; ")}`);
  const findings = findingsText(runs);
  if (findings !== "") console.log(`${indent}${findings}`);
}

function commandFor(name: string): string {
  const rule = flags.rule === undefined ? "" : ` --rule '${flags.rule}'`;
  const trace = name.startsWith("trace") ? " --trace FILE" : "";
  return `npm run simulate -- --policy signalbox --scenario ${name} --minutes ${flags.minutes}${rule}${trace}`;
}

async function main(): Promise<void> {
  const trace = flags.trace ?? process.env.SIGNALBOX_TRACE;
  const names = SCENARIO_NAMES.filter((name) => {
    return flags.scenario === undefined
      ? !name.startsWith("trace") || trace !== undefined
      : name.startsWith(flags.scenario);
  }).filter((name, _, all) => !all.includes(flags.scenario ?? "") || name === flags.scenario);
  if (names.length === 0)
    throw new Error(`there is no scenario ${flags.scenario}; there are ${SCENARIO_NAMES.join(", ")}`);
  const wanted = flags.policy ?? (flags.nightly ? "signalbox" : "");
  const policies = (Object.keys(POLICIES) as PolicyName[]).filter((name) => name.startsWith(wanted));
  for (const name of names) {
    const chosen = scenario(name, Number(flags.minutes));
    console.log(`\n${name}: ${chosen.title}; ${chosen.minutes} min, ${SEEDS} seed(s) from ${flags.seed}`);
    const titles = COLUMNS.map(({ title }) => title);
    console.log(row("", titles));
    for (const policy of policies) {
      const runs = await runAll(chosen, policy, trace);
      printRows(
        name,
        policy,
        runs.map(({ run }) => run),
      );
      if (flags.nightly && policy === "signalbox")
        for (const line of summaryOf(name, runs, commandFor(name))) console.log(line);
    }
  }
}

await main();

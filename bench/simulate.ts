// The router and three simpler policies over the same simulated providers and callers, in virtual time.
// `node bench/simulate.ts [--scenario S2] [--policy signalbox] [--seed 7] [--seeds 3] [--minutes 20]
// [--rule "timeouts: { first_byte: 10s }"] [--trace file.csv]`.
// `--scenario` takes the beginning of a name. Exit code 1 when attempts do not add up.
import { parseArgs } from "node:util";
import { type Metrics, meanOf } from "../test/simulator/metrics.ts";
import { POLICIES, type PolicyName, type Run, simulate } from "../test/simulator/run.ts";
import { SCENARIO_NAMES, type Scenario, scenario } from "../test/simulator/scenarios.ts";
import { missed } from "../test/simulator/targets.ts";

const { values: flags } = parseArgs({
  options: {
    scenario: { type: "string" },
    policy: { type: "string" },
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    minutes: { type: "string", default: "20" },
    rule: { type: "string" },
    trace: { type: "string" },
  },
});

const COLUMNS: { title: string; of(metrics: Metrics): string }[] = [
  { title: "success", of: ({ success }) => percent(success) },
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

async function runAll(scenario: Scenario, policy: PolicyName, trace: string | undefined): Promise<Run[]> {
  const runs: Run[] = [];
  for (let at = 0; at < Number(flags.seeds); at += 1) {
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
    runs.push(run);
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
  return names
    .map((name) => `${name}: ${runs.map(({ findings }) => findings[name]?.toFixed(2)).join(", ")}`)
    .join("; ");
}

async function main(): Promise<void> {
  const trace = flags.trace ?? process.env.SIGNALBOX_TRACE;
  const names = SCENARIO_NAMES.filter((name) => {
    return flags.scenario === undefined ? name !== "trace" || trace !== undefined : name.startsWith(flags.scenario);
  }).filter((name, _, all) => !all.includes(flags.scenario ?? "") || name === flags.scenario);
  if (names.length === 0)
    throw new Error(`there is no scenario ${flags.scenario}; there are ${SCENARIO_NAMES.join(", ")}`);
  const policies = (Object.keys(POLICIES) as PolicyName[]).filter((name) => name.startsWith(flags.policy ?? ""));
  for (const name of names) {
    const chosen = scenario(name, Number(flags.minutes));
    console.log(`\n${name}: ${chosen.title}; ${chosen.minutes} min, ${flags.seeds} seed(s) from ${flags.seed}`);
    console.log(
      row(
        "",
        COLUMNS.map(({ title }) => title),
      ),
    );
    for (const policy of policies) {
      const runs = await runAll(chosen, policy, trace);
      const metrics = meanOf(runs.map((run) => run.metrics));
      console.log(
        row(
          policy,
          COLUMNS.map(({ of }) => of(metrics)),
        ),
      );
      const errors = Object.entries(metrics.errors).map(([kind, count]) => `${kind} ${count}`);
      if (errors.length > 0) console.log(`${" ".repeat(12)}failed: ${errors.join(", ")}`);
      const misses = policy === "signalbox" ? missed(name, metrics) : [];
      if (misses.length > 0) console.log(`${" ".repeat(12)}targets missed: ${misses.join("; ")}`);
      const findings = findingsText(runs);
      if (findings !== "") console.log(`${" ".repeat(12)}${findings}`);
    }
  }
}

await main();

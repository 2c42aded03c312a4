// The command line of the bench: `npm run bench -- [options]`.
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseDurationMs } from "../src/units.ts";
import { type BenchResult, type NamedWorld, runBench } from "./bench.ts";
import type { Plan } from "./measure.ts";
import { resultsText } from "./results.ts";
import { SCENARIOS } from "./scenarios.ts";
import { soak, soakText } from "./soak.ts";
import { BenchFailure } from "./subject.ts";
import { PEERS } from "./systems.ts";
import { GATES, passGates } from "./targets.ts";
import { PLAIN_WORLD } from "./world.ts";

const HELP = `npm run bench: what Signalbox costs beside the least a forwarder must do, and beside others. See bench/README.md.

Usage: npm run bench -- [options]

Options:
  --quick        A minute instead of a quarter of an hour; noisier, on code the JIT has seen less of, writes no file
  --only KIND    Only the scenarios of this kind: json, stream or translated; writes no file
  --rounds N     Rounds per scenario instead of 5
  --no-peers     Without Portkey, LiteLLM and nginx
  --gate         Only whether ratios to the floor are within what passes, for CI: exit code 1 when three runs in a row are not
  --json         The result as one JSON document
  --profile DIR  Write a CPU profile of each process there (for Chrome's DevTools); falsifies the figures, writes no file
  --soak TIME    Instead of all that: mixed load for so long (10m); exit code 1 when memory grows by more than 1 MB a minute
  -h, --help     This text

Progress goes to stderr, the result to stdout; a whole run also writes bench/RESULTS.md.
Exit code: 0 when everything worked, however slowly; 1 when something is broken; 2 for a wrong option.
`;

const FULL: Plan = {
  rounds: 5,
  warmupMs: 4_000,
  roundMs: 1_000,
  pacedRoundMs: 2_000,
  callsMax: Number.POSITIVE_INFINITY,
  concurrencyMax: 32,
  probes: 100,
};
const QUICK: Plan = { ...FULL, rounds: 3, warmupMs: 250, roundMs: 250, pacedRoundMs: 1, probes: 20 };
const GATE: Plan = { ...QUICK, warmupMs: 1_000, probes: 0 };

/** Portkey alone: LiteLLM takes a quarter of a minute to start. */
const QUICK_PEERS = 1;
const NONE_HELD = { counts: [], paceMs: 0 };
/** What the gates and most targets are about. */
const QUICK_LEAVES_OUT = ["json-10k", "json-100k", "json-1m", "stream-1000", "anthropic-json", "google-json"];

const QUICK_WORLDS: NamedWorld[] = [{ ...PLAIN_WORLD, name: "500 rules", rules: 500 }];
const WORLDS: NamedWorld[] = [
  { ...PLAIN_WORLD, name: "50 rules", rules: 50 },
  ...QUICK_WORLDS,
  { ...PLAIN_WORLD, name: "10,000 keys", keys: 10_000 },
  { ...PLAIN_WORLD, name: "1,000,000 rows", ledgerRows: 1_000_000 },
];

const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;
const KINDS = ["json", "stream", "translated"];

const OPTIONS = {
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  rounds: { type: "string" },
  "no-peers": { type: "boolean", default: false },
  gate: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  profile: { type: "string" },
  soak: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** Ends the process on a wrong option. */
function readOptions() {
  const values = parseOptions();
  const { only, soak: duration } = values;
  if (only !== undefined && !KINDS.includes(only)) {
    complain(`--only: expected json, stream or translated; found "${only}".`);
  }
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
    complain(`--rounds: expected a whole number above 0; found "${values.rounds}".`);
  }
  const soakMs = duration === undefined ? undefined : parseDurationMs(duration);
  if (duration !== undefined && soakMs === undefined) {
    complain(`--soak: expected a time such as 10m; found "${duration}".`);
  }
  const scenarios = SCENARIOS.filter(({ id, deltas, dialect }) => {
    if (only === undefined) return !(values.quick && QUICK_LEAVES_OUT.includes(id));
    return only === "translated" ? dialect !== "openai" : dialect === "openai" && (only === "stream") === deltas > 0;
  });
  return { ...values, rounds, soakMs, scenarios };
}

function parseOptions() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    return complain((error as Error).message);
  }
}

function complain(message: string): never {
  console.error(`${message}\nSee npm run bench -- --help.`);
  process.exit(EXIT_USAGE);
}

async function run(): Promise<void> {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const profileDir = options.profile === undefined ? undefined : resolve(options.profile);
  if (profileDir !== undefined) mkdirSync(profileDir, { recursive: true });
  const progress = (line: string) => console.error(line);
  if (options.soakMs !== undefined) {
    const soaked = await soak({ durationMs: options.soakMs, profileDir, progress });
    process.stdout.write(options.json ? `${JSON.stringify(soaked, null, 2)}\n` : soakText(soaked));
    if (!soaked.isMet) process.exitCode = EXIT_BROKEN;
    return;
  }
  if (options.gate) {
    const failed = await passGates(() => measureGates(progress), progress);
    for (const line of failed) console.error(`Gate: ${line}`);
    if (failed.length > 0) process.exitCode = EXIT_BROKEN;
    return;
  }
  const { quick, only, scenarios } = options;
  const plan = quick ? QUICK : FULL;
  const isWhole = only === undefined && profileDir === undefined;
  const result = await runBench({
    plan: { ...plan, rounds: options.rounds ?? plan.rounds },
    scenarios,
    worlds: isWhole ? (quick ? QUICK_WORLDS : WORLDS) : [],
    held: isWhole ? (quick ? { counts: [200], paceMs: 50 } : { counts: [1_000, 2_000], paceMs: 200 }) : NONE_HELD,
    decisionSeconds: isWhole ? (quick ? 1 : 5) : 0,
    peers: options["no-peers"] ? 0 : quick ? QUICK_PEERS : PEERS.length,
    profileDir,
    progress,
  });
  const text = resultsText(result);
  if (isWhole && !quick) writeFileSync(join(import.meta.dirname, "RESULTS.md"), text);
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : text);
}

function measureGates(progress: (line: string) => void): Promise<BenchResult> {
  const scenarios = SCENARIOS.filter(({ id }) => GATES.some(({ scenario }) => scenario === id));
  const nothingElse = { worlds: [], held: NONE_HELD, decisionSeconds: 0, peers: 0, profileDir: undefined };
  return runBench({ plan: GATE, scenarios, ...nothingElse, progress });
}

// The processes end with the channel to this one; ending in an orderly way also removes the temporary folder.
process.once("SIGINT", () => process.exit(130));

try {
  await run();
} catch (error) {
  console.error(error instanceof BenchFailure ? `Broken: ${error.message}` : error);
  process.exitCode = EXIT_BROKEN;
}

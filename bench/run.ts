// The command line of the bench: `npm run bench -- [options]`.
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { table } from "../src/table.ts";
import { type BenchResult, runBench } from "./bench.ts";
import type { Figure } from "./figures.ts";
import type { Plan } from "./measure.ts";
import { SCENARIOS } from "./scenarios.ts";
import { BenchFailure } from "./subject.ts";

const HELP = `npm run bench: what Signalbox costs over the least a forwarder must do. See bench/README.md.

Usage: npm run bench -- [options]

Options:
  --quick        About 15 s instead of two minutes; noisier, and on code the JIT has seen less of
  --only KIND    Only the scenarios of this kind: json or stream
  --json         The result as one JSON document
  --profile DIR  Write a CPU profile of each process there (for Chrome's DevTools); falsifies the figures
  -h, --help     This text

Progress goes to stderr, the result to stdout.
Exit code: 0 when everything worked, however slowly; 1 when something is broken; 2 for a wrong option.
`;

const FULL: Plan = {
  rounds: 7,
  warmupMs: 1_500,
  roundMs: 1_000,
  callsMax: Number.POSITIVE_INFINITY,
  concurrencyMax: 32,
  probes: 120,
};
const QUICK: Plan = { ...FULL, rounds: 5, warmupMs: 300, roundMs: 100, probes: 30 };

const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;

const OPTIONS = {
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  json: { type: "boolean", default: false },
  profile: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** Ends the process on a wrong option. */
function readOptions() {
  const values = parseOptions();
  const { only } = values;
  if (only !== undefined && only !== "json" && only !== "stream") {
    complain(`--only: expected json or stream; found "${only}".`);
  }
  return { ...values, scenarios: SCENARIOS.filter(({ kind }) => only === undefined || kind === only) };
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

function report({ machine, scenarios, calls }: BenchResult): string {
  const facts = `Node ${machine.node}, ${machine.cores} cores (${machine.cpu})`;
  const heading = ["", "floor", "Signalbox", "ratio", "of the rounds"];
  const rows = scenarios.flatMap(({ title, figures }) => [[title, "", "", "", ""], ...figures.map(figureRow)]);
  const ledger = `All ${calls} calls to Signalbox were answered in full, and its ledger has every one with its tokens.`;
  return `${facts}\n\n${table([heading, ...rows])}\n${ledger}\n`;
}

function figureRow({ title, floor, signalbox, ratio, ratioRange }: Figure): string[] {
  const range = ratioRange?.map((bound) => bound.toFixed(2)).join(" to ") ?? "";
  return [`  ${title}`, floor.toFixed(0), signalbox.toFixed(0), ratio.toFixed(2), range];
}

async function run(): Promise<void> {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const profileDir = options.profile === undefined ? undefined : resolve(options.profile);
  if (profileDir !== undefined) mkdirSync(profileDir, { recursive: true });
  const result = await runBench({
    plan: options.quick ? QUICK : FULL,
    scenarios: options.scenarios,
    profileDir,
    progress: (line) => console.error(line),
  });
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : report(result));
}

// The processes end with the channel to this one; ending in an orderly way also removes the temporary folder.
process.once("SIGINT", () => process.exit(130));

try {
  await run();
} catch (error) {
  console.error(error instanceof BenchFailure ? `Broken: ${error.message}` : error);
  process.exitCode = EXIT_BROKEN;
}

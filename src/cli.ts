// The command line: `signalbox serve | simulate | usage | models`.
import { parseArgs } from "node:util";
import { type Router, readSettings, readSnapshot, StartError, startRouter, VERSION } from "./main.ts";
import { formatUsd } from "./pricing.ts";
import { simulatorHelp, startSimulator } from "./simulator/server.ts";
import { type UsageGrouping, type UsageOptions, type UsageRow, usageReport } from "./store/reports.ts";
import { table } from "./table.ts";
import { parseDurationMs } from "./units.ts";

const HELP = `signalbox ${VERSION}: a self-hosted router for large language models, OpenAI-compatible.

Usage: signalbox <command> [options]

Commands:
  serve      Start the router (the default of "npm start").
  simulate   Start the simulated providers alone: a fake OpenAI, Anthropic and Gemini for load tests.
  usage      What was used and what it cost, from the ledger.
  models     The models callers can ask for.

Options:
  -h, --help      This text, or the help of a command: signalbox serve --help
  -v, --version   The version.
`;

const SERVE_HELP = `signalbox serve: start the router.

Usage: signalbox serve [options]

Options (each also as an environment variable; the option wins, then the variable, then signalbox.yaml):
  --port N       Port to listen on, 0 for any free one   SIGNALBOX_PORT     default 8787
  --host H       Address to listen on                    SIGNALBOX_HOST     default 127.0.0.1
  --config FILE  Configuration                           SIGNALBOX_CONFIG   default ./signalbox.yaml, if there
  --rules DIR    Folder of routing rules                 SIGNALBOX_RULES    default ./routing-rules
  --data DIR     Folder of the ledger                    SIGNALBOX_DATA     default ./data
  -h, --help     This text

SIGNALBOX_API_KEY protects the API: callers send it as their API key. Without it the router only listens on loopback.
A provider is enabled by its key (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …: see providers/README.md).
Without any key the built-in simulated providers answer.
SIGTERM and SIGINT drain: no new requests, running answers end, the ledger is flushed. A second one ends at once.
`;

const USAGE_HELP = `signalbox usage: what was used and what it cost, from the ledger. Works while the router runs.

Usage: signalbox usage [--since 24h] [--by model] [--json] [--data DIR] [--config FILE]

Options:
  --since AGE    How far back: 90m, 24h, 7d …             default 24h
  --by WHAT      model, provider, key or day (UTC)         default model
  --json         One JSON array; costs in integer nanodollars
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)     default ./data
  -h, --help     This text
`;

const MODELS_HELP = `signalbox models: the models callers can ask for, with prices per million tokens.

Usage: signalbox models [TEXT] [--json] [--config FILE] [--rules DIR]

  TEXT           Only names that contain it
  --json         One JSON array
  -h, --help     This text
`;

const EXIT_USAGE = 2;

/** Thrown for mistakes on the command line: shown with a pointer to the help, exit code 2. */
class UsageError extends Error {}

const SETTINGS = {
  port: { type: "string" },
  host: { type: "string" },
  config: { type: "string" },
  rules: { type: "string" },
  data: { type: "string" },
} as const;

/** Each answers with the text to print; `serve` and `simulate` go on running after it. */
const COMMANDS: Record<string, (args: string[]) => Promise<string> | string> = { serve, simulate, usage, models };

async function run(args: string[]): Promise<string> {
  const [command, ...rest] = args;
  if (command === undefined || command === "--help" || command === "-h" || command === "help") return HELP;
  if (command === "--version" || command === "-v") return `${VERSION}\n`;
  const action = COMMANDS[command];
  if (action === undefined) {
    throw new UsageError(`"${command}" is not a command. Commands: ${Object.keys(COMMANDS).join(", ")}.`);
  }
  return action(rest);
}

async function serve(args: string[]): Promise<string> {
  const { values } = parse(args, { ...SETTINGS, help: { type: "boolean", short: "h" } });
  if (values.help) return SERVE_HELP;
  const router = await startRouter({ flags: values, env: process.env, log: (message) => console.error(message) });
  onStopSignal(async () => {
    console.error("Draining: running answers end, then the ledger is flushed. Press Ctrl-C again to stop at once.");
    await router.close();
  });
  return banner(router);
}

/** What a new user needs next: what answers, a line to paste, where the ledger is. */
function banner({ url, config, snapshot }: Router): string {
  const lines = [`Signalbox ${VERSION} is listening on ${url}`];
  const ids = [...config.providers.keys()].join(", ");
  if (config.simulated) {
    lines.push(
      "",
      "  SIMULATED: no provider key was found, so the built-in simulated providers answer. No network, no cost.",
      "  Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or another key of providers/README.md for real answers.",
      "",
    );
  }
  lines.push(
    `Providers: ${ids}. Rules: ${snapshot.rules.rules.length}, aliases: ${[...snapshot.rules.aliases.keys()].join(", ")}.`,
  );
  const auth = config.apiKey === undefined ? "" : ` -H "authorization: Bearer $SIGNALBOX_API_KEY"`;
  const body = `{"model":"fast","messages":[{"role":"user","content":"Hello!"}]}`;
  lines.push(`Ledger:    ${config.dataDir} (npx signalbox usage)`, "", "Try it:");
  lines.push(`  curl ${url}/v1/chat/completions${auth} -H 'content-type: application/json' -d '${body}'`, "");
  return `${lines.join("\n")}\n`;
}

async function simulate(args: string[]): Promise<string> {
  const { values } = parse(args, {
    port: { type: "string", default: "8788" },
    host: { type: "string", default: "127.0.0.1" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return simulatorHelp;
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--port: expected a port from 0 to 65535; found "${values.port}".`);
  }
  const simulator = await startSimulator({ port, host: values.host }).catch((error: Error) => {
    throw new StartError(`The simulator cannot listen on ${values.host}:${port}: ${error.message}`);
  });
  onStopSignal(() => simulator.close());
  const { url } = simulator;
  return [
    `Simulated providers on ${url}`,
    `  OPENAI_BASE_URL=${url}/openai/v1`,
    `  ANTHROPIC_BASE_URL=${url}/anthropic`,
    `  GEMINI_BASE_URL=${url}/google/v1beta`,
    "Any key is accepted. Directives: signalbox simulate --help\n",
  ].join("\n");
}

const GROUPINGS: readonly UsageGrouping[] = ["model", "provider", "key", "day"];

function usage(args: string[]): string {
  const { values } = parse(args, {
    since: { type: "string", default: "24h" },
    by: { type: "string", default: "model" },
    json: { type: "boolean", default: false },
    data: { type: "string" },
    config: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return USAGE_HELP;
  const by = GROUPINGS.find((grouping) => grouping === values.by);
  if (by === undefined) throw new UsageError(`--by: "${values.by}" is not one of ${GROUPINGS.join(", ")}.`);
  const ageMs = parseDurationMs(values.since);
  if (ageMs === undefined)
    throw new UsageError(`--since: expected an age such as 90m, 24h or 7d; found "${values.since}".`);
  const { config } = readSettings({ flags: values, env: process.env });
  const rows = readUsage({ dir: config.dataDir, sinceMs: Date.now() - ageMs, by });
  if (values.json) return `${JSON.stringify(rows, null, 2)}\n`;
  if (rows.length === 0) return `No calls in the last ${values.since}.\n`;
  const header = [
    by,
    "requests",
    "attempts",
    "failed",
    "input",
    "cached",
    "written",
    "output",
    "cost $",
    "unpriced",
    "unknown",
  ];
  const cells = rows.map((row) => [
    row.group,
    ...[row.requests, row.attempts, row.failedAttempts, row.inputTokens, row.cacheReadTokens].map(String),
    ...[row.cacheWriteTokens, row.outputTokens].map(String),
    formatUsd(row.costNanoUsd),
    ...[row.unpricedAttempts, row.unknownAttempts].map(String),
  ]);
  return table([header, ...cells]);
}

/** What goes wrong here is for the operator (no ledger yet, made by a newer version): a line, not a stack. */
function readUsage(options: UsageOptions): UsageRow[] {
  try {
    return usageReport(options);
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

function models(args: string[]): string {
  const { values, positionals } = parse(args, {
    json: { type: "boolean", default: false },
    config: { type: "string" },
    rules: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return MODELS_HELP;
  const { config, catalog } = readSettings({ flags: values, env: process.env });
  const snapshot = readSnapshot(config, catalog);
  const wanted = positionals[0] ?? "";
  const rows: { name: string; context: number | null; input: number | null; output: number | null }[] = [];
  for (const provider of snapshot.providers.values()) {
    for (const entry of provider.models.values()) {
      const name = `${provider.standsInFor ?? provider.id}/${entry.id}`;
      const { input = null, output = null } = entry.rates ?? {};
      if (name.includes(wanted)) rows.push({ name, context: entry.contextTokens ?? null, input, output });
    }
  }
  if (values.json) return `${JSON.stringify(rows, null, 2)}\n`;
  const aliases = [...snapshot.rules.aliases.entries()].filter(([alias]) => alias.includes(wanted));
  const aliasLines = aliases.map(([alias, targets]) => `${alias} = ${targets.join(", ")}\n`);
  const dollars = (micro: number | null) => (micro === null ? "?" : formatUsd(micro * 1000));
  const cells = rows.map(({ name, context, input, output }) => [
    name,
    String(context ?? "?"),
    dollars(input),
    dollars(output),
  ]);
  return aliasLines.join("") + table([["model", "context", "input $/M", "output $/M"], ...cells]);
}

type OptionSpec = NonNullable<Parameters<typeof parseArgs>[0]>["options"];

function parse<T extends NonNullable<OptionSpec>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** First signal: `stop`, then exit 0. Second: exit at once. */
function onStopSignal(stop: () => Promise<void>): void {
  let isStopping = false;
  const handle = () => {
    if (isStopping) process.exit(1);
    isStopping = true;
    stop().then(
      () => process.exit(0),
      (error: Error) => {
        console.error(`Stopped with an error: ${error.message}`);
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", handle);
  process.on("SIGINT", handle);
}

try {
  process.stdout.write(await run(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\nSee signalbox --help.`);
    process.exit(EXIT_USAGE);
  }
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}

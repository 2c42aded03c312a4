// The command line: `signalbox serve | simulate | usage | …`; each command in a file of cli/.
import { alerts } from "./cli/alerts.ts";
import { type Printed, parse, UsageError } from "./cli/arguments.ts";
import { explain } from "./cli/explain.ts";
import { keys } from "./cli/keys.ts";
import { backup, ledger } from "./cli/ledger.ts";
import { limits } from "./cli/limits.ts";
import { catalog, models } from "./cli/models.ts";
import { reconcile } from "./cli/reconcile.ts";
import { reprice } from "./cli/reprice.ts";
import { rules } from "./cli/rules.ts";
import { usage } from "./cli/usage.ts";
import { type Router, startRouter } from "./main.ts";
import { StartError, VERSION } from "./settings.ts";
import { simulatorHelp, startSimulator } from "./simulator/server.ts";

const HELP = `signalbox ${VERSION}: a self-hosted router for large language models, OpenAI-compatible.

Usage: signalbox <command> [options]

Commands:
  serve      Start the router (the default of "npm start").
  simulate   Start the simulated providers alone: a fake OpenAI, Anthropic and Gemini for load tests.
  usage      What was used and what it cost, from the ledger; what it would have cost elsewhere; what was wasted.
  reconcile  Compare a provider's usage export with the ledger.
  reprice    Work out again what calls cost, with the prices of now.
  backup     A copy of the ledger, while the router runs.
  ledger     Check that the ledger's sums are what its rows add up to.
  models     The models callers can ask for.
  keys       Make, list, change, rotate and revoke keys for callers.
  limits     What is known of the providers' limits, who waits, and which breakers are open.
  catalog    What another price list would change.
  rules      Check routing rules, and show what an edit of them changes.
  explain    Where a request would go and why; nothing is sent.
  alerts     Send a test alert to every destination.

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

SIGNALBOX_API_KEY protects the API: callers send it as their API key. So do keys made with "signalbox keys create".
Without either the router only listens on loopback. SIGNALBOX_ADMIN_KEY opens /admin, where keys can be made over HTTP.
A provider is enabled by its key (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, …: see providers/README.md).
Without any key the built-in simulated providers answer.
SIGTERM and SIGINT drain: no new requests, running answers end, the ledger is flushed. A second one ends at once.
An edit of the rules takes effect within a second; SIGHUP reads them again at once and gives targets that are passed over
another chance (unless started from a terminal, whose end it announces). signalbox.yaml is read at the start only.
`;

const EXIT_USAGE = 2;

const SETTINGS = {
  port: { type: "string" },
  host: { type: "string" },
  config: { type: "string" },
  rules: { type: "string" },
  data: { type: "string" },
} as const;

/** Each answers with the text to print; `serve` and `simulate` go on running after it. */
const COMMANDS: Record<string, (args: string[]) => Promise<string | Printed> | string | Printed> = {
  serve,
  simulate,
  usage: (args) => usage(args, process.env, Date.now()),
  reconcile: (args) => reconcile(args, process.env, Date.now()),
  reprice: (args) => reprice(args, process.env, Date.now()),
  backup: (args) => backup(args, process.env),
  ledger: (args) => ledger(args, process.env, Date.now()),
  models: (args) => models(args, process.env),
  limits: (args) => limits(args, process.env),
  keys: (args) => keys(args, process.env, Date.now()),
  catalog,
  rules: (args) => rules(args, process.env, Date.now()),
  explain: (args) => explain(args, process.env, Date.now()),
  alerts: (args) => alerts(args, process.env, Date.now),
};

async function run(args: string[]): Promise<string | Printed> {
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
  onHangUp(router);
  return banner(router);
}

/** What a new user needs next: what answers, a line to paste, where the ledger is. */
function banner({ url, config, hasKeys, snapshot }: Router): string {
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
  const key = config.apiKey !== undefined ? "$SIGNALBOX_API_KEY" : hasKeys ? "<key>" : undefined;
  const auth = key === undefined ? "" : ` -H "authorization: Bearer ${key}"`;
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

/** A service is told to read its files again; a program in a terminal is told that the terminal has closed. */
function onHangUp(router: Router): void {
  process.on("SIGHUP", () => {
    if (process.stdin.isTTY) process.kill(process.pid, "SIGTERM");
    else {
      router.forgetOutages();
      void router.rules.reload();
    }
  });
}

try {
  const printed = await run(process.argv.slice(2));
  process.stdout.write(typeof printed === "string" ? printed : printed.text);
  if (typeof printed === "object") process.exitCode = printed.exitCode;
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}\nSee signalbox --help.`);
    process.exit(EXIT_USAGE);
  }
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}

// `signalbox limits`: what a running router knows of its providers' limits, who waits, and which breakers are open.
import { get } from "node:http";
import type { Environment } from "../config.ts";
import type { Health } from "../health.ts";
import type { LimitsStatus } from "../limits.ts";
import { readSettings, StartError } from "../settings.ts";
import { table } from "../table.ts";
import { parse } from "./arguments.ts";

const LIMITS_HELP = `signalbox limits: limits, queue and breakers of the router that is running.

Usage: signalbox limits [--json] [--url URL] [--config FILE] [--port N] [--host H]

Options:
  --url URL      The router's address     default: host and port as "signalbox serve" would take them
  --json         What /health says of them
  --config FILE, --port N, --host H       as for "signalbox serve"
  -h, --help     This text

A pool's limits are configured (pools: in signalbox.yaml), told by the provider's headers, or learnt from its refusals.
A pool with several keys has a line for each: gpt#1, gpt#eu.
Scale: the share of them that is used at present; it falls with a refusal and grows back.
`;

type Known = { limits: LimitsStatus; breakers: ReturnType<Health["status"]> };

const TIMEOUT_MS = 5_000;

export async function limits(args: string[], env: Environment): Promise<string> {
  const { values } = parse(args, {
    url: { type: "string" },
    json: { type: "boolean", default: false },
    config: { type: "string" },
    port: { type: "string" },
    host: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return LIMITS_HELP;
  const { config } = readSettings({ flags: values, env });
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  const { limits: known, breakers } = await ask(`${values.url ?? `http://${host}:${config.port}`}/health`);
  if (values.json) return `${JSON.stringify({ limits: known, breakers }, null, 2)}\n`;
  return `${poolsText(known)}${breakersText(breakers)}`;
}

function poolsText({ queued, pools }: LimitsStatus): string {
  if (pools.length === 0) return "No call has been made yet: nothing is known of any limit.\n";
  const rows = pools.map((pool) => {
    const rates = pool.rates.map((rate) => `${rate.counts} ${rate.level}/${rate.per_minute} per min (${rate.source})`);
    const quotas = pool.quotas.map((quota) => `${quota.counts} ${quota.used}/${quota.per_day} today`);
    return [
      pool.name,
      [...rates, ...quotas].join(", ") || "none known",
      `${pool.in_flight}${pool.concurrency === null ? "" : `/${pool.concurrency}`}`,
      String(pool.scale),
      pool.blocked_until ?? "",
    ];
  });
  const header = ["pool", "left of its limits", "running", "scale", "blocked until"];
  return `${table([header, ...rows])}\nWaiting for a turn: ${queued}\n`;
}

function breakersText(breakers: Known["breakers"]): string {
  if (breakers.length === 0) return "Breakers: all closed\n";
  const rows = breakers.map(({ name, scope, state, openUntilMs, failureRate, reason }) => [
    name,
    scope,
    state,
    openUntilMs === 0 ? "" : new Date(openUntilMs).toISOString(),
    `${Math.round(100 * failureRate)} %`,
    reason ?? "",
  ]);
  return `\n${table([["breaker", "of", "state", "until", "failed", "because"], ...rows])}`;
}

function ask(url: string): Promise<Known> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) =>
      reject(
        new StartError(
          `No router answers at ${url} (${why}). Start one with "signalbox serve", or name it with --url.`,
        ),
      );
    const request = get(url, { timeout: TIMEOUT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        try {
          const known = JSON.parse(text) as Partial<Known>;
          if (known.limits === undefined || known.breakers === undefined) fail("it does not tell limits");
          else resolve({ limits: known.limits, breakers: known.breakers });
        } catch {
          fail(`status ${response.statusCode}, no JSON`);
        }
      });
    });
    request.on("timeout", () => request.destroy(new Error("timed out")));
    request.on("error", (error) => fail(error.message));
  });
}

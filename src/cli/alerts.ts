// `signalbox alerts test`: whether alerts would arrive, tried for real.
import { alertOf, testFinding } from "../alerts/alert.ts";
import { createDeliverer, type Deliverer } from "../alerts/deliver.ts";
import { logLine } from "../alerts.ts";
import type { Environment } from "../config.ts";
import { IdSource } from "../ids.ts";
import { readSettings } from "../settings.ts";
import { type Printed, parse, UsageError } from "./arguments.ts";

const ALERTS_HELP = `signalbox alerts: send a test alert to every destination of signalbox.yaml.

Usage: signalbox alerts test [--to webhook|slack|log] [--config FILE]

Options:
  --to NAME      Only these: all webhooks, all of Slack's, or one by its name (webhook-2)
  --config FILE  As for "signalbox serve"
  -h, --help     This text

Says which arrived, with the status the endpoint answered with, or why not. Each is tried once; the exit code is 1 when one
did not arrive. The router itself tries again for about half an hour. Verifying a webhook's signature: README.md, Alerts.
`;

/** One try per destination. */
export async function alerts(args: string[], env: Environment, nowMs: () => number): Promise<Printed | string> {
  const { values, positionals } = parse(args, {
    to: { type: "string" },
    config: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return ALERTS_HELP;
  if (positionals.join(" ") !== "test") {
    throw new UsageError(`Expected "signalbox alerts test"; found "${["alerts", ...positionals].join(" ")}".`);
  }
  const { config } = readSettings({ flags: values, env });
  const known = [{ kind: "log", name: "log" } as const, ...config.alerts.destinations];
  const chosen = known.filter(({ kind, name }) => values.to === undefined || values.to === kind || values.to === name);
  if (chosen.length === 0) {
    const names = known.map(({ name }) => name).join(", ");
    throw new UsageError(`--to: no destination is called "${values.to}". In signalbox.yaml: ${names}.`);
  }
  const deliverer = createDeliverer(nowMs);
  const ids = new IdSource();
  const tries = chosen.map((destination) => {
    return tryOne(deliverer, destination, alertOf(testFinding(), ids.randomId("alert_"), nowMs()));
  });
  const results = await Promise.all(tries);
  await deliverer.close();
  return {
    text: `${results.map(({ line }) => line).join("\n")}\n`,
    exitCode: results.every(({ ok }) => ok) ? 0 : 1,
  };
}

type Deliver = Deliverer["deliver"];
type Destination = Parameters<Deliver>[0] | { kind: "log"; name: string };

async function tryOne(deliverer: Deliverer, destination: Destination, alert: Parameters<Deliver>[1]) {
  if (destination.kind === "log") return { ok: true, line: `log: arrived: ${logLine(alert)}` };
  const delivery = await deliverer.deliver(destination, alert);
  const whose = `${destination.name} (${destination.host})`;
  if (delivery.kind === "failed") return { ok: false, line: `${whose}: failed: ${delivery.problem}` };
  return { ok: true, line: `${whose}: arrived (status ${delivery.status}) as ${alert.id}` };
}

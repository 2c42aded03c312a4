// The section `alerts` of signalbox.yaml: what the operator wants to be told, and where.
import { z } from "zod";
import { Secret } from "../dialect.ts";
import { durationMs, percentage } from "../units.ts";
import type { Checked, FileError } from "../yaml.ts";
import { type Environment, interpolate, isLoopback } from "./environment.ts";

export interface AlertSettings {
  /** In percent of a budget, ascending; empty: no alerts about budgets. */
  budgetPercents: number[];
  /** An hour's spend against the mean hour of the trailing week; `undefined`: off. */
  spendRateFactor: number | undefined;
  /** Share of failed requests, between 0 and 1; `undefined`: off. */
  errorRate: number | undefined;
  repeatAfterMs: number;
  /** Besides the log, which hears of every alert. */
  destinations: AlertDestination[];
}

export type AlertDestination = {
  /** Unique, and fit to be shown: "webhook", "slack", "webhook-2". */
  name: string;
  /** Host and port. The rest of the address may be a secret, as Slack's is. */
  host: string;
  url: Secret;
} & ({ kind: "webhook"; signingSecret: Secret } | { kind: "slack" });

const DESTINATIONS_MAX = 20;
const DAY_MS = 86_400_000;
const SIGNING_SECRET_CHARS_MIN = 16;

// YAML 1.2 reads `off` as text; whoever writes `false` means the same.
const OFF = z.literal(["off", false]).transform(() => undefined);

/** `80%` as 80; a soft budget may have thresholds beyond 100 %. */
const THRESHOLD = z.string().transform((text, context) => {
  const match = /^(\d{1,4}(?:\.\d{1,2})?)\s*%$/.exec(text);
  const percent = Number(match?.[1] ?? 0);
  if (percent > 0 && percent <= 1_000) return percent;
  context.addIssue({ code: "custom", message: "expected a percentage of the budget such as 80%, up to 1000%" });
  return z.NEVER;
});

const THRESHOLDS = z.array(THRESHOLD).refine((all) => all.length <= 20, "expected at most 20 thresholds");

const FACTOR = z.string().transform((text, context) => {
  const factor = Number(/^(\d{1,3}(?:\.\d{1,2})?)\s*x$/.exec(text)?.[1] ?? 0);
  if (factor > 1) return factor;
  context.addIssue({ code: "custom", message: "expected a factor above 1 such as 3x, or off" });
  return z.NEVER;
});

const SHARE = percentage.refine((share) => share > 0, "expected a percentage above 0 such as 20%, or off");

const DESTINATION = z
  .strictObject({
    webhook: z.strictObject({ url: z.string(), secret: z.string() }).optional(),
    slack: z.strictObject({ url: z.string() }).optional(),
  })
  .refine(({ webhook, slack }) => (webhook === undefined) !== (slack === undefined), {
    message: "expected one of webhook and slack; start a new item of the list for each",
    // A misspelt name is complained of already.
    when: ({ issues }) => issues.length === 0,
  });

export const ALERTS = z
  .strictObject({
    budgets: z
      .union([OFF, THRESHOLDS], "expected a list such as [50%, 80%, 100%], or off")
      .prefault(["50%", "80%", "100%"]),
    spend_rate: z.union([OFF, FACTOR], "expected a factor above 1 such as 3x, or off").prefault("3x"),
    error_rate: z.union([OFF, SHARE], "expected a percentage above 0 such as 20%, or off").prefault("20%"),
    repeat_after: durationMs
      .refine((ms) => ms >= 60_000 && ms <= 30 * DAY_MS, "expected a duration from 1m to 30d")
      .default(DAY_MS),
    to: z
      .array(z.union([z.literal("log"), DESTINATION], "expected log, webhook: {url, secret} or slack: {url}"))
      .refine((to) => to.length <= DESTINATIONS_MAX, `expected at most ${DESTINATIONS_MAX} destinations`)
      .default([]),
  })
  .prefault({});

type FileAlerts = z.output<typeof ALERTS>;
type FileDestination = Exclude<FileAlerts["to"][number], "log">;

/** A variable that is not set is a mistake: alerts that quietly go nowhere are worse than a start that fails. */
export function alertsOf(read: Checked<{ alerts: FileAlerts }>, env: Environment, errors: FileError[]): AlertSettings {
  const { budgets = [], spend_rate, error_rate, repeat_after, to } = read.value.alerts;
  const destinations: AlertDestination[] = [];
  for (const [at, item] of to.entries()) {
    if (item === "log") continue;
    const kind = item.webhook === undefined ? "slack" : "webhook";
    const earlier = destinations.filter((other) => other.kind === kind).length;
    const fill = (key: string, text: string, problemOf: (value: string) => string | undefined): Secret => {
      const found = interpolate(text, env) ?? { value: "" };
      const isSet = "value" in found;
      const problem = isSet ? problemOf(found.value) : `the environment variable ${found.missing} is not set`;
      const message = `alerts.to[${at}].${kind}.${key}: ${problem}.`;
      if (problem !== undefined) errors.push(read.at(["alerts", "to", at, kind, key], message));
      return new Secret(isSet ? found.value : "");
    };
    destinations.push(destinationOf(item, earlier === 0 ? kind : `${kind}-${earlier + 1}`, fill));
  }
  return {
    budgetPercents: [...new Set(budgets)].sort((a, b) => a - b),
    spendRateFactor: spend_rate,
    errorRate: error_rate,
    repeatAfterMs: repeat_after,
    destinations,
  };
}

type Fill = (key: string, text: string, problemOf: (value: string) => string | undefined) => Secret;

function destinationOf({ webhook, slack }: FileDestination, name: string, fill: Fill): AlertDestination {
  const url = fill("url", webhook?.url ?? slack?.url ?? "", urlProblem);
  const host = URL.parse(url.reveal())?.host ?? "";
  if (webhook === undefined) return { kind: "slack", name, host, url };
  return { kind: "webhook", name, host, url, signingSecret: fill("secret", webhook.secret, secretProblem) };
}

/** The address is not quoted: whoever has it can post. */
function urlProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return "expected an https:// URL; what it holds is not a URL";
  if (url.username !== "" || url.password !== "") return "expected a URL without a user name or password";
  const isSafe = url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname));
  return isSafe ? undefined : `expected an https:// URL, or http:// to this machine; found ${url.protocol}//`;
}

function secretProblem(text: string): string | undefined {
  if (text.length >= SIGNING_SECRET_CHARS_MIN) return undefined;
  return `expected at least ${SIGNING_SECRET_CHARS_MIN} characters; found ${text.length}`;
}

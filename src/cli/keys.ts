// `signalbox keys`: callers' keys made and changed in the database, while the router runs and before it ever has.
import type { z } from "zod";
import {
  type ApiKey,
  applyChanges,
  GRACE_MS_MAX,
  KEY_CHANGES,
  type KeyChanges,
  type KeyRefusal,
  NEW_KEY,
  newSecret,
  PLAIN_KEY,
  statusOf,
  viewOf,
} from "../api-keys.ts";
import type { Environment } from "../config.ts";
import { IdSource } from "../ids.ts";
import { readSettings, StartError } from "../settings.ts";
import { type KeyTable, openKeys } from "../store/keys.ts";
import { table as aligned } from "../table.ts";
import { parseDurationMs } from "../units.ts";
import { parse, UsageError } from "./arguments.ts";

const KEYS_HELP = `signalbox keys: keys for the router's callers. A running router takes a change up at once.

Usage: signalbox keys create --name NAME [settings]
       signalbox keys list
       signalbox keys show KEY
       signalbox keys update KEY [settings]
       signalbox keys rotate KEY [--grace 24h]
       signalbox keys revoke KEY

KEY is a key's id (key_…) or its name. A secret is shown once, when it is made; only its hash is kept.
As soon as there is a key, nobody is served without one; SIGNALBOX_API_KEY stays valid, without limits.

Settings ("none" takes one away):
  --name NAME            Unique; what reports call the caller
  --team T, --organisation O
  --tags a,b             Up to 10; rules see them as key.tags
  --expires WHEN         30d, 12h, 2027-01-31, 2027-01-31T12:00:00Z
  --models A,B           Patterns: openai/*, claude-*, an alias; default all
  --endpoints A,B        Paths: /v1/chat/completions, /v1/models*; default all
  --rpm N, --tpm N       Requests and tokens per minute
  --concurrency N        Requests at the same time
  --budget TEXT          "$5/day", "$100/month soft", "$20"; may be repeated
  --allow-unpriced yes   Models without a known price, though the key has a budget

Options:
  --grace AGE    How long the secret before a rotation stays good; 0s: not at all      default 24h
  --json         One JSON document
  --data DIR     Folder of the ledger (SIGNALBOX_DATA)      default ./data
  --config FILE  Configuration (SIGNALBOX_CONFIG)           default ./signalbox.yaml, if there
  -h, --help     This text
`;

const TEXT = { type: "string" } as const;
const OPTIONS = {
  name: TEXT,
  team: TEXT,
  organisation: TEXT,
  tags: TEXT,
  expires: TEXT,
  models: TEXT,
  endpoints: TEXT,
  rpm: TEXT,
  tpm: TEXT,
  concurrency: TEXT,
  budget: { type: "string", multiple: true },
  "allow-unpriced": TEXT,
  grace: { type: "string", default: "24h" },
  json: { type: "boolean", default: false },
  data: TEXT,
  config: TEXT,
  help: { type: "boolean", short: "h" },
} as const;

type Values = ReturnType<typeof parseKeys>["values"];

function parseKeys(args: string[]) {
  return parse(args, OPTIONS);
}

interface Asked {
  table: KeyTable;
  values: Values;
  url: string;
  nowMs: number;
  ids: IdSource;
}

const ACTIONS: Record<string, { needsKey: boolean; run(asked: Asked, key: string): string }> = {
  create: { needsKey: false, run: create },
  list: { needsKey: false, run: list },
  show: { needsKey: true, run: show },
  update: { needsKey: true, run: update },
  rotate: { needsKey: true, run: rotate },
  revoke: { needsKey: true, run: revoke },
};

export function keys(args: string[], env: Environment, nowMs: number): string {
  const { values, positionals } = parseKeys(args);
  const [action, key, ...more] = positionals;
  if (values.help || action === undefined) return KEYS_HELP;
  const chosen = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (chosen === undefined) {
    throw new UsageError(`"keys ${action}" is not a command. Commands: ${Object.keys(ACTIONS).join(", ")}.`);
  }
  if (more.length > 0 || (key === undefined) === chosen.needsKey) {
    const expected = chosen.needsKey ? "one key, by its id or name" : "options only";
    throw new UsageError(`keys ${action}: expected ${expected}; found ${positionals.length - 1} arguments.`);
  }
  // Keys are made before the router may listen anywhere else, so where it is to listen is no matter here.
  const { config } = readSettings({ flags: { data: values.data, config: values.config, host: "127.0.0.1" }, env });
  const table = opened(config.dataDir);
  try {
    return chosen.run({ table, values, url: `http://127.0.0.1:${config.port}`, nowMs, ids: new IdSource() }, key ?? "");
  } finally {
    table.close();
  }
}

/** What goes wrong here is for the operator: a line, not a stack. */
function opened(dir: string): KeyTable {
  try {
    return openKeys(dir);
  } catch (error) {
    throw new StartError((error as Error).message);
  }
}

function create({ table, values, url, nowMs, ids }: Asked): string {
  if (values.name === undefined) throw new UsageError("keys create: expected --name NAME.");
  const changes = settingsIn(values, NEW_KEY);
  const settings = applyChanges({ ...PLAIN_KEY, name: values.name }, changes, nowMs);
  if ("problem" in settings) throw new UsageError(`--${settings.problem}.`);
  const secret = newSecret((length) => ids.randomText(length));
  const key = made(table.create({ id: ids.randomId("key_"), secret }, settings, nowMs));
  return withSecret(key, secret, { values, url, nowMs }, `Made the key "${key.name}" (${key.id}).`);
}

function rotate({ table, values, url, nowMs, ids }: Asked, named: string): string {
  const graceMs = parseDurationMs(values.grace);
  if (graceMs === undefined || graceMs > GRACE_MS_MAX)
    throw new UsageError(`--grace: expected a duration up to 365d such as 24h; found "${values.grace}".`);
  const secret = newSecret((length) => ids.randomText(length));
  const key = made(table.rotate({ id: idOf(table, named), secret }, graceMs, nowMs));
  const until = new Date(nowMs + graceMs).toISOString();
  const before = graceMs === 0 ? "The secret before it has ended." : `The secret before it is good until ${until}.`;
  return withSecret(
    key,
    secret,
    { values, url, nowMs },
    `The key "${key.name}" (${key.id}) has a new secret. ${before}`,
  );
}

function withSecret(
  key: ApiKey,
  secret: string,
  { values, url, nowMs }: Pick<Asked, "values" | "url" | "nowMs">,
  about: string,
): string {
  if (values.json) return `${JSON.stringify({ ...viewOf(key, nowMs), secret }, null, 2)}\n`;
  const body = `{"model":"fast","messages":[{"role":"user","content":"Hello!"}]}`;
  return [
    about,
    "",
    `  ${secret}`,
    "",
    "It is shown this once: only its hash is kept. Try it:",
    `  curl ${url}/v1/chat/completions -H "authorization: Bearer ${secret}" -H 'content-type: application/json' -d '${body}'`,
    "",
  ].join("\n");
}

const PAGE = 1_000;

function list({ table, values, nowMs }: Asked): string {
  const all: ApiKey[] = [];
  for (;;) {
    const page = table.list({ after: all.at(-1)?.id, limit: PAGE });
    all.push(...page);
    if (page.length < PAGE) break;
  }
  if (values.json)
    return `${JSON.stringify(
      all.map((key) => viewOf(key, nowMs)),
      null,
      2,
    )}\n`;
  if (all.length === 0) return "There are no keys. Make one: signalbox keys create --name NAME\n";
  const rows = all.map((key) => [
    key.name,
    key.id,
    key.display,
    statusOf(key, nowMs),
    key.team ?? "",
    key.models?.join(",") ?? "all",
    limitsText(key),
    key.budgets.join(", "),
    key.expiresAtMs === undefined ? "" : new Date(key.expiresAtMs).toISOString(),
  ]);
  return aligned([["name", "id", "secret", "status", "team", "models", "limits", "budgets", "expires"], ...rows]);
}

function limitsText({ rpm, tpm, concurrency }: ApiKey): string {
  const limits = Object.entries({ rpm, tpm, concurrency }).filter(([, limit]) => limit !== undefined);
  return limits.map(([name, limit]) => `${name} ${limit}`).join(", ");
}

function show({ table, values, nowMs }: Asked, named: string): string {
  return shown(made(table.get(named) ?? missing(named)), values, nowMs);
}

function update({ table, values, nowMs }: Asked, named: string): string {
  const changes = settingsIn(values, KEY_CHANGES);
  if (Object.keys(changes).length === 0) throw new UsageError("keys update: expected a setting to change.");
  const result = table.update(idOf(table, named), (key) => applyChanges(key, changes, nowMs));
  if ("problem" in result) throw new UsageError(`--${result.problem}.`);
  return shown(made(result), values, nowMs);
}

function revoke({ table, values, nowMs }: Asked, named: string): string {
  const key = made(table.revoke(idOf(table, named), nowMs));
  if (values.json) return shown(key, values, nowMs);
  return `Revoked the key "${key.name}" (${key.id}): it is refused from now on, and cannot be brought back.\n`;
}

function shown(key: ApiKey, { json }: Values, nowMs: number): string {
  const view = viewOf(key, nowMs);
  if (json) return `${JSON.stringify(view, null, 2)}\n`;
  const lines = Object.entries(view).map(([field, value]) => {
    const empty = field === "models" || field === "endpoints" ? "all" : "none";
    const text = Array.isArray(value) ? value.join(", ") : String(value ?? "");
    return `${field.padEnd(22)} ${text === "" ? empty : text}\n`;
  });
  return lines.join("");
}

/** The settings among the options, checked as /admin checks them. Throws UsageError naming the option. */
function settingsIn(values: Values, schema: z.ZodType<KeyChanges>): KeyChanges {
  const given: Record<string, unknown> = {};
  const take = (option: keyof Values, field: string, read: (text: string) => unknown, none: unknown = null) => {
    const text = values[option];
    if (typeof text === "string") given[field] = text === "none" ? none : read(text);
  };
  take("name", "name", String);
  take("team", "team", String);
  take("organisation", "organisation", String);
  take("tags", "tags", listIn, []);
  take("expires", "expires", String);
  take("models", "models", listIn);
  take("endpoints", "endpoints", listIn);
  take("rpm", "rpm", numberIn);
  take("tpm", "tpm", numberIn);
  take("concurrency", "concurrency", numberIn);
  take("allow-unpriced", "allow_unpriced", (text) => YES_NO[text] ?? text, false);
  if (values.budget !== undefined) given.budgets = values.budget.filter((text) => text !== "none");
  const checked = schema.safeParse(given);
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  const field = String(issue?.path[0] ?? "");
  const option = field === "budgets" ? "budget" : field.replace("_", "-");
  const found = values[option as keyof Values];
  throw new UsageError(`--${option}: ${issue?.message ?? "not understood"}; found "${String(found)}".`);
}

const YES_NO: Record<string, boolean> = { yes: true, no: false };

function listIn(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** `60`, `100k`, `2M`; what is no number is left for the schema to refuse. */
function numberIn(text: string): unknown {
  const match = /^(\d{1,12})([kM]?)$/.exec(text);
  return match === null ? text : Number(match[1]) * { "": 1, k: 1_000, M: 1_000_000 }[match[2] as "" | "k" | "M"];
}

function idOf(table: KeyTable, named: string): string {
  return made(table.get(named) ?? missing(named)).id;
}

function missing(named: string): KeyRefusal {
  const message = `There is no key "${named.slice(0, 64)}" (revoked ones are found by their id). See signalbox keys list.`;
  return { refused: "not_found", message };
}

function made(result: ApiKey | KeyRefusal): ApiKey {
  if ("refused" in result) throw new StartError(result.message);
  return result;
}

// `signalbox models` and `signalbox catalog`: what can be asked for, what it can do and what it costs.
import { readFileSync } from "node:fs";
import { diffCatalogs, diffText } from "../catalog/diff.ts";
import { catalogPath, parseCatalog } from "../catalog.ts";
import type { Environment } from "../config.ts";
import type { ModelEntry } from "../dialect.ts";
import { formatUsd } from "../pricing.ts";
import { supports } from "../routing/requirements.ts";
import { FEATURES, type Feature } from "../routing/schema.ts";
import { readSettings, readSnapshot, StartError } from "../settings.ts";
import { table } from "../table.ts";
import { type Printed, parse, UsageError } from "./arguments.ts";

const MODELS_HELP = `signalbox models: the models callers can ask for, with prices per million tokens.

Usage: signalbox models [TEXT] [--provider ID] [--supports tools,vision] [--sort price] [--json]

  TEXT             Only names that contain it
  --provider ID    Only models of this provider
  --supports LIST  Only models known to support all of: ${FEATURES.join(", ")}
  --sort WHAT      name, price (input, then output) or context; default name
  --json           One JSON array
  --config FILE    Configuration (SIGNALBOX_CONFIG)
  --rules DIR      Folder of routing rules (SIGNALBOX_RULES)
  -h, --help       This text
`;

const CATALOG_HELP = `signalbox catalog: the price list.

Usage: signalbox catalog diff NEW.json [OLD.json] [--json]

  diff             What NEW changes over OLD (default: the catalogue of this package): models, prices, limits. Prices that
                   moved more than twofold or vanished are marked. Exit code 1 when there are any.
  --json           One JSON array
  -h, --help       This text
`;

interface Row {
  name: string;
  context: number | null;
  max_output: number | null;
  input_usd_per_mtok: string | null;
  output_usd_per_mtok: string | null;
  supports: Feature[];
  price_source: string | null;
}

const SORTS = ["name", "price", "context"] as const;

export function models(args: string[], env: Environment): string {
  const { values, positionals } = parse(args, {
    provider: { type: "string" },
    supports: { type: "string" },
    sort: { type: "string", default: "name" },
    json: { type: "boolean", default: false },
    config: { type: "string" },
    rules: { type: "string" },
    help: { type: "boolean", short: "h" },
  });
  if (values.help) return MODELS_HELP;
  const needed = featuresOf(values.supports);
  const sort = SORTS.find((known) => known === values.sort);
  if (sort === undefined) throw new UsageError(`--sort: "${values.sort}" is not one of ${SORTS.join(", ")}.`);
  const { config, catalog } = readSettings({ flags: values, env });
  const snapshot = readSnapshot(config, catalog);
  const wanted = positionals[0] ?? "";
  const found: { name: string; entry: ModelEntry }[] = [];
  for (const provider of snapshot.providers.values()) {
    const shown = provider.standsInFor ?? provider.id;
    if (values.provider !== undefined && values.provider !== shown && values.provider !== provider.id) continue;
    for (const entry of provider.models.values()) found.push({ name: `${shown}/${entry.id}`, entry });
  }
  const matching = found
    .filter(({ name, entry }) => name.includes(wanted) && needed.every((feature) => supports(entry, feature) === true))
    .sort((a, b) => compare(a, b, sort));
  if (values.json)
    return `${JSON.stringify(
      matching.map(({ name, entry }) => toRow(name, entry)),
      null,
      2,
    )}\n`;
  const aliases = [...snapshot.rules.aliases.entries()].filter(([alias]) => alias.includes(wanted));
  const aliasLines =
    values.provider === undefined ? aliases.map(([alias, targets]) => `${alias} = ${targets.join(", ")}\n`) : [];
  const cells = matching.map(({ name, entry }) => toCells(toRow(name, entry)));
  return aliasLines.join("") + table([["model", "context", "input $/M", "output $/M", "supports"], ...cells]);
}

function featuresOf(list: string | undefined): Feature[] {
  return (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map((name) => {
      const feature = FEATURES.find((known) => known === name);
      if (feature === undefined) throw new UsageError(`--supports: "${name}" is not one of ${FEATURES.join(", ")}.`);
      return feature;
    });
}

function compare(a: { name: string; entry: ModelEntry }, b: typeof a, sort: (typeof SORTS)[number]): number {
  if (sort === "context") return (b.entry.contextTokens ?? 0) - (a.entry.contextTokens ?? 0) || byName(a, b);
  if (sort === "name") return byName(a, b);
  // Without a price last.
  const price = ({ entry }: typeof a) => entry.rates?.input ?? Number.MAX_SAFE_INTEGER;
  const output = ({ entry }: typeof a) => entry.rates?.output ?? Number.MAX_SAFE_INTEGER;
  return price(a) - price(b) || output(a) - output(b) || byName(a, b);
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function toRow(name: string, entry: ModelEntry): Row {
  const dollars = (micro: number | undefined) => (micro === undefined ? null : formatUsd(micro * 1000));
  return {
    name,
    context: entry.contextTokens ?? null,
    max_output: entry.maxOutputTokens ?? null,
    input_usd_per_mtok: dollars(entry.rates?.input),
    output_usd_per_mtok: dollars(entry.rates?.output),
    supports: FEATURES.filter((feature) => supports(entry, feature) === true),
    price_source: entry.priceSource ?? null,
  };
}

function toCells({
  name,
  context,
  input_usd_per_mtok: input,
  output_usd_per_mtok: output,
  supports: able,
}: Row): string[] {
  return [name, String(context ?? "?"), input ?? "?", output ?? "?", able.join(",")];
}

export function catalog(args: string[]): Printed | string {
  const [action, ...rest] = args;
  const { values, positionals } = parse(rest, {
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h" },
  });
  if (values.help || action === undefined || action === "--help" || action === "-h") return CATALOG_HELP;
  if (action !== "diff")
    throw new UsageError(`"catalog ${action}" is not a command. Use: catalog diff NEW.json [OLD.json]`);
  const [after, before = catalogPath()] = positionals;
  if (after === undefined)
    throw new UsageError("catalog diff needs the new catalogue: catalog diff NEW.json [OLD.json]");
  const changes = diffCatalogs(readCatalog(before), readCatalog(after));
  const text = values.json ? `${JSON.stringify(changes, null, 2)}\n` : diffText(changes);
  return { text, exitCode: changes.some(({ isAlarming }) => isAlarming) ? 1 : 0 };
}

function readCatalog(path: string) {
  try {
    return parseCatalog(readFileSync(path, "utf8"), path);
  } catch (error) {
    throw new StartError(`${path} cannot be used: ${(error as Error).message}`);
  }
}

// What one catalogue says differently from another: models that came and went, prices and limits that moved. Pure.
import type { CatalogFile } from "../catalog.ts";
import type { ModelEntry } from "../dialect.ts";
import { formatUsd } from "../pricing.ts";
import { table } from "../table.ts";

export interface CatalogChange {
  /** `provider/model` */
  model: string;
  kind: "added" | "removed" | "changed";
  /** What changed, such as `rates.input` or `contextTokens`. */
  field?: string;
  before?: string;
  after?: string;
  /** A price that more than doubled or halved, or that vanished: a person should look before it is used. */
  isAlarming: boolean;
}

const ALARMING_RATIO = 2;

export function diffCatalogs(before: CatalogFile, after: CatalogFile): CatalogChange[] {
  const changes: CatalogChange[] = [];
  const providers = new Set([...Object.keys(before.providers), ...Object.keys(after.providers)]);
  for (const provider of [...providers].sort()) {
    const old = before.providers[provider]?.models ?? {};
    const now = after.providers[provider]?.models ?? {};
    for (const id of [...new Set([...Object.keys(old), ...Object.keys(now)])].sort()) {
      changes.push(...diffModel(`${provider}/${id}`, old[id], now[id]));
    }
  }
  return changes;
}

function diffModel(model: string, before: ModelEntry | undefined, after: ModelEntry | undefined): CatalogChange[] {
  if (before === undefined) return [{ model, kind: "added", isAlarming: false }];
  if (after === undefined) return [{ model, kind: "removed", isAlarming: before.rates !== undefined }];
  const old = flatten(before);
  const now = flatten(after);
  const fields = [...new Set([...old.keys(), ...now.keys()])].sort();
  return fields
    .filter((field) => old.get(field) !== now.get(field))
    .map((field) => changed(model, field, old.get(field), now.get(field)));
}

/** Where a tier begins is no price, though it stands among them. */
const BOUND = /\.(fromInputTokens|aboveInputTokens)$/;
/** How many times the price a service tier or a region costs, in millionths. */
const MULTIPLIER = /^rates\.(serviceTiers|regions)\.[^.]+$/;

type Leaf = string | number | boolean | undefined;

function changed(model: string, field: string, before: Leaf, after: Leaf): CatalogChange {
  const isPrice = field.startsWith("rates.") && !BOUND.test(field);
  const change: CatalogChange = { model, kind: "changed", field, isAlarming: isPrice && isLarge(before, after) };
  const inWords = MULTIPLIER.test(field) ? times : isPrice ? dollars : String;
  if (before !== undefined) change.before = inWords(before);
  if (after !== undefined) change.after = inWords(after);
  return change;
}

function isLarge(before: Leaf, after: Leaf): boolean {
  if (typeof before !== "number") return false;
  if (typeof after !== "number") return true;
  const [low, high] = before < after ? [before, after] : [after, before];
  return high > low * ALARMING_RATIO;
}

/** Prices in dollars per million. */
function dollars(value: string | number | boolean): string {
  return typeof value === "number" ? `$${formatUsd(value * 1000)}` : String(value);
}

function times(value: string | number | boolean): string {
  return typeof value === "number" ? `×${value / 1e6}` : String(value);
}

/** Where a number is from is not what it says: sources, names and notes are left out. */
const UNTOLD = ["id", "name", "note", "priceSource", "limitsSource", "pricedAs", "priceStatus"];

function flatten(entry: ModelEntry): Map<string, Leaf> {
  const leaves = new Map<string, Leaf>();
  const walk = (value: unknown, path: string) => {
    if (Array.isArray(value) && value.every((item) => typeof item !== "object")) leaves.set(path, value.join(", "));
    else if (typeof value !== "object" || value === null) leaves.set(path, value as Leaf);
    else for (const [key, inner] of Object.entries(value)) walk(inner, path === "" ? key : `${path}.${key}`);
  };
  walk(Object.fromEntries(Object.entries(entry).filter(([key]) => !UNTOLD.includes(key))), "");
  return leaves;
}

/** For a terminal: alarming changes are marked, and counted in the last line. */
export function diffText(changes: readonly CatalogChange[]): string {
  if (changes.length === 0) return "No difference.\n";
  const rows = changes.map(({ model, kind, field = kind, before = "", after = "", isAlarming }) => {
    return [model, field, before, after, isAlarming ? "!" : ""];
  });
  const alarming = changes.filter(({ isAlarming }) => isAlarming).length;
  const last = `${changes.length} changes, ${alarming} of them to look at (prices that moved more than twofold, or vanished).\n`;
  return table([["model", "what", "before", "after", ""], ...rows]) + last;
}

// What a request is routed by: rules, providers and catalogue, immutable, under one version id.
import { createHash } from "node:crypto";
import type { EnabledProvider, ModelEntry, Target } from "../dialect.ts";
import type { RuleSet } from "./rules.ts";

export interface Snapshot {
  /** Changes when anything a decision depends on changes; stored with every request. */
  id: string;
  rules: RuleSet;
  providers: ReadonlyMap<string, EnabledProvider>;
  /** Providers that exist but are not enabled, with what it takes. */
  disabled: ReadonlyMap<string, string>;
  catalogVersion: string;
  /** Enabled providers by bare model id, in the order of `providers`. */
  byModel: ReadonlyMap<string, readonly EnabledProvider[]>;
  /** Simulated providers by the id they stand in for. */
  standIns: ReadonlyMap<string, EnabledProvider>;
}

export interface SnapshotParts {
  rules: RuleSet;
  /** The text the rules came from: part of the id. */
  rulesText: string;
  providers: ReadonlyMap<string, EnabledProvider>;
  disabled: ReadonlyMap<string, string>;
  catalogVersion: string;
}

export function buildSnapshot({ rulesText, ...parts }: SnapshotParts): Snapshot {
  const byModel = new Map<string, EnabledProvider[]>();
  const standIns = new Map<string, EnabledProvider>();
  for (const provider of parts.providers.values()) {
    if (provider.standsInFor !== undefined) standIns.set(provider.standsInFor, provider);
    for (const id of provider.models.keys()) {
      const serving = byModel.get(id);
      if (serving === undefined) byModel.set(id, [provider]);
      else serving.push(provider);
    }
  }
  // The models too: signalbox.yaml may add some and change windows and prices.
  const providers = [...parts.providers.values()].map(({ id, baseUrl, models }) => [id, baseUrl, [...models.values()]]);
  const text = JSON.stringify([rulesText, providers, parts.catalogVersion]);
  return { ...parts, id: createHash("sha256").update(text).digest("hex").slice(0, 12), byModel, standIns };
}

/** A target that was named but cannot be used, and why. */
export interface Exclusion {
  target: string;
  reason: string;
}

export interface Resolved {
  targets: Target[];
  /** A caller wrote `provider/model` and the first target is just that; the others only have a model of the same name. */
  isExact: boolean;
  excluded: Exclusion[];
}

/** Whoever writes rules means `provider/model` as it says, and may write `provider/*`. */
type Writer = "operator" | "caller";

/**
 * The targets behind a name: an alias (its targets in order), `provider/model`, or a bare model (every enabled provider
 * that serves it). Names nobody knows give neither targets nor exclusions.
 */
export function resolve(snapshot: Snapshot, name: string, writer: Writer = "operator"): Resolved {
  const resolved: Resolved = { targets: [], isExact: false, excluded: [] };
  resolveInto(snapshot, { name, writer }, resolved, new Set());
  return resolved;
}

interface Written {
  name: string;
  writer: Writer;
}

function resolveInto(snapshot: Snapshot, { name, writer }: Written, resolved: Resolved, seen: Set<string>): void {
  if (seen.has(name)) return;
  seen.add(name);
  const alias = snapshot.rules.aliases.get(name);
  if (alias !== undefined) {
    for (const target of alias) resolveInto(snapshot, { name: target, writer: "operator" }, resolved, seen);
    return;
  }
  if (name.endsWith("/*") && writer === "operator") {
    resolveAll(snapshot, name.slice(0, -2), resolved);
    return;
  }
  const qualified = resolveQualified(snapshot, name);
  const serving = snapshot.byModel.get(name) ?? [];
  const own = serving.map((provider): Target => ({ provider, model: name, entry: provider.models.get(name) }));
  if (qualified === undefined) resolved.targets.push(...own);
  else if (!("provider" in qualified)) resolved.excluded.push(qualified);
  // `openai/gpt-oss-120b` is also the bare name of a model elsewhere: who lists it goes before who may not have it.
  else if (qualified.entry === undefined) resolved.targets.push(...own, qualified);
  else if (writer === "operator") resolved.targets.push(qualified);
  else {
    resolved.isExact = true;
    resolved.targets.push(qualified, ...own);
  }
}

/** `provider/*`: every model the catalogue lists for it. */
function resolveAll(snapshot: Snapshot, providerId: string, resolved: Resolved): void {
  const provider = snapshot.providers.get(providerId) ?? snapshot.standIns.get(providerId);
  const lack = snapshot.disabled.get(providerId);
  if (provider !== undefined) {
    for (const entry of provider.models.values()) resolved.targets.push({ provider, model: entry.id, entry });
  } else if (lack !== undefined) {
    resolved.excluded.push({ target: `${providerId}/*`, reason: `provider ${providerId} is not enabled: ${lack}` });
  }
}

function resolveQualified(snapshot: Snapshot, name: string): Target | Exclusion | undefined {
  const slash = name.indexOf("/");
  if (slash <= 0 || slash === name.length - 1) return undefined;
  const providerId = name.slice(0, slash);
  const model = name.slice(slash + 1);
  const provider = snapshot.providers.get(providerId) ?? snapshot.standIns.get(providerId);
  if (provider !== undefined) return { provider, model, entry: entryOf(provider, model) };
  const lack = snapshot.disabled.get(providerId);
  if (lack === undefined || snapshot.byModel.has(name)) return undefined;
  return { target: name, reason: `provider ${providerId} is not enabled: ${lack}` };
}

/** `gpt-5-2025-08-07`, `claude-opus-5@20260724`: one version of the model that goes by the name before it. */
const VERSION = /(-20\d\d-\d\d-\d\d|[-@]20\d{6})$/;

/** Of a version nobody lists, what is known of its model holds, and its price with the reservation that it is that one's. */
function entryOf(provider: EnabledProvider, model: string): ModelEntry | undefined {
  const listed = provider.models.get(model);
  if (listed !== undefined || !VERSION.test(model)) return listed;
  const known = provider.models.get(model.replace(VERSION, ""));
  if (known === undefined) return undefined;
  const entry: ModelEntry = { ...known, id: model };
  return known.rates === undefined ? entry : { ...entry, pricedAs: known.id, priceStatus: "prefix" };
}

/** Every name a caller may ask for: aliases, `provider/model` and bare models. */
export function* knownNames(snapshot: Snapshot): Generator<string> {
  yield* snapshot.rules.aliases.keys();
  yield* snapshot.byModel.keys();
  for (const provider of snapshot.providers.values()) {
    for (const model of provider.models.keys()) yield `${provider.standsInFor ?? provider.id}/${model}`;
  }
}

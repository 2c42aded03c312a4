// Everything an operator can set: signalbox.yaml, the environment and the command line, checked and merged.
import { existsSync, readFileSync, statSync } from "node:fs";
import { z } from "zod";
import type { BudgetSettings } from "./budgets.ts";
import { ALERTS, type AlertSettings, alertsOf } from "./config/alert-settings.ts";
import { BUDGETS, budgetsOf } from "./config/budget-settings.ts";
import { type Environment, interpolate, isLoopback } from "./config/environment.ts";
import { keyInPools, POOLS, type PoolSettings, poolsOf } from "./config/pool-settings.ts";
import { PRICE_SETTINGS, withOwnModels } from "./config/price-settings.ts";
import { addressOf, addressWithFile, firstSet } from "./config/provider-address.ts";
import { RETENTION, type RetentionSettings, retentionOf } from "./config/retention-settings.ts";
import { type EnabledProvider, type ModelEntry, type Outbound, type Provider, Secret } from "./dialect.ts";
import { nearest } from "./nearest.ts";
import { durationMs, sizeBytes } from "./units.ts";
import { type Checked, type FileError, readYaml } from "./yaml.ts";

/** The command line, already parsed; each wins over its `SIGNALBOX_…` variable, which wins over the file. */
export interface Flags {
  port?: string | undefined;
  host?: string | undefined;
  config?: string | undefined;
  rules?: string | undefined;
  data?: string | undefined;
}

export type { Environment };

export interface Config {
  host: string;
  port: number;
  maxBodyBytes: number;
  /** A caller that takes nothing of its answer for so long is cut. */
  sendTimeoutMs: number;
  dataDir: string;
  /** `undefined`: nothing was said; ./routing-rules where it exists, else the rules that ship with the package. */
  rulesDir: string | undefined;
  /** Where a fresh price list is fetched from, when the operator wants one. */
  catalogUpdate: { url: string; everyMs: number } | undefined;
  /** Limits of accounts, as far as the operator said so; the first whose patterns match a target is its. */
  pools: PoolSettings[];
  budgets: BudgetSettings[];
  alerts: AlertSettings;
  retention: RetentionSettings;
  /** When the ledger cannot keep rows: make no calls, or make them all the same. */
  onLedgerFailure: "refuse" | "continue";
  /** Protects the API when set. */
  apiKey: Secret | undefined;
  /** Opens /admin; without it that is closed to everybody. */
  adminKey: Secret | undefined;
  providers: Map<string, EnabledProvider>;
  /** Every provider that could be enabled and is not, with what it takes. */
  disabled: Map<string, string>;
  /** No real provider has a key: the built-in simulated ones answer. */
  simulated: boolean;
}

export interface ConfigInputs {
  flags: Flags;
  env: Environment;
  known: readonly Provider[];
  dialects: Readonly<Record<string, Outbound>>;
  catalog: (section: string) => ReadonlyMap<string, ModelEntry>;
  /** Whether callers have keys of their own in this data directory. */
  hasKeys?: (dataDir: string) => boolean;
}

const PROVIDER = z.strictObject({
  enabled: z.boolean().optional(),
  api_key: z.string().optional(),
  base_url: z.string().optional(),
  dialect: z.string().optional(),
  ...PRICE_SETTINGS,
  regions: z.array(z.string().min(1)).optional(),
  data_policy: z.enum(["no_training", "no_retention"]).optional(),
});
type ProviderSettings = z.output<typeof PROVIDER>;

/** Prices decide who is asked and what is billed: they come over TLS, or from this machine. */
const CATALOG_URL = z.string().refine((text) => {
  const url = URL.parse(text);
  return url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
}, "expected an https:// URL");

const FILE = z.strictObject({
  server: z
    .strictObject({
      host: z.string().optional(),
      port: z.int().min(0).max(65_535).optional(),
      max_body: sizeBytes.optional(),
      send_timeout: durationMs
        .refine((ms) => ms >= 100 && ms <= 3_600_000, "expected a duration from 100ms to 1h")
        .default(60_000),
    })
    .prefault({}),
  data: z.string().optional(),
  rules: z.string().optional(),
  catalog: z
    .strictObject({ update: z.strictObject({ url: CATALOG_URL, every: durationMs.default(86_400_000) }).optional() })
    .prefault({}),
  providers: z.record(z.string(), PROVIDER).prefault({}),
  pools: POOLS,
  budgets: BUDGETS,
  alerts: ALERTS,
  retention: RETENTION,
  on_ledger_failure: z.enum(["refuse", "continue"]).default("refuse"),
});

/** Target names are split at the first slash, and the id travels in response headers. */
const PROVIDER_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

const DEFAULT_FILE = "signalbox.yaml";

/** Reads and checks everything. The file may be absent, unless it was named. */
export function loadConfig(inputs: ConfigInputs): Config | { errors: FileError[] } {
  const { flags, env } = inputs;
  const named = flags.config ?? (env.SIGNALBOX_CONFIG || undefined);
  const file = named ?? DEFAULT_FILE;
  if (named !== undefined && !existsSync(named)) return { errors: [outsideOfFile(file, "this file does not exist")] };
  if (existsSync(file) && !statSync(file).isFile()) return { errors: [outsideOfFile(file, "this is not a file")] };
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return buildConfig(inputs, { file, text });
}

/** The same without the file system. */
export function buildConfig(
  inputs: ConfigInputs,
  source: { file: string; text: string },
): Config | { errors: FileError[] } {
  const { env } = inputs;
  const read = readYaml(source, FILE);
  if ("errors" in read) return read;
  const errors: FileError[] = [];
  const settings = read.value;
  const pools = poolsOf({ read, env, errors }, [...knownIds(inputs), ...Object.keys(settings.providers)]);
  const providers = enableProviders({ ...inputs, pools }, read, errors);
  const port = given(inputs, "port");
  const host = given(inputs, "host");
  const config: Config = {
    host: host?.text ?? settings.server.host ?? "127.0.0.1",
    port: port === undefined ? (settings.server.port ?? 8787) : parsePort(port.text),
    maxBodyBytes: settings.server.max_body ?? 32 * 1024 ** 2,
    sendTimeoutMs: settings.server.send_timeout,
    dataDir: given(inputs, "data")?.text ?? settings.data ?? "./data",
    rulesDir: given(inputs, "rules")?.text ?? settings.rules,
    catalogUpdate: settings.catalog.update && {
      url: settings.catalog.update.url,
      everyMs: Math.max(60_000, settings.catalog.update.every),
    },
    pools,
    budgets: budgetsOf(settings.budgets),
    alerts: alertsOf(read, env, errors),
    retention: retentionOf(settings.retention),
    onLedgerFailure: settings.on_ledger_failure,
    apiKey: env.SIGNALBOX_API_KEY ? new Secret(env.SIGNALBOX_API_KEY) : undefined,
    adminKey: env.SIGNALBOX_ADMIN_KEY ? new Secret(env.SIGNALBOX_ADMIN_KEY) : undefined,
    ...providers,
  };
  if (port !== undefined && Number.isNaN(config.port)) {
    errors.push(outsideOfFile(port.from, `expected a port from 0 to 65535; found "${port.text}".`));
  }
  if (config.adminKey !== undefined && env.SIGNALBOX_ADMIN_KEY === env.SIGNALBOX_API_KEY) {
    const message = "must differ from SIGNALBOX_API_KEY: whoever may call models could otherwise make keys.";
    errors.push(outsideOfFile("SIGNALBOX_ADMIN_KEY", message));
  }
  const isProtected = config.apiKey !== undefined || isLoopback(config.host);
  if (!isProtected && inputs.hasKeys?.(config.dataDir) !== true) {
    const message =
      `refusing to listen on ${config.host} without a key: anyone who reaches it could spend your money. ` +
      'Set SIGNALBOX_API_KEY, give callers keys with "signalbox keys create", or listen on 127.0.0.1.';
    errors.push(host === undefined ? read.at(["server", "host"], message) : outsideOfFile(host.from, message));
  }
  return errors.length > 0 ? { errors } : config;
}

/** What the command line or else the environment says, and which of them. An empty variable counts as unset. */
function given({ flags, env }: ConfigInputs, name: keyof Flags): { text: string; from: string } | undefined {
  const flag = flags[name];
  if (flag !== undefined) return { text: flag, from: `--${name}` };
  const variable = `SIGNALBOX_${name.toUpperCase()}`;
  const text = env[variable];
  return text ? { text, from: variable } : undefined;
}

function outsideOfFile(from: string, message: string): FileError {
  return { file: from, line: 1, column: 1, message };
}

/** NaN when it is none. */
function parsePort(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : Number.NaN;
}

type FileSettings = z.output<typeof FILE>;

interface Inputs extends ConfigInputs {
  pools: readonly PoolSettings[];
}

function enableProviders(inputs: Inputs, read: Checked<FileSettings>, errors: FileError[]) {
  const settings = read.value.providers;
  const providers = new Map<string, EnabledProvider>();
  const disabled = new Map<string, string>();
  const builtIn = new Set(knownIds(inputs));
  const custom = Object.keys(settings).filter((id) => !builtIn.has(id));
  for (const [id, { dialect }] of Object.entries(settings)) {
    if (dialect === undefined || !builtIn.has(id)) continue;
    const message = `providers.${id}.dialect: a built-in provider has its dialect; give another provider a name of its own.`;
    errors.push(read.at(["providers", id, "dialect"], message));
  }
  const all = [...inputs.known, ...custom.flatMap((id) => customProvider(inputs, id, read, errors))];
  for (const provider of all.filter((candidate) => candidate.standsInFor === undefined)) {
    const enabled = enable(inputs, provider, settings[provider.id], read, errors);
    if (typeof enabled === "string") disabled.set(provider.id, enabled);
    else if (enabled !== undefined) providers.set(provider.id, enabled);
  }
  const simulated = providers.size === 0;
  for (const provider of all.filter((candidate) => candidate.standsInFor !== undefined)) {
    const wanted = settings[provider.id]?.enabled ?? simulated;
    const models = inputs.catalog(provider.catalog ?? provider.id);
    if (wanted)
      providers.set(provider.id, {
        ...provider,
        baseUrl: provider.baseUrl ?? "",
        key: new Secret("simulated"),
        models,
      });
  }
  return { providers, disabled, simulated };
}

/** A provider of the operator's own: it needs a dialect and an address. */
function customProvider(
  inputs: ConfigInputs,
  id: string,
  read: Checked<FileSettings>,
  errors: FileError[],
): Provider[] {
  const settings = read.value.providers[id] ?? {};
  const dialect = settings.dialect === undefined ? undefined : inputs.dialects[settings.dialect];
  const accepted = Object.keys(inputs.dialects).join(", ");
  if (dialect === undefined || settings.base_url === undefined) {
    const found = settings.dialect === undefined ? "none" : `"${settings.dialect}"`;
    const lack = dialect === undefined ? `a dialect (one of ${accepted}); found ${found}` : "a base_url";
    const close = nearest(id, knownIds(inputs), 1)[0];
    const hint = close === undefined ? "" : ` Did you mean "${close}"?`;
    const message = `providers.${id}: "${id}" is not a built-in provider, so it needs ${lack}.${hint}`;
    errors.push(read.at(["providers", id], message));
    return [];
  }
  if (!PROVIDER_ID.test(id)) {
    const message = `providers: "${id}" cannot be the id of a provider: letters, digits, "-", "_" and "." only.`;
    errors.push(read.at(["providers", id], message));
    return [];
  }
  // The vendor of a wire protocol is the one that has a simulated stand-in: Azure speaks OpenAI's with a header of its own.
  const isVendor = (provider: Provider) => provider.standsInFor !== undefined && provider.dialect.id === dialect.id;
  const authorize = inputs.known.find(isVendor)?.authorize ?? bearer;
  return [
    {
      id,
      name: id,
      docs: "",
      baseUrlEnv: [],
      keyEnv: [],
      enabledBy: "url",
      dialect,
      authorize,
      baseUrl: settings.base_url,
    },
  ];
}

function knownIds(inputs: ConfigInputs): string[] {
  return inputs.known.map(({ id }) => id);
}

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** The enabled provider, a sentence saying what it lacks, or `undefined` after reporting an error. */
function enable(
  inputs: Inputs,
  provider: Provider,
  settings: ProviderSettings | undefined,
  read: Checked<FileSettings>,
  errors: FileError[],
): EnabledProvider | string | undefined {
  if (settings?.enabled === false) return "it is switched off in signalbox.yaml";
  const fill = (field: "api_key" | "base_url") => {
    const filled = interpolate(settings?.[field], inputs.env);
    // `${NAME:-}` is how one writes "or nothing".
    if (filled === undefined || "value" in filled) return filled?.value || undefined;
    const message = `providers.${provider.id}.${field}: the environment variable ${filled.missing} is not set.`;
    errors.push(read.at(["providers", provider.id, field], message));
    return undefined;
  };
  const errorsBefore = errors.length;
  const ownKey = fill("api_key") ?? firstSet(inputs.env, provider.keyEnv);
  const key = ownKey === undefined ? keyInPools(inputs.pools, provider.id) : new Secret(ownKey);
  const ownUrl = fill("base_url") ?? firstSet(inputs.env, provider.baseUrlEnv);
  if (errors.length > errorsBefore) return undefined;
  const needsKey = provider.enabledBy === "key";
  const file = key === undefined ? firstSet(inputs.env, provider.credentials?.fileEnv ?? []) : undefined;
  if ((needsKey ? (key ?? file) : ownUrl) === undefined) {
    const keyNames = [...provider.keyEnv, ...(provider.credentials?.fileEnv ?? [])];
    const names = (needsKey ? keyNames : provider.baseUrlEnv).join(" or ") || "base_url";
    if (settings?.enabled !== true) return `set ${names}`;
    const message = `providers.${provider.id}: enabled, but it has no ${needsKey ? "key" : "address"} (${names}).`;
    errors.push(read.at(["providers", provider.id], message));
    return undefined;
  }
  const address =
    file === undefined ? addressOf(provider, ownUrl, inputs.env) : addressWithFile(provider, ownUrl, inputs.env);
  if ("lack" in address) {
    // A stray key variable must not keep the router from starting; a provider that was configured by hand must.
    if (settings === undefined) return address.lack;
    errors.push(read.at(["providers", provider.id, "base_url"], `providers.${provider.id}: ${address.lack}.`));
    return undefined;
  }
  const models = withOwnModels(inputs.catalog(provider.catalog ?? provider.id), settings);
  return {
    ...provider,
    baseUrl: address.url,
    key,
    ...(file === undefined ? {} : { credentialsFile: file }),
    models,
    ...(settings?.regions === undefined ? {} : { regions: settings.regions }),
    ...(settings?.data_policy === undefined ? {} : { dataPolicy: settings.data_policy }),
  };
}

// Builds everything out of environment and flags, and listens. Nothing else creates a long-lived object.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { anthropicMessages } from "../providers/dialects/anthropic-messages.ts";
import { googleGenerate } from "../providers/dialects/google-generate.ts";
import { openaiChatInbound } from "../providers/dialects/openai/inbound.ts";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as knownProviders } from "../providers/index.ts";
import { SIMULATOR_URL } from "../providers/simulated.ts";
import { type Catalog, loadCatalog } from "./catalog.ts";
import { type Config, type Environment, type Flags, loadConfig } from "./config.ts";
import type { EnabledProvider } from "./dialect.ts";
import { createDownloader } from "./download.ts";
import { createGateway } from "./gateway.ts";
import { createApp, type Health } from "./http/app.ts";
import { IdSource } from "./ids.ts";
import { createLearning, type TargetKind } from "./learning.ts";
import { createMemory } from "./memory.ts";
import { nearest } from "./nearest.ts";
import { packageRoot } from "./package-root.ts";
import { compile } from "./routing/rules.ts";
import { buildSnapshot, type Snapshot } from "./routing/snapshot.ts";
import { type Simulator, startSimulator } from "./simulator/server.ts";
import { type Ledger, openLedger } from "./store/ledger.ts";
import { createUpstream } from "./upstream.ts";
import { type FileError, formatFileError, type Source } from "./yaml.ts";

export const VERSION: string = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")).version;

export interface RouterOptions {
  flags: Flags;
  env: Environment;
  log(message: string): void;
}

export interface Router {
  url: string;
  config: Config;
  snapshot: Snapshot;
  /** No new requests; running ones end; the ledger is flushed. */
  close(): Promise<void>;
}

/** What the operator must mend before the router can start; `message` lists it line by line. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export async function startRouter(options: RouterOptions): Promise<Router> {
  const { config, catalog } = readSettings(options);
  const simulator = await startSimulatorFor(config);
  const snapshot = readSnapshot({ ...config, providers: withSimulator(config.providers, simulator) }, catalog);
  const ledger = await openLedger({ dir: config.dataDir, log: options.log }).catch((error: Error) => {
    void simulator?.close();
    throw new StartError(error.message);
  });
  const learning = createLearning({
    nowMs: Date.now,
    shelf: ledger,
    kindOf: (target) => kindOf(snapshot, target),
    log: options.log,
  });
  const upstream = createUpstream();
  const ids = new IdSource();
  const state = { isDraining: false };
  const gateway = createGateway({
    upstream,
    ledger,
    snapshot: () => snapshot,
    nowMs: Date.now,
    newId: (prefix) => ids.randomId(prefix),
    memory: createMemory(Date.now),
    fleet: learning.fleet,
    inputTokens: (request, caller) => learning.inputTokens(request, caller),
    observe: (settled) => learning.observe(settled),
    download: createDownloader(),
    draw: Math.random,
    sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
  });
  const app = createApp({
    gateway,
    inbound: openaiChatInbound,
    snapshot: () => snapshot,
    apiKey: config.apiKey,
    maxBodyBytes: config.maxBodyBytes,
    nowMs: Date.now,
    newRequestId: (nowMs) => ids.requestId(nowMs),
    health: () => healthOf(state.isDraining, snapshot, ledger),
    log: options.log,
  });
  const server = await listen(createServer(getRequestListener(app.fetch)), config).catch(async (error: Error) => {
    await Promise.all([ledger.close(), simulator?.close()]);
    throw error;
  });
  const saving = setInterval(() => learning.saveNext(), SAVE_PART_MS);
  const close = async () => {
    state.isDraining = true;
    await drain(server);
    clearInterval(saving);
    learning.saveAll();
    await upstream.close();
    await ledger.close();
    await simulator?.close();
  };
  return { url: urlOf(server, config.host), config, snapshot, close };
}

/** A part of what was learnt is saved this often; there are four. */
const SAVE_PART_MS = 20_000;

function kindOf(snapshot: Snapshot, target: string): TargetKind | undefined {
  const slash = target.indexOf("/");
  const provider = snapshot.providers.get(target.slice(0, slash));
  return provider && { dialect: provider.dialect.id, entry: provider.models.get(target.slice(slash + 1)) };
}

/** Configuration and catalogue, or a StartError that names every mistake. */
export function readSettings({ flags, env }: Pick<RouterOptions, "flags" | "env">): {
  config: Config;
  catalog: Catalog;
} {
  const catalog = loadCatalog();
  const config = loadConfig({
    flags,
    env,
    known: knownProviders,
    dialects: {
      "openai-chat": openaiChat(),
      "anthropic-messages": anthropicMessages,
      "google-generate": googleGenerate,
    },
    catalog: (section) => catalog.models(section),
  });
  if ("errors" in config) throw startError("The configuration cannot be used:", config.errors);
  return { config, catalog };
}

/** The rules of the configured folder over the configured providers. */
export function readSnapshot(config: Config, catalog: Catalog): Snapshot {
  const sources = readRules(config);
  const rules = compile(sources, (target) => targetProblem(target, config, catalog));
  if ("errors" in rules) throw startError("The routing rules cannot be used:", rules.errors);
  return buildSnapshot({
    rules,
    rulesText: JSON.stringify(sources),
    providers: config.providers,
    disabled: config.disabled,
    catalogVersion: catalog.version,
  });
}

function startError(heading: string, errors: FileError[]): StartError {
  return new StartError(
    [heading, ...errors.map((error) => `  ${formatFileError(error).replaceAll("\n", "\n    ")}`)].join("\n"),
  );
}

function readRules(config: Config): Source[] {
  const fallback = existsSync("routing-rules") ? "routing-rules" : join(packageRoot(), "routing-rules");
  const dir = config.rulesDir ?? fallback;
  if (!existsSync(dir)) throw new StartError(`The rules folder ${dir} does not exist (--rules, SIGNALBOX_RULES).`);
  const names = readdirSync(dir).filter((name) => /\.ya?ml$/.test(name));
  return names.sort().map((name) => ({ file: join(dir, name), text: readFileSync(join(dir, name), "utf8") }));
}

/** A rule may name providers that are not enabled here, but not ones that do not exist. */
function targetProblem(target: string, config: Config, catalog: Catalog): string | undefined {
  const ids = [...config.providers.keys(), ...config.disabled.keys(), ...knownProviders.map(({ id }) => id)];
  const slash = target.indexOf("/");
  if (slash > 0 && ids.includes(target.slice(0, slash))) return undefined;
  const models = ids.flatMap((id) => [...(config.providers.get(id)?.models ?? catalog.models(id)).keys()]);
  if (models.includes(target)) return undefined;
  const close = slash > 0 ? nearest(target.slice(0, slash), ids, 3) : nearest(target, models, 3);
  const hint = close.length === 0 ? "" : ` Did you mean ${close.join(" or ")}?`;
  const what = slash > 0 ? `there is no provider "${target.slice(0, slash)}"` : "no provider has this model";
  return `target "${target}": ${what}.${hint} A target is an alias, provider/model or a model of the catalogue.`;
}

async function startSimulatorFor(config: Config): Promise<Simulator | undefined> {
  const isNeeded = config.providers.values().some((provider) => provider.baseUrl.startsWith(SIMULATOR_URL));
  return isNeeded ? startSimulator() : undefined;
}

function withSimulator(all: Config["providers"], simulator: Simulator | undefined): Map<string, EnabledProvider> {
  if (simulator === undefined) return all;
  const filled = all.entries().map(([id, provider]): [string, EnabledProvider] => {
    const baseUrl = provider.baseUrl.replace(SIMULATOR_URL, simulator.url);
    return [id, { ...provider, baseUrl }];
  });
  return new Map(filled);
}

function healthOf(isDraining: boolean, snapshot: Snapshot, ledger: Ledger): Health {
  const status = ledger.status();
  return {
    live: true,
    ready: !isDraining && status.failed === undefined,
    details: {
      version: VERSION,
      draining: isDraining,
      snapshot: snapshot.id,
      catalog: snapshot.catalogVersion,
      ledger: status,
    },
  };
}

function listen(server: Server, config: Config): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const inUse = `Port ${config.port} on ${config.host} is already in use. Choose another with --port or SIGNALBOX_PORT.`;
      reject(
        new StartError(
          error.code === "EADDRINUSE" ? inUse : `Cannot listen on ${config.host}:${config.port}: ${error.message}`,
        ),
      );
    });
    server.listen(config.port, config.host, () => resolve(server));
  });
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Resolves when every running answer has ended. Idle connections are closed; busy ones close after their answer. */
function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    const timer = setInterval(() => server.closeIdleConnections(), 100);
    server.once("close", () => clearInterval(timer));
  });
}

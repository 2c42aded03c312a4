// Builds everything out of environment and flags, and listens. Nothing else creates a long-lived object.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { openaiChatInbound } from "../providers/dialects/openai/inbound.ts";
import { SIMULATOR_URL } from "../providers/simulated.ts";
import { type Refresher, startRefresh } from "./catalog-refresh.ts";
import type { Config } from "./config.ts";
import { createDownloader } from "./download.ts";
import { showFileErrors } from "./excerpt.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { createHealth, type Health as TargetHealth } from "./health.ts";
import { createApp, type Health } from "./http/app.ts";
import { IdSource } from "./ids.ts";
import { createLearning, kindOf, type Learning } from "./learning.ts";
import { createLimits, type Limits } from "./limits.ts";
import type { LiveRules, RulesStatus } from "./live-rules/watch.ts";
import { followRules, type RulesWorld } from "./live-rules.ts";
import { createMemory } from "./memory.ts";
import { createRetryBudget } from "./retry-budget.ts";
import { globMatcher } from "./routing/glob.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import {
  readSettings,
  type Settings,
  type SettingsInput,
  StartError,
  settingsWith,
  VERSION,
  withSimulator,
  worldOf,
} from "./settings.ts";
import { type Simulator, startSimulator } from "./simulator/server.ts";
import { type Ledger, openLedger } from "./store/ledger.ts";
import { createReportReader, type ReportReader } from "./store/report-reader.ts";
import { createUpstream, type Upstream } from "./upstream.ts";

export interface RouterOptions extends SettingsInput {
  log(message: string): void;
}

export interface Router {
  url: string;
  config: Config;
  /** The one in force. */
  readonly snapshot: Snapshot;
  rules: LiveRules<Snapshot>;
  /** Gives every target another chance now: parked ones, open breakers, learnt limits. */
  forgetOutages(): void;
  /** Fetches the price list now, where the operator has it refreshed. */
  refreshCatalog(): Promise<"changed" | "same" | "refused" | "off">;
  /** No new requests; running ones end; the ledger is flushed. */
  close(): Promise<void>;
}

export async function startRouter(options: RouterOptions): Promise<Router> {
  const settings = readSettings(options);
  const { config } = settings;
  const simulator = await startSimulatorFor(config);
  const world = worldWith(settings, simulator);
  const rules = startRules(world, options.log);
  const ledger = await openLedger({ dir: config.dataDir, log: options.log }).catch((error: Error) => {
    rules.close();
    void simulator?.close();
    throw new StartError(error.message);
  });
  const learning = startLearning(rules, ledger, options.log);
  const upstream = createUpstream();
  const ids = new IdSource();
  const state = { isDraining: false };
  const traffic = startTraffic(config, ledger, options.log);
  const reports = startReports(config.dataDir, ledger);
  const gateway = startGateway({ upstream, ledger, rules, learning, ids, traffic });
  const app = createApp({
    gateway,
    inbound: openaiChatInbound,
    snapshot: () => rules.current(),
    apiKey: config.apiKey,
    maxBodyBytes: config.maxBodyBytes,
    nowMs: Date.now,
    newRequestId: (nowMs) => ids.requestId(nowMs),
    health: () => healthOf(state.isDraining, { rules, ledger, learning, traffic }),
    reports,
    log: options.log,
  });
  const server = await listen(createServer(getRequestListener(app.fetch)), config).catch(async (error: Error) => {
    rules.close();
    await Promise.all([ledger.close(), simulator?.close()]);
    throw error;
  });
  const refresher = refreshCatalog(options, settings, (fresh) => {
    Object.assign(world, worldWith(fresh, simulator));
    void rules.reload();
  });
  const saving = saveRegularly(learning, traffic);
  const close = async () => {
    state.isDraining = true;
    rules.close();
    await refresher?.close();
    // Whoever still waits for a turn is told at once: the callers' own retries find another process.
    traffic.limits.close();
    await drain(server);
    clearInterval(saving);
    learning.saveAll();
    traffic.save();
    await upstream.close();
    await Promise.all([reports.close(), ledger.close()]);
    await simulator?.close();
  };
  return {
    url: urlOf(server, config.host),
    config,
    get snapshot() {
      return rules.current();
    },
    rules,
    forgetOutages: () => {
      traffic.limits.reset();
      traffic.health.reset();
    },
    refreshCatalog: async () => refresher?.refresh() ?? "off",
    close,
  };
}

/** Whoever asks for the request that has just been answered finds it: rows reach the database a few milliseconds later. */
function startReports(dir: string, ledger: Ledger): ReportReader {
  const reader = createReportReader({ dir });
  return {
    usage: (query) => reader.usage(query),
    requests: (query) => reader.requests(query),
    request: async (id) => {
      const { pendingRows, failed } = ledger.status();
      if (pendingRows > 0 && failed === undefined) await ledger.flush().catch(() => {});
      return reader.request(id);
    },
    close: () => reader.close(),
  };
}

interface Parts {
  upstream: Upstream;
  ledger: Ledger;
  rules: LiveRules<Snapshot>;
  learning: Learning;
  ids: IdSource;
  traffic: Traffic;
}

function startGateway({ upstream, ledger, rules, learning, ids, traffic }: Parts): Gateway {
  return createGateway({
    upstream,
    ledger,
    snapshot: () => rules.current(),
    nowMs: Date.now,
    newId: (prefix) => ids.randomId(prefix),
    memory: createMemory(Date.now),
    fleet: learning.fleet,
    limits: traffic.limits,
    health: traffic.health,
    retryBudget: createRetryBudget({ nowMs: Date.now }),
    inputTokens: (request, caller) => learning.inputTokens(request, caller),
    observe: (settled) => learning.observe(settled),
    download: createDownloader(),
    draw: Math.random,
    sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
  });
}

/** What keeps calls away from limits and outages, and what of it outlives the process. */
interface Traffic {
  limits: Limits;
  health: TargetHealth;
  save(): void;
}

function startTraffic(config: Config, ledger: Ledger, log: (message: string) => void): Traffic {
  const limits = createLimits({
    nowMs: Date.now,
    schedule: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    draw: Math.random,
    pools: config.pools.map((pool) => ({ ...pool, matches: globMatcher(pool.targets) })),
  });
  const health = createHealth({ nowMs: Date.now, draw: Math.random });
  limits.restore(ledger.loadStatistics("limits"));
  const saved = ledger.loadStatistics("health");
  const problem = saved === undefined ? undefined : health.restore(saved);
  if (problem !== undefined) log(`What was saved about breakers is not used: ${problem}`);
  const save = () => {
    ledger.saveStatistics("limits", limits.export());
    ledger.saveStatistics("health", health.export());
  };
  return { limits, health, save };
}

/** A part of what was learnt is saved this often; there are four. */
const SAVE_PART_MS = 20_000;

function saveRegularly(learning: Learning, traffic: Traffic): NodeJS.Timeout {
  return setInterval(() => {
    learning.saveNext();
    traffic.save();
  }, SAVE_PART_MS);
}

function startLearning(rules: LiveRules<Snapshot>, ledger: Ledger, log: (message: string) => void): Learning {
  return createLearning({
    nowMs: Date.now,
    shelf: ledger,
    kindOf: (target) => kindOf(rules.current(), target),
    log,
  });
}

function startRules(world: RulesWorld, log: (message: string) => void): LiveRules<Snapshot> {
  const started = followRules(world, { log, nowMs: Date.now });
  if (!("errors" in started)) return started;
  throw new StartError(`The routing rules cannot be used:\n${showFileErrors(started.errors, started.sources, 2)}`);
}

async function startSimulatorFor(config: Config): Promise<Simulator | undefined> {
  const isNeeded = config.providers.values().some((provider) => provider.baseUrl.startsWith(SIMULATOR_URL));
  return isNeeded ? startSimulator() : undefined;
}

/** Providers and prices the rules are compiled over; the simulator's address is known only now. */
function worldWith({ config, catalog }: Settings, simulator: Simulator | undefined): RulesWorld {
  return worldOf({ ...config, providers: withSimulator(config.providers, simulator?.url) }, catalog);
}

/** For operators who ask for it: new prices come into force like an edit of the rules. */
function refreshCatalog(
  options: RouterOptions,
  settings: Settings,
  onChange: (fresh: Settings) => void,
): Refresher | undefined {
  const { catalogUpdate, dataDir } = settings.config;
  if (catalogUpdate === undefined) return undefined;
  const inForce = { file: settings.file };
  return startRefresh({
    ...catalogUpdate,
    dataDir,
    current: () => inForce.file,
    onChange: (file) => {
      inForce.file = file;
      onChange(settingsWith(options, file));
    },
    log: options.log,
  });
}

function healthOf(
  isDraining: boolean,
  { rules, ledger, learning, traffic }: Pick<Parts, "rules" | "ledger" | "learning" | "traffic">,
): Health {
  const status = ledger.status();
  const tokenError = learning.tokenError();
  const snapshot = rules.current();
  return {
    live: true,
    ready: !isDraining && status.failed === undefined,
    details: {
      version: VERSION,
      draining: isDraining,
      snapshot: snapshot.id,
      catalog: snapshot.catalogVersion,
      // Mean |predicted - billed| / billed of the last prompts; null before the first.
      token_estimate_error: tokenError === undefined ? null : Number(tokenError.toFixed(4)),
      rules: rulesHealth(snapshot, rules.status()),
      ledger: status,
      limits: traffic.limits.status(),
      breakers: traffic.health.status(),
    },
  };
}

/** Rules that cannot be used leave the router ready: it goes on with those it had. */
function rulesHealth(snapshot: Snapshot, { loadedAtMs, errors }: RulesStatus): Record<string, unknown> {
  const error = errors.length === 0 ? {} : { error: errors.slice(0, 20) };
  return { snapshot: snapshot.id, loaded_at: new Date(loadedAtMs).toISOString(), ...error };
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

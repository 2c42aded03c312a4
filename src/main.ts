// Builds everything out of environment and flags, and listens. Nothing else creates a long-lived object.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { openaiChatInbound } from "../providers/dialects/openai/inbound.ts";
import { SIMULATOR_URL } from "../providers/simulated.ts";
import { type Refresher, startRefresh } from "./catalog/refresh.ts";
import type { Config } from "./config.ts";
import { showFileErrors } from "./excerpt.ts";
import { createApp, type Health } from "./http/app.ts";
import { cuttingOff } from "./http/slow-caller.ts";
import type { LiveRules } from "./live-rules/watch.ts";
import { followRules, type RulesWorld } from "./live-rules.ts";
import { closeParts, healthOf, keepHouse, type Parts, startParts } from "./parts.ts";
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

/** A part of what was learnt is saved this often; there are four. */
const SAVE_PART_MS = 20_000;
/** Callers who connect in the same moment, as after a restart; Node's 511 would leave the others to their timeouts. */
const BACKLOG = 4_096;

export interface RouterOptions extends SettingsInput {
  log(message: string): void;
}

export interface Router {
  url: string;
  config: Config;
  /** Callers have keys of their own. */
  hasKeys: boolean;
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
  const ledger = await openLedgerOf(config, options.log).catch((error: Error) => {
    rules.close();
    void simulator?.close();
    throw new StartError(error.message);
  });
  const state = { isDraining: false };
  const parts = startParts({ config, rules, ledger, log: options.log });
  const { traffic, callers } = parts;
  const health = () => healthOf(config, state.isDraining, parts);
  const app = appOf({ config, log: options.log, health }, parts);
  const listener = cuttingOff(getRequestListener(app.fetch), config.sendTimeoutMs);
  const server = await listen(createServer(listener), config).catch(async (error: Error) => {
    rules.close();
    callers.close();
    await Promise.all([ledger.close(), simulator?.close()]);
    throw error;
  });
  const refresher = refreshCatalog(options, settings, (fresh) => {
    Object.assign(world, worldWith(fresh, simulator));
    void rules.reload();
  });
  const saving = setInterval(() => keepHouse(parts), SAVE_PART_MS);
  const close = async () => {
    state.isDraining = true;
    rules.close();
    await refresher?.close();
    // Whoever still waits for a turn is told at once: the callers' own retries find another process.
    traffic.limits.close();
    await drain(server);
    clearInterval(saving);
    await closeParts(parts);
    await simulator?.close();
  };
  return {
    url: urlOf(server, config.host),
    config,
    hasKeys: callers.status().keys > 0,
    get snapshot() {
      return rules.current();
    },
    rules,
    forgetOutages: () => traffic.forgetOutages(),
    refreshCatalog: async () => refresher?.refresh() ?? "off",
    close,
  };
}

interface Served {
  config: Config;
  health(): Health;
  log(message: string): void;
}

function appOf(
  { config, health, log }: Served,
  { gateway, rules, learning, ids, callers, budgets, reports }: Parts,
): ReturnType<typeof createApp> {
  return createApp({
    ...callers.app,
    gateway,
    inbound: openaiChatInbound,
    snapshot: () => rules.current(),
    spentOf: (caller) => budgets.spentOf(caller),
    budgetsOf: (caller) => budgets.budgetsOf(caller),
    expectedTokens: (request, { key }) => learning.expectedTokens(request, key),
    version: VERSION,
    maxBodyBytes: config.maxBodyBytes,
    sendTimeoutMs: config.sendTimeoutMs,
    nowMs: Date.now,
    newRequestId: (nowMs) => ids.requestId(nowMs),
    reports,
    health,
    log,
  });
}

function openLedgerOf(
  { dataDir, retention, onLedgerFailure }: Config,
  log: (message: string) => void,
): Promise<Ledger> {
  return openLedger({ dir: dataDir, retention, onFailure: onLedgerFailure, log });
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
    const { host, port } = config;
    server.listen({ host, port, backlog: BACKLOG }, () => resolve(server));
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

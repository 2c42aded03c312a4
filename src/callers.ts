// Builds what the router knows of its callers: their keys, what those allow, and the routes that change them.
import { isLoopback } from "./config/environment.ts";
import type { Config } from "./config.ts";
import { keyOperations } from "./http/admin-keys.ts";
import type { AppOptions } from "./http/app.ts";
import type { IdSource } from "./ids.ts";
import { createKeyRing, type KeyRing } from "./key-ring.ts";
import { createCallerGate } from "./limits/callers.ts";
import { openKeyReader, openKeys } from "./store/keys.ts";

export interface Callers {
  app: Pick<AppOptions, "doors" | "adminOperations" | "callerGate">;
  status: KeyRing["status"];
  hasKey: KeyRing["has"];
  close(): void;
}

export interface CallersOptions {
  config: Pick<Config, "apiKey" | "adminKey" | "dataDir" | "host" | "onLedgerFailure">;
  ids: IdSource;
  nowMs(): number;
  log(message: string): void;
}

/** Requests wait as long as a write of keys does; the ledger's own writes take a few milliseconds. */
const BUSY_TIMEOUT_MS = 250;

/** The ledger must have brought the database up to date. Throws when the keys cannot be read, unless the router is to go on
 *  without its ledger: then keys of callers open nothing. */
export function startCallers(options: CallersOptions): Callers {
  try {
    return startWithKeys(options);
  } catch (error) {
    if (options.config.onLedgerFailure === "refuse") throw error;
    options.log(
      `ALARM: the keys of callers cannot be read: ${(error as Error).message}. None is valid until the router is started ` +
        "again; only SIGNALBOX_API_KEY is.",
    );
    return startWithoutKeys(options);
  }
}

function startWithoutKeys({ config: { apiKey, adminKey }, nowMs }: CallersOptions): Callers {
  const keys: KeyRing = {
    find: () => undefined,
    has: () => false,
    isEmpty: false,
    refresh() {},
    status: () => ({ keys: 0, failed: "the keys of callers cannot be read" }),
  };
  const doors = { apiKey, adminKey, keys, isLoopback: false };
  return {
    app: { doors, adminOperations: [], callerGate: createCallerGate(nowMs) },
    status: () => keys.status(),
    hasKey: (id) => keys.has(id),
    close() {},
  };
}

function startWithKeys({ config, ids, nowMs, log }: CallersOptions): Callers {
  const { apiKey, adminKey, dataDir, host } = config;
  const reader = openKeyReader(dataDir);
  const table = openKeys(dataDir, BUSY_TIMEOUT_MS);
  const ring = createKeyRing({ reader, nowMs, log });
  const adminOperations = keyOperations({
    table,
    ring,
    nowMs,
    newKeyId: () => ids.randomId("key_"),
    randomText: (length) => ids.randomText(length),
  });
  const doors = { apiKey, adminKey, keys: ring, isLoopback: isLoopback(host) };
  return {
    app: { doors, adminOperations, callerGate: createCallerGate(nowMs) },
    status: () => ring.status(),
    hasKey: (id) => ring.has(id),
    close() {
      reader.close();
      table.close();
    },
  };
}

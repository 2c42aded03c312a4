// Builds what the router knows of its callers: their keys, what those allow, and the routes that change them.
import type { Config } from "./config.ts";
import { isLoopback } from "./environment.ts";
import { keyOperations } from "./http/admin-keys.ts";
import type { AppOptions } from "./http/app.ts";
import type { IdSource } from "./ids.ts";
import { createKeyRing, type KeyRing } from "./key-ring.ts";
import { createCallerGate } from "./limits/callers.ts";
import { openKeyReader, openKeys } from "./store/keys.ts";

export interface Callers {
  app: Pick<AppOptions, "doors" | "adminOperations" | "callerGate">;
  status: KeyRing["status"];
  close(): void;
}

export interface CallersOptions {
  config: Pick<Config, "apiKey" | "adminKey" | "dataDir" | "host">;
  ids: IdSource;
  nowMs(): number;
  log(message: string): void;
}

/** Requests wait as long as a write of keys does; the ledger's own writes take a few milliseconds. */
const BUSY_TIMEOUT_MS = 250;

/** The ledger must have brought the database up to date. Throws when the keys cannot be read. */
export function startCallers({ config, ids, nowMs, log }: CallersOptions): Callers {
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
    close() {
      reader.close();
      table.close();
    },
  };
}

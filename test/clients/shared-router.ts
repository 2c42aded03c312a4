// One router for a group of tests: starting one for each would take longer than all that the clients do.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, vi } from "vitest";
import { type Router, startRouter } from "../../src/main.ts";
import { type Simulator, startSimulator } from "../../src/simulator/server.ts";
import { type LedgerRows, providerEnv, readLedger, temporaryFolder } from "../support/router.ts";
import { API_KEY } from "./client.ts";

export interface SharedRouter {
  /** What a client is given: the address up to `/v1`. */
  baseURL: string;
  /** `requests` are those of the running test; its script does not outlive it. */
  simulator: Simulator;
  openai: OpenAI;
  /** What the last calls taught about limits and outages is nothing to the next. */
  forgetOutages(): void;
  /** The rows of the running test, when all that was begun is settled. */
  ledger(): Promise<LedgerRows>;
}

/** Starts with the first test of the surrounding `describe` and closes after its last. */
export function shareRouter(): () => SharedRouter {
  const dir = temporaryFolder();
  let simulator: Simulator;
  let router: Router;
  let testStartMs = 0;
  beforeAll(async () => {
    const rules = join(dir, "routing-rules");
    mkdirSync(rules);
    writeFileSync(join(rules, "none.yaml"), "version: 1\n");
    writeFileSync(join(dir, "signalbox.yaml"), "");
    simulator = await startSimulator({ record: true });
    const flags = { port: "0", config: join(dir, "signalbox.yaml"), rules, data: join(dir, "data") };
    router = await startRouter({ flags, env: providerEnv(simulator.url), log: () => {} });
  });
  beforeEach(() => {
    testStartMs = Date.now();
    simulator.requests.length = 0;
    simulator.setScript(undefined);
    router.forgetOutages();
  });
  afterAll(async () => {
    await router.close();
    await simulator.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return () => {
    const baseURL = `${router.url}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: API_KEY, maxRetries: 0 });
    const { forgetOutages } = router;
    return {
      baseURL,
      simulator,
      openai,
      forgetOutages,
      ledger: () => settledRows(router.url, join(dir, "data"), testStartMs),
    };
  };
}

function settledRows(url: string, dataDir: string, sinceMs: number): Promise<LedgerRows> {
  const isOf = (column: string) => (row: Record<string, unknown>) => (row[column] as number) >= sinceMs;
  return vi.waitFor(
    async () => {
      const health = (await (await fetch(`${url}/health`)).json()) as { ledger: { pendingRows: number } };
      if (health.ledger.pendingRows > 0) throw new Error("rows are on their way into the ledger");
      const rows = readLedger(dataDir);
      const requests = rows.requests.filter(isOf("received_at_ms"));
      const attempts = rows.attempts.filter(isOf("opened_at_ms"));
      const booked = new Set(requests.map((row) => row.request_id));
      const open = attempts.filter((row) => row.state === "open" || !booked.has(row.request_id));
      if (open.length > 0) throw new Error(`${open.length} attempts are not settled`);
      return { requests, attempts };
    },
    { interval: 2, timeout: 5_000 },
  );
}

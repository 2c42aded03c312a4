// A whole router on loopback for a test: real sockets, a ledger in a temporary folder, simulated providers behind the
// ordinary dialects.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import OpenAI from "openai";
import { onTestFinished } from "vitest";
import { type Router, startRouter } from "../../src/main.ts";
import { type Simulator, startSimulator } from "../../src/simulator/server.ts";
import { unpackStory } from "../../src/store/story.ts";

export interface TestRouter {
  url: string;
  simulator: Simulator;
  router: Router;
  /** The official SDK, only `baseURL` and key changed. It does not retry, so that every failure is seen. */
  openai: OpenAI;
  post(body: unknown, init?: RequestInit): Promise<Response>;
  logs: string[];
  configPath: string;
  /** Stops the router, which flushes the ledger, and reads it. */
  ledger(): Promise<LedgerRows>;
}

export interface LedgerRows {
  requests: Record<string, unknown>[];
  attempts: Record<string, unknown>[];
}

export interface TestRouterOptions {
  env?: Record<string, string>;
  /** Text of signalbox.yaml. */
  config?: string;
  /** Text of the only rule file. */
  rules?: string;
}

/** Providers openai, anthropic and google are enabled and live in one recording simulator. */
export async function startTestRouter(options: TestRouterOptions = {}): Promise<TestRouter> {
  const dir = temporaryFolder();
  const simulator = await startSimulator({ record: true });
  writeFileSync(join(dir, "signalbox.yaml"), options.config ?? "");
  const rules = join(dir, "routing-rules");
  mkdirSync(rules);
  writeFileSync(join(rules, "test.yaml"), options.rules ?? "version: 1\n");
  const logs: string[] = [];
  const router = await startRouter({
    flags: { port: "0", config: join(dir, "signalbox.yaml"), rules, data: join(dir, "data") },
    env: { ...providerEnv(simulator.url), ...options.env },
    log: (message) => logs.push(message),
  });
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= router.close());
  onTestFinished(async () => {
    await close();
    await simulator.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const openai = new OpenAI({ baseURL: `${router.url}/v1`, apiKey: "sk-caller", maxRetries: 0 });
  return {
    url: router.url,
    simulator,
    router,
    openai,
    logs,
    configPath: join(dir, "signalbox.yaml"),
    post: (body, init) => postChat(router.url, body, init),
    async ledger() {
      await close();
      return readLedger(join(dir, "data"));
    },
  };
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "signalbox-"));
}

/** Three providers that answer from a simulator. */
export function providerEnv(simulatorUrl: string): Record<string, string> {
  return {
    OPENAI_API_KEY: "sk-test-openai-canary",
    OPENAI_BASE_URL: `${simulatorUrl}/openai/v1`,
    ANTHROPIC_API_KEY: "sk-ant-test-canary",
    ANTHROPIC_BASE_URL: `${simulatorUrl}/anthropic`,
    GEMINI_API_KEY: "AIza-test-canary",
    GEMINI_BASE_URL: `${simulatorUrl}/google/v1beta`,
  };
}

export function readLedger(dataDir: string): LedgerRows {
  const db = new Database(join(dataDir, "signalbox.db"), { readonly: true });
  try {
    return {
      requests: rowsOf(db, "SELECT * FROM requests ORDER BY request_id").map(({ story, figures, ...row }) => ({
        ...row,
        ...unpackStory({ text: String(story), figures: String(figures) }),
      })),
      attempts: rowsOf(db, "SELECT * FROM attempts ORDER BY request_id, attempt"),
    };
  } finally {
    db.close();
  }
}

function rowsOf(db: Database.Database, sql: string): Record<string, unknown>[] {
  return db.prepare(sql).all() as Record<string, unknown>[];
}

export function postChat(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
    headers: { "content-type": "application/json", ...init.headers },
  });
}

// Others' gateways, each a process with an empty environment, installed beside the bench or taken from the machine. Where
// one cannot be had, the reason is an error's message and the run goes on without it.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { MODELS } from "./answers.ts";
import { sampleTree } from "./process-tree.ts";
import type { Scenario } from "./scenarios.ts";
import { bounded, type Subject, startSubject, watch } from "./subject.ts";

export interface Peer {
  name: string;
  version(): Promise<string>;
  start(options: PeerOptions): Promise<Subject>;
  ask(scenario: Scenario, upstreamUrl: string): Asking | undefined;
}

/** How a system is asked; undefined `end`: as OpenAI's answers end. */
export interface Asking {
  model: string;
  headers: Record<string, string>;
  end?: string;
}

interface PeerOptions {
  dir: string;
  upstreamUrl: string;
  profileDir: string | undefined;
}

const run = promisify(execFile);
const PEERS_DIR = join(import.meta.dirname, "peers");
const LITELLM_BIN = join(PEERS_DIR, "litellm", "bin");
/** A call costs it ten times what it costs the others: what would take it minutes, or more than a machine. */
const LITELLM_LEAVES_OUT = /^(json-(10k|100k|1m)|stream-1000|held|google-.*)$/;
/** It does not start without one. */
const LITELLM_KEY = "sk-bench-0123456789abcdef0123456789abcdef";
const NGINX_DIRS = ["/usr/sbin", join(PEERS_DIR, "nginx", "usr", "sbin")];
const INSTALL_MS_MAX = 180_000;
const START_MS_MAX = 60_000;

const PORTKEY_VERSION = "1.15.2";
/** With the version it asks for (any 1.3), streams fail on a Node of today. */
const PORTKEY_NODE_SERVER = "1.13.8";

export const portkey: Peer = {
  name: "portkey",
  version: async () => `${PORTKEY_VERSION} (@hono/node-server ${PORTKEY_NODE_SERVER})`,
  async start({ dir, profileDir }) {
    const path = await installPortkey();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const script = { path, args: [`--port=${port}`, "--headless"] };
    const subject = await startSubject("portkey", { script, dir, env: { BENCH_URL: url }, profileDir });
    await Promise.race([listening(url), subject.death]);
    return subject;
  },
  ask: ({ dialect }, upstreamUrl) => ({
    model: MODELS[dialect],
    headers: {
      authorization: "Bearer sk-upstream",
      "x-portkey-provider": dialect,
      // It adds Google's version to the address itself.
      "x-portkey-custom-host": dialect === "google" ? upstreamUrl : `${upstreamUrl}/v1`,
    },
    // Its streams of Gemini have no end marker.
    ...(dialect === "google" && { end: "}" }),
  }),
};

async function installPortkey(): Promise<string> {
  const home = join(PEERS_DIR, "portkey");
  const path = join(home, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js");
  if (existsSync(path)) return path;
  mkdirSync(home, { recursive: true });
  const manifest = {
    private: true,
    dependencies: { "@portkey-ai/gateway": PORTKEY_VERSION },
    overrides: { "@hono/node-server": PORTKEY_NODE_SERVER },
  };
  writeFileSync(join(home, "package.json"), JSON.stringify(manifest));
  const flags = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
  await run("npm", flags, { cwd: home, timeout: INSTALL_MS_MAX }).catch((error: Error) => {
    throw new Error(`npm cannot install it: ${error.message.trim().split("\n").at(-1)}`);
  });
  return path;
}

/** LiteLLM's proxy where it is on the PATH, or in a virtual environment at bench/peers/litellm. */
export const litellm: Peer = {
  name: "litellm",
  version: () => said(find("litellm", LITELLM_BIN), "--version"),
  async start({ dir, upstreamUrl }) {
    const command = find("litellm", LITELLM_BIN);
    const port = await freePort();
    const bases = { openai: `${upstreamUrl}/v1`, anthropic: upstreamUrl, google: `${upstreamUrl}/v1beta` };
    const names = { openai: "openai", anthropic: "anthropic", google: "gemini" };
    const models = (["openai", "anthropic"] as const).map((dialect) => ({
      model_name: MODELS[dialect],
      litellm_params: {
        ...{ model: `${names[dialect]}/${MODELS[dialect]}`, api_base: bases[dialect], api_key: "sk-upstream" },
      },
    }));
    writeFileSync(join(dir, "config.yaml"), JSON.stringify({ model_list: models }));
    const args = ["--config", "config.yaml", "--host", "127.0.0.1", "--port", String(port), "--num_workers", "1"];
    const env = {
      LITELLM_LOCAL_MODEL_COST_MAP: "True",
      LITELLM_LOG: "ERROR",
      LITELLM_MASTER_KEY: LITELLM_KEY,
      HOME: dir,
    };
    return startForeign("litellm", { command, args, dir, env, url: `http://127.0.0.1:${port}` });
  },
  ask: ({ id, dialect }) =>
    LITELLM_LEAVES_OUT.test(id)
      ? undefined
      : { model: MODELS[dialect], headers: { authorization: `Bearer ${LITELLM_KEY}` } },
};

/** The limit of what a proxy in C does that looks into nothing. */
export const nginx: Peer = {
  name: "nginx",
  version: () => said(find("nginx", ...NGINX_DIRS), "-v"),
  async start({ dir, upstreamUrl }) {
    const command = find("nginx", ...NGINX_DIRS);
    const port = await freePort();
    writeFileSync(join(dir, "nginx.conf"), nginxConf(port, new URL(upstreamUrl).host, dir));
    const args = ["-p", dir, "-e", join(dir, "error.log"), "-c", join(dir, "nginx.conf")];
    return startForeign("nginx", { command, args, dir, env: {}, url: `http://127.0.0.1:${port}` });
  },
  ask: ({ dialect }) =>
    dialect === "openai" ? { model: MODELS.openai, headers: { authorization: "Bearer sk-any" } } : undefined,
};

/** The number in what a program says of its version. */
async function said(command: string, flag: string): Promise<string> {
  const { stdout, stderr } = await run(command, [flag], { timeout: START_MS_MAX });
  return /\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? "unknown";
}

function nginxConf(port: number, upstream: string, dir: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) => `${of}_temp_path ${dir}/${of};`);
  return `daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log;
events { worker_connections 16384; }
http {
  access_log off; ${temporary.join(" ")}
  client_max_body_size 64m; client_body_buffer_size 2m;
  upstream bench { server ${upstream}; keepalive 4096; }
  server {
    listen 127.0.0.1:${port} backlog=4096; keepalive_requests 1000000000;
    location / { proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`;
}

function find(command: string, ...more: string[]): string {
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...more];
  const path = folders.map((folder) => join(folder, command)).find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`this machine has no ${command}`);
  return path;
}

interface Foreign {
  command: string;
  args: string[];
  dir: string;
  env: Record<string, string>;
  url: string;
}

async function startForeign(name: string, { command, args, dir, env, url }: Foreign): Promise<Subject> {
  if (!existsSync("/proc/self/stat")) throw new Error("its CPU time can be read on Linux only");
  const child = spawn(command, args, {
    cwd: dir,
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  // Without a channel to this process it would outlive it.
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  const { ended, death, stopping } = watch(child, name);
  await Promise.race([listening(url), death]).catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return { name, url, death, sample: async () => sampleTree(pidOf(child)), stop, kill: end };

  function stop(): Promise<void> {
    stopping();
    process.off("exit", end);
    child.kill("SIGTERM");
    return bounded(ended, `${name} did not stop`);
  }
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error("the process has not started");
  return pid;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

/** Until something answers there, whatever it says. */
async function listening(url: string): Promise<void> {
  const stopAtMs = performance.now() + START_MS_MAX;
  while (performance.now() < stopAtMs) {
    const isUp = await fetch(url).then(
      () => true,
      () => false,
    );
    if (isUp) return;
    await delay(20);
  }
  throw new Error(`it does not listen after ${START_MS_MAX} ms`);
}

// The parent's side of a measured process: starts it, asks what it has used, stops it, notices when it dies.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { FromSubject, Sample, ToSubject } from "./control.ts";

export type ProcessName = "upstream" | "floor" | "signalbox";

export interface Subject {
  name: ProcessName;
  url: string;
  sample(): Promise<Sample>;
  /** Ends the process in an orderly way. Rejects when it does not end, or ends badly. */
  stop(): Promise<void>;
  kill(): void;
  /** Never resolves; rejects when the process ends before it was told to. */
  death: Promise<never>;
}

export interface SubjectOptions {
  /** Working directory: a fresh one, so that no configuration lying about is picked up. */
  dir: string;
  env: Record<string, string>;
  /** Where a CPU profile of the process's whole life goes. */
  profileDir: string | undefined;
}

/** Something is broken: the numbers of this run are worthless, and the message says why. */
export class BenchFailure extends Error {
  override readonly name = "BenchFailure";
}

const ANSWER_MS_MAX = 30_000;
const STDERR_CHARS_MAX = 2_000;

/** Resolves when the process listens. */
export async function startSubject(name: ProcessName, options: SubjectOptions): Promise<Subject> {
  const child = spawnSubject(name, options);
  let stderr = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    stderr = (stderr + bytes).slice(-STDERR_CHARS_MAX);
  });
  let isStopping = false;
  const ended = once(child, "close").then(([code, signal]) => {
    if (isStopping && code === 0) return;
    throw new BenchFailure(`${name} ended with ${signal ?? `exit code ${code}`}: ${stderr.trim() || "no message"}`);
  });
  const death = ended.then(() => new Promise<never>(() => {}));
  // Whoever waits for something else races it; nobody else needs to know.
  death.catch(() => {});
  const nextMessage = async <K extends FromSubject["kind"]>(kind: K) => {
    const [message] = await bounded(Promise.race([once(child, "message"), death]), `${name} gave no "${kind}"`);
    if (message.kind !== kind) throw new BenchFailure(`${name} answered "${message.kind}" instead of "${kind}"`);
    return message as Extract<FromSubject, { kind: K }>;
  };
  const tell = (message: ToSubject) => child.send(message);
  const { url } = await nextMessage("ready").catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return {
    name,
    url,
    death,
    sample() {
      const answer = nextMessage("sample");
      tell({ kind: "sample" });
      return answer;
    },
    stop() {
      isStopping = true;
      tell({ kind: "stop" });
      return bounded(ended, `${name} did not stop`);
    },
    kill: () => child.kill("SIGKILL"),
  };
}

function spawnSubject(name: ProcessName, { dir, env, profileDir }: SubjectOptions): ChildProcess {
  const profile = ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}.cpuprofile`];
  const script = join(import.meta.dirname, `${name}.ts`);
  return spawn(process.execPath, [...(profileDir === undefined ? [] : profile), script], {
    cwd: dir,
    // Nothing of the caller's environment: a provider key or NODE_OPTIONS in it would change what is measured.
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

async function bounded<T>(promise: Promise<T>, complaint: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new BenchFailure(`${complaint} within ${ANSWER_MS_MAX} ms`)), ANSWER_MS_MAX);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

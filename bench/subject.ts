// The parent's side of a measured process: starts it, asks what it has used, stops it, notices when it dies.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { FromSubject, Sample, ToSubject } from "./control.ts";

export interface Subject {
  name: string;
  url: string;
  sample(): Promise<Sample>;
  /** Ends the process in an orderly way. Rejects when it does not end, or ends badly. */
  stop(): Promise<void>;
  kill(): void;
  /** Never resolves; rejects when the process ends before it was told to. */
  death: Promise<never>;
}

export interface SubjectOptions {
  /** A program of the bench, or a program with arguments that is run on the same Node with the control channel added. */
  script: string | { path: string; args: string[] };
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

/** Resolves when the process listens; a program of others, when it has begun to run. */
export async function startSubject(name: string, options: SubjectOptions): Promise<Subject> {
  const child = spawnSubject(name, options);
  const { death, ended, stopping } = watch(child, name);
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
      stopping();
      tell({ kind: "stop" });
      return bounded(ended, `${name} did not stop`);
    },
    kill: () => child.kill("SIGKILL"),
  };
}

/** Rejects with what the process said last when it ends without having been asked to. */
export function watch(child: ChildProcess, name: string) {
  let stderr = "";
  child.stderr?.on("data", (bytes: Buffer) => {
    stderr = (stderr + bytes).slice(-STDERR_CHARS_MAX);
  });
  let isStopping = false;
  const ended = once(child, "close").then(([code, signal]) => {
    if (isStopping && (code === 0 || signal !== null)) return;
    throw new BenchFailure(`${name} ended with ${signal ?? `exit code ${code}`}: ${stderr.trim() || "no message"}`);
  });
  const death = ended.then(() => new Promise<never>(() => {}));
  // Whoever waits for something else races it; nobody else needs to know.
  death.catch(() => {});
  const stopping = () => {
    isStopping = true;
  };
  return { ended, death, stopping };
}

function spawnSubject(name: string, { script, dir, env, profileDir }: SubjectOptions): ChildProcess {
  const profile = ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}.cpuprofile`];
  const program =
    typeof script === "string"
      ? [join(import.meta.dirname, script)]
      : ["--import", join(import.meta.dirname, "peer-control.ts"), script.path, ...script.args];
  return spawn(process.execPath, [...(profileDir === undefined ? [] : profile), ...program], {
    cwd: dir,
    // Nothing of the caller's environment: a provider key or NODE_OPTIONS in it would change what is measured.
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

export async function bounded<T>(promise: Promise<T>, complaint: string, msMax = ANSWER_MS_MAX): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new BenchFailure(`${complaint} within ${msMax} ms`)), msMax);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

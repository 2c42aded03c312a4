// The real command in a process of its own.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { onTestFinished } from "vitest";

const CLI = new URL("../../src/bin.js", import.meta.url).pathname;

export interface Serving {
  url: string;
  output(): string;
  process: ChildProcess;
  /** Resolves with the exit code, or the signal's name. */
  exited: Promise<number | string>;
}

/** The environment of a machine without any provider key or setting. */
function bareEnv(extra: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...extra };
}

/** Starts `signalbox <args>` and waits for the address it prints. */
export async function serving(
  args: string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Serving> {
  const child = spawn(process.execPath, [CLI, ...args], { env: bareEnv(options.env), cwd: options.cwd });
  const exited = new Promise<number | string>((resolve) => {
    child.on("exit", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  let output = "";
  const url = await new Promise<string>((resolve, reject) => {
    const read = (part: Buffer) => {
      output += part.toString();
      const found = /(?:listening on|providers on) (http:\S+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    void exited.then((code) => reject(new Error(`exited with ${code} before it listened:\n${output}`)));
  });
  return { url, output: () => output, process: child, exited };
}

/** Runs `signalbox <args>` to its end. */
export function signalbox(args: string[], options: { env?: Record<string, string>; cwd?: string } = {}) {
  const done = spawnSync(process.execPath, [CLI, ...args], {
    env: bareEnv(options.env),
    cwd: options.cwd,
    encoding: "utf8",
  });
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}

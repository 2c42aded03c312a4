#!/usr/bin/env node
// The `signalbox` command. Runs the TypeScript of a checkout or the JavaScript of a package, on a Node that can: in a
// checkout the pinned one is used when the machine's own is too old to run TypeScript as it stands.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
// As a whole: older versions of Node, which only start a newer one here, do not have what is used of it.
import module from "node:module";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const compiled = here("../dist/src/cli.js");
const entry = existsSync(here("cli.ts")) ? here("cli.ts") : compiled;
const [major, minor] = process.versions.node.split(".").map(Number);
const MALLOC_NAMES = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES"];
const HEAP_FLAG = "--max-semi-space-size";
const pinned = here("../node_modules/node/bin/node");

if (major > 22 || (major === 22 && minor >= 19)) {
  // What was compiled is kept beside the packages, by content: the next start takes half the time and 30 MB less. Threads
  // know of it by the variable. Where it cannot be written, nothing is kept.
  const cache = process.env.NODE_COMPILE_CACHE ?? here("../node_modules/.cache/signalbox");
  if (module.enableCompileCache(cache).directory !== undefined) process.env.NODE_COMPILE_CACHE = cache;
  if (process.argv[2] === "serve") beFrugal();
  await import(entry);
} else if (existsSync(pinned)) {
  const child = spawn(pinned, [here("bin.js"), ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
} else {
  console.error(`signalbox needs Node 22.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

/**
 * What lives for long starts once more, in the same process, with what only a start can set: a young heap of 8 MB, since left
 * to itself it grows past 100 under load; and how glibc gives memory back, since by itself it learns from the first large
 * bodies to keep their buffers, in each thread's arena (`bench/README.md`, the soak). Whoever sets either is not overruled.
 */
function beFrugal() {
  const { env, execArgv, execve, platform, channel } = process;
  const isMallocSet = MALLOC_NAMES.some((name) => env[name] !== undefined);
  const isHeapSet = [...execArgv, env.NODE_OPTIONS ?? ""].some((option) => option.includes(HEAP_FLAG));
  // A channel to a parent would be lost. Where both are set, this is the second start, or there is nothing to add.
  if (platform !== "linux" || execve === undefined || channel !== undefined || (isMallocSet && isHeapSet)) return;
  const flags = isHeapSet ? execArgv : [...execArgv, `${HEAP_FLAG}=8`];
  const environment = isMallocSet ? env : { ...env, MALLOC_MMAP_THRESHOLD_: "131072", MALLOC_ARENA_MAX: "2" };
  try {
    execve(process.execPath, [process.execPath, ...flags, ...process.argv.slice(1)], environment);
  } catch {
    // Forbidden here: it runs all the same.
  }
}

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
const pinned = here("../node_modules/node/bin/node");

if (major > 22 || (major === 22 && minor >= 19)) {
  // What was compiled is kept beside the packages, by content: the next start takes half the time and 30 MB less. Threads
  // know of it by the variable. Where it cannot be written, nothing is kept.
  const cache = process.env.NODE_COMPILE_CACHE ?? here("../node_modules/.cache/signalbox");
  if (module.enableCompileCache(cache).directory !== undefined) process.env.NODE_COMPILE_CACHE = cache;
  await import(entry);
} else if (existsSync(pinned)) {
  const child = spawn(pinned, [here("bin.js"), ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
} else {
  console.error(`signalbox needs Node 22.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

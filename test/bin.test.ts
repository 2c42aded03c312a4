// The command as the shell finds it: on whatever Node the machine has.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { VERSION } from "../src/settings.ts";
import { temporaryFolder } from "./support/router.ts";

const BIN = new URL("../src/bin.js", import.meta.url).pathname;

/** The command on the first `node` beyond those that npm puts in front. */
function onMachinesNode(...args: string[]) {
  const path = (process.env.PATH ?? "").split(":").filter((folder) => !folder.endsWith("node_modules/.bin"));
  return spawnSync("node", args, { encoding: "utf8", env: { PATH: path.join(":"), HOME: process.env.HOME } });
}

test("runs on the machine's own Node, which may be too old to run TypeScript as it stands", (context) => {
  const { stdout: found } = onMachinesNode("--version");
  if (found === null || found === "") context.skip("the machine has no Node of its own");
  expect(onMachinesNode(BIN, "--version")).toMatchObject({ stdout: `${VERSION}\n`, stderr: "", status: 0 });
});

test("keeps what it compiled where the variable says, and works where nothing can be kept", () => {
  const run = (cache: string) => {
    const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: cache };
    return spawnSync(process.execPath, [BIN, "--version"], { encoding: "utf8", env });
  };
  const folder = temporaryFolder();
  expect(run(folder)).toMatchObject({ stdout: `${VERSION}\n`, status: 0 });
  expect(readdirSync(folder)).not.toEqual([]);
  expect(run("/dev/null/nowhere")).toMatchObject({ stdout: `${VERSION}\n`, status: 0 });
});

const HEAP = "--max-semi-space-size";
const MALLOC = "MALLOC_MMAP_THRESHOLD_";
const ARENAS = "MALLOC_ARENA_MAX";

test.skipIf(process.platform !== "linux").each<[string, NodeJS.ProcessEnv, seen: unknown]>([
  [
    "a small young heap and a frugal malloc",
    {},
    { heap: `${HEAP}=8`, threshold: `${MALLOC}=131072`, arenas: `${ARENAS}=2` },
  ],
  [
    "the operator's heap",
    { NODE_OPTIONS: `${HEAP}=32` },
    { heap: undefined, threshold: `${MALLOC}=131072`, arenas: `${ARENAS}=2` },
  ],
  ["the operator's malloc", { [ARENAS]: "4" }, { heap: `${HEAP}=8`, threshold: undefined, arenas: `${ARENAS}=4` }],
])("the server runs with %s, as the process that was started", async (_, given, seen) => {
  const env = { PATH: process.env.PATH, SIGNALBOX_DATA: temporaryFolder(), SIGNALBOX_PORT: "0", ...given };
  const child = spawn(process.execPath, [BIN, "serve"], { env, stdio: ["ignore", "pipe", "ignore"] });
  try {
    let told = "";
    for await (const text of child.stdout.setEncoding("utf8")) {
      told += text;
      if (told.includes("is listening")) break;
    }
    const has = (file: string, name: string) =>
      readFileSync(`/proc/${child.pid}/${file}`, "utf8")
        .split("\0")
        .find((part) => part.startsWith(name));
    const malloc = { threshold: has("environ", MALLOC), arenas: has("environ", ARENAS) };
    expect({ heap: has("cmdline", HEAP), ...malloc }).toEqual(seen);
  } finally {
    child.kill("SIGTERM");
  }
  expect(await once(child, "exit")).toEqual([0, null]);
});

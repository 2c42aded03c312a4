// The command as the shell finds it: on whatever Node the machine has.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
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

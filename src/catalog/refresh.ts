// Keeps prices fresh while the router runs, for operators who ask for it: a catalogue fetched from their URL, never needed
// at the start, never used when it looks wrong, kept on disk for the next start.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Agent } from "undici";
import { type CatalogFile, parseCatalog } from "../catalog.ts";
import { type CatalogChange, diffCatalogs } from "./diff.ts";

const FILE_NAME = "catalog.json";
const MAX_BYTES = 16 * 1024 ** 2;
const TIMEOUT_MS = 30_000;
/** More models than this share may not vanish at once: that is a broken file, not a price list. */
const VANISHED_SHARE_MAX = 0.05;

export interface RefreshOptions {
  url: string;
  everyMs: number;
  /** Where the last good one is kept. */
  dataDir: string;
  current(): CatalogFile;
  /** Takes a new one into use. */
  onChange(file: CatalogFile): void;
  log(message: string): void;
}

export interface Refresher {
  /** Fetches now; answers with what came of it. */
  refresh(): Promise<"changed" | "same" | "refused">;
  close(): Promise<void>;
}

/** Fetches every so often, the first time after one period: the start never waits for a network. */
export function startRefresh(options: RefreshOptions): Refresher {
  const agent = new Agent({ connect: { timeout: 5_000 }, allowH2: false });
  const refresh = () => refreshOnce(agent, options);
  const timer = setInterval(() => void refresh(), options.everyMs);
  timer.unref();
  return {
    refresh,
    close: () => {
      clearInterval(timer);
      return agent.destroy();
    },
  };
}

/** The last good one that was fetched, if there is one that can be read. */
export function readKept(dataDir: string): CatalogFile | undefined {
  const path = join(dataDir, FILE_NAME);
  try {
    return parseCatalog(readFileSync(path, "utf8"), path);
  } catch {
    return undefined;
  }
}

async function refreshOnce(agent: Agent, options: RefreshOptions): Promise<"changed" | "same" | "refused"> {
  const fetched = await fetchCatalog(agent, options.url);
  if ("problem" in fetched) return refuse(options, fetched.problem);
  const before = options.current();
  if (fetched.version === before.version) return "same";
  const changes = diffCatalogs(before, fetched);
  const problem = suspicion(before, changes);
  if (problem !== undefined) return refuse(options, problem);
  keep(options.dataDir, fetched);
  options.onChange(fetched);
  options.log(`Catalogue ${fetched.version} is in use (${changes.length} changes since ${before.version}).`);
  return "changed";
}

function refuse({ log, url }: RefreshOptions, problem: string): "refused" {
  log(`The catalogue at ${new URL(url).origin} is not used: ${problem}`);
  return "refused";
}

async function fetchCatalog(agent: Agent, url: string): Promise<CatalogFile | { problem: string }> {
  try {
    const { origin, pathname, search } = new URL(url);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await agent.request({ origin, path: pathname + search, method: "GET", signal });
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of response.body) {
      bytes += part.length;
      if (bytes > MAX_BYTES) return { problem: `it is larger than ${MAX_BYTES} bytes` };
      parts.push(part as Uint8Array);
    }
    if (response.statusCode !== 200) return { problem: `it was answered with status ${response.statusCode}` };
    return parseCatalog(Buffer.concat(parts).toString("utf8"), "it");
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

/** Why a person should look first; `signalbox catalog diff` shows them. */
function suspicion(before: CatalogFile, changes: readonly CatalogChange[]): string | undefined {
  const moved = changes.filter(({ kind, isAlarming }) => kind === "changed" && isAlarming);
  const [first] = moved;
  if (first !== undefined) {
    const others = moved.length > 1 ? ` and ${moved.length - 1} others` : "";
    return `${first.model}'s ${first.field} moves from ${first.before} to ${first.after ?? "nothing"}${others}`;
  }
  const vanished = changes.filter(({ kind }) => kind === "removed").length;
  const models = Object.values(before.providers).reduce((sum, section) => sum + Object.keys(section.models).length, 0);
  return vanished > models * VANISHED_SHARE_MAX ? `${vanished} of ${models} models are gone from it` : undefined;
}

/** Written beside and renamed, so that a crash leaves the old one. */
function keep(dataDir: string, file: CatalogFile): void {
  const path = join(dataDir, FILE_NAME);
  writeFileSync(`${path}.new`, JSON.stringify(file));
  renameSync(`${path}.new`, path);
}

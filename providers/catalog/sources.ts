// The two data sets the catalogue is made of, and how to get at them: one is installed, the other is fetched and checked.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { waitForUpdate } from "@pydantic/genai-prices";
import * as z from "zod";
import type { CatalogSource } from "../../src/catalog.ts";
import type { DialectId } from "../../src/chat.ts";

/** The package does not say when its prices were read: `date` is the day this version was published. Change both together. */
export const PRICES: CatalogSource = { name: "genai-prices", version: "0.1.8", date: "2026-09-23" };
const PRICES_PACKAGE = "@pydantic/genai-prices";

const LIMITS_PACKAGE = "@earendil-works/pi-ai";
const LIMITS_VERSION = "1.5.2";
const LIMITS_SHA512 = "2tWPSnV3qzfiDIY3aWluBag3vC++Vs+VsXt/UquSU5onPMohPih72FUhIhaqmDdMYubOgB3Byl9uF4Vk40JLvQ==";
const LIMITS_FOLDER = "package/dist/providers/data/";

/** Sections of the sources that describe a provider of ours. Absent: the source does not know it. */
export interface Sections {
  /** As in the provider's file (a test compares them); repeated here so that no dialect has to load. */
  dialect: DialectId;
  prices?: string;
  limits?: string;
  /** The provider forwards `model:other` to another one, and the price section of each other begins with this. */
  forwards?: string;
}

const CHAT = "openai-chat";

export const SECTIONS: Record<string, Sections> = {
  anthropic: { dialect: "anthropic-messages", prices: "anthropic", limits: "anthropic" },
  azure: { dialect: CHAT, prices: "azure", limits: "azure" },
  baseten: { dialect: CHAT, prices: "baseten", limits: "baseten" },
  cerebras: { dialect: CHAT, prices: "cerebras", limits: "cerebras" },
  cohere: { dialect: "cohere-chat", prices: "cohere" },
  deepseek: { dialect: CHAT, prices: "deepseek", limits: "deepseek" },
  fireworks: { dialect: CHAT, prices: "fireworks", limits: "fireworks" },
  google: { dialect: "google-generate", prices: "google", limits: "google" },
  groq: { dialect: CHAT, prices: "groq", limits: "groq" },
  huggingface: { dialect: CHAT, limits: "huggingface", forwards: "huggingface_" },
  minimax: { dialect: CHAT, prices: "minimax", limits: "minimax" },
  mistral: { dialect: CHAT, prices: "mistral", limits: "mistral" },
  moonshot: { dialect: CHAT, prices: "moonshotai", limits: "moonshotai" },
  novita: { dialect: CHAT, prices: "novita" },
  nvidia: { dialect: CHAT, limits: "nvidia" },
  openai: { dialect: CHAT, prices: "openai", limits: "openai" },
  openrouter: { dialect: CHAT, prices: "openrouter", limits: "openrouter" },
  perplexity: { dialect: CHAT, prices: "perplexity" },
  together: { dialect: CHAT, prices: "together", limits: "together" },
  xai: { dialect: CHAT, prices: "x-ai", limits: "xai" },
  xiaomi: { dialect: CHAT, limits: "xiaomi" },
  zai: { dialect: CHAT, prices: "zai", limits: "zai" },
};

/** The price sections inlined in the installed package, by id. Never the network. */
export async function readPriceSections() {
  const installed = installedVersion();
  if (installed !== PRICES.version) {
    throw new Error(
      `${PRICES_PACKAGE} ${installed} is installed, but providers/catalog/sources.ts describes ${PRICES.version}: ` +
        `set version and date of PRICES to those of \`npm view ${PRICES_PACKAGE} time\``,
    );
  }
  const sections = (await waitForUpdate()) ?? [];
  return new Map(sections.map((section) => [section.id, section]));
}

function installedVersion(): string {
  const entry = fileURLToPath(import.meta.resolve(PRICES_PACKAGE));
  const manifest: unknown = JSON.parse(readFileSync(join(entry, "..", "..", "package.json"), "utf8"));
  return z.object({ version: z.string() }).parse(manifest).version;
}

/** The data files of the pinned package by section (file name without `.json`), fetched into a temporary folder. */
export function fetchLimitSections(): { source: CatalogSource; sections: Map<string, unknown> } {
  const sections = new Map<string, unknown>();
  let date = "";
  for (const [path, bytes] of untar(gunzipSync(packedLimits()))) {
    if (!(path.startsWith(LIMITS_FOLDER) && path.endsWith(".json"))) continue;
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    const file = path.slice(LIMITS_FOLDER.length, -".json".length);
    if (file === ".manifest") date = z.object({ generatedAt: z.iso.datetime() }).parse(json).generatedAt.slice(0, 10);
    else sections.set(file, json);
  }
  return { source: { name: "pi-ai", version: LIMITS_VERSION, date }, sections };
}

function packedLimits(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "signalbox-catalog-"));
  try {
    const args = ["pack", `${LIMITS_PACKAGE}@${LIMITS_VERSION}`, "--ignore-scripts", "--pack-destination", folder];
    try {
      execFileSync("npm", args, { stdio: ["ignore", "ignore", "pipe"], shell: process.platform === "win32" });
    } catch (cause) {
      throw new Error(
        `\`npm ${args.join(" ")}\` failed. Regenerating the catalogue needs the package registry; running Signalbox does not: ` +
          "it reads the committed providers/catalog.json. Check the network and npm's proxy settings, then try again.",
        { cause },
      );
    }
    const [file] = readdirSync(folder);
    const packed = readFileSync(join(folder, file ?? "nothing was packed"));
    const sha512 = createHash("sha512").update(packed).digest("base64");
    if (sha512 !== LIMITS_SHA512) {
      throw new Error(`${LIMITS_PACKAGE}@${LIMITS_VERSION} has sha512 ${sha512}, expected ${LIMITS_SHA512}: not used`);
    }
    return packed;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Regular files of a tar archive: 512-byte headers (name at 0, octal size at 124, type at 156), contents padded to 512. */
function* untar(archive: Buffer): Generator<[path: string, bytes: Buffer]> {
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const text = (from: number, length: number) =>
      archive.toString("utf8", at + from, at + from + length).replace(/\0.*$/s, "");
    const size = Number.parseInt(text(124, 12), 8);
    const prefix = text(345, 155);
    const type = text(156, 1);
    if (type === "" || type === "0") {
      const path = prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`;
      yield [path, archive.subarray(at + 512, at + 512 + size)];
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

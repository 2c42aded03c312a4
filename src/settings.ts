// What the router and its commands work with: configuration, price list and rules, read and checked together.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { anthropicMessages } from "../providers/dialects/anthropic-messages.ts";
import { bedrockConverse } from "../providers/dialects/bedrock-converse.ts";
import { cohereChat } from "../providers/dialects/cohere-chat.ts";
import { googleGenerate } from "../providers/dialects/google-generate.ts";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as knownProviders } from "../providers/index.ts";
import { SIMULATOR_URL } from "../providers/simulated.ts";
import { readKept } from "./catalog/refresh.ts";
import { type Catalog, type CatalogFile, catalogPath, parseCatalog, toCatalog } from "./catalog.ts";
import { type Config, type Environment, type Flags, loadConfig } from "./config.ts";
import type { EnabledProvider } from "./dialect.ts";
import { createAccessTokens, readServiceAccount } from "./google-auth.ts";
import { readRulesFolder } from "./live-rules/folder.ts";
import { buildRules, type RulesWorld, rulesDirOf } from "./live-rules.ts";
import { packageRoot } from "./package-root.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import { hasKeys } from "./store/keys.ts";
import { type FileError, formatFileError } from "./yaml.ts";

export const VERSION: string = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")).version;

/** What the operator must mend before the router can start; `message` lists it line by line. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export interface SettingsInput {
  flags: Flags;
  env: Environment;
}

export interface Settings {
  config: Config;
  catalog: Catalog;
  /** The file the catalogue was made of. */
  file: CatalogFile;
}

/**
 * Configuration and catalogue, or a StartError that names every mistake. The catalogue is the package's own, or the one
 * that was fetched last where the operator has it refreshed and it is newer.
 */
export function readSettings(input: SettingsInput): Settings {
  const path = catalogPath();
  const settings = settingsWith(input, parseCatalog(readFileSync(path, "utf8"), path));
  const { config, file } = settings;
  const kept = config.catalogUpdate === undefined ? undefined : readKept(config.dataDir);
  return kept === undefined || dateOf(kept) <= dateOf(file) ? settings : settingsWith(input, kept);
}

/** When its newest source was published. */
function dateOf({ sources }: CatalogFile): string {
  return (
    sources
      .map(({ date }) => date)
      .sort()
      .at(-1) ?? ""
  );
}

/** The same over a given catalogue. */
export function settingsWith({ flags, env }: SettingsInput, file: CatalogFile): Settings {
  const catalog = toCatalog(file);
  const config = loadConfig({
    flags,
    env,
    known: knownProviders,
    dialects: {
      "openai-chat": openaiChat(),
      "anthropic-messages": anthropicMessages,
      "google-generate": googleGenerate,
      "cohere-chat": cohereChat,
      "bedrock-converse": bedrockConverse,
    },
    catalog: (section) => catalog.models(section),
    hasKeys,
  });
  if ("errors" in config) throw startError("The configuration cannot be used:", config.errors);
  return { config: { ...config, providers: withAccessTokens(config.providers) }, catalog, file };
}

/** A credentials file that cannot be used stops the start, like any other mistake in a file. */
function withAccessTokens(all: Config["providers"]): Map<string, EnabledProvider> {
  const filled = all.entries().map(([id, provider]): [string, EnabledProvider] => {
    const file = provider.credentialsFile;
    if (file === undefined) return [id, provider];
    const account = readServiceAccount(textOf(id, file));
    if ("problem" in account)
      throw new StartError(`The credentials file ${file} of ${id} cannot be used: ${account.problem}.`);
    return [id, { ...provider, accessToken: createAccessTokens(account, Date.now) }];
  });
  return new Map(filled);
}

function textOf(provider: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(`The credentials file ${file} of ${provider} cannot be read (${code ?? "unknown reason"}).`);
  }
}

/** The rules of the configured folder over the configured providers. */
export function readSnapshot(config: Config, catalog: Catalog): Snapshot {
  const world = worldOf(config, catalog);
  const built = buildRules(world, readRulesFolder(rulesDirOf(config)));
  if ("errors" in built) throw startError("The routing rules cannot be used:", built.errors);
  return built.value;
}

/** What rules are checked against. */
export function worldOf(config: Config, catalog: Catalog): RulesWorld {
  return { config, catalog, knownIds: knownProviders.map(({ id }) => id) };
}

function startError(heading: string, errors: FileError[]): StartError {
  return new StartError(
    [heading, ...errors.map((error) => `  ${formatFileError(error).replaceAll("\n", "\n    ")}`)].join("\n"),
  );
}

export function withSimulator(
  all: Config["providers"],
  simulatorUrl: string | undefined,
): Map<string, EnabledProvider> {
  if (simulatorUrl === undefined) return all;
  const filled = all.entries().map(([id, provider]): [string, EnabledProvider] => {
    const baseUrl = provider.baseUrl.replace(SIMULATOR_URL, simulatorUrl);
    return [id, { ...provider, baseUrl }];
  });
  return new Map(filled);
}

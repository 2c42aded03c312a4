// What is known of every model before it is called: prices, limits, capabilities. Read once from a committed file.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { ModelEntry } from "./dialect.ts";
import { packageRoot } from "./package-root.ts";

/** Where the numbers come from, and the day each source was published (YYYY-MM-DD). */
export interface CatalogSource {
  name: string;
  version: string;
  date: string;
}

/** Immutable. `version` changes with any number in it; the ledger stores it beside each price it used. */
export interface Catalog {
  version: string;
  sources: readonly CatalogSource[];
  /** Empty for a provider the catalogue does not know. */
  models(providerId: string): ReadonlyMap<string, ModelEntry>;
}

const tokens = z.int().positive();
const microUsdPerMTok = z.int().nonnegative();
const rateCard = {
  input: microUsdPerMTok,
  output: microUsdPerMTok,
  cacheRead: z.exactOptional(microUsdPerMTok),
  cacheWrite: z.exactOptional(microUsdPerMTok),
  cacheWrite1h: z.exactOptional(microUsdPerMTok),
  audioInput: z.exactOptional(microUsdPerMTok),
  audioOutput: z.exactOptional(microUsdPerMTok),
};
const rates = z.strictObject({
  ...rateCard,
  tiers: z.exactOptional(z.array(z.strictObject({ aboveInputTokens: tokens, rates: z.strictObject(rateCard) })).min(1)),
});
const modalities = z.array(z.enum(["text", "image", "audio", "video", "file"])).min(1);

const modelEntry: z.ZodType<ModelEntry> = z.strictObject({
  id: z.string().min(1),
  name: z.exactOptional(z.string()),
  contextTokens: z.exactOptional(tokens),
  maxOutputTokens: z.exactOptional(tokens),
  input: z.exactOptional(modalities),
  output: z.exactOptional(modalities),
  tools: z.exactOptional(z.boolean()),
  reasoning: z.exactOptional(z.boolean()),
  structuredOutputs: z.exactOptional(z.boolean()),
  features: z.exactOptional(z.record(z.string(), z.unknown())),
  rates: z.exactOptional(rates),
  pricedAs: z.exactOptional(z.string()),
  priceSource: z.exactOptional(z.string()),
  limitsSource: z.exactOptional(z.string()),
  note: z.exactOptional(z.string()),
});

/** The shape of providers/catalog.json; unknown keys are an error, so that a typo never hides a price. */
export const catalogFile = z.strictObject({
  version: z.string().regex(/^[0-9a-f]{12}$/),
  sources: z.array(z.strictObject({ name: z.string(), version: z.string(), date: z.iso.date() })),
  providers: z.record(z.string(), z.strictObject({ models: z.record(z.string(), modelEntry) })),
});

export type CatalogFile = z.output<typeof catalogFile>;

/** Throws when the text is not JSON or does not fit the schema. `path` is for the message. */
export function parseCatalog(text: string, path: string): CatalogFile {
  const parsed = catalogFile.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`${path} does not fit the catalogue schema:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

export function toCatalog({ version, sources, providers }: CatalogFile): Catalog {
  const byProvider = new Map(
    Object.entries(providers).map(([id, section]) => [id, new Map(Object.entries(section.models))]),
  );
  const none: ReadonlyMap<string, ModelEntry> = new Map();
  return { version, sources, models: (providerId) => byProvider.get(providerId) ?? none };
}

export const catalogPath = (): string => join(packageRoot(), "providers", "catalog.json");

/** Throws when the file is missing or does not fit: a router must not start with half a price list. */
export function loadCatalog(path = catalogPath()): Catalog {
  return toCatalog(parseCatalog(readFileSync(path, "utf8"), path));
}

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
const microUsdPerMillion = z.int().nonnegative();
const optionalPrice = z.exactOptional(microUsdPerMillion);
const rateCard = {
  input: microUsdPerMillion,
  output: microUsdPerMillion,
  cacheRead: optionalPrice,
  cacheWrite: optionalPrice,
  cacheWrite1h: optionalPrice,
  audioInput: optionalPrice,
  audioCacheRead: optionalPrice,
  audioOutput: optionalPrice,
  imageInput: optionalPrice,
  imageOutput: optionalPrice,
  reasoningOutput: optionalPrice,
  citation: optionalPrice,
  request: optionalPrice,
  search: optionalPrice,
};
const tier = z
  .strictObject({
    fromInputTokens: z.exactOptional(tokens),
    aboveInputTokens: z.exactOptional(tokens),
    rates: z.strictObject(rateCard),
  })
  .refine((it) => (it.fromInputTokens === undefined) !== (it.aboveInputTokens === undefined), {
    error: "expected either fromInputTokens or aboveInputTokens",
  });
const prices = z.strictObject({ ...rateCard, tiers: z.exactOptional(z.array(tier).min(1)) });
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/);
const period = z
  .strictObject({
    fromDate: z.exactOptional(z.iso.date()),
    untilDate: z.exactOptional(z.iso.date()),
    fromTime: z.exactOptional(timeOfDay),
    untilTime: z.exactOptional(timeOfDay),
    days: z.exactOptional(z.array(z.int().min(0).max(6)).min(1)),
    rates: prices,
  })
  .refine((it) => (it.fromTime === undefined) === (it.untilTime === undefined), {
    error: "expected fromTime and untilTime together",
  });
/** At most twentyfold, as a typing error would be more. */
const millionths = z.int().positive().max(20_000_000);
const rates = z.strictObject({
  ...prices.shape,
  periods: z.exactOptional(z.array(period).min(1)),
  serviceTiers: z.exactOptional(z.record(z.string(), z.union([millionths, prices]))),
  regions: z.exactOptional(z.record(z.string(), millionths)),
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
  priceStatus: z.exactOptional(z.enum(["exact", "alias", "prefix", "override"])),
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

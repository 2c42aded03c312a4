// The hand-written corrections: their grammar, and the errors a person who mistypes them should see.
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import * as z from "zod";

const usd = z.number().nonnegative();
/** Per million tokens; `request` and `search` per million of them. */
const usdCard = {
  input: usd,
  output: usd,
  cacheRead: usd.optional(),
  cacheWrite: usd.optional(),
  cacheWrite1h: usd.optional(),
  audioInput: usd.optional(),
  audioCacheRead: usd.optional(),
  audioOutput: usd.optional(),
  imageInput: usd.optional(),
  imageOutput: usd.optional(),
  reasoningOutput: usd.optional(),
  citation: usd.optional(),
  request: usd.optional(),
  search: usd.optional(),
};
const tokens = z.int().positive().optional();
const usdTier = z
  .strictObject({ fromInputTokens: tokens, aboveInputTokens: tokens, ...usdCard })
  .refine((tier) => (tier.fromInputTokens === undefined) !== (tier.aboveInputTokens === undefined), {
    error: "a tier begins either fromInputTokens (that many, or more) or aboveInputTokens (more than that)",
  });
const usdRates = z.strictObject({ ...usdCard, tiers: z.array(usdTier).optional() });
const modalities = z.array(z.enum(["text", "image", "audio", "video", "file"]));
const priceFrom = z.enum(["genai-prices", "pi-ai"]);

const model = z.strictObject({
  name: z.string().optional(),
  contextTokens: z.int().positive().optional(),
  maxOutputTokens: z.int().positive().optional(),
  input: modalities.optional(),
  output: modalities.optional(),
  tools: z.boolean().optional(),
  reasoning: z.boolean().optional(),
  structuredOutputs: z.boolean().optional(),
  features: z.record(z.string(), z.unknown()).optional(),
  note: z.string().optional(),
  priceFrom: priceFrom.optional(),
  usdPerMTok: usdRates.optional(),
  unpriced: z.literal(true).optional(),
});
const globs = z.array(z.string()).min(1);
/** How many times the token prices. */
const multipliers = z.record(z.string(), z.number().positive().max(20));
const provider = z.strictObject({
  skip: z.array(z.string()).optional(),
  priceFrom: priceFrom.optional(),
  imagesImply: modalities.optional(),
  cacheWrite1hTimesInput: z.number().positive().optional(),
  tiersInclusive: z.literal(true).optional(),
  freeSuffix: z.string().optional(),
  usdPerThousandSearches: usd.optional(),
  serviceTiers: z.array(z.strictObject({ models: globs, times: multipliers })).optional(),
  regions: z.array(z.strictObject({ models: globs, times: multipliers })).optional(),
  timesOfDayHoldOn: z.array(z.strictObject({ models: globs, days: z.array(z.int().min(0).max(6)).min(1) })).optional(),
  imageFormulas: z.array(z.strictObject({ models: globs, formula: z.string() })).optional(),
  models: z.record(z.string(), model).optional(),
});

export type ModelOverride = z.infer<typeof model>;
export type ProviderOverrides = z.infer<typeof provider>;
export type UsdRates = z.infer<typeof usdRates>;

/** Throws with the path of every field that does not fit. `known`: the provider ids the catalogue has sections for. */
export function readOverrides(path: string, known: readonly string[]): Map<string, ProviderOverrides> {
  const parsed = z.record(z.string(), provider).safeParse(parse(readFileSync(path, "utf8")) ?? {});
  if (!parsed.success) throw new Error(`${path}:\n${z.prettifyError(parsed.error)}`);
  for (const id of Object.keys(parsed.data)) {
    if (!known.includes(id)) throw new Error(`${path}: provider "${id}" is unknown; use one of: ${known.join(", ")}`);
  }
  return new Map(Object.entries(parsed.data));
}

/** `*` stands for any run of characters, a leading `!` for "does not match"; everything else is literal. */
export function matchesAny(id: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.startsWith("!") ? !matches(id, pattern.slice(1)) : matches(id, pattern)));
}

function matches(id: string, pattern: string): boolean {
  const literals = pattern.split("*").map((literal) => literal.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literals.join(".*")}$`, "i").test(id);
}

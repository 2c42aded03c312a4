// Limits, modalities and capability flags from one data file of pi-ai, and its opinion on prices.
import * as z from "zod";
import type { DialectId, RateCard, Rates, Tier } from "../../src/chat.ts";
import type { Modality } from "../../src/dialect.ts";
import { microUsd } from "./money.ts";

const costCard = z.object({ input: z.number(), output: z.number(), cacheRead: z.number(), cacheWrite: z.number() });
const model = z.object({
  id: z.string(),
  name: z.string(),
  type: z.string(),
  reasoning: z.boolean().optional(),
  input: z.array(z.enum(["text", "image"])),
  cost: costCard.extend({ tiers: z.array(costCard.extend({ inputTokensAbove: z.int() })).optional() }),
  contextWindow: z.int().positive().optional(),
  maxTokens: z.int().positive().optional(),
  thinkingLevelMap: z.record(z.string(), z.string().nullable()).optional(),
  compat: z.record(z.string(), z.unknown()).optional(),
  promptCache: z.object({ short: z.int(), long: z.int() }).optional(),
  inputLimits: z
    .object({
      maxRequestBytes: z.int().optional(),
      images: z.object({ maxPerRequest: z.int().optional() }).optional(),
    })
    .optional(),
});
/** Protocol → `type:id` → model. */
const dataFile = z.record(z.string(), z.record(z.string(), model));
type SourceModel = z.infer<typeof model>;

export interface LimitRow {
  id: string;
  name: string;
  contextTokens: number | undefined;
  maxOutputTokens: number | undefined;
  input: Modality[];
  reasoning: boolean;
  features: Record<string, unknown>;
  /** undefined where the source writes zero: it means "free, by plan, or not known". */
  rates: Rates | undefined;
}

/** Facts about a model, whatever protocol it is reached by. The name is ours, the sign positive. */
const MODEL_FLAGS: Record<string, string> = {
  supportsTemperature: "sampling",
  supportsMidConvoSystemMessages: "midSystem",
  supportsMidConvoEffort: "midEffort",
  requiresReasoningContentOnAssistantMessages: "reasoningReplay",
};
/** Facts about the wire; kept only when the source reaches the model by the protocol we use. */
const WIRE_FLAGS: Record<string, string> = {
  forceAdaptiveThinking: "adaptiveThinking",
  supportsStrictTools: "strictTools",
  supportsStrictMode: "strictTools",
  supportsMidConvoToolChanges: "midToolChanges",
  supportsReasoningEffort: "effortField",
  supportsDeveloperRole: "developerRole",
  supportsLongCacheRetention: "longCache",
  supportsOpenAIGrammarTools: "grammarTools",
  thinkingFormat: "thinkingFormat",
  cacheControlFormat: "cacheControl",
};
const DIALECT_OF: Record<string, DialectId> = {
  "anthropic-messages": "anthropic-messages",
  "google-generative-ai": "google-generate",
  "openai-completions": "openai-chat",
  "openai-responses": "openai-chat",
  "azure-openai-responses": "openai-chat",
  "mistral-conversations": "openai-chat",
};

/** Chat models by lower-case id. A model reached by two protocols is taken from the one that is ours.
 *  `tiersInclusive`: the vendor's tiers begin at the source's number, not above it. */
export function limitRows(json: unknown, dialect: DialectId, tiersInclusive = false): Map<string, LimitRow> {
  const rows = new Map<string, LimitRow>();
  const protocols = Object.entries(dataFile.parse(json));
  protocols.sort(([a], [b]) => Number(DIALECT_OF[b] === dialect) - Number(DIALECT_OF[a] === dialect));
  for (const [protocol, models] of protocols) {
    for (const source of Object.values(models)) {
      if (source.type !== "chat" || rows.has(source.id.toLowerCase())) continue;
      rows.set(source.id.toLowerCase(), limitRow(source, DIALECT_OF[protocol] === dialect, tiersInclusive));
    }
  }
  return rows;
}

function limitRow(source: SourceModel, ourProtocol: boolean, tiersInclusive: boolean): LimitRow {
  return {
    id: source.id,
    name: source.name,
    contextTokens: source.contextWindow,
    maxOutputTokens: source.maxTokens,
    input: source.input.includes("image") ? ["text", "image"] : ["text"],
    reasoning: source.reasoning ?? false,
    features: features(source, ourProtocol),
    rates: toRates(source.cost, tiersInclusive),
  };
}

function features(source: SourceModel, ourProtocol: boolean): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const flags = ourProtocol ? { ...MODEL_FLAGS, ...WIRE_FLAGS } : MODEL_FLAGS;
  for (const [theirs, ours] of Object.entries(flags)) {
    const value = source.compat?.[theirs];
    if (value !== undefined) found[ours] = value;
  }
  if (source.thinkingLevelMap !== undefined) {
    const { off, ...levels } = source.thinkingLevelMap;
    found.effort = off === undefined ? levels : { none: off, ...levels };
  }
  if (source.promptCache !== undefined) {
    found.cacheSeconds = source.promptCache.short;
    found.longCacheSeconds = source.promptCache.long;
  }
  const { maxRequestBytes, images } = source.inputLimits ?? {};
  if (maxRequestBytes !== undefined) found.requestBytesMax = maxRequestBytes;
  if (images?.maxPerRequest !== undefined) found.imagesMax = images.maxPerRequest;
  return found;
}

function toRates(cost: SourceModel["cost"], inclusive: boolean): Rates | undefined {
  if (cost.input <= 0 || cost.output <= 0) return undefined;
  const sorted = [...(cost.tiers ?? [])].sort((a, b) => a.inputTokensAbove - b.inputTokensAbove);
  const tiers = sorted.map((tier): Tier => {
    const bound = tier.inputTokensAbove;
    return { ...(inclusive ? { fromInputTokens: bound } : { aboveInputTokens: bound }), rates: toCard(tier) };
  });
  return tiers.length === 0 ? toCard(cost) : { ...toCard(cost), tiers };
}

/** Zero stands for "no such class" in the source's cache columns. */
function toCard(cost: z.infer<typeof costCard>): RateCard {
  return {
    input: microUsd(cost.input).micro,
    output: microUsd(cost.output).micro,
    ...(cost.cacheRead > 0 && { cacheRead: microUsd(cost.cacheRead).micro }),
    ...(cost.cacheWrite > 0 && { cacheWrite: microUsd(cost.cacheWrite).micro }),
  };
}

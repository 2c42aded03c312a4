// Gemini's token counts as ours. They are cumulative, and Vertex sends frames without any.
import type { JsonObject, Usage } from "../../../src/chat.ts";
import { objectsIn, shortWord } from "../../../src/json.ts";

/**
 * `undefined` when nothing was counted. Google's JSON leaves zeros out, so once a prompt is counted a missing part of
 * it is a true zero. Invariant: input + output is the total Google reports.
 */
export function toUsage(metadata: JsonObject): Usage | undefined {
  const prompt = count(metadata.promptTokenCount);
  const told = count(metadata.totalTokenCount);
  if (prompt === undefined && told === undefined) return undefined;
  // What Google's own tools fetched is billed as input.
  const inputTokens = (prompt ?? 0) + (count(metadata.toolUsePromptTokenCount) ?? 0);
  const candidates = count(metadata.candidatesTokenCount);
  const thoughts = count(metadata.thoughtsTokenCount) ?? 0;
  return {
    inputTokens,
    cacheReadTokens: Math.min(count(metadata.cachedContentTokenCount) ?? 0, inputTokens),
    audioInputTokens: tokensOf("AUDIO", metadata.promptTokensDetails),
    audioCacheReadTokens: tokensOf("AUDIO", metadata.cacheTokensDetails),
    imageInputTokens: tokensOf("IMAGE", metadata.promptTokensDetails),
    ...outputOf(candidates, thoughts, told === undefined ? undefined : told - inputTokens),
    audioOutputTokens: tokensOf("AUDIO", metadata.candidatesTokensDetails),
    imageOutputTokens: tokensOf("IMAGE", metadata.candidatesTokensDetails),
    serviceTier: serviceTierOf(metadata),
  };
}

/** Vertex tells the kind of traffic instead. Traffic on reserved capacity is paid for by the hour: its calls have no price. */
const TIER_OF_TRAFFIC: Record<string, string> = {
  ON_DEMAND: "standard",
  ON_DEMAND_PRIORITY: "priority",
  ON_DEMAND_FLEX: "flex",
  ON_DEMAND_OFFPEAK: "offpeak",
  PROVISIONED_THROUGHPUT: "provisioned_throughput",
};

/** `undefined`: not told. A header tells it too, which the counts go without. */
function serviceTierOf({ serviceTier, trafficType }: JsonObject): string | undefined {
  const told = shortWord(serviceTier)?.toLowerCase();
  if (told !== undefined && !told.endsWith("unspecified")) return told;
  return typeof trafficType === "string" && Object.hasOwn(TIER_OF_TRAFFIC, trafficType)
    ? TIER_OF_TRAFFIC[trafficType]
    : undefined;
}

function outputOf(candidates: number | undefined, thoughts: number, rest: number | undefined): Usage {
  if (candidates === undefined && thoughts === 0 && rest === undefined) return {};
  // Thoughts are billed and not part of the candidates (crewAIInc/crewAI#5699), except on back ends that do count them
  // in: there the candidates alone make up the total (BerriAI/litellm#10141).
  const areThoughtsInside = thoughts > 0 && candidates !== undefined && candidates === rest;
  const outputTokens = areThoughtsInside ? candidates : (candidates ?? 0) + thoughts;
  return { outputTokens, reasoningTokens: Math.min(thoughts, outputTokens) };
}

/** Zero where the prompt is told by its parts, and this is none of them. */
function tokensOf(kind: string, details: unknown): number | undefined {
  if (!Array.isArray(details)) return undefined;
  const ofKind = objectsIn(details).filter(({ modality }) => modality === kind);
  return ofKind.reduce((sum, { tokenCount }) => sum + (count(tokenCount) ?? 0), 0);
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined;
}

// Usage as disjoint classes, each with one price.
import type { RateCard, Usage } from "../chat.ts";

export type RateClass = keyof RateCard;

export const INPUT_CLASSES = [
  "input",
  "audioInput",
  "imageInput",
  "cacheRead",
  "audioCacheRead",
  "cacheWrite",
  "cacheWrite1h",
] as const satisfies readonly RateClass[];

export const OUTPUT_CLASSES = [
  "output",
  "audioOutput",
  "imageOutput",
  "reasoningOutput",
] as const satisfies readonly RateClass[];

export const RATE_CLASSES: readonly RateClass[] = [
  ...INPUT_CLASSES,
  ...OUTPUT_CLASSES,
  "citation",
  "request",
  "search",
];

/** What is billed by the piece, whichever tier or region answers. */
export const FEES: readonly RateClass[] = ["request", "search"];

/** A class without a price of its own is billed as another one. No such help for one-hour writes and searches. */
const BILLED_AS: Partial<Record<RateClass, RateClass>> = {
  audioInput: "input",
  imageInput: "input",
  cacheRead: "input",
  audioCacheRead: "cacheRead",
  cacheWrite: "input",
  audioOutput: "output",
  imageOutput: "output",
  reasoningOutput: "output",
};

/** Charged by few providers, and by those always at a price: where there is none, it is part of the others. */
const FREE_IF_UNPRICED: readonly RateClass[] = ["citation", "request"];

/** In picodollars each; `undefined` where nobody told. */
export function priceOf(card: RateCard, rate: RateClass): number | undefined {
  const price = card[rate];
  if (price !== undefined) return price;
  const other = BILLED_AS[rate];
  if (other !== undefined) return priceOf(card, other);
  // Who asks a fee for every request searches for it.
  const isInFee = rate === "search" && card.request !== undefined;
  return isInFee || FREE_IF_UNPRICED.includes(rate) ? 0 : undefined;
}

/**
 * How much of each class a call used. The input classes add up to what was billed as input, the output classes to the
 * output, whatever overlaps in the provider's counts: audio and pictures go before text, reasoning is what they leave.
 */
export function classesOf(usage: Usage): Record<RateClass, number> {
  const total = usage.billedInputTokens ?? usage.inputTokens ?? 0;
  const read = usage.cacheReadTokens ?? 0;
  const cacheWrite = usage.cacheWriteTokens ?? 0;
  const cacheWrite1h = usage.cacheWrite1hTokens ?? 0;
  const fresh = Math.max(0, total - read - cacheWrite - cacheWrite1h);
  const audio = usage.audioInputTokens ?? 0;
  const audioCacheRead = Math.min(usage.audioCacheReadTokens ?? 0, audio, read);
  const audioInput = Math.min(audio - audioCacheRead, fresh);
  const imageInput = Math.min(usage.imageInputTokens ?? 0, fresh - audioInput);
  const written = usage.billedOutputTokens ?? usage.outputTokens ?? 0;
  const imageOutput = Math.min(usage.imageOutputTokens ?? 0, written);
  const audioOutput = Math.min(usage.audioOutputTokens ?? 0, written - imageOutput);
  const reasoningOutput = Math.min(usage.reasoningTokens ?? 0, written - imageOutput - audioOutput);
  return {
    input: fresh - audioInput - imageInput,
    audioInput,
    imageInput,
    cacheRead: read - audioCacheRead,
    audioCacheRead,
    cacheWrite,
    cacheWrite1h,
    output: written - imageOutput - audioOutput - reasoningOutput,
    audioOutput,
    imageOutput,
    reasoningOutput,
    citation: usage.citationTokens ?? 0,
    request: 1,
    search: usage.searches ?? 0,
  };
}

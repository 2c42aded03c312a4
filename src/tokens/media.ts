// Hides what images, documents, sound and video weigh: the vendors' formulas, as data.
import type { DialectId } from "../chat.ts";
import type { ModelEntry } from "../dialect.ts";
import type { ImageSize } from "./media-size.ts";

/** Anything but text and images. Its bytes are all that is known without decoding it. */
export interface Attachment {
  kind: "document" | "audio" | "video";
  bytes: number | undefined;
}

type ImageRule =
  /** Cells of `cellPx`, after the image was scaled down to both limits. */
  | { kind: "cells"; cellPx: number; edgePxMax: number; tokensMax: number }
  | { kind: "area"; pixelsPerToken: number; tokensMax: number }
  /** Patches of 32 px, times a multiplier. Over the budget the image is scaled to fill it with whole patches. */
  | { kind: "patches"; patchesMax?: number; edgePxMax?: number; multiplier: number }
  /** Fitted into a square, then to a short side, then cut; `detail: low` costs the base alone. */
  | { kind: "tiles"; fitPx: number; shortSidePx: number; tilePx: number; baseTokens: number; tileTokens: number }
  | { kind: "grid"; smallPx: number; tilePx: number; tileTokens: number; tokensMax: number }
  | { kind: "fixed"; tokens: number };

export interface MediaFormula {
  image: ImageRule;
  /** Text and picture of a page together. */
  pageTokens: number;
  audioTokensPerS: number;
  videoTokensPerS: number;
}

// Pages of Anthropic: 1,500-3,000 tokens of text and the picture. Elsewhere about 700 tokens of text beside the picture.
const anthropic = { pageTokens: 3_000, audioTokensPerS: 0, videoTokensPerS: 0 };
const openai = { pageTokens: 1_700, audioTokensPerS: 10, videoTokensPerS: 0 };
const gemini = { audioTokensPerS: 32 };
const gemini3 = { ...gemini, pageTokens: 1_260, videoTokensPerS: 102 };
const tiles = { kind: "tiles", fitPx: 2_048, shortSidePx: 768, tilePx: 512 } as const;

/** By name; a model of the catalogue names its own in `features.imageFormula`. As the vendors' pages said in 2026-11. */
const FORMULAS = {
  anthropic: { ...anthropic, image: { kind: "cells", cellPx: 28, edgePxMax: 1_568, tokensMax: 1_568 } },
  "anthropic-large": { ...anthropic, image: { kind: "cells", cellPx: 28, edgePxMax: 2_576, tokensMax: 4_784 } },
  "anthropic-area": { ...anthropic, image: { kind: "area", pixelsPerToken: 750, tokensMax: 1_600 } },
  "patches-1536": {
    ...openai,
    image: { kind: "patches", patchesMax: 1_536, edgePxMax: 2_048, multiplier: 1 },
  },
  "patches-1536-mini": { ...openai, image: { kind: "patches", patchesMax: 1_536, edgePxMax: 2_048, multiplier: 1.62 } },
  "patches-1536-nano": { ...openai, image: { kind: "patches", patchesMax: 1_536, edgePxMax: 2_048, multiplier: 2.46 } },
  "patches-1536-o4": { ...openai, image: { kind: "patches", patchesMax: 1_536, edgePxMax: 2_048, multiplier: 1.72 } },
  "patches-2500": { ...openai, image: { kind: "patches", patchesMax: 2_500, edgePxMax: 2_048, multiplier: 1 } },
  "patches-10000": { ...openai, image: { kind: "patches", patchesMax: 10_000, edgePxMax: 6_000, multiplier: 1 } },
  "patches-all": { ...openai, image: { kind: "patches", multiplier: 1 } },
  "tiles-85": { ...openai, image: { ...tiles, baseTokens: 85, tileTokens: 170 } },
  "tiles-75": { ...openai, image: { ...tiles, baseTokens: 75, tileTokens: 150 } },
  "tiles-70": { ...openai, image: { ...tiles, baseTokens: 70, tileTokens: 140 } },
  "tiles-2833": { ...openai, image: { ...tiles, baseTokens: 2_833, tileTokens: 5_667 } },
  "gemini-3": { ...gemini3, image: { kind: "fixed", tokens: 1_120 } },
  "gemini-3-low": { ...gemini3, image: { kind: "fixed", tokens: 280 } },
  "gemini-3-medium": { ...gemini3, image: { kind: "fixed", tokens: 560 } },
  "gemini-3-ultra": { ...gemini3, image: { kind: "fixed", tokens: 2_240 } },
  "gemini-2": {
    ...gemini,
    pageTokens: 258,
    videoTokensPerS: 290,
    image: { kind: "grid", smallPx: 384, tilePx: 768, tileTokens: 258, tokensMax: 16 * 258 },
  },
} as const satisfies Record<string, MediaFormula>;
export type MediaFormulaName = keyof typeof FORMULAS;

const DEFAULTS: Record<DialectId, MediaFormulaName> = {
  "openai-chat": "patches-1536",
  "anthropic-messages": "anthropic",
  "google-generate": "gemini-3",
  // Its own rule is not published.
  "cohere-chat": "patches-1536",
  // Claude is what most callers ask this one for; models of the catalogue name their own.
  "bedrock-converse": "anthropic",
};

/** The formula of a model: the one its catalogue entry names, else the usual one of the dialect. */
export function mediaFormulaOf(dialect: DialectId, entry: ModelEntry | undefined): MediaFormula {
  const name = entry?.features?.imageFormula;
  return mediaFormula(isFormulaName(name) ? name : DEFAULTS[dialect]);
}

export function mediaFormula(name: MediaFormulaName): MediaFormula {
  return FORMULAS[name];
}

function isFormulaName(name: unknown): name is MediaFormulaName {
  return typeof name === "string" && Object.hasOwn(FORMULAS, name);
}

interface Size {
  widthPx: number;
  heightPx: number;
}

/** Tokens of one image. An unknown size weighs as much as an image can (at most a budget of 10,000 where there is none). */
export function imageTokens({ widthPx, heightPx, detail }: ImageSize, { image: rule }: MediaFormula): number {
  if (rule.kind === "fixed") return rule.tokens;
  if (rule.kind === "tiles" && detail === "low") return rule.baseTokens;
  if (widthPx === undefined || heightPx === undefined) return capOf(rule);
  return Math.ceil(knownTokens({ widthPx, heightPx }, rule));
}

function knownTokens(size: Size, rule: Exclude<ImageRule, { kind: "fixed" }>): number {
  switch (rule.kind) {
    case "cells": {
      const tokens = (scaled: Size) => cells(scaled, rule.cellPx);
      const area = Math.sqrt((rule.tokensMax * rule.cellPx ** 2) / (size.widthPx * size.heightPx));
      const scale = Math.min(1, rule.edgePxMax / longEdge(size), tokens(size) > rule.tokensMax ? area : 1);
      return Math.min(rule.tokensMax, tokens(scaledBy(size, scale)));
    }
    case "area":
      return Math.min(rule.tokensMax, (size.widthPx * size.heightPx) / rule.pixelsPerToken);
    case "patches":
      return rule.multiplier * patches(size, rule.patchesMax, rule.edgePxMax);
    case "tiles": {
      const fitted = scaledBy(size, Math.min(1, rule.fitPx / longEdge(size)));
      const scale = Math.min(1, rule.shortSidePx / Math.min(fitted.widthPx, fitted.heightPx));
      return rule.baseTokens + rule.tileTokens * cells(scaledBy(fitted, scale), rule.tilePx);
    }
    case "grid":
      if (longEdge(size) <= rule.smallPx) return rule.tileTokens;
      return Math.min(rule.tokensMax, rule.tileTokens * cells(size, rule.tilePx));
  }
}

const PATCH_PX = 32;
const UNBUDGETED_PATCHES = 10_000;

function capOf(rule: Exclude<ImageRule, { kind: "fixed" }>): number {
  if (rule.kind === "patches") return Math.ceil((rule.patchesMax ?? UNBUDGETED_PATCHES) * rule.multiplier);
  if (rule.kind !== "tiles") return rule.tokensMax;
  const { shortSidePx, fitPx, tilePx } = rule;
  return rule.baseTokens + rule.tileTokens * cells({ widthPx: shortSidePx, heightPx: fitPx }, tilePx);
}

function patches(original: Size, patchesMax = Number.POSITIVE_INFINITY, edgePxMax = Number.POSITIVE_INFINITY): number {
  const size = scaledBy(original, Math.min(1, edgePxMax / longEdge(original)));
  const count = cells(size, PATCH_PX);
  if (count <= patchesMax) return count;
  const scale = Math.sqrt((PATCH_PX ** 2 * patchesMax) / (size.widthPx * size.heightPx));
  const across = (size.widthPx * scale) / PATCH_PX;
  const down = (size.heightPx * scale) / PATCH_PX;
  // One more step down, so that the tighter side holds whole patches. A side under one patch stays one.
  const whole = Math.min(1, Math.max(1, Math.floor(across)) / across, Math.max(1, Math.floor(down)) / down);
  return Math.min(patchesMax, cells(scaledBy(size, scale * whole), PATCH_PX));
}

function longEdge({ widthPx, heightPx }: Size): number {
  return Math.max(widthPx, heightPx);
}

function scaledBy({ widthPx, heightPx }: Size, scale: number): Size {
  return { widthPx: widthPx * scale, heightPx: heightPx * scale };
}

function cells({ widthPx, heightPx }: Size, cellPx: number): number {
  return cellsAlong(widthPx, cellPx) * cellsAlong(heightPx, cellPx);
}

/** A scaled side of 1,056.0000000001 px is 33 patches and not 34. */
function cellsAlong(px: number, cellPx: number): number {
  return Math.max(1, Math.ceil(px / cellPx - 1e-6));
}

/** Medians of files in the wild; a file that is not in the request is taken for a longish one. */
const PAGE_BYTES = 60_000;
const AUDIO_BYTES_PER_S = 16_000;
const VIDEO_BYTES_PER_S = 250_000;
const UNKNOWN_PAGES = 20;
const UNKNOWN_S = 120;

/** Tokens of a file: a guess from its size, which calibration by key corrects where a key sends many. */
export function attachmentTokens({ kind, bytes }: Attachment, formula: MediaFormula): number {
  const times = (unknown: number, bytesEach: number) =>
    bytes === undefined ? unknown : Math.max(1, bytes / bytesEach);
  if (kind === "document") return Math.ceil(formula.pageTokens * times(UNKNOWN_PAGES, PAGE_BYTES));
  if (kind === "audio") return Math.ceil(formula.audioTokensPerS * times(UNKNOWN_S, AUDIO_BYTES_PER_S));
  return Math.ceil(formula.videoTokensPerS * times(UNKNOWN_S, VIDEO_BYTES_PER_S));
}

// What one call must respect: the model's profile, corrected by what this target was found to refuse.
import type { Call, Download } from "../../../src/dialect.ts";
import { EFFORTS, type ModelProfile, profileOf } from "./profile.ts";
import { THINKING_FORMAT } from "./replay.ts";

export interface Terms extends ModelProfile {
  /** The output limit is lower than the profile's. */
  isLimitRepaired: boolean;
  /** The way of asking for thinking is not the profile's. */
  isThinkingRepaired: boolean;
  /** Signed thinking of the history is sent back. */
  replaysThinking: boolean;
  /** The provider drops thinking that does not fit this conversation, instead of refusing the request. */
  dropsUnboundThinking: boolean;
  /** A forced tool and thinking in one request. */
  thinksBesideForcedTool: boolean;
  /** A schema for the answer is asked for in words only. */
  instructsJson: boolean;
  /** The provider fetches `https://` URLs itself. Some clouds do not: `urlSources: false` among the model's features. */
  fetchesUrls: boolean;
  /** Bills fast output apart: `fastMode: true` among the model's features. */
  hasFastMode: boolean;
  /** `format` of reasoning details that this target recognises, and gives. */
  thinkingFormat: string;
  /** Member under which arguments that are no JSON travel. */
  rawInputKey: string;
  /** Media types of files that are sent as they are, besides PDF, text and images. */
  documentTypes: ReadonlySet<string>;
  downloads: ReadonlyMap<string, Download>;
}

/** Encoder and decoder both ask, so that they agree on the form of the answer. */
export function termsOf({ target, repairs = [], downloads = new Map() }: Call): Terms {
  const features = target.entry?.features ?? {};
  const terms: Terms = {
    ...profileOf(target),
    isLimitRepaired: false,
    isThinkingRepaired: false,
    replaysThinking: true,
    dropsUnboundThinking: false,
    thinksBesideForcedTool: true,
    instructsJson: false,
    fetchesUrls: features.urlSources !== false,
    hasFastMode: features.fastMode === true,
    thinkingFormat: THINKING_FORMAT,
    rawInputKey: "_raw",
    documentTypes: new Set(),
    downloads,
  };
  return repairs.reduce(corrected, terms);
}

/** Levels of models that are known to take levels, but not which. */
const USUAL_EFFORTS = EFFORTS.slice(0, 3);

/** One token of `repair` (see repairs.ts). Tokens nobody knows change nothing. */
function corrected(terms: Terms, token: string): Terms {
  const [name, value = ""] = token.split("=");
  switch (name) {
    case "max_tokens": {
      const most = Number(value);
      if (!(most >= 1 && most < terms.maxOutputTokens)) return terms;
      return { ...terms, maxOutputTokens: most, isLimitRepaired: true };
    }
    case "sampling":
      return value === "none" || value === "one" ? { ...terms, sampling: value } : terms;
    case "thinking":
      return withThinking(terms, value);
    case "efforts": {
      const listed = value.split(",");
      return { ...terms, efforts: EFFORTS.filter((level) => listed.includes(level)) };
    }
    case "thinking_blocks":
      return value === "strip"
        ? { ...terms, replaysThinking: false, dropsUnboundThinking: false }
        : { ...terms, dropsUnboundThinking: terms.replaysThinking };
    case "forced_tool_thinking":
      return { ...terms, thinksBesideForcedTool: false };
    case "prefill":
      return { ...terms, prefill: false };
    case "forced_tools":
      return { ...terms, forcedTools: false };
    case "mid_system":
      return { ...terms, midSystem: false };
    case "json":
      return { ...terms, instructsJson: true };
    default:
      return terms;
  }
}

function withThinking(terms: Terms, value: string): Terms {
  const efforts = terms.efforts.length === 0 ? USUAL_EFFORTS : terms.efforts;
  switch (value) {
    case "manual":
      return { ...terms, thinking: value, budgets: true, isThinkingRepaired: true };
    case "optional":
    case "between_tools":
    case "always_on":
      return { ...terms, thinking: value, budgets: false, efforts, isThinkingRepaired: true };
    default:
      return terms;
  }
}

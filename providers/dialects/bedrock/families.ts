// What each family of models on Bedrock takes beyond what Converse has in common for all of them, as data.
// Taken in November 2026 from the vendor's pages on Converse, prompt caching and reasoning.
import type { Call } from "../../../src/dialect.ts";
import { THINKING_FORMAT } from "../anthropic/replay.ts";
import { type Terms, termsOf } from "../anthropic/terms.ts";
import { DOCUMENT_FORMATS, VIDEO_FORMATS } from "./media.ts";

export interface Family {
  /** `claude`: Anthropic's own objects · `effort`: OpenAI's `reasoning_effort` · `nova`: `reasoningConfig` · `none`: no way to ask. */
  thinking: "claude" | "effort" | "nova" | "none";
  /** Where `top_k` goes among the model's own fields; absent: it has none. */
  topK?: readonly string[];
  forcedTools: boolean;
  /** Where cache points are taken. */
  cachePoints: "everywhere" | "prompt" | "nowhere";
  /** Tool results may be marked as failed. */
  resultStatus: boolean;
  /** Ids of calls are nine letters and digits. */
  nineCharacterIds?: true;
}

const PLAIN: Family = { thinking: "none", forcedTools: true, cachePoints: "nowhere", resultStatus: false };

/** By the vendor's part of the model's id; what stands before it is a region or an ARN. */
const FAMILIES: readonly [vendor: RegExp, family: Family][] = [
  [
    /(?:^|[./])anthropic\.|claude/,
    { thinking: "claude", topK: ["top_k"], forcedTools: true, cachePoints: "everywhere", resultStatus: true },
  ],
  [
    /(?:^|[./])amazon\.nova/,
    {
      thinking: "nova",
      topK: ["inferenceConfig", "topK"],
      forcedTools: true,
      cachePoints: "prompt",
      resultStatus: true,
    },
  ],
  [/(?:^|[./])openai\./, { ...PLAIN, thinking: "effort" }],
  [/(?:^|[./])mistral\./, { ...PLAIN, topK: ["top_k"], nineCharacterIds: true }],
  [/(?:^|[./])cohere\./, { ...PLAIN, topK: ["k"] }],
  [/(?:^|[./])(?:meta|deepseek)\./, { ...PLAIN, forcedTools: false }],
];

/** Signed reasoning of models that are not Claude: no other provider can read it. */
const BEDROCK_FORMAT = "bedrock-converse-v1";

export interface ConverseTerms extends Terms {
  family: Family;
}

/** Encoder and decoder both ask. Claude's profiles are those of its vendor, within what Converse can say. */
export function converseTerms(call: Call): ConverseTerms {
  const { model, entry } = call.target;
  const family = FAMILIES.find(([vendor]) => vendor.test(model.toLowerCase()))?.[1] ?? PLAIN;
  const own = termsOf(call);
  const terms: ConverseTerms = {
    ...own,
    family,
    fetchesUrls: false,
    midSystem: false,
    // The field that lets the vendor drop such thinking is behind a beta of its own endpoint.
    replaysThinking: own.replaysThinking && !own.dropsUnboundThinking,
    dropsUnboundThinking: false,
    rawInputKey: "_raw_arguments",
    documentTypes: DOCUMENT_TYPES,
    thinkingFormat: family.thinking === "claude" ? THINKING_FORMAT : BEDROCK_FORMAT,
  };
  if (family.thinking === "claude") return terms;
  return {
    ...terms,
    maxOutputTokens: entry?.maxOutputTokens ?? Number.MAX_SAFE_INTEGER,
    isLimitRepaired: false,
    sampling: "both",
    thinking: "optional",
    forcedTools: family.forcedTools,
    prefill: false,
    structuredOutputs: false,
    thinksBesideForcedTool: true,
  };
}

const DOCUMENT_TYPES: ReadonlySet<string> = new Set([...DOCUMENT_FORMATS.keys(), ...VIDEO_FORMATS.keys()]);

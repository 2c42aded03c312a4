// What each Gemini generation accepts. Unknown ids count as the newest: Google ships minor versions every few weeks,
// and treating newcomers as their elders broke them elsewhere (vercel/ai#17820).
import type { JsonObject } from "../../../src/chat.ts";
import type { ModelEntry } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";

export const THINKING_LEVELS = ["minimal", "low", "medium", "high"] as const;
export type ThinkingLevel = (typeof THINKING_LEVELS)[number];

/** How much a model thinks is not adjustable, is a budget of tokens, or one of a few levels (lowest first). */
export type ThinkingKnob =
  | { kind: "none" }
  | { kind: "budget"; minTokens: number; maxTokens: number; canDisable: boolean }
  | { kind: "level"; levels: ThinkingLevel[] };

/** What the API accepts for a model without answering 400. */
export interface Switches {
  /** `temperature`, `topP`, `topK`: ignored since 3.6 and announced to be refused (langchain-google#1897). */
  sampling: boolean;
  /** A conversation that ends with a model turn (google-gemini/gemini-cli#29527). */
  trailingModelTurn: boolean;
  /** "Multiple candidates is not enabled for this model". */
  multiCandidate: boolean;
  /** "Penalty is not enabled for models/…". */
  penalties: boolean;
  /** `functionCall.id`; Vertex in express mode answers 400 to it (vercel/ai#17902). */
  functionIds: boolean;
  /** Media inside `functionResponse.parts` (vercel/ai#12777). */
  toolResultMedia: boolean;
  /** "Function calling with a response mime type: 'application/json' is unsupported". */
  jsonWithTools: boolean;
  /** `parametersJsonSchema` and `responseJsonSchema`, instead of the OpenAPI subset. */
  jsonSchema: boolean;
  /** `https://` addresses in `fileData.fileUri` (vercel/ai#16757). */
  externalUrls: boolean;
  /** Also `http://` and `gs://`, instead of files uploaded to the Developer API. */
  cloudAddresses: boolean;
  /** Google's own tools beside functions. */
  searchWithFunctions: boolean;
  /** Google's own calls and results come as parts and must come back (BerriAI/litellm#31115; not on Vertex). */
  serverSideParts: boolean;
  /** "Logprobs is not enabled for this model". */
  logprobs: boolean;
  imageOutput: boolean;
  audioOutput: boolean;
  systemInstruction: boolean;
  /** The first call of every step of the current turn must carry its thought signature. */
  signatureEnforced: boolean;
}

export interface Gates extends Switches {
  thinking: ThinkingKnob;
}

/** What a platform says about all of its models. */
export interface Platform {
  switches: Partial<Switches>;
  /** Models that tell log-probabilities. */
  logprobs?: RegExp;
}

/**
 * The table below, corrected by the platform, then by `entry.features`: any switch by its name, and `effort`, whose levels with the value
 * `null` do not exist (only those both sources know are used: a level too many is a 400, one too few costs nothing).
 */
export function gatesOf(
  model: string,
  entry: ModelEntry | undefined,
  { switches, logprobs }: Platform = { switches: {} },
): Gates {
  const id = model.toLowerCase().replace(/^.*\//, "");
  const gates = {
    ...(id.startsWith("gemma-") ? gemmaGates(id) : geminiGates(id)),
    ...switches,
    logprobs: logprobs?.test(id) ?? false,
    // Unknown is not "no": the API itself refuses what the catalogue cannot tell.
    imageOutput: entry?.output?.includes("image") ?? true,
    audioOutput: entry?.output?.includes("audio") ?? SPEAKS.test(id),
  };
  return entry?.features === undefined ? gates : corrected(gates, entry.features);
}

const SPEAKS = /-tts\b|native-audio/;

/** Generations as hundreds: 2.5 is 205, 3 is 300. */
function generationOf(id: string): number {
  const [, major, minor] = /^gemini-(\d+)(?:\.(\d+))?-/.exec(id) ?? [];
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor ?? 0);
}

type ModelGates = Omit<Gates, "logprobs" | "imageOutput" | "audioOutput">;

function geminiGates(id: string): ModelGates {
  const generation = generationOf(id);
  const isImageModel = /-image\b/.test(id);
  const isCurrent = generation >= 306 || id.startsWith("gemini-3.5-flash-lite");
  return {
    thinking: geminiThinking(id, generation),
    sampling: !isCurrent,
    trailingModelTurn: !isCurrent,
    multiCandidate: generation < 307 && !isImageModel,
    penalties: false,
    functionIds: true,
    toolResultMedia: generation >= 300,
    jsonWithTools: generation >= 300,
    jsonSchema: generation >= 205,
    externalUrls: generation >= 205,
    cloudAddresses: false,
    searchWithFunctions: generation >= 300,
    serverSideParts: generation >= 300,
    systemInstruction: true,
    signatureEnforced: generation >= 300 && !isImageModel,
  };
}

function gemmaGates(id: string): ModelGates {
  return {
    // Gemma 4 has only a switch, and it is spelled as the two outer levels.
    thinking: id.startsWith("gemma-4") ? { kind: "level", levels: ["minimal", "high"] } : { kind: "none" },
    sampling: true,
    trailingModelTurn: true,
    multiCandidate: false,
    penalties: false,
    functionIds: true,
    toolResultMedia: false,
    jsonWithTools: false,
    jsonSchema: false,
    externalUrls: false,
    cloudAddresses: false,
    searchWithFunctions: false,
    serverSideParts: false,
    systemInstruction: false,
    signatureEnforced: false,
  };
}

const NO_THINKING: ThinkingKnob = { kind: "none" };
/** 2.5 Pro answers "Budget 0 is invalid. This model only works in thinking mode." */
const PRO_BUDGET: ThinkingKnob = { kind: "budget", minTokens: 128, maxTokens: 32_768, canDisable: false };

/** First match wins. `minimal` is a 400 on full Flash since 3.7 (vercel/ai#18989). */
const THINKING: [model: RegExp, knob: ThinkingKnob][] = [
  [/^gemini-(1\b|1\.|2\.0|2\.5-.*(image|tts))/, NO_THINKING],
  [/^gemini-2\.5-flash-lite/, { kind: "budget", minTokens: 512, maxTokens: 24_576, canDisable: true }],
  [/^gemini-2\.5-flash/, { kind: "budget", minTokens: 0, maxTokens: 24_576, canDisable: true }],
  [/^gemini-(2\.5|3-pro-image)/, PRO_BUDGET],
  [/^gemini-3-pro/, { kind: "level", levels: ["low", "high"] }],
  [/^gemini-3(\.[1-6])?-flash/, { kind: "level", levels: [...THINKING_LEVELS] }],
];

function geminiThinking(id: string, generation: number): ThinkingKnob {
  if (generation < 205) return NO_THINKING;
  const found = THINKING.find(([model]) => model.test(id));
  return found?.[1] ?? { kind: "level", levels: ["low", "medium", "high"] };
}

function corrected(gates: Gates, features: JsonObject): Gates {
  const changes: JsonObject = {};
  for (const [name, value] of Object.entries(gates)) {
    if (typeof value === "boolean" && typeof features[name] === "boolean") changes[name] = features[name];
  }
  return { ...gates, ...changes, thinking: narrowed(gates.thinking, features.effort) };
}

function narrowed(knob: ThinkingKnob, effort: unknown): ThinkingKnob {
  if (knob.kind !== "level" || !isObject(effort)) return knob;
  const levels = knob.levels.filter((level) => effort[level] != null);
  return levels.length === 0 ? knob : { kind: "level", levels };
}

// Requests and fleets for tests of the planner: pure, with everything a decision looks at given by the test.
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import type { ChatMessage, ChatRequest } from "../src/chat.ts";
import type { EnabledProvider, ModelEntry } from "../src/dialect.ts";
import type { Affinity, FleetView } from "../src/routing/fleet-view.ts";
import type { Asked } from "../src/routing/plan.ts";

export interface RequestFacts {
  model: string;
  /** Providers with a key. */
  enabled?: string[];
  /** What signalbox.yaml says. */
  config?: object;
  stream?: boolean;
  turns?: number;
  endpoint?: string;
  key?: string;
  team?: string;
  keyTags?: string[];
  has?: ("tools" | "images" | "json_schema" | "audio" | "files" | "reasoning")[];
  /** More members of the body: `provider`, `models`, `max_tokens` … */
  body?: Record<string, unknown>;
  headers?: Record<string, string>;
  /** Estimated prompt, the same for every target. */
  tokens?: number;
  /** ISO 8601. */
  now?: string;
  /** What is known of targets. */
  fleet?: Record<string, { ttft?: number; msPerToken?: number; failures?: number; samples?: number }>;
  outputTokens?: number;
  affinity?: Omit<Affinity, "lastUsedMs">;
  /** What is drawn, one after the other; 0.5 when it runs out. */
  draws?: number[];
}

export function requestOf({ model, stream = false, turns = 1, has = [], body: more = {} }: RequestFacts): ChatRequest {
  const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
  const sound = { type: "input_audio", input_audio: { data: "AA==", format: "wav" } };
  const file = { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" } };
  const parts = [
    ...(has.includes("images") ? [picture] : []),
    ...(has.includes("audio") ? [sound] : []),
    ...(has.includes("files") ? [file] : []),
  ];
  const message: ChatMessage = { role: "user", content: parts.length > 0 ? parts : "q" };
  const body: ChatRequest["body"] = { model, messages: Array.from({ length: turns }, () => message) };
  if (has.includes("tools")) body.tools = [{ type: "function", function: { name: "f" } }];
  if (has.includes("json_schema")) body.response_format = { type: "json_schema", json_schema: { name: "x" } };
  if (has.includes("reasoning")) body.reasoning_effort = "high";
  Object.assign(body, more);
  return { dialect: "openai-chat", body, stream, includeUsage: false, includeCost: false, strict: false };
}

export function askedOf(facts: RequestFacts): Asked {
  const tokens = facts.tokens ?? 100;
  return {
    request: requestOf(facts),
    caller: {
      key: facts.key ?? "local",
      ...(facts.team === undefined ? {} : { team: facts.team }),
      ...(facts.keyTags === undefined ? {} : { keyTags: facts.keyTags }),
    },
    endpoint: facts.endpoint ?? "/v1/chat/completions",
    headers: () => facts.headers ?? {},
    bodyBytes: tokens * 4,
    inputTokens: () => tokens,
    affinityId: facts.affinity === undefined ? undefined : "conversation",
    nowMs: Date.parse(facts.now ?? "2026-11-24T12:00:00Z"),
  };
}

export function fleetOf({ fleet = {}, outputTokens, affinity }: RequestFacts): FleetView {
  return {
    firstByteMs: (target) => fleet[target]?.ttft,
    msPerOutputToken: (target) => fleet[target]?.msPerToken,
    expectedOutputTokens: () => outputTokens,
    outputTokensQuantile: () => outputTokens,
    failureRate: (target) => fleet[target]?.failures ?? 0,
    recentSamples: (target) => fleet[target]?.samples ?? 0,
    affinity: () => (affinity === undefined ? undefined : { ...affinity, lastUsedMs: 0 }),
  };
}

export function drawsOf({ draws = [] }: RequestFacts): () => number {
  const left = [...draws];
  return () => left.shift() ?? 0.5;
}

/** Lehmer's generator: uniform in [0, 1), the same for the same seed. */
export function drawsFrom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

/** A provider that is nothing but its models. */
export function providerOf(
  id: string,
  models: ReadonlyMap<string, ModelEntry>,
  settings: Partial<EnabledProvider> = {},
): EnabledProvider {
  return {
    id,
    name: id,
    docs: "",
    baseUrl: "http://localhost",
    baseUrlEnv: [],
    keyEnv: [],
    enabledBy: "url",
    dialect: openaiChat(),
    authorize: () => ({}),
    key: undefined,
    models,
    ...settings,
  };
}

// How long a decision takes: 50 rules with conditions that all have to be looked at, five candidates, a prompt of 4 KB.
// Timed: the planner with facts, conditions, token estimate, filters and scores; then the admission of the caller and the
// reservation of the first candidate's limits. Not timed: reading the body.
import { performance } from "node:perf_hooks";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as known } from "../providers/index.ts";
import { loadCatalog } from "../src/catalog.ts";
import type { ChatBody, ChatRequest } from "../src/chat.ts";
import { buildConfig } from "../src/config.ts";
import { createFleet, type Fleet } from "../src/fleet.ts";
import { createLearning } from "../src/learning.ts";
import { createCallerGate } from "../src/limits/callers.ts";
import { createLimits } from "../src/limits.ts";
import { affinityId } from "../src/routing/affinity-id.ts";
import { type Asked, plan } from "../src/routing/plan.ts";
import { compile } from "../src/routing/rules.ts";
import { buildSnapshot, type Snapshot } from "../src/routing/snapshot.ts";
import { quantile } from "./statistics.ts";

const CONDITIONS = [
  "tokens.input > 180000 && !has.tools",
  'key.team == "interns" && tokens.input > 50000',
  'header["x-app"] == "cli" || "batch" in tags',
  'time.hour >= 20 && time.weekday in ["sat", "sun"]',
  '"tenant" in metadata && metadata["tenant"].startsWith("eu-")',
  "has.images && turns > 3",
  'has.json_schema && tokens.max_output > 8000 && model != "house"',
  'endpoint == "/v1/completions" || time.date == "2026-12-24"',
  'key.tags.exists(tag, tag == "gold") && stream',
  "has.reasoning && !stream && turns < 20",
];
const TARGETS = [
  "openai/gpt-6-luna",
  "openai/gpt-6-sol",
  "google/gemini-3.8-flash",
  "anthropic/claude-haiku-5-5",
  "anthropic/claude-sonnet-5-5",
];

function rulesText(count: number): string {
  const rules = Array.from({ length: count - 1 }, (_, at) => {
    const when = JSON.stringify(CONDITIONS[at % CONDITIONS.length]);
    return `  - { name: "rule ${at}", model: ["house", "g*-${at}"], when: ${when}, from: [openai/gpt-6-sol] }`;
  });
  const last = `  - { name: last, model: "hou*", from: [${TARGETS.join(", ")}], require: { min_context: 32k, max_cost: $1, max_ttft: 1h } }`;
  return ["version: 1", "timezone: Europe/Berlin", "rules:", ...rules, last, ""].join("\n");
}

function snapshotOf(text: string): Snapshot {
  const catalog = loadCatalog();
  const env = { OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k", GEMINI_API_KEY: "k" };
  const dialects = { "openai-chat": openaiChat() };
  const config = buildConfig({ flags: {}, env, known, dialects, catalog: catalog.models }, { file: "-", text: "" });
  const rules = compile([{ file: "rules.yaml", text }], () => undefined);
  if ("errors" in config || "errors" in rules) throw new Error("the bench's own configuration is wrong");
  const { providers, disabled } = config;
  return buildSnapshot({ rules, rulesText: text, providers, disabled, catalogVersion: catalog.version });
}

/** A conversation of 4 KB, never the same twice. */
function bodyText(seed: number): string {
  const words = "the router decides which model answers this question about invoices and shipping ";
  const messages = [{ role: "system", content: `You are a helpful assistant, number ${seed}.` }];
  for (let turn = 0; turn < 4; turn += 1) {
    messages.push({ role: "user", content: `${turn}: ${words.repeat(6)}` });
    if (turn < 3) messages.push({ role: "assistant", content: `${seed}: ${words.repeat(5)}` });
  }
  return JSON.stringify({ model: "house", messages, max_tokens: 1_000, metadata: { tenant: "us-1" }, stream: true });
}

const HEADERS = {
  "content-type": "application/json",
  "user-agent": "OpenAI/JS 6.1.0",
  "x-stainless-lang": "js",
  "x-app": "web",
  "x-signalbox-tags": "prod, chat",
  accept: "application/json",
  host: "localhost:8787",
};

/** Targets in full use: there is something to look up. */
function busyFleet(nowMs: () => number, draw: () => number): Fleet {
  const fleet = createFleet({ nowMs });
  for (let at = 0; at < 2_000; at += 1) {
    const target = TARGETS[at % TARGETS.length] as string;
    const outputTokens = 50 + Math.round(draw() * 500);
    const scope = { rule: "last", key: "ann", model: target.slice(target.indexOf("/") + 1), maxTokens: 1_000 };
    const firstByteMs = 300 + draw() * 900;
    const totalMs = firstByteMs + outputTokens * 12;
    fleet.observe({ target, freshInputTokens: 900, firstByteMs, totalMs, outputTokens, errorKind: undefined, scope });
  }
  return fleet;
}

interface Took {
  planMs: number;
  /** The planner, the admission and the reservation. */
  admittedMs: number;
}

const CALLER = { key: "ann", keyId: "key_ann", limits: { rpm: 1_000_000, tpm: 1_000_000_000, concurrency: 1_000 } };
const ROOMY = { requests: 1_000_000_000, tokens: 1_000_000_000_000 };

/** Decides about a body and admits it. */
function createSubject(): (text: string) => Promise<Took> {
  const snapshot = snapshotOf(rulesText(50));
  const nowMs = Date.parse("2026-11-24T12:00:00Z");
  const learning = createLearning({
    nowMs: () => nowMs,
    shelf: { saveStatistics() {}, loadStatistics: () => undefined },
    kindOf: () => undefined,
    log() {},
  });
  // Lehmer's generator: the same draws in every run.
  let state = 1;
  const draw = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const fleet = busyFleet(() => nowMs, draw);
  const gate = createCallerGate(() => nowMs);
  const pools = TARGETS.map((name) => ({ name, matches: (target: string) => target === name, ...ROOMY }));
  const limits = createLimits({ nowMs: () => nowMs, schedule: () => () => {}, draw, pools });
  const signal = new AbortController().signal;
  return async (text) => {
    const body = JSON.parse(text) as ChatBody;
    const request: ChatRequest = {
      dialect: "openai-chat",
      body,
      stream: true,
      includeUsage: false,
      includeCost: false,
      strict: false,
    };
    const start = performance.now();
    const asked: Asked = {
      request,
      caller: { key: "ann", team: "web", keyTags: ["gold-ish"] },
      endpoint: "/v1/chat/completions",
      headers: () => ({ ...HEADERS }),
      bodyBytes: text.length,
      inputTokens: learning.inputTokens(request, "ann"),
      affinityId: affinityId({ request, key: "ann", header: (name) => (HEADERS as Record<string, string>)[name] }),
      nowMs,
    };
    const planned = plan(snapshot, asked, fleet, draw);
    const planMs = performance.now() - start;
    if (planned.kind === "denied" || planned.candidates.length !== 5) throw new Error(planned.decision);
    const admitted = gate.admit(CALLER, () => learning.expectedTokens(request, CALLER.key));
    const options = planned.candidates.map(({ target, score }) => {
      const need = { inputTokens: score?.inputTokens ?? 0, cachedTokens: 0, outputTokens: 500 };
      return { target, need: { ...need, maxOutputTokens: 1_000, expectedMs: score?.latencyMs ?? 0 } };
    });
    const bytes = text.length;
    const acquiring = limits.acquire({
      key: "ann",
      priority: "default",
      stream: true,
      bytes,
      options,
      maxWaitMs: 0,
      signal,
    });
    const admittedMs = performance.now() - start;
    // Given back outside the time: the next decision finds things as this one did.
    const turn = await acquiring;
    if (admitted.kind !== "admitted" || turn.kind !== "granted") throw new Error("there should be room");
    turn.reservation.settle(undefined, false);
    admitted.admission.end({ kind: "refused" });
    return { planMs, admittedMs };
  };
}

export interface DecisionFigures {
  decisions: number;
  bodyBytes: number;
  /** The planner and the estimate. */
  planMs: { p50: number; p99: number; p999: number };
  /** With admission and reservation. */
  admittedMs: { p50: number; p99: number };
}

export async function measureDecisions(seconds: number): Promise<DecisionFigures> {
  const decide = createSubject();
  const texts = Array.from({ length: 64 }, (_, seed) => bodyText(seed));
  const took: Took[] = [];
  const end = performance.now() + seconds * 1000;
  for (let at = 0; performance.now() < end; at += 1) took.push(await decide(texts[at % texts.length] as string));
  // The first fifth is for the compiler.
  const warm = took.slice(Math.floor(took.length / 5));
  const plans = warm.map(({ planMs }) => planMs);
  const admitted = warm.map(({ admittedMs }) => admittedMs);
  return {
    decisions: warm.length,
    bodyBytes: texts[0]?.length ?? 0,
    planMs: { p50: quantile(plans, 0.5), p99: quantile(plans, 0.99), p999: quantile(plans, 0.999) },
    admittedMs: { p50: quantile(admitted, 0.5), p99: quantile(admitted, 0.99) },
  };
}

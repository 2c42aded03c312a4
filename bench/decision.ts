// How long a decision takes: 50 rules with conditions that all have to be looked at, five candidates, a prompt of 4 KB.
// `node bench/decision.ts [--seconds 5]`. Timed: the planner with facts, conditions, token estimate, filters and scores.
// Not timed: reading the body. Exit code 1 when a target is missed.
import { performance } from "node:perf_hooks";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as known } from "../providers/index.ts";
import { loadCatalog } from "../src/catalog.ts";
import type { ChatBody, ChatRequest } from "../src/chat.ts";
import { buildConfig } from "../src/config.ts";
import { createFleet, type Fleet } from "../src/fleet.ts";
import { createLearning } from "../src/learning.ts";
import { affinityId } from "../src/routing/affinity-id.ts";
import { type Asked, plan } from "../src/routing/plan.ts";
import { compile } from "../src/routing/rules.ts";
import { buildSnapshot, type Snapshot } from "../src/routing/snapshot.ts";

const P50_MS = 0.1;
const P99_MS = 0.5;

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

/** Decides about a body; answers with how long it took in ms. */
function createSubject(): (text: string) => number {
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
  return (text) => {
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
    const tookMs = performance.now() - start;
    if (planned.kind === "denied" || planned.candidates.length !== 5) throw new Error(planned.decision);
    return tookMs;
  };
}

function main(): void {
  const seconds = Number(process.argv[process.argv.indexOf("--seconds") + 1]) || 5;
  const decide = createSubject();
  const texts = Array.from({ length: 64 }, (_, seed) => bodyText(seed));
  const took: number[] = [];
  const end = performance.now() + seconds * 1000;
  for (let at = 0; performance.now() < end; at += 1) took.push(decide(texts[at % texts.length] as string));
  // The first fifth is for the compiler.
  const warm = took.slice(Math.floor(took.length / 5)).sort((a, b) => a - b);
  const at = (quantile: number) => warm[Math.floor(warm.length * quantile)] ?? Number.NaN;
  console.log(`${warm.length} decisions, 50 rules, 5 candidates, body of ${texts[0]?.length} bytes`);
  const figures = `p50 ${at(0.5).toFixed(4)} ms (target ${P50_MS})   p99 ${at(0.99).toFixed(4)} ms (target ${P99_MS})`;
  console.log(`${figures}   p99.9 ${at(0.999).toFixed(4)} ms`);
  if (!(at(0.5) <= P50_MS && at(0.99) <= P99_MS)) process.exitCode = 1;
}

main();

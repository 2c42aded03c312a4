// Rows as a company's router would write them, made up from a seed: who calls, what was weighed, how it ended.
import { traceText } from "../src/routing/explain.ts";
import type { AttemptSettled, LedgerRow } from "../src/store/rows.ts";

export interface FillOptions {
  requests: number;
  fromMs: number;
  toMs: number;
  seed: number;
}

const DAY_MS = 86_400_000;
const KEYS = 50;
const TEAMS = 10;
const MODELS = 30;
const RULES = ["chat-default", "code", "long-context", "cheap-batch", "vision", "eu-only"];
const PROVIDERS = ["openai", "anthropic", "google", "groq", "mistral", "bedrock"];
/** Share of requests by hour of the day, UTC: nights are quiet. */
const BUSY = [1, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 9, 8, 9, 10, 9, 8, 6, 4, 3, 2, 2, 1, 1];

/** Batches of about `batchRequests` requests, in order of time; each row as the gateway hands it to the ledger. */
export function* ledgerRows(options: FillOptions, batchRequests: number): Generator<LedgerRow[]> {
  const draw = randomOf(options.seed);
  const times = timesOf(options);
  let batch: LedgerRow[] = [];
  let made = 0;
  for (const receivedAtMs of times) {
    batch.push(...requestRows(receivedAtMs, draw));
    made += 1;
    if (made % batchRequests === 0) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** Evenly within each hour, hours weighed by how busy they are. */
function* timesOf({ requests, fromMs, toMs }: FillOptions): Generator<number> {
  const hours = Math.max(1, Math.ceil((toMs - fromMs) / 3_600_000));
  const weights = Array.from(
    { length: hours },
    (_, hour) => BUSY[new Date(fromMs + hour * 3_600_000).getUTCHours()] ?? 1,
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let owed = 0;
  for (const [hour, weight] of weights.entries()) {
    owed += (requests * weight) / total;
    const count = Math.round(owed);
    owed -= count;
    for (let i = 0; i < count; i += 1) yield Math.floor(fromMs + hour * 3_600_000 + (i * 3_600_000) / count);
  }
}

type Draw = () => number;

function requestRows(receivedAtMs: number, draw: Draw): LedgerRow[] {
  const requestId = `req_${receivedAtMs.toString(16).padStart(12, "0")}${hex(20, draw)}`;
  const keyNumber = Math.floor(KEYS * draw() ** 2);
  const owner = {
    key: `service-${keyNumber}`,
    keyId: `key_${String(keyNumber).padStart(24, "x")}`,
    team: `team-${keyNumber % TEAMS}`,
    tags: keyNumber % 5 === 0 ? [["prod"], ["staging"], ["batch"]][Math.floor(draw() * 3)] : undefined,
  };
  const model = Math.floor(MODELS * draw() ** 2);
  const rule = RULES[(model + keyNumber) % RULES.length] ?? "";
  const candidates = 3 + (model % 4);
  const targets = Array.from({ length: candidates }, (_, index) => targetOf(model + index * 7));
  const isFallback = draw() < 0.03;
  const rows: LedgerRow[] = [];
  const call = { requestId, catalogVersion: "2026-11-20-3f9c2a71", rule, ...owner };
  let atMs = receivedAtMs + 2;
  for (let attempt = 1; attempt <= (isFallback ? 2 : 1); attempt += 1) {
    const target = targets[attempt - 1] ?? targetOf(model);
    rows.push({ kind: "opened", ...call, attempt, openedAtMs: atMs, ...target });
    const settled = attempt === 1 && isFallback ? refused(atMs, draw) : answered(atMs, draw);
    rows.push({ kind: "settled", requestId, attempt, ...settled });
    atMs = settled.endedAtMs + 1;
  }
  const story = storyOf(rule, targets, draw);
  const isStream = draw() < 0.7;
  rows.push({
    ...{ kind: "finished", requestId, receivedAtMs, endedAtMs: atMs, ...owner, endpoint: "chat.completions" },
    ...{ modelRequested: draw() < 0.5 ? "smart" : (targets[0]?.model ?? ""), stream: isStream, status: 200 },
    ...{ errorKind: undefined, attempts: isFallback ? 2 : 1, snapshotId: `snap-${Math.floor(receivedAtMs / DAY_MS)}` },
    ...{ warnings: draw() < 0.1 ? ["dropped:seed"] : [], ...story },
    ...(draw() < 0.3 ? { user: `user-${Math.floor(draw() * 5_000)}` } : {}),
    ...(draw() < 0.3 ? { app: `app-${keyNumber % 7}` } : {}),
    ...(draw() < 0.2 ? { session: hex(16, draw) } : {}),
    bodyHash: hex(16, draw),
  });
  return rows;
}

function targetOf(number: number): { provider: string; model: string } {
  const model = number % MODELS;
  return { provider: PROVIDERS[model % PROVIDERS.length] ?? "", model: `model-${model}-2026` };
}

function storyOf(rule: string, targets: { provider: string; model: string }[], draw: Draw) {
  const scored = targets.map(({ provider, model }, index) => ({
    name: `${provider}/${model}`,
    tier: 0,
    reasons: index === 2 && draw() < 0.1 ? [{ code: "breaker_open", detail: "" }] : [],
    score: { costNanoUsd: 1_000 * Math.floor(50 + 20_000 * draw()), latencyMs: 300 + 9_000 * draw() },
  }));
  const [first] = scored;
  const cost = ((first?.score.costNanoUsd ?? 0) / 1e9).toFixed(6);
  const decision = `${rule}: cheapest;cost=${cost};latency=${Math.round(first?.score.latencyMs ?? 0)}`;
  const trace = { rule, pick: "cheapest", passedOver: [], missing: [], targets: scored, explored: false };
  return { decision, trace: traceText(trace as unknown as Parameters<typeof traceText>[0]) };
}

type Settled = Omit<AttemptSettled, "requestId" | "attempt">;

function answered(atMs: number, draw: Draw): Settled {
  const inputTokens = Math.floor(200 + 20_000 * draw() ** 3);
  const outputTokens = Math.floor(10 + 3_000 * draw() ** 3);
  const cacheReadTokens = draw() < 0.4 ? Math.floor(inputTokens * draw()) : 0;
  const reasoningTokens = draw() < 0.2 ? Math.floor(outputTokens * draw()) : undefined;
  const firstByteMs = 200 + 2_000 * draw();
  return {
    ...{ endedAtMs: Math.round(atMs + firstByteMs + outputTokens * 10), firstByteMs, errorKind: undefined },
    usage: {
      inputTokens,
      cacheReadTokens,
      outputTokens,
      ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
    },
    ...{ costNanoUsd: inputTokens * 250 + outputTokens * 2_000, priceStatus: "exact", httpStatus: 200 },
    ...{ endReason: "complete", upstreamRequestId: `chatcmpl-${hex(24, draw)}`, finishReason: "stop" },
  };
}

function refused(atMs: number, draw: Draw): Settled {
  return {
    ...{ endedAtMs: Math.round(atMs + 50 + 500 * draw()), firstByteMs: undefined, usage: undefined },
    ...{ costNanoUsd: 0, priceStatus: "unmetered", httpStatus: 529, errorKind: "overloaded", endReason: "failed" },
    ...{ upstreamRequestId: undefined, finishReason: undefined },
  };
}

const HEX_OF_32_BITS = 8;

function hex(digits: number, draw: Draw): string {
  let text = "";
  while (text.length < digits)
    text += Math.floor(draw() * 2 ** 32)
      .toString(16)
      .padStart(HEX_OF_32_BITS, "0");
  return text.slice(0, digits);
}

/** mulberry32: the same seed makes the same ledger. */
function randomOf(seed: number): Draw {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

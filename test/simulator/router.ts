// The real router over simulated providers: everything but the door to the providers and the disk is what main.ts builds.
import { readLimits as readAnthropicLimits } from "../../providers/dialects/anthropic/limits.ts";
import { openaiChat } from "../../providers/dialects/openai-chat.ts";
import { type BudgetSettings, createBudgets } from "../../src/budgets.ts";
import type { ChatRequest } from "../../src/chat.ts";
import { type EnabledProvider, Secret } from "../../src/dialect.ts";
import { createGateway, type Gateway, type GatewayInput } from "../../src/gateway.ts";
import { createHealth, type Health } from "../../src/health.ts";
import { createLearning, kindOf } from "../../src/learning.ts";
import { createLimits, type Limits, type PoolConfig } from "../../src/limits.ts";
import { createMemory } from "../../src/memory.ts";
import { rateKeys } from "../../src/pricing.ts";
import { createRetryBudget } from "../../src/retry-budget.ts";
import { compile } from "../../src/routing/rules.ts";
import { buildSnapshot, type Snapshot } from "../../src/routing/snapshot.ts";
import { type Arrival, DEADLINE_MS } from "./callers.ts";
import { type AuditedLedger, createAuditedLedger } from "./ledger.ts";
import type { Answer, Policy, World } from "./policy.ts";
import type { Profile } from "./provider.ts";
import { promptOf } from "./wire.ts";

const MODEL = "chat";

export interface RouterSettings {
  /** What the operator knows of limits and writes into signalbox.yaml; the rest is learnt. */
  pools: Omit<PoolConfig, "matches">[];
  /** Further keys of the rule, in YAML's flow style: `timeouts: { first_byte: 10s }, queue: { max_wait: 50s }`. */
  rule?: string | undefined;
  budgets?: readonly BudgetSettings[];
}

/** Limits and health for those who want to watch a run. */
interface SimulatedRouter extends Policy {
  limits: Limits;
  health: Health;
}

export function signalbox(world: World, settings: RouterSettings): SimulatedRouter {
  const { engine, upstream, profiles } = world;
  const { nowMs, schedule, sleep } = engine;
  const snapshot = snapshotOf(profiles, settings);
  const ledger = createAuditedLedger();
  const random = engine.random("router");
  const draw = () => random.next();
  const learning = createLearning({ nowMs, shelf: ledger, kindOf: (target) => kindOf(snapshot, target), log() {} });
  const pools = settings.pools.map((pool) => ({
    ...pool,
    matches: (target: string) => target.startsWith(`${pool.name}/`),
  }));
  const limits = createLimits({ nowMs, schedule, draw, pools });
  const health = createHealth({ nowMs, draw });
  let ids = 0;
  const gateway = createGateway({
    upstream,
    ledger,
    snapshot: () => snapshot,
    nowMs,
    newId: (prefix) => {
      ids += 1;
      return `${prefix}${ids}`;
    },
    memory: createMemory(nowMs),
    fleet: learning.fleet,
    limits,
    health,
    retryBudget: createRetryBudget({ nowMs }),
    budgets: createBudgets({ nowMs, settings: settings.budgets ?? [], balances: [], hasKey: () => true, log() {} }),
    inputMargin: () => learning.inputMargin(),
    rateKey: rateKeys(),
    inputTokens: (request, caller) => learning.inputTokens(request, caller),
    observe: (settled) => learning.observe(settled),
    download: async () => ({ error: { kind: "invalid_request", message: "nothing is fetched here" } }),
    draw,
    sleep,
  });
  return {
    limits,
    health,
    answer: (arrival, signal) => answer(gateway, ledger, inputOf(arrival, nowMs(), signal)),
    faults: () => [...ledger.faults(), ...leftovers(limits)],
    spentNanoUsd: ledger.spentNanoUsd,
  };
}

function leftovers(limits: Limits): string[] {
  const { queued, pools } = limits.status();
  const held = pools
    .filter(({ in_flight }) => in_flight !== 0)
    .map(({ name, in_flight }) => `${name} holds ${in_flight}`);
  return queued === 0 ? held : [...held, `${queued} still queue`];
}

function inputOf(arrival: Arrival, receivedAtMs: number, signal: AbortSignal): GatewayInput {
  const content = promptOf(arrival.id, arrival.outputTokens, arrival.plainTokens);
  const { stream, maxTokens } = arrival;
  const body = { model: MODEL, messages: [{ role: "user", content }], max_tokens: maxTokens, stream };
  const request: ChatRequest = {
    dialect: "openai-chat",
    body,
    stream,
    includeUsage: false,
    includeCost: false,
    strict: false,
  };
  return {
    requestId: arrival.id,
    receivedAtMs,
    endpoint: "/v1/chat/completions",
    headers: () => ({}),
    bodyBytes: content.length + 100,
    affinityId: undefined,
    request,
    caller: { key: arrival.key },
    timeoutMs: DEADLINE_MS,
    signal,
  };
}

async function answer(gateway: Gateway, ledger: AuditedLedger, input: GatewayInput): Promise<Answer> {
  const outcome = await gateway.run(input);
  const told = { status: 200, isDone: false, text: "", errorKind: undefined as string | undefined };
  if (outcome.kind === "failed") {
    told.status = outcome.error.status;
    told.errorKind = String(outcome.error.metadata?.error_type ?? outcome.error.code);
  } else if (outcome.kind === "buffered") {
    for (const event of outcome.events) if (event.type === "text_delta") told.text += event.text;
    told.isDone = true;
  } else {
    for await (const { pieces, terminal } of outcome.batches) {
      for (const { events } of pieces)
        for (const event of events) if (event.type === "text_delta") told.text += event.text;
      if (terminal?.type === "end") told.isDone = true;
      if (terminal?.type === "error") told.errorKind = terminal.error.kind;
    }
  }
  const attempts = ledger.attemptsOf(input.requestId);
  const answered = attempts.findLast(({ row }) => row.errorKind !== "hedge_lost");
  return { ...told, ownMs: answered?.tookMs ?? 0, attempts: attempts.length };
}

function snapshotOf(profiles: readonly Profile[], { rule: more }: RouterSettings): Snapshot {
  const providers = new Map(profiles.map((profile) => [profile.id, enabled(profile)]));
  const targets = profiles.map(({ id }) => `${id}/${MODEL}`).join(", ");
  const keys = [`name: chat, model: ${MODEL}, pick: cheapest, from: [${targets}]`, more];
  const rule = `{ ${keys.filter((key) => key !== undefined).join(", ")} }`;
  const text = `version: 1\nrules:\n  - ${rule}\n`;
  const rules = compile([{ file: "simulation.yaml", text }], () => undefined);
  if ("errors" in rules) throw new Error(`the simulation's own rules are wrong: ${JSON.stringify(rules.errors)}`);
  return buildSnapshot({ rules, rulesText: text, providers, disabled: new Map(), catalogVersion: "simulation" });
}

function enabled(profile: Profile): EnabledProvider {
  const { id, rates, accounting, headers } = profile;
  const chat = openaiChat();
  const entry = { id: MODEL, rates, contextTokens: 200_000, maxOutputTokens: 32_000 };
  return {
    id,
    name: id,
    docs: "https://simulated.test",
    baseUrl: `https://${id}.test`,
    baseUrlEnv: [],
    keyEnv: [],
    enabledBy: "key",
    // All speak Chat Completions; only the names of the headers are Anthropic's where they are to be.
    dialect: headers === "anthropic" ? { ...chat, readLimits: readAnthropicLimits } : chat,
    accounting,
    authorize: (key) => ({ authorization: `Bearer ${key}` }),
    key: new Secret("k"),
    models: new Map([[MODEL, entry]]),
  };
}

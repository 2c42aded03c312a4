// The examples do what their comments say: each file compiles, names only what exists, and sends its requests where the
// table has them.
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { providers as known } from "../providers/index.ts";
import { loadCatalog } from "../src/catalog.ts";
import { targetName } from "../src/dialect.ts";
import { packageRoot } from "../src/package-root.ts";
import { applySet } from "../src/routing/parameters.ts";
import { resolve, type Snapshot } from "../src/routing/snapshot.ts";
import { planFor } from "./routing-outcome.ts";
import { type RequestFacts, requestOf } from "./routing-support.ts";
import { snapshotOf } from "./routing-world.ts";

const FOLDER = join(packageRoot(), "routing-rules", "examples");
const catalog = loadCatalog();
const everybody = known.filter(({ keyEnv }) => keyEnv.length > 0).map(({ id }) => id);

/** What the comments of the files ask signalbox.yaml to say. */
const SETTINGS = {
  providers: {
    mistral: { regions: ["eu"] },
    anthropic: { data_policy: "no_retention" },
    openai: { data_policy: "no_training" },
    vllm: {
      base_url: "http://gpu-1:8000/v1",
      models: [{ id: "llama-3.3-70b", context: "128k", price: { input: 0.05, output: 0.1 } }],
    },
  },
};

function load(file: string, enabled: readonly string[] = everybody): Snapshot {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-examples-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  cpSync(join(FOLDER, file), join(dir, "rules.yaml"));
  return snapshotOf(dir, enabled, catalog, JSON.stringify(SETTINGS));
}

/** Targets in order, and with `sets` what is sent to the first; or the refusal. */
function outcome(snapshot: Snapshot, facts: RequestFacts, sets: boolean): string[] {
  const planned = planFor(snapshot, facts);
  if (planned.kind === "denied") return [`${planned.error.status} ${planned.error.message}`];
  const names = planned.candidates.map(({ target }) => targetName(target));
  const first = planned.candidates[0];
  if (!sets || first === undefined) return names;
  const { model: _model, messages: _messages, ...parameters } = applySet(requestOf(facts).body, first.set).body;
  return [...names, JSON.stringify(parameters)];
}

interface Situation {
  file: string;
  says: string;
  facts: RequestFacts;
  expected: string[];
  sets?: true;
  enabled?: string[];
}

const NIGHT = "2026-11-24T22:30:00Z";
const SITUATIONS: Situation[] = [
  {
    file: "long-prompts.yaml",
    says: "a short prompt goes where it is quick",
    facts: { model: "house", tokens: 900, fleet: { "groq/llama-3.3-70b-versatile": { ttft: 200, msPerToken: 3 } } },
    expected: ["groq/llama-3.3-70b-versatile", "anthropic/claude-haiku-4-5"],
  },
  {
    file: "long-prompts.yaml",
    says: "a long one goes to the cheapest of the long windows",
    facts: { model: "house", tokens: 150_000 },
    expected: ["google/gemini-2.5-flash", "anthropic/claude-sonnet-5", "openai/gpt-5.4"],
  },
  {
    file: "office-hours.yaml",
    says: "by day a second is worth something",
    facts: {
      model: "assistant",
      now: "2026-11-24T09:00:00Z",
      draws: [0.1, 0, 0],
      fleet: { "google/gemini-3.8-flash": { ttft: 300, msPerToken: 4 } },
    },
    expected: ["google/gemini-3.8-flash", "anthropic/claude-sonnet-5-5", "openai/gpt-6-sol"],
  },
  {
    file: "office-hours.yaml",
    says: "after five only money counts",
    facts: { model: "assistant", now: "2026-11-24T16:00:00Z" },
    expected: ["google/gemini-2.5-flash-lite", "openai/gpt-6-luna", "openai/gpt-6-sol"],
  },
  {
    file: "office-hours.yaml",
    says: "and so on a Saturday",
    facts: { model: "assistant", now: "2026-11-28T09:00:00Z" },
    expected: ["google/gemini-2.5-flash-lite", "openai/gpt-6-luna", "openai/gpt-6-sol"],
  },
  {
    file: "interns.yaml",
    says: "a long prompt is refused",
    facts: { model: "gpt-6-luna", team: "interns", tokens: 50_001 },
    expected: ["403 Prompts above 50k tokens need approval. Ask in the channel of the platform team."],
  },
  {
    file: "interns.yaml",
    says: "a dear model too, also by its alias",
    facts: { model: "smart", team: "interns" },
    expected: ["403 This model needs approval. Use openai/gpt-6-luna."],
  },
  {
    file: "interns.yaml",
    says: "nor is it a way round to ask for it second",
    facts: {
      model: "gpt-6-luna",
      team: "interns",
      body: { models: ["claude-opus-5-5"], provider: { only: ["openai", "anthropic"] } },
    },
    expected: ["openai/gpt-6-luna"],
  },
  {
    file: "interns.yaml",
    says: "who has approval may",
    facts: { model: "anthropic/claude-opus-5-5", team: "interns", keyTags: ["approved"] },
    expected: ["anthropic/claude-opus-5-5"],
  },
  {
    file: "eu-only.yaml",
    says: "a tenant's requests stay, whatever the caller wishes",
    facts: { model: "any", body: { metadata: { tenant: "eu-7" }, provider: { only: ["openai"] } } },
    expected: ["mistral/mistral-small-latest", "mistral/mistral-large-4"],
  },
  {
    file: "eu-only.yaml",
    says: "and are refused where nobody is there",
    facts: { model: "any", body: { metadata: { tenant: "eu-7" } } },
    enabled: ["openai"],
    expected: [
      "404 Every target for the model 'any' is excluded. openai/gpt-6-sol: its region must be eu; it is not known.",
    ],
  },
  {
    file: "eu-only.yaml",
    says: "others go where they like",
    facts: { model: "openai/gpt-6-sol", body: { metadata: { tenant: "us-7" } } },
    enabled: ["openai"],
    expected: ["openai/gpt-6-sol"],
  },
  {
    file: "no-retention.yaml",
    says: "a tag of the request keeps it with those who keep nothing",
    facts: { model: "x", headers: { "x-signalbox-tags": "confidential" } },
    expected: ["anthropic/claude-sonnet-5-5"],
  },
  {
    file: "no-retention.yaml",
    says: "and so does a tag of the key",
    facts: { model: "x", keyTags: ["confidential"] },
    expected: ["anthropic/claude-sonnet-5-5"],
  },
  {
    file: "cheapest-with-vision.yaml",
    says: "the cheapest that sees",
    facts: { model: "eyes", has: ["images"] },
    expected: ["openai/gpt-6-luna", "mistral/mistral-small-latest", "google/gemini-3.8-flash"],
  },
  {
    file: "canary.yaml",
    says: "nineteen in twenty stay",
    facts: { model: "production", draws: [0.94] },
    expected: ["anthropic/claude-sonnet-5", "anthropic/claude-sonnet-5-5", "{}"],
    sets: true,
  },
  {
    file: "canary.yaml",
    says: "one tries the new model, within bounds",
    facts: { model: "production", draws: [0.96] },
    expected: ["anthropic/claude-sonnet-5-5", "anthropic/claude-sonnet-5", '{"max_tokens":2000}'],
    sets: true,
  },
  {
    file: "tiers-of-quality.yaml",
    says: "the good enough first, tier after tier",
    facts: { model: "writer", draws: [0, 0, 0, 0.9, 0, 0] },
    expected: [
      "anthropic/claude-opus-5-5",
      "openai/gpt-6-sol",
      "mistral/mistral-large-4",
      "xai/grok-4.7",
      "google/gemini-3.1-pro-preview",
      "anthropic/claude-sonnet-5-5",
    ],
  },
  {
    file: "tool-callers.yaml",
    says: "an agent stays where its prompt is cached",
    facts: {
      model: "coder",
      has: ["tools"],
      tokens: 60_000,
      affinity: { target: "openai/gpt-6-sol", cachedTokens: 58_000, hitProbability: 0.9 },
      body: { temperature: 1 },
    },
    expected: [
      "openai/gpt-6-sol",
      "anthropic/claude-sonnet-5-5",
      '{"tools":[{"type":"function","function":{"name":"f"}}],"temperature":0.3}',
    ],
    sets: true,
  },
  {
    file: "tool-callers.yaml",
    says: "a question goes to whoever is quick",
    facts: { model: "coder", fleet: { "groq/openai/gpt-oss-120b": { ttft: 150, msPerToken: 2 } } },
    expected: ["groq/openai/gpt-oss-120b", "openai/gpt-6-luna"],
  },
  {
    file: "team-caps.yaml",
    says: "research may ask for much",
    facts: { model: "shared", team: "research", draws: [0.9] },
    expected: ["anthropic/claude-sonnet-5-5", "openai/gpt-6-sol", '{"max_tokens":16000}'],
    sets: true,
  },
  {
    file: "team-caps.yaml",
    says: "support for less",
    facts: { model: "shared", team: "support", draws: [0.9], body: { max_tokens: 5_000, temperature: 1 } },
    expected: ["anthropic/claude-sonnet-5-5", "openai/gpt-6-sol", '{"max_tokens":1000,"temperature":0.2}'],
    sets: true,
  },
  {
    file: "team-caps.yaml",
    says: "and what would cost everybody else too much is refused",
    facts: { model: "shared", tokens: 30_000 },
    expected: [
      "404 Every target for the model 'shared' is excluded. openai/gpt-6-sol: this request would cost about $0.063, the bound is $0.02; anthropic/claude-sonnet-5-5: this request would cost about $0.063, the bound is $0.02.",
    ],
  },
  {
    file: "openrouter-callers.yaml",
    says: "known names are found, and the cheapest of them where asked",
    facts: { model: "openrouter/auto:floor" },
    expected: ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5", "google/gemini-3.8-flash"],
  },
  {
    file: "openrouter-callers.yaml",
    says: "one name after the other",
    facts: {
      model: "anthropic/claude-sonnet-5.5",
      body: {
        models: ["anthropic/claude-sonnet-5.5", "meta-llama/llama-3.3-70b-instruct"],
        provider: { only: ["anthropic", "groq"], max_price: { prompt: "2" } },
      },
    },
    expected: ["anthropic/claude-sonnet-5-5", "groq/llama-3.3-70b-versatile"],
  },
  {
    file: "openrouter-callers.yaml",
    says: "free accounts have no say",
    facts: { model: "anthropic/claude-sonnet-5.5", keyTags: ["free"], body: { provider: { only: ["anthropic"] } } },
    expected: ["google/gemini-2.5-flash-lite", "openai/gpt-6-luna"],
  },
  {
    file: "own-machines-first.yaml",
    says: "the own machine while it is quick",
    facts: { model: "llama", fleet: { "vllm/llama-3.3-70b": { ttft: 900 } } },
    expected: ["vllm/llama-3.3-70b", "groq/llama-3.3-70b-versatile", "openai/gpt-6-luna"],
  },
  {
    file: "own-machines-first.yaml",
    says: "the cloud when it is not",
    facts: { model: "llama", fleet: { "vllm/llama-3.3-70b": { ttft: 9_000 } } },
    expected: ["groq/llama-3.3-70b-versatile", "openai/gpt-6-luna"],
  },
  {
    file: "batch-at-night.yaml",
    says: "by night the cheapest",
    facts: { model: "x", headers: { "x-signalbox-tags": "batch" }, now: NIGHT },
    expected: ["openai/gpt-6-luna", "mistral/mistral-small-latest", "deepseek/deepseek-flash"],
  },
  {
    file: "batch-at-night.yaml",
    says: "by day it is asked to come back",
    facts: { model: "x", headers: { "x-signalbox-tags": "batch" } },
    expected: ["429 Batch work runs between 20:00 and 6:00."],
  },
  {
    file: "thinking.yaml",
    says: "who asks for reasoning gets models that think",
    facts: { model: "brain", has: ["reasoning"], draws: [0, 0, 0] },
    expected: ["anthropic/claude-opus-5-5", "openai/gpt-6-sol", "google/gemini-3.1-pro-preview"],
  },
  {
    file: "thinking.yaml",
    says: "and so does a long answer by a schema",
    facts: { model: "brain", has: ["json_schema"], body: { max_tokens: 9_000 }, draws: [0, 0, 0] },
    expected: ["anthropic/claude-opus-5-5", "openai/gpt-6-sol", "google/gemini-3.1-pro-preview"],
  },
  {
    file: "thinking.yaml",
    says: "everything else is answered at once",
    facts: { model: "brain", fleet: { "groq/llama-3.3-70b-versatile": { ttft: 100, msPerToken: 1 } } },
    expected: ["groq/llama-3.3-70b-versatile", "openai/gpt-6-luna"],
  },
  {
    file: "app-by-header.yaml",
    says: "a call is answered quickly and shortly",
    facts: {
      model: "x",
      headers: { "x-app": "voice" },
      stream: true,
      fleet: { "openai/gpt-6-luna": { ttft: 100, msPerToken: 1 } },
    },
    expected: ["openai/gpt-6-luna", "groq/llama-3.1-8b-instant", '{"max_tokens":300}'],
    sets: true,
  },
  {
    file: "app-by-header.yaml",
    says: "the command line has its own",
    facts: { model: "x", headers: { "x-app": "cli" } },
    expected: ["openai/gpt-6-sol", "anthropic/claude-sonnet-5-5"],
  },
  {
    file: "app-by-header.yaml",
    says: "without the header the name decides",
    facts: { model: "mistral/mistral-large-4" },
    expected: ["mistral/mistral-large-4"],
  },
  {
    file: "one-provider-first.yaml",
    says: "one first, the other when it fails",
    facts: { model: "gpt-4o" },
    expected: ["openai/gpt-6-sol", "anthropic/claude-sonnet-5-5"],
  },
  {
    file: "pictures.yaml",
    says: "pictures go to who can see",
    facts: { model: "house", has: ["images"], draws: [0, 0] },
    expected: ["google/gemini-3.8-flash", "anthropic/claude-sonnet-5-5"],
  },
  {
    file: "pictures.yaml",
    says: "everything else stays cheap",
    facts: { model: "house", draws: [0, 0] },
    expected: ["openai/gpt-6-luna", "anthropic/claude-haiku-5-5"],
  },
];

describe.each(readdirSync(FOLDER))("%s", (file) => {
  test("names only models of the catalogue", () => {
    const snapshot = load(file);
    const { aliases, rules } = snapshot.rules;
    const names = [...aliases.values(), ...rules.flatMap(({ tiers }) => tiers.flat().map(({ use }) => use))].flat();
    expect(names).not.toEqual([]);
    for (const name of names) {
      const { targets, excluded } = resolve(snapshot, name);
      expect(excluded, name).toEqual([]);
      for (const target of targets) expect(target.entry, targetName(target)).toBeDefined();
    }
  });

  const situations = SITUATIONS.filter((situation) => situation.file === file);
  test("is in the table", () => expect(situations).not.toEqual([]));
  test.each(situations)("$says", ({ facts, enabled, sets, expected }) => {
    expect(outcome(load(file, enabled), facts, sets === true)).toEqual(expected);
  });
});

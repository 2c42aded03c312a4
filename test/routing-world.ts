// A small world to route in: providers and models whose prices, windows and abilities the tests can rely on.
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as known } from "../providers/index.ts";
import type { Catalog } from "../src/catalog.ts";
import { buildConfig } from "../src/config.ts";
import type { ModelEntry } from "../src/dialect.ts";
import type { Snapshot } from "../src/routing/snapshot.ts";
import { readSnapshot } from "../src/settings.ts";

/** Prices in dollars per million tokens. */
function priced(input: number, output: number, more: { cacheRead?: number; cacheWrite?: number } = {}) {
  const all = Object.entries({ input, output, ...more }).map(([name, usd]) => [name, Math.round(usd * 1e6)]);
  return { rates: Object.fromEntries(all) } as Pick<ModelEntry, "rates">;
}

const DETAILED: Record<string, ModelEntry[]> = {
  mistral: [
    { id: "small", contextTokens: 32_000, input: ["text"], tools: true, structuredOutputs: false, ...priced(0.1, 0.3) },
    {
      id: "large",
      contextTokens: 128_000,
      maxOutputTokens: 8_000,
      input: ["text", "image"],
      tools: true,
      structuredOutputs: true,
      reasoning: false,
      ...priced(2, 6),
    },
  ],
  xai: [
    {
      id: "grok",
      contextTokens: 1_000_000,
      input: ["text", "image", "audio", "file"],
      tools: true,
      structuredOutputs: true,
      reasoning: true,
      ...priced(3, 15, { cacheRead: 0.3, cacheWrite: 3.75 }),
    },
  ],
  deepseek: [{ id: "chat", contextTokens: 64_000, input: ["text"], tools: true, ...priced(0.25, 1) }],
  together: [{ id: "open", input: ["text"], tools: false, features: { quantization: "fp8" }, ...priced(0.5, 0.5) }],
  fireworks: [{ id: "open", input: ["text"], features: { quantization: "fp16" }, ...priced(0.5, 0.5) }],
};

/** Names alone: what is not known of them. */
const BARE: Record<string, string[]> = {
  anthropic: ["claude-sonnet-5-5"],
  google: ["gemini-3.8-flash"],
  groq: ["llama", "shared", "meta-llama/llama-9"],
  openai: ["gpt-6-sol", "gpt-6-luna", "shared"],
};

export const world: Catalog = {
  version: "000000000001",
  sources: [],
  models: (id) => {
    const bare = (BARE[id] ?? []).map((model): ModelEntry => ({ id: model }));
    return new Map([...bare, ...(DETAILED[id] ?? [])].map((entry) => [entry.id, entry]));
  },
};

/** The router's own way from files to a snapshot; throws when the rules cannot be used. `yaml` is signalbox.yaml. */
export function snapshotOf(rulesDir: string, enabled: readonly string[], catalog: Catalog, yaml = ""): Snapshot {
  const keys = enabled.map((id) => [known.find((provider) => provider.id === id)?.keyEnv[0], "k"]);
  const dialects = { "openai-chat": openaiChat() };
  const inputs = { flags: {}, env: Object.fromEntries(keys), known, dialects, catalog: catalog.models };
  const config = buildConfig(inputs, { file: "signalbox.yaml", text: yaml });
  if ("errors" in config) throw new Error(`the test's own configuration is wrong: ${config.errors[0]?.message}`);
  return readSnapshot({ ...config, rulesDir }, catalog);
}

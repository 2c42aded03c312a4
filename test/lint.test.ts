// Rules that hold and are probably not meant. Each case: the rules, which providers are enabled, and what is told.
import { describe, expect, test } from "vitest";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { providers as known } from "../providers/index.ts";
import type { Catalog } from "../src/catalog.ts";
import { buildConfig } from "../src/config.ts";
import type { ModelEntry } from "../src/dialect.ts";
import { buildRules, lintRules } from "../src/live-rules.ts";
import { worldOf } from "../src/settings.ts";

const WHOLE = { rates: { input: 1_000_000, output: 2_000_000 }, contextTokens: 100_000 };
const MODELS: Record<string, ModelEntry[]> = {
  openai: [
    { id: "sol", ...WHOLE },
    { id: "luna", ...WHOLE },
    { id: "free", contextTokens: 8_000 },
  ],
  groq: [
    { id: "llama", ...WHOLE },
    { id: "luna", ...WHOLE },
  ],
  mistral: [{ id: "large" }, { id: "small" }, { id: "tiny" }, { id: "nano" }],
  anthropic: [{ id: "opus", ...WHOLE }],
};
const catalog: Catalog = {
  version: "000000000001",
  sources: [],
  models: (id) => new Map((MODELS[id] ?? []).map((entry) => [entry.id, entry])),
};

/** `line:column code message` of every warning. */
function warningsOf(rules: string, enabled: string[]): string[] {
  const keys = enabled.map((id) => [known.find((provider) => provider.id === id)?.keyEnv[0], "k"]);
  const dialects = { "openai-chat": openaiChat() };
  const inputs = { flags: {}, env: Object.fromEntries(keys), known, dialects, catalog: catalog.models };
  const config = buildConfig(inputs, { file: "signalbox.yaml", text: "" });
  if ("errors" in config) throw new Error("the test's own configuration is wrong");
  const world = worldOf(config, catalog);
  const built = buildRules(world, { sources: [{ file: "a.yaml", text: rules }], errors: [] });
  if ("errors" in built) throw new Error(`the test's own rules are wrong: ${JSON.stringify(built.errors)}`);
  return lintRules(world, built.value).map(({ line, column, code, message }) => `${line}:${column} ${code} ${message}`);
}

interface Case {
  /** Of `rules:`, one a line, from line 2 on. */
  rules?: string[];
  /** Flow mapping after `aliases:`, on the line behind the rules. */
  aliases?: string;
  enabled?: string[];
  told: string[];
}

const CASES: Record<string, Case> = {
  "rules that are fine": {
    rules: [
      "{ name: a, model: [x, y], when: has.tools, from: [openai/sol], fallback: [openai/luna] }",
      "{ name: b, model: x, from: [groq/llama] }",
      "{ name: c, from: [luna] }",
    ],
    aliases: "{ both: [openai/sol, groq/llama] }",
    told: [],
  },
  "a rule below one that takes every model": {
    rules: ["{ name: all, from: [openai/sol] }", "{ name: late, model: x, from: [openai/luna] }"],
    told: ['3:11 unreachable rule "late": it is never reached: rule "all" above it takes every model it names.'],
  },
  "a rule below one whose pattern is the same or wider": {
    rules: [
      '{ name: wide, model: ["gpt-*", x], from: [openai/sol] }',
      '{ name: narrow, model: ["gpt-6-*", x], when: stream, from: [openai/luna] }',
      '{ name: other, model: ["gpt-6-*", z], from: [openai/luna] }',
      '{ name: wider, model: "*", from: [openai/luna] }',
    ],
    told: ['3:11 unreachable rule "narrow": it is never reached: rule "wide" above it takes every model it names.'],
  },
  "a refusal hides rules too, and a rule below one with its own condition is never reached": {
    rules: [
      "{ name: no, model: x, deny: { message: No. } }",
      "{ name: a, model: x, from: [openai/sol] }",
      "{ name: b, when: has.tools, from: [openai/sol] }",
      "{ name: c, model: y, when: has.tools, from: [openai/luna] }",
    ],
    told: [
      '3:11 unreachable rule "a": it is never reached: rule "no" above it takes every model it names.',
      '5:11 unreachable rule "c": it is never reached: rule "b" above it takes every model it names on the same condition.',
    ],
  },
  "a condition that is always true leaves nothing for the rules below": {
    rules: [
      "{ name: a, when: tokens.input >= 0 || has.tools, from: [openai/sol] }",
      "{ name: b, from: [openai/luna] }",
    ],
    told: [
      '2:20 constant_condition rule "a": its condition is always true: leave it out.',
      '3:11 unreachable rule "b": it is never reached: rule "a" above it takes every model it names.',
    ],
  },
  "a weekday that is none, a header in capitals": {
    rules: [
      `{ name: a, when: 'time.weekday in ["Sat", "Sun"]', from: [openai/sol] }`,
      `{ name: b, when: 'header["X-App"] == "cli"', from: [openai/sol] }`,
      `{ name: c, when: 'has.tools && (time.weekday == "sat" || time.weekday == "Sun")', from: [openai/sol] }`,
    ],
    told: [
      '2:20 constant_condition rule "a": its condition is never true: the rule decides nothing.',
      '3:20 odd_condition rule "b": header names are in lower case here: write "x-app" instead of "X-App".',
      '4:20 odd_condition rule "c": the part `time.weekday == "Sun"` is never true.',
    ],
  },
  "targets without price or window": {
    rules: [
      "{ name: a, model: x, from: [openai/free, openai/unheard-of] }",
      "{ name: b, from: [mistral/*, openai/sol] }",
    ],
    enabled: ["openai", "mistral"],
    told: [
      '2:31 no_price rule "a": target "openai/free": no price is known for openai/free: its calls have no cost in the ledger, and choosing by cost puts it last.',
      '2:44 no_price rule "a": target "openai/unheard-of": no price is known for openai/unheard-of: its calls have no cost in the ledger, and choosing by cost puts it last.',
      '2:44 no_limits rule "a": target "openai/unheard-of": no context window is known for openai/unheard-of: prompts that are too long for it are found out by calling it.',
      '3:21 no_price rule "b": target "mistral/*": no price is known for mistral/large, mistral/small, mistral/tiny and 1 more: its calls have no cost in the ledger, and choosing by cost puts it last.',
      '3:21 no_limits rule "b": target "mistral/*": no context window is known for mistral/large, mistral/small, mistral/tiny and 1 more: prompts that are too long for it are found out by calling it.',
    ],
  },
  "targets of providers without a key, told where the alias is": {
    rules: ["{ name: a, model: x, from: [far, openai/sol] }", "{ name: b, from: [far], fallback: [opus] }"],
    aliases: "{ far: [anthropic/opus] }",
    told: [
      '4:18 not_enabled target "anthropic/opus" is passed over: provider anthropic is not enabled: set ANTHROPIC_API_KEY.',
      '3:38 not_enabled rule "b": target "opus" is passed over: no enabled provider has it.',
      '3:20 dead_rule rule "b": none of its targets can be used here, so it refuses whatever it matches.',
    ],
  },
  "an alias that hides a model, but not one that extends it": {
    aliases: "{ sol: [groq/llama], luna: [openai/luna, groq/llama], opus: [openai/sol] }",
    told: [
      '3:17 shadowed_model alias "sol" hides the model of that name: callers who ask for it get the alias.',
      '3:70 shadowed_model alias "opus" hides the model of that name: callers who ask for it get the alias.',
    ],
  },
  "a target that is named before": {
    rules: [
      "{ name: a, model: x, from: [openai/sol, groq/*], fallback: [groq/llama, luna, [openai/sol]] }",
      "{ name: b, from: [both], fallback: [both, openai/luna] }",
    ],
    aliases: "{ both: [openai/sol, groq/llama] }",
    told: [
      '2:63 repeated_target rule "a": "groq/llama" has no effect here: all of it is named before.',
      '2:82 repeated_target rule "a": "openai/sol" has no effect here: all of it is named before.',
      '3:39 repeated_target rule "b": "both" has no effect here: all of it is named before.',
    ],
  },
  "a weight with nothing beside it": {
    rules: [
      "{ name: a, pick: weighted, from: [{ use: openai/sol, weight: 3 }], fallback: [{ use: luna, weight: 2 }, groq/llama] }",
    ],
    told: ['2:37 idle_weight rule "a": the `weight` of "openai/sol" has no effect: nothing is beside it.'],
  },
};

test.each(Object.entries(CASES))("%s", (_, { rules = [], aliases, enabled = ["openai", "groq"], told }) => {
  expect(warningsOf(fileOf(rules, aliases), enabled)).toEqual(told);
});

/** The rules on lines 2 and on, each at column 3; aliases behind them. */
function fileOf(rules: string[], aliases: string | undefined): string {
  const lines = rules.map((rule) => `- ${rule}\n`).join("");
  const more = aliases === undefined ? "" : `aliases: ${aliases}\n`;
  return rules.length === 0 ? `version: 1\nrules: []\n${more}` : `rules:\n${lines}${more}version: 1\n`;
}

describe("what a condition always is", () => {
  const CONDITIONS: [condition: string, told: string][] = [
    ["true", "always true"],
    ["has.tools && !has.tools", ""],
    ["has.tools || true", "always true"],
    ["has.tools && 1 == 2", "never true"],
    ["!(turns < 0)", "always true"],
    ["turns > -1", "always true"],
    ["0 <= turns", "always true"],
    ["turns > 0", ""],
    ["time.hour < 24", "always true"],
    ["time.hour >= 24", "never true"],
    ["time.hour == 24", "never true"],
    ["time.hour != 24", "always true"],
    ["time.hour >= 23", ""],
    ["time.hour in [22, 23, 24]", ""],
    ["time.hour in [24, 25]", "never true"],
    ['time.date == "2026-11-24"', ""],
    ['time.date == "24.11.2026"', "never true"],
    ["model == model", "always true"],
    ['model == "x" ? true : false', ""],
    ['model == "x" ? stream : stream || true', "the part `stream || true` is always true"],
    ["turns > 3 ? 1 == 1 : 2 == 2", "always true"],
    ['"X-App" in header', "header names are in lower case"],
    ['"x-app" in header && metadata["X"] == "y"', ""],
    ['model.startsWith("gpt") && tokens.max_output < 0', "never true"],
  ];
  test.each(CONDITIONS)("%s", (condition, told) => {
    const text = `version: 1\nrules: [{ name: a, model: x, when: '${condition}', from: [openai/sol] }]\n`;
    const warnings = warningsOf(text, ["openai"]).join("\n");
    if (told === "") expect(warnings).toBe("");
    else expect(warnings).toContain(told);
  });
});

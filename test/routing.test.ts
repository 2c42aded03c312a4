// Which targets may answer, in which order, and what is wrong with a rule file. Most cases are files: rules, the facts of
// a request, and what comes of them, with a line of dashes between.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { providers as known } from "../providers/index.ts";
import { loadCatalog } from "../src/catalog.ts";
import { targetName } from "../src/dialect.ts";
import { packageRoot } from "../src/package-root.ts";
import { CONDITION_VARIABLES } from "../src/routing/conditions.ts";
import { compile } from "../src/routing/rules.ts";
import { RULE_FILE } from "../src/routing/schema.ts";
import { resolve } from "../src/routing/snapshot.ts";
import { outcomeOf, planFor } from "./routing-outcome.ts";
import type { RequestFacts } from "./routing-support.ts";
import { snapshotOf, world } from "./routing-world.ts";

function tempFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), "signalbox-routing-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  return dir;
}

/** What is looked at where the case names it; everything else always is. */
const ON_DEMAND = [
  "tiers",
  "attempts",
  "timeouts",
  "connect",
  "queue",
  "affinityTtl",
  "affordable",
  "onFilter",
  "drain",
  "continuesStreams",
  "hedge",
  "explored",
  "passedOver",
  "sent",
  "scores",
];
const ON_DEMAND_REFUSED = ["type", "param", "availability", "excluded", "passedOver"];

const cases = readdirSync(new URL("routing/", import.meta.url)).map((file) => {
  const text = readFileSync(new URL(`routing/${file}`, import.meta.url), "utf8");
  const [rules, facts, expected] = text.split(/^---\n/m) as [string, string, string];
  return { name: file.replace(".yaml", ""), rules, facts: parse(facts) as RequestFacts, expected: parse(expected) };
});

test.each(cases)("$name", ({ rules, facts, expected }) => {
  const outcome = outcomeOf(rules, facts);
  for (const key of "denied" in outcome ? ON_DEMAND_REFUSED : ON_DEMAND) if (!(key in expected)) delete outcome[key];
  // A plan passes nothing over unless the case says so.
  const silent = "targets" in expected ? { excluded: [] } : {};
  expect(outcome).toEqual({ ...silent, ...expected });
});

describe("several files of a folder are one set of rules", () => {
  test("read in name order; an alias may be defined after the rule that names it", () => {
    const dir = tempFolder();
    writeFileSync(
      join(dir, "2.yaml"),
      "version: 1\naliases: { late: [openai/gpt-6-luna] }\nrules: [{ name: b, from: [late] }]\n",
    );
    writeFileSync(join(dir, "1.yml"), "version: 1\nrules: [{ name: a, model: x, from: [late] }]\n");
    writeFileSync(join(dir, "notes.txt"), "not a rule\n");
    const decisions = ["x", "y"].map((model) => {
      return planFor(snapshotOf(dir, ["openai"], world), { model }).decision;
    });
    expect(decisions).toEqual(["rule=a;pick=balanced;candidates=1", "rule=b;pick=balanced;candidates=1"]);
  });

  test("in which a name is used once, and all mistakes of all files are told together", () => {
    const text = "version: 1\naliases: { fast: [openai/x] }\nrules: [{ name: one, from: [fast] }]\n";
    const sources = [
      { file: "a.yaml", text },
      { file: "b.yaml", text },
      { file: "c.yaml", text: "rules: [" },
    ];
    const compiled = compile(sources, () => undefined);
    expect(
      "errors" in compiled && compiled.errors.map(({ file, line, column, message }) => [file, line, column, message]),
    ).toEqual([
      ["c.yaml", 1, 9, "Flow sequence in block collection must be sufficiently indented and end with a ]"],
      ["b.yaml", 2, 18, 'alias "fast" is defined twice.'],
      ["b.yaml", 3, 17, 'rule "one": another rule has the same name.'],
    ]);
  });

  test("and an empty folder is no rules at all", () => {
    expect(snapshotOf(tempFolder(), [], world).rules).toMatchObject({ rules: [] });
  });
});

describe("the version of a snapshot", () => {
  const house = (models: string) => {
    return `providers: { house: { dialect: openai-chat, base_url: 'http://gpu-1/v1', models: [${models}] } }`;
  };
  test("changes with rules, providers, addresses, models and catalogue, and with nothing else", () => {
    const dir = tempFolder();
    writeFileSync(join(dir, "rules.yaml"), "version: 1\n");
    const base = snapshotOf(dir, [], world, house("{ id: a }")).id;
    expect(snapshotOf(dir, [], world, house("{ id: a }")).id).toBe(base);
    const others = [
      snapshotOf(dir, ["openai"], world, house("{ id: a }")),
      snapshotOf(dir, [], world, house("{ id: b }")),
      snapshotOf(dir, [], world, house("{ id: a, context: 8k }")),
      snapshotOf(dir, [], world, house("{ id: a }").replace("gpu-1", "gpu-2")),
      snapshotOf(dir, [], { ...world, version: "000000000002" }, house("{ id: a }")),
    ].map(({ id }) => id);
    writeFileSync(join(dir, "rules.yaml"), "version: 1\n# a word\n");
    others.push(snapshotOf(dir, [], world, house("{ id: a }")).id);
    expect(new Set([base, ...others]).size).toBe(7);
  });
});

describe("the rules that come with the package", () => {
  const folder = join(packageRoot(), "routing-rules");
  const catalog = loadCatalog();
  const everybody = known.filter(({ keyEnv }) => keyEnv.length > 0).map(({ id }) => id);

  test("hold, and every target of them is a model of the catalogue", () => {
    const snapshot = snapshotOf(folder, everybody, catalog);
    const { aliases, rules } = snapshot.rules;
    const names = [...aliases.values(), ...rules.flatMap(({ tiers }) => tiers.flat().map(({ use }) => use))].flat();
    expect(names).not.toEqual([]);
    for (const name of names) {
      const { targets, excluded } = resolve(snapshot, name);
      expect(excluded, name).toEqual([]);
      for (const target of targets) expect(target.entry, targetName(target)).toBeDefined();
    }
  });

  test("work with the simulated providers alone", () => {
    const planned = planFor(snapshotOf(folder, [], catalog), { model: "smart" });
    expect(planned.kind === "plan" && planned.candidates.map(({ target }) => target.provider.id)).toEqual([
      "simulated-anthropic",
      "simulated-openai",
      "simulated-google",
      "simulated-openai",
      "simulated-google",
      "simulated-anthropic",
    ]);
  });
});

describe("routing-rules/README.md", () => {
  const readme = readFileSync(join(packageRoot(), "routing-rules", "README.md"), "utf8");

  test("lists the variables of conditions as they are", () => {
    const rows = CONDITION_VARIABLES.map(({ name, type, meaning }) => `| \`${name}\` | ${type} | ${meaning} |`);
    const table = ["| variable | type | meaning |", "|---|---|---|", ...rows].join("\n");
    expect(readme.match(/<!-- variables -->\n([\s\S]*?)\n<!-- \/variables -->/)?.[1]).toBe(table);
  });

  test("explains every key of a rule file, and no other", () => {
    const explained = [...readme.matchAll(/^\| `([a-z_.[\]]+)` \| .* \| .* \|$/gm)].map(([, key]) => key);
    const variables = CONDITION_VARIABLES.map(({ name }) => name);
    expect(explained.filter((key) => !variables.includes(key ?? "")).sort()).toEqual(keysOf(RULE_FILE).sort());
  });

  test("shows an example that holds", () => {
    const dir = tempFolder();
    writeFileSync(join(dir, "rules.yaml"), readme.match(/```yaml\n([\s\S]*?)```/)?.[1] ?? "");
    expect(snapshotOf(dir, [], loadCatalog()).rules.rules).toHaveLength(1);
  });
});

/** The dotted keys of a schema, leaves only; `[]` marks lists. */
function keysOf(schema: unknown, path = ""): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return keysOf(schema.unwrap(), path);
  if (schema instanceof z.ZodArray && schema.element instanceof z.ZodObject) return keysOf(schema.element, `${path}[]`);
  if (!(schema instanceof z.ZodObject)) return [path];
  return Object.entries(schema.shape).flatMap(([key, inner]) => keysOf(inner, path === "" ? key : `${path}.${key}`));
}

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SECTIONS } from "../providers/catalog/sources.ts";
import { providers } from "../providers/index.ts";
import type { Provider } from "../src/dialect.ts";
import { packageRoot } from "../src/package-root.ts";

const folder = join(packageRoot(), "providers");
const ids = providers.map((provider) => provider.id);
/** Files beside the providers that are not one. */
const OTHERS = ["auth.ts", "catalog.build.ts", "errors.build.ts", "index.ts", "readme.build.ts"];

describe("the list of providers", () => {
  it("is sorted by id, and no id comes twice", () => {
    expect(ids).toEqual([...new Set(ids)].sort());
  });

  it("holds every provider file, under the id that is the file's name", () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".ts") && !OTHERS.includes(file));
    const real = ids.filter((id) => !id.startsWith("simulated-"));
    expect(files.map((file) => file.replace(".ts", "")).sort()).toEqual([...real, "simulated"].sort());
  });

  it("is the table of the README", () => {
    const readme = readFileSync(join(folder, "README.md"), "utf8");
    expect(readme.match(/<!-- providers -->\n([\s\S]*?)\n<!-- \/providers -->/)?.[1]).toBe(table());
  });

  it("agrees with the catalogue's builder on who speaks which dialect", () => {
    for (const [id, { dialect }] of Object.entries(SECTIONS)) {
      expect(providers.find((provider) => provider.id === id)?.dialect.id, id).toBe(dialect);
    }
  });
});

describe.each(providers)("$id", (provider) => {
  it("has a kebab-case id, a name, a page and conventional variables", () => {
    expect(provider.id).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    expect(provider.name).not.toBe("");
    expect(provider.docs).toMatch(/^https:\/\//);
    for (const name of [...provider.baseUrlEnv, ...provider.keyEnv]) expect(name).toMatch(/^[A-Z][A-Z0-9_]*$/);
  });

  it("is reached by https, or on this machine", () => {
    const url = new URL((provider.baseUrl ?? "").replace(/\$\{[A-Z_]+\}/, "name"));
    const simulated = provider.standsInFor !== undefined && url.hostname.endsWith(".invalid");
    expect(url.protocol === "https:" || url.hostname === "127.0.0.1" || simulated).toBe(true);
    expect(provider.baseUrl).not.toMatch(/\/$/);
  });

  it("can be turned on", () => {
    const needed = provider.enabledBy === "key" ? provider.keyEnv : provider.baseUrlEnv;
    if (provider.standsInFor === undefined) expect(needed).not.toEqual([]);
  });

  it("sends the key in one lower-case header and nowhere else", () => {
    const headers = Object.entries(provider.authorize("k-123"));
    expect(headers).toHaveLength(1);
    expect(headers[0]?.[0]).toMatch(/^[a-z-]+$/);
    expect(headers[0]?.[1]).toMatch(/^(Bearer )?k-123$/);
    expect(JSON.stringify(provider.headers ?? {})).not.toContain("k-123");
  });

  it("stands in only for a provider that exists, with its dialect and its models", () => {
    if (provider.standsInFor === undefined) return;
    const real = providers.find(({ id }) => id === provider.standsInFor);
    expect(real?.standsInFor).toBeUndefined();
    expect(provider.dialect).toBe(real?.dialect);
    expect(provider.catalog).toBe(real?.id);
    expect([...provider.keyEnv, ...provider.baseUrlEnv]).toEqual([]);
  });
});

function table(): string {
  const head = "| Provider | Name | Key variable | Base URL variable | Dialect |\n|---|---|---|---|---|\n";
  return head + providers.map(row).join("\n");
}

function row({ id, name, keyEnv, baseUrlEnv, enabledBy, dialect }: Provider): string {
  const key = enabledBy === "key" || keyEnv.length === 0 ? names(keyEnv) : `${names(keyEnv)} (optional)`;
  return `| \`${id}\` | ${name} | ${key} | ${names(baseUrlEnv)} | ${dialect.id} |`;
}

function names(variables: string[]): string {
  return variables.length === 0 ? "–" : variables.map((name) => `\`${name}\``).join(", ");
}

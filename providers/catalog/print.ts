// The catalogue as text: the same input gives the same bytes, and one model is one line of a diff.
import { createHash } from "node:crypto";
import type { CatalogSource } from "../../src/catalog.ts";
import type { ModelEntry } from "../../src/dialect.ts";
import { canonicalJson } from "../../src/json.ts";

/** Everything sorted by code unit; `version` is a hash of the rest. */
export function printCatalog(sources: readonly CatalogSource[], providers: ReadonlyMap<string, ModelEntry[]>): string {
  const sections = [...providers].filter(([, models]) => models.length > 0).sort(([a], [b]) => order(a, b));
  const body = `"providers": {\n${sections.map(([id, models]) => printSection(id, models)).join(",\n")}\n},
"sources": [
${sources.map((source) => `  ${canonicalJson(source)}`).join(",\n")}
],
`;
  const version = createHash("sha256").update(body).digest("hex").slice(0, 12);
  return `{\n${body}"version": "${version}"\n}\n`;
}

function printSection(id: string, models: ModelEntry[]): string {
  const sorted = [...models].sort((a, b) => order(a.id, b.id));
  const lines = sorted.map((model) => `    ${JSON.stringify(model.id)}: ${canonicalJson(model)}`);
  return `  ${JSON.stringify(id)}: { "models": {\n${lines.join(",\n")}\n  } }`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// The generated tables of providers/README.md are those the code gives, and they leave no field of OpenAI's request out.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { providers } from "../providers/index.ts";
import { BEHAVIOURS } from "./conformance/behaviours.ts";
import { DEFECTS, SKIPS } from "./conformance/skips.ts";
import { withSections } from "./conformance/tables.ts";

const README = readFileSync(new URL("../providers/README.md", import.meta.url), "utf8");

it("the tables are up to date (node providers/readme.build.ts)", () => {
  expect(withSections(README)).toBe(README);
});

it("skips and defects speak of providers and behaviours there are", () => {
  const known = BEHAVIOURS.flatMap(({ column, title }) => [column, title]);
  const ids = providers.map(({ id }) => id);
  for (const [id, reasons] of [...Object.entries(SKIPS), ...Object.entries(DEFECTS)]) {
    expect(ids).toContain(id);
    const own = Object.keys(reasons).filter((key) => !key.startsWith("nothing is invented for "));
    for (const key of own) expect(known).toContain(key);
  }
});

/** Members of the SDK's request, read from its declarations. */
function fieldsOfSdk(): string[] {
  const url = new URL("../node_modules/openai/resources/chat/completions/completions.d.ts", import.meta.url);
  const [, members = ""] =
    /interface ChatCompletionCreateParamsBase \{\n([\s\S]*?)\n\}/.exec(readFileSync(url, "utf8")) ?? [];
  return [...members.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name]) => name ?? "");
}

describe("every field of the OpenAI SDK's request has a class", () => {
  const fields = fieldsOfSdk();

  it("the declarations are read", () => {
    expect(fields).toEqual(expect.arrayContaining(["messages", "model", "stream", "verbosity"]));
    expect(fields.length).toBeGreaterThan(30);
  });

  it.each(providers.map(({ id, dialect }) => [id, dialect] as const))("%s", (_, dialect) => {
    expect(fields.filter((field) => dialect.fields?.[field] === undefined)).toEqual([]);
  });
});

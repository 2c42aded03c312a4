// providers/errors.md is what the table of errors gives.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { errorsPage } from "../providers/errors.build.ts";
import { TAXONOMY } from "../src/taxonomy.ts";

const PAGE = readFileSync(new URL("../providers/errors.md", import.meta.url), "utf8");

it("the page of errors is up to date (npm run errors-doc)", () => {
  expect(PAGE).toBe(errorsPage());
});

it("every kind of error has its row, and so has every subkind", () => {
  const rows = [...PAGE.matchAll(/^\| `(\w+)`(?: `(\w+)`)? \|/gm)].map(([, kind, subkind]) => {
    return subkind === undefined ? kind : `${kind}/${subkind}`;
  });
  expect(rows).toEqual(Object.keys(TAXONOMY));
});

// From the bytes of a provider to the nanodollar: its answer decoded by its dialect, priced by the committed catalogue. A price
// that moves with the catalogue shows here; the arithmetic beside each case says what to write.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { providers } from "../providers/index.ts";
import { catalogPath, loadCatalog, parseCatalog } from "../src/catalog.ts";
import { fold } from "../src/chat.ts";
import { priceAttempt } from "../src/pricing.ts";
import { GOLDEN_COSTS } from "./cost-golden.ts";
import { callOf } from "./dialects/openai-harness.ts";

const catalog = loadCatalog();

test.each(GOLDEN_COSTS.map((golden) => [golden.provider, golden.model, golden.what, golden] as const))(
  "%s/%s: %s",
  (id, model, _, { body, at = "2026-11-24T12:00:00Z", nanoUsd, status = "exact" }) => {
    const provider = providers.find((one) => one.id === id);
    const entry = catalog.models(provider?.catalog ?? id).get(model);
    expect(entry?.rates).toBeDefined();
    const call = callOf({ model, messages: [{ role: "user", content: "Hi" }] }, { provider: id });
    const answer = fold(provider?.dialect.decodeBody(body, call) ?? []);
    expect(answer.error).toBeUndefined();
    const { usage } = answer;
    expect(usage).toBeDefined();
    const attempt = { usage, rates: entry?.rates, basis: entry?.priceStatus, atMs: Date.parse(at) };
    expect(priceAttempt(attempt)).toEqual({ nanoUsd, status });
  },
);

test("every provider with a price in the catalogue has a case", () => {
  const file = parseCatalog(readFileSync(catalogPath(), "utf8"), catalogPath());
  const priced = Object.entries(file.providers).filter(([, { models }]) =>
    Object.values(models).some(({ rates }) => rates !== undefined),
  );
  const covered = new Set(GOLDEN_COSTS.map(({ provider }) => provider));
  expect(priced.map(([id]) => id).filter((id) => !covered.has(id))).toEqual([]);
});

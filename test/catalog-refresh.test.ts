// Prices that change while the router runs: what a new catalogue changes, and which ones are not believed.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { diffCatalogs, diffText } from "../src/catalog/diff.ts";
import { readKept, startRefresh } from "../src/catalog/refresh.ts";
import { type CatalogFile, catalogPath, parseCatalog } from "../src/catalog.ts";
import type { ModelEntry } from "../src/dialect.ts";
import { startTestRouter, temporaryFolder } from "./support/router.ts";

function catalogOf(version: string, models: ModelEntry[]): CatalogFile {
  const section = { models: Object.fromEntries(models.map((entry) => [entry.id, entry])) };
  return { version, sources: [], providers: { acme: section } };
}

const plain: ModelEntry = { id: "a", contextTokens: 1_000, rates: { input: 1_000_000, output: 2_000_000 } };
const many = Array.from({ length: 40 }, (_, i): ModelEntry => ({ ...plain, id: `m${i}` }));
const before = catalogOf("000000000001", [plain, ...many]);

describe("the difference between two catalogues", () => {
  test("names models that came and went, prices and limits, and marks prices that moved more than twofold", () => {
    const after = catalogOf("000000000002", [
      { ...plain, contextTokens: 2_000, rates: { input: 2_500_000, output: 2_100_000, cacheRead: 5 } },
      { id: "new" },
      ...many.slice(1),
    ]);
    expect(diffCatalogs(before, after)).toEqual([
      { model: "acme/a", kind: "changed", field: "contextTokens", before: "1000", after: "2000", isAlarming: false },
      { model: "acme/a", kind: "changed", field: "rates.cacheRead", after: "$0.000005", isAlarming: false },
      { model: "acme/a", kind: "changed", field: "rates.input", before: "$1", after: "$2.5", isAlarming: true },
      { model: "acme/a", kind: "changed", field: "rates.output", before: "$2", after: "$2.1", isAlarming: false },
      { model: "acme/m0", kind: "removed", isAlarming: true },
      { model: "acme/new", kind: "added", isAlarming: false },
    ]);
    expect(diffText(diffCatalogs(before, after))).toContain("6 changes, 2 of them to look at");
    expect(diffText(diffCatalogs(before, before))).toBe("No difference.\n");
  });

  test("tells prices of periods from where tiers begin and how often a tier costs the price, and distrusts leaps of either", () => {
    const rates = (from: number, later: number, fast: number) => ({
      ...{ input: 1_000_000, output: 1_000_000 },
      tiers: [{ fromInputTokens: from, rates: { input: 2_000_000, output: 2_000_000 } }],
      periods: [{ fromDate: "2027-01-01", rates: { input: later, output: 1_000_000 } }],
      serviceTiers: { fast },
    });
    const of = (...numbers: [number, number, number]) => catalogOf("0", [{ ...plain, rates: rates(...numbers) }]);
    const field = (name: string, was: string, is: string, isAlarming: boolean) => {
      return { model: "acme/a", kind: "changed", field: name, before: was, after: is, isAlarming };
    };
    expect(diffCatalogs(of(100, 1_500_000, 2_000_000), of(272, 4_500_000, 6_000_000))).toEqual([
      field("rates.periods.0.rates.input", "$1.5", "$4.5", true),
      field("rates.serviceTiers.fast", "×2", "×6", true),
      field("rates.tiers.0.fromInputTokens", "100", "272", false),
    ]);
  });
});

describe("a catalogue fetched while the router runs", () => {
  async function refreshing(body: string, status = 200) {
    const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const dataDir = temporaryFolder();
    const logs: string[] = [];
    const used: CatalogFile[] = [];
    const refresher = startRefresh({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/catalog.json?token=canary`,
      everyMs: 86_400_000,
      dataDir,
      current: () => used.at(-1) ?? before,
      onChange: (file) => used.push(file),
      log: (message) => logs.push(message),
    });
    onTestFinished(async () => {
      await refresher.close();
      server.close();
      rmSync(dataDir, { recursive: true });
    });
    return { outcome: await refresher.refresh(), used, logs, dataDir, refresher };
  }

  test("is used, kept for the next start, and not used twice", async () => {
    const after = catalogOf("000000000002", [{ ...plain, rates: { input: 1_500_000, output: 2_000_000 } }, ...many]);
    const { outcome, used, dataDir, refresher } = await refreshing(JSON.stringify(after));
    expect(outcome).toBe("changed");
    expect(used).toEqual([after]);
    expect(readKept(dataDir)).toEqual(after);
    expect(readdirSync(dataDir)).toEqual(["catalog.json"]);
    expect(await refresher.refresh()).toBe("same");
  });

  const threefold = { ...plain, rates: { input: 3_000_000, output: 2_000_000 } };
  test.each<[string, string, number, RegExp]>([
    ["that is not JSON", "<html>", 200, /JSON/],
    ["that does not fit the schema", '{"version":"x"}', 200, /schema/],
    ["that is answered with an error", JSON.stringify(before), 503, /status 503/],
    [
      "with a price three times as high",
      JSON.stringify(catalogOf("000000000002", [threefold, ...many])),
      200,
      /acme\/a's rates\.input moves from \$1 to \$3/,
    ],
    [
      "without a price that there was",
      JSON.stringify(catalogOf("000000000002", [{ id: "a" }, ...many])),
      200,
      /moves from .* to nothing/,
    ],
    [
      "that lost many models",
      JSON.stringify(catalogOf("000000000002", [plain, ...many.slice(10)])),
      200,
      /10 of 41 models are gone/,
    ],
  ])("%s changes nothing and says why", async (_, body, status, why) => {
    const { outcome, used, logs, dataDir } = await refreshing(body, status);
    expect(outcome).toBe("refused");
    expect(used).toEqual([]);
    expect(readKept(dataDir)).toBeUndefined();
    expect(logs).toHaveLength(1);
    expect(logs[0]).toMatch(why);
    expect(logs[0]).not.toContain("canary");
  });
});

test("a running router takes new prices into use without a restart, and a restart goes on with them", async () => {
  const served = { text: JSON.stringify(loadFile()) };
  const server = createServer((_, response) => response.end(served.text)).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const { router, openai, ledger } = await startTestRouter({
    config: `catalog: { update: { url: "${url}", every: 1h } }`,
  });
  const call = () =>
    openai.chat.completions.create({ model: "gpt-6-luna", messages: [{ role: "user", content: "Hi" }] });
  await call();
  const file = loadFile();
  const rates = file.providers.openai?.models["gpt-6-luna"]?.rates;
  if (rates === undefined) throw new Error("the price is gone");
  rates.input *= 2;
  rates.output *= 2;
  served.text = JSON.stringify({ ...file, version: "00000000beef" });
  expect(await router.refreshCatalog()).toBe("changed");
  await expect.poll(() => router.snapshot.catalogVersion).toBe("00000000beef");
  await call();
  const { attempts } = await ledger();
  expect(attempts[1]?.cost_nano_usd).toBe(Number(attempts[0]?.cost_nano_usd) * 2);
  expect(attempts.map((row) => row.catalog_version)).toEqual([file.version, "00000000beef"]);
});

function loadFile(): CatalogFile {
  const path = catalogPath();
  return parseCatalog(readFileSync(path, "utf8"), path);
}

// `npm run catalog`: writes providers/catalog.json. `npm run catalog -- --check`: exits 1 when the committed file differs.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CatalogSource, catalogFile } from "../src/catalog.ts";
import type { ModelEntry } from "../src/dialect.ts";
import { packageRoot } from "../src/package-root.ts";
import { limitRows } from "./catalog/limits.ts";
import { type Disagreement, type Inputs, mergeProvider } from "./catalog/merge.ts";
import { readOverrides } from "./catalog/overrides.ts";
import { type PriceRow, priceRows } from "./catalog/prices.ts";
import { printCatalog } from "./catalog/print.ts";
import { fetchLimitSections, PRICES, readPriceSections, SECTIONS, type Sections } from "./catalog/sources.ts";

type PriceSections = Awaited<ReturnType<typeof readPriceSections>>;
type LimitSections = ReturnType<typeof fetchLimitSections>;

const folder = join(packageRoot(), "providers");

try {
  process.exitCode = await main(process.argv.includes("--check"));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof Error && error.cause instanceof Error) console.error(error.cause.message);
  process.exitCode = 1;
}

async function main(check: boolean): Promise<number> {
  console.log(`prices: ${label(PRICES)}, installed`);
  const prices = await readPriceSections();
  const limits = fetchLimitSections();
  console.log(`limits: ${label(limits.source)}, fetched and verified\n`);
  const sections = buildSections(prices, limits);
  const text = printCatalog([PRICES, limits.source], sections);
  catalogFile.parse(JSON.parse(text));
  const path = join(folder, "catalog.json");
  const same = existsSync(path) && readFileSync(path, "utf8") === text;
  if (check) {
    console.log(
      same ? `\n${path} is up to date` : `\n${path} differs from its sources: run \`npm run catalog\` and commit`,
    );
    return same ? 0 : 1;
  }
  writeFileSync(path, text);
  console.log(`\n${path}: ${same ? "unchanged" : "written"}`);
  return 0;
}

function buildSections(prices: PriceSections, limits: LimitSections): Map<string, ModelEntry[]> {
  const overrides = readOverrides(join(folder, "catalog.overrides.yaml"), Object.keys(SECTIONS));
  const built = new Map<string, ModelEntry[]>();
  for (const [id, from] of Object.entries(SECTIONS)) {
    const own = overrides.get(id) ?? {};
    const data = from.limits === undefined ? {} : limits.sections.get(from.limits);
    const inputs: Inputs = {
      prices: pricesOf(from, prices, own.tiersInclusive),
      limits: limitRows(data, from.dialect, own.tiersInclusive),
      overrides: own,
      priceLabel: label(PRICES),
      limitLabel: label(limits.source),
    };
    const { models, disagreements } = mergeProvider(inputs);
    built.set(id, models);
    report(id, models, disagreements);
  }
  const all = [...built.values()].flat();
  console.log(`\n${built.size} providers, ${all.length} models, ${priced(all)} priced`);
  return built;
}

function pricesOf(from: Sections, prices: PriceSections, tiersInclusive: boolean | undefined): Map<string, PriceRow> {
  const rows = from.prices === undefined ? new Map<string, PriceRow>() : rowsOf(prices, from.prices, tiersInclusive);
  const { forwards } = from;
  for (const section of forwards === undefined ? [] : prices.keys()) {
    if (!section.startsWith(forwards ?? "")) continue;
    const other = section.slice(forwards?.length);
    for (const row of rowsOf(prices, section).values()) {
      // Only the ids the section publishes: the aliases of its rows are not names of models here.
      if (row.id !== row.pricedAs) continue;
      const id = `${row.id}:${other}`;
      rows.set(id.toLowerCase(), { ...row, id, pricedAs: id });
    }
  }
  return rows;
}

function rowsOf(prices: PriceSections, sectionId: string, tiersInclusive?: boolean): Map<string, PriceRow> {
  const section = prices.get(sectionId);
  if (section === undefined)
    throw new Error(`${PRICES.name} has no section "${sectionId}" (providers/catalog/sources.ts)`);
  return priceRows(section, PRICES.date, tiersInclusive);
}

/** Disagreements a rule for the whole provider decides are counted, not listed: they move every week. */
function report(id: string, models: ModelEntry[], disagreements: Disagreement[]): void {
  const listed = disagreements.filter(({ decidedBy }) => decidedBy !== "provider");
  const others = disagreements.length - listed.length;
  const tail = others === 0 ? "" : `, ${others} disagreements decided for the provider as a whole`;
  console.log(
    `${id.padEnd(14)}${String(models.length).padStart(5)} models ${String(priced(models)).padStart(5)} priced${tail}`,
  );
  for (const { model, what, decidedBy } of listed) {
    const verdict = decidedBy === undefined ? `UNDECIDED: ${PRICES.name} is used` : "decided by an override";
    console.log(`    ${model}: ${what}   (${PRICES.name} / pi-ai) ${verdict}`);
  }
}

function priced(models: ModelEntry[]): number {
  return models.filter(({ rates }) => rates !== undefined).length;
}

function label({ name, version, date }: CatalogSource): string {
  return `${name}@${version} ${date}`;
}

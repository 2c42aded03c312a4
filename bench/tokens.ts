// What the token estimator costs beside JSON.parse of the same body, and how far it is from an exact tokenizer, by kind of
// text. Exit code 1 when it costs more than 0.7 of parsing.
// Run: node bench/tokens.ts
import { countTokens as countCl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens as countO200k } from "gpt-tokenizer/encoding/o200k_base";
import type { ChatBody } from "../src/chat.ts";
import { textMeter } from "../src/tokens/text.ts";
import { estimateTokens } from "../src/tokens.ts";
import { type Sample, samples, seeded } from "../test/support/texts.ts";
import { median, quantile } from "./statistics.ts";

const COST_MAX = 0.7;
const ROUNDS = 7;
/** Kept, as the router keeps its own. */
const measure = textMeter();
const BODIES_PER_ROUND = { 4000: 500, 100000: 40 };
/** Special tokens in a text are text. */
const PLAIN = { disallowedSpecial: new Set<string>() };

console.log("cost: estimateTokens ÷ JSON.parse of the same body, distinct bodies, median of a round");
for (const [chars, bodies] of Object.entries(BODIES_PER_ROUND)) printCost(Number(chars), bodies);
console.log("\nerror against o200k_base (the tokenizer the weights were fitted to, on other texts) and cl100k_base");
printErrors(samples());

function printCost(chars: number, bodies: number): void {
  const draw = seeded(chars);
  const text = samples()
    .filter(({ domain }) => ["typescript", "markdown", "english", "tests"].includes(domain))
    .map((sample) => sample.text)
    .join("\n")
    .repeat(2);
  // The first round warms up; its figures are replaced.
  let figures: string[] = [];
  const ratios: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const texts = Array.from({ length: bodies }, () => bodyText(text, chars, draw));
    const { parseUs, estimateUs } = roundUs(texts);
    if (round > 0) ratios.push(estimateUs / parseUs);
    figures = [`JSON.parse ${parseUs.toFixed(1)} µs`, `estimate ${estimateUs.toFixed(1)} µs`];
  }
  const range = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`;
  console.log(`  ${chars / 1_000} KB: ${figures.join(", ")}, ratio ${median(ratios).toFixed(2)} (${range})`);
  if (median(ratios) <= COST_MAX) return;
  console.log(`  missed: at most ${COST_MAX}`);
  process.exitCode = 1;
}

function bodyText(text: string, chars: number, draw: () => number): string {
  const at = Math.floor(draw() * (text.length - chars));
  const messages = [
    { role: "system", content: "You answer briefly and say when you do not know." },
    { role: "user", content: `${draw()} ${text.slice(at, at + chars)}` },
  ];
  return JSON.stringify({ model: "m", temperature: 0.5, stream: true, messages });
}

function roundUs(texts: string[]): { parseUs: number; estimateUs: number } {
  const parseUs: number[] = [];
  const estimateUs: number[] = [];
  for (const text of texts) {
    const start = performance.now();
    const body = JSON.parse(text) as ChatBody;
    const parsed = performance.now();
    estimateTokens(body, measure);
    estimateUs.push(1_000 * (performance.now() - parsed));
    parseUs.push(1_000 * (parsed - start));
  }
  return { parseUs: median(parseUs), estimateUs: median(estimateUs) };
}

interface Errors {
  o200k: number[];
  cl100k: number[];
  charsBy4: number[];
}

function printErrors(all: Sample[]): void {
  const byDomain = new Map<string, Errors>();
  const total: Errors = { o200k: [], cl100k: [], charsBy4: [] };
  for (const { domain, text } of all) {
    const errors = byDomain.get(domain) ?? { o200k: [], cl100k: [], charsBy4: [] };
    byDomain.set(domain, errors);
    const estimate = measure(text) / 1_000;
    const exact = countO200k(text, PLAIN);
    for (const into of [errors, total]) {
      into.o200k.push(estimate / exact - 1);
      into.cl100k.push(estimate / countCl100k(text, PLAIN) - 1);
      into.charsBy4.push(text.length / 4 / exact - 1);
    }
  }
  console.log(`  ${"".padEnd(18)}  texts   mean    p95   bias   cl100k mean   chars÷4 mean`);
  for (const [domain, errors] of byDomain) printRow(domain, errors);
  printRow("all", total);
}

function printRow(domain: string, { o200k, cl100k, charsBy4 }: Errors): void {
  const absolute = (errors: number[]) => errors.map(Math.abs);
  const cells = [
    String(o200k.length).padStart(6),
    percent(mean(absolute(o200k))),
    percent(quantile(absolute(o200k), 0.95)),
    percent(mean(o200k)),
    `       ${percent(mean(absolute(cl100k)))}`,
    `        ${percent(mean(absolute(charsBy4)))}`,
  ];
  console.log(`  ${domain.padEnd(18)} ${cells.join(" ")}`);
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`.padStart(6);
}

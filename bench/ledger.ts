// `node bench/ledger.ts`: how large a ledger of millions of requests is, and how fast. Exit code 1 on a missed target.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type LedgerFigures, measureLedger, type Spread } from "./ledger-figures.ts";

const BYTES_PER_REQUEST_MAX = 400;
const REPORT_MS_MAX = 200;

const { values } = parseArgs({
  options: { rows: { type: "string", default: "5000000" }, days: { type: "string", default: "60" } },
});
/** Rows of requests and of attempts; three requests in a hundred are tried twice. */
const rows = Number(values.rows);
const requests = Math.round(rows / 2.03);
const days = Number(values.days);
if (!(Number.isInteger(rows) && rows > 1 && Number.isInteger(days) && days > 0)) {
  console.error("Usage: node bench/ledger.ts [--rows 5000000] [--days 60]: whole numbers above 0.");
  process.exit(2);
}
// The ledger's thread keeps no process alive.
const alive = setInterval(() => {}, 60_000);
const dir = mkdtempSync(join(tmpdir(), "signalbox-ledger-bench-"));
try {
  const tell = (message: string) => console.error(message);
  const figures = await measureLedger({ dir, requests, days, aloneMs: 5_000, tell });
  console.log(reportText(figures));
  const missed = missedTargets(figures);
  for (const target of missed) console.log(`MISSED: ${target}`);
  process.exitCode = missed.length > 0 ? 1 : 0;
} finally {
  clearInterval(alive);
  rmSync(dir, { recursive: true, force: true });
}

function reportText(figures: LedgerFigures): string {
  const { fileBytes, parts, reports, retention, bookingAlone, bookingBesideRetention } = figures;
  const perRequest = (bytes: number) => `${(bytes / requests).toFixed(1)} bytes per request`;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return [
    `${requests} requests over ${days} days: ${(fileBytes / 1e6).toFixed(0)} MB, ${perRequest(fileBytes)}`,
    ...parts
      .filter(({ bytes }) => bytes > fileBytes / 200)
      .map(
        ({ name, bytes, unused }) => `  ${name.padEnd(32)} ${perRequest(bytes)}, ${percent(unused, bytes)} of it free`,
      ),
    `filled in ${seconds(figures.fillMs)}: ${((figures.fillMs * 1000) / requests).toFixed(0)} µs per request`,
    ...reports.map(({ by, days: back, ms }) => `usage by ${by} over ${back} days: ${ms.toFixed(1)} ms`),
    `a night's housekeeping (a day's sums by minute removed, unused texts looked for, two days checked): ${seconds(figures.nightMs)}`,
    `${retention.removed} in ${seconds(retention.ms)}; the file is ${(retention.bytesAfter / 1e6).toFixed(0)} MB then`,
    `rows in the database after: alone ${spread(bookingAlone)}; beside that ${spread(bookingBesideRetention)}`,
  ].join("\n");
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(0)} %`;
}

function spread({ count, p50, p99, max }: Spread): string {
  return `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms (${count} requests)`;
}

function missedTargets({ fileBytes, reports }: LedgerFigures): string[] {
  const missed: string[] = [];
  if (fileBytes / requests > BYTES_PER_REQUEST_MAX) missed.push(`at most ${BYTES_PER_REQUEST_MAX} bytes per request`);
  for (const { by, days: back, ms } of reports) {
    if (ms > REPORT_MS_MAX) missed.push(`usage by ${by} over ${back} days in at most ${REPORT_MS_MAX} ms`);
  }
  return missed;
}

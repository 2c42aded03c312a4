// The report of a run, in Markdown that reads as text.
import type { BenchResult } from "./bench.ts";
import type { Quantiles, Spread, SystemFigures } from "./figures.ts";
import { targetsOf } from "./targets.ts";

/** Where other work kept more of the cores busy than this, times and tails are not to be trusted. */
const QUIET_LOAD = 0.3;
const MB = 1e6;

export function resultsText(result: BenchResult): string {
  const { scenarios, worlds, held, decisions, calls } = result;
  const sections = [
    `# Results of the bench\n\n${aboutText(result)}`,
    `## Targets\n\n${targetsTable(result)}`,
    ...scenarios.map(({ title, systems }) => `## ${title}\n\n${systemsTable(systems)}`),
    `## Processes\n\n${processesTable(result)}`,
    worlds.length > 0 ? `## Rules, keys, rows\n\n${worldsTable(worlds)}` : "",
    held.length > 0 ? `## Streams held\n\n${heldTable(held)}` : "",
    decisions === undefined
      ? ""
      : `## The decision\n\nBody of ${decisions.bodyBytes} bytes, 50 rules, 5 candidates: p50 ${decisions.planMs.p50.toFixed(3)} ms, ` +
        `p99 ${decisions.planMs.p99.toFixed(3)} ms; with admission and limits p50 ${decisions.admittedMs.p50.toFixed(3)} ms, ` +
        `p99 ${decisions.admittedMs.p99.toFixed(3)} ms.`,
    held.some(({ system, broken }) => system === "signalbox" && broken > 0)
      ? "Streams broke, so the ledger was not compared with the calls."
      : `All ${calls} calls to Signalbox were answered in full, and its ledger has every one with its tokens.`,
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function aboutText({ machine, versions, atMs, plan }: BenchResult): string {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const load = machine.loadAverage.toFixed(1);
  const busy =
    machine.loadAverage > QUIET_LOAD
      ? `\n\n**Provisional**: other work ran beside it (load average ${load} before the start); latencies and tails are too high, ` +
        "ratios less certain. To be taken again on a quiet machine."
      : "";
  return (
    `\`npm run bench\`, ${new Date(atMs).toISOString().slice(0, 10)}, ${plan.rounds} rounds of ${plan.roundMs} ms in turns; ${machine.cores} cores ` +
    `(${machine.cpu}), load average before the start ${load}. ${list.join(", ")}. How it is measured: [README](README.md).${busy}`
  );
}

function targetsTable(result: BenchResult): string {
  const rows = targetsOf(result).map(({ title, wanted, found, unit, isMet }) => [
    title,
    `${wanted} ${unit}`,
    found === undefined ? "not measured" : `${number(found)} ${unit}`,
    isMet === undefined ? "" : isMet ? "met" : "**missed**",
  ]);
  return table(["", "target", "measured", ""], rows);
}

function systemsTable(systems: readonly SystemFigures[]): string {
  const columns: [string, (one: SystemFigures) => string | undefined][] = [
    ["CPU per call, µs", ({ cpuUs }) => number(cpuUs)],
    ["÷ floor", ({ ratio }) => spread(ratio)],
    ["main thread, µs", ({ mainThreadCpuUs }) => number(mainThreadCpuUs)],
    ["flat out, µs", ({ flatOutCpuUs }) => (flatOutCpuUs === undefined ? undefined : number(flatOutCpuUs))],
    ["÷ floor, flat out", ({ flatOutRatio }) => flatOutRatio && spread(flatOutRatio)],
    ["calls/s at c32", ({ callsPerS }) => (callsPerS === undefined ? undefined : number(callsPerS))],
    ["added p50/p99, ms", ({ addedUs }) => quantilesMs(addedUs)],
    ["added to first p50/p99, ms", ({ addedFirstUs }) => quantilesMs(addedFirstUs)],
    ["delay of a delta p50/p99, ms", ({ deltaDelayUs }) => quantilesMs(deltaDelayUs)],
  ];
  const used = columns.filter(([, of]) => systems.some((one) => of(one) !== undefined));
  // What the upstream itself uses is not what a system costs.
  const cells = (one: SystemFigures) =>
    used.map(([title, of]) => (one.system === "direct" && /µs|÷/.test(title) ? "" : (of(one) ?? "")));
  const rows = systems.map((one) => [one.system, ...cells(one)]);
  return table(["", ...used.map(([title]) => title)], rows);
}

function processesTable({ systems }: BenchResult): string {
  const rows = systems
    .filter(({ name }) => name !== "direct")
    .map(({ name, startMs, idleRssBytes, loadedRssBytes, afterRssBytes }) => [
      name,
      number(startMs),
      ...[idleRssBytes, loadedRssBytes, afterRssBytes].map((bytes) => (bytes === 0 ? "" : number(bytes / MB))),
    ]);
  return table(["", "start to first answer, ms", "idle, MB", "at concurrency 32, MB", "after the run, MB"], rows);
}

function worldsTable(worlds: BenchResult["worlds"]): string {
  const rows = worlds.map(({ name, cpuUs, ratio }) => [name, number(cpuUs), spread(ratio)]);
  return table(["", "CPU per call, JSON 1 KB, µs", "÷ plain"], rows);
}

function heldTable(held: BenchResult["held"]): string {
  const rows = held.map(({ system, streams, broken, delayMs, addedGapMsMax, cpuUsPerDelta, rssBytes, problem }) => [
    system,
    `${streams - broken} of ${streams}`,
    `${number(delayMs.p50)} / ${number(delayMs.p99)}`,
    number(addedGapMsMax),
    system === "direct" ? "" : number(cpuUsPerDelta),
    system === "direct" ? "" : number(rssBytes / MB),
    problem ?? "",
  ]);
  const heading = ["", "complete, in order", "delay of a delta p50/p99, ms", "largest gap added, ms"];
  return table([...heading, "CPU per delta, µs", "resident, MB", "first problem"], rows);
}

function quantilesMs(quantiles: Quantiles | undefined): string | undefined {
  return quantiles && `${(quantiles.p50 / 1000).toFixed(2)} / ${(quantiles.p99 / 1000).toFixed(2)}`;
}

function spread({ median, low, high }: Spread): string {
  return `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.1 ? 2 : 3);
}

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows];
  const widths = heading.map((_, at) => Math.max(3, ...all.map((cells) => cells[at]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [line(heading), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join("\n");
}

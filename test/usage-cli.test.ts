// `signalbox usage` as an operator meets it: groupings, filters, zones, totals, CSV, JSON, mistakes.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../src/cli/arguments.ts";
import { usage } from "../src/cli/usage.ts";
import { CsvError, formatCsv, parseCsv } from "../src/csv.ts";
import type { LedgerRow } from "../src/store/rows.ts";
import { instantAt, zoneOf } from "../src/zones.ts";
import { finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { bookedLedger } from "./support/ledger.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 12);

interface Call {
  at: string;
  key?: string;
  team?: string;
  tags?: string[];
  provider?: string;
  model?: string;
  costNanoUsd?: number;
}

function rows(calls: Call[]): LedgerRow[] {
  return calls.flatMap(
    ({ at, costNanoUsd = 1_000_000, provider = "openai", model = "gpt-6-luna", ...owner }, index) => {
      const id = `req_${index}`;
      const ms = Date.parse(at);
      const whose = { key: "web", team: "growth", tags: ["beta"], ...owner };
      return [
        { kind: "opened", ...openedRow(id, { openedAtMs: ms, provider, model, ...whose }) },
        { kind: "settled", ...settledRow(id, { endedAtMs: ms + 10, costNanoUsd }) },
        { kind: "finished", ...finishedRow(id, { receivedAtMs: ms, endedAtMs: ms + 11, ...whose }) },
      ] satisfies LedgerRow[];
    },
  );
}

function run(calls: Call[], ...args: string[]): string {
  const { dir } = bookedLedger(rows(calls));
  return usage([...args, "--data", dir], {}, NOW_MS);
}

const CALLS: Call[] = [
  { at: "2026-11-23T22:59:00Z", model: "gpt-6-sol", costNanoUsd: 2_500_000_000 },
  { at: "2026-11-23T23:01:00Z" },
  { at: "2026-11-24T10:00:00Z", key: "batch", tags: [], costNanoUsd: 3 },
  { at: "2026-11-24T11:00:00Z", provider: "anthropic", model: "claude-haiku-5-5", team: "sales" },
];

describe("signalbox usage", () => {
  test("two groupings have two columns, and a line of totals ends the table", () => {
    const text = run(CALLS, "--by", "day,model");
    const lines = text.split("\n").map((line) => line.trim().split(/\s{2,}/));
    expect(lines[0]?.slice(0, 4)).toEqual(["day", "model", "requests", "attempts"]);
    expect(lines.slice(1, 5).map(([day, model, requests]) => [day, model, requests])).toEqual([
      ["2026-11-23", "openai/gpt-6-sol", "1"],
      ["2026-11-23", "openai/gpt-6-luna", "1"],
      ["2026-11-24", "anthropic/claude-haiku-5-5", "1"],
      ["2026-11-24", "openai/gpt-6-luna", "1"],
    ]);
    expect(lines[5]?.[0]).toBe("total");
    expect(lines[5]).toContain("2.502000003");
    expect(text).toContain("2026-11-23T12:00Z to now");
  });

  test.each<[string, string[], string[]]>([
    ["a name", ["--key", "batch"], ["openai/gpt-6-luna"]],
    ["a pattern", ["--model", "*/gpt-*"], ["openai/gpt-6-sol", "openai/gpt-6-luna"]],
    ["a bare model", ["--model", "claude-haiku-5-5"], ["anthropic/claude-haiku-5-5"]],
    ["either of two", ["--team", "sales", "--team", "nobody"], ["anthropic/claude-haiku-5-5"]],
    ["a tag and a provider", ["--tag", "b*a", "--provider", "openai"], ["openai/gpt-6-sol", "openai/gpt-6-luna"]],
    ["nothing", ["--organisation", "acme"], []],
  ])("a filter takes %s", (_, args, models) => {
    const found = JSON.parse(run(CALLS, "--json", ...args)) as { group: string }[];
    expect(found.map(({ group }) => group)).toEqual(models);
  });

  test("days are those of the time zone that was asked for, and so are the ends of the time", () => {
    const days = (...args: string[]) =>
      (JSON.parse(run(CALLS, "--by", "day", "--json", ...args)) as { group: string; requests: number }[]).map((row) => [
        row.group,
        row.requests,
      ]);
    const inBerlin = ["--time-zone", "Europe/Berlin"];
    expect(days("--since", "7d")).toEqual([
      ["2026-11-23", 2],
      ["2026-11-24", 2],
    ]);
    expect(days("--since", "7d", ...inBerlin)).toEqual([
      ["2026-11-23", 1],
      ["2026-11-24", 3],
    ]);
    expect(days("--since", "2026-11-24", ...inBerlin)).toEqual([["2026-11-24", 3]]);
    expect(days("--since", "2026-11-24")).toEqual([["2026-11-24", 2]]);
    expect(days("--since", "2026-11-24T00:01+01:00", "--until", "2026-11-24T11:00Z")).toEqual([
      ["2026-11-23", 1],
      ["2026-11-24", 1],
    ]);
  });

  test("CSV has a header, quoted names, dollars, and no totals", () => {
    const named = { at: "2026-11-24T10:00:00Z", key: 'the "web", mostly' };
    const records = parseCsv(run([named], "--by", "key", "--csv"));
    expect(records.map(({ fields }) => fields.slice(0, 2))).toEqual([
      ["key", "requests"],
      ['the "web", mostly', "1"],
    ]);
    const cost = records[0]?.fields.indexOf("cost_usd") ?? -1;
    expect(records[1]?.fields[cost]).toBe("0.001");
  });

  test("sums beyond 2^53 stay exact in every form", () => {
    const dear = Array.from({ length: 3 }, () => ({
      at: "2026-11-24T10:00:00Z",
      costNanoUsd: Number.MAX_SAFE_INTEGER,
    }));
    const nano = 3n * BigInt(Number.MAX_SAFE_INTEGER);
    expect(run(dear, "--json")).toContain(`"costNanoUsd": ${nano}`);
    expect(run(dear)).toContain("27021597.764222973");
    expect(run(dear, "--csv")).toContain("27021597.764222973");
  });

  test.each<[string, string[], string]>([
    ["a grouping", ["--by", "colour"], '"colour" is not one of model, provider'],
    ["three groupings", ["--by", "day,model,key"], "expected one grouping or two different ones"],
    ["the same twice", ["--by", "day,day"], "two different ones"],
    ["a time", ["--since", "yesterday"], "such as 90m, 24h or 7d, a day such as 2026-11-01, or a time"],
    ["a day that is not there", ["--since", "2026-02-30"], 'found "2026-02-30"'],
    ["a time zone", ["--time-zone", "Berlin"], '"Berlin" is unknown; expected a name such as Europe/Berlin'],
    ["an end before the beginning", ["--since", "1h", "--until", "2h"], "is not after"],
    ["two forms at once", ["--csv", "--json"], "choose one"],
    ["another report", ["wast"], '"wast" is not a report'],
  ])("a mistake in %s is told with what would be accepted", (_, args, message) => {
    expect(() => run([], ...args)).toThrow(UsageError);
    expect(() => run([], ...args)).toThrow(message);
  });

  test("an empty part of the ledger is said to be empty, with its time", () => {
    expect(run([], "--since", "2026-11-01", "--until", "2026-11-02")).toBe(
      "No calls in this part of the ledger (2026-11-01T00:00Z to 2026-11-02T00:00Z).\n",
    );
  });
});

describe("CSV", () => {
  test("what is written is read back", () => {
    const cell = fc.oneof(fc.string(), fc.constantFrom("", '"', ",", "\n", "\r\n", 'a"b', "=1+1", "\uFEFF"));
    const table = fc
      .integer({ min: 2, max: 4 })
      .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width })));
    fc.assert(
      fc.property(table, (written) => {
        fc.pre(!written[0]?.[0]?.startsWith("\uFEFF"));
        expect(parseCsv(formatCsv(written)).map(({ fields }) => fields)).toEqual(written);
      }),
      { numRuns: 300 },
    );
  });

  test("line feeds alone, a byte-order mark, empty lines and a missing last line end are read", () => {
    const records = parseCsv('\uFEFFa,b\n\n"1\n2",\r\nx,y');
    expect(records).toEqual([
      { line: 1, fields: ["a", "b"] },
      { line: 3, fields: ["1\n2", ""] },
      { line: 5, fields: ["x", "y"] },
    ]);
  });

  test.each([
    ["a quote that is not closed", 'a,b\n1,"2\n3\n', "line 2, column 3: the quote that opens here is never closed"],
    [
      "a quote inside a field",
      'a,b\n1,2"3\n',
      'line 2, column 4: expected a comma or the end of the line; found "\\""',
    ],
    ["text after a quote", 'a,b\n"x\ny"z,1\n', "line 3, column 3: expected a comma"],
    ["a line of another length", "a,b\n1,2\n1,2,3\n", "line 3, column 6: 3 fields where the first line has 2"],
  ])("%s is refused with line and column", (_, text, message) => {
    expect(() => parseCsv(text)).toThrow(CsvError);
    expect(() => parseCsv(text)).toThrow(message);
  });
});

describe("time zones", () => {
  test("a local day begins where clocks show midnight, on the days they change too", () => {
    const berlin = zoneOf("Europe/Berlin");
    const starts = ["2026-03-29", "2026-03-30", "2026-10-25", "2026-10-26"].map((day) =>
      new Date(instantAt(Date.parse(`${day}T00:00Z`), berlin)).toISOString(),
    );
    expect(starts.map((iso) => iso.slice(5, 16))).toEqual(["03-28T23:00", "03-29T22:00", "10-24T22:00", "10-25T23:00"]);
    expect([0, 1, 2].map((hour) => berlin.hour(Date.UTC(2026, 9, 25, hour)))).toEqual([
      "2026-10-25T02:00+02:00",
      "2026-10-25T02:00+01:00",
      "2026-10-25T03:00+01:00",
    ]);
  });

  test("a midnight that clocks skip is the instant at which they do", () => {
    const cairo = zoneOf("Africa/Cairo");
    expect(new Date(instantAt(Date.UTC(2026, 3, 24), cairo)).toISOString()).toBe("2026-04-23T22:00:00.000Z");
    expect(cairo.day(Date.UTC(2026, 3, 23, 22))).toBe("2026-04-24");
  });
});

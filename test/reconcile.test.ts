// `signalbox reconcile`: a provider's export against the ledger, difference by difference.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Printed } from "../src/cli/arguments.ts";
import { reconcile } from "../src/cli/reconcile.ts";
import { prepareBooking } from "../src/store/booking.ts";
import type { LedgerRow } from "../src/store/rows.ts";
import { openedRow, settledRow } from "./store-rows.ts";
import { bookedLedger } from "./support/ledger.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 12);

interface Call {
  at: string;
  provider?: string;
  model?: string;
  input?: number;
  cached?: number;
  output?: number;
  costNanoUsd?: number;
  /** The process died. */
  isUnknown?: boolean;
  isFailed?: boolean;
}

function rowsOf(calls: Call[]): LedgerRow[] {
  return calls.flatMap((call, index): LedgerRow[] => {
    const {
      at,
      provider = "openai",
      model = "gpt-6-luna",
      input = 100,
      cached = 0,
      output = 10,
      costNanoUsd = 1_000,
    } = call;
    const id = `req_${index}`;
    const opened = openedRow(id, { openedAtMs: Date.parse(at), provider, model, reservedNanoUsd: 9_000 });
    if (call.isUnknown) return [{ kind: "opened", ...opened }];
    const usage = call.isFailed ? undefined : { inputTokens: input, cacheReadTokens: cached, outputTokens: output };
    const settled = settledRow(id, {
      ...{ endedAtMs: Date.parse(at) + 5, usage, costNanoUsd: call.isFailed ? 0 : costNanoUsd },
      endReason: call.isFailed ? "failed" : "complete",
    });
    return [
      { kind: "opened", ...opened },
      { kind: "settled", ...settled },
    ];
  });
}

function compare(calls: Call[], csv: string, ...args: string[]): Printed {
  const { dir, db } = bookedLedger(rowsOf(calls));
  prepareBooking(db).markUnsettledAsUnknown();
  const file = join(dir, "export.csv");
  writeFileSync(file, csv);
  return reconcile([file, ...args, "--data", dir], {}, NOW_MS) as Printed;
}

const differences = (printed: Printed) =>
  (JSON.parse(printed.text) as Record<string, unknown>[]).map(({ time, model, what, provider, ledger }) => [
    time,
    model,
    what,
    provider,
    ledger,
  ]);

const OPENAI =
  "start_time,end_time,start_time_iso,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens";
const openaiRow = (day: string, requests: number, model: string, ...tokens: number[]) =>
  `${Date.parse(day) / 1000},0,"${day}",${requests},${model},${tokens.join(",")}`;

describe("OpenAI's export of usage", () => {
  const CALLS: Call[] = [
    { at: "2026-11-20T08:00:00Z", cached: 40 },
    { at: "2026-11-20T23:59:59Z" },
    { at: "2026-11-21T00:00:00Z", model: "gpt-6-sol" },
    { at: "2026-11-20T08:00:00Z", provider: "anthropic", model: "claude-haiku-5-5" },
  ];

  test("agrees with the ledger by day and model, dates at the end of names aside: exit code 0", () => {
    const csv = [
      OPENAI,
      openaiRow("2026-11-20", 1, "gpt-6-luna-2026-08-01", 100, 10, 40),
      openaiRow("2026-11-20", 1, "gpt-6-luna", 100, 10, 0),
      openaiRow("2026-11-21", 1, "gpt-6-sol", 100, 10, 0),
    ].join("\n");
    const printed = compare(CALLS, csv);
    expect(printed.exitCode).toBe(0);
    expect(printed.text).toBe(
      "2 days and models of openai compared, 2026-11-20T00:00Z to 2026-11-22T00:00Z: 0 differences.\n",
    );
  });

  test("each sum that is apart is listed, calls past the router and calls that were not billed too: exit code 1", () => {
    const csv = [
      OPENAI,
      openaiRow("2026-11-20", 2, "gpt-6-luna", 230, 20, 40),
      openaiRow("2026-11-21", 1, "gpt-6-terra", 7, 10, 0),
    ].join("\n");
    const printed = compare(CALLS, csv, "--json");
    expect(printed.exitCode).toBe(1);
    expect(differences(printed)).toEqual([
      ["2026-11-20", "gpt-6-luna", "input", 230, 200],
      ["2026-11-21", "gpt-6-sol", "requests", 0, 1],
      ["2026-11-21", "gpt-6-sol", "input", 0, 100],
      ["2026-11-21", "gpt-6-sol", "output", 0, 10],
      ["2026-11-21", "gpt-6-terra", "requests", 1, 0],
      ["2026-11-21", "gpt-6-terra", "input", 7, 0],
      ["2026-11-21", "gpt-6-terra", "output", 10, 0],
    ]);
    expect(compare(CALLS, csv, "--until", "2026-11-21", "--tolerance", "14%").exitCode).toBe(0);
  });

  test("attempts of unknown outcome explain what is missing, and failed ones need not be in the export", () => {
    const calls = [
      { at: "2026-11-20T08:00:00Z" },
      { at: "2026-11-20T08:01:00Z", isUnknown: true },
      { at: "2026-11-20T08:02:00Z", isFailed: true },
    ];
    const row = (requests: number, input: number) =>
      `${OPENAI}\n${openaiRow("2026-11-20", requests, "gpt-6-luna", input, 10, 0)}`;
    for (const requests of [1, 2, 3]) expect(compare(calls, row(requests, 100)).exitCode, String(requests)).toBe(0);
    expect(compare(calls, row(4, 100)).exitCode).toBe(1);
    expect(compare(calls, row(2, 190)).text).toMatch(/input +1 attempts of unknown outcome.* 190 +100 +90/);
  });

  test("hours are compared where the export has them", () => {
    const csv = [OPENAI, openaiRow("2026-11-20T08:00:00Z", 1, "gpt-6-luna", 100, 10, 40)].join("\n");
    expect(
      differences(compare(CALLS, csv, "--by", "hour", "--until", "2026-11-21", "--json")).map(([time]) => time),
    ).toEqual([...["2026-11-20T23:00Z", "2026-11-20T23:00Z", "2026-11-20T23:00Z"]]);
    const days = [OPENAI, openaiRow("2026-11-20", 1, "gpt-6-luna", 100, 10, 40)].join("\n");
    expect(() => compare(CALLS, days, "--by", "hour")).toThrow("the export has days only");
  });
});

describe("other exports", () => {
  const CLAUDE = { provider: "anthropic", model: "claude-haiku-5-5", at: "2026-11-20T08:00:00Z" };

  test("OpenAI's costs have no models: days are compared, in dollars with an exponent too", () => {
    const csv =
      "start_time,end_time,amount_value,amount_currency,line_item\n1795132800,0,1e-6,usd,a\n1795132800,0,0.000001,usd,b\n";
    const calls = [{ at: "2026-11-20T08:00:00Z" }, { at: "2026-11-20T09:00:00Z", model: "gpt-6-sol" }];
    expect(compare(calls, csv).text).toContain("1 days of openai compared");
    expect(compare(calls, csv).exitCode).toBe(0);
    expect(compare(calls.slice(1), csv).text).toMatch(/cost .*\$0\.000002 +\$0\.000001 +\$0\.000001/);
  });

  test("Anthropic's usage adds up the classes of input; its costs have names for people", () => {
    const usage =
      "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m," +
      "usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens\n" +
      "2026-11-20,claude-haiku-5-5-20260901,key,60,0,0,40,10\n";
    expect(compare([{ ...CLAUDE, cached: 40 }], usage)).toMatchObject({ exitCode: 0 });
    const costs = "usage_date_utc,model,cost_usd\n2026-11-20,Claude Haiku 5.5,0.000001\n";
    expect(compare([CLAUDE], costs)).toMatchObject({ exitCode: 0 });
  });

  test("any file is read with --columns, and its provider named", () => {
    const csv = "when;,who,fresh,old\n2026-11-20 08:30:00,one,60,40\n";
    const columns = ["--columns", "time=when;,model=who,input=fresh+old"];
    expect(() => compare([], csv, ...columns)).toThrow("--columns needs --provider");
    const call = { at: "2026-11-20T08:00:00Z", provider: "acme", model: "one" };
    expect(compare([call], csv, ...columns, "--provider", "acme").exitCode).toBe(0);
  });

  test.each<[string, string, string[], string]>([
    ["columns nobody knows", "a,b\n1,2\n", [], "OpenAI, usage of completions: start_time, model, num_model_requests"],
    [
      "a column that is missing",
      "a,b\n1,2\n",
      ["--columns", "time=a,input=c"],
      'there is no column "c"; there are a, b',
    ],
    ["a name of a column", "a,b\n1,2\n", ["--columns", "times=a"], "a name of time, model, requests"],
    [
      "a number",
      `${OPENAI}\n1795132800,0,x,1,m,1.5,1,1\n`,
      [],
      'line 2, column "input_tokens": expected a whole number; found "1.5"',
    ],
    ["a time", `${OPENAI}\nMonday,0,x,1,m,1,1,1\n`, [], 'line 2, column "start_time": expected a date'],
    ["a quote", `${OPENAI}\n"1795132800,0`, [], "line 2, column 1: the quote that opens here is never closed"],
    ["a tolerance", `${OPENAI}\n`, ["--tolerance", "1"], "expected a share such as 0.5%"],
  ])("a mistake in %s is told with its place, or what is accepted", (_, csv, args, message) => {
    expect(() => compare([], csv, ...args)).toThrow(message);
  });
});

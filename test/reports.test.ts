// Reports say what the rows say: sums by any two groupings, in any zone, over any time, whatever has been pruned.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LedgerRow } from "../src/store/rows.ts";
import { SUM_NAMES, USAGE_GROUPINGS, type UsageGrouping, type UsageQuery, usageSummary } from "../src/store/usage.ts";
import { attempts, requests } from "../src/store/views.ts";
import { zoneOf } from "../src/zones.ts";
import { finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { type BookedLedger, bookedLedger } from "./support/ledger.ts";

const HOUR_MS = 3_600_000;
/** The night in which Berlin's clocks go forward is in the middle. */
const START_MS = Date.UTC(2026, 2, 27);
const SPAN_MS = 4 * 24 * HOUR_MS;
const NOW_MS = START_MS + SPAN_MS;

const call = fc.record({
  provider: fc.constantFrom("acme", "zeta"),
  model: fc.constantFrom("one", "two*", "th[r]ee"),
  afterMs: fc.nat(2 * HOUR_MS),
  tokens: fc.option(fc.nat(1_000_000), { nil: undefined }),
  costNanoUsd: fc.option(fc.nat(Number.MAX_SAFE_INTEGER), { nil: undefined }),
  endReason: fc.constantFrom("complete", "failed", "truncated", "cancelled"),
});

const request = fc.record({
  atMs: fc.nat(SPAN_MS).map((ms) => START_MS + ms),
  key: fc.constantFrom("a", "ab", "b"),
  team: fc.constantFrom(undefined, "x", "y"),
  tags: fc.uniqueArray(fc.constantFrom("red", "green", "blue")),
  rule: fc.constantFrom("first", "second"),
  calls: fc.array(call, { maxLength: 3 }),
});

type Request = typeof request extends fc.Arbitrary<infer Value> ? Value : never;

function rowsOf(asked: Request, at: number): LedgerRow[] {
  const { atMs, key, team, tags, rule, calls } = asked;
  const requestId = `req_${String(at).padStart(4, "0")}`;
  const rows = calls.flatMap(({ provider, model, afterMs, tokens, costNanoUsd, endReason }, call): LedgerRow[] => {
    const attempt = call + 1;
    const opened = { attempt, openedAtMs: atMs + afterMs, provider, model, key, team, tags, rule };
    const usage = tokens === undefined ? undefined : { inputTokens: tokens, outputTokens: 1, cacheReadTokens: 2 };
    const priceStatus = costNanoUsd === undefined ? ("unknown" as const) : ("exact" as const);
    const settled = { attempt, endedAtMs: atMs + afterMs, usage, costNanoUsd, priceStatus, endReason };
    return [
      { kind: "opened", ...openedRow(requestId, opened) },
      { kind: "settled", ...settledRow(requestId, settled) },
    ];
  });
  const finished = { receivedAtMs: atMs, endedAtMs: atMs, key, team, tags, attempts: calls.length };
  return [...rows, { kind: "finished", ...finishedRow(requestId, finished) }];
}

const glob = (pattern: string) => new RegExp(`^${pattern.split("*").map(RegExp.escape).join(".*")}$`);

/** The same sums, from the rows, without any of the code under test. */
function summedByHand({ db }: BookedLedger, query: UsageQuery): Map<string, Record<string, bigint>> {
  const zone = zoneOf(query.timeZone ?? "UTC");
  const found = new Map<string, Record<string, bigint>>();
  const names: UsageGrouping[] = ["model", "provider", "rule"];
  const isOfAttempts = query.by.some((by) => names.includes(by)) || query.filters.model !== undefined;
  const add = (row: { atMs: number; key: string; team: string; tags: string[]; [name: string]: unknown }) => {
    if (row.atMs < query.fromMs || row.atMs >= (query.toMs ?? Number.POSITIVE_INFINITY)) return;
    const { key = ["*"], tag = ["*"], model } = query.filters;
    if (!key.some((pattern) => glob(pattern).test(row.key))) return;
    if (query.filters.tag !== undefined && !tag.some((p) => row.tags.some((name) => glob(p).test(name)))) return;
    if (model !== undefined && !model.some((p) => [row.model, row.bare].some((name) => glob(p).test(String(name)))))
      return;
    const values = query.by.map((by) => {
      if (by === "tag") return row.tags.length === 0 ? [""] : row.tags;
      if (by === "hour") return [zone.hour(row.atMs)];
      return [by === "day" ? zone.day(row.atMs) : String(row[by])];
    });
    const groups = values.reduce<string[][]>((all, each) => all.flatMap((g) => each.map((v) => [...g, v])), [[]]);
    for (const group of groups) {
      const name = group.join("|");
      const sums = found.get(name) ?? Object.fromEntries(SUM_NAMES.map((sum) => [sum, 0n]));
      for (const sum of SUM_NAMES) sums[sum] = (sums[sum] as bigint) + BigInt((row[sum] as number | undefined) ?? 0);
      found.set(name, sums);
    }
  };
  const seen = new Set<string>();
  for (const row of attempts.select(db, "ORDER BY request_id, attempt")) {
    const { provider, model, costNanoUsd, endReason, inputTokens, requestId } = row;
    const place = `${requestId}:${provider}:${model}`;
    add({
      ...{ atMs: row.openedAtMs, key: row.key, team: row.team, organisation: "", tags: row.tags, rule: row.rule },
      ...{ provider, model: `${provider}/${model}`, bare: model, attempts: 1 },
      requests: isOfAttempts && !seen.has(place) ? 1 : 0,
      failedAttempts: endReason === "failed" || endReason === "truncated" ? 1 : 0,
      inputTokens: inputTokens ?? 0,
      outputTokens: row.outputTokens ?? 0,
      cacheReadTokens: row.cacheReadTokens ?? 0,
      costNanoUsd: costNanoUsd ?? 0,
      unpricedAttempts: costNanoUsd === null && (endReason !== "failed" || inputTokens !== null) ? 1 : 0,
    });
    seen.add(place);
  }
  if (isOfAttempts) return found;
  for (const { receivedAtMs: atMs, callerKey: key, team, tags } of requests.select(db, "")) {
    add({ atMs, key, team, organisation: "", tags, requests: 1 });
  }
  return found;
}

const query = fc.record({
  by: fc.uniqueArray(fc.constantFrom(...USAGE_GROUPINGS), { minLength: 1, maxLength: 2 }),
  fromMs: fc.nat(SPAN_MS / 60_000).map((minutes) => START_MS + minutes * 60_000),
  toMs: fc.option(
    fc.nat(SPAN_MS / 60_000).map((minutes) => START_MS + minutes * 60_000),
    { nil: undefined },
  ),
  timeZone: fc.constantFrom(undefined, "Europe/Berlin", "Asia/Kathmandu", "America/New_York"),
  filters: fc.constantFrom(
    {},
    { key: ["a*"] },
    { tag: ["gr*n", "blue"] },
    { model: ["acme/*", "th[r]ee"] },
    { key: [] },
  ),
  nowMs: fc.constant(NOW_MS),
});

describe("sums", () => {
  test("by any two groupings, in any zone and any time they are those of the rows, and so are the totals", () => {
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 12 }),
        fc.array(query, { minLength: 4, maxLength: 4 }),
        (asked, queries) => {
          withLedger(asked.flatMap(rowsOf), (ledger) => {
            for (const one of queries) {
              const summary = usageSummary(ledger.db, one);
              expect(summary.range).toEqual(
                one.toMs === undefined ? { fromMs: one.fromMs } : { fromMs: one.fromMs, toMs: one.toMs },
              );
              expectTheSame(summary, summedByHand(ledger, one), one.by);
              const total = summedByHand(ledger, { ...one, by: [] }).get("");
              expect(summary.totals).toEqual(total ?? Object.fromEntries(SUM_NAMES.map((name) => [name, 0n])));
            }
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  test("where sums by minute are gone the time is widened to full hours, and said so; then to full days", () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 10 }), query, fc.boolean(), (asked, one, areHoursGone) => {
        withLedger(asked.flatMap(rowsOf), (ledger) => {
          ledger.db.exec("DELETE FROM rollup_minutes");
          if (areHoursGone) ledger.db.exec("DELETE FROM rollup_hours");
          // Just before the first request, so that there is something in the part of an hour it begins with.
          const fromMs = Math.floor((asked[0]?.atMs ?? START_MS) / 60_000 - 1) * 60_000;
          const days = { ...one, fromMs, by: ["day", "key"] as const, timeZone: undefined };
          const { range, ...summary } = usageSummary(ledger.db, days);
          expect(range.fromMs).toBeLessThanOrEqual(days.fromMs);
          expect(range.toMs ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(days.toMs ?? 0);
          expectTheSame(summary, summedByHand(ledger, { ...days, ...range }), days.by);
        });
      }),
      { numRuns: 25 },
    );
  });

  test("days of a zone that is not whole hours from UTC are refused where sums by minute are gone", () => {
    const { db } = bookedLedger(
      rowsOf({ atMs: START_MS, key: "a", team: undefined, tags: [], rule: "first", calls: [] }, 1),
    );
    const inKathmandu = {
      fromMs: START_MS - HOUR_MS,
      by: ["day"],
      filters: {},
      nowMs: NOW_MS,
      timeZone: "Asia/Kathmandu",
    } as const;
    expect(usageSummary(db, inKathmandu).rows[0]?.groups).toEqual(["2026-03-27"]);
    db.exec("DELETE FROM rollup_minutes");
    expect(() => usageSummary(db, inKathmandu)).toThrow(
      "needs sums by minute, which are kept since 2026-03-27T01:00Z only",
    );
    expect(usageSummary(db, { ...inKathmandu, timeZone: "Asia/Tokyo" }).rows[0]?.groups).toEqual(["2026-03-27"]);
  });
});

function withLedger(rows: LedgerRow[], use: (ledger: BookedLedger) => void): void {
  let end = () => {};
  try {
    use(bookedLedger(rows, (ends) => (end = ends)));
  } finally {
    end();
  }
}

function expectTheSame(
  summary: Pick<ReturnType<typeof usageSummary>, "rows">,
  expected: Map<string, Record<string, bigint>>,
  by: readonly UsageGrouping[],
): void {
  const found = new Map(summary.rows.map(({ groups, ...sums }) => [groups.join("|"), sums]));
  // Without a grouping of attempts a row of requests may have no sum but theirs; one with none at all says nothing.
  expect(Object.fromEntries(found), by.join()).toEqual(Object.fromEntries(expected));
}

// The ledger over HTTP: the operator's reports, and a caller's look at its own requests.
import { Hono } from "hono";
import { describe, expect, onTestFinished, test } from "vitest";
import type { z } from "zod";
import { adminRoutes } from "../src/http/admin.ts";
import { reportOperations, requestsAnswer, usageAnswer } from "../src/http/admin-reports.ts";
import type { Env } from "../src/http/context.ts";
import { generationRoute } from "../src/http/generation.ts";
import { IdSource } from "../src/ids.ts";
import { createReportReader, type ReportReaderOptions } from "../src/store/report-reader.ts";
import { requestPage } from "../src/store/request-list.ts";
import type { LedgerRow } from "../src/store/rows.ts";
import { finishedRow, openedRow, settledRow } from "./store-rows.ts";
import { bookedLedger } from "./support/ledger.ts";
import { startTestRouter } from "./support/router.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 12);
const MINUTE_MS = 60_000;
const ids = new IdSource();

interface Made {
  minutesAgo: number;
  key?: string;
  status?: number;
  models?: string[];
  costNanoUsd?: number;
  firstError?: "overloaded";
}

/** The last of the models answers, those before it fail. */
function made({ minutesAgo, key = "web", status = 200, models = ["m"], costNanoUsd = 5, firstError }: Made) {
  const atMs = NOW_MS - minutesAgo * MINUTE_MS;
  const id = ids.requestId(atMs);
  const rows = models.flatMap((model, index): LedgerRow[] => {
    const attempt = index + 1;
    const isLast = attempt === models.length;
    const failed = { endReason: "failed", errorKind: firstError, httpStatus: 529, costNanoUsd: 0 } as const;
    return [
      { kind: "opened", ...openedRow(id, { attempt, openedAtMs: atMs, key, model }) },
      { kind: "settled", ...settledRow(id, { attempt, endedAtMs: atMs + 9, costNanoUsd, ...(isLast ? {} : failed) }) },
    ];
  });
  const finished = { receivedAtMs: atMs, endedAtMs: atMs + 10, key, status, attempts: models.length };
  return { id, rows: [...rows, { kind: "finished", ...finishedRow(id, finished) }] satisfies LedgerRow[] };
}

function admin(requests: { rows: LedgerRow[] }[], options: Partial<ReportReaderOptions> = {}) {
  const { dir } = bookedLedger(requests.flatMap(({ rows }) => rows));
  const reports = createReportReader({ dir, ...options });
  onTestFinished(() => reports.close());
  const app = new Hono<Env>();
  for (const { method, path, handle } of adminRoutes(reportOperations({ reports, nowMs: () => NOW_MS }), "1")) {
    app.on(method, path, handle);
  }
  return async (path: string) => {
    const response = await app.request(path, {});
    return { status: response.status, json: await response.json() };
  };
}

type Requests = z.output<typeof requestsAnswer> & { data: { id: string }[]; next_cursor: string | null };

describe("GET /admin/usage", () => {
  test("groups and totals come as described, money as decimal text", async () => {
    const get = admin([made({ minutesAgo: 5, costNanoUsd: 1_500_000_000 }), made({ minutesAgo: 6, key: "batch" })]);
    const { status, json } = await get("/admin/usage?by=key,day&since=1h&limit=1");
    expect(status).toBe(200);
    expect(usageAnswer.parse(json)).toMatchObject({
      from: "2026-11-24T11:00:00.000Z",
      to: null,
      data: [{ group: { key: "web", day: "2026-11-24" }, requests: 1, cost_usd: "1.5" }],
      totals: { requests: 2, cost_usd: "1.500000005" },
      more_groups: 1,
    });
  });

  test.each([
    ["by=colour", "by"],
    ["since=soon", "'since': expected an age"],
    ["limit=501", "limit"],
    ["time_zone=Mars", "expected a name such as Europe/Berlin"],
    ["kee=web", "kee"],
  ])("%s is refused with the parameter", async (query, message) => {
    const { status, json } = await admin([])(`/admin/usage?${query}`);
    expect(status).toBe(400);
    expect(json).toMatchObject({ error: { code: "invalid_value", message: expect.stringContaining(message) } });
  });
});

describe("GET /admin/requests", () => {
  test("the pages of a cursor hold every request once, newest first, with its attempts", async () => {
    const all = Array.from({ length: 7 }, (_, index) => made({ minutesAgo: index + 1, models: ["a", "b"] }));
    const get = admin(all);
    const seen: string[] = [];
    let cursor = "";
    do {
      const { json } = await get(`/admin/requests?limit=3${cursor}`);
      const page = requestsAnswer.parse(json) as Requests;
      seen.push(...page.data.map(({ id }) => id));
      cursor = page.next_cursor === null ? "" : `&cursor=${page.next_cursor}`;
    } while (cursor !== "");
    expect(seen).toEqual(all.map(({ id }) => id));
    const { json } = await get("/admin/requests?limit=1");
    expect(json).toMatchObject({ data: [{ attempts: [{ model: "a" }, { model: "b", cost_usd: "0.000000005" }] }] });
  });

  const cheap = made({ minutesAgo: 1 });
  const dear = made({ minutesAgo: 2, costNanoUsd: 20_000_000, key: "batch" });
  const rescued = made({ minutesAgo: 3, models: ["first", "second"], firstError: "overloaded" });
  const refused = made({ minutesAgo: 4, status: 429, models: [] });
  const old = made({ minutesAgo: 60 * 30 });
  test.each([
    ["key=bat*", [dear]],
    ["model=first", [rescued]],
    ["model=acme/m,zeta/*&provider=acme", [cheap, dear]],
    ["status=429", [refused]],
    ["status=2xx&min_cost_usd=0.02", [dear]],
    ["error_kind=overloaded", [rescued]],
    ["since=150s", [cheap, dear]],
    ["since=7d&until=5m", [old]],
    ["tag=beta&team=growth&since=3m&rule=chat-*", [cheap, dear, rescued]],
    ["error_kind=overloaded&key=batch", []],
  ])("%s", async (query, expected) => {
    const { status, json } = await admin([cheap, dear, rescued, refused, old])(`/admin/requests?${query}`);
    expect(status).toBe(200);
    expect((json as Requests).data.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
  });

  test("a filter that lets nothing through reads a bounded number of rows a page, and goes on from there", () => {
    const { db } = bookedLedger(
      Array.from({ length: 5 }, (_, at) => made({ minutesAgo: at })).flatMap(({ rows }) => rows),
    );
    let before: string | undefined;
    let pages = 0;
    for (let isMore = true; isMore; pages += 1) {
      const page = requestPage(db, { fromMs: 0, filters: { key: ["nobody"] }, limit: 10, before }, 2);
      expect(page.rows).toEqual([]);
      before = page.next;
      isMore = before !== undefined;
    }
    expect(pages).toBe(3);
  });
});

describe("the thread that reads", () => {
  test("a report that takes too long is given up with what to do, and the ones behind it do not hang", async () => {
    const { dir } = bookedLedger(made({ minutesAgo: 1 }).rows);
    const reader = createReportReader({ dir, timeoutMs: 0 });
    onTestFinished(() => reader.close());
    const query = { fromMs: 0, by: ["key"], filters: {}, nowMs: NOW_MS } as const;
    for (const answer of await Promise.all([reader.usage(query), reader.usage(query)])) {
      expect(answer).toMatchObject({ problem: "timeout", message: expect.stringContaining("ask for a shorter time") });
    }
  });

  test("beyond a bound reports are refused, not queued, and a closed reader answers", async () => {
    const { dir } = bookedLedger();
    const reader = createReportReader({ dir, waitingMax: 1 });
    const answers = [reader.request("a"), reader.request("b"), reader.request("c")];
    expect(await answers[2]).toMatchObject({ problem: "busy" });
    expect(await answers[0]).toBeUndefined();
    await reader.close();
    expect(await reader.request("d")).toMatchObject({ problem: "failed", message: "the router is stopping" });
  });

  test("a folder without a ledger is a problem with its reason", async () => {
    const reader = createReportReader({ dir: "/nowhere" });
    onTestFinished(() => reader.close());
    expect(await reader.request("a")).toMatchObject({
      problem: "failed",
      message: expect.stringContaining("/nowhere"),
    });
  });
});

describe("GET /v1/generation", () => {
  const ASK = { model: "gpt-6-luna", messages: [{ role: "user", content: "Hello" }] };

  test("tells of a request right after its answer: tokens, cost, and each call", async () => {
    const { url, post } = await startTestRouter();
    const answer = await post(ASK);
    const id = answer.headers.get("x-request-id") ?? "";
    const { usage } = (await answer.json()) as { usage: { prompt_tokens: number; completion_tokens: number } };
    const response = await fetch(`${url}/v1/generation?id=${id}`);
    expect(response.status).toBe(200);
    const { data } = (await response.json()) as { data: Record<string, unknown> };
    expect(data).toMatchObject({
      ...{ id, request_id: id, model: "openai/gpt-6-luna", provider_name: "openai", streamed: false, cancelled: false },
      ...{ tokens_prompt: usage.prompt_tokens, tokens_completion: usage.completion_tokens, finish_reason: "stop" },
      provider_responses: [{ endpoint_id: "openai/gpt-6-luna", provider_name: "openai", status: 200, is_byok: false }],
    });
    expect(data.total_cost).toBeGreaterThan(0);
  });

  test("another id gets 404 with what it takes, and none 400", async () => {
    const { url } = await startTestRouter();
    const get = async (query: string) => {
      const response = await fetch(`${url}/v1/generation${query}`);
      return { status: response.status, ...((await response.json()) as { error: { message: string } }) };
    };
    const foreign = await get("?id=chatcmpl-123");
    expect(foreign.status).toBe(404);
    expect(foreign.error.message).toContain("x-request-id");
    expect(foreign.error.message).toContain("is the provider's and not stored");
    expect((await get(`?id=req_${"0".repeat(32)}`)).status).toBe(404);
    expect((await get("")).status).toBe(400);
  });

  test("a request of another key is not there", async () => {
    const { id, rows } = made({ minutesAgo: 1, key: "web" });
    const { dir } = bookedLedger(rows);
    const reports = createReportReader({ dir });
    onTestFinished(() => reports.close());
    const statusFor = async (key: string) => {
      const app = new Hono<Env>();
      app.get("/v1/generation", (context) => {
        context.set("caller", { key });
        return generationRoute(context, reports);
      });
      return (await app.request(`/v1/generation?id=${id}`)).status;
    };
    expect([await statusFor("web"), await statusFor("batch")]).toEqual([200, 404]);
  });

  test("a ledger that cannot be read is 503 without the reason, which names paths", async () => {
    const reports = createReportReader({ dir: "/nowhere" });
    onTestFinished(() => reports.close());
    const app = new Hono<Env>();
    app.get("/v1/generation", (context) => generationRoute(context, reports));
    const response = await app.request(`/v1/generation?id=req_${"0".repeat(32)}`);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await response.text()).not.toContain("nowhere");
  });

  test("the same body twice has the same hash in the ledger, another body another", async () => {
    const { post, ledger } = await startTestRouter();
    for (const content of ["Hello", "Hello", "Hello?"]) {
      await post({ ...ASK, messages: [{ role: "user", content }] });
    }
    const hashes = (await ledger()).requests.map(({ body_hash: hash }) => (hash as Buffer).toString("hex"));
    expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });
});

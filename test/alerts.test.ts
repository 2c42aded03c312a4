// What becomes an alert, how often, and what is in it. Time, chance and destinations are virtual.
import { describe, expect, test } from "vitest";
import type { Alert } from "../src/alerts/alert.ts";
import { messageFor } from "../src/alerts/message.ts";
import type { Delivery } from "../src/alerts/outbox.ts";
import { type Alerts, type AttemptEnded, createAlerts, outcomeOf } from "../src/alerts.ts";
import type { AlertSettings } from "../src/config/alert-settings.ts";
import { Secret } from "../src/dialect.ts";
import type { RequestFinished } from "../src/store/rows.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** A Monday, 00:00 UTC. */
const MONDAY_MS = Date.UTC(2026, 0, 5);
const USD = 1_000_000_000;

const SLACK = { kind: "slack", name: "slack", host: "hooks.example", url: new Secret("https://hooks.example/T/B/x") };
const SETTINGS: AlertSettings = {
  budgetPercents: [50, 80, 100],
  spendRateFactor: 3,
  errorRate: 0.2,
  repeatAfterMs: DAY_MS,
  destinations: [SLACK as AlertSettings["destinations"][number]],
};

const ARRIVED: Delivery = { kind: "arrived", status: 200 };
const UNAVAILABLE: Delivery = { kind: "failed", problem: "status 503" };

/** A router's alerts, and one destination that answers as told. */
class World {
  nowMs = MONDAY_MS;
  draw = 0.5;
  answer: (alert: Alert) => Promise<Delivery> = () => Promise.resolve(ARRIVED);
  readonly logs: string[] = [];
  readonly tries: { atMs: number; alert: Alert }[] = [];
  readonly alerts: Alerts;
  #timers: { atMs: number; callback: () => void }[] = [];
  #ids = 0;

  constructor(settings: Partial<AlertSettings> = {}, saved?: unknown) {
    this.alerts = createAlerts({
      settings: { ...SETTINGS, ...settings },
      nowMs: () => this.nowMs,
      schedule: (ms, callback) => {
        const timer = { atMs: this.nowMs + ms, callback };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
      deliver: (_, alert) => {
        this.tries.push({ atMs: this.nowMs, alert });
        return this.answer(alert);
      },
      log: (message) => this.logs.push(message),
      draw: () => this.draw,
      newId: (prefix) => `${prefix}${++this.#ids}`,
    });
    if (saved !== undefined) this.alerts.restore(saved);
  }

  /** Runs what is due until then. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      await settled();
      const next = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.callback();
    }
    this.nowMs = untilMs;
  }

  /** What the log was told: it hears of every alert, at once. */
  told(): string[] {
    return this.logs.filter((line) => line.startsWith("ALERT ")).map((line) => line.replace(/ \(alert_\d+\)$/, ""));
  }

  types(): string[] {
    return this.told().map((line) => line.split(/[ :]/)[2] ?? "");
  }

  budget(spentUsd: number, more: Partial<Parameters<Alerts["onBudget"]>[0]> = {}): void {
    const spent = { scope: "key", name: "ann", window: "day", windowStartMs: MONDAY_MS } as const;
    this.alerts.onBudget({ ...spent, spentNanoUsd: Math.round(spentUsd * USD), limitNanoUsd: 5 * USD, ...more });
  }

  attempt(more: Partial<AttemptEnded> = {}): void {
    const ended = { provider: "acme", model: "a-1", costNanoUsd: 0, priceStatus: "exact", hasUsage: true } as const;
    this.alerts.onAttempt({ ...ended, errorKind: undefined, atMs: this.nowMs, ...more });
  }

  requests(ok: number, failed: number): void {
    for (let i = 0; i < ok; i += 1) this.alerts.onRequest({ ok: true, atMs: this.nowMs });
    for (let i = 0; i < failed; i += 1) this.alerts.onRequest({ ok: false, atMs: this.nowMs });
  }

  /** Spends an amount in each of the hours that follow. */
  hours(count: number, usdPerHour: number): void {
    for (let i = 0; i < count; i += 1) {
      if (usdPerHour > 0) this.attempt({ costNanoUsd: Math.round(usdPerHour * USD) });
      this.nowMs += HOUR_MS;
    }
  }
}

/** Promises that are already decided have run on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

describe("a budget", () => {
  test("is told at each threshold once, with what is spent, of what, since when", async () => {
    const world = new World();
    for (const spent of [1, 2.499999999, 2.5, 3, 4.0299, 4.5, 5, 7]) world.budget(spent);
    expect(world.told()).toEqual([
      "ALERT warning budget_threshold: The budget of key ann is at 50 %. $2.5 of $5 are spent in the day that began at 2026-01-05T00:00Z.",
      "ALERT warning budget_threshold: The budget of key ann is at 80 %. $4.02 of $5 are spent in the day that began at 2026-01-05T00:00Z.",
      "ALERT critical budget_threshold: The budget of key ann is at 100 %. $5 of $5 are spent in the day that began at 2026-01-05T00:00Z.",
    ]);
    await settled();
    expect(world.tries[1]?.alert.data).toEqual({
      scope: "key",
      name: "ann",
      window: "day",
      window_start: "2026-01-05T00:00:00.000Z",
      threshold_percent: 80,
      spent_usd: "4.0299",
      limit_usd: "5",
    });
  });

  test("that leaps over several thresholds is told at the highest", () => {
    const world = new World();
    world.budget(6);
    world.budget(6.5);
    expect(world.told()).toHaveLength(1);
    expect(world.told()[0]).toContain("at 100 %");
  });

  test("is another one in the next window, of another name, and with another limit", () => {
    const world = new World();
    world.budget(3);
    world.budget(3, { windowStartMs: MONDAY_MS + DAY_MS });
    world.budget(3, { name: "bob" });
    world.budget(3, { limitNanoUsd: 6 * USD });
    world.budget(3);
    expect(world.types()).toEqual(Array(4).fill("budget_threshold"));
  });

  test("for ever is not said to begin", () => {
    const world = new World();
    world.budget(3, { window: "total", windowStartMs: 0 });
    expect(world.told()[0]).toContain("$3 of $5 are spent.");
    expect(world.tries[0]?.alert.data).not.toHaveProperty("window_start");
  });

  test("is compared exactly where floating point is not exact", () => {
    const world = new World({ budgetPercents: [80] });
    const limitNanoUsd = 999_999_999_999_999;
    world.budget(0, { spentNanoUsd: 799_999_999_999_999, limitNanoUsd });
    expect(world.told()).toEqual([]);
    world.budget(0, { spentNanoUsd: 800_000_000_000_000, limitNanoUsd });
    expect(world.told()).toHaveLength(1);
  });

  test("of nothing is told when something is spent", () => {
    const world = new World();
    world.budget(0, { limitNanoUsd: 0 });
    expect(world.told()).toEqual([]);
    world.budget(0.000000001, { limitNanoUsd: 0 });
    expect(world.told()[0]).toContain("$0.000000001 of $0 are spent");
  });

  test("is silent when alerts about budgets are off", () => {
    const world = new World({ budgetPercents: [] });
    world.budget(9);
    expect(world.told()).toEqual([]);
  });
});

describe("providers and models", () => {
  test("a provider without money and a refused key are told once per provider, and again after a day", () => {
    const world = new World();
    for (const model of ["a-1", "a-2"]) {
      world.attempt({ model, errorKind: "quota", priceStatus: "unmetered" });
      world.attempt({ model, errorKind: "auth", priceStatus: "unmetered" });
    }
    world.attempt({ provider: "other", errorKind: "quota", priceStatus: "unmetered" });
    const first = ["provider_out_of_money", "provider_key_refused", "provider_out_of_money"];
    expect(world.types()).toEqual(first);
    expect(world.told()[0]).toMatch(/^ALERT critical provider_out_of_money: acme is out of money\. .*asked for a-1/);
    world.nowMs += DAY_MS - 1;
    world.attempt({ errorKind: "quota", priceStatus: "unmetered" });
    expect(world.types()).toEqual(first);
    world.nowMs += 1;
    world.attempt({ errorKind: "quota", priceStatus: "unmetered" });
    expect(world.types()).toEqual([...first, "provider_out_of_money"]);
  });

  test("a model without a price is told once per model, and so is one whose tokens nobody told", () => {
    const world = new World();
    const unknown = { priceStatus: "unknown", costNanoUsd: undefined } as const;
    world.attempt(unknown);
    world.attempt(unknown);
    world.attempt({ ...unknown, model: "a-2", hasUsage: false });
    expect(world.types()).toEqual(["unpriced_model", "unpriced_model"]);
    expect(world.told()[0]).toContain("Calls of acme/a-1 are in no sum and no budget: no price is known");
    expect(world.told()[1]).toContain("acme/a-2 are in no sum and no budget: the provider did not tell");
  });

  test("at most twenty models without a price are told in an hour, however many names a caller makes up", () => {
    const world = new World();
    const ask = (name: string) => world.attempt({ model: name, priceStatus: "unknown", costNanoUsd: undefined });
    for (let i = 0; i < 100; i += 1) ask(`made-up-${i}`);
    expect(world.types()).toHaveLength(20);
    world.nowMs += HOUR_MS;
    ask("made-up-0");
    ask("made-up-99");
    expect(world.told().slice(20)).toEqual([expect.stringContaining("made-up-99 is used without a known cost")]);
  });

  test("calls that broke off, were refused, or were priced from elsewhere are no sign of a missing price", () => {
    const world = new World();
    world.attempt({ priceStatus: "unknown", costNanoUsd: undefined, hasUsage: false, errorKind: "truncated" });
    world.attempt({ priceStatus: "unmetered", hasUsage: false, errorKind: "server" });
    world.attempt({ priceStatus: "exact", costNanoUsd: 5 });
    expect(world.told()).toEqual([]);
  });

  test("a name with line breaks and escapes stays on one line of the log", () => {
    const world = new World();
    world.attempt({ model: `x\nALERT critical test: forged\u001b[2J${"y".repeat(500)}`, errorKind: "quota" });
    expect(world.logs).toHaveLength(1);
    expect(world.logs[0]).not.toMatch(/\p{Cc}/u);
    expect(world.logs[0]?.length).toBeLessThan(500);
  });
});

describe("the share of failed requests", () => {
  test("is told when it passes the threshold over five minutes, with at least 20 requests", () => {
    const world = new World();
    world.requests(0, 19);
    expect(world.told()).toEqual([]);
    world.requests(0, 1);
    expect(world.told()).toEqual([
      "ALERT critical error_rate: 100 % of the requests fail. 20 of 20 requests failed in the last 5 minutes (the threshold is 20 %).",
    ]);
    world.requests(0, 50);
    expect(world.told()).toHaveLength(1);
  });

  test("below the threshold is no alarm, at it is one", () => {
    const world = new World();
    world.requests(81, 19);
    expect(world.told()).toEqual([]);
    world.requests(0, 2);
    expect(world.told()[0]).toContain("21 of 102 requests");
  });

  test("forgets what is longer ago than five minutes", () => {
    const world = new World();
    world.requests(0, 19);
    world.nowMs += 5 * MINUTE_MS;
    world.requests(19, 3);
    expect(world.told()).toEqual([]);
    world.nowMs += 4 * MINUTE_MS;
    world.requests(0, 5);
    expect(world.told()[0]).toContain("5 of 24 requests");
  });

  test.each<[string, Partial<RequestFinished>, boolean | undefined]>([
    ["an answer", { status: 200 }, true],
    ["a stream that broke after its 200", { status: 200, errorKind: "truncated" }, false],
    ["an error of ours or of a provider", { status: 503, errorKind: "auth" }, false],
    ["a 429 that a provider gave", { status: 429, errorKind: "rate_limited", attempts: 1 }, false],
    [
      "a 429 without a call: the caller's own limit",
      { status: 429, errorKind: "rate_limited", attempts: 0 },
      undefined,
    ],
    ["the caller's mistake", { status: 400, errorKind: "invalid_request" }, undefined],
    ["a caller who left", { status: 499, errorKind: "cancelled" }, undefined],
    ["a caller who left in mid-stream", { status: 200, errorKind: "cancelled" }, undefined],
  ])("%s counts as it should", (_, row, outcome) => {
    const known = { attempts: 1, errorKind: undefined } as RequestFinished;
    expect(outcomeOf({ ...known, ...row })).toBe(outcome);
  });
});

describe("spend", () => {
  test("of more than three times a mean hour is told once", () => {
    const world = new World();
    world.hours(48, 1);
    world.attempt({ costNanoUsd: 3 * USD });
    expect(world.told()).toEqual([]);
    world.attempt({ costNanoUsd: 0.31 * USD });
    world.attempt({ costNanoUsd: 5 * USD });
    expect(world.told()).toEqual([
      "ALERT warning spend_rate: Money is being spent faster than usual. $3.31 since the hour began, 3.3 times the $1 of a mean hour of the last 7 days (the threshold is 3 times).",
    ]);
    expect(world.tries[0]?.alert.data).toEqual({ hour_usd: "3.31", mean_hour_usd: "1", threshold_factor: 3 });
  });

  test("in the first day, or of less than two dollars in an hour, is no alarm", () => {
    const world = new World();
    world.hours(23, 0.1);
    world.attempt({ costNanoUsd: 50 * USD });
    expect(world.told()).toEqual([]);
    const frugal = new World();
    frugal.hours(100, 0.01);
    frugal.attempt({ costNanoUsd: 1.99 * USD });
    expect(frugal.told()).toEqual([]);
  });

  test("of an office that works by day is no alarm every morning", () => {
    const world = new World();
    for (let day = 0; day < 21; day += 1) {
      world.hours(9, 0);
      world.hours(8, day % 7 < 5 ? 10 : 0);
      world.hours(7, 0);
    }
    expect(world.told()).toEqual([]);
    world.hours(9, 0);
    world.attempt({ costNanoUsd: 31 * USD });
    expect(world.types()).toEqual(["spend_rate"]);
  });

  test("that grows slowly becomes the usual within a week", () => {
    const world = new World();
    world.hours(48, 3);
    world.hours(7 * 24, 8);
    world.attempt({ costNanoUsd: 24 * USD });
    expect(world.told()).toEqual([]);
    world.attempt({ costNanoUsd: 1 });
    expect(world.told()[0]).toContain("3 times the $8 of a mean hour");
  });

  test("after a week without any is told from two dollars on", () => {
    const world = new World();
    world.hours(30, 100);
    world.nowMs += 8 * DAY_MS;
    world.attempt({ costNanoUsd: 2 * USD });
    expect(world.told()[0]).toContain("$2 since the hour began, after a week without any spend.");
  });

  test("of what nobody knows the cost of is not counted, and off is off", () => {
    const world = new World({ spendRateFactor: undefined });
    world.hours(48, 1);
    world.attempt({ costNanoUsd: 500 * USD });
    world.attempt({ costNanoUsd: undefined, priceStatus: "unknown", hasUsage: false, errorKind: "cancelled" });
    expect(world.told()).toEqual([]);
  });
});

describe("a restart", () => {
  test("does not send again what was sent, and knows what is usually spent", () => {
    const before = new World();
    before.hours(48, 1);
    before.budget(4.2);
    before.attempt({ errorKind: "quota" });
    const saved = JSON.parse(JSON.stringify(before.alerts.export()));
    const after = new World({}, undefined);
    after.nowMs = before.nowMs + MINUTE_MS;
    after.alerts.restore(saved);
    after.budget(4.3);
    after.attempt({ errorKind: "quota" });
    expect(after.told()).toEqual([]);
    after.attempt({ costNanoUsd: 4 * USD });
    after.budget(5);
    expect(after.types()).toEqual(["spend_rate", "budget_threshold"]);
  });

  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["another shape", { sent: "all", budgets: [["x"], [1, 2], "y"], spend: { hours: [1] } }],
    ["amounts that are none", { spend: { first: 0, current: 1, hours: Array(169).fill(-1) } }],
    ["hours to come", { spend: { first: 9e9, current: 9e9, hours: Array(169).fill(0) } }],
    ["a list", []],
  ])("over %s starts from nothing", (_, saved) => {
    const world = new World({}, saved);
    world.budget(4);
    world.hours(48, 1);
    world.attempt({ costNanoUsd: 4 * USD });
    expect(world.types()).toEqual(["budget_threshold", "spend_rate"]);
  });

  test("whose clock was set back is not silent until the old time comes again", () => {
    const before = new World();
    before.nowMs += 300 * DAY_MS;
    before.attempt({ errorKind: "quota" });
    const after = new World({}, before.alerts.export());
    after.nowMs += DAY_MS;
    after.attempt({ errorKind: "quota" });
    expect(after.types()).toEqual(["provider_out_of_money"]);
  });

  test("carries a bounded state, however much was told", () => {
    const world = new World({ destinations: [] });
    for (let i = 0; i < 12_000; i += 1) {
      world.budget(4, { name: `user-${i}` });
      world.attempt({ provider: `p-${i}`, errorKind: "quota" });
    }
    expect(JSON.stringify(world.alerts.export()).length).toBeLessThan(500_000);
  });
});

describe("delivery", () => {
  test("is tried again with growing pauses, and then given up in the log", async () => {
    const world = new World();
    world.draw = 0.999;
    world.answer = () => Promise.resolve(UNAVAILABLE);
    world.budget(3);
    await world.advance(2 * HOUR_MS);
    const seconds = world.tries.map(({ atMs }) => Math.round((atMs - MONDAY_MS) / 1000));
    expect(seconds).toEqual([0, 15, 45, 105, 225, 465, 944, 1903]);
    expect(new Set(world.tries.map(({ alert }) => alert.id)).size).toBe(1);
    expect(world.alerts.status()).toEqual([
      { to: "log", sent: 1, failed: 0, queued: 0 },
      { to: "slack", sent: 0, failed: 1, queued: 0, problem: "status 503" },
    ]);
    expect(world.logs.slice(1)).toEqual([
      "Alerts do not reach slack: status 503. They are tried again.",
      'The alert alert_1 ("The budget of key ann is at 50 %") did not reach slack: status 503.',
    ]);
  });

  test("that succeeds in the end is counted as sent, and the trouble is over", async () => {
    const world = new World();
    world.answer = () => Promise.resolve(world.tries.length < 3 ? UNAVAILABLE : ARRIVED);
    world.budget(3);
    await settled();
    expect(world.alerts.status()[1]).toEqual({ to: "slack", sent: 0, failed: 0, queued: 1, problem: "status 503" });
    await world.advance(HOUR_MS);
    expect(world.alerts.status()[1]).toEqual({ to: "slack", sent: 1, failed: 0, queued: 0 });
  });

  test("waits as long as the endpoint asks, up to ten minutes, and never less than a second", async () => {
    const world = new World();
    world.draw = 0;
    const asked = [undefined, 90_000, HOUR_MS];
    world.answer = () => Promise.resolve({ ...UNAVAILABLE, retryAfterMs: asked[world.tries.length - 1] });
    world.budget(3);
    await world.advance(HOUR_MS);
    const seconds = world.tries.slice(0, 4).map(({ atMs }) => (atMs - MONDAY_MS) / 1000);
    expect(seconds).toEqual([0, 1, 91, 691]);
  });

  test("of one that the endpoint will never take is not tried again and holds up no other", async () => {
    const world = new World();
    world.answer = ({ title }) =>
      Promise.resolve(title.includes("ann") ? { kind: "failed", problem: "status 400", isFinal: true } : ARRIVED);
    world.budget(3);
    world.budget(3, { name: "bob" });
    await settled();
    expect(world.alerts.status()[1]).toMatchObject({ sent: 1, failed: 1, queued: 0 });
  });

  test("of one that waits for another try holds up none behind it", async () => {
    const world = new World();
    world.answer = ({ title }) => Promise.resolve(title.includes("ann") ? UNAVAILABLE : ARRIVED);
    world.budget(3);
    world.budget(3, { name: "bob" });
    await settled();
    expect(world.alerts.status()[1]).toMatchObject({ sent: 1, failed: 0, queued: 1 });
  });

  test("to one destination does not wait for another that hangs", async () => {
    const world = new World({ destinations: [SLACK, { ...SLACK, name: "slack-2" }] as AlertSettings["destinations"] });
    world.answer = () => (world.tries.length === 1 ? new Promise(() => {}) : Promise.resolve(ARRIVED));
    world.budget(3);
    await settled();
    expect(world.alerts.status().map(({ sent, queued }) => [sent, queued])).toEqual([
      [1, 0],
      [0, 1],
      [1, 0],
    ]);
  });

  test("of more than a hundred that wait loses the rest, and says so", async () => {
    const world = new World();
    world.answer = () => new Promise(() => {});
    for (let i = 0; i < 103; i += 1) world.budget(3, { name: `key-${i}` });
    expect(world.alerts.status()[1]).toMatchObject({ queued: 100, failed: 3 });
    expect(world.logs.filter((line) => line.includes("100 others wait"))).toHaveLength(3);
  });

  test("goes on when the transport itself throws", async () => {
    const world = new World();
    world.answer = () => Promise.reject(new Error("a bug"));
    expect(() => world.budget(3)).not.toThrow();
    await settled();
    expect(world.alerts.status()[1]).toMatchObject({ queued: 1, problem: "a bug" });
  });

  test("at the end tries what waits once more, at once", async () => {
    const world = new World();
    world.answer = ({ title }) =>
      Promise.resolve(world.tries.length > 2 && title.includes("ann") ? ARRIVED : UNAVAILABLE);
    world.budget(3);
    world.budget(3, { name: "bob" });
    await settled();
    await world.alerts.close();
    expect(world.tries.every(({ atMs }) => atMs === MONDAY_MS)).toBe(true);
    expect(world.alerts.status()[1]).toMatchObject({ sent: 1, failed: 1, queued: 0 });
    expect(world.logs.at(-1)).toContain('("The budget of key bob is at 50 %") did not reach slack: status 503');
  });

  test("at the end does not wait longer than five seconds", async () => {
    const world = new World();
    world.answer = () => new Promise(() => {});
    world.budget(3);
    const closed = world.alerts.close();
    await world.advance(5_000);
    await closed;
    expect(world.alerts.status()[1]).toMatchObject({ failed: 1, queued: 0 });
    expect(world.logs.at(-1)).toContain("did not reach slack: the router stops");
    world.budget(5);
    expect(world.logs.at(-1)).toContain("did not reach slack: the router stops");
  });
});

test("a name cannot call a channel, make a link or a mention in Slack", () => {
  const world = new World();
  world.attempt({ model: "<!channel> @here <https://evil.example|click> & @team", errorKind: "quota" });
  const alert = world.tries[0]?.alert as Alert;
  const { body } = messageFor(SLACK as AlertSettings["destinations"][number], alert, MONDAY_MS);
  const sent = JSON.parse(body);
  expect(body).not.toMatch(/[<>]|@here/);
  expect(sent.text).toContain("&lt;!channel&gt; @\u200Bhere &lt;https://evil.example|click&gt; &amp; @team");
  expect(sent.blocks).toEqual([
    { type: "section", text: { type: "mrkdwn", text: expect.stringContaining("*CRITICAL: acme is"), verbatim: true } },
    {
      type: "context",
      elements: [
        { type: "mrkdwn", text: "provider_out_of_money · 2026-01-05T00:00:00.000Z · alert_1", verbatim: true },
      ],
    },
  ]);
});

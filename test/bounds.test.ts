// Whatever lives as long as the process has a bound: each holder is given one thing too many, and what it has had longest is gone.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test } from "vitest";
import { openaiChatInbound } from "../providers/dialects/openai/inbound.ts";
import { openaiChat } from "../providers/dialects/openai-chat.ts";
import { parseBudget } from "../src/budget-spec.ts";
import { createBudgets } from "../src/budgets.ts";
import type { ChatRequest, Rates } from "../src/chat.ts";
import type { Target } from "../src/dialect.ts";
import { createDownloader } from "../src/download.ts";
import { createFleet } from "../src/fleet.ts";
import { createHealth } from "../src/health.ts";
import { createLearning } from "../src/learning.ts";
import { FairQueue, type Waiter } from "../src/limits/fair-queue.ts";
import { Pool } from "../src/limits/pool.ts";
import { createLimits, type PoolConfig } from "../src/limits.ts";
import { createMemory } from "../src/memory.ts";
import { rateKeys } from "../src/pricing.ts";
import { readNarrowing } from "../src/routing/narrowing.ts";
import { startSimulator } from "../src/simulator/server.ts";
import type { Dictionary } from "../src/store/dictionary.ts";
import { HousekeepingMail } from "../src/store/housekeeping-mail.ts";
import { KeptRates } from "../src/store/kept-rates.ts";
import { createReportReader } from "../src/store/report-reader.ts";
import { createCalibration } from "../src/tokens/calibration.ts";
import { createUpstream } from "../src/upstream.ts";
import { HOLDERS, NOW_MS, newDictionary, nowMs } from "./support/holders.ts";
import { bookedLedger } from "./support/ledger.ts";

test.each(HOLDERS)("%s: of more than %d the oldest is forgotten", (_, max, open) => {
  const full = open();
  for (let at = 0; at < max; at += 1) full.put(`n-${at}`);
  expect(full.has("n-0")).toBe(true);
  const over = open();
  for (let at = 0; at <= max; at += 1) over.put(`n-${at}`);
  expect([over.has("n-0"), over.has(`n-${max}`)]).toEqual([false, true]);
});

test("signatures are bounded in all their characters as well, and one that is remembered again counts once", () => {
  const memory = createMemory(nowMs);
  const value = { thought_signature: "x".repeat(60_000) };
  for (let at = 0; at < 1_000; at += 1) memory.remember("k", "again", value);
  for (let at = 0; at < 500; at += 1) memory.remember("k", `n-${at}`, value);
  expect(memory.recall("k", "n-0")).toEqual(value);
  for (let at = 500; at < 600; at += 1) memory.remember("k", `n-${at}`, value);
  expect(["n-0", "n-599"].map((key) => memory.recall("k", key))).toEqual([undefined, value]);
  memory.remember("k", "x".repeat(64_001), {});
  expect(memory.recall("k", "x".repeat(64_001))).toBeUndefined();
});

test("names of models and fields are short wherever a caller or a provider writes them: much is kept under them", () => {
  const long = `openai/${"x".repeat(250)}`;
  const messages = [{ role: "user", content: "Hi" }];
  expect(openaiChatInbound.parse({ model: long, messages }, () => undefined)).toHaveProperty("kind", "refusal");
  expect(readNarrowing({ model: "m", models: ["m", long], messages }, () => true)).toMatchObject({
    error: { status: 400, param: "models.1" },
  });
  expect(readNarrowing({ model: "m", models: ["m", long.slice(1)], messages }, () => true)).not.toHaveProperty("error");
  const memory = createMemory(nowMs);
  memory.learnLack("p/m", "x".repeat(101));
  expect(memory.lacksOf("p/m")).toEqual([]);
});

test("breakers of the longest names are saved and read back with the others", () => {
  const before = createHealth({ nowMs, draw: () => 0.5 });
  const long = {
    provider: "p".repeat(60),
    name: `${"p".repeat(60)}/${"m".repeat(256)} (flex)`,
    account: "a".repeat(60),
  };
  before.begin(long).end({ kind: "not_found", message: "" });
  const after = createHealth({ nowMs, draw: () => 0.5 });
  expect(after.restore(before.export())).toBeUndefined();
  expect(after.admits(long)).toBe(false);
});

test("deviations of the estimate are those of the last 256 calls", () => {
  const calibration = createCalibration();
  const exactly = (model: string) => calibration.learn({ model, key: "k", rawTokens: 1_000 }, 1_000);
  calibration.learn({ model: "wrong", key: "k", rawTokens: 1_000 }, 2_000);
  for (let at = 0; at < 255; at += 1) exactly(`m-${at}`);
  expect(calibration.meanAbsoluteError()).toBeGreaterThan(0);
  exactly("last");
  expect(calibration.meanAbsoluteError()).toBe(0);
});

test("of saved models and keys no more are read back than are kept", () => {
  const before = createCalibration({ modelsMax: 20_000, keysMax: 20_000 });
  const call = (model: string, key: string) => ({ model, key, rawTokens: 1_000 });
  for (let at = 0; at < 1_100; at += 1) before.learn(call(`m-${at}`, "k"), 2_000);
  for (let at = 0; at < 11_000; at += 1) before.learn(call("m", `k-${at}`), 2_000);
  const after = createCalibration();
  after.restore(before.export());
  expect(after.predict(call("m-0", "k")).mean).toBe(1_000);
  expect(after.predict(call("m-1099", "k")).mean).toBeGreaterThan(1_200);
  const spread = (key: string) => after.predict(call("m", key)).stdDev;
  expect(spread("k-0")).toBe(spread("nobody"));
  expect(spread("k-10999")).not.toBe(spread("nobody"));
});

function targetOf(model: string): Target {
  const provider = { id: "p", name: "p", docs: "", baseUrl: "http://127.0.0.1", baseUrlEnv: [], keyEnv: [] };
  const rest = { enabledBy: "key", dialect: openaiChat(), authorize: () => ({}), key: undefined, models: new Map() };
  return { provider: { ...provider, ...rest } as Target["provider"], model, entry: undefined };
}

function limitsOf(pools: PoolConfig[] = []) {
  const limits = createLimits({ nowMs, schedule: () => () => {}, draw: () => 0, pools });
  const need = { inputTokens: 1, cachedTokens: 0, outputTokens: 1, maxOutputTokens: 1, expectedMs: 1 };
  const ask = ({ key = "k", model = "m", bytes = 1, maxWaitMs = 0 }) => {
    const options = [{ target: targetOf(model), need }];
    const { signal } = new AbortController();
    return limits.acquire({ key, priority: "default", stream: false, bytes, options, maxWaitMs, signal });
  };
  return { limits, ask };
}

describe("limits", () => {
  test("hold 1,024 calls of a key, 2,048 of all and 64 MB of bodies, while they wait", async () => {
    const busy: PoolConfig = { name: "busy", matches: () => true, concurrency: 1 };
    const queuedOf = async (calls: { key: string; bytes?: number }[]) => {
      const { limits, ask } = limitsOf([busy]);
      await ask({});
      for (const call of calls) void ask({ ...call, maxWaitMs: 60_000 });
      return limits.status().queued;
    };
    expect(await queuedOf(Array.from({ length: 1_100 }, () => ({ key: "ann" })))).toBe(1_024);
    expect(await queuedOf(Array.from({ length: 2_200 }, (_, at) => ({ key: `k-${at}` })))).toBe(2_048);
    const large = Array.from({ length: 70 }, (_, at) => ({ key: `k-${at}`, bytes: 1024 ** 2 }));
    expect(await queuedOf(large)).toBe(64);
  });

  test("take 1,024 parked pools of an earlier process, and no more", async () => {
    const { limits, ask } = limitsOf();
    const parked = { blockedUntilMs: NOW_MS + 60_000, quotas: {} };
    limits.restore(Object.fromEntries(Array.from({ length: 1_025 }, (_, at) => [`p/n-${at}`, parked])));
    expect((await ask({ model: "n-1023" })).kind).toBe("refused");
    expect((await ask({ model: "n-1024" })).kind).toBe("granted");
  });

  const FREE = new Pool({ name: "p", allowance: {}, zone: "UTC", draw: () => 0 });
  const waiterOf = (key: string, grant: () => void): Waiter => {
    const amounts = { requests: 1, tokens: 0, input_tokens: 0, output_tokens: 0 };
    const place = { places: [{ pool: FREE, amounts, expectedMs: 1 }], bytes: 1, prefersFresh: false };
    return { key, priority: "default", ...place, expiresAtMs: NOW_MS + 60_000, grant, refuse: () => {} };
  };

  test("a line that nobody waits in any more is forgotten: who comes back has saved nothing up", () => {
    const queue = new FairQueue({ perKeyMax: 9, waitersMax: 9, bytesMax: 9 });
    const granted: string[] = [];
    const wait = (key: string) =>
      queue.add(
        waiterOf(key, () => granted.push(key)),
        NOW_MS,
      );
    wait("ann");
    queue.dispatch(NOW_MS);
    for (let call = 0; call < 3; call += 1) wait("bob");
    queue.correct("bob", "default", 1_000);
    for (let call = 0; call < 3; call += 1) wait("ann");
    queue.dispatch(NOW_MS);
    expect(granted.join(" ")).toBe("ann bob ann bob ann bob ann");
  });

  test("a call that has had its turn is let go", async () => {
    const queue = new FairQueue({ perKeyMax: 9, waitersMax: 9, bytesMax: 9 });
    const wait = () => {
      const waiter = waiterOf("ann", () => {});
      queue.add(waiter, NOW_MS);
      queue.dispatch(NOW_MS);
      return waiter;
    };
    expect(await isLetGo(wait)).toBe(true);
    expect(queue.size).toBe(0);
  });

  test("of a pool's targets those that were named longest ago are forgotten", async () => {
    const { ask, limits } = limitsOf([{ name: "all", matches: () => true }]);
    const bytes = await keptBytes(async () => {
      for (let at = 0; at < 10_000; at += 1) {
        const turn = await ask({ model: longName(at) });
        if (turn.kind === "granted") turn.reservation.settle(undefined, true);
      }
    });
    expect(limits.status().pools).toHaveLength(1);
    expect(bytes).toBeLessThan(20_000_000);
  });
});

/** 10,000 of them take 40 MB. In one piece: what is put together shares its parts. */
function longName(at: number): string {
  return Buffer.from(`${"x".repeat(4_000)}${at}`).toString("latin1");
}

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** What the heap has more of afterwards. */
async function keptBytes(act: () => void | Promise<void>): Promise<number> {
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  await act();
  collectGarbage();
  return process.memoryUsage().heapUsed - before;
}

/** Whether nobody holds what was made. */
async function isLetGo(make: () => object): Promise<boolean> {
  const made = new WeakRef(make());
  // Until the end of the turn it is held by the reference itself.
  await new Promise(setImmediate);
  collectGarbage();
  return made.deref() === undefined;
}

test("names of the targets of conversations are no more than a thousand, however few conversations are kept", async () => {
  const fleet = createFleet({ nowMs, limits: { affinitiesMax: 1 } });
  const bytes = await keptBytes(() => {
    for (let at = 0; at < 10_000; at += 1)
      fleet.rememberAffinity({
        id: "c",
        target: longName(at),
        usage: { inputTokens: 9 },
        cacheTtlMs: undefined,
      });
  });
  expect(fleet.affinity("c")?.target).toHaveLength(4_004);
  expect(bytes).toBeLessThan(20_000_000);
});

test("prices and messages take what is known of them along when they go", async () => {
  const keyOf = rateKeys();
  const price = () => {
    const rates: Rates = { input: 1, output: 2 };
    keyOf(rates);
    return rates;
  };
  const shelf = { saveStatistics: () => {}, loadStatistics: () => undefined };
  const learning = createLearning({ nowMs, shelf, kindOf: () => undefined, log: () => {} });
  const estimate = () => {
    const messages = [{ role: "user", content: "Hi" }];
    const request = { dialect: "openai-chat", body: { model: "m", messages }, stream: false } as unknown as ChatRequest;
    learning.expectedTokens(request, "k");
    return messages;
  };
  expect([await isLetGo(price), await isLetGo(estimate)]).toEqual([true, true]);
  expect([keyOf({ input: 1, output: 2 }).length, learning.inputMargin()]).toEqual([16, 0.25]);
});

test("accounts of keys that are gone are forgotten before there are many, and no money of others with them", () => {
  const gone = Array.from({ length: 25_000 }, (_, at) => ({ key: `job-${at}`, keyId: `key_${at}` }));
  const nothing = { hour: 0, day: 0, week: 0, month: 0, total: 0 };
  const spec = parseBudget("$5/day");
  if (spec === undefined) throw new Error("no budget");
  const budgets = createBudgets({
    ...{ nowMs, settings: [{ scope: "key", name: "*", spec }], log: () => {} },
    balances: [{ key: "default", keyId: "" }, { key: "ann", keyId: "key_ann" }, ...gone].map((payer) => {
      return { ...payer, team: "jobs", organisation: "", provider: "p", ...nothing, day: 7, total: 7 };
    }),
    hasKey: (keyId) => keyId === "key_ann",
  });
  // Were they all kept, the last would be far beyond what status tells.
  const names = budgets.status().map(({ name }) => name);
  expect(names).toHaveLength(1_000);
  expect(names.slice(0, 2)).toEqual(["default", "ann"]);
  expect(names).not.toContain("job-0");
  expect(budgets.spentOf({ key: "default" }).day).toBe(7);
  expect(budgets.spentOf({ key: "ann", keyId: "key_ann" }).total).toBe(7);
  const refused = budgets.reserve({
    ...{ payer: { key: "ann", keyId: "key_ann", team: "jobs" }, provider: "p", likelyNanoUsd: 1 },
    upperNanoUsd: spec.limitNanoUsd,
  });
  expect(refused).toMatchObject({ code: "budget_exceeded", spentNanoUsd: 7 });
});

async function serve(onRequest: (headers: Record<string, unknown>) => void) {
  const server = createServer((request, response) => {
    onRequest(request.headers);
    response.setHeader("keep-alive", "timeout=600").end("{}");
  });
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, connections: () => connections };
}

describe("sockets", () => {
  const { signal } = new AbortController();

  test("to providers are kept for 16 connect clocks; further ones share those of the usual clock", async () => {
    const { url, connections } = await serve(() => {});
    // With room for one connection a call waits until the last one has given it back.
    const upstream = createUpstream({ connectionsPerOrigin: 1 });
    onTestFinished(() => upstream.close());
    const longMs = { firstByteMs: 60_000, idleMs: 60_000, contentIdleMs: 60_000, totalMs: 60_000 };
    for (let at = 0; at < 20; at += 1) {
      const clocks = { ...longMs, connectMs: 10_000 + at };
      const sent = await upstream.send({ url, headers: {}, body: "{}", signal, clocks });
      if (sent.kind === "opened") await sent.text(100);
    }
    expect(connections()).toBe(16);
  });

  test("to the hosts that callers name are not kept, however long a host would have them kept", async () => {
    const told: unknown[] = [];
    const { url, connections } = await serve(({ connection }) => told.push(connection));
    const download = createDownloader(() => true);
    for (let file = 0; file < 3; file += 1) expect(await download(url, signal)).toHaveProperty("base64");
    expect([told, connections()]).toEqual([["close", "close", "close"], 3]);
  });
});

describe("the ledger", () => {
  type Give = (dictionary: Dictionary, name: string) => number;
  const KINDS: ["texts" | "dimensions", Give][] = [
    ["texts", (dictionary, name) => dictionary.text(name)],
    ["dimensions", (dictionary, name) => dictionary.dimension({ key: name })],
  ];
  test.each(KINDS)(
    "remembers the ids of 20,000 %s and of 16 million characters, then looks them up again",
    (kind, give) => {
      const { dictionary, db } = newDictionary();
      const isKeptAmong = (counts: number[], chars: number) => {
        dictionary.forget();
        const id = give(dictionary, "first");
        // Whose row is gone has another id when it is looked up.
        db.exec(`DELETE FROM ${kind} WHERE id = ${id}`);
        let known = 1;
        return counts.map((count) => {
          for (; known < count; known += 1) give(dictionary, `${"x".repeat(chars)}${known}`);
          return give(dictionary, "first") === id;
        });
      };
      expect(isKeptAmong([20_000, 20_001], 0)).toEqual([true, false]);
      expect(isKeptAmong([520, 540], 30_000)).toEqual([true, false]);
    },
  );

  test("takes 10,000 sets of prices for written, then writes them anew", () => {
    const kept = new KeptRates();
    for (let at = 0; at < 9_999; at += 1) kept.isNew(`n-${at}`);
    expect([kept.isNew("n-0"), kept.isNew("n-9999"), kept.isNew("n-0")]).toEqual([false, true, true]);
  });

  test("is asked to clean up by one message at a time", async () => {
    const posted: unknown[] = [];
    const mail = new HousekeepingMail((message) => posted.push(message));
    const asked = [mail.ask(1), mail.ask(2), mail.ask(3)];
    mail.done();
    await Promise.all(asked);
    void mail.ask(4);
    expect(posted).toEqual([1, 4].map((atMs) => ({ kind: "housekeep", nowMs: atMs })));
  });

  test("lets 64 reports wait behind the one that is read", async () => {
    const reader = createReportReader({ dir: bookedLedger().dir });
    onTestFinished(() => reader.close());
    const answers = await Promise.all(Array.from({ length: 70 }, (_, at) => reader.request(`req-${at}`)));
    expect(answers.filter((answer) => answer !== undefined)).toHaveLength(5);
    expect(answers.at(-1)).toMatchObject({ problem: "busy" });
  });
});

test("the simulator shows the last 1,000 requests", async () => {
  const simulator = await startSimulator({ record: true });
  onTestFinished(() => simulator.close());
  for (let at = 0; at <= 1_000; at += 1) await (await fetch(`${simulator.url}/n-${at}`)).text();
  expect(simulator.requests).toHaveLength(1_000);
  expect(simulator.requests[0]?.path).toBe("/n-1");
});

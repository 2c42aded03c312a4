// Providers fail in every way, at every point of the exchange, over real sockets; callers leave when they like. Whatever
// happens, the caller has a whole answer or one typed error, every call is booked and settled, and nothing is left behind.
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeAll, describe, expect, test } from "vitest";
import { call } from "./chaos/caller.ts";
import { type Booked, checkCase } from "./chaos/checks.ts";
import { LAST_CHUNK, standstill, streamed } from "./chaos/fake.ts";
import { type Left, leaveAt, STAGES, type Stage } from "./chaos/leaves.ts";
import { bodyFor, CASES, type Case, patienceFor, type Result, runAll } from "./chaos/rounds.ts";
import { type Health, modelFor, SILENCE_MS, seatsFrom, startWorld, type World } from "./chaos/world.ts";
import type { LedgerRows } from "./support/router.ts";

const RUN_MS = 60_000;

const PATIENCES = ["patient", "impatient"] as const;

describe("a caller has the whole answer or one typed error when", () => {
  const results = new Map<Case, Result>();
  const ledger: LedgerRows = { requests: [], attempts: [] };
  const logs: string[] = [];
  beforeAll(async () => {
    // One after the other: each takes the clock it finds.
    const worlds = [await startWorld("patient", 36), await startWorld("impatient", 36)];
    await Promise.all(
      PATIENCES.map(async (patience, at) => {
        const world = worlds[at] as World;
        const cases = CASES.filter((one) => patienceFor(one) === patience);
        for (const [one, result] of await runAll(world, cases)) results.set(one, result);
        await world.close();
        const { requests, attempts } = world.ledger();
        ledger.requests.push(...requests);
        ledger.attempts.push(...attempts);
        logs.push(...world.logs);
        world.remove();
      }),
    );
  }, RUN_MS);

  test.each(CASES.map((one) => [one.name, one] as const))("%s", (_, one) => {
    const result = results.get(one) as Result;
    checkCase(one, result, bookedFor(ledger, result.model));
  });

  test("and no row is left open, and the router met no bug", () => {
    expect(ledger.requests).toHaveLength(CASES.length);
    expect(ledger.attempts.filter(({ state }) => state !== "settled")).toEqual([]);
    // The operator is told what such providers do to requests; nothing else is worth a line.
    expect(logs.filter((line) => !line.startsWith("ALERT "))).toEqual([]);
  });
});

describe("a caller who leaves is gone at once for everyone", () => {
  let left: Left[] = [];
  let ledger: LedgerRows;
  let health: Health;
  beforeAll(async () => {
    const world = await startWorld("patient", STAGES.length * 3);
    left = await leaveAt(world, STAGES);
    await world.atRest();
    health = await world.health();
    await world.close();
    ledger = world.ledger();
    expect(world.logs).toEqual([]);
    world.remove();
  }, RUN_MS);

  const title = ({ name, stream }: Stage) => `${name} (${stream ? "stream" : "buffered"})`;
  test.each(STAGES.map((stage) => [title(stage), stage] as const))("%s", (_, stage) => {
    const ours = left.filter((one) => one.stage === stage);
    expect(ours.length).toBeGreaterThanOrEqual(2);
    for (const { model, calls, isPrompt, slot } of ours) {
      expect(isPrompt).toBe(true);
      const { request, attempts } = bookedFor(ledger, model);
      expect(attempts.map(({ end_reason }) => end_reason)).toEqual(stage.ends);
      expect(calls).toBe(attempts.length);
      expect(request).toMatchObject({ attempts: calls, error_kind: stage.ends[0] === "complete" ? null : "cancelled" });
      // Who leaves says nothing about the target; only the refusal before it does.
      const hurt = health.breakers.filter(({ name }) => name.startsWith(`s${slot}-`));
      expect(hurt).toHaveLength(stage.ends[0] === "failed" ? 1 : 0);
    }
  });
});

describe("nothing is left behind", () => {
  const round = CASES.filter(isQuick).filter((_, at) => at % 6 === 0);
  /** How many of each kind keep the process busy: sockets, timers, workers, watchers. */
  const handles = () => {
    const names = process.getActiveResourcesInfo().filter((name) => name !== "Immediate");
    return Object.fromEntries(Object.entries(Object.groupBy(names, String)).map(([name, all]) => [name, all?.length]));
  };
  const settled = async (most: Record<string, number | undefined>) => {
    const isSettled = () => Object.entries(handles()).every(([name, count = 0]) => count <= (most[name] ?? 0));
    // Not `waitFor`, which has timers of its own.
    for (let tries = 0; tries < 200 && !isSettled(); tries += 1) await delay(20);
    expect(isSettled(), `${JSON.stringify(handles())} where there were ${JSON.stringify(most)}`).toBe(true);
  };

  test(
    `after ${round.length} failures and more, neither sockets, timers nor memory; after the end, nothing at all`,
    async () => {
      const before = handles();
      const world = await startWorld("patient", STAGES.length * 3);
      const atStart = handles();
      const heapBytes: number[] = [];
      for (let count = 0; count < 4; count += 1) {
        await runAll(world, round);
        await leaveAt(
          world,
          STAGES.filter(({ isBulky }) => !isBulky),
        );
        await world.atRest();
        world.turnThePage();
        // A pool keeps what was open at the same time, of the router and of the fake in this process, and no more.
        expect(world.fake.status()).toMatchObject({ busy: 0 });
        expect(world.fake.status().sockets).toBeLessThanOrEqual(2 * world.slotCount);
        world.fake.dropIdle();
        await settled(atStart);
        collectGarbage();
        heapBytes.push(process.memoryUsage().heapUsed);
      }
      await world.close();
      world.remove();
      await settled(before);
      // The first round fills what is bounded; after it a leak of some kilobytes per request would show.
      const [, second = 0, , last = 0] = heapBytes;
      expect(last - second).toBeLessThan(2 * 8 * 1024 * round.length);
    },
    RUN_MS,
  );
});

test("a caller who reads slowly gets all of it: that the router waits for it is no silence of the provider", async () => {
  const world = await startWorld("impatient", 1);
  // More than what the kernel holds on the way.
  const pieces = { count: 700, words: 5_000 };
  world.fake.script(0, {
    "openai-chat": ({ wire }) => {
      const [first] = wire.pieces as [string];
      const large = Buffer.from(String(wire.content[0]).replace(first, first.repeat(pieces.words)));
      const events = [...wire.preamble, ...Array<Buffer>(pieces.count).fill(large), ...wire.closing];
      return { bytes: [...streamed(events), LAST_CHUNK], last: "done" };
    },
  });
  const calling = call(world.url, bodyFor(modelFor(0, seatsFrom("openai-chat", 1, 0), "slow"), true));
  await calling.has("Grüße");
  calling.pause();
  await standstill(await world.fake.nextCall(0, 0));
  // The clock of the provider's silence would end the call in this time.
  await delay(2.5 * SILENCE_MS.impatient);
  calling.resume();
  const { text, isComplete } = await calling.received;
  const health = await world.health();
  await world.close();
  const { attempts } = world.ledger();
  world.remove();
  expect(text.slice(-300)).toMatch(/data: \[DONE\]\n\n$/);
  expect({ isComplete, words: text.split("Grüße").length - 1 }).toEqual({
    isComplete: true,
    words: pieces.count * pieces.words,
  });
  expect(attempts).toMatchObject([{ end_reason: "complete", error_kind: null }]);
  expect(health.breakers).toEqual([]);
});

/** Ends by no clock and waits for no back-off. */
function isQuick({ fault, scene, owed }: Case): boolean {
  return fault.pace === "fast" && (owed.what !== "fails" || scene.faulty < scene.candidates);
}

/** As `--expose-gc` would, for this file only. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

function bookedFor({ requests, attempts }: LedgerRows, model: string): Booked {
  const [request, ...more] = requests.filter((row) => row.model_requested === model);
  expect(more).toEqual([]);
  return { request: request ?? {}, attempts: attempts.filter((row) => row.request_id === request?.request_id) };
}

// Providers fail in every way, at every point of the exchange, over real sockets; callers leave when they like. Whatever
// happens, the caller has a whole answer or one typed error, every call is booked and settled, and nothing is left behind.
import { beforeAll, describe, expect, test } from "vitest";
import { type Booked, checkCase } from "./chaos/checks.ts";
import { type Left, leaveAtEveryStage, STAGES, type Stage } from "./chaos/leaves.ts";
import { CASES, type Case, patienceFor, type Result, runAll } from "./chaos/rounds.ts";
import { type Health, startWorld, type World } from "./chaos/world.ts";
import type { LedgerRows } from "./support/router.ts";

const RUN_MS = 60_000;

const PATIENCES = ["patient", "impatient"] as const;

describe("a caller has the whole answer or one typed error when", () => {
  const results = new Map<Case, Result>();
  const ledger: LedgerRows = { requests: [], attempts: [] };
  const logs: string[] = [];
  beforeAll(async () => {
    // One after the other: each takes the clock it finds.
    const worlds = [await startWorld("patient"), await startWorld("impatient")];
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
    expect(logs).toEqual([]);
  });
});

describe("a caller who leaves is gone at once for everyone", () => {
  let left: Left[] = [];
  let ledger: LedgerRows;
  let health: Health;
  beforeAll(async () => {
    const world = await startWorld("patient");
    left = await leaveAtEveryStage(world);
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

function bookedFor({ requests, attempts }: LedgerRows, model: string): Booked {
  const [request, ...more] = requests.filter((row) => row.model_requested === model);
  expect(more).toEqual([]);
  return { request: request ?? {}, attempts: attempts.filter((row) => row.request_id === request?.request_id) };
}

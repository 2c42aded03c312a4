// The queue's books: what waits for each pool, kept up instead of counted.
import fc from "fast-check";
import { expect, test } from "vitest";
import { FairQueue, type Place, type Priority, type Waiter, WEIGHTS } from "../src/limits/fair-queue.ts";
import { Pool } from "../src/limits/pool.ts";

const NOW = 1_700_000_000_000;
const POOLS = ["a", "b", "c"].map((name, at) => {
  return new Pool({ name, allowance: { requests: 60 * (at + 1) }, zone: "UTC", draw: () => 0.5 });
});

function waiterOf(key: string, priority: Priority, pools: readonly number[], expiresAtMs = NOW + 60_000): Waiter {
  const amounts = { requests: 1, tokens: 0, input_tokens: 0, output_tokens: 0 };
  const places: Place[] = pools.map((at) => ({ pool: POOLS[at] as Pool, amounts, expectedMs: 1_000 }));
  return { key, priority, prefersFresh: false, bytes: 1, places, expiresAtMs, grant: () => {}, refuse: () => {} };
}

/** As it is defined: everything counted anew. */
function backlogMs(waiting: readonly Waiter[], pool: Pool, key: string, priority: Priority): number {
  const here = waiting.flatMap((waiter) => {
    const place = waiter.places.find((each) => each.pool === pool);
    const ms = place === undefined ? 0 : pool.costMs(place.amounts, place.expectedMs) / waiter.places.length;
    return place === undefined ? [] : [{ waiter, ms }];
  });
  if (here.length === 0) return 0;
  const all = here.reduce((sum, { ms }) => sum + ms, 0);
  const isOwn = ({ waiter }: (typeof here)[number]) => waiter.key === key && waiter.priority === priority;
  const own = here.filter(isOwn).reduce((sum, { ms }) => sum + ms, 0);
  const lines = new Map(here.map(({ waiter }) => [`${waiter.priority} ${waiter.key}`, WEIGHTS[waiter.priority]]));
  const weights = [...lines.values()].reduce((sum, weight) => sum + weight, 0);
  const others = own === 0 ? weights + WEIGHTS[priority] : weights;
  return Math.min(all, ((own + all / here.length) * others) / WEIGHTS[priority]);
}

const KEYS = fc.constantFrom("x", "y", "z");
const PRIORITIES = fc.constantFrom<Priority>("interactive", "default", "batch");

test("what waits for a pool is what was added and has not left", () => {
  const step = fc.record({
    key: KEYS,
    priority: PRIORITIES,
    // A pool may be meant by several of a request's candidates.
    pools: fc.array(fc.nat({ max: POOLS.length - 1 }), { minLength: 1, maxLength: 4 }),
    leaves: fc.option(fc.nat()),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), KEYS, PRIORITIES, (steps, key, priority) => {
      const queue = new FairQueue({ perKeyMax: 100, waitersMax: 100, bytesMax: 1_000 });
      const waiting: Waiter[] = [];
      for (const { key: whose, priority: of, pools, leaves } of steps) {
        const waiter = waiterOf(whose, of, pools);
        queue.add(waiter, NOW);
        waiting.push(waiter);
        if (leaves !== null) for (const left of waiting.splice(leaves % waiting.length, 1)) queue.remove(left);
      }
      for (const pool of POOLS) {
        const isWaitedFor = waiting.some(({ places }) => places.some((place) => place.pool === pool));
        expect(queue.isWaitedFor(pool)).toBe(isWaitedFor);
        expect(queue.backlogMs(pool, key, priority)).toBeCloseTo(backlogMs(waiting, pool, key, priority), 6);
      }
      for (const left of waiting) queue.remove(left);
      expect(POOLS.map((pool) => [queue.isWaitedFor(pool), queue.backlogMs(pool, key, priority)])).toEqual(
        POOLS.map(() => [false, 0]),
      );
    }),
  );
});

test("whoever is too late is refused, at the time that was told, whatever came and left before", () => {
  const queue = new FairQueue({ perKeyMax: 100, waitersMax: 100, bytesMax: 1_000 });
  for (const pool of POOLS) pool.park(NOW + 3_600_000);
  const refused: string[] = [];
  const waiters = [30, 10, 20].map((seconds) => {
    const waiter = waiterOf(`key-${seconds}`, "default", [0], NOW + 1_000 * seconds);
    return { ...waiter, refuse: () => refused.push(waiter.key) };
  });
  for (const waiter of waiters) queue.add(waiter, NOW);
  expect(queue.dispatch(NOW)).toBe(10_000);
  queue.remove(waiters[1] as Waiter);
  // It may look again for nothing once; it never looks too late.
  expect(queue.dispatch(NOW + 10_000)).toBe(10_000);
  expect(queue.dispatch(NOW + 20_000)).toBe(10_000);
  expect(refused).toEqual(["key-20"]);
  queue.dispatch(NOW + 30_000);
  expect([refused, queue.size]).toEqual([["key-20", "key-30"], 0]);
});

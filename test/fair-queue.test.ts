// The queue's books: what waits for each pool, kept up instead of counted.
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
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

describe("doors, which may close while somebody waits", () => {
  beforeEach(() => {
    for (const pool of POOLS) pool.reset();
  });

  function doorOf(id: string) {
    const door = {
      id,
      /** How many more it lets in. */
      room: 0,
      mayBeTried: false,
      isOpen: () => door.room > 0,
      mayTry: () => door.mayBeTried,
      enter: () => {
        door.room -= 1;
        door.mayBeTried = false;
      },
    };
    return door;
  }

  function setUp() {
    const queue = new FairQueue({ perKeyMax: 100, waitersMax: 100, bytesMax: 1_000 });
    const doors = POOLS.map(({ name }) => doorOf(name));
    const turns: string[] = [];
    const add = (key: string, ...pools: number[]) => {
      const waiter = waiterOf(key, "default", pools);
      const places = waiter.places.map((place, at) => ({ ...place, door: doors[pools[at] as number] }));
      const grant = (at: number) => {
        places[at]?.door?.enter();
        turns.push(`${key} ${places[at]?.pool.name}`);
      };
      queue.add({ ...waiter, places, grant }, NOW);
    };
    return { queue, doors, turns, add };
  }

  test("nobody gets a place behind a closed one, and it keeps nobody from the others", () => {
    const { queue, doors, turns, add } = setUp();
    const [first, second] = doors as [ReturnType<typeof doorOf>, ReturnType<typeof doorOf>];
    add("x", 0);
    add("y", 0, 1);
    // There is room: what is waited for is the door, which opens without a word.
    expect(queue.dispatch(NOW)).toBe(100);
    second.room = 1;
    queue.dispatch(NOW);
    expect(turns).toEqual(["y b"]);
    first.room = 1;
    queue.dispatch(NOW);
    expect([turns, queue.size]).toEqual([["y b", "x a"], 0]);
  });

  test("one that lets in one lets in one, however many wait and whoever asks in the same round", () => {
    const { queue, doors, turns, add } = setUp();
    for (const key of ["x", "x", "y", "z"]) add(key, 0);
    Object.assign(doors[0] as object, { room: 2 });
    queue.dispatch(NOW);
    expect(turns).toHaveLength(2);
    expect(queue.size).toBe(2);
  });

  test("to whom no other is open may try one that may be tried, once; to whom another is, may not", () => {
    const { queue, doors, turns, add } = setUp();
    const [first, second] = doors as [ReturnType<typeof doorOf>, ReturnType<typeof doorOf>];
    first.mayBeTried = true;
    second.room = 1;
    POOLS[1]?.park(NOW + 60_000);
    add("y", 0, 1);
    queue.dispatch(NOW);
    expect(turns).toEqual([]);
    add("x", 0);
    add("z", 0);
    queue.dispatch(NOW);
    expect(turns).toEqual(["x a"]);
  });

  test("what waits behind a closed one is no backlog of its pool, and still waits for it", () => {
    const { queue, doors, add } = setUp();
    const [a, b] = POOLS as [Pool, Pool];
    Object.assign(doors[1] as object, { room: 1 });
    add("x", 0, 1);
    expect([queue.isWaitedFor(a), queue.backlogMs(a, "y", "default")]).toEqual([true, 0]);
    expect(queue.backlogMs(b, "y", "default")).toBeGreaterThan(0);
  });
});

// When a target or a whole provider is passed over, for how long, and how it comes back. Time and chance are virtual.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ErrorKind, ProviderError } from "../src/chat.ts";
import { createHealth, type Health, type HealthCall, type HealthTarget } from "../src/health.ts";

const A: HealthTarget = { provider: "p", name: "p/a" };
const B: HealthTarget = { provider: "p", name: "p/b" };
const ELSEWHERE: HealthTarget = { provider: "q", name: "q/a" };

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function failed(kind: ErrorKind, more: Partial<ProviderError> = {}): ProviderError {
  return { kind, message: "what the provider said", ...more };
}

/** `draw` 0.5 is the middle of the jitter: times are then as they stand in the table. */
class World {
  nowMs = 1_700_000_000_000;
  draw = 0.5;
  /** How long each call lasts. */
  callMs = 0;
  readonly health: Health = createHealth({ nowMs: () => this.nowMs, draw: () => this.draw });

  /** One after the other. */
  calls(target: HealthTarget, ...outcomes: (ErrorKind | ProviderError | "ok")[]): void {
    for (const outcome of outcomes) {
      const error = typeof outcome === "string" ? (outcome === "ok" ? undefined : failed(outcome)) : outcome;
      const { end } = this.health.begin(target);
      this.nowMs += this.callMs;
      end(error);
    }
  }

  openMs(target: HealthTarget): number {
    return Math.max(0, this.health.openUntilMs(target) - this.nowMs);
  }

  stateOf(name: string): string {
    return this.health.status().find((breaker) => breaker.name === name)?.state ?? "closed";
  }

  /** To where the first call may be tried. */
  waitUntilHalfOpen(target: HealthTarget): void {
    this.nowMs += this.openMs(target);
  }
}

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value);
}

describe("with several keys", () => {
  const ONE: HealthTarget = { ...A, account: "pool#1" };
  const TWO: HealthTarget = { ...A, account: "pool#2" };

  test.each<[string, ProviderError, string, openMs: number]>([
    ["a bad key", failed("auth"), "pool#1", 10 * MINUTE_MS],
    ["an empty account", failed("quota"), "pool#1", 5 * MINUTE_MS],
    ["a key that may not use the model", failed("auth", { status: 403 }), "p/a (pool#1)", 10 * MINUTE_MS],
  ])("%s parks that key alone", (_, error, name, openMs) => {
    const world = new World();
    world.calls(ONE, error);
    expect(world.health.status()).toMatchObject([{ scope: "account", name, state: "open", reason: error.kind }]);
    expect([ONE, TWO, B].map((target) => world.health.admits(target))).toEqual([false, true, true]);
    expect(world.openMs(ONE)).toBe(openMs);
    // What it may not use is one model; what is bad or empty is all of the key.
    expect(world.health.admits({ ...B, account: "pool#1" })).toBe(name.startsWith("p/a"));
    const after = new World();
    after.nowMs = world.nowMs;
    expect(after.health.restore(world.health.export())).toBeUndefined();
    expect([ONE, TWO].map((target) => after.health.admits(target))).toEqual([false, true]);
    world.waitUntilHalfOpen(ONE);
    world.calls(ONE, "ok");
    expect(world.health.admits(ONE)).toBe(true);
  });

  test("what no key can help is the target's or the provider's, as with one", () => {
    const world = new World();
    world.calls(ONE, "overloaded", "overloaded");
    world.calls(TWO, "overloaded");
    expect(world.health.status()).toMatchObject([{ scope: "target", name: "p/a", state: "open" }]);
    expect([ONE, TWO].map((target) => world.health.admits(target))).toEqual([false, false]);
    const other = new World();
    other.calls(ONE, "network");
    other.calls(TWO, "network");
    expect(other.health.status()).toMatchObject([{ scope: "provider", name: "p", state: "open" }]);
  });
});

describe("whose failure it is", () => {
  const ROWS: [kind: ErrorKind, inARow: number, scope: "target" | "provider", openMs: number][] = [
    ["server", 5, "target", 5 * SECOND_MS],
    ["timeout", 5, "target", 5 * SECOND_MS],
    ["truncated", 5, "target", 5 * SECOND_MS],
    ["malformed", 5, "target", 5 * SECOND_MS],
    ["overloaded", 3, "target", 5 * SECOND_MS],
    ["not_found", 1, "target", 10 * MINUTE_MS],
    ["network", 2, "provider", 5 * SECOND_MS],
    ["auth", 1, "provider", 10 * MINUTE_MS],
    ["quota", 1, "provider", 5 * MINUTE_MS],
  ];

  test.each(ROWS)("%s: after %i in a row the %s is passed over for %i ms", (kind, inARow, scope, openMs) => {
    const world = new World();
    world.calls(A, ...times(inARow - 1, kind));
    expect(world.health.admits(A)).toBe(true);
    expect(world.openMs(A)).toBe(0);
    world.calls(A, kind);
    expect(world.health.admits(A)).toBe(false);
    expect(world.openMs(A)).toBe(openMs);
    expect(world.health.admits(B)).toBe(scope === "target");
    expect(world.health.admits(ELSEWHERE)).toBe(true);
    const name = scope === "target" ? A.name : A.provider;
    expect(world.health.status()).toMatchObject([
      {
        name,
        scope,
        state: "open",
        reason: kind,
        openUntilMs: world.nowMs + openMs,
        consecutiveFailures: expect.any(Number),
      },
    ]);
  });

  const SUBKINDS: [error: ProviderError, inARow: number, scope: "target" | "provider", openMs: number][] = [
    [failed("auth", { status: 403 }), 1, "target", 10 * MINUTE_MS],
    [failed("auth", { status: 403, code: "upstream_auth_error" }), 1, "provider", 10 * MINUTE_MS],
    [failed("auth", { status: 401 }), 1, "provider", 10 * MINUTE_MS],
    [failed("quota", { subkind: "no_allowance" }), 1, "target", HOUR_MS],
    [failed("network", { subkind: "connect" }), 2, "provider", 5 * SECOND_MS],
    [failed("network", { subkind: "certificate" }), 1, "provider", MINUTE_MS],
    [failed("network", { subkind: "broken" }), 5, "target", 5 * SECOND_MS],
    [failed("timeout", { subkind: "connect" }), 2, "provider", 5 * SECOND_MS],
    [failed("timeout", { status: 408 }), 5, "target", 5 * SECOND_MS],
    [failed("rate_limited", { subkind: "no_spare_capacity" }), 1, "target", 30 * SECOND_MS],
  ];
  test.each(SUBKINDS)("%o: after %i in a row the %s is passed over for %i ms", (error, inARow, scope, openMs) => {
    const world = new World();
    world.calls(A, ...times(inARow - 1, error));
    expect(world.openMs(A)).toBe(0);
    world.calls(A, error);
    expect(world.openMs(A)).toBe(openMs);
    expect(world.health.admits(B)).toBe(scope === "target");
  });

  test.each([
    failed("server", { status: 500, subkind: "repeated" }),
    failed("quota", { status: 402, retryAfterMs: 5_000 }),
    failed("rate_limited", { subkind: "slow_down" }),
    failed("rate_limited", { subkind: "daily_quota" }),
  ])("%o is no fault of the target, however often it happens", (error) => {
    const world = new World();
    world.calls(A, ...times(50, error));
    expect(world.health.status()).toEqual([]);
  });

  test("an empty answer is half a failure: ten in a row, or what real failures are there to half as many", () => {
    const empty = failed("malformed", { subkind: "empty" });
    const world = new World();
    world.calls(A, ...times(9, empty));
    expect(world.health.admits(A)).toBe(true);
    world.calls(A, empty);
    expect(world.health.admits(A)).toBe(false);
    const mixed = new World();
    mixed.calls(A, ...times(2, empty), ...times(3, "server" as const));
    expect(mixed.health.admits(A)).toBe(true);
    mixed.calls(A, "server");
    expect(mixed.health.admits(A)).toBe(false);
  });

  test("money that is missing parks for five minutes, then for twice as long each time, up to an hour", () => {
    const world = new World();
    const parked = [1, 2, 3, 4, 5, 6].map(() => {
      world.calls(A, failed("quota", { status: 402 }));
      const ms = world.openMs(A);
      world.waitUntilHalfOpen(A);
      return ms / MINUTE_MS;
    });
    expect(parked).toEqual([5, 10, 20, 40, 60, 60]);
  });

  const NOBODYS = [
    ...(["rate_limited", "invalid_request", "context_length"] as const),
    ...(["unsupported", "content_filter", "cancelled"] as const),
  ];

  test.each(NOBODYS)("%s is nobody's, however often it happens", (kind) => {
    const world = new World();
    world.calls(A, ...times(50, kind));
    expect(world.health.admits(A)).toBe(true);
    expect(world.health.status()).toEqual([]);
  });

  test.each(NOBODYS)("%s between failures neither adds to them nor breaks their row", (kind) => {
    const world = new World();
    world.calls(A, ...times(4, "server" as const), kind, kind);
    expect(world.health.admits(A)).toBe(true);
    world.calls(A, "server");
    expect(world.health.admits(A)).toBe(false);
  });

  test("a connection that broke after the provider had answered counts against the model, not the endpoint", () => {
    const world = new World();
    const broken = failed("network", { status: 200 });
    world.calls(A, ...times(4, broken));
    expect(world.health.admits(A)).toBe(true);
    world.calls(A, broken);
    expect(world.health.admits(A)).toBe(false);
    expect(world.health.admits(B)).toBe(true);
  });

  test("connections refused for different models of an endpoint count together", () => {
    const world = new World();
    world.calls(A, "network");
    world.calls(B, "network");
    expect([A, B, ELSEWHERE].map((target) => world.health.admits(target))).toEqual([false, false, true]);
  });

  test("a target is admitted only when its provider is too, and waits for whichever is open longer", () => {
    const world = new World();
    world.calls(A, "not_found");
    world.calls(B, "network", "network");
    expect(world.openMs(A)).toBe(10 * MINUTE_MS);
    expect(world.openMs(B)).toBe(5 * SECOND_MS);
    world.waitUntilHalfOpen(B);
    expect(world.health.admits(B)).toBe(true);
    expect(world.health.admits(A)).toBe(false);
  });
});

describe("opening", () => {
  test("a success breaks the row of failures", () => {
    const world = new World();
    for (let round = 0; round < 2; round += 1)
      world.calls(A, "ok", "ok", "ok", "ok", "ok", ...times(4, "server" as const));
    expect(world.health.admits(A)).toBe(true);
    world.calls(A, "server");
    expect(world.health.admits(A)).toBe(false);
  });

  test("more than half of ten recent calls failing opens it, without five in a row", () => {
    const world = new World();
    world.calls(A, "ok", ...times(4, "server" as const), "ok", ...times(3, "server" as const));
    expect(world.health.admits(A)).toBe(true);
    world.calls(A, "server");
    expect(world.health.admits(A)).toBe(false);
    expect(world.health.status()[0]).toMatchObject({ failureRate: 0.8, consecutiveFailures: 4 });
  });

  test("exactly half failing does not", () => {
    const world = new World();
    for (let round = 0; round < 100; round += 1) world.calls(A, "ok", "server");
    expect(world.health.admits(A)).toBe(true);
  });

  test("calls count for half after twenty seconds, so that rare ones are never ten", () => {
    const world = new World();
    for (let round = 0; round < 100; round += 1) {
      for (const outcome of ["server", "server", "server", "ok"] as const) {
        world.calls(A, outcome);
        world.nowMs += 20 * SECOND_MS;
      }
    }
    expect(world.health.admits(A)).toBe(true);
  });

  test("what began before it opened says nothing about it afterwards", () => {
    const world = new World();
    const ends = Array.from({ length: 40 }, () => world.health.begin(A).end);
    for (const end of ends.slice(0, 20)) end(failed("server"));
    expect(world.openMs(A)).toBe(5 * SECOND_MS);
    world.waitUntilHalfOpen(A);
    for (const end of ends.slice(20, 30)) end(undefined);
    expect(world.stateOf(A.name)).toBe("half_open");
    for (const end of ends.slice(30)) end(failed("server"));
    expect(world.stateOf(A.name)).toBe("half_open");
    expect(world.health.admits(A)).toBe(true);
  });

  test("a call made in spite of it, since nothing else was left, opens it bit by bit when it is answered", () => {
    const world = new World();
    world.calls(A, ...times(5, "server" as const));
    expect(world.health.admits(A)).toBe(false);
    world.calls(A, "ok");
    expect(world.stateOf(A.name)).toBe("half_open");
    expect(world.health.admits(A)).toBe(true);
  });

  test("a call made in spite of it that fails does not keep it open for longer", () => {
    const world = new World();
    world.calls(A, ...times(5, "server" as const));
    const openMs = world.openMs(A);
    world.calls(A, "server");
    expect(world.openMs(A)).toBe(openMs);
  });

  test("a call has one outcome: telling a second is a bug", () => {
    const { end } = new World().health.begin(A);
    end(undefined);
    expect(() => end(undefined)).toThrow(/one outcome/);
  });
});

describe("for how long", () => {
  test.each([
    ["a minute where a probe takes a second", 1_000, [5, 10, 20, 40, 60, 60, 60]],
    ["a quarter of that where it fails at once", 999, [5, 10, 15, 15, 15, 15, 15]],
  ])("five seconds, doubled with each failed probe, and never above %s", (_, callMs, seconds) => {
    const world = new World();
    world.callMs = callMs;
    world.calls(A, ...times(5, "server" as const));
    const openMs = [world.openMs(A)];
    for (let probe = 0; probe < 6; probe += 1) {
      world.waitUntilHalfOpen(A);
      world.calls(A, "server");
      openMs.push(world.openMs(A));
    }
    expect(openMs).toEqual(seconds.map((each) => each * SECOND_MS));
  });

  test("a fifth more or less, so that routers do not come back together", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (draw) => {
        const world = new World();
        world.draw = draw;
        world.calls(A, ...times(5, "server" as const));
        expect(world.openMs(A)).toBeCloseTo(5_000 * (0.8 + 0.4 * draw), 0);
      }),
    );
  });

  test.each([
    ["longer than ours is believed", 120 * SECOND_MS, 120 * SECOND_MS],
    ["above five minutes is cut to that", 20 * MINUTE_MS, 5 * MINUTE_MS],
    ["shorter than ours changes nothing", 1 * SECOND_MS, 5 * SECOND_MS],
  ])("a Retry-After %s", (_, retryAfterMs, openMs) => {
    const world = new World();
    world.calls(A, ...times(3, failed("overloaded", { status: 503, retryAfterMs })));
    expect(world.openMs(A)).toBe(openMs);
  });

  test.each([
    [0, 20],
    [5, 10],
    [10, 5],
    [600, 5],
  ])("after %i minutes closed it opens for %i seconds: each five minutes forgive one opening", (minutes, seconds) => {
    const world = new World();
    world.callMs = SECOND_MS;
    world.calls(A, ...times(5, "server" as const));
    world.waitUntilHalfOpen(A);
    world.calls(A, "server");
    world.waitUntilHalfOpen(A);
    world.callMs = 0;
    world.calls(A, ...times(5, "ok" as const));
    world.nowMs += minutes * MINUTE_MS;
    world.callMs = SECOND_MS;
    world.calls(A, ...times(5, "server" as const));
    expect(world.openMs(A)).toBe(seconds * SECOND_MS);
  });

  test("an exhausted quota: five minutes, doubled up to an hour while it keeps happening", () => {
    const world = new World();
    const parkedMinutes = [1, 2, 3, 4, 5, 6].map(() => {
      world.calls(A, "quota");
      const ms = world.openMs(A);
      world.waitUntilHalfOpen(A);
      return ms / MINUTE_MS;
    });
    expect(parkedMinutes).toEqual([5, 10, 20, 40, 60, 60]);
  });

  test("calls that were under way together when money ran out are one refusal: five minutes", () => {
    const world = new World();
    const ends = times(8, A).map((target) => world.health.begin(target).end);
    for (const end of ends) end(failed("quota"));
    expect(world.openMs(A)).toBe(5 * MINUTE_MS);
  });

  test("an endpoint that was unreachable does not make an exhausted quota longer", () => {
    const world = new World();
    world.calls(A, "network", "network");
    world.waitUntilHalfOpen(A);
    world.calls(A, "quota");
    expect(world.openMs(A)).toBe(5 * MINUTE_MS);
  });

  test("a refused key stays the reason while calls tried in spite of it fail otherwise", () => {
    const world = new World();
    world.calls(A, "auth", "network", "network");
    expect(world.health.status()).toMatchObject([{ reason: "auth", openUntilMs: world.nowMs + 10 * MINUTE_MS }]);
  });

  test.each(["auth", "not_found"] as const)("%s: ten minutes, each time", (kind) => {
    const world = new World();
    for (let round = 0; round < 4; round += 1) {
      world.calls(A, kind);
      expect(world.openMs(A)).toBe(10 * MINUTE_MS);
      world.waitUntilHalfOpen(A);
    }
  });
});

describe("coming back", () => {
  function halfOpen(): World {
    const world = new World();
    world.calls(A, ...times(5, "server" as const));
    world.waitUntilHalfOpen(A);
    return world;
  }

  /** How many calls it takes at once, by beginning them; all are then given up. */
  function places({ health }: World): number {
    const ends: ((error: ProviderError | undefined) => void)[] = [];
    while (health.admits(A) && ends.length < 100) ends.push(health.begin(A).end);
    for (const end of ends) end(failed("cancelled"));
    return ends.length;
  }

  test("one call at a time, twice as many after each success up to sixteen, then any number", () => {
    const world = halfOpen();
    const seen = [places(world)];
    for (let success = 0; success < 5; success += 1) {
      expect(world.stateOf(A.name)).toBe("half_open");
      world.calls(A, "ok");
      seen.push(places(world));
    }
    expect(seen).toEqual([1, 2, 4, 8, 16, 100]);
    expect(world.health.status()).toEqual([]);
  });

  test("an answer that has begun lets more in, without waiting for its end; only one that has ended closes it", () => {
    const world = halfOpen();
    const seen: number[] = [];
    const calls: HealthCall[] = [];
    for (let call = 0; call < 5; call += 1) {
      const begun = world.health.begin(A);
      begun.answers();
      begun.answers();
      calls.push(begun);
      seen.push(calls.length + places(world));
    }
    // Those that answer are among those that may run at once.
    expect(seen).toEqual([2, 4, 8, 16, 16]);
    expect(world.stateOf(A.name)).toBe("half_open");
    calls[0]?.end(undefined);
    expect(world.stateOf(A.name)).toBe("closed");
  });

  test("a call counts once, whether its answer was seen to begin or not", () => {
    const world = halfOpen();
    const call = world.health.begin(A);
    call.answers();
    call.end(undefined);
    expect(places(world)).toBe(2);
    const broken = world.health.begin(A);
    broken.answers();
    expect(places(world)).toBe(3);
    broken.end(failed("truncated"));
    expect(world.stateOf(A.name)).toBe("open");
  });

  test("not a millisecond early", () => {
    const world = new World();
    world.calls(A, ...times(5, "server" as const));
    world.nowMs += world.openMs(A) - 1;
    expect(world.health.admits(A)).toBe(false);
    world.nowMs += 1;
    expect(world.health.admits(A)).toBe(true);
  });

  test("one failure opens it again for twice as long, however far it had come", () => {
    for (const successes of [0, 1, 4]) {
      const world = halfOpen();
      world.calls(A, ...times(successes, "ok" as const), "timeout");
      expect(world.health.status()).toMatchObject([{ state: "open", reason: "timeout" }]);
      expect(world.openMs(A)).toBe(10 * SECOND_MS);
      world.waitUntilHalfOpen(A);
      expect(places(world)).toBe(1);
    }
  });

  test.each(["cancelled", "invalid_request"] as const)("%s frees the place and proves nothing", (kind) => {
    const world = halfOpen();
    const { end } = world.health.begin(A);
    expect(world.health.admits(A)).toBe(false);
    end(failed(kind));
    expect(places(world)).toBe(1);
    expect(world.stateOf(A.name)).toBe("half_open");
  });

  test("old failures do not open it again at the first new one", () => {
    const world = halfOpen();
    world.calls(A, ...times(5, "ok" as const), ...times(4, "server" as const));
    expect(world.health.admits(A)).toBe(true);
  });

  test("a provider comes back one call at a time, whichever of its models is called", () => {
    const world = new World();
    world.calls(A, "network", "network");
    world.waitUntilHalfOpen(A);
    const { end } = world.health.begin(A);
    expect(world.health.admits(B)).toBe(false);
    end(undefined);
    expect(world.health.admits(B)).toBe(true);
  });
});

test("a target that has failed lately is listed although it is closed, and one that is well is not", () => {
  const world = new World();
  world.calls(A, "server", "server");
  world.calls(B, "ok");
  expect(world.health.status()).toEqual([
    {
      name: "p/a",
      scope: "target",
      state: "closed",
      openUntilMs: 0,
      reason: undefined,
      failureRate: 1,
      consecutiveFailures: 2,
    },
  ]);
});

test("it remembers 512 targets and 128 providers; what was called longest ago makes room", () => {
  const world = new World();
  for (let at = 0; at < 600; at += 1) world.calls({ provider: "p", name: `p/${at}` }, "not_found");
  expect(world.health.status()).toHaveLength(512);
  expect(world.health.admits({ provider: "p", name: "p/0" })).toBe(true);
  expect(world.health.admits({ provider: "p", name: "p/599" })).toBe(false);
  for (let at = 0; at < 200; at += 1) world.calls({ provider: `p${at}`, name: "one" }, "auth");
  expect(world.health.status().filter(({ scope }) => scope === "provider")).toHaveLength(128);
});

describe("over a restart", () => {
  test("open breakers stay open until the same moment, and go on from as many openings", () => {
    const before = new World();
    before.calls(A, "not_found");
    before.calls(B, ...times(5, "server" as const));
    before.calls(ELSEWHERE, "quota");
    const after = new World();
    expect(after.health.restore(JSON.parse(JSON.stringify(before.health.export())))).toBeUndefined();
    for (const target of [A, B, ELSEWHERE]) {
      expect(after.health.admits(target)).toBe(false);
      expect(after.health.openUntilMs(target)).toBe(before.health.openUntilMs(target));
    }
    expect(
      after.health
        .status()
        .map(({ reason }) => reason)
        .sort(),
    ).toEqual(["not_found", "quota", "server"]);
    after.waitUntilHalfOpen(B);
    after.calls(B, "server");
    expect(after.openMs(B)).toBe(10 * SECOND_MS);
  });

  test("it is read again however often a breaker had opened", () => {
    const before = new World();
    before.calls(A, ...times(500, "server" as const));
    expect(new World().health.restore(before.health.export())).toBeUndefined();
  });

  test("what is closed, half open or over by then is not kept", () => {
    const before = new World();
    before.calls(A, ...times(5, "server" as const));
    before.calls(B, "server");
    const saved = before.health.export();
    const after = new World();
    after.nowMs += 5 * SECOND_MS;
    after.health.restore(saved);
    expect(after.health.status()).toEqual([]);
    before.waitUntilHalfOpen(A);
    expect(before.health.export()).toMatchObject({ breakers: [] });
  });

  test("nothing saved keeps a target away for more than an hour", () => {
    const world = new World();
    const breaker = { scope: "target", name: A.name, openUntilMs: world.nowMs + 1e9, openings: 1, reason: "server" };
    world.health.restore({ version: 1, breakers: [breaker] });
    expect(world.openMs(A)).toBe(HOUR_MS);
  });

  test("anything else is refused with a reason, and changes nothing", () => {
    fc.assert(
      fc.property(fc.anything(), (json) => {
        const world = new World();
        expect(world.health.restore(json)).toMatch(/version 1/);
        expect(world.health.status()).toEqual([]);
      }),
    );
    const world = new World();
    const breaker = { scope: "target", name: A.name, openUntilMs: "soon", openings: 1, reason: "server" };
    expect(world.health.restore({ version: 1, breakers: [breaker] })).toMatch(/openUntilMs/);
    expect(world.health.admits(A)).toBe(true);
  });
});

type Step =
  | { do: "call"; target: HealthTarget }
  | { do: "end"; which: number; outcome: ErrorKind | "ok" }
  | { do: "wait"; ms: number };

/** What half-open places are, told from outside: counted anew whenever a breaker is seen to become half open. */
class Places {
  state = "closed";
  allowed = 1;
  readonly running = new Set<number>();

  see(state: string): void {
    if (state !== this.state) {
      this.running.clear();
      this.allowed = 1;
    }
    this.state = state;
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("call" as const), target: fc.constantFrom(A, B, ELSEWHERE) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("end" as const),
        which: fc.nat(40),
        outcome: fc.constantFrom("ok", "ok", "ok", "server", "overloaded", "network", "invalid_request", "cancelled"),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(30_000) }) },
  ),
  { maxLength: 300, size: "max" },
) as fc.Arbitrary<Step[]>;

test("half-open places are never exceeded, and whoever is closed on both levels is admitted", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(steps, (run) => checkRun(run, seen)),
    { numRuns: 300, seed: 7 },
  );
  // Otherwise the property would hold for want of anything to look at.
  expect([...seen].sort()).toEqual(["closed", "half_open", "open"]);
});

function checkRun(run: Step[], seen: Set<string>): void {
  const world = new World();
  const places = new Map(["p", "q", "p/a", "p/b", "q/a"].map((name) => [name, new Places()]));
  const of = ({ provider, name }: HealthTarget) => [places.get(provider) as Places, places.get(name) as Places];
  const calls: { id: number; target: HealthTarget; end: (error: ProviderError | undefined) => void }[] = [];
  for (const [id, step] of run.entries()) {
    if (step.do === "wait") world.nowMs += step.ms;
    else if (step.do === "call" && world.health.admits(step.target)) {
      calls.push({ id, target: step.target, end: world.health.begin(step.target).end });
      for (const place of of(step.target)) place.running.add(id);
    } else if (step.do === "end" && calls.length > 0) {
      const [call] = calls.splice(step.which % calls.length, 1);
      if (call === undefined) continue;
      call.end(step.outcome === "ok" ? undefined : failed(step.outcome));
      for (const place of of(call.target)) {
        const counts = place.running.delete(call.id) && step.outcome === "ok" && place.state === "half_open";
        if (counts) place.allowed *= 2;
      }
    }
    for (const [name, place] of places) place.see(world.stateOf(name));
    for (const place of places.values()) {
      seen.add(place.state);
      if (place.state === "half_open") expect(place.running.size).toBeLessThanOrEqual(Math.min(16, place.allowed));
    }
    for (const target of [A, B, ELSEWHERE]) {
      const isFree = ({ state, running, allowed }: Places) =>
        state === "closed" || (state === "half_open" && running.size < allowed);
      expect(world.health.admits(target)).toBe(of(target).every(isFree));
    }
  }
}

describe("when nobody else could answer", () => {
  test("one call a second finds out whether an open one has recovered", () => {
    const world = new World();
    expect(world.health.mayTry(A)).toBe(true);
    world.calls(A, ...times(5, "server" as const));
    expect([world.health.admits(A), world.health.mayTry(A)]).toEqual([false, true]);
    world.calls(A, "server");
    expect(world.health.mayTry(A)).toBe(false);
    world.nowMs += 999;
    expect(world.health.mayTry(A)).toBe(false);
    world.nowMs += 1;
    expect(world.health.mayTry(A)).toBe(true);
    world.calls(A, "ok");
    expect([world.health.mayTry(A), world.stateOf(A.name)]).toEqual([true, "half_open"]);
  });

  test("ten calls a second do while those that are let in have not answered: an answer may take long", () => {
    const world = new World();
    world.calls(A, ...times(5, "server" as const));
    world.waitUntilHalfOpen(A);
    world.health.begin(A);
    expect([world.health.admits(A), world.health.mayTry(A)]).toEqual([false, true]);
    world.health.begin(A);
    expect(world.health.mayTry(A)).toBe(false);
    world.nowMs += 100;
    expect(world.health.mayTry(A)).toBe(true);
  });

  test("so many may wait for it, and whoever leaves makes room for the next", () => {
    const { health } = new World();
    const leaving = Array.from({ length: 1_024 }, () => health.awaitRecovery());
    expect(leaving.every((leave) => leave !== undefined)).toBe(true);
    expect(health.awaitRecovery()).toBeUndefined();
    leaving[0]?.();
    expect(health.awaitRecovery()).toBeDefined();
  });
});

// What refusals teach: how many calls a target takes at once, and when to come back where nobody says so.
import { describe, expect, test } from "vitest";
import { Places } from "../src/limits/places.ts";
import { UntoldWait } from "../src/limits/untold-wait.ts";

/** Callers without end and a provider that takes `real(nowMs)` at once, for so long: the refusals, and where it ends up. */
function pressed(places: Places, real: (nowMs: number) => number, seconds: number) {
  const refusedAtS: number[] = [];
  for (let nowMs = 0; nowMs < 1_000 * seconds; nowMs += 1_000) {
    const inFlight = Math.min(places.limit, 60);
    places.grow(inFlight, nowMs);
    if (places.limit <= real(nowMs)) continue;
    refusedAtS.push(nowMs / 1_000);
    places.refuse(places.limit === Number.POSITIVE_INFINITY ? 60 : places.limit, nowMs);
  }
  return { refusedAtS, limit: places.limit };
}

describe("places that nobody told of", () => {
  test("a limit that does not move is found within a minute and refuses ever more rarely", () => {
    const { refusedAtS, limit } = pressed(new Places(undefined), () => 20, 1_200);
    expect([19, 20]).toContain(limit);
    const later = refusedAtS.filter((atS) => atS >= 60);
    expect(later.length).toBeLessThanOrEqual(15);
    const gaps = later.slice(1).map((atS, at) => atS - (later[at] as number));
    expect(gaps.at(-1)).toBeGreaterThan(100);
  });

  test("a limit that was raised is found within two minutes of the next try, and what it takes then is used", () => {
    const places = new Places(undefined);
    pressed(places, () => 20, 600);
    for (let nowMs = 600_000; nowMs < 800_000; nowMs += 1_000) places.grow(places.limit, nowMs);
    expect(places.limit).toBeGreaterThanOrEqual(55);
  });

  test("a limit that was cut is followed down at once", () => {
    const places = new Places(undefined);
    const { refusedAtS, limit } = pressed(places, (nowMs) => (nowMs < 300_000 ? 20 : 10), 330);
    expect(limit).toBeLessThanOrEqual(11);
    expect(refusedAtS.filter((atS) => atS >= 300).length).toBeLessThanOrEqual(10);
  });

  test("places that the operator tells are not learnt otherwise, and forgetting leaves them", () => {
    const places = new Places(5);
    places.refuse(5, 1_000);
    places.grow(5, 60_000);
    expect(places.limit).toBe(5);
    places.reset();
    expect(places.limit).toBe(5);
    const learnt = new Places(undefined);
    learnt.refuse(20, 0);
    expect(learnt.limit).toBe(18);
    learnt.reset();
    expect(learnt.limit).toBe(Number.POSITIVE_INFINITY);
  });

  test("few calls at once say nothing about how many there may be", () => {
    const places = new Places(undefined);
    places.refuse(2, 0);
    expect(places.limit).toBe(Number.POSITIVE_INFINITY);
    places.refuse(20, 0);
    places.grow(10, 60_000);
    expect(places.limit).toBe(18);
  });
});

describe("a refusal that does not say when to come back", () => {
  test("each that follows upon the last doubles the wait, up to sixteen seconds", () => {
    const wait = new UntoldWait();
    let nowMs = 0;
    const waits = Array.from({ length: 6 }, () => {
      wait.take(nowMs);
      const ms = wait.refuse(nowMs + 50);
      nowMs += 50 + ms;
      return ms;
    });
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 16_000]);
  });

  test("what was under way together is refused together: that is one refusal", () => {
    const wait = new UntoldWait();
    expect([wait.refuse(0), wait.refuse(10), wait.refuse(900)]).toEqual([1_000, 990, 100]);
    expect(wait.refuse(1_010)).toBe(2_000);
  });

  test("after the second, one call goes first, and the others when it has lasted as no refusal does", () => {
    const wait = new UntoldWait();
    wait.refuse(0);
    wait.refuse(1_100);
    expect(wait.waitMs(3_100)).toBe(0);
    wait.take(3_100);
    expect([wait.waitMs(3_100), wait.waitMs(3_500), wait.waitMs(3_600)]).toEqual([500, 100, 0]);
    // It was let in: what comes later is a new matter.
    expect(wait.refuse(9_000)).toBe(1_000);
  });

  test("forgetting begins anew", () => {
    const wait = new UntoldWait();
    wait.refuse(0);
    wait.refuse(1_100);
    wait.reset();
    expect([wait.refuse(1_200), wait.waitMs(2_300)]).toEqual([1_000, 0]);
  });
});

// A count per calendar day, in the zone by which the provider starts it anew.

const DAY_MS = 86_400_000;

export class Quota {
  readonly limit: number;
  readonly #clock: Intl.DateTimeFormat;
  #used = 0;
  #resetAtMs = 0;

  /** `zone`: IANA name. */
  constructor(limit: number, zone: string) {
    this.limit = limit;
    this.#clock = clockIn(zone);
  }

  used(nowMs: number): number {
    this.#roll(nowMs);
    return this.#used;
  }

  get resetAtMs(): number {
    return this.#resetAtMs;
  }

  /** Until the next day when the rest of this one does not suffice. */
  waitMs(units: number, nowMs: number): number {
    this.#roll(nowMs);
    return this.#used + Math.min(units, this.limit) > this.limit ? this.#resetAtMs - nowMs : 0;
  }

  add(units: number, nowMs: number): void {
    this.#roll(nowMs);
    this.#used = Math.max(0, this.#used + units);
  }

  /** What an earlier process had used of the same day. */
  restore(used: number, resetAtMs: number, nowMs: number): void {
    this.#roll(nowMs);
    if (Math.abs(resetAtMs - this.#resetAtMs) < 60_000) this.#used = Math.max(this.#used, used);
  }

  #roll(nowMs: number): void {
    if (nowMs < this.#resetAtMs) return;
    this.#used = 0;
    this.#resetAtMs = nextMidnightMs(this.#clock, nowMs);
  }
}

/** The next midnight in a zone (IANA name). */
export function nextDayMs(zone: string, nowMs: number): number {
  return nextMidnightMs(clockIn(zone), nowMs);
}

function clockIn(zone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "medium" });
}

/** On the day of a change of clocks this is an hour off, which the provider's own answers then correct. */
function nextMidnightMs(clock: Intl.DateTimeFormat, nowMs: number): number {
  const [hours = 0, minutes = 0, seconds = 0] = clock.format(nowMs).split(":").map(Number);
  const msIntoDay = ((hours * 60 + minutes) * 60 + seconds) * 1_000 + (((nowMs % 1_000) + 1_000) % 1_000);
  return nowMs + DAY_MS - msIntoDay;
}

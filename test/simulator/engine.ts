// Virtual time: a heap of events, fired one after the other, each with everything that follows from it before the next.
import { createHash } from "node:crypto";
import { setImmediate as macrotask } from "node:timers/promises";
import { Random } from "./random.ts";

/** Any instant will do, as long as it is always the same; a day's quotas begin eight hours before it. */
const START_MS = Date.parse("2026-11-24T08:00:00Z");

interface Event {
  atMs: number;
  /** Events of one instant fire in the order in which they were made. */
  sequence: number;
  /** Absent once cancelled: taking an event out of the middle of a heap costs more than passing over it. */
  fire: (() => void) | undefined;
}

export class Engine {
  readonly seed: number;
  readonly #heap: Event[] = [];
  readonly #hash = createHash("sha256");
  #sequence = 0;
  #nowMs = START_MS;
  #lines = "";

  constructor(seed: number) {
    this.seed = seed;
  }

  /** Of the wall clock that the router believes in. */
  readonly nowMs = (): number => this.#nowMs;

  /** Since the start of the run. */
  get elapsedMs(): number {
    return this.#nowMs - START_MS;
  }

  random(entity: string): Random {
    return new Random(entity, this.seed);
  }

  /** Calls back after `ms` (in whole ms, as timers do) unless the returned function is called first. */
  readonly schedule = (ms: number, fire: () => void): (() => void) => {
    const event: Event = { atMs: this.#nowMs + Math.max(0, Math.round(ms)), sequence: this.#sequence, fire };
    this.#sequence += 1;
    push(this.#heap, event);
    return () => {
      event.fire = undefined;
    };
  };

  /** Resolves early when the signal aborts. */
  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.schedule(ms, () => {
        signal?.removeEventListener("abort", wake);
        resolve();
      });
      const wake = () => {
        cancel();
        resolve();
      };
      signal?.addEventListener("abort", wake, { once: true });
    });
  };

  /** Fires until nothing is left. `onMinute` is told of every simulated minute, for those who watch. */
  async run(onMinute: (minute: number) => void = () => {}): Promise<void> {
    let minute = 0;
    for (let event = pop(this.#heap); event !== undefined; event = pop(this.#heap)) {
      if (event.fire === undefined) continue;
      this.#nowMs = event.atMs;
      event.fire();
      // A macrotask runs after every microtask: all that follows from this event has happened before the next one.
      await macrotask();
      if (this.elapsedMs < (minute + 1) * 60_000) continue;
      minute = Math.floor(this.elapsedMs / 60_000);
      onMinute(minute);
    }
  }

  /** One line of the run's trace. */
  trace(entity: string, event: string): void {
    this.#lines += `${this.elapsedMs} ${entity} ${event}\n`;
    if (this.#lines.length > 65_536) this.#flush();
  }

  /** Of everything that was traced: the same seed gives the same. Ends the trace. */
  hash(): string {
    this.#flush();
    return this.#hash.copy().digest("hex").slice(0, 16);
  }

  #flush(): void {
    this.#hash.update(this.#lines);
    this.#lines = "";
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  while (at > 0) {
    const parentAt = (at - 1) >> 1;
    const parent = heap[parentAt] as Event;
    if (!isBefore(event, parent)) break;
    heap[at] = parent;
    at = parentAt;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || first === last) return first;
  let at = 0;
  for (;;) {
    let childAt = 2 * at + 1;
    if (childAt >= heap.length) break;
    const right = heap[childAt + 1];
    if (right !== undefined && isBefore(right, heap[childAt] as Event)) childAt += 1;
    const child = heap[childAt] as Event;
    if (!isBefore(child, last)) break;
    heap[at] = child;
    at = childAt;
  }
  heap[at] = last;
  return first;
}

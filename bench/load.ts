// The load: calls over kept-alive connections, each checked, at a fixed concurrency in a closed loop.
import { setTimeout as delay } from "node:timers/promises";
import { type Dispatcher, Pool } from "undici";
import type { Scenario } from "./scenarios.ts";
import { BenchFailure } from "./subject.ts";

export interface CallTiming {
  /** From sending to the first byte of the body. */
  firstByteMs: number;
  totalMs: number;
}

export interface LoadTarget {
  name: string;
  /** One connection per concurrent call. */
  pool: Pool;
  /** Calls made so far, whatever became of them. */
  calls: number;
}

export interface Loop {
  concurrency: number;
  /** No call starts after this time or beyond this number; those that run are waited for. */
  durationMs: number;
  callsMax: number;
}

const KEY = "sk-sb-bench";
/** What the load sends as its key, and the router must therefore accept. */
export const LOAD_KEY: string = KEY;
const ANSWER_MS_MAX = 20_000;
const EXCERPT_CHARS = 300;
/** Longer than any end of an answer that is looked for. */
const TAIL_BYTES = 64;

export function openTarget(name: string, url: string, connections: number): LoadTarget {
  const pool = new Pool(url, { connections, pipelining: 1, headersTimeout: ANSWER_MS_MAX, bodyTimeout: ANSWER_MS_MAX });
  return { name, pool, calls: 0 };
}

/** Keeps `concurrency` calls running until the loop's bounds. The number of calls, all of them good. */
export async function runLoop(target: LoadTarget, scenario: Scenario, loop: Loop): Promise<number> {
  const stopAtMs = performance.now() + loop.durationMs;
  let started = 0;
  const keepCalling = async () => {
    while (started < loop.callsMax && performance.now() < stopAtMs) {
      started += 1;
      await call(target, scenario);
    }
  };
  await Promise.all(Array.from({ length: loop.concurrency }, keepCalling));
  return started;
}

/** Starts `ratePerS` calls a second, as evenly as timers allow, never more than `concurrency` at once. The number of
 *  calls, all of them good. */
export async function runSteadily(
  target: LoadTarget,
  scenario: Scenario,
  loop: Loop & { ratePerS: number },
): Promise<number> {
  const startedAtMs = performance.now();
  const calls: Promise<unknown>[] = [];
  let running = 0;
  for (let elapsedMs = 0; elapsedMs < loop.durationMs; elapsedMs = performance.now() - startedAtMs) {
    const due = Math.min(loop.callsMax, 1 + Math.floor((elapsedMs * loop.ratePerS) / 1000));
    while (calls.length < due && running < loop.concurrency) {
      running += 1;
      const made = call(target, scenario).finally(() => {
        running -= 1;
      });
      // Reported below: a failure must not count as unhandled until then.
      made.catch(() => {});
      calls.push(made);
    }
    if (calls.length === loop.callsMax) break;
    await delay(1);
  }
  await Promise.all(calls);
  return calls.length;
}

/** Throws BenchFailure when the answer is not a complete, correct 200. */
export function call(target: LoadTarget, scenario: Scenario): Promise<CallTiming> {
  target.calls += 1;
  return new Promise((resolve, reject) => {
    const handler = new AnswerCheck(scenario, (problem, timing) => {
      if (problem === undefined) resolve(timing);
      else reject(new BenchFailure(`${target.name}, ${scenario.id}: ${problem}`));
    });
    target.pool.dispatch(
      { path: "/v1/chat/completions", method: "POST", headers: HEADERS, body: scenario.body },
      handler,
    );
  });
}

const HEADERS = { "content-type": "application/json", authorization: `Bearer ${KEY}` };

/** Looks at an answer as it arrives. undici's own handler interface, the cheapest there is: the load must not be what
 *  limits the subjects. */
class AnswerCheck implements Dispatcher.DispatchHandler {
  readonly #scenario: Scenario;
  readonly #done: (problem: string | undefined, timing: CallTiming) => void;
  readonly #sentAtMs = performance.now();
  #firstByteAtMs = 0;
  #status = 0;
  #bytes = 0;
  #tail: Buffer = Buffer.alloc(0);

  constructor(scenario: Scenario, done: (problem: string | undefined, timing: CallTiming) => void) {
    this.#scenario = scenario;
    this.#done = done;
  }

  onRequestStart(): void {}

  onResponseStart(_: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#firstByteAtMs === 0) this.#firstByteAtMs = performance.now();
    this.#bytes += chunk.length;
    // The network may cut anywhere, also within the end of the answer.
    this.#tail = chunk.length < TAIL_BYTES ? Buffer.concat([this.#tail, chunk]) : chunk;
  }

  onResponseEnd(): void {
    const totalMs = performance.now() - this.#sentAtMs;
    this.#done(this.#problem(), { firstByteMs: this.#firstByteAtMs - this.#sentAtMs, totalMs });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#done(error.message || error.name, { firstByteMs: 0, totalMs: 0 });
  }

  #problem(): string | undefined {
    const { answerBytes, answerEnd } = this.#scenario;
    const excerpt = () => this.#tail.toString().slice(0, EXCERPT_CHARS);
    if (this.#status !== 200) return `status ${this.#status}: ${excerpt()}`;
    if (this.#bytes !== answerBytes) return `${this.#bytes} bytes instead of ${answerBytes}, at the end: ${excerpt()}`;
    if (!this.#tail.toString().endsWith(answerEnd)) return `the answer does not end as sent: ${excerpt()}`;
    return undefined;
  }
}

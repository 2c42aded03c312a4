// The load: calls over kept-alive connections, each checked; in a closed loop, or started at a fixed rate.
import { setTimeout as delay } from "node:timers/promises";
import { type Dispatcher, Pool } from "undici";
import { ANSWER_TEXT, DELTA_TEXT, nowUs } from "./answers.ts";
import type { Scenario } from "./scenarios.ts";
import { BenchFailure } from "./subject.ts";

export interface CallTiming {
  /** From sending to the first byte of the body; of a stream, to its first delta. */
  firstMs: number;
  totalMs: number;
}

/** One request of a system, made once. */
export interface Ask {
  path: string;
  headers: Record<string, string>;
  body: string;
  scenario: Scenario;
  /** How a whole answer ends, white space aside. */
  end: string;
  /** Bytes of the answer that was looked at in full; undefined before that. Every later one must be as long. */
  bytes: number | undefined;
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

/** What is told of each delta of a paced stream: from the upstream's write until it was here. */
export type DelayUs = (us: number, sentUs: number) => void;

const ANSWER_MS_MAX = 60_000;
const EXCERPT_CHARS = 300;
/** Longer than any end of an answer that is looked for. */
const TAIL_BYTES = 64;
/** Identifiers and times that a system puts in may be a little longer or shorter. A delta is more. */
const SLACK_BYTES = 48;

export function openTarget(name: string, url: string, connections: number): LoadTarget {
  const timeouts = { connectTimeout: ANSWER_MS_MAX, headersTimeout: ANSWER_MS_MAX, bodyTimeout: ANSWER_MS_MAX };
  const pool = new Pool(url, { connections, pipelining: 1, ...timeouts });
  return { name, pool, calls: 0 };
}

/** Keeps `concurrency` calls running until the loop's bounds. The number of calls, all of them good. */
export async function runLoop(target: LoadTarget, ask: Ask, loop: Loop, onDelay?: DelayUs): Promise<number> {
  const stopAtMs = performance.now() + loop.durationMs;
  let started = 0;
  const keepCalling = async () => {
    while (started < loop.callsMax && performance.now() < stopAtMs) {
      started += 1;
      await call(target, ask, onDelay);
    }
  };
  await Promise.all(Array.from({ length: loop.concurrency }, keepCalling));
  return started;
}

/** Starts `ratePerS` calls a second, as evenly as timers allow, never more than `concurrency` at once. The number of
 *  calls, all of them good. */
export async function runSteadily(target: LoadTarget, ask: Ask, loop: Loop & { ratePerS: number }): Promise<number> {
  const startedAtMs = performance.now();
  const calls: Promise<unknown>[] = [];
  let running = 0;
  for (let elapsedMs = 0; elapsedMs < loop.durationMs; elapsedMs = performance.now() - startedAtMs) {
    const due = Math.min(loop.callsMax, 1 + Math.floor((elapsedMs * loop.ratePerS) / 1000));
    while (calls.length < due && running < loop.concurrency) {
      running += 1;
      const made = call(target, ask).finally(() => {
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
export function call(target: LoadTarget, ask: Ask, onDelay?: DelayUs): Promise<CallTiming> {
  target.calls += 1;
  return new Promise((resolve, reject) => {
    const handler = new AnswerCheck(ask, onDelay, (problem, timing) => {
      if (problem === undefined) resolve(timing);
      else reject(new BenchFailure(`${target.name}, ${ask.scenario.id}: ${problem}`));
    });
    const { path, headers, body } = ask;
    target.pool.dispatch({ path, method: "POST", headers, body }, handler);
  });
}

/** Looks at an answer as it arrives. undici's own handler interface, the cheapest there is: the load must not be what
 *  limits the systems. */
class AnswerCheck implements Dispatcher.DispatchHandler {
  readonly #ask: Ask;
  readonly #onDelay: DelayUs | undefined;
  readonly #done: (problem: string | undefined, timing: CallTiming) => void;
  readonly #sentAtMs = performance.now();
  #firstAtMs = 0;
  #status = 0;
  #bytes = 0;
  #tail: Buffer = Buffer.alloc(0);
  /** The whole text, of the first answer only. */
  #text: string | undefined;
  #deltas = 0;
  #isInOrder = true;
  #rest = "";

  constructor(ask: Ask, onDelay: DelayUs | undefined, done: (problem: string | undefined, timing: CallTiming) => void) {
    this.#ask = ask;
    this.#onDelay = onDelay;
    this.#done = done;
    this.#text = ask.bytes === undefined ? "" : undefined;
  }

  onRequestStart(): void {}

  onResponseStart(_: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#firstAtMs === 0 && (this.#ask.scenario.deltas === 0 || chunk.includes(" w0000t"))) {
      this.#firstAtMs = performance.now();
    }
    this.#bytes += chunk.length;
    // The network may cut anywhere, also within the end of the answer.
    this.#tail = chunk.length < TAIL_BYTES ? Buffer.concat([this.#tail, chunk]) : chunk;
    if (this.#text !== undefined) this.#text += chunk.toString();
    if (this.#onDelay !== undefined) this.#lookForDeltas(chunk, this.#onDelay);
  }

  onResponseEnd(): void {
    const totalMs = performance.now() - this.#sentAtMs;
    const problem = this.#problem();
    if (problem === undefined) this.#ask.bytes ??= this.#bytes;
    this.#done(problem, { firstMs: this.#firstAtMs - this.#sentAtMs, totalMs });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#done(error.message || error.name, { firstMs: 0, totalMs: 0 });
  }

  #lookForDeltas(chunk: Buffer, onDelay: DelayUs): void {
    const receivedUs = nowUs();
    const text = this.#rest + chunk.toString("latin1");
    let end = 0;
    for (const match of text.matchAll(DELTA_TEXT)) {
      if (Number(match[1]) !== this.#deltas) this.#isInOrder = false;
      this.#deltas += 1;
      const sentUs = Number(match[2]);
      onDelay(receivedUs - sentUs, sentUs);
      end = match.index + match[0].length;
    }
    this.#rest = text.slice(Math.max(end, text.length - TAIL_BYTES));
  }

  #problem(): string | undefined {
    const { bytes, end, scenario } = this.#ask;
    const excerpt = () => this.#tail.toString().slice(0, EXCERPT_CHARS);
    if (this.#status !== 200) return `status ${this.#status}: ${excerpt()}`;
    if (bytes !== undefined && Math.abs(this.#bytes - bytes) > SLACK_BYTES) {
      return `${this.#bytes} bytes instead of ${bytes}, at the end: ${excerpt()}`;
    }
    if (!this.#tail.toString().trimEnd().endsWith(end)) return `the answer does not end as it should: ${excerpt()}`;
    if (this.#onDelay !== undefined && (this.#deltas !== scenario.deltas || !this.#isInOrder)) {
      return `${this.#deltas} deltas instead of ${scenario.deltas}, or not in order`;
    }
    return this.#text === undefined ? undefined : contentProblem(this.#text, scenario.deltas);
  }
}

/** The first answer of each kind is read: what a translator leaves out, its length cannot tell. */
function contentProblem(text: string, deltas: number): string | undefined {
  if (deltas === 0) {
    const { choices } = JSON.parse(text) as { choices?: { message?: { content?: unknown } }[] };
    return choices?.[0]?.message?.content === ANSWER_TEXT ? undefined : `another text: ${text.slice(0, EXCERPT_CHARS)}`;
  }
  const numbers = [...text.matchAll(DELTA_TEXT)].map(([, number]) => Number(number));
  const isWhole = numbers.length === deltas && numbers.every((number, index) => number === index);
  return isWhole ? undefined : `${numbers.length} deltas instead of ${deltas}, or not in order`;
}

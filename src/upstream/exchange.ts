// One request and its answer on a connection. undici's own interface underneath: its `request()` would put one of Node's
// streams and an iterator between, which every chunk would pay for.
import { type Agent, type Dispatcher, errors } from "undici";
import type { ProviderError } from "../chat.ts";
import type { Chunks, Opened, Unanswered, UpstreamRequest } from "../upstream.ts";
import { AttemptClock } from "./clock.ts";
import { explain, isConnectFailure, reasonOf, tooLarge } from "./failure.ts";

/** Never rejects. */
export function exchange(agent: Agent, request: UpstreamRequest): Promise<Opened | Unanswered> {
  const { url, headers, body, signal } = request;
  if (signal.aborted) return Promise.resolve({ kind: "error", error: reasonOf(signal), wasSent: false });
  return new Promise((resolve) => {
    agent.dispatch({ ...splitUrl(url), method: "POST", headers, body }, new Exchange(request, resolve));
  });
}

function splitUrl(url: string): { origin: string; path: string } {
  const { origin, pathname, search } = new URL(url);
  return { origin, path: pathname + search };
}

/** What a provider may still send after the end of its answer, and for how long, before its socket is cut. */
const DRAIN = { bytes: 16_384, ms: 1_000 };
/** More than that is left in the socket until somebody asks for it: a slow caller slows the provider. */
const WAITING_BYTES_MAX = 65_536;

type Step = IteratorResult<Uint8Array, ProviderError | undefined>;

class Exchange implements Dispatcher.DispatchHandler, Chunks {
  readonly #clock: AttemptClock;
  readonly #onHead: (head: Opened | Unanswered) => void;
  #controller: Dispatcher.DispatchController | undefined;
  /** Somebody has been told how the request was answered, or that it was not. */
  #isHeadTold = false;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #end: { error: ProviderError | undefined } | undefined;
  /** Wakes whoever asked for the next bytes. */
  #wake: (() => void) | undefined;
  /** Nobody asks for more: what comes is let go, so many bytes of it. */
  #spare: number | undefined;
  #drainTimer: NodeJS.Timeout | undefined;

  constructor(request: UpstreamRequest, onHead: (head: Opened | Unanswered) => void) {
    this.#onHead = onHead;
    this.#clock = new AttemptClock(request, () => this.#giveUp());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#end !== undefined) controller.abort(new errors.RequestAbortedError());
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200 || this.#isHeadTold) return;
    this.#isHeadTold = true;
    this.#onHead(this.#opened(status, headers));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#spare !== undefined) {
      this.#spare -= chunk.length;
      if (this.#spare < 0) this.#cut();
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) controller.pause();
    this.#wakeUp();
  }

  onResponseEnd(): void {
    this.#finish(undefined);
  }

  onResponseError(_: Dispatcher.DispatchController | null, cause: Error): void {
    if (this.#end !== undefined) return;
    if (this.#isHeadTold) this.#finish({ ...explain(cause), subkind: "broken" });
    else this.#unanswered(explain(cause), !isConnectFailure(cause));
  }

  async next(): Promise<Step> {
    if (this.#waiting.length === 0 && this.#end === undefined) {
      this.#clock.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#clock.pause();
    return this.#taken();
  }

  /** All that one read of the socket brought: it is handed over piece by piece, and whoever waited wakes after the last. */
  #taken(): Step {
    const parts = this.#waiting;
    if (parts.length === 0) return { done: true, value: this.#end?.error };
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#end === undefined) this.#controller?.resume();
    return { done: false, value: parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts) };
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #finish(error: ProviderError | undefined): void {
    this.#end ??= { error };
    this.#clock.stop();
    clearTimeout(this.#drainTimer);
    this.#wakeUp();
  }

  #unanswered(error: ProviderError, wasSent: boolean): void {
    this.#isHeadTold = true;
    this.#finish(error);
    this.#onHead({ kind: "error", error, wasSent });
  }

  /** Time is up, or the caller has left. What has come by then is still handed out. */
  #giveUp(): void {
    const error = this.#clock.failure as ProviderError;
    // Without a controller the request has not begun, and never will.
    if (this.#isHeadTold) this.#finish(error);
    else this.#unanswered(error, this.#controller !== undefined);
    this.#controller?.abort(new errors.RequestAbortedError());
  }

  /** Frees the socket. */
  #cut(): void {
    if (this.#end !== undefined) return;
    this.#finish(undefined);
    this.#controller?.abort(new errors.RequestAbortedError());
  }

  #opened(status: number, headers: Record<string, string | string[] | undefined>): Opened {
    return {
      kind: "opened",
      status,
      headers: flatten(headers),
      progress: () => this.#clock.progress(),
      close: () => this.#cut(),
      chunks: () => this,
      drain: () => this.#drain(),
      text: (maxBytes) => this.#text(maxBytes),
    };
  }

  #drain(): void {
    if (this.#end !== undefined) return;
    this.#clock.stop();
    this.#spare = DRAIN.bytes - this.#waitingBytes;
    this.#waiting = [];
    if (this.#spare < 0) {
      this.#cut();
      return;
    }
    this.#drainTimer = setTimeout(() => this.#cut(), DRAIN.ms);
    this.#controller?.resume();
  }

  async #text(maxBytes: number): Promise<{ text: string } | { error: ProviderError }> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (let step = await this.next(); ; step = await this.next()) {
      if (step.done) {
        if (step.value !== undefined) return { error: step.value };
        return { text: (parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)).toString("utf8") };
      }
      bytes += step.value.length;
      if (bytes > maxBytes) {
        this.#cut();
        return { error: tooLarge(maxBytes) };
      }
      parts.push(step.value);
    }
  }
}

function flatten(headers: Record<string, string | string[] | undefined>): Record<string, string | undefined> {
  const flat: Record<string, string | undefined> = {};
  for (const name in headers) {
    const value = headers[name];
    flat[name] = Array.isArray(value) ? value[0] : value;
  }
  return flat;
}

// The only door to providers: sockets, pools, TLS, the four clocks and the size caps.
import { Agent, type Dispatcher, errors } from "undici";
import type { ProviderError } from "./chat.ts";

export interface UpstreamRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Aborted when the caller leaves. */
  signal: AbortSignal;
  clocks: Clocks;
}

/** All in ms. */
export interface Clocks {
  /** To open a connection, TCP and TLS together; the default is three seconds. */
  connectMs?: number | undefined;
  /** From sending until `progress()` is first called: until content, not until headers or keep-alives. */
  firstByteMs: number;
  /** Between two calls of `progress()`. */
  idleMs: number;
  /** For the whole attempt. */
  totalMs: number;
}

/** An answer whose head has arrived. Exactly one of `chunks` and `text` is used; `close` is always safe. */
export interface Opened {
  kind: "opened";
  status: number;
  /** Lower-case names; a repeated header keeps its first value. */
  headers: Record<string, string | undefined>;
  /** The body as it arrives. Ends with the reason when it ends early, with `undefined` when the provider ended it. */
  chunks(): AsyncGenerator<Uint8Array, ProviderError | undefined, undefined>;
  /** The whole body, or why it could not be read. */
  text(maxBytes: number): Promise<{ text: string } | { error: ProviderError }>;
  /** Content has come: the first-byte clock becomes the idle clock and starts anew. */
  progress(): void;
  /** The answer is whole; what little may follow is read in the background, so that the socket can be used again. */
  drain(): void;
  /** Frees the socket: an unfinished body is cut, which is how the provider learns that nobody listens. */
  close(): void;
}

/** No answer came. `wasSent` is false when the request certainly never reached the provider. */
export interface Unanswered {
  kind: "error";
  error: ProviderError;
  wasSent: boolean;
}

export interface Upstream {
  /** Never throws: what goes wrong on the way is a ProviderError of kind network, timeout or cancelled. */
  send(request: UpstreamRequest): Promise<Opened | Unanswered>;
  close(): Promise<void>;
}

const CONNECT_MS = 3_000;
const POOL_SETS_MAX = 16;

/** Pools per origin and connect clock: undici sets that clock per pool. */
export function createUpstream(options: { connectionsPerOrigin?: number } = {}): Upstream {
  const agents = new Map<number, Agent>();
  const agentFor = (connectMs: number): Agent => {
    const found = agents.get(connectMs) ?? (agents.size < POOL_SETS_MAX ? undefined : agents.get(CONNECT_MS));
    if (found !== undefined) return found;
    const agent = createAgent(connectMs, options.connectionsPerOrigin ?? 512);
    agents.set(connectMs, agent);
    return agent;
  };
  agentFor(CONNECT_MS);
  return {
    send: (request) => send(agentFor(request.clocks.connectMs ?? CONNECT_MS), request),
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

function createAgent(connectMs: number, connections: number): Agent {
  return new Agent({
    connect: { timeout: connectMs },
    connections,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    // Our own clocks do this, with finer meaning.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

async function send(agent: Agent, request: UpstreamRequest): Promise<Opened | Unanswered> {
  const clock = new AttemptClock(request.clocks, request.signal);
  try {
    const response = await agent.request({
      ...splitUrl(request.url),
      method: "POST",
      headers: request.headers,
      body: request.body,
      signal: clock.signal,
    });
    return opened(response, clock);
  } catch (cause) {
    clock.stop();
    return { kind: "error", error: clock.failure ?? explain(cause), wasSent: !isConnectFailure(cause) };
  }
}

const CONNECT_FAILURES = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

function isConnectFailure(cause: unknown): boolean {
  return cause instanceof errors.ConnectTimeoutError || CONNECT_FAILURES.has(errorCode(cause) ?? "");
}

function splitUrl(url: string): { origin: string; path: string } {
  const { origin, pathname, search } = new URL(url);
  return { origin, path: pathname + search };
}

/** What a provider may still send after the end of its answer, and for how long, before its socket is cut. */
const DRAIN = { bytes: 16_384, ms: 1_000 };

function opened(response: Dispatcher.ResponseData, clock: AttemptClock): Opened {
  const close = () => {
    clock.stop();
    // An error listener stays: destroying a body in flight emits one more error that nobody waits for.
    response.body.on("error", () => {}).destroy();
  };
  const chunks = read(response, clock, close);
  return {
    kind: "opened",
    status: response.statusCode,
    headers: flatten(response.headers),
    progress: () => clock.progress(),
    close,
    chunks: () => chunks,
    drain() {
      const timer = setTimeout(close, DRAIN.ms);
      void drain(chunks).then(() => {
        clearTimeout(timer);
        close();
      });
    },
    async text(maxBytes) {
      const parts: Uint8Array[] = [];
      let bytes = 0;
      try {
        for await (const chunk of response.body) {
          bytes += chunk.length;
          if (bytes > maxBytes) {
            return { error: tooLarge(maxBytes) };
          }
          parts.push(chunk as Uint8Array);
        }
        return { text: Buffer.concat(parts).toString("utf8") };
      } catch (cause) {
        return { error: clock.failure ?? explain(cause) };
      } finally {
        close();
      }
    },
  };
}

async function* read(
  response: Dispatcher.ResponseData,
  clock: AttemptClock,
  close: () => void,
): AsyncGenerator<Uint8Array, ProviderError | undefined, undefined> {
  try {
    for await (const chunk of response.body) {
      // Until the next is asked for it is the caller who is slow to read, not the provider who is silent.
      clock.pause();
      yield chunk as Uint8Array;
      clock.resume();
    }
    return undefined;
  } catch (cause) {
    return clock.failure ?? explain(cause);
  } finally {
    close();
  }
}

/** Reads on until the body ends or more comes than an end of stream has. Never rejects: `read` does not throw. */
async function drain(chunks: AsyncGenerator<Uint8Array, unknown, undefined>): Promise<void> {
  let bytes = 0;
  for (let step = await chunks.next(); !step.done && bytes <= DRAIN.bytes; step = await chunks.next()) {
    bytes += step.value.length;
  }
}

function flatten(headers: Dispatcher.ResponseData["headers"]): Record<string, string | undefined> {
  const flat: Record<string, string | undefined> = {};
  for (const name in headers) {
    const value = headers[name];
    flat[name] = Array.isArray(value) ? value[0] : value;
  }
  return flat;
}

/**
 * The clocks of one attempt behind one abort signal. One timer at a time: it fires at the nearest deadline known when
 * it was set and is only set again when that deadline has meanwhile moved, so progress costs no timer.
 */
class AttemptClock {
  readonly #abort = new AbortController();
  readonly #clocks: Clocks;
  readonly #caller: AbortSignal;
  readonly #totalAt: number;
  #phase: "first_byte" | "idle" = "first_byte";
  #phaseAt: number;
  #pausedAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Why the attempt was aborted, when it was. */
  failure: ProviderError | undefined;

  constructor(clocks: Clocks, caller: AbortSignal) {
    const now = performance.now();
    this.#clocks = clocks;
    this.#caller = caller;
    this.#totalAt = now + clocks.totalMs;
    this.#phaseAt = now + clocks.firstByteMs;
    if (caller.aborted) this.#onCallerLeft();
    else caller.addEventListener("abort", this.#onCallerLeft);
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  progress(): void {
    this.#phase = "idle";
    this.#phaseAt = performance.now() + this.#clocks.idleMs;
    // A later phase deadline is found when the timer fires; an earlier one needs a new timer.
    if (this.#timer !== undefined && this.#phaseAt < this.#firesAt) this.#arm();
  }

  /** The phase's clock stands still until `resume`; that of the whole attempt does not. */
  pause(): void {
    this.#pausedAt = performance.now();
  }

  resume(): void {
    if (this.#pausedAt === undefined) return;
    this.#phaseAt += performance.now() - this.#pausedAt;
    this.#pausedAt = undefined;
    // While it stood still the timer may have been set to the end of the attempt.
    if (this.#timer !== undefined && this.#phaseAt < this.#firesAt) this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#caller.removeEventListener("abort", this.#onCallerLeft);
  }

  #firesAt = 0;

  #arm(): void {
    clearTimeout(this.#timer);
    this.#firesAt = this.#deadlineAt();
    const waitMs = Math.max(0, this.#firesAt - performance.now());
    this.#timer = setTimeout(this.#check, Math.min(waitMs, 2 ** 31 - 1));
  }

  #deadlineAt(): number {
    return this.#pausedAt === undefined ? Math.min(this.#phaseAt, this.#totalAt) : this.#totalAt;
  }

  #check = (): void => {
    const now = performance.now();
    // Timers may fire a fraction of a millisecond early.
    if (now + 1 < this.#deadlineAt()) {
      this.#arm();
      return;
    }
    const isTotal = this.#totalAt <= this.#deadlineAt();
    this.#fail({ kind: "timeout", message: isTotal ? this.#totalText() : this.#phaseText(), code: "timeout" });
  };

  #totalText(): string {
    return `The provider did not finish within ${Math.round(this.#clocks.totalMs)} ms.`;
  }

  #phaseText(): string {
    return this.#phase === "first_byte"
      ? `The provider sent no content within ${this.#clocks.firstByteMs} ms.`
      : `The provider fell silent for ${this.#clocks.idleMs} ms in the middle of its answer.`;
  }

  #onCallerLeft = (): void => {
    this.#fail({ kind: "cancelled", message: "The caller closed the connection." });
  };

  #fail(error: ProviderError): void {
    this.failure = error;
    this.stop();
    this.#abort.abort();
  }
}

function tooLarge(maxBytes: number): ProviderError {
  return { kind: "malformed", message: `The provider's answer is larger than ${maxBytes} bytes.` };
}

/** What a socket or TLS failure means for the loop. Names the failure, never the address or a header. */
function explain(cause: unknown): ProviderError {
  if (cause instanceof errors.ConnectTimeoutError) {
    return { kind: "timeout", message: "The provider did not accept a connection in time.", code: "timeout" };
  }
  const code = errorCode(cause);
  return {
    kind: "network",
    message: `The connection to the provider failed${code === undefined ? "" : ` (${code})`}.`,
    code: "upstream_unreachable",
  };
}

function errorCode(cause: unknown): string | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
  }
  return undefined;
}

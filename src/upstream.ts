// The only door to providers: sockets, pools, TLS, the five clocks and the size caps.
import { Agent, type Dispatcher, errors } from "undici";
import { HEDGE_LOST, type ProviderError } from "./chat.ts";

export interface UpstreamRequest {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Aborted when the caller leaves; with `HEDGE_LOST` as its reason when another call has answered, which ends this one at
   *  once. */
  signal: AbortSignal;
  /** A caller that leaves does not end the call: its answer may still be read for so long. Absent: it ends at once. */
  drainMs?: number | undefined;
  clocks: Clocks;
}

/** All in ms. */
export interface Clocks {
  /** To open a connection, TCP and TLS together; the default is three seconds. */
  connectMs?: number | undefined;
  /** From sending until `progress()` is first called: until content, not until headers or keep-alives. */
  firstByteMs: number;
  /** Between two pieces of anything, keep-alives included, once content has come: a dead connection. */
  idleMs: number;
  /** Between two calls of `progress()`: a provider that keeps its connection alive and writes nothing. */
  contentIdleMs: number;
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
  /** Content has come: the clocks of the answer take the place of the first-byte clock and start anew. */
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

const CALLER_LEFT: ProviderError = { kind: "cancelled", message: "The caller closed the connection." };

const CONNECT_MS = 3_000;
const POOL_SETS_MAX = 16;
/** A stream has one to itself for as long as it runs, and what does not get one would wait where no clock and no limit
 *  sees it: how many calls a provider gets at once is for its pool to say, not for sockets. */
const CONNECTIONS_PER_ORIGIN = 8_192;

/** Pools per origin and connect clock: undici sets that clock per pool. */
export function createUpstream(options: { connectionsPerOrigin?: number } = {}): Upstream {
  const agents = new Map<number, Agent>();
  const agentFor = (connectMs: number): Agent => {
    const found = agents.get(connectMs) ?? (agents.size < POOL_SETS_MAX ? undefined : agents.get(CONNECT_MS));
    if (found !== undefined) return found;
    const agent = createAgent(connectMs, options.connectionsPerOrigin ?? CONNECTIONS_PER_ORIGIN);
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
  const clock = new AttemptClock(request);
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
/** OpenSSL's words by way of Node: expired, self-signed, of an unknown issuer, for another name. */
const CERTIFICATE_FAILURES =
  /^(CERT_|ERR_TLS_CERT_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY)|HOSTNAME_MISMATCH)/;

function isConnectFailure(cause: unknown): boolean {
  const code = errorCode(cause) ?? "";
  return cause instanceof errors.ConnectTimeoutError || CONNECT_FAILURES.has(code) || CERTIFICATE_FAILURES.test(code);
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
        return { error: clock.failure ?? { ...explain(cause), subkind: "broken" } };
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
      clock.pause();
      yield chunk as Uint8Array;
      clock.resume();
    }
    return undefined;
  } catch (cause) {
    return clock.failure ?? { ...explain(cause), subkind: "broken" };
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
 * it was set and is only set again when that deadline has meanwhile moved, so neither bytes nor content cost a timer.
 * While nobody asks for the next piece (the caller reads slowly), only the clock of the whole attempt runs.
 */
class AttemptClock {
  readonly #abort = new AbortController();
  readonly #clocks: Clocks;
  readonly #caller: AbortSignal;
  readonly #drainMs: number | undefined;
  #isDraining = false;
  #totalAt: number;
  #phase: "first_byte" | "answer" = "first_byte";
  #contentAt: number;
  #bytesAt = Number.POSITIVE_INFINITY;
  #pausedAt: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Why the attempt was aborted, when it was. */
  failure: ProviderError | undefined;

  constructor({ clocks, signal: caller, drainMs }: UpstreamRequest) {
    const now = performance.now();
    this.#clocks = clocks;
    this.#caller = caller;
    this.#drainMs = drainMs;
    this.#totalAt = now + clocks.totalMs;
    this.#contentAt = now + clocks.firstByteMs;
    if (caller.aborted) this.#fail(reasonOf(caller));
    else caller.addEventListener("abort", this.#onCallerLeft);
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  progress(): void {
    const now = performance.now();
    this.#phase = "answer";
    this.#contentAt = now + this.#clocks.contentIdleMs;
    this.#bytesAt = now + this.#clocks.idleMs;
    this.#armIfEarlier();
  }

  /** A piece has come and is being dealt with. */
  pause(): void {
    this.#pausedAt = performance.now();
  }

  /** The next piece is waited for. */
  resume(): void {
    const now = performance.now();
    this.#contentAt += now - (this.#pausedAt ?? now);
    this.#pausedAt = undefined;
    if (this.#phase === "answer") this.#bytesAt = now + this.#clocks.idleMs;
    this.#armIfEarlier();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#caller.removeEventListener("abort", this.#onCallerLeft);
  }

  #firesAt = 0;

  get #nextAt(): number {
    return this.#pausedAt === undefined ? Math.min(this.#contentAt, this.#bytesAt, this.#totalAt) : this.#totalAt;
  }

  /** A later deadline is found when the timer fires; an earlier one needs a new timer. */
  #armIfEarlier(): void {
    if (this.#timer !== undefined && this.#nextAt < this.#firesAt) this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#firesAt = this.#nextAt;
    const waitMs = Math.max(0, this.#firesAt - performance.now());
    this.#timer = setTimeout(this.#check, Math.min(waitMs, 2 ** 31 - 1));
  }

  #check = (): void => {
    // Timers may fire a fraction of a millisecond early.
    if (performance.now() + 1 < this.#nextAt) this.#arm();
    else
      this.#fail(this.#isDraining ? CALLER_LEFT : { kind: "timeout", message: this.#timeoutText(), code: "timeout" });
  };

  #timeoutText(): string {
    const { totalMs, firstByteMs, idleMs, contentIdleMs } = this.#clocks;
    if (this.#nextAt === this.#totalAt) return `The provider did not finish within ${Math.round(totalMs)} ms.`;
    if (this.#phase === "first_byte") return `The provider sent no content within ${firstByteMs} ms.`;
    return this.#bytesAt <= this.#contentAt
      ? `The provider fell silent for ${idleMs} ms in the middle of its answer.`
      : `The provider sent no content for ${contentIdleMs} ms in the middle of its answer, although its connection is alive.`;
  }

  #onCallerLeft = (): void => {
    if (this.#drainMs === undefined || this.#caller.reason === HEDGE_LOST) {
      this.#fail(reasonOf(this.#caller));
      return;
    }
    this.#isDraining = true;
    this.#totalAt = Math.min(this.#totalAt, performance.now() + this.#drainMs);
    this.#armIfEarlier();
  };

  #fail(error: ProviderError): void {
    this.failure = error;
    this.stop();
    this.#abort.abort();
  }
}

function reasonOf({ reason }: AbortSignal): ProviderError {
  return reason === HEDGE_LOST ? HEDGE_LOST : CALLER_LEFT;
}

function tooLarge(maxBytes: number): ProviderError {
  return { kind: "malformed", message: `The provider's answer is larger than ${maxBytes} bytes.` };
}

/** What a socket or TLS failure means for the loop. Names the failure, never the address or a header. */
function explain(cause: unknown): ProviderError {
  if (cause instanceof errors.ConnectTimeoutError) {
    const message = "The provider did not accept a connection in time.";
    return { kind: "timeout", subkind: "connect", message, code: "timeout" };
  }
  const code = errorCode(cause);
  if (code !== undefined && CERTIFICATE_FAILURES.test(code)) {
    const message = `The provider's certificate is not valid (${code}).`;
    return { kind: "network", subkind: "certificate", message, code: "upstream_unreachable" };
  }
  return {
    kind: "network",
    ...(isConnectFailure(cause) && { subkind: "connect" as const }),
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

// The only door to providers: sockets, pools, TLS, the five clocks and the size caps. What is said through it is in upstream/.
import { Agent } from "undici";
import type { ProviderError } from "./chat.ts";
import { exchange } from "./upstream/exchange.ts";

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

/** A body as it arrives: each time all that has come since. Ends with the reason when it ends early, with `undefined` when the
 *  provider ended it. Nothing is asked for before the last answer has come. */
export interface Chunks {
  next(): Promise<IteratorResult<Uint8Array, ProviderError | undefined>>;
}

/** An answer whose head has arrived. Exactly one of `chunks` and `text` is used; `close` is always safe. */
export interface Opened {
  kind: "opened";
  status: number;
  /** Lower-case names; a repeated header keeps its first value. */
  headers: Record<string, string | undefined>;
  chunks(): Chunks;
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
    send: (request) => exchange(agentFor(request.clocks.connectMs ?? CONNECT_MS), request),
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
    // With HTTP/2 undici sends all calls of an origin over one connection: who is slow to read would hold up the others, and
    // whatever ends the connection ends them all.
    allowH2: false,
    keepAliveTimeout: 30_000,
    // Our own clocks do this, with finer meaning.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

// The door to the simulated providers, in the shape of the router's own: same promises, same clocks, virtual time.
import type { ProviderError } from "../../src/chat.ts";
import type { Opened, Unanswered, Upstream, UpstreamRequest } from "../../src/upstream.ts";
import type { Engine } from "./engine.ts";
import type { Course, SimulatedProvider } from "./provider.ts";
import { bodyOf, errorBody, piecesOf, readAsk } from "./wire.ts";

/** `https://<id>.test/…` reaches the provider of that id. */
export function createSimulatedUpstream(engine: Engine, providers: readonly SimulatedProvider[]): Upstream {
  const byHost = new Map(providers.map((provider) => [`${provider.profile.id}.test`, provider]));
  return {
    async send(request) {
      const provider = byHost.get(new URL(request.url).host);
      if (provider === undefined) throw new Error(`there is no simulated provider at ${request.url}`);
      const { ask, stream } = readAsk(request.body);
      return new Exchange(engine, request).run(provider.receive(ask), stream);
    },
    close: async () => {},
  };
}

const CANCELLED: ProviderError = { kind: "cancelled", message: "The caller closed the connection." };
const BROKEN: ProviderError = { kind: "network", message: "The connection broke.", code: "upstream_unreachable" };

/** One call. The whole course is known at its start, so its clocks need no timers of their own: each wait ends with
 *  whatever comes first. */
class Exchange {
  readonly #engine: Engine;
  readonly #request: UpstreamRequest;
  readonly #startMs: number;
  readonly #totalAtMs: number;
  #phaseAtMs: number;
  #end: (() => void) | undefined;

  constructor(engine: Engine, request: UpstreamRequest) {
    this.#engine = engine;
    this.#request = request;
    this.#startMs = engine.nowMs();
    this.#totalAtMs = this.#startMs + request.clocks.totalMs;
    this.#phaseAtMs = this.#startMs + request.clocks.firstByteMs;
  }

  async run(course: Course, stream: boolean): Promise<Opened | Unanswered> {
    if ("end" in course) this.#end = course.end;
    const readyMs = readyAfterMs(course, stream);
    const failure = await this.#waitUntil(this.#startMs + readyMs);
    if (failure !== undefined) {
      this.#close();
      return { kind: "error", error: failure, wasSent: true };
    }
    if (course.kind === "unreachable") return { kind: "error", error: BROKEN, wasSent: false };
    if (course.kind === "refused")
      return this.#opened(course.status, course.headers, { text: errorBody(course.code, course.message) });
    if (course.kind === "silent") throw new Error("a silent call has no end but its clocks");
    if (!stream) this.#close();
    if (stream) return this.#opened(200, course.headers, { chunks: this.#chunks(course) });
    return this.#opened(200, course.headers, course.flaw === "truncated" ? { broken: true } : { text: bodyOf(course) });
  }

  #opened(
    status: number,
    headers: Record<string, string>,
    body: { text: string } | { broken: true } | { chunks: ReturnType<Opened["chunks"]> },
  ): Opened {
    return {
      kind: "opened",
      status,
      headers,
      chunks: () => {
        if ("chunks" in body) return body.chunks;
        throw new Error("the simulated answer is no stream");
      },
      text: async () => ("text" in body ? { text: body.text } : { error: BROKEN }),
      progress: () => {
        this.#phaseAtMs = this.#engine.nowMs() + this.#request.clocks.contentIdleMs;
      },
      drain: () => this.#close(),
      close: () => this.#close(),
    };
  }

  async *#chunks(answer: Extract<Course, { kind: "answer" }>): ReturnType<Opened["chunks"]> {
    try {
      const pieces = piecesOf(answer);
      for (const [number, { at, bytes }] of pieces.entries()) {
        const pieceMs = answer.firstMs + at * (answer.totalMs - answer.firstMs);
        const failure = await this.#waitUntil(this.#startMs + pieceMs);
        if (failure !== undefined) return failure;
        // Its place is free once the provider has sent the last byte, not when somebody has read it.
        if (number === pieces.length - 1) this.#close();
        yield bytes;
      }
      // Connections that are closed too early and such that break are both seen in the field.
      return answer.flaw === "truncated" && answer.outputTokens % 2 === 0 ? BROKEN : undefined;
    } finally {
      this.#close();
    }
  }

  /** Why it did not come to that instant, if it did not. */
  async #waitUntil(atMs: number): Promise<ProviderError | undefined> {
    const { signal, clocks } = this.#request;
    const clockAtMs = Math.min(this.#phaseAtMs, this.#totalAtMs);
    const untilMs = Math.min(atMs, clockAtMs);
    const waitMs = untilMs - this.#engine.nowMs();
    if (waitMs > 0) await this.#engine.sleep(waitMs, signal);
    if (signal.aborted) return CANCELLED;
    if (atMs <= clockAtMs) return undefined;
    const message = `The provider was silent for too long (${JSON.stringify(clocks)}).`;
    return { kind: "timeout", message, code: "timeout" };
  }

  #close(): void {
    const end = this.#end;
    this.#end = undefined;
    end?.();
  }
}

/** A buffered answer shows nothing before its end. */
function readyAfterMs(course: Course, stream: boolean): number {
  if (course.kind === "silent") return Number.POSITIVE_INFINITY;
  if (course.kind !== "answer") return course.afterMs;
  return stream ? course.firstMs : course.totalMs;
}

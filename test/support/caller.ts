// A caller that leaves, and the moment at which the router knows it.
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerResponse } from "node:http";

const REQUEST_START = "http.server.request.start";

export interface Leaving {
  signal: AbortSignal;
  /** Resolves when the router has seen the connection close. */
  leave(): Promise<void>;
}

/** For the next request to a router, which is to carry `signal`. */
export function leavingCaller(): Leaving {
  const abort = new AbortController();
  const seen = new Promise<void>((resolve) => {
    const onStart = (message: unknown) => {
      const { request, response } = message as { request: { url?: string }; response: ServerResponse };
      if (request.url !== "/v1/chat/completions") return;
      unsubscribe(REQUEST_START, onStart);
      response.on("close", () => resolve());
    };
    subscribe(REQUEST_START, onStart);
  });
  return {
    signal: abort.signal,
    leave: () => {
      abort.abort();
      return seen;
    },
  };
}

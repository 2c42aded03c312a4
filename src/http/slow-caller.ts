// What is written and not taken: a caller that takes nothing of it for a while is waited for no longer.
import type { RequestListener, ServerResponse } from "node:http";

/** Resolves when the caller has taken what was written, or has left; `false`: it has taken nothing of it for so long. */
export function drained(outgoing: ServerResponse, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (isTaken: boolean) => {
      outgoing.off("drain", taken).off("close", taken).off("timeout", stalled).setTimeout(0);
      resolve(isTaken);
    };
    const taken = () => done(true);
    const stalled = () => done(false);
    // Node's own counts as activity whatever part of a large write the caller takes.
    outgoing.on("drain", taken).on("close", taken).on("timeout", stalled).setTimeout(timeoutMs);
  });
}

/** What is left of an answer when the router is done with it waits for its caller no longer than that either. */
export function cuttingOff(
  listener: (...given: Parameters<RequestListener>) => unknown,
  timeoutMs: number,
): RequestListener {
  return async (incoming, outgoing) => {
    await listener(incoming, outgoing);
    // Node destroys the socket where nobody listens for the timeout.
    if (outgoing.writableLength > 0) outgoing.setTimeout(timeoutMs);
  };
}

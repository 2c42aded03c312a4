// One try to hand an alert to an operator's endpoint: hides sockets and their clocks, and every part of an address but its host.
import { Agent, type Dispatcher } from "undici";
import type { AlertDestination } from "../config/alert-settings.ts";
import type { Alert } from "./alert.ts";
import { messageFor } from "./message.ts";
import type { Delivery } from "./outbox.ts";

export interface Deliverer {
  /** Never rejects. Redirects are not followed: a signed document goes where the operator said, or nowhere. */
  deliver(destination: AlertDestination, alert: Alert): Promise<Delivery>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** Of a whole try. */
const TIMEOUT_MS = 10_000;
/** Nobody reads the answer; so much is taken so that the connection can be used again. */
const ANSWER_BYTES_MAX = 16 * 1024;

export function createDeliverer(nowMs: () => number, timeoutMs = TIMEOUT_MS): Deliverer {
  const agent = new Agent({
    connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs) },
    connections: 4,
    allowH2: false,
  });
  return {
    async deliver(destination, alert) {
      const signal = AbortSignal.timeout(timeoutMs);
      const { origin, pathname, search } = new URL(destination.url.reveal());
      const message = messageFor(destination, alert, nowMs());
      try {
        const response = await agent.request({ origin, path: pathname + search, method: "POST", signal, ...message });
        // The status has decided; an answer that does not end changes nothing.
        await response.body.dump({ limit: ANSWER_BYTES_MAX, signal }).catch(() => {});
        return verdictOf(response);
      } catch (error) {
        return { kind: "failed", problem: problemOf(error, timeoutMs) };
      }
    },
    close: () => agent.destroy(),
  };
}

function verdictOf({ statusCode: status, headers }: Dispatcher.ResponseData): Delivery {
  if (status >= 200 && status < 300) return { kind: "arrived", status };
  if (status >= 300 && status < 400)
    return { kind: "failed", problem: `status ${status}, and redirects are not followed` };
  const seconds = Number(headers["retry-after"]);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  // 404 and 401 may be a deployment or a rotation that is under way; these say that it will never take this one.
  return { kind: "failed", problem: `status ${status}`, retryAfterMs, isFinal: [400, 410, 413, 422].includes(status) };
}

/** By code, not by message: that may quote the address. */
function problemOf(error: unknown, timeoutMs: number): string {
  const { name, code } = error as NodeJS.ErrnoException;
  if (name === "TimeoutError" || code === "UND_ERR_CONNECT_TIMEOUT") return `no answer within ${timeoutMs / 1000} s`;
  return code === undefined ? "the request failed" : `the connection failed (${code})`;
}

// What every route shares: the typed context, errors in OpenAI's shape, and reading a bounded body.
import type { IncomingMessage } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { CallerError } from "../dialect.ts";
import type { Caller } from "../routing/plan.ts";

export interface Env {
  Bindings: HttpBindings;
  Variables: {
    requestId: string;
    receivedAtMs: number;
    caller: Caller;
    /** What is left of the caller's limits, for the head of the answer. */
    limitHeaders: Record<string, string> | undefined;
  };
}

export type AppContext = Context<Env>;

/** An error of the router itself, as OpenAI would word it. */
export function callerError(
  status: number,
  message: string,
  code: string | null,
  param: string | null = null,
): CallerError {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  return { status, message, type, code, param };
}

/** OpenAI's error body; the shape for every route that belongs to no dialect. */
export function errorResponse(context: AppContext, error: CallerError, headers: Record<string, string> = {}): Response {
  const { status, ...body } = error;
  return context.body(JSON.stringify({ error: body }), status as 400, {
    "content-type": "application/json",
    ...headers,
  });
}

export type BodyRead = { body: Buffer } | { error: "too_large" | "aborted" };

/** The body, at most `maxBytes` of it in memory. */
export function readBody(incoming: IncomingMessage, maxBytes: number): Promise<BodyRead> {
  if (Number(incoming.headers["content-length"] ?? 0) > maxBytes) return Promise.resolve({ error: "too_large" });
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    incoming.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes <= maxBytes) parts.push(part);
      else resolve({ error: "too_large" });
    });
    incoming.on("end", () => resolve({ body: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts) }));
    incoming.on("error", () => resolve({ error: "aborted" }));
    incoming.on("close", () => resolve({ error: "aborted" }));
  });
}

// A caller on a connection of its own, who reads every byte, and may leave at any of them.
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { JsonObject } from "../../src/chat.ts";

export interface Received {
  /** 0: the connection ended before there was one. */
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
  /** The answer ended as HTTP wants it. */
  isComplete: boolean;
}

export interface Calling {
  received: Promise<Received>;
  /** Resolves when so much of the answer has come; never when it ends before. */
  has(text: string): Promise<void>;
  leave(): void;
  /** Stops reading, so that the router's buffers fill up; and goes on. */
  pause(): void;
  resume(): void;
}

/** POSTs to `url`, without a pool: nothing is left when it is over. */
export function call(url: string, body: JsonObject, headers: Record<string, string> = {}): Calling {
  const sending = request(url, {
    method: "POST",
    agent: false,
    headers: { "content-type": "application/json", ...headers },
  });
  sending.end(JSON.stringify(body));
  return follow(sending);
}

export function get(url: string): Calling {
  const sending = request(url, { agent: false });
  sending.end();
  return follow(sending);
}

function follow(sending: ClientRequest): Calling {
  const received = Promise.withResolvers<Received>();
  const wanted = new Set<{ text: string; resolve(): void }>();
  let response: IncomingMessage | undefined;
  const parts: Buffer[] = [];
  const textSoFar = () => Buffer.concat(parts).toString("utf8");
  const end = () => {
    const { statusCode = 0, headers: told = {}, complete = false } = response ?? {};
    received.resolve({ status: statusCode, headers: told, text: textSoFar(), isComplete: complete });
  };
  const wake = () => {
    if (wanted.size === 0) return;
    const text = textSoFar();
    for (const want of wanted) {
      if (!text.includes(want.text)) continue;
      wanted.delete(want);
      want.resolve();
    }
  };
  sending.on("response", (incoming) => {
    response = incoming;
    incoming.on("data", (bytes: Buffer) => {
      parts.push(bytes);
      wake();
    });
    incoming.on("error", () => {});
    incoming.on("close", end);
    wake();
  });
  sending.on("error", () => {});
  sending.on("close", end);
  return {
    received: received.promise,
    has: (text) =>
      new Promise((resolve) => {
        wanted.add({ text, resolve });
        if (response !== undefined) wake();
      }),
    leave: () => sending.destroy(),
    pause: () => response?.pause(),
    resume: () => response?.resume(),
  };
}

// A provider whose every byte the test sends itself, and which sees when the router closes the connection.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface FakeCall {
  path: string;
  body: Record<string, unknown>;
  /** With which it was made. */
  key: string;
  /** Resolves when the exchange is over: `cut` when the router closed it before its end. */
  over: Promise<"cut" | "whole">;
  /** Events of a stream, the status line first. A string is sent as it is. */
  send(...events: (object | string)[]): void;
  end(): void;
  /** The connection breaks. */
  drop(): void;
  /** A whole answer. */
  answer(status: number, body: object, headers?: Record<string, string>): void;
}

export interface FakeProvider {
  /** Variables that lead openai and anthropic here. */
  env: Record<string, string>;
  calls: FakeCall[];
  /** The next call that has not been handed out, as soon as it comes. */
  next(): Promise<FakeCall>;
}

export async function startFakeProvider(): Promise<FakeProvider> {
  const calls: FakeCall[] = [];
  const waiting: ((call: FakeCall) => void)[] = [];
  const unseen: FakeCall[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    request.on("end", () => {
      const { authorization, "x-api-key": apiKey } = request.headers;
      const key = String(apiKey ?? authorization?.replace("Bearer ", ""));
      const call = callOf({ path: request.url ?? "", key, body: JSON.parse(text) }, response);
      calls.push(call);
      const waiter = waiting.shift();
      if (waiter === undefined) unseen.push(call);
      else waiter(call);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    env: { OPENAI_BASE_URL: `${url}/openai`, ANTHROPIC_BASE_URL: `${url}/anthropic` },
    calls,
    next: () => {
      const call = unseen.shift();
      return call === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(call);
    },
  };
}

function callOf(told: Pick<FakeCall, "path" | "key" | "body">, response: ServerResponse): FakeCall {
  response.on("error", () => {});
  const over = new Promise<"cut" | "whole">((resolve) => {
    response.on("close", () => resolve(response.writableFinished ? "whole" : "cut"));
  });
  return {
    ...told,
    over,
    send: (...events) => {
      if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of events) response.write(typeof event === "string" ? event : frameOf(event));
    },
    end: () => response.end(),
    drop: () => {
      // What was sent before must arrive: the connection breaks once it is out.
      response.write(": the end\n\n", () => response.destroy());
    },
    answer: (status, answer, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(answer));
    },
  };
}

/** Anthropic's events are named after their type. */
function frameOf(event: object): string {
  const name = "type" in event ? `event: ${String(event.type)}\n` : "";
  return `${name}data: ${JSON.stringify(event)}\n\n`;
}

/** A chunk as OpenAI sends it. */
export function chunk(delta: object, finish: string | null = null, id = "chatcmpl-fake1"): object {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  return { id, object: "chat.completion.chunk", created: 1_790_000_000, model: "gpt-6-luna-2026", choices };
}

export function usageChunk(prompt: number, completion: number): object {
  const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
  return { ...chunk({}), choices: [], usage };
}

export const DONE = "data: [DONE]\n\n";

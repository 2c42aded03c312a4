// The simulator and the official clients of the three providers, talking over loopback.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll } from "vitest";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";

export interface Clients {
  simulator: Simulator;
  openai: OpenAI;
  anthropic: Anthropic;
  google: GoogleGenAI;
}

/** Filled before the first test of the file that calls this. */
export function useSimulator(): Clients {
  const clients = {} as Clients;
  beforeAll(async () => {
    clients.simulator = await startSimulator({ record: true });
    const { url } = clients.simulator;
    clients.openai = new OpenAI({ apiKey: "sk-test", baseURL: `${url}/openai/v1`, maxRetries: 0 });
    clients.anthropic = new Anthropic({ apiKey: "sk-test", baseURL: `${url}/anthropic`, maxRetries: 0 });
    clients.google = new GoogleGenAI({ apiKey: "sk-test", httpOptions: { baseUrl: `${url}/google` } });
  });
  afterEach(() => {
    clients.simulator.setScript(undefined);
    clients.simulator.requests.length = 0;
  });
  afterAll(() => clients.simulator.close());
  return clients;
}

const paths = {
  openai: () => "/openai/v1/chat/completions",
  anthropic: () => "/anthropic/v1/messages",
  google: (model: string, stream: boolean) =>
    `/google/v1beta/models/${model}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
};

export const keys = {
  openai: { authorization: "Bearer sk-test" },
  anthropic: { "x-api-key": "sk-test", "anthropic-version": "2023-06-01" },
  google: { "x-goog-api-key": "sk-test" },
};

export type Name = keyof typeof paths;
export const names: Name[] = ["openai", "anthropic", "google"];

/** The smallest request each provider takes. */
export function smallest(name: Name, model: string, said = "Hello", stream = false): Record<string, unknown> {
  if (name === "google") return { contents: [{ role: "user", parts: [{ text: said }] }] };
  const body = { model, messages: [{ role: "user", content: said }], ...(stream ? { stream } : {}) };
  return name === "openai" ? body : { ...body, max_tokens: 1000 };
}

export interface PostOptions {
  stream?: boolean;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A bare HTTP request, for what no client would send or show. */
export function post(simulator: Simulator, name: Name, model: string, body: unknown, options: PostOptions = {}) {
  return fetch(simulator.url + paths[name](model, options.stream === true), {
    method: "POST",
    headers: { "content-type": "application/json", ...keys[name], ...options.headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

export function ask(simulator: Simulator, name: Name, model: string, options: PostOptions = {}) {
  return post(simulator, name, model, smallest(name, model, "Hello", options.stream === true), options);
}

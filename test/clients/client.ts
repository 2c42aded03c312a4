// What the tests ask of every client library, in words of no library: each client is one adapter of this.
import { expect } from "vitest";
import { z } from "zod";
import type { LedgerRows } from "../support/router.ts";
import type { SharedRouter } from "./shared-router.ts";

export interface Question {
  model: string;
  prompt: string;
  system?: string;
  maxTokens?: number;
  /** A data URL. */
  image?: string;
}

export interface Answer {
  text: string;
  /** In the client's own word. */
  finishReason: string | undefined;
  usage: Tokens;
}

export interface Tokens {
  input: number | undefined;
  output: number | undefined;
}

/** An answer that came in pieces, as the client handed them over. */
export interface Streamed extends Answer {
  pieces: string[];
}

export interface ToolRun extends Answer {
  /** Calls of the model in order, with arguments the client has parsed and checked. */
  calls: { name: string; args: unknown }[];
  /** Answers of the model, the last one without calls included. */
  turns: number;
}

/** What a program sees of an error. */
export interface Failure {
  /** The class, by which programs tell errors apart. */
  name: string;
  status: number | undefined;
  message: string;
  code: unknown;
  param: unknown;
}

export type Trouble =
  | "bad request"
  | "wrong key"
  | "not found"
  | "rate limit"
  | "server"
  | "too long"
  | "broken stream";

/** A client library in its ordinary use. Nothing is set but address, key, and that it does not retry. */
export interface ChatClient {
  name: string;
  /** Its words for the reasons an answer ends. */
  words: { stop: string; length: string };
  /** Its error class for each trouble. */
  errorNames: Record<Trouble, string>;
  ask(baseURL: string, question: Question): Promise<Answer>;
  stream(baseURL: string, question: Question): Promise<Streamed>;
  /** The answer as an object of the schema, parsed and checked by the client. */
  parse(baseURL: string, question: Question): Promise<Recipe>;
  parseStream(baseURL: string, question: Question): Promise<{ partial: unknown[]; whole: Recipe }>;
  /** The client's own loop over TOOLS, until an answer without calls. */
  runTools(baseURL: string, question: Question): Promise<ToolRun>;
  runToolsStreaming(baseURL: string, question: Question): Promise<ToolRun>;
  /** Takes the first piece of a stream and leaves by the client's way of aborting. */
  leave(baseURL: string, question: Question): Promise<void>;
  /** Throws what is no error of an API. */
  failure(error: unknown): Failure;
}

export const API_KEY = "sk-caller";

/** `window`: a model with a small context window, and how many tokens do not fit into it. */
export const FAMILIES = [
  { family: "OpenAI", model: "gpt-6-luna", provider: "openai", window: { model: "gpt-4o", tooMany: 130_000 } },
  {
    family: "Anthropic",
    model: "claude-haiku-5-5",
    provider: "anthropic",
    window: { model: "claude-haiku-4-5", tooMany: 202_000 },
  },
  {
    family: "Google",
    model: "gemini-3.8-flash",
    provider: "google",
    window: { model: "gemini-2.5-flash", tooMany: 1_050_000 },
  },
] as const;
export type Family = (typeof FAMILIES)[number];

/** A schema with what real ones have: nesting, a list, an enumeration, a value that may be null, a description. */
export const RECIPE = z.object({
  title: z.string().describe("Name of the dish"),
  course: z.enum(["starter", "main", "dessert"]),
  minutes: z.number().int(),
  vegetarian: z.boolean(),
  note: z.string().nullable(),
  ingredients: z.array(z.object({ name: z.string(), grams: z.number() })),
});
export type Recipe = z.infer<typeof RECIPE>;

export const CITY = z.object({ city: z.enum(["Oslo", "Lima"]) });
export const ZONE = z.object({ zone: z.enum(["UTC", "CET"]), seconds: z.boolean() });

/** Tools as a program has them: a schema, and what they do with arguments that fit it. */
export const TOOLS = {
  get_weather: {
    description: "Weather of a city",
    schema: CITY,
    run: ({ city }: z.infer<typeof CITY>) => `rain in ${city}`,
  },
  get_time: {
    description: "Time in a zone",
    schema: ZONE,
    run: ({ zone }: z.infer<typeof ZONE>) => `noon in ${zone}`,
  },
} as const;

export const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** What was booked for all attempts together. */
export function booked({ attempts }: LedgerRows): Tokens {
  const sum = (column: string) => attempts.reduce((total, row) => total + (row[column] as number), 0);
  return { input: sum("input_tokens"), output: sum("output_tokens") };
}

/** Waits for the provider to notice that nobody listens any more, and checks what was booked. */
export async function expectCancelled(router: SharedRouter): Promise<void> {
  await router.simulator.requests[0]?.client.closed;
  expect(router.simulator.requests[0]?.client.closedByClient).toBe(true);
  const { requests, attempts } = await router.ledger();
  expect(attempts).toHaveLength(1);
  expect(attempts[0]).toMatchObject({ end_reason: "cancelled", state: "settled" });
  expect(requests[0]).toMatchObject({ status: 499 });
}

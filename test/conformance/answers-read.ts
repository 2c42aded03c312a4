// Reads answers as a strict OpenAI client would: whatever would confuse one fails the test.
import { expect } from "vitest";
import type { JsonObject } from "../../src/chat.ts";
import { isObject, objectsIn } from "../../src/json.ts";

export interface ReadCall {
  id: string;
  name: string;
  arguments: unknown;
}

export interface Answer {
  text: string;
  reasoning: string;
  calls: ReadCall[];
  finish: unknown;
  usage: ReadUsage | undefined;
  warnings: string[];
  /** As it came, to be sent back. */
  message: JsonObject;
}

export interface StreamAnswer extends Answer {
  /** The error the stream ended with. */
  error: JsonObject | undefined;
  isDone: boolean;
}

export interface ReadUsage {
  prompt: number;
  completion: number;
  total: number;
  cached: number | undefined;
  reasoning: number | undefined;
}

export function readBody(json: JsonObject, warnings: string[]): Answer {
  expect(json.object).toBe("chat.completion");
  expect(json.id).toMatch(/./);
  expect(json.created).toEqual(expect.any(Number));
  const choices = objectsIn(json.choices);
  expect(choices).toHaveLength(1);
  const choice = choices[0] ?? {};
  const message = isObject(choice.message) ? choice.message : {};
  expect(message.role).toBe("assistant");
  return {
    text: textOf(message.content),
    reasoning: textOf(message.reasoning_content),
    calls: objectsIn(message.tool_calls).map(readCall),
    finish: choice.finish_reason,
    usage: readUsage(json.usage),
    warnings,
    message,
  };
}

function textOf(content: unknown): string {
  expect(content === undefined || content === null || typeof content === "string", JSON.stringify(content)).toBe(true);
  return typeof content === "string" ? content : "";
}

function readCall(call: JsonObject): ReadCall {
  expect(call.type).toBe("function");
  expect(call.id).toMatch(/./);
  const made = isObject(call.function) ? call.function : {};
  return { id: String(call.id), name: String(made.name), arguments: JSON.parse(String(made.arguments)) };
}

function readUsage(usage: unknown): ReadUsage | undefined {
  if (!isObject(usage)) return undefined;
  const prompt = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const completion = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {};
  const counted = (value: unknown) => (typeof value === "number" ? value : undefined);
  const read = {
    prompt: Number(usage.prompt_tokens),
    completion: Number(usage.completion_tokens),
    total: Number(usage.total_tokens),
    cached: counted(prompt.cached_tokens),
    reasoning: counted(completion.reasoning_tokens),
  };
  expect(read.total, JSON.stringify(usage)).toBe(read.prompt + read.completion);
  expect(read.cached ?? 0).toBeLessThanOrEqual(read.prompt);
  expect(read.reasoning ?? 0).toBeLessThanOrEqual(read.completion);
  return read;
}

interface Gathered {
  text: string;
  reasoning: string;
  calls: Map<number, { id: string; name: string; argumentsText: string }>;
  finishes: unknown[];
  roles: unknown[];
  details: JsonObject[];
}

/** Every delta is added to what came before it, as the simplest of clients do. */
export function readStream(text: string, warnings: string[]): StreamAnswer {
  const data = text
    .split(/\r?\n\r?\n/)
    .flatMap((block) => block.split(/\r?\n/).filter((line) => line.startsWith("data:")));
  const payloads = data.map((line) => line.slice(5).trim());
  const isDone = payloads.at(-1) === "[DONE]";
  const chunks = payloads.filter((payload) => payload !== "[DONE]").map((payload) => JSON.parse(payload) as JsonObject);
  const error = chunks.map((chunk) => chunk.error).find(isObject);
  const told: Gathered = { text: "", reasoning: "", calls: new Map(), finishes: [], roles: [], details: [] };
  const answers = chunks.filter((chunk) => chunk.error === undefined);
  for (const chunk of answers) {
    expect(
      chunk.object === "chat.completion.chunk" || objectsIn(chunk.choices).length === 0,
      JSON.stringify(chunk),
    ).toBe(true);
    expect(Array.isArray(chunk.choices), JSON.stringify(chunk)).toBe(true);
    for (const choice of objectsIn(chunk.choices)) addChoice(told, choice);
  }
  expect(new Set(answers.map(({ id }) => id).filter((id) => id !== "")).size).toBeLessThanOrEqual(1);
  const calls = [...told.calls.values()];
  expect([...told.calls.keys()]).toEqual(calls.map((_, index) => index));
  expect(told.finishes.length, `finish reasons: ${told.finishes.join(", ")}`).toBeLessThanOrEqual(1);
  // Clients that put the deltas together have no message without it.
  if (isDone) expect(told.roles).toContain("assistant");
  const toolCalls = calls.map(({ id, name, argumentsText }) => ({
    id,
    type: "function",
    function: { name, arguments: argumentsText },
  }));
  return {
    text: told.text,
    reasoning: told.reasoning,
    calls: error === undefined ? toolCalls.map(readCall) : [],
    finish: told.finishes[0],
    usage: readUsage(chunks.findLast((chunk) => isObject(chunk.usage))?.usage),
    warnings,
    error,
    isDone,
    message: {
      role: "assistant",
      content: told.text === "" ? null : told.text,
      ...(told.reasoning === "" ? {} : { reasoning_content: told.reasoning }),
      ...(told.details.length === 0 ? {} : { reasoning_details: told.details }),
      ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
    },
  };
}

function addChoice(told: Gathered, choice: JsonObject): void {
  if (choice.finish_reason !== null && choice.finish_reason !== undefined) told.finishes.push(choice.finish_reason);
  const delta = isObject(choice.delta) ? choice.delta : {};
  if (typeof delta.role === "string" && delta.role !== "") told.roles.push(delta.role);
  told.text += textOf(delta.content);
  told.reasoning += textOf(delta.reasoning_content);
  told.details.push(...objectsIn(delta.reasoning_details));
  for (const part of objectsIn(delta.tool_calls)) {
    expect(part.index, JSON.stringify(part)).toEqual(expect.any(Number));
    const call = told.calls.get(Number(part.index)) ?? { id: "", name: "", argumentsText: "" };
    told.calls.set(Number(part.index), call);
    const made = isObject(part.function) ? part.function : {};
    if (typeof part.id === "string") call.id += part.id;
    if (typeof made.name === "string") call.name += made.name;
    if (typeof made.arguments === "string") call.argumentsText += made.arguments;
  }
}

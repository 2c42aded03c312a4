// Examples, one JSON object per line: what goes in, what must be in the result, why, and where it went wrong elsewhere.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { toOpenApiSchema } from "../../providers/dialects/google/openapi-schema.ts";
import { toUsage } from "../../providers/dialects/google/usage.ts";
import {
  embeddingMethod,
  googleGenerate,
  toEmbeddingCalls,
  toEmbeddingList,
} from "../../providers/dialects/google-generate.ts";
import { google } from "../../providers/google.ts";
import { vertex } from "../../providers/vertex.ts";
import type { ChatBody, ChatEvent, ErrorKind, JsonObject, ProviderError } from "../../src/chat.ts";
import type { Provider } from "../../src/dialect.ts";
import { SseParser } from "../../src/sse.ts";
import { callOf, decodeText, encodeBody, memory, toCompletion } from "./google-harness.ts";

interface Vector {
  id: string;
  t: string;
  in: JsonObject;
  out: JsonObject;
  why: string;
  exact?: boolean;
  exactAt?: string;
  absent?: string[];
  dropped?: string[];
}

const vectors: Vector[] = readFileSync(new URL("google-generate/vectors.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Vector);

/** Where a vector of the collection was wrong for this router, its line says what is right, and this says why. */
const CORRECTED: Record<string, string> = {
  GT04: "`upstream_stream_truncated` instead of `incomplete_stream`: one code for every provider whose stream stops early",
};

const RUN: Record<string, (vector: Vector) => void> = {
  "req.gemini": checkRequest,
  "req.vertex": (vector) => checkRequest(vector, vertex),
  "schema.B": checkSchema,
  "res.gemini": checkResponse,
  "usage.gemini": checkUsage,
  "stream.gemini": checkStream,
  "err.gemini": checkError,
  "emb.gemini": checkEmbeddings,
  sse: checkSse,
};

describe.each(Object.keys(RUN))("%s", (t) => {
  for (const vector of vectors.filter((one) => one.t === t)) {
    const correction = CORRECTED[vector.id];
    test(`${vector.id}: ${vector.why}${correction === undefined ? "" : ` (${correction})`}`, () => RUN[t]!(vector));
  }
});

test("every vector is run", () => {
  expect(vectors.filter(({ t }) => RUN[t] === undefined).map(({ id }) => id)).toEqual([]);
  expect(vectors.length).toBeGreaterThan(90);
});

/** Some vectors say what the store holds beside the request. */
function checkRequest(vector: Vector, provider: Provider = google): void {
  const { req, store }: JsonObject = vector.in.req === undefined ? { req: vector.in } : vector.in;
  const asked = req as ChatBody;
  const encoded = encodeBody(asked, { provider, recall: storeOf(asked, store as Record<string, string> | undefined) });
  if (vector.out.error !== undefined) {
    expect(encoded.kind).toBe("refusal");
    if (encoded.kind === "refusal") expectError(encoded.error, vector.out.error as JsonObject);
    return;
  }
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  const body = JSON.parse(encoded.wire.body) as JsonObject;
  expectPart(body, vector);
  // The vectors name what was not honoured; whether it was dropped, clamped or downgraded is our finer distinction.
  if (vector.dropped) expect(encoded.warnings.map(fieldOf).sort()).toEqual([...vector.dropped].sort());
}

/** Signatures by id, as answers with these very calls would have left them. */
function storeOf(body: ChatBody, signatures: Record<string, string> = {}): (key: string) => JsonObject | undefined {
  const store = memory();
  const calls = body.messages.flatMap((message) => message.tool_calls ?? []);
  for (const { id = "", function: made } of calls) {
    if (signatures[id] === undefined) continue;
    const functionCall = { id, name: made?.name, args: JSON.parse(String(made?.arguments)) };
    const parts = [{ functionCall, thoughtSignature: signatures[id] }];
    store.observe(google.dialect.decodeBody({ candidates: [{ content: { parts } }] }, callOf(body)));
  }
  return store.recall;
}

function checkEmbeddings({ in: { req, up }, out }: Vector): void {
  const { repeat, ...body } = req as JsonObject;
  if (typeof repeat === "number") body.input = Array.from({ length: repeat }, () => "x");
  const model = String(body.model);
  const encoded = toEmbeddingCalls(body, model, embeddingMethod(model, "developer"));
  if (encoded.kind === "refusal") {
    expectError(encoded.error, out.error as JsonObject);
    return;
  }
  if (out.body !== undefined) expect(encoded.bodies).toEqual([out.body]);
  if (out.calls !== undefined) expect(encoded.bodies).toHaveLength(Number(out.calls));
  if (out.sizes !== undefined) expect(encoded.bodies.map(({ requests }) => (requests as []).length)).toEqual(out.sizes);
  if (out.res === undefined) return;
  const list = toEmbeddingList([up], body);
  expect(list.kind === "list" && { object: "list", data: list.data }).toEqual(out.res);
}

function checkSse({ in: input, out }: Vector): void {
  const chunks =
    typeof input.text === "string"
      ? [Buffer.from(input.text)]
      : [input.bytes_hex, input.then_hex].map((hex) => Buffer.from(String(hex), "hex"));
  const parser = new SseParser(1_000);
  const frames = [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end().frames];
  const data = frames.map((frame) => frame.data.trim()).filter((text) => text !== "" && text !== "[DONE]");
  expect(data.map((text) => JSON.parse(text))).toEqual(out.events);
}

function fieldOf(warning: string): string {
  return warning.replace(/^\w+:/, "").replace(/=.*$/, "");
}

function checkSchema(vector: Vector): void {
  expect(toOpenApiSchema(vector.in)).toEqual({ schema: vector.out });
}

function checkResponse(vector: Vector): void {
  const call = callOf({ model: "gemini-3.8-flash", messages: [] });
  const completion = toCompletion(googleGenerate.decodeBody(vector.in, call));
  if (vector.out.error === undefined) expectPart(completion, vector);
  else expectError(completion.error as ProviderError, vector.out.error as JsonObject);
}

function checkUsage(vector: Vector): void {
  const body = {
    candidates: [{ content: { parts: [{ text: "x" }] }, finishReason: "STOP" }],
    usageMetadata: vector.in,
  };
  const { usage } = toCompletion(googleGenerate.decodeBody(body, callOf({ model: "m", messages: [] })));
  expectPart(usage, vector);
  expect(toUsage(vector.in)).toBeDefined();
}

function checkStream(vector: Vector): void {
  const sse = (vector.in as unknown as JsonObject[]).map((payload) =>
    typeof payload.raw === "string" ? payload.raw : `data: ${JSON.stringify(payload)}\r\n\r\n`,
  );
  const events = decodeText(sse.join(""), callOf({ model: "gemini-3.8-flash", messages: [] }, { stream: true }));
  const { out } = vector;
  if (out.error !== undefined) expectError(errorOf(events), out.error as JsonObject);
  if (out.done !== undefined) expect(events.at(-1)?.type === "end").toBe(out.done);
  if (out.httpStatus !== undefined) expect(events.map(({ type }) => type)).toEqual(["error"]);
  if (Array.isArray(out.choices)) {
    out.choices.forEach((choice, i) => {
      expectChoice(events, i, choice as JsonObject);
    });
  } else expectChoice(events, 0, out);
  if (out.usage !== undefined) expectPart(toCompletion(events).usage, { ...vector, out: out.usage as JsonObject });
}

function expectChoice(events: ChatEvent[], index: number, out: JsonObject): void {
  const choices = toCompletion(events).choices as JsonObject[];
  const choice = choices.find((one) => one.index === index) ?? { message: {} };
  const message = choice.message as JsonObject;
  if (out.content !== undefined) expect(message.content ?? "").toBe(out.content);
  if (out.reasoning !== undefined) expect(message.reasoning_content).toBe(out.reasoning);
  if (out.finish_reason !== undefined) expect(choice.finish_reason).toBe(out.finish_reason);
  if (out.finishChunks !== undefined) expect(events.filter(({ type }) => type === "finish")).toHaveLength(1);
  const calls = (message.tool_calls ?? []) as { id: string; function: { name: string; arguments: string } }[];
  const parsed = calls.map((call) => ({ name: call.function.name, arguments: JSON.parse(call.function.arguments) }));
  if (out.tool_calls !== undefined) expect(parsed).toEqual(out.tool_calls);
  const deltas = (out.deltas ?? []) as { tool_calls?: JsonObject[] }[];
  const expected = deltas.flatMap((delta) => delta.tool_calls ?? []).map(({ index: _, ...call }) => call);
  if (expected.length > 0) expect(calls).toEqual(expected.map(toMatcher));
}

function errorOf(events: ChatEvent[]): ProviderError {
  const last = events.at(-1);
  if (last?.type !== "error") throw new Error("the stream did not end in an error");
  return last.error;
}

function checkError(vector: Vector): void {
  const { http, body, now } = vector.in;
  const error = googleGenerate.decodeError({
    status: http as number,
    headers: {},
    text: typeof body === "string" ? body : JSON.stringify(body),
    nowMs: Date.parse((now as string | undefined) ?? "2026-10-07T12:00:00Z"),
  });
  expectError(error, vector.out);
  if (vector.out.delayMs !== undefined) expect(error.retryAfterMs).toBe(vector.out.delayMs);
  const until = vector.out.cooldownUntil;
  if (until !== undefined) expect(Date.parse(String(now)) + (error.retryAfterMs ?? 0)).toBe(Date.parse(String(until)));
  if (vector.out.messageExcludes !== undefined) expect(error.message).not.toContain(vector.out.messageExcludes);
}

/** The vectors speak of HTTP statuses of a stand-alone adapter; here the kind decides, and retry.ts maps it. */
const KINDS: Record<number, ErrorKind[]> = {
  400: ["invalid_request", "unsupported", "context_length"],
  401: ["auth"],
  403: ["auth", "quota"],
  404: ["not_found"],
  429: ["rate_limited", "quota"],
  502: ["server", "malformed"],
  503: ["overloaded"],
};
const RETRYABLE: ErrorKind[] = ["rate_limited", "overloaded", "server", "malformed", "truncated", "timeout"];

function expectError(error: ProviderError, out: JsonObject): void {
  if (out.status !== undefined) expect(KINDS[out.status as number]).toContain(error.kind);
  if (out.retryable !== undefined) expect(RETRYABLE.includes(error.kind)).toBe(out.retryable);
  for (const field of ["code", "param", "message"] as const) {
    if (out[field] !== undefined) expect(error[field]).toBe(out[field]);
  }
}

function expectPart(result: unknown, { out, exact, exactAt, absent }: Vector): void {
  expect(result).toEqual(exact ? out : toMatcher(out));
  if (exactAt !== undefined) expect(at(result, exactAt)).toEqual(at(out, exactAt));
  for (const path of absent ?? []) expect(at(result, path), path).toBeUndefined();
}

function at(value: unknown, path: string): unknown {
  return path.split(".").reduce((holder, key) => (holder as JsonObject | undefined)?.[key], value);
}

/** Deep subset: objects may hold more, arrays not; `"/…/"` is a regular expression. */
function toMatcher(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toMatcher);
  if (typeof value === "string" && /^\/.*\/$/.test(value)) return expect.stringMatching(new RegExp(value.slice(1, -1)));
  if (typeof value !== "object" || value === null) return value;
  return expect.objectContaining(Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toMatcher(one)])));
}

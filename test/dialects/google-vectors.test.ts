// Examples, one JSON object per line: what goes in, what must be in the result, why, and where it went wrong elsewhere.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { toOpenApiSchema } from "../../providers/dialects/google/openapi-schema.ts";
import { toUsage } from "../../providers/dialects/google/usage.ts";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import type { ChatBody, ChatEvent, ErrorKind, JsonObject, ProviderError } from "../../src/chat.ts";
import type { ModelEntry } from "../../src/dialect.ts";
import { callOf, decodeText, encodeBody, toCompletion } from "./google-harness.ts";

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

/** Not covered yet, and why. */
const SKIPPED: Record<string, string> = {
  GR44: "needs the signature store, which is state and lives outside a pure dialect",
  GE01: "embeddings have no vocabulary yet",
  GE02: "embeddings have no vocabulary yet",
  GE03: "embeddings have no vocabulary yet",
  GS14: "citations have no event yet",
  GS15: "images out have no event yet",
  GT15: "bytes to events is src/sse.ts, tested there",
  GT16: "bytes to events is src/sse.ts, tested there",
};

const RUN: Record<string, (vector: Vector) => void> = {
  "req.gemini": checkRequest,
  "req.vertex": (vector) => checkRequest(vector, { id: "", features: { functionIds: false } }),
  "schema.B": checkSchema,
  "res.gemini": checkResponse,
  "usage.gemini": checkUsage,
  "stream.gemini": checkStream,
  "err.gemini": checkError,
};

describe.each(Object.keys(RUN))("%s", (t) => {
  for (const vector of vectors.filter((one) => one.t === t)) {
    const name = `${vector.id}: ${vector.why}`;
    if (SKIPPED[vector.id] === undefined) test(name, () => RUN[t]!(vector));
    else test.skip(`${name} (${SKIPPED[vector.id]})`, () => {});
  }
});

test("every vector is run or skipped for a reason", () => {
  const left = vectors.filter(({ id, t }) => RUN[t] === undefined && SKIPPED[id] === undefined);
  expect(left.map(({ id }) => id)).toEqual([]);
});

function checkRequest(vector: Vector, entry?: ModelEntry): void {
  const encoded = encodeBody(vector.in as ChatBody, { entry });
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

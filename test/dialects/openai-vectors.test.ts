// Examples from providers that speak Chat Completions their own way: what goes in, what must come out, and why.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import {
  type ChatBody,
  type ChatEvent,
  type ErrorKind,
  fold,
  type JsonObject,
  type ProviderError,
} from "../../src/chat.ts";
import type { AnswerHead, Call, LimitReading, ResponseHeaders } from "../../src/dialect.ts";
import { isObject } from "../../src/json.ts";
import { anyCall, decodeBody, decodeText, encode, providerOf, sseOf } from "./openai-harness.ts";

interface Vector {
  id: string;
  t: string;
  in: JsonObject & { provider: string };
  out: JsonObject;
  why: string;
  absent?: string[];
  dropped?: string[];
}

const vectors: Vector[] = readFileSync(new URL("openai-chat/vectors.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Vector);

/** The vectors call it by the name of the Chinese platform. */
const PROVIDERS: Record<string, string> = { zhipu: "zai" };

function named({ in: { provider } }: Vector): string {
  return PROVIDERS[provider] ?? provider;
}

const RUN: Record<string, (vector: Vector) => void> = {
  "req.dialect": checkRequest,
  "stream.dialect": checkStream,
  "usage.dialect": checkUsage,
  "err.dialect": checkError,
  hdr: checkHeaders,
};

describe.each(Object.keys(RUN))("%s", (t) => {
  for (const vector of vectors.filter((one) => one.t === t)) {
    test(`${vector.id}: ${vector.why}`, () => RUN[t]!(vector));
  }
});

test("every vector is run", () => {
  expect(vectors.filter(({ t }) => RUN[t] === undefined)).toEqual([]);
});

function checkRequest(vector: Vector): void {
  const encoded = encode(vector.in.req as ChatBody, { provider: named(vector) });
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  const body = JSON.parse(encoded.wire.body) as unknown;
  expectPart({ body }, vector.out);
  for (const path of vector.absent ?? []) expect(at({ body }, path), path).toBeUndefined();
  // Vectors that list what is dropped list all of it; repairs and clamped values are no drops.
  if (vector.dropped === undefined) return;
  const dropped = encoded.warnings.filter((warning) => warning.startsWith("dropped:"));
  expect(dropped.sort()).toEqual(vector.dropped.map((field) => `dropped:${field}`).sort());
}

const HEAD: AnswerHead = { createdS: 0, model: "m", includeUsage: true, usageExtras: () => undefined };

/** The answer in the shape the vectors look at it. */
function told(events: ChatEvent[]): JsonObject {
  const answer = fold(events);
  const body = openaiChatInbound.renderBody(answer, HEAD);
  const choice = (body.choices as JsonObject[])[0] ?? {};
  const message = isObject(choice.message) ? choice.message : {};
  const calls = (message.tool_calls ?? []) as { id: string; function: JsonObject }[];
  return {
    content: message.content ?? "",
    reasoning: message.reasoning_content ?? "",
    annotations: message.annotations,
    tool_calls: calls.map(({ id, function: called }, index) => ({ index, id, ...called })),
    finish_reason: answer.error === undefined ? choice.finish_reason : undefined,
    usage: body.usage,
    error: answer.error,
    done: events.at(-1)?.type === "end",
    deltas: events.filter(({ type }) => type !== "error"),
    httpStatus: answer.error?.status,
  };
}

function checkStream(vector: Vector): void {
  const chunks = vector.in.chunks as JsonObject[];
  const eof = chunks.some(({ eof }) => eof === true);
  const text = chunks
    .filter((chunk) => chunk.eof === undefined)
    .map((chunk) => {
      return typeof chunk.raw === "string" ? chunk.raw : sseOf([chunk]);
    });
  // With `reasoning_split`, that is with the models that are sent it.
  const call = anyCall({ provider: named(vector), model: isObject(vector.in.flags) ? "MiniMax-M2.7" : "m" });
  const result = told(decodeText(text.join("") + (eof ? "" : "data: [DONE]\n\n"), call));
  const { error, ...out } = vector.out;
  expectPart(result, out);
  if (!isObject(error)) {
    expect(result.error).toBeUndefined();
    return;
  }
  // The vectors name a status for failures that carried none; what the loop takes is the kind.
  if (error.code === "incomplete_stream") expect(result.error).toMatchObject({ kind: "truncated" });
  else if (error.status === 502) expect(result.error).toMatchObject({ kind: "server" });
  if (error.message !== undefined) expect(result.error).toMatchObject({ message: error.message });
}

function checkUsage(vector: Vector): void {
  const choices = [{ index: 0, message: { role: "assistant", content: "a" }, finish_reason: "stop" }];
  const call = anyCall({ provider: named(vector) });
  expectPart(told(decodeBody({ choices, usage: vector.in.usage }, call)).usage, vector.out);
}

/** What the vectors say of a failure, as the kind that has those consequences. */
function kindOf({ status, code }: JsonObject): ErrorKind | undefined {
  if (code === "context_length_exceeded") return "context_length";
  if (code === "content_filter") return "content_filter";
  if (code === "insufficient_quota") return "quota";
  if (code === "unsupported_parameter") return "unsupported";
  if (code === "tool_use_failed" || status === 502) return "server";
  if (status === 503) return "overloaded";
  if (status === 429) return "rate_limited";
  return undefined;
}

function checkError(vector: Vector): void {
  const { error, call } = errorOf(vector);
  expect(error).toBeDefined();
  const { message, code, param, retryAfterMs, cooldownUntil, retryOnce } = vector.out;
  const kind = kindOf(vector.out);
  if (kind === undefined) expect(["invalid_request", "unsupported"]).toContain(error?.kind);
  else expect(error).toMatchObject({ kind });
  // The code for want of money is set where errors are rendered: it is not the caller's money.
  if (kind !== undefined && kind !== "quota" && code !== undefined) expect(error).toMatchObject({ code });
  if (message !== undefined) expect(error).toMatchObject({ message });
  if (param !== undefined) expect(error).toMatchObject({ param });
  if (retryAfterMs !== undefined) expect(error).toMatchObject({ retryAfterMs });
  const now = Date.parse(String(vector.in.now));
  if (typeof cooldownUntil === "string") expect(error?.retryAfterMs).toBe(Date.parse(cooldownUntil) - now);
  if (typeof retryOnce !== "string" || error === undefined) return;
  const token = retryOnce.replace("without:", "drop:");
  expect(call.target.provider.dialect.repair?.(error, call)).toEqual({ token, isLasting: true });
}

/** What a request that would be sent the refused field holds. */
const HISTORY: ChatBody = {
  model: "m",
  presence_penalty: 1,
  messages: [{ role: "assistant", content: "a", reasoning_content: "r" }],
};

function errorOf(vector: Vector): { error: ProviderError | undefined; call: Call } {
  const { http, body, sse, now, headers } = vector.in;
  // This provider's profile keeps the field out from the start; the vector is about one that does not know yet.
  const provider = vector.id === "DX15" ? { keep: ["reasoning_content"] } : named(vector);
  const call = anyCall({ provider }, HISTORY);
  if (typeof http === "number" && http >= 400) {
    const nowMs = now === undefined ? 0 : Date.parse(String(now));
    const response = { status: http, headers: (headers ?? {}) as ResponseHeaders, text: JSON.stringify(body), nowMs };
    return { error: call.target.provider.dialect.decodeError(response), call };
  }
  const events = sse === undefined ? decodeBody(body, call) : decodeText(String(sse), call);
  return { error: fold(events).error, call };
}

function checkHeaders(vector: Vector): void {
  const given = Object.entries(vector.in.headers as Record<string, string>);
  const headers = Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value]));
  const { dialect } = providerOf(named(vector));
  const reading = dialect.readLimits?.(headers, Date.parse(String(vector.in.now)));
  expectPart(inWordsOfVectors(reading), vector.out);
  for (const path of vector.absent ?? []) expect(at(inWordsOfVectors(reading), path), path).toBeUndefined();
}

/** They write `requests-day`, and keep the windows of requests and tokens beside the list of all. */
function inWordsOfVectors(reading: LimitReading | undefined): JsonObject {
  const windows = (reading?.windows ?? []).map(({ name, resetAtMs, ...rest }) => ({
    name: name.replace("/", "-"),
    ...rest,
    ...(resetAtMs === undefined ? {} : { resetAt: new Date(resetAtMs).toISOString() }),
  }));
  const about = (subject: string) => windows.find(({ name }) => name.startsWith(subject));
  return {
    ...(reading?.retryAfterMs === undefined ? {} : { retryAfterMs: reading.retryAfterMs }),
    windows,
    requests: about("requests"),
    tokens: about("tokens"),
  };
}

/** `part` is a deep subset of `whole`; `{}` is anything, a "/…/" string is a pattern. */
function expectPart(whole: unknown, part: unknown, path = ""): void {
  if (typeof part === "string" && /^\/.*\/$/.test(part)) {
    expect(whole, path).toMatch(new RegExp(part.slice(1, -1)));
  } else if (Array.isArray(part)) {
    expect(whole, path).toHaveLength(part.length);
    part.forEach((inner, index) => {
      expectPart((whole as unknown[])[index], inner, `${path}[${index}]`);
    });
  } else if (isObject(part)) {
    for (const [key, inner] of Object.entries(part)) expectPart((whole as JsonObject)?.[key], inner, `${path}.${key}`);
  } else {
    expect(whole, path).toEqual(part);
  }
}

function at(value: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, key) => (inner as JsonObject | undefined)?.[key], value);
}

// Examples of the translation as data, each with the thread its trap comes from (`ref`): what goes in, what must come
// out at the caller, through the OpenAI face of the router. A line with `corrected` says why it differs from the
// specification it was written for.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { toolInput } from "../../providers/dialects/anthropic/assistant.ts";
import { legalId } from "../../providers/dialects/anthropic/ids.ts";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { Report } from "../../providers/dialects/report.ts";
import { durationMs } from "../../providers/dialects/retry-after.ts";
import { type ChatBody, type ChatEvent, fold, type JsonObject } from "../../src/chat.ts";
import type { AnswerHead, Call } from "../../src/dialect.ts";
import { isObject, objectsIn, parseJson } from "../../src/json.ts";
import { toCallerError, verdict } from "../../src/retry.ts";
import { SseParser } from "../../src/sse.ts";
import { anthropicCall, decodeChunks, sseOf, wireOf } from "./anthropic-calls.ts";

interface Vector {
  id: string;
  k: "req" | "resp" | "stream" | "err" | "hdr" | "sse" | "reactive" | "fn";
  m?: string;
  note?: string;
  in: unknown;
  out?: unknown;
  outPath?: JsonObject;
  absent?: string[];
  warn?: string[];
  err?: JsonObject;
  http?: { status: number; body: JsonObject };
  ctx?: { jsonTool?: string; customTools?: string[]; webSearch?: boolean };
  usage?: boolean;
  strict?: boolean;
  now?: string;
  retry?: boolean;
  failover?: boolean | "larger-context";
}

const vectors = readFileSync(new URL("anthropic-vectors/vectors.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Vector);

const each = (kind: Vector["k"]) =>
  vectors.filter(({ k }) => k === kind).map((vector) => [`${vector.id} ${vector.note ?? ""}`.trim(), vector] as const);

const head: AnswerHead = { createdS: 0, model: "claude-opus-5", includeUsage: true, usageExtras: () => undefined };

test("all examples of this direction are here", () => {
  const ids = (letter: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${letter}${String(i + 1).padStart(letter === "E" ? 1 : 2, "0")}`);
  const errors = ["X01", "X02", "X03", "X04", "X05", "X06", "X07", "X08", "X09", "X12"];
  const expected = [...ids("R", 80), ...ids("S", 13), ...ids("T", 14), ...ids("E", 8), ...errors, "H01", "H05"];
  expect(vectors.map(({ id }) => id).sort()).toEqual(expected.sort());
});

describe("a request", () => {
  const bodyOf = ({ m, in: given }: Vector): ChatBody => ({
    model: m ?? "",
    max_tokens: 100,
    messages: [{ role: "user", content: "hi" }],
    ...(given as JsonObject),
  });

  test.each(each("req"))("%s", (_, vector) => {
    const call = anthropicCall(bodyOf(vector), { strict: vector.strict });
    if (vector.err !== undefined) {
      const encoded = anthropicMessages.encode(call);
      if (encoded.kind !== "refusal") throw new Error(`sent: ${encoded.wire.body}`);
      expect(toCallerError(encoded.error)).toMatchObject(vector.err);
      return;
    }
    const { body, warnings } = wireOf(call);
    expect(body).toMatchObject(Object.fromEntries(Object.keys((vector.out ?? {}) as object).map((key) => [key, {}])));
    for (const [key, value] of Object.entries((vector.out ?? {}) as JsonObject)) expect(body[key]).toEqual(value);
    for (const [path, value] of Object.entries(vector.outPath ?? {})) expect(at(body, path)).toEqual(value);
    for (const key of vector.absent ?? []) expect(body).not.toHaveProperty([key]);
    if (vector.warn !== undefined) expect([...warnings].sort()).toEqual([...vector.warn].sort());
  });

  test("R14 illegal ids become legal ones", () => {
    const { in: given, out } = vectors.find(({ id }) => id === "R14") as Vector;
    expect((given as string[]).map(legalId)).toEqual(out);
  });

  test("R15 arguments of any kind become an object", () => {
    const { in: given, out } = vectors.find(({ id }) => id === "R15") as Vector;
    expect((given as string[]).map((text) => toolInput(text, new Report(false)))).toEqual(out);
  });
});

/** The request that made the answer, as far as decoding it depends on it. */
function callOf({ ctx = {} }: Vector): Call {
  const messages = [{ role: "user", content: "hi" }];
  if (ctx.jsonTool !== undefined) {
    const schema = { type: "object", properties: { a: {} } };
    const response_format = { type: "json_schema", json_schema: { name: "r", schema } };
    return anthropicCall({ model: "claude-3-haiku", messages, response_format });
  }
  const tools = (ctx.customTools ?? []).map((name) => ({ type: "custom", custom: { name } }));
  const search = ctx.webSearch ? { web_search_options: {} } : {};
  return anthropicCall({ model: "claude-opus-5", messages, tools, ...search });
}

describe("a buffered answer", () => {
  test.each(each("resp"))("%s", (_, vector) => {
    const { in: given, out, outPath, absent, err } = vector;
    const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-opus-5", stop_sequence: null };
    const answer = fold(anthropicMessages.decodeBody({ ...message, ...(given as JsonObject) }, callOf(vector)));
    if (err !== undefined) {
      expect(toCallerError(answer.error!)).toMatchObject(err);
      return;
    }
    const body = JSON.parse(JSON.stringify(openaiChatInbound.renderBody(answer, head))) as JsonObject;
    for (const [key, value] of Object.entries((out ?? {}) as JsonObject)) expect(body[key]).toEqual(value);
    for (const [path, value] of Object.entries(outPath ?? {})) expect(at(body, path)).toEqual(value);
    for (const key of absent ?? []) expect(body).not.toHaveProperty([key]);
  });
});

describe("a stream", () => {
  test.each(each("stream"))("%s", (_, vector) => {
    const events = decodeCalls(vector);
    const error = events.find((event) => event.type === "error")?.error;
    if (vector.http !== undefined) {
      expect(events.map(({ type }) => type).filter((type) => type !== "start" && type !== "usage")).toEqual(["error"]);
      const { status, ...caller } = toCallerError(error!);
      expect({ status, body: openaiChatInbound.renderError({ status, ...caller }) }).toEqual(vector.http);
      return;
    }
    const renderer = openaiChatInbound.renderer({ ...head, includeUsage: vector.usage === true });
    const tail = error === undefined ? "" : openaiChatInbound.renderStreamError(toCallerError(error));
    expect(shortForm(renderer.push(events) + tail)).toEqual(vector.out);
  });

  /** The events the caller's side sees: calls that a pause divides (`|`) as one answer. */
  function decodeCalls(vector: Vector): ChatEvent[] {
    const calls: JsonObject[][] = [[]];
    for (const item of vector.in as (string | JsonObject)[]) {
      if (item === "|") calls.push([]);
      else if (item !== "EOF") calls.at(-1)!.push(...expand(item));
    }
    let call = callOf(vector);
    const seen: ChatEvent[] = [];
    for (const [i, upstream] of calls.entries()) {
      const events = decodeChunks([sseOf(upstream)], call);
      const paused = events.find((event) => event.type === "continue");
      expect(paused !== undefined).toBe(i < calls.length - 1);
      seen.push(...events.filter((event) => event !== paused && (i === 0 || event.type !== "start")));
      if (paused !== undefined) call = { ...call, continuation: paused.state };
    }
    return seen;
  }

  function expand(item: string | JsonObject): JsonObject[] {
    if (typeof item !== "string") return [item];
    if (item === "S") {
      const usage = { input_tokens: 1, output_tokens: 1 };
      return [{ type: "message_start", message: { id: "msg_1", model: "claude-opus-5", content: [], usage } }];
    }
    const delta = { stop_reason: item.slice(2) };
    return [{ type: "message_delta", delta, usage: { output_tokens: 1 } }, { type: "message_stop" }];
  }

  /** Each chunk as `{d: delta, f?: finish_reason}`, `{usage}`, `{error}` or "[DONE]". */
  function shortForm(text: string): unknown[] {
    const lines = text.split("\n\n").filter((line) => line !== "");
    return lines.map((line) => {
      const chunk = parseJson(line.slice("data: ".length));
      if (!isObject(chunk)) return line.slice("data: ".length);
      if (chunk.error !== undefined) return chunk;
      const [choice] = objectsIn(chunk.choices);
      if (choice === undefined) return { usage: chunk.usage };
      return choice.finish_reason === null ? { d: choice.delta } : { d: choice.delta, f: choice.finish_reason };
    });
  }

  test.each(each("sse"))("%s", (_, vector) => {
    const parser = new SseParser(1_000_000);
    const bytes = Buffer.from((vector.in as string).replace("<C3>|<A9>", "\u00e9"));
    const cut = bytes.indexOf(0xc3) + 1;
    const frames = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap((chunk) => parser.push(chunk));
    expect([...frames, ...parser.end().frames].map(({ data }) => parseJson(data))).toEqual(vector.out);
  });
});

describe("an error answer", () => {
  interface ErrorIn {
    status: number;
    headers?: Record<string, string>;
    body?: unknown;
    rawBody?: string;
    message?: string;
  }
  const decode = ({ status, headers = {}, body, rawBody, message }: ErrorIn) => {
    const text =
      rawBody ?? JSON.stringify(body ?? { type: "error", error: { type: "invalid_request_error", message } });
    return anthropicMessages.decodeError({ status, headers, text, nowMs: 0 });
  };

  test.each(each("err"))("%s", (_, vector) => {
    if (Array.isArray(vector.in)) {
      for (const given of vector.in as ErrorIn[]) expect(decode(given).kind).not.toBe("context_length");
      return;
    }
    const error = decode(vector.in as ErrorIn);
    const {
      status,
      headers = {},
      error: expected,
    } = vector.out as {
      status: number;
      headers?: JsonObject;
      error: JsonObject;
    };
    const { status: told, ...caller } = toCallerError(error);
    expect({ status: told, error: caller }).toMatchObject({ status, error: expected });
    if (headers["retry-after-ms"] !== undefined) expect(String(error.retryAfterMs)).toBe(headers["retry-after-ms"]);
    const msLeft = 60_000;
    if (vector.retry !== undefined) {
      expect(verdict(error, { onTarget: 1, hasNext: false, msLeft }) === "again").toBe(vector.retry);
    }
    if (vector.failover === "larger-context") expect(error.kind).toBe("context_length");
    else if (vector.failover !== undefined) {
      expect(verdict(error, { onTarget: 1, hasNext: true, msLeft }) === "next").toBe(vector.failover);
    }
  });

  test.each(each("reactive"))("%s", (_, vector) => {
    const { status, message } = vector.in as { status: number; message: string };
    const body = { model: "claude-x", max_tokens: 200_000, messages: [{ role: "user", content: "hi" }] };
    const entry = { id: "claude-x", maxOutputTokens: 500_000 };
    const call = anthropicCall(body, { entry });
    const repair = anthropicMessages.repair?.(decode({ status, message }), call);
    expect(repair?.isLasting).toBe(true);
    const again = wireOf({ ...call, repairs: [repair!.token] });
    expect(again.body).toMatchObject((vector.out as { retryWith: JsonObject }).retryWith);
    expect(again.warnings).toEqual(["clamped:max_tokens"]);
  });
});

describe("rate-limit headers", () => {
  test.each(each("hdr"))("%s", (_, vector) => {
    const nowMs = Date.parse(vector.now!);
    const { windows } = anthropicMessages.readLimits!(vector.in as Record<string, string>, nowMs);
    // What a caller would be told in OpenAI's headers, taken apart again.
    for (const [header, value] of Object.entries(vector.out as Record<string, string>)) {
      const [, field, name] = /^x-ratelimit-(limit|remaining|reset)-(.*)$/.exec(header) ?? [];
      const window = windows.find((candidate) => candidate.name === name);
      if (field === "reset") expect(window!.resetAtMs! - nowMs).toBe(durationMs(value));
      else if (field !== undefined) expect(String(window![field as "limit" | "remaining"])).toBe(value);
    }
  });
});

function at(value: unknown, path: string): unknown {
  const keys = path.replaceAll(/\[(\d+)\]/g, ".$1").split(".");
  return keys.reduce<unknown>((inner, key) => (inner as JsonObject | undefined)?.[key], value);
}

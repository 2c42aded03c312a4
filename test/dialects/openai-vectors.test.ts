// Examples from providers that speak Chat Completions their own way: what goes in, what must come out, and why.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { openaiChat } from "../../providers/dialects/openai-chat.ts";
import { retryAfterMs } from "../../providers/dialects/retry-after.ts";
import { type ChatBody, type ChatEvent, type ErrorKind, fold, type JsonObject } from "../../src/chat.ts";
import type { AnswerHead } from "../../src/dialect.ts";
import { isObject } from "../../src/json.ts";
import { decodeBody, decodeText, encode, sseOf } from "./openai-harness.ts";

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

const MISTRAL = "Mistral's own words for tool choices, ids and message keys are not in the profile yet";
const LIMITS = "limit windows are not read yet";
/** Not covered yet, and why. */
const SKIPPED: Record<string, string> = {
  DR01: MISTRAL,
  DR02: MISTRAL,
  DR03: MISTRAL,
  DR04: "a no-op `n` is relayed as the caller sent it",
  DR05: "DeepSeek's thinking switch and its empty reasoning_content are not in the profile yet",
  DR06: "DeepSeek has no json_schema: the downgrade is not in the profile yet",
  DR07: "needs gates per model",
  DR08: "history is sent under the name it came with; renaming it is not in the profile yet",
  DR09: "merging turns is not in the profile yet",
  DR10: "merging system messages is not in the profile yet",
  DR11: "schema subsets are not in the profile yet",
  DR12: "DashScope's thinking switch is not in the profile yet",
  DR13: "DashScope's thinking switch is not in the profile yet",
  DR15: "Cohere's own protocol is another dialect",
  DR16: "Bedrock Converse is another dialect",
  DR17: "LM Studio's downgrades are not in the profile yet",
  DR18: "needs gates per model and the reasoning store",
  DT13: "cumulative snapshots (MiniMax) are not told apart from deltas yet",
  DT18: "citations have no event yet; the rest of it is the recorded case cumulative-message-beside-deltas",
  DT19: "Cohere's own protocol is another dialect",
  DT20: "Bedrock Converse is another dialect",
  DT21: "Bedrock Converse is another dialect",
  DU02: "cached tokens beside the prompt cannot be told from a wrong count without a note in the profile",
  DU03: "reasoning beside the completion that the total does not show needs a note in the profile",
  DX07: "Zhipu's numbers are not in the profile yet",
  DX10: LIMITS,
  DX12: LIMITS,
  DX13: "Zhipu's numbers are not in the profile yet",
  DX15: "needs a retry without the field; that it is no fault of the caller is tested below",
  DH01: LIMITS,
  DH02: LIMITS,
  DH03: LIMITS,
  DH06: LIMITS,
  DH07: LIMITS,
};

const RUN: Record<string, (vector: Vector) => void> = {
  "req.dialect": checkRequest,
  "stream.dialect": checkStream,
  "usage.dialect": checkUsage,
  "err.dialect": checkError,
  hdr: checkHeaders,
};

describe.each(Object.keys(RUN))("%s", (t) => {
  for (const vector of vectors.filter((one) => one.t === t)) {
    const name = `${vector.id}: ${vector.why}`;
    if (SKIPPED[vector.id] === undefined) test(name, () => RUN[t]!(vector));
    else test.skip(`${name} (${SKIPPED[vector.id]})`, () => {});
  }
});

test("every vector is run or skipped for a reason, and no reason outlives its vector", () => {
  expect(vectors.filter(({ t }) => RUN[t] === undefined)).toEqual([]);
  const ids = vectors.map(({ id }) => id);
  expect(Object.keys(SKIPPED).filter((id) => !ids.includes(id))).toEqual([]);
});

function checkRequest(vector: Vector): void {
  const encoded = encode(vector.in.req as ChatBody, { provider: vector.in.provider });
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  expectPart({ body: JSON.parse(encoded.wire.body) }, vector.out);
  for (const path of vector.absent ?? [])
    expect(at({ body: JSON.parse(encoded.wire.body) }, path), path).toBeUndefined();
  const dropped = encoded.warnings.map((warning) => warning.replace("dropped:", ""));
  expect(dropped.sort()).toEqual([...(vector.dropped ?? [])].sort());
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
  const result = told(decodeText(text.join("") + (eof ? "" : "data: [DONE]\n\n")));
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
  expectPart(told(decodeBody({ choices, usage: vector.in.usage })).usage, vector.out);
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
  const { http, body, sse } = vector.in;
  const isRefused = typeof http === "number" && http >= 400;
  const text = JSON.stringify(body);
  const events = sse === undefined ? decodeBody(body) : decodeText(String(sse));
  const error = isRefused
    ? openaiChat().decodeError({ status: http, headers: {}, text, nowMs: 0 })
    : fold(events).error;
  expect(error).toBeDefined();
  const { message, code, param } = vector.out;
  const kind = kindOf(vector.out);
  if (kind !== undefined) expect(error).toMatchObject({ kind });
  if (message !== undefined) expect(error).toMatchObject({ message });
  if (kind !== undefined && kind !== "quota" && code !== undefined) expect(error).toMatchObject({ code });
  if (param !== undefined && kind !== "unsupported") expect(error).toMatchObject({ param });
  if (kind === undefined) expect(["invalid_request", "unsupported"]).toContain(error?.kind);
}

function checkHeaders(vector: Vector): void {
  const headers = vector.in.headers as Record<string, string>;
  expect(retryAfterMs(headers, Date.parse(String(vector.in.now)))).toBe(vector.out.retryAfterMs);
}

test("a field that a provider does not know makes another candidate worth a try", () => {
  const { body } = vectors.find(({ id }) => id === "DX15")!.in;
  const response = { status: 400, headers: {}, text: JSON.stringify(body), nowMs: 0 };
  expect(openaiChat().decodeError(response).kind).toBe("unsupported");
});

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

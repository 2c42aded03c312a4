// Examples of the protocol: what goes in, what must come out, and why.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { type ChatBody, fold, type JsonObject } from "../../src/chat.ts";
import { isObject, objectsIn } from "../../src/json.ts";
import { converseCall, decodeEvents, encode } from "./bedrock-harness.ts";

interface Vector {
  id: string;
  t: "req.dialect" | "stream.dialect";
  in: { req: ChatBody; chunks: JsonObject[] };
  out: JsonObject;
  why: string;
  dropped?: string[];
}

const vectors: Vector[] = readFileSync(new URL("bedrock-converse/vectors.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Vector);

const RUN: Record<Vector["t"], (vector: Vector) => void | Promise<void>> = {
  "req.dialect": checkRequest,
  "stream.dialect": checkStream,
};

describe("vectors", () => {
  test.each(vectors.map((vector) => [`${vector.id}: ${vector.why}`, vector] as const))("%s", (_, vector) =>
    RUN[vector.t](vector),
  );
});

function checkRequest({ in: { req }, out, dropped }: Vector): void {
  const encoded = encode(req);
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  expect({ body: JSON.parse(encoded.wire.body) }).toMatchObject(out);
  const told = encoded.warnings.filter((warning) => warning.startsWith("dropped:"));
  expect(told.sort()).toEqual(dropped?.map((field) => `dropped:${field}`).sort());
}

async function checkStream({ in: { chunks }, out }: Vector): Promise<void> {
  const events = await decodeEvents(chunks, converseCall({ model: "m", messages: [] }));
  const answer = fold(events);
  const head = { createdS: 0, model: "m", includeUsage: true, usageExtras: () => undefined };
  const body = openaiChatInbound.renderBody(answer, head);
  const choice = objectsIn(body.choices)[0] ?? {};
  const message = isObject(choice.message) ? choice.message : {};
  const calls = objectsIn(message.tool_calls).map((call, index) => {
    return { index, id: call.id, ...(isObject(call.function) ? call.function : {}) };
  });
  const { error, done, ...whole } = out;
  expect({ ...message, finish_reason: choice.finish_reason, usage: body.usage, tool_calls: calls }).toMatchObject(
    whole,
  );
  // What the vectors call an incomplete stream has a kind of its own here.
  if (error === undefined) expect(answer.error).toBeUndefined();
  else expect(answer.error).toMatchObject({ kind: "truncated", code: "upstream_stream_truncated" });
  expect(events.at(-1)?.type).toBe(error === undefined ? "end" : "error");
  if (done !== undefined) expect(events.some(({ type }) => type === "end")).toBe(done);
}

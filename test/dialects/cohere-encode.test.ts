// What becomes of single fields and messages on their way to Cohere: one line of data each.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cohereChat } from "../../providers/dialects/cohere-chat.ts";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { type ChatBody, fold, type JsonObject } from "../../src/chat.ts";
import { callOf, decodeText, recordOf, sseOf } from "./cohere-harness.ts";

function linesOf<T>(file: string): T[] {
  const text = readFileSync(new URL(`cohere-chat/${file}`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

interface RequestCase {
  name: string;
  /** Beside a model and a question. */
  request: Partial<ChatBody>;
  strict?: boolean;
  repairs?: string[];
  /** Beside the model, and the question where messages are left out: to the letter. */
  body?: JsonObject;
  refusal?: JsonObject;
  warnings?: string[];
}

const HELLO = [{ role: "user", content: "q" }];

describe("a field goes out, or is reported", () => {
  test.each(linesOf<RequestCase>("requests.jsonl"))("$name", ({ request, strict, repairs, ...expected }) => {
    const body = { model: "command-a", messages: HELLO, ...request };
    const call = callOf(body, { ...(strict && { strict }), ...(repairs && { repairs }) });
    const told = recordOf(call);
    if (expected.refusal !== undefined) expect(told.refusal).toMatchObject(expected.refusal);
    else {
      expect(told.body).toEqual({ model: "command-a", messages: HELLO, ...expected.body });
      expect(told.warnings).toEqual(expected.warnings ?? []);
    }
  });
});

test("whatever a field holds, encoding never throws, and sends nothing that is null", () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  const fields = fc.dictionary(fc.constantFrom(...Object.keys(cohereChat.fields ?? {}), "unheard_of"), value);
  fc.assert(
    fc.property(fields, (extra) => {
      const { model, messages, ...others } = extra;
      const told = recordOf(callOf({ model: "command-a", messages: HELLO, ...others }));
      if (told.refusal === undefined) expect(Object.values(told.body as JsonObject)).not.toContain(null);
    }),
    { numRuns: 500 },
  );
});

interface Vector {
  id: string;
  t: string;
  in: { req: ChatBody; chunks: JsonObject[] };
  out: { body: JsonObject } & JsonObject;
  why: string;
  absent?: string[];
}

const vectors = linesOf<Vector>("vectors.jsonl");

describe("examples of the wire", () => {
  test.each(vectors.filter(({ t }) => t === "req.dialect"))("$id: $why", ({ in: { req }, out, absent = [] }) => {
    const told = recordOf(callOf(req));
    expect(told).toMatchObject(out);
    for (const path of absent) expect(told).not.toHaveProperty(path);
  });

  test.each(vectors.filter(({ t }) => t === "stream.dialect"))("$id: $why", ({ in: { chunks }, out }) => {
    const head = { createdS: 0, model: "m", includeUsage: true, usageExtras: () => undefined };
    const answer = fold(decodeText(sseOf(chunks)));
    const body = openaiChatInbound.renderBody(answer, head);
    const choice = (body.choices as JsonObject[])[0] ?? {};
    const message = choice.message as JsonObject;
    const calls = (message.tool_calls ?? []) as { id: string; function: JsonObject }[];
    expect({
      content: message.content ?? "",
      reasoning: message.reasoning_content,
      tool_calls: calls.map(({ id, function: called }) => ({ id, ...called })),
      finish_reason: choice.finish_reason,
      usage: body.usage,
    }).toMatchObject(out);
  });
});

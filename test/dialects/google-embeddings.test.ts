// Embeddings and token counts: the converters, before there are endpoints for them.
import { describe, expect, test } from "vitest";
import { DEVELOPER_API } from "../../providers/dialects/google/profile.ts";
import {
  countedTokens,
  countTokensCall,
  embeddingMethod,
  toEmbeddingCalls,
  toEmbeddingList,
} from "../../providers/dialects/google-generate.ts";
import type { ChatBody, JsonObject } from "../../src/chat.ts";
import { callOf, wireBody } from "./google-harness.ts";

function bodies(body: JsonObject, model: string, platform: "developer" | "vertex" = "developer"): JsonObject[] {
  const encoded = toEmbeddingCalls(body, model, embeddingMethod(model, platform));
  if (encoded.kind === "refusal") throw new Error(encoded.error.message);
  return encoded.bodies;
}

describe("embeddings", () => {
  test("say what they are for", () => {
    const [body] = bodies({ input: "a", task_type: "retrieval_document", title: "T" }, "gemini-embedding-2");
    const about = { taskType: "RETRIEVAL_DOCUMENT", title: "T" };
    expect(body).toEqual({
      requests: [{ model: "models/gemini-embedding-2", content: { parts: [{ text: "a" }] }, ...about }],
    });
  });

  test("on Vertex are asked for as each model wants it", () => {
    const body = { input: ["a", "b"], dimensions: 8, input_type: "CLUSTERING", auto_truncate: false };
    const parameters = { outputDimensionality: 8, autoTruncate: false };
    const instance = (content: string) => ({ content, task_type: "CLUSTERING" });
    expect(bodies(body, "text-embedding-005", "vertex")).toEqual([
      { instances: [instance("a"), instance("b")], parameters },
    ]);
    expect(bodies(body, "gemini-embedding-001", "vertex")).toEqual([
      { instances: [instance("a")], parameters },
      { instances: [instance("b")], parameters },
    ]);
    expect(bodies(body, "gemini-embedding-2", "vertex")[1]).toEqual({
      content: { parts: [{ text: "b" }] },
      embedContentConfig: { ...parameters, taskType: "CLUSTERING" },
    });
  });

  test.each<[what: string, body: JsonObject, param: string]>([
    ["an empty string", { input: ["a", ""] }, "input"],
    ["nothing", {}, "input"],
    ["an empty list", { input: [] }, "input"],
    ["tokens", { input: [1, 2] }, "input"],
    ["a size that is none", { input: "a", dimensions: 0 }, "dimensions"],
  ])("of %s are refused by name", (_, body, param) => {
    const encoded = toEmbeddingCalls(body, "m", embeddingMethod("m", "developer"));
    expect(encoded).toMatchObject({ kind: "refusal", error: { param } });
  });

  test("are put back in order, and their tokens add up when every answer told them", () => {
    const answer = (values: number[], promptTokenCount?: number) => ({
      embedding: { values },
      usageMetadata: { promptTokenCount },
    });
    const two = { input: ["a", "b"] };
    expect(toEmbeddingList([answer([1], 3), answer([2], 4)], two)).toEqual({
      kind: "list",
      data: [
        { object: "embedding", index: 0, embedding: [1] },
        { object: "embedding", index: 1, embedding: [2] },
      ],
      promptTokens: 7,
    });
    expect(toEmbeddingList([answer([1], 3), answer([2])], two)).toMatchObject({ promptTokens: undefined });
    const predictions = [{ embeddings: { values: [1], statistics: { token_count: 5 } } }];
    expect(toEmbeddingList([{ predictions }], { input: "a" })).toMatchObject({ promptTokens: 5 });
  });

  test("that are missing are an error and not a shorter list", () => {
    for (const answer of [undefined, {}, { embeddings: [{ values: [1] }] }, { embeddings: [{ values: "x" }, {}] }])
      expect(toEmbeddingList([answer], { input: ["a", "b"] })).toMatchObject({
        kind: "error",
        error: { kind: "malformed" },
      });
  });
});

describe("counting tokens", () => {
  const body: ChatBody = {
    model: "gemini-2.5-flash",
    messages: [
      { role: "system", content: "S" },
      { role: "user", content: "q" },
    ],
    tools: [{ type: "function", function: { name: "f" } }],
    tool_choice: "none",
    google: { safety_settings: [] },
  };
  const counted = (profile: typeof DEVELOPER_API) => {
    const call = countTokensCall(callOf(body), profile);
    if ("kind" in call) throw new Error(call.error.message);
    return { path: call.path, body: JSON.parse(call.body) as JsonObject };
  };
  const { contents, systemInstruction, tools, toolConfig } = wireBody(body);

  test("counts instructions and tools too, which takes a member of its own on the Gemini API", () => {
    expect(counted(DEVELOPER_API)).toEqual({
      path: "/models/gemini-2.5-flash:countTokens",
      body: {
        generateContentRequest: { model: "models/gemini-2.5-flash", contents, systemInstruction, tools, toolConfig },
      },
    });
    expect(counted({ ...DEVELOPER_API, wrapsCountedRequest: false }).body).toEqual({
      contents,
      systemInstruction,
      tools,
    });
  });

  test("refuses what the request itself would be refused for", () => {
    expect(countTokensCall(callOf({ ...body, max_tokens: 0 }), DEVELOPER_API)).toMatchObject({ kind: "refusal" });
  });

  test("reads the number and nothing else", () => {
    expect([{ totalTokens: 5 }, {}, null, { totalTokens: "5" }].map(countedTokens)).toEqual([
      5,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

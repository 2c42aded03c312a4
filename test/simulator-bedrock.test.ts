// What the simulated Converse refuses, as the real one would. That it takes what the router sends, and what it answers,
// is shown by the conformance suite.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";

let simulator: Simulator;
beforeAll(async () => {
  simulator = await startSimulator();
});
afterAll(() => simulator.close());

const CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const text = (said: string) => [{ text: said }];
const user = (content: unknown) => ({ role: "user", content });
const toolUse = { toolUse: { toolUseId: "t1", name: "f", input: {} } };
const toolResult = { toolResult: { toolUseId: "t1", content: text("x") } };
const toolConfig = { tools: [{ toolSpec: { name: "f", inputSchema: { json: { type: "object" } } } }] };
const called = { role: "assistant", content: [toolUse] };
const thinking = { type: "enabled", budget_tokens: 2_000 };

async function post(body: object, { model = "amazon.nova-pro-v1:0", key = "k", verb = "converse" } = {}) {
  const url = `${simulator.url}/bedrock-converse/model/${encodeURIComponent(model)}/${verb}`;
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(url, {
    method: "POST",
    headers,
    body: JSON.stringify({ messages: [user(text("a"))], ...body }),
  });
  return { status: answer.status, type: answer.headers.get("x-amzn-errortype"), body: await answer.text() };
}

const REFUSED: [what: string, body: object, message: RegExp, model?: string][] = [
  ["a field it does not know", { model: "m" }, /extraneous key \[model\]/],
  ["no messages", { messages: [] }, /at least one message/],
  [
    "a conversation that starts with the assistant",
    { messages: [{ role: "assistant", content: text("a") }] },
    /must start/,
  ],
  ["two turns of one role", { messages: [user(text("a")), user(text("b"))] }, /must alternate/],
  ["an empty turn", { messages: [user([])] }, /content field/],
  ["blank text", { messages: [user(text(" "))] }, /is blank/],
  ["two members in one block", { messages: [user([{ text: "a", image: {} }])] }, /exactly one known member/],
  ["an assistant's last word", { messages: [user(text("a")), { role: "assistant", content: text("b") }] }, /prefill/],
  ["a temperature above one", { inferenceConfig: { temperature: 1.5 } }, /inferenceConfig\.temperature/],
  [
    "calls without tools",
    { messages: [user(text("a")), called, user([toolResult])] },
    /toolConfig field must be defined/,
  ],
  [
    "a call without its result",
    { toolConfig, messages: [user(text("a")), called, user(text("b"))] },
    /toolResult blocks/,
  ],
  ["a result without its call", { toolConfig, messages: [user([toolResult])] }, /toolResult blocks/],
  [
    "a forced tool it does not have",
    { toolConfig: { ...toolConfig, toolChoice: { tool: { name: "g" } } } },
    /not among/,
  ],
  ["no tools in a tool configuration", { toolConfig: { tools: [] } }, /at least one tool/],
  ["an image by address", { messages: [user([{ image: { format: "png", source: { url: "u" } } }])] }, /no base64/],
  [
    "a document with an ending",
    { messages: [user([{ document: { format: "pdf", name: "a.pdf", source: { bytes: "AAAA" } } }])] },
    /name of a document/,
  ],
  ["a budget without a limit", { additionalModelRequestFields: { thinking } }, /must be greater/, CLAUDE],
  ["both kinds of sampling", { inferenceConfig: { temperature: 0.5, topP: 0.5 } }, /cannot both be specified/, CLAUDE],
];

describe("it refuses", () => {
  test.each(REFUSED)("%s", async (_, body, message, model) => {
    const refused = await post(body, model === undefined ? {} : { model });
    expect(refused).toMatchObject({ status: 400, type: expect.stringMatching(/^ValidationException:/) });
    expect((JSON.parse(refused.body) as { message: string }).message).toMatch(message);
  });

  test("a wrong key and an unknown path", async () => {
    expect(await post({}, { key: "sk-wrong" })).toMatchObject({ status: 403 });
    expect(await post({}, { verb: "invoke" })).toMatchObject({ status: 404 });
  });
});

test("it answers what it has no reason to refuse", async () => {
  const messages = [user(text("a")), called, user([toolResult])];
  expect(await post({ toolConfig, messages })).toMatchObject({
    status: 200,
    body: expect.stringContaining("end_turn"),
  });
});

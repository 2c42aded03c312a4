// The simulated Cohere is as strict as the real one is known to be, and streams in its own manner.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../src/chat.ts";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";

let simulator: Simulator;
beforeAll(async () => {
  simulator = await startSimulator();
});
afterAll(() => simulator.close());

const HELLO = [{ role: "user", content: "Hello" }];
const CALLED = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
const TOOL = { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } };

async function post(body: JsonObject, key = "k"): Promise<{ status: number; text: string }> {
  const response = await fetch(`${simulator.url}/cohere/v2/chat`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ model: "command-a-03-2025", messages: HELLO, ...body }),
  });
  return { status: response.status, text: await response.text() };
}

describe("what is not Cohere's is refused in its words", () => {
  test.each<[JsonObject, RegExp]>([
    [{ top_p: 0.5 }, /unknown field: parameter 'top_p'/],
    [{ seed: null }, /seed must not be null/],
    [{ p: 1 }, /p must be between 0.01 and 0.99/],
    [{ temperature: 1.5 }, /temperature must be between 0 and 1/],
    [{ tools: [] }, /tools must not be empty/],
    [{ tools: [TOOL], tool_choice: "required" }, /tool_choice must be REQUIRED or NONE/],
    [{ tools: [TOOL], strict_tools: true }, /at least one required parameter/],
    [{ tools: [TOOL], response_format: { type: "json_object" } }, /not supported with tools/],
    [{ response_format: { type: "json_schema" } }, /response_format.type/],
    [{ messages: [{ role: "developer", content: "x" }] }, /role must be one of/],
    [{ messages: [{ role: "user", content: "x", name: "bob" }] }, /unknown field: messages\[0\].name/],
    [{ messages: [...HELLO, { role: "assistant", content: "x", tool_calls: [CALLED] }] }, /must have no content/],
    [{ messages: [...HELLO, { role: "assistant", tool_calls: [CALLED] }] }, /missing results for tool calls c/],
    [{ messages: [...HELLO, { role: "tool", tool_call_id: "d", content: "x" }] }, /no tool call with id d/],
    [{ messages: [{ role: "user", content: "" }] }, /all messages must have content/],
  ])("%j", async (body, says) => {
    const { status, text } = await post(body);
    expect(text).toMatch(says);
    expect([400, 422]).toContain(status);
  });

  test("a wrong key", async () => {
    expect(await post({}, "sk-wrong")).toMatchObject({
      status: 401,
      text: expect.stringContaining("invalid api token"),
    });
  });
});

test("a stream is events with names, and ends with usage in two countings", async () => {
  const { text } = await post({ stream: true, tools: [TOOL] });
  expect(text).toMatch(/^event: message-start\ndata: \{"id":"/);
  for (const type of ["tool-plan-delta", "tool-call-start", "tool-call-delta", "tool-call-end"])
    expect(text).toContain(`event: ${type}\n`);
  expect(text).toMatch(/"finish_reason":"TOOL_CALL","usage":\{"billed_units":\{.*"tokens":\{[^\n]*\n\n$/);
});

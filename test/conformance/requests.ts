// Requests by chance, all of them valid at OpenAI: conversations with tool calls, parts, and fields of every kind.
import fc from "fast-check";
import type { JsonObject } from "../../src/chat.ts";
import { objectsIn } from "../../src/json.ts";

/** Words nobody uses, so that each can be told apart wherever it turns up. */
const word = fc.stringMatching(/^[a-z]{10}$/).map((letters) => `zq${letters}`);
const said = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(" "));
const parts = fc.array(
  said.map((text) => ({ type: "text", text })),
  { minLength: 1, maxLength: 2 },
);

const system = fc.record({ role: fc.constantFrom("system", "developer"), content: said });
const asked = fc.record({ role: fc.constant("user"), content: fc.oneof(said, parts) });
const told = fc.record({ role: fc.constant("assistant"), content: said });

const TOOLS = ["look_up", "book_it"];

const turn = fc.oneof(
  asked.map((message) => [message]),
  fc.tuple(asked, told),
  fc.tuple(asked, fc.constantFrom(...TOOLS), word, said, fc.nat(999)).map(([question, name, key, found, serial]) => {
    const id = `call_${key}${serial}`;
    const call = { id, type: "function", function: { name, arguments: JSON.stringify({ key }) } };
    return [
      question,
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: id, content: found },
    ];
  }),
);

const messages = fc
  .tuple(fc.option(system, { nil: undefined }), fc.array(turn, { maxLength: 3 }), asked)
  .map(([first, turns, last]) => [...(first === undefined ? [] : [first]), ...turns.flat(), last]);

const tool = (name: string) => ({
  type: "function",
  function: {
    name,
    description: `zqdescription of ${name}`,
    parameters: { type: "object", properties: { key: { type: "string" } }, required: ["key"] },
  },
});

const choice = fc.constantFrom("auto", "none", "required", { type: "function", function: { name: "look_up" } });
const tools = fc.record({ tools: fc.constant(TOOLS.map(tool)), tool_choice: choice }, { requiredKeys: ["tools"] });

const format = fc.constantFrom(
  { type: "text" },
  {
    type: "json_schema",
    json_schema: {
      name: "zqanswer",
      schema: {
        type: "object",
        properties: { zqkey: { type: "string" } },
        required: ["zqkey"],
        additionalProperties: false,
      },
    },
  },
);

const fields = fc.record(
  {
    frequency_penalty: fc.constantFrom(0, 0.5),
    max_completion_tokens: fc.integer({ min: 300, max: 900 }),
    metadata: fc.record({ zqkey: word }),
    parallel_tool_calls: fc.boolean(),
    presence_penalty: fc.constantFrom(0, 0.25),
    reasoning_effort: fc.constantFrom("low", "medium", "high"),
    response_format: format,
    seed: fc.integer({ min: 1_000, max: 9_000 }),
    stop: fc.oneof(word, fc.array(word, { minLength: 1, maxLength: 3 })),
    stream: fc.boolean(),
    temperature: fc.constantFrom(0.125, 0.75, 1),
    top_p: fc.constantFrom(0.625, 1),
    user: word,
  },
  { requiredKeys: [] },
);

/** Without `model`. */
export const requests: fc.Arbitrary<JsonObject> = fc
  .tuple(messages, fields, fc.option(tools, { nil: {} }))
  .map(([conversation, others, withTools]) => {
    const body: JsonObject = { messages: conversation, ...others, ...withTools };
    // OpenAI refuses these without tools, and a format beside a forced tool makes no sense.
    if (!("tools" in body)) delete body.parallel_tool_calls;
    if ("tool_choice" in body) delete body.response_format;
    return body;
  });

/** Whether tools were called in the conversation so far. */
export function hasCalls(body: JsonObject): boolean {
  return objectsIn(body.messages).some(({ role }) => role === "tool");
}

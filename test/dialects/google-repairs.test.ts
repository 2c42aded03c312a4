// What is changed when Google names what it does not accept, and how the next request says so.
import { describe, expect, test } from "vitest";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import type { ChatBody, ChatMessage, JsonObject } from "../../src/chat.ts";
import type { Repair } from "../../src/dialect.ts";
import { type CallOptions, callOf, encodeBody, wireBody } from "./google-harness.ts";

const ask: ChatMessage = { role: "user", content: "q" };

function request(model: string, fields: JsonObject): ChatBody {
  return { model, messages: [ask], ...fields };
}

/** What follows from a 400 with this message. */
function repairOf(message: string, body: ChatBody, options: CallOptions = {}): Repair | undefined {
  const text = JSON.stringify({ error: { code: 400, status: "INVALID_ARGUMENT", message } });
  const error = googleGenerate.decodeError({ status: 400, headers: {}, text, nowMs: 0 });
  return googleGenerate.repair?.(error, callOf(body, options));
}

function warningsOf(body: ChatBody, options: CallOptions): string[] {
  const encoded = encodeBody(body, options);
  return encoded.kind === "encoded" ? encoded.warnings : [`refused:${encoded.error.param}`];
}

interface Case {
  name: string;
  body: ChatBody;
  /** Also known of the model, beyond its id. */
  features?: JsonObject;
  message: string;
  repair: Repair;
  /** Of the repaired request. */
  generationConfig: JsonObject | undefined;
  warnings: string[];
}

const cases: Case[] = [
  {
    name: "penalties are left out",
    body: request("gemini-2.5-flash", { presence_penalty: 1, frequency_penalty: 1 }),
    features: { penalties: true },
    message: "Penalty is not enabled for models/gemini-2.5-flash",
    repair: { token: "drop:presence_penalty", isLasting: true },
    generationConfig: undefined,
    warnings: ["dropped:presence_penalty", "dropped:frequency_penalty"],
  },
  {
    name: "one answer is asked for instead of two",
    body: request("gemini-2.5-flash", { n: 2 }),
    message: "Multiple candidates is not enabled for this model",
    repair: { token: "drop:n", isLasting: true },
    generationConfig: undefined,
    warnings: ["dropped:n"],
  },
  {
    name: "log-probabilities are left out",
    body: request("gemini-2.5-flash", { logprobs: true, top_logprobs: 1 }),
    features: { logprobs: true },
    message: "Logprobs is not enabled for this model.",
    repair: { token: "drop:logprobs", isLasting: true },
    generationConfig: undefined,
    warnings: ["dropped:logprobs", "dropped:top_logprobs"],
  },
  {
    name: "a level that does not exist becomes the next one that does",
    body: request("gemini-3.5-flash", { reasoning_effort: "minimal" }),
    message: "Thinking level MINIMAL is not supported for this model.",
    repair: { token: "thinking:minimal", isLasting: true },
    generationConfig: { thinkingConfig: { thinkingLevel: "low", includeThoughts: true } },
    warnings: ["clamped:reasoning_effort=minimal->low"],
  },
  {
    name: "a level in the caller's own thinking config is left out",
    body: request("gemini-3.5-flash", {
      google: { thinking_config: { thinking_level: "MINIMAL", include_thoughts: true } },
    }),
    message: "Thinking level MINIMAL is not supported for this model.",
    repair: { token: "thinking:minimal", isLasting: true },
    generationConfig: { thinkingConfig: { includeThoughts: true } },
    warnings: ["dropped:google.thinking_config"],
  },
  {
    name: "a model that must think gets the smallest budget",
    body: request("gemini-2.5-flash", { reasoning_effort: "none" }),
    message: "Budget 0 is invalid. This model only works in thinking mode.",
    repair: { token: "thinking:0", isLasting: true },
    generationConfig: { thinkingConfig: { thinkingBudget: 128 } },
    warnings: ["clamped:reasoning_effort=none->128"],
  },
  {
    name: "a complaint without the level leaves thinking to the model",
    body: request("gemini-3.5-flash", { reasoning_effort: "low" }),
    message: "Thinking level of this kind is not supported.",
    repair: { token: "drop:reasoning_effort", isLasting: true },
    generationConfig: undefined,
    warnings: ["dropped:reasoning_effort"],
  },
];

const optionsOf = ({ features }: Case): CallOptions => (features === undefined ? {} : { entry: { id: "x", features } });

test.each(cases)("$name, and the caller is told", (one) => {
  const { body, message, repair, generationConfig, warnings } = one;
  const options = optionsOf(one);
  expect(repairOf(message, body, options)).toEqual(repair);
  const repaired = { ...options, repairs: [repair.token] };
  expect(wireBody(body, repaired).generationConfig).toEqual(generationConfig);
  expect(warningsOf(body, repaired)).toEqual(warnings);
});

test.each(cases)("strict callers get the error instead of a request that asks for less: $name", (one) => {
  const { body, message, repair } = one;
  const options = { ...optionsOf(one), strict: true };
  expect(repairOf(message, body, options)).toBeUndefined();
  expect(encodeBody(body, { ...options, repairs: [repair.token] })).toMatchObject({
    kind: "refusal",
    error: { kind: "unsupported" },
  });
});

test.each(cases)("a request that does not use it is not touched by what was learned: $name", ({ body, repair }) => {
  const plain = request(body.model, {});
  expect(encodeBody(plain, { repairs: [repair.token] })).toEqual(encodeBody(plain));
});

describe("schemas", () => {
  const schema = {
    type: "object",
    properties: {
      title: { type: "string", title: "T" },
      tags: { type: "array", items: { type: "string", title: "I" } },
    },
    additionalProperties: false,
  };
  const body = request("gemini-3.8-flash", {
    tools: [{ type: "function", function: { name: "f", parameters: schema } }],
    response_format: { type: "json_schema", json_schema: { name: "r", schema } },
  });
  const unknown = (name: string) =>
    `Invalid JSON payload received. Unknown name "${name}" at 'tools[0].function_declarations[0].parameters': Cannot find field.`;

  test("become the OpenAPI subset, without the keyword and without harm to a property of that name", () => {
    const repair = repairOf(unknown("title"), body);
    expect(repair).toEqual({ token: "schema:title", isLasting: true });
    const plain = {
      type: "OBJECT",
      properties: { title: { type: "STRING" }, tags: { type: "ARRAY", items: { type: "STRING" } } },
    };
    const repaired = { repairs: [repair!.token] };
    expect(wireBody(body, repaired)).toMatchObject({
      tools: [{ functionDeclarations: [{ name: "f", parameters: plain }] }],
      generationConfig: { responseSchema: plain },
    });
    expect(JSON.stringify(wireBody(body, repaired))).not.toMatch(/additionalProperties|JsonSchema|"T"|"I"/);
    expect(warningsOf(body, repaired)).toEqual(["repaired:schema"]);
    expect(warningsOf(body, { ...repaired, strict: true })).toEqual(["repaired:schema"]);
  });

  test("lose a second keyword with a second try, and the same one is not tried twice", () => {
    const repairs = ["schema:title"];
    expect(repairOf(unknown("title"), body, { repairs })).toBeUndefined();
    const described = { ...schema, description: "D" };
    const more = request("gemini-3.8-flash", {
      tools: [{ type: "function", function: { name: "f", parameters: described } }],
    });
    expect(repairOf(unknown("description"), more, { repairs })).toEqual({
      token: "schema:description",
      isLasting: true,
    });
    expect(JSON.stringify(wireBody(more, { repairs: [...repairs, "schema:description"] }))).not.toContain('"D"');
  });
});

describe("missing signatures", () => {
  const message = "Function call is missing a thought_signature in functionCall parts. Additional data: f, position 2.";
  const step = (id: string): ChatMessage[] => [
    { role: "assistant", tool_calls: [{ id, function: { name: "f", arguments: "{}" } }] },
    { role: "tool", tool_call_id: id, content: "ok" },
  ];
  const body = { model: "gemini-3.8-flash", messages: [ask, ...step("a"), ask, ...step("b")] };
  const signatures = (repairs: string[]) => {
    const { contents } = wireBody(body, { repairs }) as { contents: { role: string; parts: JsonObject[] }[] };
    return contents.filter(({ role }) => role === "model").map(({ parts }) => parts[0]?.thoughtSignature);
  };

  test("are stood in for in every turn, for this request only", () => {
    const sentinel = "skip_thought_signature_validator";
    expect(signatures([])).toEqual([undefined, sentinel]);
    expect(repairOf(message, body)).toEqual({ token: "signatures", isLasting: false });
    expect(signatures(["signatures"])).toEqual([sentinel, sentinel]);
  });

  test("are no reason for another try when nothing is left to sign", () => {
    expect(repairOf(message, { ...body, messages: body.messages.slice(3) })).toBeUndefined();
  });
});

test("errors that no change mends are not tried again", () => {
  const body = request("gemini-2.5-flash", { reasoning_effort: "low" });
  for (const message of ["API key not valid", "Unable to process input image", "something else"])
    expect(repairOf(message, body)).toBeUndefined();
});

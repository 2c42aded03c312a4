// What becomes of the fields of a request, model by model.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gatesOf } from "../../providers/dialects/google/gates.ts";
import type { ChatBody, ChatMessage, JsonObject, ProviderError } from "../../src/chat.ts";
import { type CallOptions, encodeBody, wireBody } from "./google-harness.ts";

const ask: ChatMessage = { role: "user", content: "q" };

function request(model: string, fields: JsonObject = {}): ChatBody {
  return { model, messages: [ask], ...fields };
}

function generationConfig(model: string, fields: JsonObject): unknown {
  return wireBody(request(model, fields)).generationConfig;
}

function warnings(model: string, fields: JsonObject): string[] {
  const encoded = encodeBody(request(model, fields));
  return encoded.kind === "encoded" ? encoded.warnings : [`refused:${encoded.error.param}`];
}

function refusalOf(body: ChatBody, options: CallOptions = {}): ProviderError | undefined {
  const encoded = encodeBody(body, options);
  return encoded.kind === "refusal" ? encoded.error : undefined;
}

describe("thinking", () => {
  const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
  // One row per kind of model, one column per effort.
  const table: [model: string, expected: (number | string | undefined)[]][] = [
    ["gemini-2.5-flash", [0, 1024, 1024, 8192, 24576, 24576, 24576]],
    ["gemini-2.5-flash-lite", [0, 1024, 1024, 8192, 24576, 24576, 24576]],
    ["gemini-2.5-pro", [128, 1024, 1024, 8192, 24576, 32768, 32768]],
    ["gemini-3-pro-preview", ["low", "low", "low", "high", "high", "high", "high"]],
    ["gemini-3.1-pro-preview", ["low", "low", "low", "medium", "high", "high", "high"]],
    ["gemini-3-flash-preview", ["minimal", "minimal", "low", "medium", "high", "high", "high"]],
    ["gemini-3.5-flash-lite", ["minimal", "minimal", "low", "medium", "high", "high", "high"]],
    ["gemini-3.7-flash", ["low", "low", "low", "medium", "high", "high", "high"]],
    ["models/gemini-9-ultra", ["low", "low", "low", "medium", "high", "high", "high"]],
    ["gemma-4-31b-it", ["minimal", "minimal", "high", "high", "high", "high", "high"]],
    ["gemma-3-27b-it", [undefined, undefined, undefined, undefined, undefined, undefined, undefined]],
    ["gemini-2.0-flash", [undefined, undefined, undefined, undefined, undefined, undefined, undefined]],
  ];

  test.each(table)("every effort has its amount on %s", (model, expected) => {
    const amounts = efforts.map((reasoning_effort) => {
      const config = generationConfig(model, { reasoning_effort }) as { thinkingConfig?: JsonObject } | undefined;
      return config?.thinkingConfig?.thinkingBudget ?? config?.thinkingConfig?.thinkingLevel;
    });
    expect(amounts).toEqual(expected);
  });

  test("an effort that becomes another one is reported, a budget that stands for it is not", () => {
    expect(warnings("gemini-3.8-flash", { reasoning_effort: "minimal" })).toEqual([
      "clamped:reasoning_effort=minimal->low",
    ]);
    expect(warnings("gemini-2.5-pro", { reasoning_effort: "none" })).toEqual(["clamped:reasoning_effort=none->128"]);
    expect(warnings("gemini-2.5-flash", { reasoning_effort: "max" })).toEqual([]);
    expect(warnings("gemini-2.0-flash", { reasoning_effort: "none" })).toEqual([]);
  });

  const spellings: [string, JsonObject, JsonObject | undefined][] = [
    ["OpenRouter's effort", { reasoning: { effort: "low" } }, { thinkingBudget: 1024, includeThoughts: true }],
    ["OpenRouter's budget", { reasoning: { max_tokens: 500 } }, { thinkingBudget: 500, includeThoughts: true }],
    [
      "OpenRouter's exclude",
      { reasoning: { exclude: true }, reasoning_effort: "low" },
      { thinkingBudget: 1024, includeThoughts: false },
    ],
    ["OpenRouter's off switch", { reasoning: { enabled: false } }, { thinkingBudget: 0 }],
    ["OpenRouter's on switch", { reasoning: { enabled: true } }, { includeThoughts: true }],
    [
      "Anthropic's budget",
      { thinking: { type: "enabled", budget_tokens: 2048 } },
      { thinkingBudget: 2048, includeThoughts: true },
    ],
    ["Anthropic's off switch", { thinking: { type: "disabled" } }, { thinkingBudget: 0 }],
    ["nothing", { reasoning: null, reasoning_effort: null }, undefined],
  ];

  test.each(spellings)("%s is understood", (_, fields, expected) => {
    const config = generationConfig("gemini-2.5-flash", fields) as JsonObject | undefined;
    expect(config?.thinkingConfig).toEqual(expected);
  });

  test("a budget outside the range of the model is clamped and reported", () => {
    expect(warnings("gemini-2.5-pro", { reasoning: { max_tokens: 100_000 } })).toEqual([
      "clamped:reasoning.max_tokens=100000->32768",
    ]);
  });

  test("an unknown effort is refused by name", () => {
    expect(refusalOf(request("gemini-2.5-flash", { reasoning_effort: "extreme" }))).toMatchObject({
      kind: "invalid_request",
      param: "reasoning_effort",
    });
  });
});

describe("gates", () => {
  test("an id nobody knows counts as the newest model", () => {
    expect(gatesOf("gemini-flash-latest", undefined)).toEqual(gatesOf("gemini-9.9-flash", undefined));
    expect(gatesOf("tunedModels/mine", undefined)).toMatchObject({ sampling: false, signatureEnforced: true });
  });

  test("the catalogue can correct what the id suggests", () => {
    const features = { sampling: true, functionIds: "no", effort: { minimal: "minimal", low: null, high: "high" } };
    expect(gatesOf("gemini-3.8-flash", { id: "x", features })).toMatchObject({
      sampling: true,
      functionIds: true,
      thinking: { kind: "level", levels: ["high"] },
    });
  });
});

describe("strict requests", () => {
  const refused: [what: string, model: string, fields: JsonObject, param: string, code: string][] = [
    ["a drop", "gemini-3.8-flash", { temperature: 0.2 }, "temperature", "unsupported_parameter"],
    ["an unknown field", "gemini-3.8-flash", { frobnicate: 1 }, "frobnicate", "unsupported_parameter"],
    ["storage that was asked for", "gemini-3.8-flash", { store: true }, "store", "unsupported_parameter"],
    ["a clamp", "gemini-3.8-flash", { reasoning_effort: "max" }, "reasoning_effort", "unsupported_value"],
    ["a clamped seed", "gemini-3.8-flash", { seed: 5e9 }, "seed", "unsupported_value"],
    [
      "a downgrade",
      "gemini-2.5-flash",
      { response_format: { type: "json_object" }, tools: [{ type: "function", function: { name: "f" } }] },
      "response_format",
      "unsupported_value",
    ],
  ];

  test.each(refused)("%s becomes a refusal that names the field", (_, model, fields, param, code) => {
    expect(refusalOf(request(model, fields))).toBeUndefined();
    expect(refusalOf(request(model, fields), { strict: true })).toMatchObject({ kind: "unsupported", param, code });
  });

  test("values that change nothing are still removed without a word", () => {
    const noOps = { temperature: 1, top_p: 1, n: 1, presence_penalty: 0, logprobs: false, logit_bias: {}, stop: null };
    const moreNoOps = {
      prediction: null,
      parallel_tool_calls: true,
      service_tier: "auto",
      user: "u",
      store: false,
      verbosity: "medium",
    };
    expect(refusalOf(request("gemini-3.8-flash", { ...noOps, ...moreNoOps }), { strict: true })).toBeUndefined();
  });
});

describe("refusals", () => {
  const parts = (part: JsonObject) => ({ messages: [{ role: "user", content: [part] }] });
  const refused: [what: string, fields: JsonObject, expected: Partial<ProviderError>][] = [
    ["an unknown content type", parts({ type: "hologram" }), { param: "messages[0].content[0].type" }],
    ["a data URL without data", parts({ type: "image_url", image_url: { url: "data:image/png;base64," } }), {}],
    ["an unknown audio format", parts({ type: "input_audio", input_audio: { data: "AA", format: "midi" } }), {}],
    ["a file of unknown type", parts({ type: "file", file: { file_data: "AAAA" } }), { code: "invalid_value" }],
    ["a file id of another vendor", parts({ type: "file", file: { file_id: "file-1" } }), { kind: "unsupported" }],
    ["an address of Google storage", parts({ type: "image_url", image_url: { url: "gs://b/a.png" } }), {}],
    [
      "a picture whose type the address hides",
      parts({ type: "image_url", image_url: { url: "https://x.org/a" } }),
      {
        code: "invalid_image_url",
        kind: "unsupported",
      },
    ],
    ["speech of a model that does not speak", { modalities: ["text", "audio"] }, { param: "modalities" }],
    ["a voice for a model that does not speak", { audio: { voice: "Kore" } }, { param: "audio", kind: "unsupported" }],
    ["an unknown modality", { modalities: ["smell"] }, { param: "modalities", kind: "invalid_request" }],
    ["more alternatives than there are", { logprobs: true, top_logprobs: 21 }, { param: "top_logprobs" }],
    ["a forced call without tools", { tool_choice: "required" }, { param: "tool_choice" }],
    [
      "a forced call of an unknown function",
      {
        tools: [{ type: "function", function: { name: "f" } }],
        tool_choice: { type: "function", function: { name: "g" } },
      },
      { param: "tool_choice", kind: "invalid_request" },
    ],
    [
      "a moderation policy that blocks",
      { moderation: { model: "omni-moderation-latest", policy: { input: { mode: "block" } } } },
      { param: "moderation", kind: "unsupported" },
    ],
    ["no output at all", { max_tokens: 0 }, { param: "max_tokens" }],
    ["empty messages", { messages: [{ role: "user", content: "" }] }, { param: "messages" }],
    ["a model id that climbs out of its path", { model: "../files/x" }, { param: "model" }],
    [
      "Google's search beside functions",
      { tools: [{ type: "google_search" }, { type: "function", function: { name: "f" } }] },
      { code: "unsupported_tool" },
    ],
    [
      "a reference that leads nowhere",
      {
        model: "gemini-2.0-flash",
        response_format: { type: "json_schema", json_schema: { schema: { $ref: "https://x.org/s" } } },
      },
      { code: "invalid_schema", param: "response_format.json_schema.schema" },
    ],
  ];

  test.each(refused)("%s is refused", (_, fields, expected) => {
    expect(refusalOf(request("gemini-2.5-flash", fields))).toMatchObject(expected);
  });
});

describe("parts", () => {
  const inline = (url: string) => wireBody(request("gemini-2.5-flash", { messages: [picture(url)] })).contents;
  const picture = (url: string): ChatMessage => ({
    role: "user",
    content: [{ type: "image_url", image_url: { url } }],
  });
  const inlined = (mimeType: string, data: string) => [{ role: "user", parts: [{ inlineData: { mimeType, data } }] }];

  test("base64 of other habits becomes the standard kind", () => {
    expect(inline("data:image/png;base64,a-_b\n cd")).toEqual(inlined("image/png", "a+/bcd=="));
  });

  test("a data URL without a type is known by its first bytes", () => {
    expect(inline("data:;base64,/9j/4AAQSkZJRg==")).toEqual(inlined("image/jpeg", "/9j/4AAQSkZJRg=="));
    expect(inline("data:;base64,AAAA")).toEqual(inlined("image/png", "AAAA"));
  });

  test("a percent-encoded data URL is encoded again", () => {
    const data = Buffer.from("<svg>é</svg>").toString("base64");
    expect(inline("data:image/svg+xml;charset=utf-8,%3Csvg%3E%C3%A9%3C/svg%3E")).toEqual(
      inlined("image/svg+xml", data),
    );
  });
});

describe("tools", () => {
  const tool = (name: string, more: JsonObject = {}) => ({ type: "function", function: { name, ...more } });
  const allowed = (mode: string) => ({
    type: "allowed_tools",
    allowed_tools: { mode, tools: [{ type: "function", function: { name: "b" } }] },
  });

  test("an optional subset is offered alone, a required one restricts the choice", () => {
    const tools = [tool("a"), tool("b")];
    expect(wireBody(request("gemini-2.5-flash", { tools, tool_choice: allowed("auto") }))).toMatchObject({
      tools: [{ functionDeclarations: [{ name: "b" }] }],
      toolConfig: { functionCallingConfig: { mode: "AUTO" } },
    });
    expect(wireBody(request("gemini-2.5-flash", { tools, tool_choice: allowed("required") }))).toMatchObject({
      tools: [{ functionDeclarations: [{ name: "a" }, { name: "b" }] }],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["b"] } },
    });
  });

  test("a renamed function keeps one name in declarations, history and results", () => {
    const messages: ChatMessage[] = [
      ask,
      { role: "assistant", tool_calls: [{ id: "c1", type: "function", function: { name: "1 x", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "c1", content: "ok" },
    ];
    const { contents, tools } = wireBody(request("gemini-2.5-flash", { messages, tools: [tool("1 x")] }));
    expect(tools).toEqual([{ functionDeclarations: [{ name: "_1_x" }] }]);
    expect(contents).toMatchObject([
      {},
      { parts: [{ functionCall: { name: "_1_x" } }] },
      { parts: [{ functionResponse: { name: "_1_x" } }] },
    ]);
  });

  test("a failed tool says so under the key Google documents", () => {
    const messages: ChatMessage[] = [
      ask,
      { role: "assistant", tool_calls: [{ id: "c1", function: { name: "f", arguments: "{}" } }] },
      { role: "tool", tool_call_id: "c1", content: "no such city", is_error: true },
    ];
    const { contents } = wireBody(request("gemini-2.5-flash", { messages }));
    expect(contents).toMatchObject([
      {},
      {},
      { parts: [{ functionResponse: { response: { error: "no such city" } } }] },
    ]);
  });

  test("two calls with the same id are answered in order", () => {
    const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
    const messages: ChatMessage[] = [
      ask,
      { role: "assistant", tool_calls: [call, call] },
      { role: "tool", tool_call_id: "c", content: "1" },
      { role: "tool", tool_call_id: "c", content: "2" },
    ];
    const { contents } = wireBody(request("gemini-2.5-flash", { messages }));
    expect(contents).toMatchObject([
      {},
      {},
      {
        parts: [
          { functionResponse: { response: { output: "1" } } },
          { functionResponse: { response: { output: "2" } } },
        ],
      },
    ]);
  });
});

describe("thought signatures", () => {
  const answered = (call: JsonObject, message: JsonObject = {}): ChatMessage[] => [
    ask,
    { role: "assistant", tool_calls: [{ id: "c1", function: { name: "f", arguments: "{}" }, ...call }], ...message },
    { role: "tool", tool_call_id: "c1", content: "ok" },
  ];
  const places: [string, ChatMessage[]][] = [
    ["Google's", answered({ extra_content: { google: { thought_signature: "S" } } })],
    ["LiteLLM's", answered({ provider_specific_fields: { thought_signature: "S" } })],
    ["the function's", answered({ function: { name: "f", arguments: "{}", thought_signature: "S" } })],
    ["OpenRouter's", answered({}, { reasoning_details: [{ type: "reasoning.encrypted", id: "c1", data: "S" }] })],
  ];

  test.each(places)("are taken from %s place", (_, messages) => {
    const { contents } = wireBody(request("gemini-3.1-pro-preview", { messages }));
    expect(contents).toMatchObject([{}, { parts: [{ thoughtSignature: "S" }] }, {}]);
  });

  test("every step of the current turn gets the stand-in, results do not begin a new turn", () => {
    const messages = [...answered({}), ...answered({}).slice(1)];
    const { contents } = wireBody(request("gemini-3.1-pro-preview", { messages })) as { contents: JsonObject[] };
    const signatures = contents.map(({ parts }) => (parts as JsonObject[])[0]?.thoughtSignature);
    const sentinel = "skip_thought_signature_validator";
    expect(signatures).toEqual([undefined, sentinel, undefined, sentinel, undefined]);
  });

  test("a signed text is cut where the signed part began", () => {
    const detail = { type: "reasoning.encrypted", format: "google-gemini-v1", data: "S", text_offset: 3 };
    const messages = [ask, { role: "assistant", content: "abcdef", reasoning_details: [detail] }, ask];
    const { contents } = wireBody(request("gemini-3.8-flash", { messages }));
    expect(contents).toMatchObject([{}, { parts: [{ text: "abc" }, { text: "def", thoughtSignature: "S" }] }, {}]);
  });
});

test("what a message says beyond its content is reported by path", () => {
  const messages = [{ ...ask, name: "bob" }, { role: "assistant", content: "a", audio: { id: "x" } }, ask];
  expect(warnings("gemini-2.5-flash", { messages })).toEqual(["dropped:messages[0].name", "dropped:messages[1].audio"]);
});

test("repairs are reported, and strict requests get them as well", () => {
  const call = { id: "c1", function: { name: "f", arguments: "[1]" } };
  const answered = [ask, { role: "assistant", tool_calls: [call] }, { role: "tool", tool_call_id: "c1", content: "" }];
  const warningsOf = (messages: ChatMessage[]) => {
    const encoded = encodeBody({ model: "gemini-2.5-flash", messages }, { strict: true });
    return encoded.kind === "encoded" && encoded.warnings;
  };
  expect(warningsOf(answered)).toEqual(["repaired:tool_arguments"]);
  expect(warningsOf([{ role: "system", content: "S" }])).toEqual(["repaired:system_only"]);
});

test("the translation of a request does not change it", () => {
  const body = request("gemini-2.0-flash", {
    tools: [
      {
        type: "function",
        function: { name: "f", parameters: { type: "object", properties: { a: { const: 1 } }, $defs: {} } },
      },
    ],
  });
  const before = structuredClone(body);
  encodeBody(body);
  expect(body).toEqual(before);
});

test("a warning holds no separator and no character a header cannot carry", () => {
  const [warning] = warnings("gemini-2.5-flash", { "a,b;ż\n\ud800": 1 });
  expect(warning).toBe("dropped:a%2Cb%3B%C5%BC%0A%EF%BF%BD");
});

test("whatever the values of the fields, the request is encoded or refused, and never fails", () => {
  const models = ["gemini-2.0-flash", "gemini-2.5-pro", "gemini-3.8-flash", "gemma-3-27b-it"];
  const fields = [
    ...["temperature", "stop", "n", "seed", "tools", "tool_choice", "functions", "function_call", "response_format"],
    ...["reasoning", "thinking", "reasoning_effort", "google", "extra_body", "modalities", "web_search_options"],
    ...["presence_penalty", "service_tier", "max_tokens"],
  ];
  const value = fc.oneof(
    fc.jsonValue(),
    fc.array(fc.dictionary(fc.constantFrom("type", "function", "name"), fc.jsonValue())),
  );
  fc.assert(
    fc.property(fc.constantFrom(...models), fc.dictionary(fc.constantFrom(...fields), value), (model, body) => {
      expect(["encoded", "refusal"]).toContain(encodeBody(request(model, body as JsonObject)).kind);
    }),
    { numRuns: 300 },
  );
});

test("whatever the messages hold, the request is encoded or refused, and never fails", () => {
  const part = fc.record({
    type: fc.constantFrom("text", "image_url", "input_audio", "file", "video_url", "refusal", "x"),
    text: fc.string(),
    image_url: fc.jsonValue(),
    video_url: fc.jsonValue(),
    input_audio: fc.jsonValue(),
    file: fc.dictionary(fc.constantFrom("file_data", "file_id", "filename"), fc.jsonValue()),
  });
  const message = fc.record(
    {
      role: fc.constantFrom("system", "user", "assistant", "tool", "function"),
      content: fc.oneof(fc.string(), fc.constant(null), fc.array(part)),
      tool_calls: fc.array(fc.dictionary(fc.constantFrom("id", "function", "custom", "extra_content"), fc.jsonValue())),
      tool_call_id: fc.constantFrom("a", "b"),
      reasoning_details: fc.jsonValue(),
    },
    { requiredKeys: ["role"] },
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 6 }), (messages) => {
      const body = { model: "gemini-3.1-pro-preview", messages: messages as unknown as ChatMessage[] };
      expect(["encoded", "refusal"]).toContain(encodeBody(body).kind);
    }),
    { numRuns: 300 },
  );
});

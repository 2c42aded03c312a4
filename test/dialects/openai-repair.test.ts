// What is learned from a provider that names a field it does not take.
import { describe, expect, test } from "vitest";
import type { ChatBody, ProviderError } from "../../src/chat.ts";
import { callOf, encode } from "./openai-harness.ts";

const request: ChatBody = {
  model: "m",
  messages: [
    { role: "user", content: "q", name: "ann" },
    { role: "assistant", content: "a", metadata: { a: "b" } },
  ],
  tools: [{ type: "function", function: { name: "f", strict: true, parameters: {} } }],
  response_format: { type: "json_object" },
  presence_penalty: 1,
  temperature: 0.5,
  parallel_tool_calls: false,
  max_tokens: 5,
  stream: true,
};

/** The repair for a refusal in these words. */
function learned(
  message: string,
  options: { code?: string; param?: string; strict?: boolean; repairs?: string[] } = {},
) {
  const { code, param = null, ...rest } = options;
  const call = callOf(request, rest);
  const { dialect } = call.target.provider;
  const text = JSON.stringify({ error: { message, code: code ?? null, param, type: "invalid_request_error" } });
  return dialect.repair?.(dialect.decodeError({ status: 400, headers: {}, text, nowMs: 0 }), call);
}

function sent(repairs: string[]): { body: ChatBody; warnings: string[] } {
  const encoded = encode(request, { repairs });
  if (encoded.kind === "refusal") throw new Error(`refused: ${encoded.error.message}`);
  return { body: JSON.parse(encoded.wire.body) as ChatBody, warnings: encoded.warnings };
}

describe("the field is found in whatever sentence names it", () => {
  test.each([
    ["Unsupported parameter: 'presence_penalty' is not supported with this model.", "drop:presence_penalty"],
    ["Argument not supported on this model: presencePenalty", "drop:presence_penalty"],
    ["This model does not support parameter parallel_tool_calls", "drop:parallel_tool_calls"],
    ["Unrecognized request argument supplied: stream_options", "drop:stream_options"],
    ["property 'temperature' is unsupported", "drop:temperature"],
    ['Invalid JSON payload received. Unknown name "presencePenalty": Cannot find field.', "drop:presence_penalty"],
    ["'messages.0' : for 'role:user' … property 'name' is unsupported", "drop:messages[].name"],
    ["property 'metadata' is unsupported", "drop:messages[].metadata"],
    ["property 'strict' is unsupported", "drop:tools[].function.strict"],
    ["Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "swap:output_limit"],
  ])("%s", (message, token) => {
    expect(learned(message)).toEqual({ token, isLasting: true });
  });

  test("or in the error's own member", () => {
    expect(learned("Unsupported value", { code: "unsupported_parameter", param: "temperature" })?.token).toBe(
      "drop:temperature",
    );
    expect(learned("extra_forbidden", { param: "body.messages.0.user.name" })?.token).toBe("drop:messages[].name");
  });
});

test.each(["model", "messages", "tools", "response_format", "stream", "role", "content", "parameters", "nothing"])(
  "a request is never made without %s",
  (field) => {
    expect(learned(`property '${field}' is unsupported`)).toBeUndefined();
  },
);

test("a value that is refused says nothing of other values, unless only the default is taken", () => {
  const code = "unsupported_value";
  expect(learned("Unsupported value: 'temperature' does not support 0.5 with this model.", { code })).toEqual({
    token: "drop:temperature",
    isLasting: false,
  });
  const only = "Unsupported value: 'temperature' does not support 0.5. Only the default (1) value is supported.";
  expect(learned(only, { code })).toEqual({ token: "drop:temperature", isLasting: true });
});

test("the same thing is not tried twice", () => {
  const message = "Unsupported parameter: 'temperature'";
  expect(learned(message, { repairs: ["drop:temperature"] })).toBeUndefined();
  const limit = "Unsupported parameter: 'max_tokens'";
  expect(learned(limit, { repairs: ["swap:output_limit"] })).toBeUndefined();
});

test("other failures are not repaired, and strict callers are told", () => {
  expect(learned("messages must alternate")).toBeUndefined();
  expect(learned("Unsupported parameter: 'temperature'", { strict: true })).toBeUndefined();
  const call = callOf(request);
  const unsent: ProviderError = {
    kind: "unsupported",
    message: "Unsupported parameter: 'temperature'",
    param: "temperature",
  };
  expect(call.target.provider.dialect.repair?.(unsent, call)).toBeUndefined();
});

describe("what was learned is applied and reported", () => {
  test("to fields", () => {
    const { body, warnings } = sent(["drop:temperature", "drop:stream_options"]);
    expect(body).not.toHaveProperty("temperature");
    expect(body).not.toHaveProperty("stream_options");
    expect(warnings).toEqual(["dropped:temperature"]);
  });

  test("to members of messages and tools", () => {
    const { body, warnings } = sent(["drop:messages[].name", "drop:tools[].function.strict"]);
    expect(body.messages[0]).toEqual({ role: "user", content: "q" });
    expect(body.tools?.[0]?.function).toEqual({ name: "f", parameters: {} });
    expect(warnings).toEqual(["dropped:messages[].name", "dropped:tools[].function.strict"]);
    // The caller's own request is as it was.
    expect(request.messages[0]?.name).toBe("ann");
  });

  test("to the name of the output limit", () => {
    const { body } = sent(["swap:output_limit"]);
    expect(body).toMatchObject({ max_completion_tokens: 5 });
    expect(body).not.toHaveProperty("max_tokens");
  });

  test("a request that does not hold the field goes as it is", () => {
    expect(sent(["drop:seed", "drop:messages[].audio"])).toMatchObject({ warnings: [] });
  });

  test("strict callers are refused what others are sent without", () => {
    const encoded = encode(request, { repairs: ["drop:temperature"], strict: true });
    expect(encoded).toMatchObject({ kind: "refusal", error: { param: "temperature" } });
  });
});

test("a model on the other route is asked for there", () => {
  const options = { provider: "bedrock", baseUrl: "https://bedrock-mantle.us-east-1.api.aws" };
  const call = callOf(request, options);
  const error: ProviderError = { kind: "not_found", status: 404, message: "model x isn't supported on this route" };
  expect(call.target.provider.dialect.repair?.(error, call)).toEqual({ token: "other_route", isLasting: true });
  const path = (repairs: string[]) => {
    const encoded = encode(request, { ...options, repairs });
    return encoded.kind === "encoded" && encoded.wire.path;
  };
  expect(path([])).toBe("/openai/v1/chat/completions");
  expect(path(["other_route"])).toBe("/v1/chat/completions");
  // Where there is one route only, nothing helps.
  const other = callOf(request);
  expect(other.target.provider.dialect.repair?.(error, other)).toBeUndefined();
});

test("a deployment in the address of the older Azure API is called with a version", () => {
  const baseUrl = "https://acme.openai.azure.com/openai/deployments/gpt";
  const encoded = encode(request, { provider: "azure", baseUrl });
  expect(encoded.kind === "encoded" && encoded.wire.path).toBe("/chat/completions?api-version=2024-10-21");
});

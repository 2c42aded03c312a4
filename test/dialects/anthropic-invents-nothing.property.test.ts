// Whatever the request, what goes on the wire comes from it, from the model's profile, or from a short list of words.
import fc from "fast-check";
import { expect, test } from "vitest";
import { legalId } from "../../providers/dialects/anthropic/ids.ts";
import { profileOf } from "../../providers/dialects/anthropic/profile.ts";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import type { ChatBody, ChatMessage, JsonObject } from "../../src/chat.ts";
import { isObject, parseJson } from "../../src/json.ts";
import { anthropicCall } from "./anthropic-calls.ts";

/** Values of Anthropic's own vocabulary. */
const VOCABULARY = [
  ..."user assistant system text image document tool_use tool_result thinking redacted_thinking base64 url file".split(
    " ",
  ),
  ..."enabled adaptive disabled between_tools summarized omitted low medium high xhigh max".split(" "),
  ..."auto any none tool ephemeral 5m 1h object string json_schema approximate".split(" "),
  ..."image/jpeg image/png image/gif image/webp application/pdf text/plain standard_only".split(" "),
  ..."web_search web_search_20250305 json_output json_output_1 input server_tool_use web_search_tool_result".split(" "),
];
/** All the words this dialect ever writes of its own. */
const WORDS = [
  "Continue.",
  "(conversation start)",
  "No result provided",
  "(no longer available)",
  "Return the answer in this form.",
  "Respond with a single valid JSON object and nothing else.",
  "It must match this JSON Schema:",
  "You must call one of the tools.",
  "You must call the tool",
  "<system>",
  "</system>",
  "[tool result",
];
/** Search uses, thinking budgets, and the top of the temperature scale. */
const NUMBERS = [1, 5, 10, 1024, 4096, 16_384, 32_000];
const KEYS = [
  ..."model max_tokens system messages role content type text source media_type data url file_id title".split(" "),
  ..."id name input tool_use_id is_error thinking signature cache_control ttl tools description input_schema".split(
    " ",
  ),
  ..."properties required additionalProperties strict tool_choice disable_parallel_tool_use budget_tokens".split(" "),
  ..."display output_config effort format schema temperature top_p top_k stop_sequences metadata user_id".split(" "),
  ..."service_tier stream max_uses user_location anyOf city country".split(" "),
];

const words = fc.constantFrom("alpha", "bravo", "charlie", "delta", "echo x", " ", "");
const cache = fc.option(fc.record({ type: fc.constant("ephemeral"), ttl: fc.constantFrom("5m", "1h", "2h") }), {
  nil: undefined,
});
const part = fc.oneof(
  fc.record({ type: fc.constant("text"), text: words, cache_control: cache }),
  fc.record({
    type: fc.constant("image_url"),
    image_url: fc.record({
      url: fc.constantFrom("https://e.x/a.png", "data:image/jpg;base64,/9j/4A==", "data:image/gif,x"),
    }),
  }),
  fc.record({
    type: fc.constant("file"),
    file: fc.record({
      filename: words,
      file_data: fc.constantFrom("JVBERi0xLjQ=", "data:text/csv;base64,YSxi", "https://e.x/r.pdf"),
    }),
  }),
);
const content = fc.oneof(words, fc.array(part, { maxLength: 3 }), fc.constant(null));
const ids = fc.constantFrom("call_1", "call:2", "");
const names = fc.constantFrom("golf", "hotel");
const toolCall = fc.oneof(
  fc.record({
    id: ids,
    type: fc.constant("function"),
    function: fc.record({ name: names, arguments: fc.constantFrom('{"kilo":"lima"}', "", "[7]", '{"cut') }),
  }),
  fc.record({ id: ids, type: fc.constant("custom"), custom: fc.record({ name: names, input: words }) }),
);
const detail = fc.record({
  type: fc.constantFrom("reasoning.text", "reasoning.encrypted"),
  text: words,
  signature: words,
  data: words,
  text_offset: fc.nat(4),
  tool_offset: fc.nat(2),
});
const message: fc.Arbitrary<ChatMessage> = fc.oneof(
  fc.record({ role: fc.constantFrom("system", "developer"), content: words }),
  fc.record({ role: fc.constant("user"), content, name: words, cache_control: cache }),
  fc.record({
    role: fc.constant("assistant"),
    content: words,
    refusal: fc.option(words),
    tool_calls: fc.array(toolCall, { maxLength: 2 }),
    reasoning_details: fc.array(detail, { maxLength: 2 }),
  }),
  fc.record({ role: fc.constant("tool"), tool_call_id: ids, content, is_error: fc.boolean() }),
) as fc.Arbitrary<ChatMessage>;

const schema = fc.constantFrom<JsonObject | null>(
  null,
  {},
  { type: "object", properties: { mike: { type: "integer", minimum: 3, maximum: 8 } }, required: ["mike"] },
  { properties: { november: { oneOf: [{ type: "string" }, { type: "null" }] } }, additionalProperties: true },
  { anyOf: [{ properties: { oscar: { const: "papa" } }, required: ["oscar"] }, { properties: { quebec: {} } }] },
);
const tool = fc.oneof(
  fc.record({
    type: fc.constant("function"),
    function: fc.record({ name: names, description: words, parameters: schema, strict: fc.boolean() }),
    cache_control: cache,
  }),
  fc.record({ type: fc.constant("custom"), custom: fc.record({ name: names, description: words }) }),
);
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const request: fc.Arbitrary<ChatBody> = fc.record({
  model: fc.constantFrom("claude-3-haiku", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5", "claude-opus-5-5"),
  messages: fc.array(message, { minLength: 1, maxLength: 6 }),
  tools: optional(fc.array(tool, { maxLength: 2 })),
  tool_choice: optional(
    fc.constantFrom<unknown>("none", "auto", "required", { type: "function", function: { name: "golf" } }),
  ),
  parallel_tool_calls: optional(fc.boolean()),
  response_format: optional(
    fc.oneof(
      fc.constant({ type: "json_object" }),
      schema.map((given) => ({ type: "json_schema", json_schema: { name: "r", description: "romeo", schema: given } })),
    ),
  ),
  max_tokens: optional(fc.constantFrom(77, 3000, 250_000)),
  temperature: optional(fc.constantFrom(0, 0.3, 1, 1.7)),
  top_p: optional(fc.constantFrom(0.2, 0.97, 1)),
  top_k: optional(fc.constantFrom(0, 44)),
  stop: optional(fc.constantFrom<unknown>("sierra", ["tango", "\n"])),
  seed: optional(fc.constant(123_456)),
  reasoning_effort: optional(fc.constantFrom("none", "minimal", "low", "high", "max")),
  reasoning: optional(fc.constantFrom({ max_tokens: 5555 }, { enabled: true }, { exclude: true })),
  user: optional(fc.constantFrom("uniform", "v@example.com")),
  metadata: optional(fc.constant({ whiskey: "xray" })),
  service_tier: optional(fc.constantFrom("auto", "default", "flex")),
  web_search_options: optional(
    fc.constantFrom(
      {},
      { search_context_size: "low", user_location: { approximate: { city: "yankee", zip: "zulu" } } },
    ),
  ),
  cache_control: cache,
  unknown: optional(fc.constant("never sent")),
}) as fc.Arbitrary<ChatBody>;

interface Leaf {
  key: string;
  value: unknown;
}

function leavesOf(value: unknown, key = ""): Leaf[] {
  if (Array.isArray(value)) return value.flatMap((one) => leavesOf(one, key));
  if (isObject(value)) return Object.entries(value).flatMap(([name, one]) => leavesOf(one, name));
  return [{ key, value }];
}

function keysOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  return isObject(value) ? Object.entries(value).flatMap(([key, one]) => [key, ...keysOf(one)]) : [];
}

/** Everything the request says, also inside arguments and data URLs. */
function saidBy(body: ChatBody): unknown {
  const texts = leavesOf(body).flatMap(({ value }) => (typeof value === "string" ? [value] : []));
  const inner = texts.map(parseJson).filter((value) => value !== undefined);
  const decoded = texts.flatMap((text) => {
    const data = text.startsWith("data:") ? text.slice(text.indexOf(",") + 1) : text;
    const bytes = Buffer.from(data, "base64").toString("utf8");
    return [data, bytes, Buffer.from(data).toString("base64"), legalId(text)];
  });
  return [body, inner, decoded];
}

/** Brackets, counters and hashes that ids and notes are joined with. */
const GLUE = /^(?:[\s[\]{}"':,.\\/<>-]|_raw|_value|call_\d+_\d+|u_[0-9a-f]{32}|\d+)*$/;

function isDerived(text: string, sources: string[]): boolean {
  if (sources.includes(text) || GLUE.test(text)) return true;
  let rest = text;
  // Short ones would take any text apart.
  for (const source of sources) if (source.trim().length > 2) rest = rest.replaceAll(source, "");
  if (GLUE.test(rest)) return true;
  // Text that thinking divides arrives in pieces.
  return sources.some((source) => source.includes(text));
}

test("every value on the wire is told by the request, the profile or Anthropic's vocabulary", () => {
  fc.assert(
    fc.property(request, (body) => {
      const call = anthropicCall(body);
      const encoded = anthropicMessages.encode(call);
      if (encoded.kind !== "encoded") return;
      const wire = JSON.parse(encoded.wire.body);
      const said = saidBy(body);
      const leaves = leavesOf(said).map(({ value }) => value);
      const keys = keysOf(said);
      const texts = [...leaves.filter((leaf) => typeof leaf === "string"), ...keys, ...VOCABULARY, ...WORDS];
      const sources = texts.toSorted((a, b) => b.length - a.length);
      const { maxOutputTokens } = profileOf(call.target);
      const numbers = [...leaves, ...NUMBERS, maxOutputTokens, Math.floor(0.8 * wire.max_tokens)];
      for (const { key, value } of leavesOf(wire)) {
        const where = `${key}: ${JSON.stringify(value)}`;
        if (typeof value === "number") expect(numbers, where).toContain(value);
        else if (typeof value === "string") expect(isDerived(value, sources), where).toBe(true);
      }
      for (const key of keysOf(wire)) expect([...KEYS, ...keys, "_raw", "_value"], key).toContain(key);
      expect(Object.keys(encoded.wire.headers)).toEqual(["anthropic-version"]);
      for (const secret of ["whiskey", "xray", "zulu", "never sent", "123456", "v@example.com"]) {
        expect(encoded.wire.body).not.toContain(secret);
      }
    }),
    { numRuns: 1000 },
  );
});

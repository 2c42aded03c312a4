// Nothing is invented and nothing vanishes: what is on the wire comes from the request, and fields do as their class says.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FIELDS } from "../../providers/dialects/google/fields.ts";
import { google } from "../../providers/google.ts";
import { vertex } from "../../providers/vertex.ts";
import type { ChatBody, ChatMessage, JsonObject } from "../../src/chat.ts";
import type { Encoded } from "../../src/dialect.ts";
import { type CallOptions, encodeBody } from "./google-harness.ts";

/** Words of the protocol, and the few sentences this dialect has of its own. */
const WORDS = new Set([
  ...["user", "model", "AUTO", "ANY", "NONE", "VALIDATED", "application/json", "skip_thought_signature_validator"],
  ...[
    "minimal",
    "low",
    "medium",
    "high",
    "TEXT",
    "IMAGE",
    "AUDIO",
    "image/png",
    "image/jpeg",
    "application/pdf",
    "audio/wav",
  ],
  ...["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT"],
]);
const NUMBERS = new Set([0, 128, 512, 1024, 8192, 24_576, 32_768]);
const SENTENCES = [/^Respond only with JSON(?: matching this schema: (.*)|\.)$/, /^Result of tool (.*):$/];

interface Leaf {
  path: string;
  value: unknown;
}

function leavesOf(value: unknown, path = ""): Leaf[] {
  if (Array.isArray(value)) return value.flatMap((member, i) => leavesOf(member, `${path}[${i}]`));
  if (typeof value !== "object" || value === null) return [{ path, value }];
  return Object.entries(value).flatMap(([key, member]) => leavesOf(member, `${path}.${key}`));
}

function isDerived({ value }: Leaf, source: string): boolean {
  if (typeof value === "number") return NUMBERS.has(value) || source.includes(String(value));
  if (typeof value !== "string") return true;
  if (WORDS.has(value) || value === "") return true;
  // Texts of several messages or parts are joined by line breaks; a sentence of ours may stand before the caller's words.
  return value.split("\n").every((line) => {
    const rest = SENTENCES.reduce((text, sentence) => text.replace(sentence, "$1"), line);
    return [rest, JSON.stringify(rest).slice(1, -1), escapedTwice(rest)].some((form) => source.includes(form));
  });
}

/** Inside the JSON text of arguments, quotes are escaped once more. */
function escapedTwice(text: string): string {
  return JSON.stringify(JSON.stringify(text).slice(1, -1)).slice(1, -1);
}

const word = fc.stringMatching(/^[a-zA-Z0-9]{1,8}$/);
/** One that Gemini takes as it is; others are renamed, which has tests of its own. */
const functionName = fc.stringMatching(/^[a-z][a-zA-Z0-9]{0,7}$/);
const url = fc.oneof(
  fc.base64String({ minLength: 4, maxLength: 12 }).map((data) => `data:image/png;base64,${data}`),
  word.map((name) => `https://x.org/${name}.png`),
);
const part = fc.oneof(
  word.map((text) => ({ type: "text", text })),
  url.map((address) => ({ type: "image_url", image_url: { url: address } })),
);
const toolCall = fc.record({
  id: word,
  function: fc.record({ name: functionName, arguments: fc.dictionary(word, word).map((args) => JSON.stringify(args)) }),
});
const turn = fc.oneof(
  fc.record({ role: fc.constantFrom("system", "user"), content: word }).map((message) => [message]),
  fc.record({ role: fc.constant("user"), content: fc.array(part) }).map((message) => [message]),
  fc.record({ text: word, call: toolCall, result: fc.oneof(word, fc.array(part)) }).map(({ text, call, result }) => [
    { role: "assistant", content: text, tool_calls: [call] },
    { role: "tool", tool_call_id: call.id, content: result },
  ]),
);
const schema = fc.record({
  type: fc.constant("object"),
  properties: fc.dictionary(word, fc.record({ type: fc.constantFrom("string", "integer"), description: word })),
});
const fields = fc.record(
  {
    temperature: fc.integer({ min: 0, max: 2 }),
    top_p: fc.constantFrom(0.25, 0.5),
    max_tokens: fc.integer({ min: 1, max: 60_000 }),
    stop: fc.array(word, { maxLength: 5 }),
    seed: fc.integer({ min: 0, max: 1_000 }),
    reasoning_effort: fc.constantFrom("none", "minimal", "low", "medium", "high", "max"),
    tools: fc.array(
      fc.record({ type: fc.constant("function"), function: fc.record({ name: functionName, parameters: schema }) }),
    ),
    tool_choice: fc.constantFrom("auto", "none"),
    response_format: schema.map((one) => ({ type: "json_schema", json_schema: { name: "r", schema: one } })),
    user: word,
    metadata: fc.dictionary(word, word),
    service_tier: fc.constantFrom("auto", "flex"),
  },
  { requiredKeys: [] },
);
const models = ["gemini-2.0-flash", "gemini-2.5-pro", "gemini-3.1-pro-preview", "gemini-3.8-flash", "gemma-3-27b-it"];

test("every value on the wire is the caller's, or a word of the protocol", () => {
  let encodedCount = 0;
  const request = fc.record({
    model: fc.constantFrom(...models),
    turns: fc.array(turn, { minLength: 1, maxLength: 4 }),
    fields,
  });
  fc.assert(
    fc.property(request, fc.constantFrom(google, vertex), ({ model, turns, fields: more }, provider) => {
      const body = { model, messages: turns.flat() as ChatMessage[], ...more } as ChatBody;
      const encoded = encodeBody(body, { provider });
      if (encoded.kind === "refusal") return;
      encodedCount += 1;
      const source = JSON.stringify(body);
      const invented = leavesOf(JSON.parse(encoded.wire.body)).filter((leaf) => !isDerived(leaf, source));
      expect(invented).toEqual([]);
    }),
    { numRuns: 300 },
  );
  expect(encodedCount).toBeGreaterThan(100);
});

describe("the table of fields", () => {
  const plain: ChatBody = { model: "gemini-2.5-flash", messages: [{ role: "user", content: "q" }] };
  const encodedWith = (field: string, options: CallOptions = {}) => {
    const encoded = encodeBody({ ...plain, [field]: { a: 1 } } as ChatBody, options);
    return encoded.kind === "encoded" ? { body: encoded.wire.body, warnings: encoded.warnings } : encoded.error;
  };
  const of = (name: string) =>
    Object.entries(FIELDS)
      .filter(([, { class: found }]) => found === name)
      .map(([field]) => field);

  test("is shown by both platforms", () => {
    expect(google.dialect.fields).toBe(FIELDS);
    expect(vertex.dialect.fields).toBe(FIELDS);
  });

  test.each(of("silent"))("%s changes nothing, and nobody is told", (field) => {
    const { wire, warnings } = encodeBody(plain) as Encoded;
    expect(encodedWith(field, { strict: true })).toEqual({ body: wire.body, warnings });
  });

  test.each(of("dropped"))("%s is dropped and reported", (field) => {
    expect(encodedWith(field)).toMatchObject({ warnings: [`dropped:${field}`] });
    expect(encodedWith(field, { strict: true })).toMatchObject({ kind: "unsupported", param: field });
  });
});

test("no limits are told in headers", () => {
  expect(google.dialect.readLimits?.({ "x-ratelimit-remaining": "1" }, 0)).toEqual({ windows: [] });
});

test("the object of extensions goes where Google wants it, on the platform that knows it", () => {
  const settings: JsonObject = {
    audio_timestamp: true,
    routing_config: { auto_mode: {} },
    model_armor_config: { prompt_template_name: "p" },
  };
  const body = (google_: JsonObject): ChatBody => ({
    model: "gemini-2.5-flash",
    messages: [{ role: "user", content: "q" }],
    google: google_,
  });
  const onVertex = encodeBody(body(settings), { provider: vertex });
  expect(onVertex.kind === "encoded" && JSON.parse(onVertex.wire.body)).toMatchObject({
    generationConfig: { audioTimestamp: true, routingConfig: { autoMode: {} } },
    modelArmorConfig: { promptTemplateName: "p" },
  });
  expect(encodeBody(body(settings))).toMatchObject({ kind: "refusal", error: { param: "google.audio_timestamp" } });
  const both = { model_armor_config: {}, safety_settings: [] };
  expect(encodeBody(body(both), { provider: vertex })).toMatchObject({
    kind: "refusal",
    error: { kind: "invalid_request" },
  });
});

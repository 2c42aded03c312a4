// Each provider that speaks Chat Completions its own way: what it is sent, and what its answers amount to.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { providers } from "../../providers/index.ts";
import { type ChatBody, type ChatEvent, fold, type JsonObject } from "../../src/chat.ts";
import type { ModelEntry } from "../../src/dialect.ts";
import { anyCall, decodeBody, decodeChunks, decodeText, encode, sseOf } from "./openai-harness.ts";

function linesOf<T>(file: string): T[] {
  const text = readFileSync(new URL(`openai-chat/${file}`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

interface RequestCase {
  name: string;
  provider: string;
  baseUrl?: string;
  strict?: boolean;
  entry?: Partial<ModelEntry>;
  request: ChatBody;
  /** What goes out, to the letter; or why nothing does. */
  body?: JsonObject;
  refusal?: JsonObject;
  warnings?: string[];
  relay?: boolean;
  streams?: boolean;
  path?: string;
}

const requests = linesOf<RequestCase>("requests.jsonl");
/** Those that speak this protocol and do not stand in for another. */
const ours = providers.filter(({ dialect, standsInFor }) => dialect.id === "openai-chat" && standsInFor === undefined);

describe("a request as the provider wants it", () => {
  test.each(requests.map((one) => [one.provider, one.name, one] as const))("%s: %s", (provider, _, one) => {
    const { request, strict, entry, baseUrl } = one;
    const before = JSON.stringify(request);
    const encoded = encode(request, {
      provider,
      ...(strict && { strict }),
      ...(entry && { entry }),
      ...(baseUrl && { baseUrl }),
    });
    // The same request may go to another candidate next.
    expect(JSON.stringify(request)).toBe(before);
    if (encoded.kind === "refusal") {
      expect(encoded.error).toEqual(one.refusal);
      return;
    }
    expect(JSON.parse(encoded.wire.body)).toEqual(one.body);
    expect(encoded.wire.path).toBe(one.path ?? "/chat/completions");
    expect(encoded.warnings).toEqual(one.warnings);
    expect(encoded.relay).toBe(one.relay);
    expect(encoded.streams).toBe(one.streams);
  });

  test("every provider has a case", () => {
    const missing = ours.filter(({ id }) => !requests.some(({ provider }) => provider === id));
    expect(missing.map(({ id }) => id)).toEqual([]);
  });
});

describe("nothing is invented", () => {
  const request: ChatBody = { model: "some-model", messages: [{ role: "user", content: "q" }] };
  test.each(ours.map(({ id }) => id))("%s is sent a plain question as it is", (provider) => {
    const encoded = encode(request, { provider });
    expect(encoded.kind === "encoded" && JSON.parse(encoded.wire.body)).toEqual(request);
    expect(encoded.kind === "encoded" && encoded.warnings).toEqual([]);
  });

  test.each(ours.map(({ id }) => id))("%s has no body without model and messages, whatever is asked", (provider) => {
    const value = fc.jsonValue({ maxDepth: 3 });
    const fields = fc.dictionary(fc.constantFrom(...Object.keys(ours[0]?.dialect.fields ?? {}), "thinking"), value);
    fc.assert(
      fc.property(fields, (extra) => {
        const encoded = encode({ ...(extra as JsonObject), ...request }, { provider });
        if (encoded.kind === "encoded") expect(JSON.parse(encoded.wire.body)).toMatchObject({ model: "some-model" });
      }),
      { numRuns: 60 },
    );
  });
});

describe("a request the front door lets in is encoded or refused, never thrown at", () => {
  const junk = fc.jsonValue({ maxDepth: 2 });
  const id = fc.oneof(fc.constantFrom("c1", "functions.f:0"), junk);
  const body = fc.oneof(fc.record({ name: fc.constant("f"), arguments: junk }), junk);
  const toolCall = fc.oneof(fc.record({ id, type: fc.constant("function"), function: body }), fc.record({ id: junk }));
  const part = fc.record({ type: fc.constantFrom("text", "image_url", "file", "x"), text: junk, image_url: junk });
  const message = fc.record(
    {
      role: fc.constantFrom("system", "developer", "user", "assistant", "tool"),
      content: fc.oneof(fc.string(), fc.constant(null), fc.array(part, { maxLength: 3 })),
      tool_calls: fc.oneof(fc.constant(null), fc.array(toolCall, { maxLength: 3 })),
      tool_call_id: fc.constant("c1"),
      reasoning_content: junk,
      reasoning_details: junk,
      name: junk,
    },
    { requiredKeys: ["role"] },
  );
  const asked = fc.record({
    model: fc.constantFrom("gpt-5", "kimi-k2.6", "MiniMax-M2", "deepseek-v4", "qwen3-8b", "magistral", "glm-5.2"),
    messages: fc.array(message, { minLength: 1, maxLength: 5 }),
    tool_choice: fc.oneof(junk, fc.record({ type: junk, function: junk, allowed_tools: junk })),
    response_format: fc.oneof(
      junk,
      fc.record({ type: fc.constantFrom("json_schema", "json_object"), json_schema: junk }),
    ),
    reasoning: junk,
    thinking: junk,
  });

  test.each(ours.map(({ id }) => id))("%s", (provider) => {
    fc.assert(
      fc.property(asked, (request) => {
        const parsed = openaiChatInbound.parse(request, () => undefined);
        if ("kind" in parsed) return;
        expect(encode(parsed.body, { provider, recall: () => ({ reasoning: "r" }) }).kind).toMatch(/encoded|refusal/);
        const call = anyCall({ provider }, parsed.body);
        expect(call.target.provider.dialect.attachments?.(call)).toBeInstanceOf(Array);
      }),
      { numRuns: 60 },
    );
  });
});

interface StreamCase {
  name: string;
  provider: string;
  model?: string;
  request?: ChatBody;
  chunks: JsonObject[];
  events: ChatEvent[];
  /** The same answer, buffered. */
  body?: JsonObject;
}

const streams = linesOf<StreamCase>("streams.jsonl");

function callFor({ provider, model = "m", request }: StreamCase) {
  return anyCall({ provider, model }, request);
}

function textOf({ chunks }: StreamCase): string {
  return `${chunks.map((chunk) => (typeof chunk.raw === "string" ? chunk.raw : sseOf([chunk]))).join("")}data: [DONE]\n\n`;
}

/** Without members that are `undefined`, as JSON has none. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe("a streamed answer", () => {
  const rows = streams.map((one) => [one.provider, one.name, one] as const);
  test.each(rows)("%s: %s", (_, __, one) => {
    expect(plain(decodeText(textOf(one), callFor(one)))).toEqual(one.events);
  });

  test.each(rows)("%s: %s, wherever the network cuts it", (_, __, one) => {
    const bytes = Buffer.from(textOf(one));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 20 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(plain(decodeChunks(chunks, callFor(one)))).toEqual(one.events);
      }),
      { numRuns: 20 },
    );
  });

  test.each(rows.filter(([, , { body }]) => body !== undefined))(
    "%s: %s, folded, is the buffered one",
    (_, __, one) => {
      expect(plain(fold(decodeBody(one.body, callFor(one))))).toEqual(plain(fold(one.events)));
    },
  );
});

describe("whatever a provider sends, decoding ends with one terminal event and never throws", () => {
  const keys =
    "choices delta message content tool_calls function arguments usage error finish_reason index id citations " +
    "search_results base_resp x_groq reasoning_details logprobs code";
  const nested = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("<think>", "</think>", "stop", "x"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys.split(" ")), tie("value"), { maxKeys: 5 }),
    ),
  })).value;
  const isTerminal = ({ type }: ChatEvent) => type === "end" || type === "error";

  test.each(ours.map(({ id }) => id))("%s", (provider) => {
    fc.assert(
      fc.property(nested, nested, fc.uint8Array({ maxLength: 200 }), (first, second, bytes) => {
        const answers = [
          decodeText(sseOf([first, second]), anyCall({ provider })),
          decodeChunks([bytes], anyCall({ provider })),
          decodeBody(first, anyCall({ provider })),
        ];
        for (const events of answers) expect(events.findIndex(isTerminal)).toBe(events.length - 1);
      }),
      { numRuns: 40 },
    );
  });

  test.each(ours.map(({ id }) => id))("%s: and no refusal breaks the reading of it", (provider) => {
    const { dialect } = anyCall({ provider }).target.provider;
    const header = fc.constantFrom("retry-after", "x-ratelimit-reset-requests", "x-ratelimit-limit", "ratelimit");
    const headers = fc.dictionary(header, fc.oneof(fc.string(), fc.integer().map(String)));
    fc.assert(
      fc.property(
        fc.oneof(
          nested.map((one) => JSON.stringify(one)),
          fc.string(),
        ),
        headers,
        (text, given) => {
          const error = dialect.decodeError({ status: 429, headers: given, text, nowMs: 0 });
          expect(error.kind).not.toBe("");
          expect(error.retryAfterMs ?? 0).toBeGreaterThanOrEqual(0);
          dialect.readLimits?.(given, 0);
          dialect.repair?.({ ...error, kind: "unsupported", status: 400 }, anyCall({ provider }));
        },
      ),
      { numRuns: 40 },
    );
  });
});

test("a rendered answer tells what a relayed one would have told: sources, log-probabilities, service tier", () => {
  const one = streams.find(({ provider }) => provider === "perplexity") as StreamCase;
  const head = { createdS: 0, model: "m", includeUsage: false, usageExtras: () => undefined };
  const text = openaiChatInbound.renderer(head).push(one.events);
  expect(text).toContain('"url_citation":{"url":"https://x/1","title":"One"');
  expect(text).toContain('"search_results":[{"title":"One"');
});

test("what a provider charged stands beside the counts, and the router's own price before it", () => {
  const one = streams.find(({ name }) => name.startsWith("the fragments of reasoning details")) as StreamCase;
  const head = { createdS: 0, model: "m", includeUsage: true };
  const asTold = { ...head, usageExtras: () => undefined };
  const counts = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 };
  const told = { cost: 0.00012, is_byok: false, ...counts };
  expect(openaiChatInbound.renderBody(fold(one.events), asTold).usage).toEqual(told);
  const text = openaiChatInbound.renderer(asTold).push(one.events);
  expect(text).toContain(`"choices":[],"usage":${JSON.stringify(told)}}`);
  expect(text.match(/"cost"/g)).toHaveLength(1);
  const priced = { ...head, usageExtras: () => ({ cost: 1 }) };
  expect(openaiChatInbound.renderBody(fold(one.events), priced).usage).toEqual({ ...told, cost: 1 });
});

describe("reasoning that a provider insists on", () => {
  const request: ChatBody = {
    model: "deepseek-v4-pro",
    messages: [
      { role: "user", content: "q" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "c1", content: "1" },
    ],
  };
  const sent = (options: Parameters<typeof encode>[1]) => {
    const encoded = encode(request, { provider: "deepseek", ...options });
    if (encoded.kind === "refusal") throw new Error("refused");
    const { messages } = JSON.parse(encoded.wire.body) as ChatBody;
    return { reasoning: messages[1]?.reasoning_content, warnings: encoded.warnings };
  };

  test("comes from memory when the caller dropped it", () => {
    const recall = (key: string) => (key === "c1" ? { reasoning: "why" } : undefined);
    expect(sent({ recall })).toEqual({ reasoning: "why", warnings: [] });
  });

  test("is empty when nobody has it, and the caller is told", () => {
    const warnings = ["repaired:messages[1].reasoning_content"];
    expect(sent({ recall: () => undefined })).toEqual({ reasoning: "", warnings });
  });

  test("is kept of models whose thinking the request turned on", () => {
    const one = (effort?: string) =>
      anyCall(
        { provider: "deepseek", model: "deepseek-chat" },
        { ...request, ...(effort && { reasoning_effort: effort }) },
      );
    const call = { id: "c1", type: "function", function: { name: "f", arguments: "{}" } };
    const message = { role: "assistant", content: null, reasoning_content: "why", tool_calls: [call] };
    const body = { choices: [{ index: 0, message, finish_reason: "tool_calls" }] };
    const kept = { type: "remember", key: "c1", value: { reasoning: "why" } };
    expect(decodeBody(body, one("high"))).toContainEqual(kept);
    expect(decodeBody(body, one())).not.toContainEqual(kept);
  });

  test("is left out for models that do not want it, by their name or by the catalogue", () => {
    expect(sent({ model: "deepseek-reasoner" }).reasoning).toBeUndefined();
    expect(sent({ entry: { features: { reasoningReplay: false } } }).reasoning).toBeUndefined();
    expect(sent({ model: "deepseek-new", entry: { features: { reasoningReplay: true } } }).reasoning).toBe("");
  });
});

describe("images for a provider that fetches none", () => {
  const image = (url: string) => ({ type: "image_url", image_url: { url, detail: "low" } });
  const request: ChatBody = {
    model: "kimi-k2.6",
    messages: [
      {
        role: "user",
        content: [image("https://x/a.png"), image("ms://file"), image("data:image/png;base64,AA=="), image("nonsense")],
      },
    ],
  };

  test("are asked for and put inline; its own addresses stay", () => {
    const call = anyCall({ provider: "moonshot" }, request);
    expect(call.target.provider.dialect.attachments?.(call)).toEqual(["https://x/a.png"]);
    const downloads = new Map([["https://x/a.png", { mediaType: "image/png", base64: "BB==" }]]);
    const encoded = encode(request, { provider: "moonshot", downloads });
    const body = encoded.kind === "encoded" ? (JSON.parse(encoded.wire.body) as ChatBody) : request;
    const parts = body.messages[0]?.content as ReturnType<typeof image>[];
    expect(parts.map(({ image_url }) => image_url.url)).toEqual([
      "data:image/png;base64,BB==",
      "ms://file",
      "data:image/png;base64,AA==",
      "nonsense",
    ]);
    expect(parts[0]?.image_url.detail).toBe("low");
  });

  test("are left to a provider that fetches them", () => {
    const call = anyCall({ provider: "openai" }, request);
    expect(call.target.provider.dialect.attachments?.(call)).toEqual([]);
  });
});

describe("what the catalogue says of a model", () => {
  const request: ChatBody = {
    model: "m",
    messages: [
      { role: "developer", content: "d" },
      { role: "user", content: "q" },
    ],
    temperature: 0.5,
    reasoning_effort: "medium",
  };
  const sent = (entry: Partial<ModelEntry>, changes: JsonObject = {}) => {
    const encoded = encode({ ...request, ...changes }, { provider: "openai", entry });
    return encoded.kind === "encoded" ? { ...JSON.parse(encoded.wire.body), warnings: encoded.warnings } : undefined;
  };

  test("levels it refuses go to the next stronger it has", () => {
    const effort = { low: null, medium: null, high: "high", none: null };
    expect(sent({ features: { effort } })).toMatchObject({ reasoning_effort: "high" });
    expect(sent({ features: { effort } }, { reasoning_effort: "none" })).toMatchObject({
      reasoning_effort: "minimal",
      warnings: ["clamped:reasoning_effort=none->minimal"],
    });
    expect(sent({ features: { effort } }, { reasoning_effort: "max" })).toMatchObject({ reasoning_effort: "high" });
  });

  test("a model that does not think is not asked to, and not asked not to", () => {
    expect(sent({ reasoning: false })).toMatchObject({ warnings: ["dropped:reasoning_effort"] });
    expect(sent({ reasoning: false })).not.toHaveProperty("reasoning_effort");
    expect(sent({ reasoning: false }, { reasoning_effort: "none" })).toMatchObject({ warnings: [] });
  });

  test("a model that refuses to be steered, or developers, is sent none of it", () => {
    expect(sent({ features: { sampling: false } })).toMatchObject({ warnings: ["dropped:temperature"] });
    expect(sent({ features: { developerRole: false } })).toMatchObject({ messages: [{ role: "system" }, {}] });
  });

  test("a level nobody knows is refused by name", () => {
    const encoded = encode({ ...request, reasoning_effort: "huge" }, { provider: "openai" });
    expect(encoded).toMatchObject({ kind: "refusal", error: { param: "reasoning_effort", code: "invalid_value" } });
  });
});

describe("the table of fields", () => {
  const classOf = (provider: string, field: string) =>
    ours.find(({ id }) => id === provider)?.dialect.fields?.[field]?.class;

  test("says what the encoder does", () => {
    const probes: Record<string, unknown> = { seed: 7, stop: "x", n: 2, logprobs: true, user: "u", top_p: 0.5 };
    for (const { id } of ours) {
      for (const [field, value] of Object.entries(probes)) {
        const body = { model: "some-model", messages: [{ role: "user", content: "q" }], [field]: value };
        const encoded = encode(body, { provider: id });
        const expected = encoded.kind === "refusal" ? "refused" : encoded.warnings.length > 0 ? "dropped" : undefined;
        const told = classOf(id, field);
        if (expected === undefined) expect(["mapped", "silent"], `${id} ${field}`).toContain(told);
        else expect(told, `${id} ${field}`).toBe(expected);
      }
    }
  });

  test.each([
    ["openai", "max_tokens", { class: "mapped", note: "sent as max_completion_tokens" }],
    ["openai", "temperature", { class: "mapped", note: "not taken by some models" }],
    ["mistral", "seed", { class: "mapped", note: "sent as random_seed" }],
    ["mistral", "user", { class: "silent" }],
    ["groq", "n", { class: "refused" }],
    ["minimax", "messages", { class: "repaired" }],
    ["perplexity", "tools", { class: "dropped" }],
    ["lmstudio", "reasoning_effort", { class: "dropped" }],
    ["groq", "reasoning_effort", { class: "mapped", note: "for models with levels or a switch; others drop it" }],
    ["together", "logprobs", { class: "mapped", note: "sent as a number" }],
    ["openai", "stop", { class: "mapped", note: "not taken by some models" }],
    ["perplexity", "messages", { class: "repaired" }],
    ["zai", "top_p", { class: "mapped", note: "kept within 0.01 and 0.99" }],
  ])("%s: %s", (provider, field, expected) => {
    expect(ours.find(({ id }) => id === provider)?.dialect.fields?.[field]).toEqual(expected);
  });
});

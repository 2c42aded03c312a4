// The refusals themselves are data: test/simulator/<provider>.yaml.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Name, names, post, smallest, useSimulator } from "./simulator-clients.ts";

const clients = useSimulator();

interface Asked {
  model?: string;
  headers?: Record<string, string>;
  /** Laid over the smallest request; null takes a member away. */
  body: Record<string, unknown>;
}

interface Refused extends Asked {
  what: string;
  message: string;
  param?: string | null;
  code?: string | null;
}

function casesOf(name: Name): Refused[] {
  const text = readFileSync(new URL(`simulator/${name}.yaml`, import.meta.url), "utf8");
  return (parse(text) as { refused: Refused[] }).refused;
}

/** The error a request gets, flat, with the HTTP status as `http`. */
async function refusal(name: Name, { model = "sim", body, headers = {} }: Asked) {
  const laid = { ...smallest(name, model), ...body };
  const request = Object.fromEntries(Object.entries(laid).filter(([, value]) => value !== null));
  const answer = await post(clients.simulator, name, model, request, { headers });
  const parsed = (await answer.json()) as { error?: Record<string, unknown> };
  return { ...parsed.error, http: answer.status };
}

const shapes = {
  openai: { type: "invalid_request_error" },
  anthropic: { type: "invalid_request_error" },
  google: { code: 400, status: "INVALID_ARGUMENT" },
};

describe.each(names)("%s refuses", (name) => {
  test.each(casesOf(name))("$what", async ({ message, param, code, ...asked }) => {
    const refused = await refusal(name, asked);
    expect(refused).toMatchObject({ http: 400, ...shapes[name], message: expect.stringContaining(message) });
    if (param !== undefined) expect(refused).toHaveProperty("param", param);
    if (code !== undefined) expect(refused).toHaveProperty("code", code);
  });

  test("a prompt larger than the model's window, in words that tell it from other refusals", async () => {
    const long = (characters: number) => "x".repeat(characters);
    const windows = {
      openai: [
        "gpt-4o",
        520_000,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
      ],
      anthropic: ["claude-haiku-4-5", 804_000, "prompt is too long: 201000 tokens > 200000 maximum"],
      google: ["gemini-2.5-pro", 4_200_000, "exceeds the maximum number of tokens allowed (1048576)."],
    } as const;
    const [model, characters, message] = windows[name];
    const refused = await refusal(name, { model, body: smallest(name, model, long(characters)) });
    expect(refused).toMatchObject({ http: 400, message: expect.stringContaining(message) });
  });

  test("nothing about the smallest request", async () => {
    expect(await refusal(name, { body: {} })).toEqual({ http: 200 });
  });
});

test("Gemini tells all unknown names at once, with the path of each in the details", async () => {
  const refused = await refusal("google", { body: { a: 1, generation_config: { b: 1 } } });
  expect(refused).toMatchObject({
    message: expect.stringMatching(/Unknown name "a": .*\n.*Unknown name "b" at 'generation_config': /),
    details: [{ fieldViolations: [{ description: expect.stringContaining('"a"') }, { field: "generation_config" }] }],
  });
});

test("Gemini checks signatures in the current turn only, so old histories are accepted", async () => {
  const call = { functionCall: { name: "f", args: {} } };
  const response = { functionResponse: { name: "f", response: {} } };
  const turn = (role: string, part: object) => ({ role, parts: [part] });
  const past = [turn("user", { text: "a" }), turn("model", call), turn("user", response)];
  const contents = [...past, turn("model", { text: "b" }), turn("user", { text: "c" })];
  expect(await refusal("google", { model: "gemini-3.8-flash", body: { contents } })).toEqual({ http: 200 });
});

test("Gemini reads snake_case as it reads camelCase", async () => {
  const generation_config = { max_output_tokens: 3, stop_sequences: ["zzz"] };
  const answer = await post(clients.simulator, "google", "sim", { ...smallest("google", "sim"), generation_config });
  expect(await answer.json()).toMatchObject({ usageMetadata: { candidatesTokenCount: 3 } });
});

test("Anthropic wants the thinking that led to a call back, when thinking is on by hand", async () => {
  const use = { type: "tool_use", id: "toolu_a", name: "f", input: {} };
  const result = { type: "tool_result", tool_use_id: "toolu_a" };
  const messages = [
    { role: "user", content: "Hello" },
    { role: "assistant", content: [use] },
    { role: "user", content: [result] },
  ];
  const tools = [{ name: "f", input_schema: { type: "object" } }];
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const body = { messages, tools, max_tokens: 2000, thinking };
  expect(await refusal("anthropic", { model: "claude-sonnet-4-5", body })).toMatchObject({
    message: "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`",
  });
});

/** Every place in a JSON value, as a path. */
function places(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))];
}

function replaced(value: unknown, [key, ...rest]: string[], by: unknown): unknown {
  if (key === undefined) return by;
  const inner = replaced((value as Record<string, unknown>)[key], rest, by);
  if (Array.isArray(value)) return value.with(Number(key), inner);
  return { ...(value as object), [key]: inner };
}

test("whatever is broken in a request, the answer is a normal one or a refusal, never a crash", async () => {
  const junk = fc.constantFrom<unknown>(null, [], {}, [null], [{}], [[]], "", " ", "x", 0, -1, 1.5, true, {
    type: "x",
  });
  for (const name of names) {
    const bodies = casesOf(name).map(({ body }) => ({ ...smallest(name, "sim"), ...body }));
    const broken = fc
      .constantFrom(...bodies)
      .chain((body) => fc.record({ body: fc.constant(body), at: fc.constantFrom(...places(body)), by: junk }));
    const run = async ({ body, at, by }: { body: unknown; at: string[]; by: unknown }) => {
      const answer = await post(clients.simulator, name, "sim", replaced(body, at, by));
      expect([200, 400], await answer.text()).toContain(answer.status);
    };
    await fc.assert(fc.asyncProperty(broken, run), { numRuns: 300 });
  }
});

// The Anthropic Messages dialect against cases as data: a directory per case, named after what it shows.
//   request.json [+ about.json {strict, threads}] -> wire.json {body, warnings} | refusal.json
//   upstream.sse and/or body.json [+ request.json] -> events.json;  both: the stream folds to the buffered answer
//   response.json {status, headers, body | text} -> error.json
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { toolInput } from "../../providers/dialects/anthropic/assistant.ts";
import { Deviations } from "../../providers/dialects/anthropic/deviations.ts";
import { legalId } from "../../providers/dialects/anthropic/ids.ts";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import { type ChatBody, type ChatEvent, fold, type JsonObject, type ProviderError } from "../../src/chat.ts";
import { anthropicCall, cutAt, decodeChunks } from "./anthropic-calls.ts";

const ROOT = new URL("./anthropic-messages/", import.meta.url);

/** Behaviours of the written specification that this dialect does not have yet. */
const NOT_COVERED = [
  "custom tools (they are refused): ChatEvent has no custom tool call to answer with",
  "url citations of web search: ChatEvent has no annotations",
  "service_tier, stop_sequence, stop_details and content_blocks of an answer: ChatEvent does not carry them",
  "continuing after pause_turn: it takes another upstream call, which a pure decoder cannot make",
  "reactive repairs after a 400: they take another upstream call; the error says `unsupported`",
  "anthropic-beta and the fast tier: they need a per-key allow-list",
] as const;

for (const behaviour of NOT_COVERED) test.skip(`not covered: ${behaviour}`);

interface Files {
  about: { strict?: boolean; threads?: string[] } | undefined;
  request: ChatBody | undefined;
  wire: { body: JsonObject; warnings: string[] } | undefined;
  refusal: Partial<ProviderError> | undefined;
  body: unknown;
  events: ChatEvent[] | undefined;
  response: { status: number; headers: Record<string, string>; body?: unknown; text?: string } | undefined;
  error: ProviderError | undefined;
  stream: Buffer | undefined;
}

function load(name: string): Files {
  const read = (file: string) => {
    const url = new URL(`${name}/${file}`, ROOT);
    return existsSync(url) ? readFileSync(url) : undefined;
  };
  const json = <T>(file: string): T | undefined => {
    const text = read(file)?.toString("utf8");
    return text === undefined ? undefined : (JSON.parse(text) as T);
  };
  return {
    about: json("about.json"),
    request: json("request.json"),
    wire: json("wire.json"),
    refusal: json("refusal.json"),
    body: json("body.json"),
    events: json("events.json"),
    response: json("response.json"),
    error: json("error.json"),
    stream: read("upstream.sse"),
  };
}

const cases = readdirSync(ROOT).map((name) => ({ name: name.replaceAll("-", " "), files: load(name) }));
const having = (...keys: (keyof Files)[]) => cases.filter(({ files }) => keys.every((key) => files[key] !== undefined));

test("every case is read by a test", () => {
  const read = [having("wire"), having("refusal"), having("events"), having("error")].flat();
  expect(read.map(({ name }) => name).sort()).toEqual(cases.map(({ name }) => name).sort());
});

describe("a request", () => {
  for (const { name, files } of having("request", "wire")) {
    test(name, () => {
      const { about, request, wire } = files;
      const encoded = anthropicMessages.encode(anthropicCall(request!, { strict: about?.strict }));
      if (encoded.kind !== "encoded") throw new Error(`refused: ${encoded.error.message}`);
      expect({ body: JSON.parse(encoded.wire.body), warnings: encoded.warnings }).toEqual(wire);
      expect(encoded.wire).toMatchObject({ path: "/v1/messages", headers: { "anthropic-version": "2023-06-01" } });
    });
  }

  for (const { name, files } of having("request", "refusal")) {
    test(name, () => {
      const { about, request, refusal } = files;
      const encoded = anthropicMessages.encode(anthropicCall(request!, { strict: about?.strict }));
      expect(encoded).toMatchObject({ kind: "refusal", error: refusal });
    });
  }

  test("an unknown model takes its limits and efforts from the catalogue", () => {
    const body = { model: "claude-next", reasoning_effort: "max", messages: [{ role: "user", content: "hi" }] };
    const entry = { id: "claude-next", maxOutputTokens: 77_000, features: { effort: { max: "max" } } };
    const encoded = anthropicMessages.encode(anthropicCall(body, { entry }));
    const expected = { max_tokens: 77_000, output_config: { effort: "max" } };
    expect(encoded.kind === "encoded" && JSON.parse(encoded.wire.body)).toMatchObject(expected);
  });

  test("strict tools beyond what the provider compiles for one request lose their guarantee", () => {
    const parameters = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
    const tools = Array.from({ length: 21 }, (_, i) => ({
      type: "function",
      function: { name: `f${i}`, strict: true, parameters },
    }));
    const body = { model: "claude-opus-5", messages: [{ role: "user", content: "hi" }], tools };
    expect(anthropicMessages.encode(anthropicCall(body))).toMatchObject({ warnings: ["downgraded:tools[20].strict"] });
  });

  test("a request larger than the provider accepts is refused before it is sent", () => {
    const data = `data:image/png;base64,${"A".repeat(33 * 1024 * 1024)}`;
    const content = [{ type: "image_url", image_url: { url: data } }];
    const encoded = anthropicMessages.encode(
      anthropicCall({ model: "claude-opus-5", messages: [{ role: "user", content }] }),
    );
    expect(encoded).toMatchObject({ kind: "refusal", error: { code: "request_too_large" } });
  });

  test("illegal ids become legal ones that do not collide", () => {
    expect(["call_abc", "call.1|fc_9", "x".repeat(70), "a:1", "a.1"].map(legalId)).toEqual([
      "call_abc",
      "call_1_fc_9_b47b8f57",
      `${"x".repeat(50)}_77f3c97d`,
      expect.stringMatching(/^a_1_[0-9a-f]{8}$/),
      expect.stringMatching(/^a_1_[0-9a-f]{8}$/),
    ]);
    expect(legalId("a:1")).not.toBe(legalId("a.1"));
  });

  test("arguments of any kind become an object", () => {
    const inputs = ['{"a":1}', "", " ", "null", '"{\\"a\\":1}"', "[1]", '{"a":'];
    expect(inputs.map((text) => toolInput(text, new Deviations()))).toEqual([
      { a: 1 },
      {},
      {},
      {},
      { a: 1 },
      { _value: [1] },
      { _raw: '{"a":' },
    ]);
  });
});

describe("a stream", () => {
  for (const { name, files } of having("stream", "events")) {
    test(name, () => {
      const { request, stream, events } = files;
      expect(decodeChunks([stream!], anthropicCall(request))).toEqual(events);
    });
  }

  for (const { name, files } of having("stream", "events")) {
    test(`cut into single bytes: ${name}`, () => {
      const { request, stream, events } = files;
      expect(decodeChunks(cutAt(stream!, [...stream!.keys()]), anthropicCall(request))).toEqual(events);
    });
  }

  for (const { name, files } of having("stream", "body")) {
    test(`folds to the buffered answer: ${name}`, () => {
      const { request, stream, body } = files;
      const streamed = fold(decodeChunks([stream!], anthropicCall(request)));
      expect(streamed).toEqual(fold(anthropicMessages.decodeBody(body, anthropicCall(request))));
    });
  }
});

describe("a buffered answer", () => {
  const buffered = having("body", "events").filter(({ files }) => files.stream === undefined);
  for (const { name, files } of buffered) {
    test(name, () => {
      expect(anthropicMessages.decodeBody(files.body, anthropicCall(files.request))).toEqual(files.events);
    });
  }

  test("an answer that is no message is malformed, never an empty success", () => {
    for (const body of [undefined, null, "x", [], {}, { content: "text" }]) {
      expect(anthropicMessages.decodeBody(body, anthropicCall())).toMatchObject([
        { type: "error", error: { kind: "malformed" } },
      ]);
    }
  });
});

describe("an error answer", () => {
  for (const { name, files } of having("response", "error")) {
    test(name, () => {
      const { response, error } = files;
      const { status, headers, body, text = JSON.stringify(body) } = response!;
      expect(anthropicMessages.decodeError({ status, headers, text, nowMs: 0 })).toEqual(error);
    });
  }
});

// The Anthropic Messages dialect against cases as data: a directory per case, named after what it shows.
//   request.json [+ about.json] -> wire.json {body, warnings, headers?} | refusal.json
//   upstream.sse and/or body.json [+ request.json, about.json] -> events.json;  both: the stream folds to the buffered answer
//   response.json {status, headers, body | text} -> error.json
// about.json: {strict, threads, entry, repairs, continuation, downloads}
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { toolInput } from "../../providers/dialects/anthropic/assistant.ts";
import { legalId } from "../../providers/dialects/anthropic/ids.ts";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import { Report } from "../../providers/dialects/report.ts";
import { type ChatBody, type ChatEvent, fold, type JsonObject, type ProviderError } from "../../src/chat.ts";
import type { Call, Download } from "../../src/dialect.ts";
import { anthropicCall, type CallOptions, cutAt, decodeChunks, wireOf } from "./anthropic-calls.ts";

const ROOT = new URL("./anthropic-messages/", import.meta.url);

interface About extends Omit<CallOptions, "downloads"> {
  /** Where the trap was seen. */
  threads?: string[];
  downloads?: Record<string, Download>;
}

interface Files {
  about: About | undefined;
  request: ChatBody | undefined;
  wire: { body: JsonObject; warnings: string[]; headers?: Record<string, string> } | undefined;
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

function callOf({ about = {}, request }: Files): Call {
  const { threads: _, downloads, ...options } = about;
  const files = downloads === undefined ? {} : { downloads: new Map(Object.entries(downloads)) };
  return anthropicCall(request, { ...options, ...files });
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
      const { headers = {}, ...wire } = files.wire!;
      const encoded = anthropicMessages.encode(callOf(files));
      if (encoded.kind !== "encoded") throw new Error(`refused: ${encoded.error.message}`);
      expect({ body: JSON.parse(encoded.wire.body), warnings: encoded.warnings }).toEqual(wire);
      expect(encoded.wire.path).toBe("/v1/messages");
      expect(encoded.wire.headers).toEqual({ "anthropic-version": "2023-06-01", ...headers });
      // What the wire streams although the caller did not ask, the loop must know of.
      expect(encoded.streams === true).toBe(wire.body.stream === true && files.request?.stream !== true);
    });
  }

  for (const { name, files } of having("request", "refusal")) {
    test(name, () => {
      expect(anthropicMessages.encode(callOf(files))).toMatchObject({ kind: "refusal", error: files.refusal });
    });
  }

  test("an unknown model takes its limits and efforts from the catalogue", () => {
    const body = { model: "claude-next", reasoning_effort: "max", messages: [{ role: "user", content: "hi" }] };
    const entry = { id: "claude-next", maxOutputTokens: 77_000, features: { effort: { max: "max" } } };
    const encoded = anthropicMessages.encode(anthropicCall(body, { entry }));
    const expected = { max_tokens: 77_000, output_config: { effort: "max" } };
    expect(encoded.kind === "encoded" && JSON.parse(encoded.wire.body)).toMatchObject(expected);
  });

  test("every field is treated as its class says", () => {
    const plain = { model: "claude-opus-5", max_tokens: 9, messages: [{ role: "user", content: "hi" }] };
    const without = wireOf(anthropicCall(plain));
    const fields = Object.entries(anthropicMessages.fields!);
    const unmapped = fields.flatMap(([field, { class: kind }]) => (kind === "mapped" ? [] : [`${kind} ${field}`]));
    expect(unmapped.join(", ")).toMatchInlineSnapshot(
      `"silent stream_options, silent metadata, silent prompt_cache_key, silent prompt_cache_retention, silent audio, refused n, refused logprobs, refused top_logprobs, refused modalities, dropped moderation, dropped seed, dropped frequency_penalty, dropped presence_penalty, dropped logit_bias, dropped store, dropped prediction, dropped verbosity, silent models, silent plugins, silent provider, silent route, silent session_id, silent transforms, silent usage"`,
    );
    for (const [field, { class: kind }] of fields) {
      if (kind === "mapped") continue;
      const call = anthropicCall({ ...plain, [field]: "x" });
      if (kind === "refused") expect(anthropicMessages.encode(call)).toMatchObject({ error: { param: field } });
      else if (kind === "silent") expect(wireOf(call)).toEqual(without);
      else expect(wireOf(call)).toEqual({ ...without, warnings: [`${kind}:${field}`] });
      expect(wireOf(anthropicCall({ ...plain, [field]: null }))).toEqual(without);
    }
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
    expect(inputs.map((text) => toolInput(text, new Report(false)))).toEqual([
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
      expect(decodeChunks([files.stream!], callOf(files))).toEqual(files.events);
    });
  }

  for (const { name, files } of having("stream", "events")) {
    test(`cut into single bytes: ${name}`, () => {
      const { stream, events } = files;
      expect(decodeChunks(cutAt(stream!, [...stream!.keys()]), callOf(files))).toEqual(events);
    });
  }

  for (const { name, files } of having("stream", "body")) {
    test(`folds to the buffered answer: ${name}`, () => {
      const { stream, body } = files;
      const streamed = fold(decodeChunks([stream!], callOf(files)));
      expect(streamed).toEqual(fold(anthropicMessages.decodeBody(body, callOf(files))));
    });
  }
});

describe("a buffered answer", () => {
  const buffered = having("body", "events").filter(({ files }) => files.stream === undefined);
  for (const { name, files } of buffered) {
    test(name, () => {
      expect(anthropicMessages.decodeBody(files.body, callOf(files))).toEqual(files.events);
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

// What an answer holds beside text and calls: pictures, speech, citations, probabilities, and answers in several calls.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { type ChatBody, type ChatChoice, type ChatEvent, fold, type JsonObject } from "../../src/chat.ts";
import { type CallOptions, callOf, decodeChunks, decodeText, sseOf, wireBody } from "./google-harness.ts";

const ask: ChatBody = { model: "gemini-3.8-flash", messages: [{ role: "user", content: "q" }] };
const curious: ChatBody = { ...ask, google: { include_metadata: true } };

function chunk(parts: unknown[], more: JsonObject = {}): JsonObject {
  return { responseId: "R", candidates: [{ content: { role: "model", parts }, ...more }] };
}

function whole(parts: unknown[], more: JsonObject = {}): JsonObject {
  return chunk(parts, { finishReason: "STOP", ...more });
}

function buffered(answer: unknown, body = ask, options: CallOptions = {}): ChatEvent[] {
  return googleGenerate.decodeBody(answer, callOf(body, options));
}

function streamed(payloads: unknown[], body = ask, options: CallOptions = {}): ChatEvent[] {
  return decodeText(sseOf(payloads), callOf(body, { ...options, stream: true }));
}

function only(events: ChatEvent[]): ChatChoice {
  return fold(events).choices[0] as ChatChoice;
}

const png = (data: string) => ({ inlineData: { mimeType: "image/png", data } });
const shown = (data: string) => ({ type: "image_url", image_url: { url: `data:image/png;base64,${data}` } });
const pcm = (bytes: number[]) => ({
  inlineData: { mimeType: "audio/L16;rate=24000", data: Buffer.from(bytes).toString("base64") },
});

describe("pictures", () => {
  test("come in OpenRouter's place, drafts do not, and the signature stays beside its picture", () => {
    const parts = [png("AAAA"), { ...png("BBBB"), thought: true }, { ...png("CCCC"), thoughtSignature: "S" }];
    const signed = { ...shown("CCCC"), extra_content: { google: { thought_signature: "S" } } };
    expect(only(buffered(whole(parts))).messageExtra).toEqual({ images: [shown("AAAA"), signed] });
  });

  test("of several chunks are one list, given once", () => {
    const events = streamed([chunk([png("AAAA")]), chunk([png("BBBB")]), whole([{ text: "" }])]);
    expect(events.filter(({ type }) => type === "extra")).toHaveLength(1);
    expect(only(events)).toMatchObject({
      messageExtra: { images: [shown("AAAA"), shown("BBBB")] },
      finishReason: "stop",
    });
  });

  test("go back to the model with their signatures", () => {
    const { messageExtra } = only(buffered(whole([{ text: "Here." }, { ...png("AAAA"), thoughtSignature: "S" }])));
    const messages = [...ask.messages, { role: "assistant", content: "Here.", ...messageExtra }, ...ask.messages];
    expect(wireBody({ ...ask, messages }).contents).toMatchObject([
      {},
      { role: "model", parts: [{ text: "Here." }, { ...png("AAAA"), thoughtSignature: "S" }] },
      {},
    ]);
  });

  test("are asked for by `modalities`, where the catalogue does not say that the model has only text", () => {
    const body = { ...ask, model: "gemini-3-pro-image-preview", modalities: ["image", "text"] };
    expect(wireBody(body)).toMatchObject({ generationConfig: { responseModalities: ["IMAGE", "TEXT"] } });
    const encoded = googleGenerate.encode(callOf(body, { entry: { id: "x", output: ["text"] } }));
    expect(encoded).toMatchObject({ kind: "refusal", error: { kind: "unsupported", param: "modalities" } });
  });

  test("by address are shown by address, other files are listed apart", () => {
    const parts = [
      { fileData: { mimeType: "image/png", fileUri: "gs://b/a.png" } },
      { fileData: { mimeType: "video/mp4", fileUri: "gs://b/a.mp4" } },
    ];
    expect(only(buffered(whole(parts))).messageExtra).toEqual({
      images: [{ type: "image_url", image_url: { url: "gs://b/a.png" } }],
      extra_content: { google: { files: [{ mime_type: "video/mp4", url: "gs://b/a.mp4" }] } },
    });
  });
});

describe("speech", () => {
  test("is one recording, however many pieces it came in, with the type that says how to play it", () => {
    const { messageExtra } = only(streamed([chunk([pcm([1])]), chunk([pcm([2, 3])]), whole([])]));
    expect(messageExtra).toEqual({
      audio: {
        id: "audio_000000000000000000000001",
        data: Buffer.from([1, 2, 3]).toString("base64"),
        expires_at: 0,
        transcript: "",
      },
      extra_content: { google: { audio_mime_type: "audio/L16;rate=24000" } },
    });
  });

  test("is asked for with a voice", () => {
    const body = {
      ...ask,
      model: "gemini-3.5-flash-tts",
      modalities: ["text", "audio"],
      audio: { voice: "Kore", format: "wav" },
    };
    const encoded = googleGenerate.encode(callOf(body));
    expect(encoded).toMatchObject({ kind: "encoded", warnings: ["dropped:audio.format"] });
    expect(wireBody(body)).toMatchObject({
      generationConfig: {
        responseModalities: ["AUDIO"],
        speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: "Kore" } } },
      },
    });
  });
});

test("code that Google ran is shown apart and is not part of the text", () => {
  const parts = [
    { executableCode: { language: "PYTHON", code: "1+1" } },
    { codeExecutionResult: { outcome: "OUTCOME_OK", output: "2" } },
    { text: "Two." },
  ];
  const { text, messageExtra } = only(buffered(whole(parts)));
  expect(text).toBe("Two.");
  expect(messageExtra).toEqual({
    extra_content: {
      google: {
        code_execution: [
          { executable_code: { language: "PYTHON", code: "1+1" } },
          { code_execution_result: { outcome: "OUTCOME_OK", output: "2" } },
        ],
      },
    },
  });
});

describe("citations", () => {
  const page = { web: { uri: "https://s/1", title: "one" } };
  const grounding = (segment: JsonObject, chunks: unknown[] = [page]) => ({
    groundingMetadata: {
      groundingChunks: chunks,
      groundingSupports: [{ segment, groundingChunkIndices: chunks.map((_, i) => i) }],
      webSearchQueries: ["q"],
    },
  });

  test("count characters, not bytes, within the part they name", () => {
    const parts = [{ text: "🙂é" }, { text: "thinking", thought: true }, { text: "añb" }];
    const events = buffered(whole(parts, grounding({ partIndex: 2, startIndex: 1, endIndex: 3 })));
    const { annotations, text } = only(events);
    expect(annotations).toEqual([{ url: "https://s/1", title: "one", startIndex: 4, endIndex: 5 }]);
    expect(text.slice(4, 5)).toBe("ñ");
  });

  test("of a stream count within the text as a whole, and come before the finish", () => {
    const support = grounding({ endIndex: 6 });
    const events = streamed([
      chunk([{ text: "hm", thought: true }]),
      chunk([{ text: "abc" }]),
      chunk([{ text: "def" }], { groundingMetadata: { ...support.groundingMetadata, groundingSupports: [] } }),
      chunk([{ text: "g" }], grounding({ partIndex: 1, startIndex: 2, endIndex: 6 })),
      whole([{ text: "" }], { groundingMetadata: null }),
    ]);
    expect(only(events).annotations).toEqual([{ url: "https://s/1", title: "one", startIndex: 2, endIndex: 6 }]);
    expect(events.map(({ type }) => type).slice(-4)).toEqual(["annotation", "extra", "finish", "end"]);
  });

  test("of a part that is no number are passed over", () => {
    const lost = buffered(whole([{ text: "ab" }], grounding({ partIndex: { toString: 0 }, endIndex: 2 })));
    expect(only(lost)).toMatchObject({ text: "ab", finishReason: "stop" });
  });

  test("name whatever kind of source has a public address", () => {
    const chunks = [
      { image: { sourceUri: "https://i" } },
      { maps: { uri: "https://m", title: "Map" } },
      { retrievedContext: { uri: "https://r" } },
      { retrievedContext: { uri: "corpora/secret" } },
      { web: {} },
      7,
    ];
    const { annotations } = only(buffered(whole([{ text: "ab" }], grounding({ endIndex: 2 }, chunks))));
    expect(annotations.map(({ url, title }) => [url, title])).toEqual([
      ["https://i", ""],
      ["https://m", "Map"],
      ["https://r", ""],
    ]);
  });

  test("never leave the text and never cut a character, whatever the offsets", () => {
    const segment = fc.dictionary(
      fc.constantFrom("partIndex", "startIndex", "endIndex"),
      fc.oneof(fc.integer(), fc.double(), fc.jsonValue()),
    );
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), segment, (said, where) => {
        const { annotations, text } = only(buffered(whole([{ text: said }], grounding(where))));
        for (const { startIndex, endIndex } of annotations) {
          expect(startIndex).toBeGreaterThanOrEqual(0);
          expect(endIndex).toBeLessThanOrEqual(text.length);
          expect(text.slice(startIndex, endIndex).isWellFormed()).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("what Google wants shown beside them is shown", () => {
    const { extra } = only(buffered(whole([{ text: "ab" }], grounding({ endIndex: 2 }))));
    expect(extra).toEqual({ extra_content: { google: { grounding_metadata: { web_search_queries: ["q"] } } } });
  });
});

describe("log-probabilities", () => {
  const result = (token: string, logProbability?: number) => ({
    logprobsResult: {
      chosenCandidates: [{ token, ...(logProbability !== undefined && { logProbability }) }],
      topCandidates: [{ candidates: [{ token, logProbability: -0.5 }] }],
    },
  });

  test("add up over the chunks of a stream", () => {
    const { extra } = only(streamed([chunk([{ text: "é" }], result("é", -0.25)), whole([{ text: "!" }], result("!"))]));
    expect(extra).toEqual({
      logprobs: {
        content: [
          {
            token: "é",
            logprob: -0.25,
            bytes: [195, 169],
            top_logprobs: [{ token: "é", logprob: -0.5, bytes: [195, 169] }],
          },
          { token: "!", logprob: 0, bytes: [33], top_logprobs: [{ token: "!", logprob: -0.5, bytes: [33] }] },
        ],
        refusal: null,
      },
    });
  });

  test("are asked for where the model tells them", () => {
    const entry = { id: "x", features: { logprobs: true } };
    const config = (fields: JsonObject) => wireBody({ ...ask, ...fields }, { entry }).generationConfig;
    expect(config({ logprobs: true, top_logprobs: 3 })).toEqual({ responseLogprobs: true, logprobs: 3 });
    expect(config({ logprobs: true, top_logprobs: 0 })).toEqual({ responseLogprobs: true });
  });
});

describe("metadata", () => {
  const told = { safetyRatings: [{ category: "C" }], avgLogprobs: -0.1 };
  const answer = { ...whole([{ text: "a", thoughtSignature: "S" }], told), createTime: "2026-10-07T12:00:00Z" };

  test("is shown to callers who ask for it, and to nobody else", () => {
    expect(only(buffered(answer)).extra).toEqual({});
    expect(only(buffered(answer)).messageExtra).toEqual({});
    const { extra, messageExtra } = only(buffered(answer, curious));
    expect(extra).toEqual({
      extra_content: {
        google: {
          finish_reason: "STOP",
          safety_ratings: [{ category: "C" }],
          avg_logprobs: -0.1,
          create_time: "2026-10-07T12:00:00Z",
        },
      },
    });
    expect(messageExtra).toEqual({ extra_content: { google: { thought_signature: "S" } } });
  });

  test("is no part of the request", () => {
    expect(wireBody(curious)).toEqual(wireBody(ask));
  });

  test("the service tier is told in OpenAI's words", () => {
    const tier = (serviceTier: string) =>
      fold(buffered({ ...whole([{ text: "a" }]), usageMetadata: { serviceTier } })).extra;
    expect([tier("STANDARD"), tier("flex")]).toEqual([{ service_tier: "default" }, { service_tier: "flex" }]);
  });
});

describe("an answer in several calls", () => {
  const first = [
    chunk([{ text: "one ", thoughtSignature: "S1" }, png("AAAA")]),
    chunk([], { finishReason: "CONTINUATION", continuationToken: "T1" }),
  ];
  const stateOf = (events: ChatEvent[]) => {
    const last = events.at(-1);
    return last?.type === "continue" ? last.state : undefined;
  };

  test("goes on with the token, and is the same request otherwise", () => {
    const state = stateOf(streamed(first)) as JsonObject;
    expect(wireBody(ask, { continuation: state })).toEqual({ ...wireBody(ask), continuationToken: "T1" });
  });

  test("counts on: places in the text, calls, and what is given at the end", () => {
    const events = streamed(first);
    const second = [
      chunk([{ text: "two", thoughtSignature: "S2" }, { functionCall: { id: "a", name: "f" } }], {
        groundingMetadata: {
          groundingChunks: [{ web: { uri: "https://s" } }],
          groundingSupports: [{ segment: { endIndex: 3 }, groundingChunkIndices: [0] }],
        },
      }),
      whole([png("BBBB")]),
    ];
    const rest = streamed(second, ask, { continuation: stateOf(events) as JsonObject });
    const choice = only([...events.slice(0, -1), ...rest]);
    expect(choice.text).toBe("one two");
    expect(choice.reasoningDetails.map(({ index, text_offset }) => [index, text_offset])).toEqual([
      [0, 0],
      [1, 4],
    ]);
    expect(choice.annotations).toMatchObject([{ startIndex: 4, endIndex: 7 }]);
    expect(choice.messageExtra).toEqual({ images: [shown("AAAA"), shown("BBBB")] });
    expect(choice.finishReason).toBe("tool_calls");
  });

  test("is the same whether it came whole or in pieces", () => {
    const body = whole([{ text: "one ", thoughtSignature: "S1" }, png("AAAA")], {
      finishReason: "CONTINUATION",
      continuationToken: "T1",
    });
    expect(stateOf(buffered(body))).toEqual(stateOf(streamed(first)));
  });

  test("does not change the state it goes on from: the call may have to be made again", () => {
    const state = stateOf(streamed(first)) as JsonObject;
    const before = structuredClone(state);
    streamed([whole([png("BBBB"), { text: "x" }])], ask, { continuation: state });
    expect(state).toEqual(before);
  });

  test("without a token is cut short", () => {
    expect(only(buffered(whole([{ text: "a" }], { finishReason: "CONTINUATION" }))).finishReason).toBe("length");
  });
});

describe("bounds", () => {
  test("media beyond what the router holds end the answer", () => {
    const data = "A".repeat(33 * 1024 ** 2);
    const events = buffered(whole([png(data), png(data)]));
    expect(events.at(-1)).toMatchObject({ type: "error", error: { kind: "malformed", code: "answer_too_large" } });
  });

  test("hundreds of thousands of parts are read like two", () => {
    const parts = Array.from({ length: 200_000 }, () => ({ text: "a" }));
    expect(only(buffered(whole(parts))).text).toHaveLength(200_000);
  });
});

const part = fc.oneof(
  fc.record({ text: fc.string(), thought: fc.boolean() }, { requiredKeys: ["text"] }),
  fc.record({ text: fc.string(), thoughtSignature: fc.base64String({ minLength: 4 }) }),
  fc.record({
    functionCall: fc.record({ name: fc.constantFrom("f", "g"), args: fc.dictionary(fc.string(), fc.jsonValue()) }),
  }),
  fc.base64String({ minLength: 4 }).map(png),
  fc.array(fc.nat(255), { minLength: 1 }).map(pcm),
  fc.constant({ executableCode: { code: "1" } }),
);

test("a stream with one part in each event amounts to the buffered answer with all of them", () => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
      const last = { finishReason: "STOP", safetyRatings: [1] };
      const payloads = parts.map((one, i) => chunk([one], i === parts.length - 1 ? last : {}));
      expect(fold(streamed(payloads, curious))).toEqual(fold(buffered(chunk(parts, last), curious)));
    }),
    { numRuns: 200 },
  );
});

test("whatever the bytes, there is exactly one terminal event, the last one, and no throw", () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(part, { maxLength: 3 }).map((parts) => Buffer.from(sseOf([whole(parts)]))),
    fc
      .constantFrom("data: ", "\n\n", '{"candidates":[', '"groundingMetadata":', "null", "]}")
      .map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 12 }), (chunks) => {
      const events = decodeChunks(chunks, callOf(curious, { stream: true }));
      const terminals = events.filter(({ type }) => type === "end" || type === "error" || type === "continue");
      expect(terminals).toEqual(events.slice(-1));
    }),
    { numRuns: 300 },
  );
});

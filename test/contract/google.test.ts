// What we write for a call must be what Google's own SDKs write for the same call.
import { FunctionCallingConfigMode, GoogleGenAI, ServiceTier, ThinkingLevel } from "@google/genai";
import { GoogleGenerativeAI } from "@google/generative-ai";
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { googleGenerate } from "../../providers/dialects/google-generate.ts";
import { vertex } from "../../providers/vertex.ts";
import type { ChatBody, JsonObject } from "../../src/chat.ts";
import { callOf } from "../dialects/google-harness.ts";

interface Captured {
  path: string;
  body: JsonObject;
}

const base = "https://generativelanguage.googleapis.com/v1beta";
const answer = { candidates: [{ content: { role: "model", parts: [{ text: "ok" }] }, finishReason: "STOP" }] };
let captured: Captured[] = [];

const server = setupServer(
  http.post(`${base}/*`, async ({ request }) => {
    const path = request.url.slice(base.length);
    captured.push({ path, body: (await request.json()) as JsonObject });
    if (!path.endsWith("alt=sse")) return HttpResponse.json(answer);
    return new HttpResponse(`data: ${JSON.stringify(answer)}\r\n\r\n`, {
      headers: { "content-type": "text/event-stream" },
    });
  }),
);

beforeAll(() => server.listen({ onUnhandledFrame: "error" }));
beforeEach(() => {
  captured = [];
});
afterAll(() => server.close());

// Since 3.0 the SDK calls `v1` unless told otherwise; we stay on `v1beta`, where new fields appear first.
const genai = new GoogleGenAI({ apiKey: "test-key", vertexai: false, httpOptions: { apiVersion: "v1beta" } });
const generativeAi = new GoogleGenerativeAI("test-key");

type GenaiCall = Parameters<typeof genai.models.generateContent>[0];
type OldModelParams = Parameters<typeof generativeAi.getGenerativeModel>[0];
type OldRequest = Exclude<Parameters<ReturnType<typeof generativeAi.getGenerativeModel>["generateContent"]>[0], string>;

interface SameCall {
  name: string;
  ours: ChatBody;
  genai: GenaiCall;
  /** The deprecated SDK, for calls it has words for. */
  old?: { model: OldModelParams; request: OldRequest };
}

function ours(body: ChatBody): Captured {
  const encoded = googleGenerate.encode(callOf(body, { stream: body.stream === true }));
  if (encoded.kind === "refusal") throw new Error(encoded.error.message);
  expect(encoded.warnings).toEqual([]);
  return { path: encoded.wire.path, body: JSON.parse(encoded.wire.body) as JsonObject };
}

/**
 * The SDKs spell a few things in more than one way that the API reads alike:
 * - a role on the system instruction, which has no meaning there;
 * - an empty list of safety settings and an empty generation config (the deprecated SDK always sends both);
 * - thinking levels in upper case, which the API takes in both.
 */
function normalised({ path, body }: Captured): Captured {
  const copy = structuredClone(body) as JsonObject & { generationConfig?: JsonObject };
  if (Array.isArray(copy.safetySettings) && copy.safetySettings.length === 0) delete copy.safetySettings;
  if (Object.keys(copy.generationConfig ?? {}).length === 0) delete copy.generationConfig;
  if (copy.systemInstruction !== undefined) delete (copy.systemInstruction as JsonObject).role;
  const thinking = copy.generationConfig?.thinkingConfig as JsonObject | undefined;
  if (typeof thinking?.thinkingLevel === "string") thinking.thinkingLevel = thinking.thinkingLevel.toLowerCase();
  return { path, body: copy };
}

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const question = [{ role: "user", parts: [{ text: "Hi." }] }];
const ask = { role: "user", content: "Hi." };

const calls: SameCall[] = [
  {
    name: "a question",
    ours: { model: "gemini-2.5-flash", messages: [ask] },
    genai: { model: "gemini-2.5-flash", contents: "Hi." },
    old: { model: { model: "gemini-2.5-flash" }, request: { contents: question } },
  },
  {
    name: "a conversation with instructions and sampling, streamed",
    ours: {
      model: "gemini-2.5-flash",
      messages: [
        { role: "system", content: "Be brief." },
        ask,
        { role: "assistant", content: "Hello." },
        { role: "user", content: "Bye." },
      ],
      temperature: 0.2,
      top_p: 0.9,
      top_k: 40,
      max_tokens: 50,
      stop: ["END"],
      stream: true,
    },
    genai: {
      model: "gemini-2.5-flash",
      contents: [
        ...question,
        { role: "model", parts: [{ text: "Hello." }] },
        { role: "user", parts: [{ text: "Bye." }] },
      ],
      config: {
        systemInstruction: "Be brief.",
        temperature: 0.2,
        topP: 0.9,
        topK: 40,
        maxOutputTokens: 50,
        stopSequences: ["END"],
      },
    },
    old: {
      model: {
        model: "gemini-2.5-flash",
        systemInstruction: "Be brief.",
        generationConfig: { temperature: 0.2, topP: 0.9, topK: 40, maxOutputTokens: 50, stopSequences: ["END"] },
      },
      request: {
        contents: [
          ...question,
          { role: "model", parts: [{ text: "Hello." }] },
          { role: "user", parts: [{ text: "Bye." }] },
        ],
      },
    },
  },
  {
    name: "a forced function",
    ours: {
      model: "gemini-2.5-flash",
      messages: [ask],
      tools: [{ type: "function", function: { name: "weather", description: "Now.", parameters: city } }],
      tool_choice: { type: "function", function: { name: "weather" } },
    },
    genai: {
      model: "gemini-2.5-flash",
      contents: "Hi.",
      config: {
        tools: [{ functionDeclarations: [{ name: "weather", description: "Now.", parametersJsonSchema: city }] }],
        toolConfig: {
          functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ["weather"] },
        },
      },
    },
  },
  {
    name: "a function for a model that only knows the OpenAPI subset",
    ours: {
      model: "gemini-2.0-flash",
      messages: [ask],
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            parameters: { ...city, properties: { city: { type: ["string", "null"] }, days: { type: "integer" } } },
          },
        },
      ],
      tool_choice: "required",
    },
    genai: {
      model: "gemini-2.0-flash",
      contents: "Hi.",
      config: {
        tools: [
          {
            functionDeclarations: [
              {
                name: "weather",
                // The SDK rewrites plain JSON schemas to the subset itself.
                parameters: {
                  ...city,
                  properties: { city: { type: ["string", "null"] }, days: { type: "integer" } },
                } as object,
              },
            ],
          },
        ],
        toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
      },
    },
  },
  {
    name: "results of two calls, with their signature",
    ours: {
      model: "gemini-3.1-pro-preview",
      messages: [
        ask,
        {
          role: "assistant",
          content: null,
          tool_calls: [
            {
              id: "c1",
              type: "function",
              function: { name: "f", arguments: '{"a":1}' },
              extra_content: { google: { thought_signature: "U0lH" } },
            },
            { id: "c2", type: "function", function: { name: "f", arguments: "" } },
          ],
        },
        { role: "tool", tool_call_id: "c1", content: "one" },
        { role: "tool", tool_call_id: "c2", content: "two" },
      ],
      tools: [{ type: "function", function: { name: "f" } }],
    },
    genai: {
      model: "gemini-3.1-pro-preview",
      contents: [
        ...question,
        {
          role: "model",
          parts: [
            { functionCall: { id: "c1", name: "f", args: { a: 1 } }, thoughtSignature: "U0lH" },
            { functionCall: { id: "c2", name: "f", args: {} } },
          ],
        },
        {
          role: "user",
          parts: [
            { functionResponse: { id: "c1", name: "f", response: { output: "one" } } },
            { functionResponse: { id: "c2", name: "f", response: { output: "two" } } },
          ],
        },
      ],
      config: { tools: [{ functionDeclarations: [{ name: "f" }] }] },
    },
  },
  {
    name: "pictures, inline and by address",
    ours: {
      model: "gemini-2.5-flash",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "Compare." },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } },
            { type: "image_url", image_url: { url: "https://example.org/a.jpg" } },
          ],
        },
      ],
    },
    genai: {
      model: "gemini-2.5-flash",
      contents: [
        {
          role: "user",
          parts: [
            { text: "Compare." },
            { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } },
            { fileData: { mimeType: "image/jpeg", fileUri: "https://example.org/a.jpg" } },
          ],
        },
      ],
    },
    old: {
      model: { model: "gemini-2.5-flash" },
      request: {
        contents: [
          {
            role: "user",
            parts: [
              { text: "Compare." },
              { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } },
              { fileData: { mimeType: "image/jpeg", fileUri: "https://example.org/a.jpg" } },
            ],
          },
        ],
      },
    },
  },
  {
    name: "structured output and a thinking budget",
    ours: {
      model: "gemini-2.5-flash",
      messages: [ask],
      reasoning_effort: "low",
      seed: 7,
      response_format: { type: "json_schema", json_schema: { name: "r", schema: city } },
    },
    genai: {
      model: "gemini-2.5-flash",
      contents: "Hi.",
      config: {
        seed: 7,
        thinkingConfig: { thinkingBudget: 1024, includeThoughts: true },
        responseMimeType: "application/json",
        responseJsonSchema: city,
      },
    },
  },
  {
    name: "a thinking level and a service tier",
    ours: { model: "gemini-3.8-flash", messages: [ask], reasoning_effort: "low", service_tier: "flex" },
    genai: {
      model: "gemini-3.8-flash",
      contents: "Hi.",
      config: {
        thinkingConfig: { thinkingLevel: ThinkingLevel.LOW, includeThoughts: true },
        serviceTier: ServiceTier.FLEX,
      },
    },
  },
  {
    name: "what only the extension object can say",
    ours: {
      model: "gemini-2.5-flash",
      messages: [ask],
      google: {
        cached_content: "cachedContents/x",
        safety_settings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }],
        media_resolution: "MEDIA_RESOLUTION_LOW",
      },
    },
    genai: {
      model: "gemini-2.5-flash",
      contents: "Hi.",
      config: {
        cachedContent: "cachedContents/x",
        safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }],
        mediaResolution: "MEDIA_RESOLUTION_LOW",
      } as NonNullable<GenaiCall["config"]>,
    },
  },
];

calls.push(
  {
    name: "Google's search beside a function",
    ours: {
      model: "gemini-3.8-flash",
      messages: [ask],
      tools: [{ type: "google_search" }, { type: "function", function: { name: "f" } }],
    },
    genai: {
      model: "gemini-3.8-flash",
      contents: "Hi.",
      config: {
        tools: [{ functionDeclarations: [{ name: "f" }] }, { googleSearch: {} }],
        toolConfig: {
          functionCallingConfig: { mode: FunctionCallingConfigMode.VALIDATED },
          includeServerSideToolInvocations: true,
        },
      },
    },
  },
  {
    name: "pictures as output",
    ours: { model: "gemini-3-pro-image-preview", messages: [ask], modalities: ["text", "image"] },
    genai: {
      model: "gemini-3-pro-image-preview",
      contents: "Hi.",
      config: { responseModalities: ["TEXT", "IMAGE"] },
    },
  },
  {
    name: "speech as output",
    ours: {
      model: "gemini-3.5-flash-tts",
      messages: [ask],
      modalities: ["audio"],
      audio: { voice: "Kore", format: "pcm16" },
    },
    genai: {
      model: "gemini-3.5-flash-tts",
      contents: "Hi.",
      config: {
        responseModalities: ["AUDIO"],
        speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: "Kore" } } },
      },
    },
  },
);

test("@google/genai calls Google Cloud in express mode at the same address, with the same header", async () => {
  const seen: (Captured & { key: string | null })[] = [];
  server.use(
    http.post("https://aiplatform.googleapis.com/*", async ({ request }) => {
      const key = request.headers.get("x-goog-api-key");
      seen.push({ ...normalised({ path: request.url, body: (await request.json()) as JsonObject }), key });
      return HttpResponse.json(answer);
    }),
  );
  const cloud = new GoogleGenAI({ apiKey: "test-key", vertexai: true, httpOptions: { apiVersion: "v1" } });
  const tools = [{ functionDeclarations: [{ name: "f" }] }];
  await cloud.models.generateContent({
    model: "gemini-2.5-flash",
    contents: "Hi.",
    config: { tools, labels: { a: "b" } },
  });
  const body: ChatBody = {
    model: "gemini-2.5-flash",
    messages: [ask],
    tools: [{ type: "function", function: { name: "f" } }],
    google: { labels: { a: "b" } },
  };
  const encoded = vertex.dialect.encode(callOf(body, { provider: vertex }));
  if (encoded.kind === "refusal") throw new Error(encoded.error.message);
  const path = `${vertex.baseUrl}${encoded.wire.path}`;
  const key = vertex.authorize("test-key")["x-goog-api-key"] ?? null;
  expect(seen).toEqual([{ path, key, body: JSON.parse(encoded.wire.body) }]);
});

describe("@google/genai writes the same request", () => {
  test.each(calls)("$name", async (call) => {
    if (call.ours.stream === true) for await (const _ of await genai.models.generateContentStream(call.genai));
    else await genai.models.generateContent(call.genai);
    expect(normalised(captured[0]!)).toEqual(normalised(ours(call.ours)));
  });
});

describe("@google/generative-ai writes the same request", () => {
  test.each(calls.filter(({ old }) => old !== undefined))("$name", async ({ ours: body, old }) => {
    const model = generativeAi.getGenerativeModel(old!.model);
    if (body.stream === true) await (await model.generateContentStream(old!.request)).response;
    else await model.generateContent(old!.request);
    expect(normalised(captured[0]!)).toEqual(normalised(ours(body)));
  });
});

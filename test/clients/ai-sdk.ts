// Vercel's AI SDK with the two providers people point at a router: `openai.chat(…)` and `openai-compatible`.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError,
  generateText,
  isStepCount,
  type LanguageModel,
  Output,
  StreamProviderError,
  streamText,
  tool,
} from "ai";
import { API_KEY, type ChatClient, type Question, RECIPE, TOOLS, type ToolRun } from "./client.ts";

const TURNS_MAX = 6;

export function openaiChat(baseURL: string, model: string): LanguageModel {
  return createOpenAI({ baseURL, apiKey: API_KEY }).chat(model);
}

export function compatible(baseURL: string, model: string): LanguageModel {
  const settings = { includeUsage: true, supportsStructuredOutputs: true };
  return createOpenAICompatible({ name: "signalbox", baseURL, apiKey: API_KEY, ...settings }).chatModel(model);
}

export const aiSdkOpenai = aiSdk("the AI SDK with openai.chat", openaiChat);
export const aiSdkCompatible = aiSdk("the AI SDK with openai-compatible", compatible);

function aiSdk(name: string, model: (baseURL: string, model: string) => LanguageModel): ChatClient {
  const options = (baseURL: string, question: Question) => ({
    model: model(baseURL, question.model),
    ...params(question),
    maxRetries: 0,
  });
  const withTools = (baseURL: string, question: Question, calls: ToolRun["calls"]) => ({
    ...options(baseURL, question),
    tools: tools(calls),
    stopWhen: isStepCount(TURNS_MAX),
  });
  const withRecipe = (baseURL: string, question: Question) => ({
    ...options(baseURL, question),
    output: Output.object({ schema: RECIPE }),
  });
  return {
    name,
    words: { stop: "stop", length: "length" },
    errorNames: {
      "bad request": "AI_APICallError",
      "wrong key": "AI_APICallError",
      "not found": "AI_APICallError",
      "rate limit": "AI_APICallError",
      server: "AI_APICallError",
      "too long": "AI_APICallError",
      "broken stream": "AI_StreamProviderError",
    },

    async ask(baseURL, question) {
      const { text, finishReason, usage } = await generateText(options(baseURL, question));
      return { text, finishReason, usage: toTokens(usage) };
    },

    async stream(baseURL, question) {
      const result = streamText({ ...options(baseURL, question), onError: () => {} });
      const pieces: string[] = [];
      for await (const part of result.stream) {
        if (part.type === "text-delta") pieces.push(part.text);
        // The AI SDK hands errors over as parts; a program that looks for them sees the provider's own object.
        if (part.type === "error") throw part.error;
      }
      return {
        pieces,
        text: await result.text,
        finishReason: await result.finishReason,
        usage: toTokens(await result.totalUsage),
      };
    },

    async parse(baseURL, question) {
      return (await generateText(withRecipe(baseURL, question))).output;
    },

    async parseStream(baseURL, question) {
      const result = streamText(withRecipe(baseURL, question));
      const partial: unknown[] = [];
      for await (const part of result.partialOutputStream) partial.push(part);
      return { partial, whole: await result.output };
    },

    async runTools(baseURL, question) {
      const calls: ToolRun["calls"] = [];
      const { text, finishReason, totalUsage, steps } = await generateText(withTools(baseURL, question, calls));
      return { text, finishReason, usage: toTokens(totalUsage), calls, turns: steps.length };
    },

    async runToolsStreaming(baseURL, question) {
      const calls: ToolRun["calls"] = [];
      const result = streamText(withTools(baseURL, question, calls));
      const usage = toTokens(await result.totalUsage);
      const turns = (await result.steps).length;
      return { text: await result.text, finishReason: await result.finishReason, usage, calls, turns };
    },

    async leave(baseURL, question) {
      const abort = new AbortController();
      const parts: string[] = [];
      for await (const part of streamText({ ...options(baseURL, question), abortSignal: abort.signal }).stream) {
        parts.push(part.type);
        if (part.type === "text-delta") abort.abort();
      }
      if (parts.at(-1) !== "abort") throw new Error(`the stream ended with ${parts.at(-1)}`);
    },

    failure(error) {
      if (StreamProviderError.isInstance(error)) {
        const { name, statusCode: status, message, code } = error;
        return { name, status, message, code, param: undefined };
      }
      if (!APICallError.isInstance(error)) throw error;
      const body = error.data as { error?: { code?: unknown; param?: unknown } } | undefined;
      const { name, statusCode: status, message } = error;
      return { name, status, message, code: body?.error?.code, param: body?.error?.param };
    },
  };
}

function params({ prompt, system, maxTokens, image }: Question) {
  const content = [
    { type: "text" as const, text: prompt },
    ...(image === undefined ? [] : [{ type: "file" as const, data: image, mediaType: "image/png" }]),
  ];
  return {
    messages: [{ role: "user" as const, content }],
    ...(system === undefined ? {} : { instructions: system }),
    ...(maxTokens === undefined ? {} : { maxOutputTokens: maxTokens }),
  };
}

function tools(calls: ToolRun["calls"]) {
  const { get_weather, get_time } = TOOLS;
  return {
    get_weather: tool({
      description: get_weather.description,
      inputSchema: get_weather.schema,
      execute: (args) => {
        calls.push({ name: "get_weather", args });
        return get_weather.run(args);
      },
    }),
    get_time: tool({
      description: get_time.description,
      inputSchema: get_time.schema,
      execute: (args) => {
        calls.push({ name: "get_time", args });
        return get_time.run(args);
      },
    }),
  };
}

function toTokens(usage: { inputTokens: number | undefined; outputTokens: number | undefined }) {
  return { input: usage.inputTokens, output: usage.outputTokens };
}

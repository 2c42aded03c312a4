// LangChain's ChatOpenAI.
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import {
  type AIMessage,
  type AIMessageChunk,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  type UsageMetadata,
} from "@langchain/core/messages";
import type { Runnable } from "@langchain/core/runnables";
import { type StructuredToolInterface, tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { expect } from "vitest";
import { z } from "zod";
import {
  API_KEY,
  type ChatClient,
  type Question,
  RECIPE,
  type Recipe,
  TOOLS,
  type Tokens,
  type ToolRun,
} from "./client.ts";

export const langchain: ChatClient = {
  name: "LangChain's ChatOpenAI",
  words: { stop: "stop", length: "length" },
  errorNames: {
    "bad request": "BadRequestError",
    "wrong key": "AuthenticationError",
    "not found": "NotFoundError",
    "rate limit": "RateLimitError",
    server: "InternalServerError",
    "too long": "ContextOverflowError",
    "broken stream": "APIError",
  },

  async ask(baseURL, question) {
    return toAnswer(await connect(baseURL, question).invoke(messages(question)));
  },

  async stream(baseURL, question) {
    const chunks: AIMessageChunk[] = [];
    for await (const chunk of await connect(baseURL, question).stream(messages(question))) chunks.push(chunk);
    return { ...toAnswer(whole(chunks)), pieces: chunks.map(({ text }) => text).filter((text) => text !== "") };
  },

  async parse(baseURL, question) {
    return connect(baseURL, question).withStructuredOutput(RECIPE).invoke(messages(question));
  },

  async parseStream(baseURL, question) {
    // LangChain parses as it goes only for a JSON Schema; for zod it waits for the whole.
    const partial: unknown[] = [];
    const stream = await connect(baseURL, question)
      .withStructuredOutput({ ...z.toJSONSchema(RECIPE) }, { name: "recipe" })
      .stream(messages(question));
    for await (const part of stream) partial.push(part);
    return { partial, whole: partial.at(-1) as Recipe };
  },

  runTools: (baseURL, question) => runTools(baseURL, question, (model, history) => model.invoke(history)),

  runToolsStreaming: (baseURL, question) =>
    runTools(baseURL, question, async (model, history) => {
      const chunks: AIMessageChunk[] = [];
      for await (const chunk of await model.stream(history)) chunks.push(chunk);
      return whole(chunks);
    }),

  async leave(baseURL, question) {
    const abort = new AbortController();
    const stream = await connect(baseURL, question).stream(messages(question), { signal: abort.signal });
    await expect(async () => {
      for await (const _ of stream) abort.abort();
    }).rejects.toThrow(/abort/i);
  },

  failure(error) {
    // Its own errors carry the SDK's as their cause.
    const cause = (error as Error).cause ?? error;
    const { status, code, param } = cause as { status?: number; code?: unknown; param?: unknown };
    const { message } = error as Error;
    return { name: (error as Error).constructor.name, status, message, code, param };
  },
};

export function connect(baseURL: string, { model, maxTokens }: Pick<Question, "model" | "maxTokens">): ChatOpenAI {
  return new ChatOpenAI({
    model,
    apiKey: API_KEY,
    configuration: { baseURL },
    maxRetries: 0,
    ...(maxTokens === undefined ? {} : { maxTokens }),
  });
}

function messages({ prompt, system, image }: Question) {
  const content =
    image === undefined
      ? prompt
      : [
          { type: "text", text: prompt },
          { type: "image_url", image_url: { url: image } },
        ];
  return [...(system === undefined ? [] : [new SystemMessage(system)]), new HumanMessage({ content })];
}

const tools: Record<string, StructuredToolInterface> = {
  get_weather: tool(TOOLS.get_weather.run, {
    name: "get_weather",
    description: TOOLS.get_weather.description,
    schema: TOOLS.get_weather.schema,
  }),
  get_time: tool(TOOLS.get_time.run, {
    name: "get_time",
    description: TOOLS.get_time.description,
    schema: TOOLS.get_time.schema,
  }),
};

/** The loop every LangChain tutorial has: messages go back as they came. */
async function runTools(
  baseURL: string,
  question: Question,
  ask: (model: Runnable<BaseLanguageModelInput, AIMessageChunk>, history: BaseMessage[]) => Promise<AIMessage>,
): Promise<ToolRun> {
  const model = connect(baseURL, question).bindTools(Object.values(tools));
  const history: BaseMessage[] = messages(question);
  const calls: ToolRun["calls"] = [];
  const usage = { input: 0, output: 0 };
  for (let turns = 1; ; turns += 1) {
    const message = await ask(model, history);
    history.push(message);
    const turn = toTokens(message);
    usage.input += turn.input ?? 0;
    usage.output += turn.output ?? 0;
    for (const call of message.tool_calls ?? []) {
      calls.push({ name: call.name, args: call.args });
      history.push(await tools[call.name]!.invoke({ ...call, type: "tool_call" }));
    }
    if (message.tool_calls?.length === 0) return { ...toAnswer(message), usage, calls, turns };
  }
}

function whole(chunks: AIMessageChunk[]): AIMessageChunk {
  return chunks.reduce((sum, chunk) => sum.concat(chunk));
}

function toAnswer(message: AIMessage) {
  const { text, response_metadata } = message;
  return { text, finishReason: response_metadata.finish_reason as string | undefined, usage: toTokens(message) };
}

export function toTokens(message: AIMessage): Tokens {
  const usage = message.usage_metadata as UsageMetadata | undefined;
  return { input: usage?.input_tokens, output: usage?.output_tokens };
}

// The official `openai` package.
import OpenAI, { APIError } from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { API_KEY, type ChatClient, type Question, RECIPE, type Recipe, TOOLS, type ToolRun } from "./client.ts";

export const openaiSdk: ChatClient = {
  name: "the openai SDK",
  words: { stop: "stop", length: "length" },
  errorNames: {
    "bad request": "BadRequestError",
    "wrong key": "AuthenticationError",
    "not found": "NotFoundError",
    "rate limit": "RateLimitError",
    server: "InternalServerError",
    "too long": "BadRequestError",
    "broken stream": "APIError",
  },

  async ask(baseURL, question) {
    return toAnswer(await connect(baseURL).chat.completions.create(params(question)));
  },

  async stream(baseURL, question) {
    const pieces: string[] = [];
    let finishReason: string | undefined;
    let usage: OpenAI.CompletionUsage | null | undefined;
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    for await (const chunk of await connect(baseURL).chat.completions.create({ ...params(question), ...options })) {
      const choice = chunk.choices[0];
      if (choice?.delta.content) pieces.push(choice.delta.content);
      finishReason = choice?.finish_reason ?? finishReason;
      usage = chunk.usage ?? usage;
    }
    return { pieces, text: pieces.join(""), finishReason, usage: toTokens(usage) };
  },

  async parse(baseURL, question) {
    const answer = await connect(baseURL).chat.completions.parse(recipeParams(question));
    return answer.choices[0]?.message.parsed as Recipe;
  },

  async parseStream(baseURL, question) {
    const stream = connect(baseURL).chat.completions.stream(recipeParams(question));
    const partial: unknown[] = [];
    stream.on("content.delta", ({ parsed }) => void partial.push(structuredClone(parsed)));
    const answer = await stream.finalChatCompletion();
    return { partial, whole: answer.choices[0]?.message.parsed as Recipe };
  },

  async runTools(baseURL, question) {
    const calls: ToolRun["calls"] = [];
    const runner = connect(baseURL).chat.completions.runTools({ ...params(question), tools: tools(calls) });
    return toToolRun(runner, calls);
  },

  async runToolsStreaming(baseURL, question) {
    const calls: ToolRun["calls"] = [];
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    const runner = connect(baseURL).chat.completions.runTools({ ...params(question), tools: tools(calls), ...options });
    return toToolRun(runner, calls);
  },

  async leave(baseURL, question) {
    const stream = await connect(baseURL).chat.completions.create({ ...params(question), stream: true });
    for await (const _ of stream) stream.controller.abort();
  },

  failure(error) {
    if (!(error instanceof APIError)) throw error;
    const { status, message, code, param } = error;
    return { name: error.constructor.name, status, message, code, param };
  },
};

export function connect(baseURL: string, options: { maxRetries?: number; timeout?: number } = {}): OpenAI {
  return new OpenAI({ baseURL, apiKey: API_KEY, maxRetries: 0, ...options });
}

function params({ model, prompt, system, maxTokens, image }: Question) {
  const text = { type: "text", text: prompt } as const;
  const messages: OpenAI.ChatCompletionMessageParam[] = [
    ...(system === undefined ? [] : [{ role: "system", content: system } as const]),
    {
      role: "user",
      content: image === undefined ? prompt : [text, { type: "image_url", image_url: { url: image } }],
    },
  ];
  return { model, messages, ...(maxTokens === undefined ? {} : { max_completion_tokens: maxTokens }) };
}

function recipeParams(question: Question) {
  return { ...params(question), response_format: zodResponseFormat(RECIPE, "recipe") };
}

function tools(calls: ToolRun["calls"]) {
  const { get_weather, get_time } = TOOLS;
  const noted = <Args>(name: string, run: (args: Args) => string) => {
    return (args: Args) => {
      calls.push({ name, args });
      return run(args);
    };
  };
  return [
    zodFunction({
      name: "get_weather",
      description: get_weather.description,
      parameters: get_weather.schema,
      function: noted("get_weather", get_weather.run),
    }),
    zodFunction({
      name: "get_time",
      description: get_time.description,
      parameters: get_time.schema,
      function: noted("get_time", get_time.run),
    }),
  ];
}

type Runner = ReturnType<OpenAI.Chat.Completions["runTools"]>;

async function toToolRun(
  runner: Pick<Runner, "finalChatCompletion" | "totalUsage" | "allChatCompletions">,
  calls: ToolRun["calls"],
): Promise<ToolRun> {
  const last = await runner.finalChatCompletion();
  const usage = toTokens(await runner.totalUsage());
  return { ...toAnswer(last), calls, turns: runner.allChatCompletions().length, usage };
}

function toAnswer({ choices, usage }: OpenAI.ChatCompletion) {
  const [choice] = choices;
  return { text: choice?.message.content ?? "", finishReason: choice?.finish_reason, usage: toTokens(usage) };
}

function toTokens(usage: OpenAI.CompletionUsage | null | undefined) {
  return { input: usage?.prompt_tokens, output: usage?.completion_tokens };
}

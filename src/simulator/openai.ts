// Plays OpenAI's Chat Completions API: what it reads from a request, how it writes answers, streams and errors.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import {
  type Answer,
  type AnswerCall,
  type AnswerChoice,
  type Call,
  countTokens,
  type Face,
  type Fault,
  type Frame,
  type Head,
  letters,
  type Prompt,
  pieces,
  type Reply,
  text,
} from "./face.ts";
import { gptProfile } from "./openai-models.ts";
import { validateOpenai } from "./openai-validate.ts";
import { type FaultName, STATUSES } from "./script.ts";

const LABEL = "OpenAI";
const requestsLimit = 10_000;
const tokensLimit = 2_000_000;
const models = ["gpt-4o-mini", "gpt-4.1", "gpt-5-mini", "gpt-5", "o4-mini"];

export const openai: Face = {
  id: "openai",
  streamType: () => "text/event-stream; charset=utf-8",
  headers,
  checkCredentials,
  validate: validateOpenai,
  prompt: readPrompt,
  body,
  frames,
  streamFault: () => `data: ${JSON.stringify({ error: envelope(serverFault) })}\n\n`,
  brokenFrame: (head) => `data: {"id":"${chatId(head)}","object":"chat.completion.chunk","choices":[{"delta":{"con\n\n`,
  scriptedFault,
  namedFault,
  reply,
  models: () => ({
    object: "list",
    data: models.map((id) => ({ id, object: "model", created: 1_750_000_000, owned_by: "system" })),
  }),
};

function headers(head: Head): Record<string, string> {
  return {
    "openai-organization": "org-simulated",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": String(requestsLimit),
    "x-ratelimit-limit-tokens": String(tokensLimit),
    "x-ratelimit-remaining-requests": String(requestsLimit - 1),
    "x-ratelimit-remaining-tokens": String(tokensLimit - 100),
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "3ms",
    "x-request-id": `req_${letters(head.serial, 1, 32).toLowerCase()}`,
  };
}

function checkCredentials(header: Call["header"]): Fault | undefined {
  const key = /^Bearer +(\S+)$/i.exec(header("authorization") ?? "")?.[1];
  if (key === undefined) return { status: 401, code: null, message: MISSING_KEY };
  return key.startsWith("sk-wrong") ? wrongKey(key) : undefined;
}

const MISSING_KEY =
  "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth " +
  "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API " +
  "from your browser and are prompted for a username and password. You can obtain an API key from " +
  "https://platform.openai.com/account/api-keys.";

function wrongKey(key: string): Fault {
  const masked = key.length <= 12 ? `${key.slice(0, 3)}***` : `${key.slice(0, 8)}********${key.slice(-4)}`;
  const message = `Incorrect API key provided: ${masked}. You can find your API key at https://platform.openai.com/account/api-keys.`;
  return { status: 401, code: "invalid_api_key", message };
}

export function readPrompt(call: Call): Prompt {
  const { body } = call;
  const messages = objectsIn(body.messages);
  const lastUser = messages.findLast((message) => message.role === "user");
  const afterModel = messages.slice(messages.findLastIndex((message) => message.role === "assistant") + 1);
  const results = afterModel.filter((message) => message.role === "tool" || message.role === "function");
  const ended = messages.at(-1)?.role;
  const format = isObject(body.response_format) ? body.response_format : {};
  const limit = body.max_completion_tokens ?? body.max_tokens;
  return {
    label: LABEL,
    model: call.model,
    tokens: messages.reduce((sum, message) => sum + messageTokens(message), 0),
    lastUserText: lastUser === undefined ? "" : contentText(lastUser.content),
    toolResults:
      ended === "tool" || ended === "function" ? results.map(({ content }) => contentText(content)) : undefined,
    tools: readTools(body),
    toolChoice: readToolChoice(body),
    parallelTools: body.parallel_tool_calls !== false && body.functions === undefined,
    jsonSchema: readSchema(format),
    stop: typeof body.stop === "string" ? [body.stop] : Array.isArray(body.stop) ? body.stop.map(String) : [],
    maxTokens: typeof limit === "number" ? limit : undefined,
    choices: typeof body.n === "number" ? body.n : 1,
    reasoning: typeof body.reasoning_effort === "string" && body.reasoning_effort !== "none",
  };
}

function messageTokens(message: JsonObject): number {
  const calls = objectsIn(message.tool_calls).map((call) => {
    const made = isObject(call.function) ? call.function : isObject(call.custom) ? call.custom : {};
    return countTokens(text(made.name)) + countTokens(text(made.arguments ?? made.input));
  });
  return calls.reduce((sum, tokens) => sum + tokens, countTokens(contentText(message.content)));
}

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return objectsIn(content)
    .map((part) => text(part.text))
    .join("");
}

function readTools(body: JsonObject): Prompt["tools"] {
  const declared = objectsIn(body.tools).map((tool) => (isObject(tool.function) ? tool.function : tool.custom));
  return objectsIn([...declared, ...objectsIn(body.functions)]).map((tool) => ({
    name: text(tool.name),
    schema: isObject(tool.parameters) ? tool.parameters : undefined,
  }));
}

function readToolChoice(body: JsonObject): Prompt["toolChoice"] {
  const choice = body.tool_choice ?? body.function_call;
  if (choice === "none" || choice === "required") return choice;
  if (!isObject(choice)) return "auto";
  if (isObject(choice.allowed_tools)) return choice.allowed_tools.mode === "required" ? "required" : "auto";
  const named = isObject(choice.function) ? choice.function : isObject(choice.custom) ? choice.custom : choice;
  return { name: text(named.name) };
}

function readSchema(format: JsonObject): JsonObject | undefined {
  if (format.type === "json_object") return {};
  if (format.type !== "json_schema" || !isObject(format.json_schema)) return undefined;
  return isObject(format.json_schema.schema) ? format.json_schema.schema : {};
}

function chatId(head: Head): string {
  return `chatcmpl-${letters(head.serial, 0, 29)}`;
}

function finishReason(choice: AnswerChoice, head: Head): string {
  if (choice.finish === "tool") return head.call.body.functions === undefined ? "tool_calls" : "function_call";
  return choice.finish === "filter" ? "content_filter" : choice.finish;
}

function usage(answer: Answer): JsonObject {
  const completion = answer.outputTokens + answer.reasoningTokens * answer.choices.length;
  return {
    prompt_tokens: answer.promptTokens,
    completion_tokens: completion,
    total_tokens: answer.promptTokens + completion,
    prompt_tokens_details: { cached_tokens: answer.cachedTokens, audio_tokens: 0 },
    // Chat Completions tells how much was thought, never what: there is no reasoning text in this format.
    completion_tokens_details: {
      reasoning_tokens: answer.reasoningTokens * answer.choices.length,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function body(answer: Answer, head: Head): JsonObject {
  return {
    id: chatId(head),
    object: "chat.completion",
    created: Math.floor(head.nowMs / 1000),
    model: head.call.model,
    choices: answer.choices.map((choice, index) => ({
      index,
      message: message(choice, index, head),
      logprobs: null,
      finish_reason: finishReason(choice, head),
    })),
    usage: usage(answer),
    service_tier: "default",
    system_fingerprint: "fp_simulated",
  };
}

function message(choice: AnswerChoice, index: number, head: Head): JsonObject {
  const answered = { role: "assistant", content: choice.calls.length > 0 ? null : choice.text };
  const calls = choice.calls.map((call, at) => toolCall(head, index, at, call));
  const first = calls[0];
  const made =
    first === undefined
      ? {}
      : head.call.body.functions === undefined
        ? { tool_calls: calls }
        : { function_call: first.function };
  return { ...answered, ...made, refusal: null, annotations: [] };
}

function toolCall(head: Head, choice: number, at: number, { name, argumentsText }: AnswerCall): JsonObject {
  const id = `call_${letters(head.serial, 10 + choice * 100 + at, 24)}`;
  const isCustom = objectsIn(head.call.body.tools).some((tool) => isObject(tool.custom) && tool.custom.name === name);
  if (isCustom) return { id, type: "custom", custom: { name, input: argumentsText } };
  return { id, type: "function", function: { name, arguments: argumentsText } };
}

function* frames(answer: Answer, head: Head): Generator<Frame> {
  const options = head.call.body.stream_options;
  const includeUsage = isObject(options) && options.include_usage === true;
  const opening =
    `data: {"id":"${chatId(head)}","object":"chat.completion.chunk","created":${Math.floor(head.nowMs / 1000)},` +
    `"model":${JSON.stringify(head.call.model)},"service_tier":"default","system_fingerprint":"fp_simulated","choices":[`;
  const closing = includeUsage ? '],"usage":null}\n\n' : "]}\n\n";
  const chunk = (index: number, delta: string, finish: string) =>
    `${opening}{"index":${index},"delta":${delta},"logprobs":null,"finish_reason":${finish}}${closing}`;
  for (const [index, choice] of answer.choices.entries()) {
    const content = choice.calls.length > 0 ? "null" : '""';
    const role = `{"role":"assistant","content":${content},"refusal":null}`;
    yield { bytes: chunk(index, role, "null"), tokens: 0, phase: "preamble" };
  }
  if (answer.reasoningTokens > 0) yield { bytes: "", tokens: answer.reasoningTokens, phase: "preamble" };
  for (const { index, delta, tokens } of interleaved(answer, head)) {
    yield { bytes: chunk(index, delta, "null"), tokens, phase: "content" };
  }
  for (const [index, choice] of answer.choices.entries()) {
    yield { bytes: chunk(index, "{}", `"${finishReason(choice, head)}"`), tokens: 0, phase: "end" };
  }
  const last = includeUsage ? `${opening}],"usage":${JSON.stringify(usage(answer))}}\n\n` : "";
  yield { bytes: `${last}data: [DONE]\n\n`, tokens: 0, phase: "end" };
}

interface Delta {
  index: number;
  delta: string;
  tokens: number;
}

/** The choices of `n` > 1 are generated side by side, so their deltas alternate. */
function* interleaved(answer: Answer, head: Head): Generator<Delta> {
  let running = answer.choices.map((choice, index) => deltas(choice, index, head));
  while (running.length > 0) {
    const next = running.map((source) => ({ source, step: source.next() })).filter(({ step }) => step.done !== true);
    for (const { step } of next) if (step.done !== true) yield step.value;
    running = next.map(({ source }) => source);
  }
}

function* deltas(choice: AnswerChoice, index: number, head: Head): Generator<Delta> {
  for (const piece of pieces(choice.text, 1, choice.halves)) {
    yield { index, delta: `{"content":${JSON.stringify(piece)}}`, tokens: 1 };
  }
  for (const [at, call] of choice.calls.entries()) {
    const first = toolCall(head, index, at, { name: call.name, argumentsText: "" });
    if (head.call.body.functions !== undefined) yield* functionDeltas(index, first, call.argumentsText);
    else {
      yield { index, delta: JSON.stringify({ tool_calls: [{ index: at, ...first }] }), tokens: countTokens(call.name) };
      for (const piece of pieces(call.argumentsText, 2)) {
        const part = first.type === "custom" ? { custom: { input: piece } } : { function: { arguments: piece } };
        yield { index, delta: JSON.stringify({ tool_calls: [{ index: at, ...part }] }), tokens: countTokens(piece) };
      }
    }
  }
}

function* functionDeltas(index: number, first: JsonObject, argumentsText: string): Generator<Delta> {
  const { name } = first.function as { name: string };
  yield { index, delta: JSON.stringify({ function_call: { name, arguments: "" } }), tokens: countTokens(name) };
  for (const piece of pieces(argumentsText, 2)) {
    yield { index, delta: JSON.stringify({ function_call: { arguments: piece } }), tokens: countTokens(piece) };
  }
}

const serverFault: Fault = {
  status: 500,
  type: "server_error",
  message: "The server had an error while processing your request. Sorry about that!",
};

function scriptedFault(status: number, call: Call): Fault {
  const known: Record<number, Omit<Fault, "status">> = {
    400: { message: "We could not parse the JSON body of your request. (simulated)" },
    401: wrongKey("sk-wrong-simulated-0000"),
    402: {
      type: "insufficient_quota",
      code: "insufficient_quota",
      message: "You exceeded your current quota, please check your plan and billing details.",
    },
    403: {
      type: "request_forbidden",
      code: "unsupported_country_region_territory",
      message: "Country, region, or territory not supported",
    },
    404: {
      code: "model_not_found",
      message: `The model \`${call.model}\` does not exist or you do not have access to it.`,
    },
    413: { message: "Request too large. (simulated)", code: "request_too_large" },
    429: {
      type: "requests",
      code: "rate_limit_exceeded",
      message: `Rate limit reached for ${call.model} in organization org-simulated on requests per min (RPM): Limit ${requestsLimit}, Used ${requestsLimit}, Requested 1. Visit https://platform.openai.com/account/rate-limits to learn more.`,
    },
    500: serverFault,
    503: { type: "server_error", message: "The engine is currently overloaded, please try again later" },
  };
  const other = status >= 500 ? serverFault : { message: `Simulated error with status ${status}.` };
  return { ...(known[status] ?? other), status };
}

function namedFault(name: FaultName, call: Call): Fault {
  if (name === "context") {
    const { contextTokens } = gptProfile(call.model);
    const message = `This model's maximum context length is ${contextTokens} tokens. However, your messages resulted in ${contextTokens + 1} tokens. Please reduce the length of the messages.`;
    return { status: 400, code: "context_length_exceeded", param: "messages", message };
  }
  if (name === "filter") {
    const message = "Your request was rejected as a result of our safety system.";
    return { status: 400, code: "content_policy_violation", message };
  }
  // Out of money is a 429 here.
  const fault = scriptedFault(STATUSES[name], call);
  return name === "quota" ? { ...fault, status: 429 } : fault;
}

function envelope(fault: Fault): JsonObject {
  const { message, type = "invalid_request_error", param = null, code = null } = fault;
  return { message, type, param, code };
}

function reply(fault: Fault, head: Head): Reply {
  const answered = headers(head);
  if (fault.status === 429) {
    answered["x-ratelimit-remaining-requests"] = "0";
    answered["x-ratelimit-reset-requests"] = fault.retryAfterS === undefined ? "1m0s" : `${fault.retryAfterS}s`;
  }
  if (fault.retryAfterS !== undefined) {
    answered["retry-after"] = String(Math.ceil(fault.retryAfterS));
    answered["retry-after-ms"] = String(Math.round(fault.retryAfterS * 1000));
  }
  return { status: fault.status, headers: answered, body: { error: envelope(fault) } };
}

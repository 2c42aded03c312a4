// Whole answers in OpenAI's shape: message, tool calls, usage, and the extensions beside them.
import type {
  ChatAnswer,
  ChatChoice,
  ChatToolCall,
  FinishReason,
  JsonObject,
  UrlCitation,
  Usage,
} from "../../../src/chat.ts";
import type { AnswerHead } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";

export function renderBody(answer: ChatAnswer, head: AnswerHead): JsonObject {
  const { usage: beside, ...extra } = answer.extra;
  const body: JsonObject = {
    id: answer.id,
    object: "chat.completion",
    created: head.createdS,
    model: head.model,
    choices: answer.choices.map((choice) => renderChoice(choice, head)),
    ...extra,
  };
  if (answer.usage !== undefined) body.usage = wholeUsage(answer.usage, beside, head);
  return body;
}

function renderChoice(choice: ChatChoice, head: AnswerHead): JsonObject {
  const isLegacy = head.legacyFunctions === true;
  const message: JsonObject = {
    role: "assistant",
    content: contentOf(choice),
    refusal: choice.refusal === "" ? null : choice.refusal,
  };
  if (choice.reasoning !== "") message.reasoning_content = choice.reasoning;
  if (choice.reasoningDetails.length > 0) message.reasoning_details = choice.reasoningDetails;
  if (choice.annotations.length > 0) message.annotations = choice.annotations.map(renderAnnotation);
  const [first] = choice.toolCalls;
  if (first !== undefined && isLegacy)
    message.function_call = { name: first.name, arguments: first.argumentsText || "{}" };
  else if (first !== undefined) message.tool_calls = choice.toolCalls.map(renderToolCall);
  const reason: FinishReason = choice.finishReason ?? "stop";
  return {
    index: choice.index,
    message: { ...message, ...choice.messageExtra },
    logprobs: null,
    ...choice.extra,
    finish_reason: isLegacy && reason === "tool_calls" ? "function_call" : reason,
  };
}

/** OpenAI's `content` is null where there is no text by design: beside tool calls, or because a filter took it. */
function contentOf(choice: ChatChoice): string | null {
  const isEmptyByDesign = choice.toolCalls.length > 0 || choice.finishReason === "content_filter";
  return choice.text === "" && isEmptyByDesign ? null : choice.text;
}

function renderToolCall({ id, name, argumentsText, extra, custom }: ChatToolCall): JsonObject {
  if (custom) return { id, type: "custom", custom: { name, input: argumentsText } };
  const body = { name, arguments: argumentsText === "" ? "{}" : argumentsText };
  return { id, type: "function", function: body, ...(extra === undefined ? {} : { extra_content: extra }) };
}

export function renderAnnotation({ url, title, startIndex, endIndex }: UrlCitation): JsonObject {
  return { type: "url_citation", url_citation: { url, title, start_index: startIndex, end_index: endIndex } };
}

/** `beside`: members the provider told with its counts; the router's own go before them. */
export function wholeUsage(usage: Usage, beside: unknown, head: AnswerHead): JsonObject {
  return { ...(isObject(beside) ? beside : {}), ...renderUsage(usage), ...head.usageExtras() };
}

/** OpenAI's usage object: details only where the provider told them. */
function renderUsage(usage: Usage): JsonObject {
  const input = usage.inputTokens ?? 0;
  const output = usage.outputTokens ?? 0;
  const writes = sumOfTold(usage.cacheWriteTokens, usage.cacheWrite1hTokens);
  const promptDetails = told({
    cached_tokens: usage.cacheReadTokens,
    cache_write_tokens: writes,
    audio_tokens: usage.audioInputTokens,
  });
  const completionDetails = told({
    reasoning_tokens: usage.reasoningTokens,
    audio_tokens: usage.audioOutputTokens,
  });
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    ...(promptDetails === undefined ? {} : { prompt_tokens_details: promptDetails }),
    ...(completionDetails === undefined ? {} : { completion_tokens_details: completionDetails }),
  };
}

function told(fields: Record<string, number | undefined>): JsonObject | undefined {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function sumOfTold(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}

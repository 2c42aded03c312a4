// Plays Anthropic's Messages API: what it reads from a request, how it writes answers, streams and errors.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { signaturePrefix } from "./anthropic-blocks.ts";
import { claudeProfile } from "./anthropic-models.ts";
import { validateAnthropic } from "./anthropic-validate.ts";
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
import { type FaultName, STATUSES } from "./script.ts";

const LABEL = "Anthropic";
const requestsLimit = 4_000;
const inputTokensLimit = 2_000_000;
const outputTokensLimit = 400_000;
const models = ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-4-6", "claude-sonnet-4-5"];

export const anthropic: Face = {
  id: "anthropic",
  streamType: () => "text/event-stream; charset=utf-8",
  headers,
  checkCredentials,
  validate: validateAnthropic,
  prompt: readPrompt,
  body,
  frames,
  streamFault: () => event({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } }),
  brokenFrame: () => 'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"ty\n\n',
  scriptedFault,
  namedFault,
  reply,
  models: () => ({
    data: models.map((id) => ({ type: "model", id, display_name: id, created_at: "2026-01-01T00:00:00Z" })),
    has_more: false,
    first_id: models[0],
    last_id: models.at(-1),
  }),
};

function headers(head: Head): Record<string, string> {
  return {
    "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
    ...limitHeaders("requests", requestsLimit, requestsLimit - 1, head.nowMs),
    ...limitHeaders("input-tokens", inputTokensLimit, inputTokensLimit - 1000, head.nowMs),
    ...limitHeaders("output-tokens", outputTokensLimit, outputTokensLimit, head.nowMs),
    ...limitHeaders(
      "tokens",
      inputTokensLimit + outputTokensLimit,
      inputTokensLimit + outputTokensLimit - 1000,
      head.nowMs,
    ),
    "request-id": requestId(head),
  };
}

function limitHeaders(name: string, limit: number, remaining: number, resetMs: number): Record<string, string> {
  return {
    [`anthropic-ratelimit-${name}-limit`]: String(limit),
    [`anthropic-ratelimit-${name}-remaining`]: String(remaining),
    [`anthropic-ratelimit-${name}-reset`]: `${new Date(Math.ceil(resetMs / 1000) * 1000).toISOString().slice(0, 19)}Z`,
  };
}

function requestId(head: Head): string {
  return `req_011C${letters(head.serial, 1, 20)}`;
}

function checkCredentials(header: Call["header"]): Fault | undefined {
  const key = header("x-api-key") ?? /^Bearer +(\S+)$/i.exec(header("authorization") ?? "")?.[1];
  if (key === undefined || key === "") {
    return { status: 401, type: "authentication_error", message: "x-api-key header is required" };
  }
  if (key.startsWith("sk-wrong")) return { status: 401, type: "authentication_error", message: "invalid x-api-key" };
  const version = header("anthropic-version");
  if (version === undefined) return { status: 400, message: "anthropic-version: header is required" };
  if (["2023-01-01", "2023-06-01", "2026-10-21"].includes(version)) return undefined;
  return { status: 400, message: `anthropic-version: "${version}" is not a valid version` };
}

function readPrompt(call: Call): Prompt {
  const { body } = call;
  const messages = objectsIn(body.messages);
  const last = messages.at(-1);
  const results = objectsIn(last?.content).filter((block) => block.type === "tool_result");
  const lastUser = messages.findLast((message) => message.role === "user" && blocksText(message.content) !== "");
  const format = isObject(body.output_config) && isObject(body.output_config.format) ? body.output_config.format : {};
  const choice = isObject(body.tool_choice) ? body.tool_choice : {};
  return {
    label: LABEL,
    model: call.model,
    tokens: messages.reduce((sum, message) => sum + contentTokens(message.content), contentTokens(body.system)),
    lastUserText: blocksText(lastUser?.content),
    toolResults: results.length > 0 ? results.map((result) => blocksText(result.content)) : undefined,
    tools: objectsIn(body.tools)
      .filter((tool) => isObject(tool.input_schema))
      .map((tool) => ({ name: text(tool.name), schema: tool.input_schema as JsonObject })),
    toolChoice:
      choice.type === "tool"
        ? { name: text(choice.name) }
        : choice.type === "any"
          ? "required"
          : choice.type === "none"
            ? "none"
            : "auto",
    parallelTools: choice.disable_parallel_tool_use !== true,
    jsonSchema: isObject(format.schema) ? format.schema : undefined,
    stop: Array.isArray(body.stop_sequences) ? body.stop_sequences.map(String) : [],
    maxTokens: typeof body.max_tokens === "number" ? body.max_tokens : undefined,
    choices: 1,
    reasoning: isObject(body.thinking) && ["enabled", "adaptive"].includes(text(body.thinking.type)),
  };
}

function blocksText(content: unknown): string {
  if (typeof content === "string") return content;
  return objectsIn(content)
    .filter((block) => block.type === "text")
    .map((block) => text(block.text))
    .join("");
}

function contentTokens(content: unknown): number {
  if (typeof content === "string") return countTokens(content);
  return objectsIn(content).reduce((sum, block) => {
    if (block.type === "tool_use")
      return sum + countTokens(text(block.name)) + countTokens(JSON.stringify(block.input));
    if (block.type === "tool_result") return sum + contentTokens(block.content);
    return sum + countTokens(text(block.text)) + countTokens(text(block.thinking));
  }, 0);
}

/** From Opus 4.7 on thinking is `omitted` by default: the block arrives with a signature and an empty text. */
function thinkingShown(head: Head): boolean {
  const thinking = isObject(head.call.body.thinking) ? head.call.body.thinking : {};
  if (typeof thinking.display === "string") return thinking.display === "summarized";
  return claudeProfile(head.call.model).thinkingShown;
}

function signature(head: Head): string {
  return `${signaturePrefix}${letters(head.serial, 3, 60)}==`;
}

function toolUse(head: Head, at: number, call: AnswerCall, input: unknown): JsonObject {
  return { type: "tool_use", id: `toolu_01${letters(head.serial, 10 + at, 22)}`, name: call.name, input };
}

function stopReason(answer: Answer): JsonObject {
  const choice = answer.choices[0];
  const finish = choice?.finish ?? "stop";
  if (choice?.stopSequence !== undefined && finish === "stop") {
    return { stop_reason: "stop_sequence", stop_sequence: choice.stopSequence };
  }
  const reasons = { stop: "end_turn", length: "max_tokens", tool: "tool_use", filter: "refusal" };
  const details = finish === "filter" ? { type: "refusal", category: "cyber", explanation: null } : null;
  return { stop_reason: reasons[finish], stop_sequence: null, stop_details: details };
}

function usage(answer: Answer, outputTokens: number): JsonObject {
  return {
    // Anthropic counts cached tokens apart from input_tokens.
    input_tokens: answer.promptTokens - answer.cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: answer.cachedTokens,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    service_tier: "standard",
    inference_geo: "not_available",
  };
}

function finalUsage(answer: Answer): JsonObject {
  const counted = usage(answer, answer.outputTokens + answer.reasoningTokens);
  if (answer.reasoningTokens === 0) return counted;
  return { ...counted, output_tokens_details: { thinking_tokens: answer.reasoningTokens } };
}

function body(answer: Answer, head: Head): JsonObject {
  return {
    id: `msg_01${letters(head.serial, 0, 22)}`,
    type: "message",
    role: "assistant",
    model: head.call.model,
    content: blocks(answer, head),
    ...stopReason(answer),
    usage: finalUsage(answer),
  };
}

function blocks(answer: Answer, head: Head): JsonObject[] {
  const thinking = {
    type: "thinking",
    thinking: thinkingShown(head) ? answer.reasoning : "",
    signature: signature(head),
  };
  const choice = answer.choices[0];
  const content: JsonObject[] = answer.reasoningTokens > 0 ? [thinking] : [];
  if (choice === undefined) return content;
  if (choice.text !== "") content.push({ type: "text", text: choice.text });
  return [...content, ...choice.calls.map((call, at) => toolUse(head, at, call, parsed(call.argumentsText)))];
}

/** Arguments cut by max_tokens are no JSON; the buffered format has no place for them. */
function parsed(argumentsText: string): unknown {
  try {
    return JSON.parse(argumentsText);
  } catch {
    return {};
  }
}

function event(data: JsonObject): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function* frames(answer: Answer, head: Head): Generator<Frame> {
  const message = {
    ...body({ ...answer, choices: [], reasoningTokens: 0 }, head),
    stop_reason: null,
    usage: usage(answer, 1),
  };
  yield { bytes: event({ type: "message_start", message }), tokens: 0, phase: "preamble" };
  let index = 0;
  let ping = event({ type: "ping" });
  for (const block of streamedBlocks(answer, head)) {
    const opening = event({ type: "content_block_start", index, content_block: block.start });
    yield { bytes: opening + ping, tokens: 0, phase: "content" };
    ping = "";
    for (const { delta, tokens } of block.deltas) {
      const bytes = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":${delta}}\n\n`;
      yield { bytes, tokens, phase: "content" };
    }
    yield { bytes: event({ type: "content_block_stop", index }), tokens: 0, phase: "content" };
    index += 1;
  }
  const delta = event({ type: "message_delta", delta: stopReason(answer), usage: finalUsage(answer) });
  yield { bytes: delta + event({ type: "message_stop" }), tokens: 0, phase: "end" };
}

interface StreamedBlock {
  start: JsonObject;
  deltas: Iterable<{ delta: string; tokens: number }>;
}

function* streamedBlocks(answer: Answer, head: Head): Generator<StreamedBlock> {
  if (answer.reasoningTokens > 0) {
    yield { start: { type: "thinking", thinking: "", signature: "" }, deltas: thinkingDeltas(answer, head) };
  }
  const choice = answer.choices[0];
  if (choice === undefined) return;
  if (choice.text !== "") yield { start: { type: "text", text: "" }, deltas: textDeltas(choice) };
  for (const [at, call] of choice.calls.entries()) {
    yield { start: toolUse(head, at, call, {}), deltas: inputDeltas(call) };
  }
}

function* thinkingDeltas(
  answer: Answer,
  head: Head,
): StreamedBlock["deltas"] & Generator<{ delta: string; tokens: number }> {
  const shown = thinkingShown(head);
  for (const piece of pieces(answer.reasoning, 3)) {
    const delta = `{"type":"thinking_delta","thinking":${JSON.stringify(piece)}}`;
    if (shown) yield { delta, tokens: countTokens(piece) };
  }
  const tokens = shown ? 0 : answer.reasoningTokens;
  yield { delta: JSON.stringify({ type: "signature_delta", signature: signature(head) }), tokens };
}

function* textDeltas({ text: said, halves }: AnswerChoice): Generator<{ delta: string; tokens: number }> {
  for (const piece of pieces(said, 3, halves)) {
    yield { delta: `{"type":"text_delta","text":${JSON.stringify(piece)}}`, tokens: countTokens(piece) };
  }
}

function* inputDeltas(call: AnswerCall): Generator<{ delta: string; tokens: number }> {
  // The first one is empty; for a call without arguments it is the only one.
  yield { delta: '{"type":"input_json_delta","partial_json":""}', tokens: countTokens(call.name) };
  if (call.argumentsText === "{}") return;
  for (const piece of pieces(call.argumentsText, 3)) {
    yield { delta: `{"type":"input_json_delta","partial_json":${JSON.stringify(piece)}}`, tokens: countTokens(piece) };
  }
}

function scriptedFault(status: number, call: Call): Fault {
  const known: Record<number, { type: string; message: string }> = {
    400: { type: "invalid_request_error", message: "messages: simulated invalid request" },
    401: { type: "authentication_error", message: "invalid x-api-key" },
    402: {
      type: "billing_error",
      message:
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    },
    403: { type: "permission_error", message: "Your API key does not have permission to use the specified resource." },
    404: { type: "not_found_error", message: `model: ${call.model}` },
    409: { type: "conflict_error", message: "Simulated conflict." },
    413: { type: "request_too_large", message: "Request exceeds the maximum size" },
    429: {
      type: "rate_limit_error",
      message: `This request would exceed the rate limit for your organization of ${requestsLimit} requests per minute.`,
    },
    500: { type: "api_error", message: "Internal server error" },
    504: { type: "timeout_error", message: "Request timed out." },
    529: { type: "overloaded_error", message: "Overloaded" },
  };
  const other =
    status >= 500
      ? { type: "api_error", message: "Service unavailable" }
      : { type: "invalid_request_error", message: `Simulated error with status ${status}.` };
  return { ...(known[status] ?? other), status };
}

function namedFault(name: FaultName, call: Call): Fault {
  const fault = scriptedFault(name === "overloaded" ? 529 : STATUSES[name], call);
  if (name === "context") return { ...fault, message: "prompt is too long: 210000 tokens > 200000 maximum" };
  return name === "filter" ? { ...fault, message: "Output blocked by content filtering policy" } : fault;
}

function reply(fault: Fault, head: Head): Reply {
  const answered = headers(head);
  if (fault.retryAfterS !== undefined) answered["retry-after"] = String(Math.ceil(fault.retryAfterS));
  if (fault.status === 429) {
    const resetMs = head.nowMs + (fault.retryAfterS ?? 60) * 1000;
    Object.assign(answered, limitHeaders("requests", requestsLimit, 0, resetMs));
  }
  const error = { type: fault.type ?? "invalid_request_error", message: fault.message };
  return { status: fault.status, headers: answered, body: { type: "error", error, request_id: requestId(head) } };
}

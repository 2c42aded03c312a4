// Plays Bedrock's Converse API: what it reads from a request, how it writes answers, binary streams and errors.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { signaturePrefix } from "./anthropic-blocks.ts";
import { validateBedrock } from "./bedrock-validate.ts";
import { profileOf } from "./bedrock-words.ts";
import { eventFrame, exceptionFrame } from "./event-frame.ts";
import {
  type Answer,
  type AnswerCall,
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

export const bedrock: Face = {
  id: "bedrock-converse",
  isBinary: true,
  streamType: () => "application/vnd.amazon.eventstream",
  headers: (head) => ({ "x-amzn-requestid": requestId(head) }),
  checkCredentials,
  validate: validateBedrock,
  prompt: readPrompt,
  body,
  frames,
  streamFault: () => exceptionFrame("internalServerException", "The system encountered an unexpected error."),
  brokenFrame: () => eventFrame("contentBlockDelta", '{"contentBlockIndex":0,"delta":{"te'),
  scriptedFault,
  namedFault,
  reply,
  // Listed at another host only.
  models: () => ({}),
};

function requestId(head: Head): string {
  return `${letters(head.serial, 1, 8)}-0000-4000-8000-${letters(head.serial, 2, 12)}`;
}

function checkCredentials(header: Call["header"]): Fault | undefined {
  const [, key = ""] = /^Bearer +(\S+)$/i.exec(header("authorization") ?? "") ?? [];
  if (key === "") return { status: 403, type: "AccessDeniedException", message: "Missing Authentication Token" };
  return key.startsWith("sk-wrong") ? WRONG_KEY : undefined;
}

const WRONG_KEY: Fault = {
  status: 403,
  type: "AccessDeniedException",
  message: "Authentication failed: Please make sure your API Key is valid.",
};

function fieldsOf({ body: { additionalModelRequestFields: fields } }: Call): JsonObject {
  return isObject(fields) ? fields : {};
}

function readPrompt(call: Call): Prompt {
  const { body } = call;
  const messages = objectsIn(body.messages);
  const results = objectsIn(messages.at(-1)?.content).flatMap(({ toolResult }) =>
    isObject(toolResult) ? [toolResult] : [],
  );
  const lastUser = messages.findLast(({ role, content }) => role === "user" && textIn(content) !== "");
  const config = isObject(body.toolConfig) ? body.toolConfig : {};
  const choice = isObject(config.toolChoice) ? config.toolChoice : {};
  const inference = isObject(body.inferenceConfig) ? body.inferenceConfig : {};
  const { thinking, output_config: output, reasoning_effort, reasoningConfig } = fieldsOf(call);
  const format = isObject(output) && isObject(output.format) ? output.format : {};
  const specs = objectsIn(config.tools).flatMap(({ toolSpec }) => (isObject(toolSpec) ? [toolSpec] : []));
  const thinks =
    (isObject(thinking) && thinking.type !== "disabled") ||
    reasoning_effort !== undefined ||
    (isObject(reasoningConfig) && reasoningConfig.type === "enabled");
  return {
    label: "Amazon Bedrock",
    model: call.model,
    tokens: messages.reduce((sum, { content }) => sum + contentTokens(content), contentTokens(body.system)),
    lastUserText: textIn(lastUser?.content),
    toolResults: results.length > 0 ? results.map(({ content }) => textIn(content)) : undefined,
    tools: specs.map(({ name, inputSchema }) => ({
      name: text(name),
      schema: isObject(inputSchema) && isObject(inputSchema.json) ? inputSchema.json : undefined,
    })),
    toolChoice: isObject(choice.tool) ? { name: text(choice.tool.name) } : isObject(choice.any) ? "required" : "auto",
    parallelTools: true,
    jsonSchema: isObject(format.schema) ? format.schema : undefined,
    stop: Array.isArray(inference.stopSequences) ? inference.stopSequences.map(String) : [],
    maxTokens: typeof inference.maxTokens === "number" ? inference.maxTokens : undefined,
    choices: 1,
    reasoning: thinks,
  };
}

function textIn(content: unknown): string {
  return objectsIn(content)
    .map((block) => text(block.text))
    .join("");
}

function contentTokens(content: unknown): number {
  return objectsIn(content).reduce((sum, block) => {
    const { toolUse, toolResult } = block;
    if (isObject(toolUse)) return sum + countTokens(text(toolUse.name)) + countTokens(JSON.stringify(toolUse.input));
    if (isObject(toolResult)) return sum + contentTokens(toolResult.content);
    return sum + countTokens(text(block.text));
  }, 0);
}

/** As at its vendor: newer models show their thinking only to those who ask. */
function thinkingShown({ call }: Head): boolean {
  const { thinking } = fieldsOf(call);
  if (isObject(thinking) && typeof thinking.display === "string") return thinking.display === "summarized";
  return profileOf(call.model).thinkingShown;
}

function signature(head: Head): string {
  return `${signaturePrefix}${letters(head.serial, 3, 60)}==`;
}

function callHead(head: Head, at: number, { name }: AnswerCall): JsonObject {
  return { toolUseId: `tooluse_${letters(head.serial, 10 + at, 22)}`, name };
}

function stopReason({ choices: [choice] }: Answer): string {
  const reasons = { stop: "end_turn", length: "max_tokens", tool: "tool_use", filter: "guardrail_intervened" };
  if (choice?.stopSequence !== undefined && choice.finish === "stop") return "stop_sequence";
  return reasons[choice?.finish ?? "stop"];
}

/** What was read from a cache is not among `inputTokens`. */
function told(answer: Answer): JsonObject {
  const { promptTokens, cachedTokens } = answer;
  const outputTokens = answer.outputTokens + answer.reasoningTokens;
  return {
    usage: {
      inputTokens: promptTokens - cachedTokens,
      outputTokens,
      totalTokens: promptTokens + outputTokens,
      cacheReadInputTokens: cachedTokens,
      cacheWriteInputTokens: 0,
    },
    metrics: { latencyMs: 1 },
  };
}

function body(answer: Answer, head: Head): JsonObject {
  const content: JsonObject[] = [];
  const choice = answer.choices[0];
  if (answer.reasoningTokens > 0) {
    const shown = thinkingShown(head) ? answer.reasoning : "";
    content.push({ reasoningContent: { reasoningText: { text: shown, signature: signature(head) } } });
  }
  if (choice !== undefined && choice.text !== "") content.push({ text: choice.text });
  for (const [at, call] of (choice?.calls ?? []).entries()) {
    content.push({ toolUse: { ...callHead(head, at, call), input: parsed(call.argumentsText) } });
  }
  return { output: { message: { role: "assistant", content } }, stopReason: stopReason(answer), ...told(answer) };
}

/** Arguments cut by maxTokens are no JSON; the buffered format has no place for them. */
function parsed(argumentsText: string): unknown {
  try {
    return JSON.parse(argumentsText);
  } catch {
    return {};
  }
}

function* frames(answer: Answer, head: Head): Generator<Frame> {
  yield { bytes: eventFrame("messageStart", { role: "assistant", p: "abcd" }), tokens: 0, phase: "preamble" };
  let contentBlockIndex = 0;
  const choice = answer.choices[0];
  const delta = (given: JsonObject, tokens: number): Frame => ({
    // Every payload is padded, to hide its length from those who listen.
    bytes: eventFrame("contentBlockDelta", { contentBlockIndex, delta: given, p: "abcdefgh" }),
    tokens,
    phase: "content",
  });
  const stop = (): Frame => {
    const bytes = eventFrame("contentBlockStop", { contentBlockIndex, p: "ab" });
    contentBlockIndex += 1;
    return { bytes, tokens: 0, phase: "content" };
  };
  if (answer.reasoningTokens > 0) {
    const shown = thinkingShown(head) ? pieces(answer.reasoning, 3) : [];
    for (const piece of shown) yield delta({ reasoningContent: { text: piece } }, countTokens(piece));
    yield delta({ reasoningContent: { signature: signature(head) } }, 0);
    yield stop();
  }
  if (choice !== undefined && choice.text !== "") {
    for (const piece of pieces(choice.text, 3, choice.halves)) yield delta({ text: piece }, countTokens(piece));
    yield stop();
  }
  for (const [at, call] of (choice?.calls ?? []).entries()) {
    const start = { contentBlockIndex, start: { toolUse: callHead(head, at, call) } };
    yield { bytes: eventFrame("contentBlockStart", start), tokens: countTokens(call.name), phase: "content" };
    // A call without arguments has no deltas at all.
    const text = call.argumentsText === "{}" ? "" : call.argumentsText;
    for (const input of pieces(text, 3)) yield delta({ toolUse: { input } }, countTokens(input));
    yield stop();
  }
  const end = eventFrame("messageStop", { stopReason: stopReason(answer) }) + eventFrame("metadata", told(answer));
  yield { bytes: end, tokens: 0, phase: "end" };
}

function scriptedFault(status: number, call: Call): Fault {
  const known: Record<number, { type: string; message: string }> = {
    400: { type: "ValidationException", message: "Malformed input request, please reformat your input and try again." },
    401: { type: "UnrecognizedClientException", message: "The security token included in the request is invalid." },
    403: { type: "AccessDeniedException", message: "You don't have access to the model with the specified model ID." },
    404: { type: "ResourceNotFoundException", message: `Could not resolve the foundation model from '${call.model}'.` },
    408: {
      type: "ModelTimeoutException",
      message: "Model has timed out in processing the request. Try your request again.",
    },
    429: { type: "ThrottlingException", message: "Too many requests, please wait before trying again." },
    503: { type: "ServiceUnavailableException", message: "Bedrock is unable to process your request." },
  };
  const other =
    status >= 500
      ? { type: "InternalServerException", message: "The system encountered an unexpected error during processing." }
      : { type: "ValidationException", message: `Simulated error with status ${status}.` };
  return { ...(known[status] ?? other), status };
}

function namedFault(name: FaultName, call: Call): Fault | undefined {
  if (name === "auth") return WRONG_KEY;
  // Accounts are billed afterwards, and a filter shows in the answer.
  if (name === "quota" || name === "filter") return undefined;
  if (name === "model") return { ...scriptedFault(400, call), message: "The provided model identifier is invalid." };
  if (name === "context") return { ...scriptedFault(400, call), message: "Input is too long for requested model." };
  return scriptedFault(STATUSES[name], call);
}

function reply(fault: Fault, head: Head): Reply {
  const type = fault.type ?? "ValidationException";
  const headers = {
    "x-amzn-requestid": requestId(head),
    "x-amzn-errortype": `${type}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
  };
  return { status: fault.status, headers, body: { message: fault.message } };
}

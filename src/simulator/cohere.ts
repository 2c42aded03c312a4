// Plays Cohere's own chat API, version 2: what it reads from a request, how it writes answers, streams and errors.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { validateCohere } from "./cohere-validate.ts";
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

const models = ["command-a-03-2025", "command-a-reasoning-08-2025", "command-r7b-12-2024"];

export const cohere: Face = {
  id: "cohere",
  streamType: () => "text/event-stream",
  headers: (head) => ({
    "x-debug-trace-id": letters(head.serial, 1, 32).toLowerCase(),
    "x-endpoint-monthly-call-limit": "1000",
    "x-trial-endpoint-call-limit": "40",
    "x-trial-endpoint-call-remaining": "39",
  }),
  checkCredentials,
  validate: validateCohere,
  prompt: readPrompt,
  body,
  frames,
  streamFault: () =>
    event({
      type: "message-end",
      delta: { finish_reason: "ERROR", error: "internal server error, this has been reported to our developers" },
    }),
  brokenFrame: () => 'event: content-delta\ndata: {"type":"content-delta","index":0,"delta":{"message":{"con\n\n',
  scriptedFault,
  namedFault,
  reply,
  models: () => ({ models: models.map((name) => ({ name, endpoints: ["chat"], context_length: 256_000 })) }),
};

function checkCredentials(header: Call["header"]): Fault | undefined {
  const key = /^Bearer +(\S+)$/i.exec(header("authorization") ?? "")?.[1];
  if (key === undefined) return { status: 401, message: "no api key supplied" };
  return key.startsWith("sk-wrong") ? { status: 401, message: "invalid api token" } : undefined;
}

function readPrompt({ body, model }: Call): Prompt {
  const messages = objectsIn(body.messages);
  const results = messages.slice(messages.findLastIndex(({ role }) => role !== "tool") + 1);
  const lastUser = messages.findLast(({ role }) => role === "user");
  const thinking = isObject(body.thinking) ? body.thinking : {};
  return {
    label: "Cohere",
    model,
    tokens: messages.reduce((sum, message) => sum + messageTokens(message), 0),
    lastUserText: contentText(lastUser?.content),
    toolResults: results.length > 0 ? results.map(({ content }) => contentText(content)) : undefined,
    tools: objectsIn(body.tools).map(toTool),
    toolChoice: body.tool_choice === "REQUIRED" ? "required" : body.tool_choice === "NONE" ? "none" : "auto",
    parallelTools: true,
    jsonSchema: readSchema(body.response_format),
    stop: Array.isArray(body.stop_sequences) ? body.stop_sequences.map(String) : [],
    maxTokens: typeof body.max_tokens === "number" ? body.max_tokens : undefined,
    choices: 1,
    reasoning: thinking.type === "enabled",
  };
}

function contentText(content: unknown): string {
  if (typeof content === "string") return content;
  return objectsIn(content)
    .map((part) => text(part.text))
    .join("");
}

function messageTokens({ content, tool_plan: plan, tool_calls: calls }: JsonObject): number {
  const made = objectsIn(calls).map((call) => (isObject(call.function) ? call.function : {}));
  const words = [contentText(content), text(plan), ...made.flatMap((one) => [text(one.name), text(one.arguments)])];
  return words.reduce((sum, word) => sum + countTokens(word), 0);
}

function toTool(tool: JsonObject): Prompt["tools"][number] {
  const declared = isObject(tool.function) ? tool.function : {};
  return { name: text(declared.name), schema: isObject(declared.parameters) ? declared.parameters : undefined };
}

function readSchema(format: unknown): JsonObject | undefined {
  if (!isObject(format) || format.type !== "json_object") return undefined;
  return isObject(format.json_schema) ? format.json_schema : {};
}

const id = (head: Head) => letters(head.serial, 0, 32).toLowerCase();

/** Said in words before tools are called, when the model does not think anyway. */
function toolPlan({ reasoning }: Answer, { calls }: AnswerChoice): string {
  return calls.length > 0 && reasoning === "" ? `I will use ${calls.map(({ name }) => name).join(" and ")}.` : "";
}

/** Nothing of its own says that an answer was filtered. */
function finishReason({ finish, stopSequence }: AnswerChoice): string {
  if (finish === "stop") return stopSequence === undefined ? "COMPLETE" : "STOP_SEQUENCE";
  return { length: "MAX_TOKENS", tool: "TOOL_CALL", filter: "ERROR" }[finish];
}

/** What is billed leaves out what Cohere adds to a prompt. */
function usage({ promptTokens, cachedTokens, outputTokens, reasoningTokens }: Answer): JsonObject {
  const output = outputTokens + reasoningTokens;
  return {
    billed_units: { input_tokens: Math.ceil(promptTokens / 2), output_tokens: output },
    tokens: { input_tokens: promptTokens, output_tokens: output },
    cached_tokens: cachedTokens,
  };
}

function toolCall(head: Head, at: number, { name, argumentsText }: AnswerCall): JsonObject {
  const made = { name, arguments: argumentsText };
  return { id: `${name}_${letters(head.serial, 10 + at, 12).toLowerCase()}`, type: "function", function: made };
}

function body(answer: Answer, head: Head): JsonObject {
  const choice = answer.choices[0]!;
  const plan = toolPlan(answer, choice);
  const content = [
    ...(answer.reasoning === "" ? [] : [{ type: "thinking", thinking: answer.reasoning }]),
    ...(choice.text === "" ? [] : [{ type: "text", text: choice.text }]),
  ];
  return {
    id: id(head),
    message: {
      role: "assistant",
      ...(content.length > 0 && { content }),
      ...(plan !== "" && { tool_plan: plan }),
      ...(choice.calls.length > 0 && {
        tool_calls: choice.calls.map((call, at) => toolCall(head, at, withNull(call))),
      }),
    },
    finish_reason: finishReason(choice),
    usage: usage(answer),
  };
}

/** Its word for no arguments. */
function withNull(call: AnswerCall): AnswerCall {
  return call.argumentsText === "{}" ? { ...call, argumentsText: "null" } : call;
}

function event(members: JsonObject): string {
  return `event: ${text(members.type)}\ndata: ${JSON.stringify(members)}\n\n`;
}

function* frames(answer: Answer, head: Head): Generator<Frame> {
  const choice = answer.choices[0]!;
  const frame = (phase: Frame["phase"], tokens: number, members: JsonObject): Frame => ({
    bytes: event(members),
    tokens,
    phase,
  });
  const start = { role: "assistant", content: [], tool_plan: "", tool_calls: [], citations: [] };
  yield frame("preamble", 0, { id: id(head), type: "message-start", delta: { message: start } });
  for (const { tokens, members } of contentEvents(answer, choice)) yield frame("content", tokens, members);
  for (const piece of pieces(toolPlan(answer, choice), 4)) {
    const delta = { message: { tool_plan: piece } };
    yield frame("content", countTokens(piece), { type: "tool-plan-delta", delta });
  }
  for (const [index, call] of choice.calls.entries()) {
    for (const { tokens, members } of callEvents(head, index, withNull(call)))
      yield frame("content", tokens, { ...members, index });
  }
  const delta = { finish_reason: finishReason(choice), usage: usage(answer) };
  yield frame("end", 0, { type: "message-end", id: id(head), delta });
}

interface Step {
  tokens: number;
  members: JsonObject;
}

function* contentEvents(answer: Answer, choice: AnswerChoice): Generator<Step> {
  const blocks = [
    { type: "thinking", said: [...pieces(answer.reasoning, 4)] },
    { type: "text", said: [...pieces(choice.text, 1, choice.halves)] },
  ].filter(({ said }) => said.length > 0);
  for (const [index, { type, said }] of blocks.entries()) {
    const delta = (content: JsonObject) => ({ index, delta: { message: { content } } });
    yield { tokens: 0, members: { type: "content-start", ...delta({ type, [type]: "" }) } };
    for (const piece of said)
      yield { tokens: countTokens(piece), members: { type: "content-delta", ...delta({ [type]: piece }) } };
    yield { tokens: 0, members: { type: "content-end", index } };
  }
}

function* callEvents(head: Head, at: number, call: AnswerCall): Generator<Step> {
  const delta = (told: JsonObject) => ({ delta: { message: { tool_calls: told } } });
  const opened = delta(toolCall(head, at, { ...call, argumentsText: "" }));
  yield { tokens: countTokens(call.name), members: { type: "tool-call-start", ...opened } };
  for (const piece of pieces(call.argumentsText, 2)) {
    const members = { type: "tool-call-delta", ...delta({ function: { arguments: piece } }) };
    yield { tokens: countTokens(piece), members };
  }
  yield { tokens: 0, members: { type: "tool-call-end" } };
}

function scriptedFault(status: number, { model }: Call): Fault {
  const known: Record<number, string> = {
    400: "invalid request: all messages must have content.",
    401: "invalid api token",
    402: "please add or update your payment method at https://dashboard.cohere.com/billing to continue",
    404: `model '${model}' not found, make sure the correct model ID was used and that you have access to the model.`,
    429: "You are using a Trial key, which is limited to 40 API calls / minute.",
    500: "internal server error, this has been reported to our developers",
    503: "service unavailable, please try again",
  };
  return { status, message: known[status] ?? `Simulated error with status ${status}.` };
}

/** No prompt is refused for what it says. */
function namedFault(name: FaultName, call: Call): Fault | undefined {
  if (name === "filter") return undefined;
  if (name !== "context") return scriptedFault(STATUSES[name], call);
  const message =
    "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 140000. " +
    "Try using a shorter prompt, or enabling prompt truncating.";
  return { status: 400, message };
}

function reply({ status, message, retryAfterS }: Fault, head: Head): Reply {
  const headers = cohere.headers(head);
  if (status === 429) headers["x-trial-endpoint-call-remaining"] = "0";
  if (retryAfterS !== undefined) headers["retry-after"] = String(Math.ceil(retryAfterS));
  return { status, headers, body: { id: id(head), message } };
}

// Plays Google's Gemini API (Developer API): what it reads from a request, how it writes answers, streams and errors.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { callTokens } from "./answer.ts";
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
import { signaturePrefix } from "./google-contents.ts";
import { geminiProfile } from "./google-models.ts";
import { readRequest } from "./google-shape.ts";
import { validateGoogle } from "./google-validate.ts";
import { type FaultName, STATUSES } from "./script.ts";

const LABEL = "Google";
const models = ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "gemini-3.5-flash", "gemini-3.8-flash"];

export const google: Face = {
  id: "google",
  streamType: (call) => (call.arrayStream ? "application/json; charset=UTF-8" : "text/event-stream"),
  headers: () => ({ server: "scaffolding on HTTPServer2", "x-content-type-options": "nosniff" }),
  checkCredentials,
  read: readRequest,
  validate: validateGoogle,
  prompt: readPrompt,
  body,
  frames,
  streamFault,
  brokenFrame: (head) => piece(head, '{"candidates":[{"content":{"parts":[{"te', false),
  scriptedFault,
  namedFault,
  reply,
  models: () => ({
    models: models.map((id) => ({
      name: `models/${id}`,
      version: "001",
      displayName: id,
      description: "Simulated model",
      inputTokenLimit: 1_048_576,
      outputTokenLimit: 65_536,
      supportedGenerationMethods: ["generateContent", "countTokens"],
      temperature: 1,
      topP: 0.95,
      topK: 64,
      maxTemperature: 2,
      thinking: true,
    })),
  }),
};

function checkCredentials(header: Call["header"]): Fault | undefined {
  const key = header("x-goog-api-key") ?? "";
  if (key === "") {
    return {
      status: 403,
      message:
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other " +
        "form of API consumer identity to call this API.",
    };
  }
  return key.startsWith("sk-wrong") ? badKey() : undefined;
}

/** A bad key is a 400 here, not a 401. */
function badKey(): Fault {
  const info = {
    reason: "API_KEY_INVALID",
    domain: "googleapis.com",
    metadata: { service: "generativelanguage.googleapis.com" },
  };
  return {
    status: 400,
    message: "API key not valid. Please pass a valid API key.",
    details: [
      { "@type": "type.googleapis.com/google.rpc.ErrorInfo", ...info },
      {
        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
        locale: "en-US",
        message: "API key not valid. Please pass a valid API key.",
      },
    ],
  };
}

function readPrompt(call: Call): Prompt {
  const { body } = call;
  const contents = objectsIn(body.contents);
  const config = isObject(body.generationConfig) ? body.generationConfig : {};
  const results = objectsIn(contents.at(-1)?.parts)
    .map((part) => part.functionResponse)
    .filter(isObject);
  const lastUser = contents.findLast((content) => content.role !== "model" && partsText(content) !== "");
  const thinking = isObject(config.thinkingConfig) ? config.thinkingConfig : {};
  return {
    label: LABEL,
    model: call.model,
    tokens: [...contents, ...objectsIn([body.systemInstruction])].reduce(
      (sum, content) => sum + contentTokens(content),
      0,
    ),
    lastUserText: partsText(lastUser),
    toolResults: results.length > 0 ? results.map(resultText) : undefined,
    tools: objectsIn(body.tools)
      .flatMap((tool) => objectsIn(tool.functionDeclarations))
      .map(toTool),
    toolChoice: readToolChoice(body),
    parallelTools: true,
    jsonSchema: readSchema(config),
    stop: Array.isArray(config.stopSequences) ? config.stopSequences.map(String) : [],
    maxTokens: typeof config.maxOutputTokens === "number" ? config.maxOutputTokens : undefined,
    choices: typeof config.candidateCount === "number" ? config.candidateCount : 1,
    reasoning: Object.keys(thinking).length > 0 && thinking.thinkingBudget !== 0,
  };
}

function partsText(content: JsonObject | undefined): string {
  return objectsIn(content?.parts)
    .map((part) => text(part.text))
    .join("");
}

function contentTokens(content: JsonObject): number {
  return objectsIn(content.parts).reduce((sum, part) => {
    const made = isObject(part.functionCall) ? part.functionCall.args : undefined;
    const got = isObject(part.functionResponse) ? part.functionResponse.response : undefined;
    return sum + countTokens(text(part.text)) + countTokens(JSON.stringify(made ?? got) ?? "");
  }, 0);
}

function resultText(result: JsonObject): string {
  const response = isObject(result.response) ? result.response : {};
  const told = response.output ?? response.result ?? response.error ?? response;
  return typeof told === "string" ? told : JSON.stringify(told);
}

function toTool(declaration: JsonObject): Prompt["tools"][number] {
  const schema = declaration.parametersJsonSchema ?? declaration.parameters;
  return { name: text(declaration.name), schema: isObject(schema) ? schema : undefined };
}

function readToolChoice(body: JsonObject): Prompt["toolChoice"] {
  const config =
    isObject(body.toolConfig) && isObject(body.toolConfig.functionCallingConfig)
      ? body.toolConfig.functionCallingConfig
      : {};
  const mode = text(config.mode).toUpperCase();
  if (mode === "NONE") return "none";
  if (mode !== "ANY") return "auto";
  const allowed = config.allowedFunctionNames;
  return Array.isArray(allowed) && allowed.length > 0 ? { name: String(allowed[0]) } : "required";
}

function readSchema(config: JsonObject): JsonObject | undefined {
  if (config.responseMimeType !== "application/json") return undefined;
  const schema = config.responseJsonSchema ?? config.responseSchema;
  return isObject(schema) ? schema : {};
}

const reasons = { stop: "STOP", length: "MAX_TOKENS", tool: "STOP", filter: "SAFETY" };

function usageMetadata(answer: Answer): JsonObject {
  const { promptTokens, cachedTokens, outputTokens, reasoningTokens } = answer;
  const thoughts = reasoningTokens * answer.choices.length;
  return {
    promptTokenCount: promptTokens,
    ...(outputTokens > 0 ? { candidatesTokenCount: outputTokens } : {}),
    totalTokenCount: promptTokens + outputTokens + thoughts,
    ...(cachedTokens > 0 ? { cachedContentTokenCount: cachedTokens } : {}),
    promptTokensDetails: [{ modality: "TEXT", tokenCount: promptTokens }],
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
  };
}

function envelope(candidates: JsonObject[], usage: JsonObject, head: Head): JsonObject {
  return {
    candidates,
    usageMetadata: usage,
    modelVersion: head.call.model,
    responseId: letters(head.serial, 0, 22),
  };
}

function body(answer: Answer, head: Head): JsonObject {
  const candidates = answer.choices.map((choice, index) => ({
    ...content(finalParts(answer, choice, head), choice),
    finishReason: reasons[choice.finish],
    index,
  }));
  return envelope(candidates, usageMetadata(answer), head);
}

/** A filtered candidate has no content at all, an empty one has a role and no parts. */
function content(parts: JsonObject[], choice: AnswerChoice): JsonObject {
  if (parts.length > 0) return { content: { parts, role: "model" } };
  return choice.finish === "filter" ? {} : { content: { role: "model" } };
}

function finalParts(answer: Answer, choice: AnswerChoice, head: Head): JsonObject[] {
  const parts: JsonObject[] = [];
  if (thoughtsShown(head) && answer.reasoning !== "") parts.push({ text: answer.reasoning, thought: true });
  if (choice.text !== "") {
    parts.push(
      answer.reasoningTokens > 0 ? { text: choice.text, thoughtSignature: signature(head) } : { text: choice.text },
    );
  }
  return [...parts, ...callParts(choice.calls, head)];
}

function thoughtsShown(head: Head): boolean {
  const config = head.call.body.generationConfig;
  const thinking = isObject(config) && isObject(config.thinkingConfig) ? config.thinkingConfig : {};
  return thinking.includeThoughts === true;
}

/** A call cut by the token limit cannot be expressed: it is left out. Only the first call carries the signature. */
function callParts(calls: AnswerCall[], head: Head): JsonObject[] {
  const profile = geminiProfile(head.call.model);
  return calls.flatMap((call, at) => {
    const args = parsed(call.argumentsText);
    if (args === undefined) return [];
    const id = profile.functionIds ? { id: letters(head.serial, 10 + at, 8).toLowerCase() } : {};
    const functionCall = { ...id, name: call.name, args };
    return at === 0 && profile.signatures ? { functionCall, thoughtSignature: signature(head) } : { functionCall };
  });
}

function parsed(argumentsText: string): unknown {
  try {
    return JSON.parse(argumentsText);
  } catch {
    return undefined;
  }
}

function signature(head: Head): string {
  return `${signaturePrefix}${letters(head.serial, 3, 60)}`;
}

/** One element of the stream: an event, or an element of the array when `alt=sse` was not asked for. */
function piece(head: Head, json: string, first: boolean): string {
  if (!head.call.arrayStream) return `data: ${json}\r\n\r\n`;
  return first ? `[${json}` : `,\r\n${json}`;
}

function* frames(answer: Answer, head: Head): Generator<Frame> {
  let first = true;
  let soFar = { ...answer, outputTokens: 0 };
  for (const { parts, index, tokens, thought } of streamedParts(answer, head)) {
    if (parts.length === 0) {
      yield { bytes: "", tokens, phase: "preamble" };
      continue;
    }
    if (!thought) soFar = { ...soFar, outputTokens: soFar.outputTokens + tokens };
    const candidates = [{ content: { parts, role: "model" }, index }];
    const json = JSON.stringify(envelope(candidates, usageMetadata(soFar), head));
    yield { bytes: piece(head, json, first), tokens, phase: "content" };
    first = false;
  }
  for (const [index, choice] of answer.choices.entries()) {
    // The reason comes in a chunk of its own, with an empty text; a signature without a call rides on it.
    const signed = answer.reasoningTokens > 0 && choice.calls.length === 0 ? { thoughtSignature: signature(head) } : {};
    const parts = choice.finish === "filter" ? [] : [{ text: "", ...signed }];
    const candidate = { ...content(parts, choice), finishReason: reasons[choice.finish], index };
    const json = JSON.stringify(envelope([candidate], usageMetadata(answer), head));
    yield { bytes: piece(head, json, first), tokens: 0, phase: "end" };
    first = false;
  }
  if (head.call.arrayStream) yield { bytes: "]", tokens: 0, phase: "end" };
}

interface StreamedPart {
  parts: JsonObject[];
  index: number;
  tokens: number;
  thought: boolean;
}

function* streamedParts(answer: Answer, head: Head): Generator<StreamedPart> {
  const shown = thoughtsShown(head);
  for (const [index, choice] of answer.choices.entries()) {
    for (const thought of shown ? pieces(answer.reasoning, 8) : []) {
      yield { parts: [{ text: thought, thought: true }], index, tokens: countTokens(thought), thought: true };
    }
    // What is thought but not shown still takes its time.
    if (!shown && answer.reasoningTokens > 0) yield { parts: [], index, tokens: answer.reasoningTokens, thought: true };
    for (const said of pieces(choice.text, 8, choice.halves)) {
      yield { parts: [{ text: said }], index, tokens: countTokens(said), thought: false };
    }
    const parts = callParts(choice.calls, head);
    const tokens = choice.calls.reduce((sum, call) => sum + callTokens(call), 0);
    if (parts.length > 0) yield { parts, index, tokens, thought: false };
  }
}

const overloaded: Fault = {
  status: 503,
  message:
    "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please try again later.",
};

/** Gemini sheds load in mid-stream by writing a bare JSON error, without `data:`, and closing. */
function streamFault(head: Head): string {
  const json = JSON.stringify(reply(overloaded, head).body, null, 2);
  return head.call.arrayStream ? `,\r\n${json}]` : `${json}\n`;
}

const statusNames: Record<number, string> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ABORTED",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};

function scriptedFault(status: number, call: Call): Fault {
  const known: Record<number, string> = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
    403: "The caller does not have permission",
    404: `models/${call.model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.`,
    413: "Request payload size exceeds the limit: 20971520 bytes.",
    429: "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
    500: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    503: overloaded.message,
    504: "Deadline expired before operation could complete.",
  };
  const message = known[status] ?? `Simulated error with status ${status}.`;
  return status === 429 ? { status, message, details: [quotaFailure(call)] } : { status, message };
}

/** A blocked prompt is no error here but an answer without candidates; nothing of its own says that money is out. */
function namedFault(name: FaultName, call: Call): Fault | undefined {
  if (name === "auth") return badKey();
  if (name === "filter" || name === "quota") return undefined;
  const fault = scriptedFault(STATUSES[name], call);
  if (name !== "context") return fault;
  const message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
  return { ...fault, message };
}

function quotaFailure(call: Call): JsonObject {
  return {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    violations: [
      {
        quotaMetric: "generativelanguage.googleapis.com/generate_content_paid_tier_requests",
        quotaId: "GenerateRequestsPerMinutePerProjectPerModel",
        quotaDimensions: { location: "global", model: call.model },
        quotaValue: "1000",
      },
    ],
  };
}

/** There is no Retry-After header on this API: the delay is in the body. */
function reply(fault: Fault, _head: Head): Reply {
  const retry = fault.retryAfterS;
  const info = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${retry}s` };
  const details = retry === undefined ? fault.details : [...(fault.details ?? []), info];
  const status = statusNames[fault.status] ?? (fault.status >= 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT");
  const error = { code: fault.status, message: fault.message, status, ...(details === undefined ? {} : { details }) };
  return { status: fault.status, headers: {}, body: { error } };
}

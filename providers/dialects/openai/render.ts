// Neutral events as the chunks of a Chat Completions stream.
import {
  type ChatEvent,
  type JsonObject,
  mergeUsage,
  type ReasoningDetail,
  type UrlCitation,
  type Usage,
} from "../../../src/chat.ts";
import type { AnswerHead, StreamRenderer } from "../../../src/dialect.ts";
import { renderAnnotation, wholeUsage } from "./answer.ts";

interface ChunkState {
  head: AnswerHead;
  /** Everything of a chunk before its `choices`; the same for the whole stream. */
  prefix: string;
  /** With include_usage every chunk but the last carries `"usage":null`, without it none has the key. */
  suffix: string;
  choices: Map<number, ChoiceState>;
  answerExtra: JsonObject;
  usageExtra: unknown;
  usage: Usage | undefined;
}

/** What waits for the end of a choice. */
interface ChoiceState {
  details: ReasoningDetail[];
  annotations: UrlCitation[];
  messageExtra: JsonObject;
  choiceExtra: JsonObject;
  calls: { hasArguments: boolean; custom?: { id: string; name: string; input: string } }[];
}

/**
 * The chunks OpenAI's own stream helper insists on: a role chunk first, then deltas, exactly one finish chunk per
 * choice, then (if asked) one usage chunk without choices, then `[DONE]`. An `error` event renders nothing here: the
 * edge renders it, and nothing follows.
 */
export function chunkRenderer(head: AnswerHead): StreamRenderer {
  const suffix = head.includeUsage ? ',"usage":null}\n\n' : "}\n\n";
  const state: ChunkState = {
    head,
    prefix: "",
    suffix,
    choices: new Map(),
    answerExtra: {},
    usageExtra: undefined,
    usage: undefined,
  };
  return { push: (events) => events.map((event) => renderEvent(state, event)).join("") };
}

function renderEvent(state: ChunkState, event: ChatEvent): string {
  switch (event.type) {
    case "start": {
      const { createdS, model } = state.head;
      const envelope = { id: event.id, object: "chat.completion.chunk", created: createdS, model };
      state.prefix = `data: ${JSON.stringify(envelope).slice(0, -1)},"choices":[`;
      return "";
    }
    case "usage":
      state.usage = mergeUsage(state.usage, event.usage);
      return "";
    case "end":
      return `${renderUsageChunk(state)}data: [DONE]\n\n`;
    case "error":
    case "continue":
    case "remember":
      return "";
    case "extra":
      return renderExtra(state, event);
    default:
      return renderChoiceEvent(state, event);
  }
}

type Extra = Extract<ChatEvent, { type: "extra" }>;
type ChoiceEvent = Exclude<
  ChatEvent,
  { type: "start" | "usage" | "end" | "error" | "continue" | "remember" | "extra" }
>;
type CallStart = Extract<ChatEvent, { type: "tool_call_start" }>;

/** SDKs overwrite unknown delta keys instead of joining them, so such members go out whole, once, before the finish. */
function renderExtra(state: ChunkState, { at, index, members }: Extra): string {
  if (at === "answer") {
    const { usage, ...others } = members;
    Object.assign(state.answerExtra, others);
    state.usageExtra = usage ?? state.usageExtra;
    return "";
  }
  const { text, known } = openChoice(state, index, "");
  Object.assign(at === "choice" ? known.choiceExtra : known.messageExtra, members);
  return text;
}

/** The state of a choice, and its role chunk when this is its first event. */
function openChoice(state: ChunkState, index: number, content: "" | null): { text: string; known: ChoiceState } {
  const found = state.choices.get(index);
  if (found !== undefined) return { text: "", known: found };
  const known: ChoiceState = { details: [], annotations: [], messageExtra: {}, choiceExtra: {}, calls: [] };
  state.choices.set(index, known);
  return { text: delta(state, index, { role: "assistant", content }), known };
}

function renderChoiceEvent(state: ChunkState, event: ChoiceEvent): string {
  // Clients that take any content for the start of a text (the AI SDK) must not see one before there is any.
  const isText = event.type === "text_delta" || event.type === "refusal_delta" || event.type === "finish";
  const { text, known } = openChoice(state, event.index, isText ? "" : null);
  return text + renderContent(state, known, event);
}

function renderContent(state: ChunkState, known: ChoiceState, event: ChoiceEvent): string {
  switch (event.type) {
    case "text_delta":
      return delta(state, event.index, { content: event.text });
    case "refusal_delta":
      return delta(state, event.index, { refusal: event.text });
    case "reasoning_delta":
      return delta(state, event.index, { reasoning_content: event.text });
    case "reasoning_detail":
      known.details.push(event.detail);
      return "";
    case "annotation":
      known.annotations.push(event.annotation);
      return "";
    case "tool_call_start":
      return renderCallStart(state, known, event);
    case "tool_call_delta":
      return renderCallDelta(state, known, event);
    case "finish":
      return renderFinish(state, known, event);
  }
}

function renderCallStart(state: ChunkState, known: ChoiceState, event: CallStart): string {
  known.calls[event.call] = { hasArguments: false };
  if (event.custom) {
    // The stream helper of the `openai` package fails on fragments of custom calls, so they go out whole.
    known.calls[event.call] = { hasArguments: true, custom: { id: event.id, name: event.name, input: "" } };
    return "";
  }
  const body = { name: event.name, arguments: "" };
  if (state.head.legacyFunctions) return event.call === 0 ? delta(state, event.index, { function_call: body }) : "";
  const extra = event.extra === undefined ? {} : { extra_content: event.extra };
  return toolDelta(state, event, { id: event.id, type: "function", function: body, ...extra });
}

function renderCallDelta(
  state: ChunkState,
  known: ChoiceState,
  event: { index: number; call: number; argumentsText: string },
): string {
  const call = known.calls[event.call];
  if (event.argumentsText === "" || call === undefined) return "";
  call.hasArguments = true;
  if (call.custom !== undefined) {
    call.custom.input += event.argumentsText;
    return "";
  }
  return argumentsDelta(state, event, event.argumentsText);
}

function argumentsDelta(state: ChunkState, at: { index: number; call: number }, text: string): string {
  if (!state.head.legacyFunctions) return toolDelta(state, at, { function: { arguments: text } });
  return at.call === 0 ? delta(state, at.index, { function_call: { arguments: text } }) : "";
}

function renderFinish(state: ChunkState, known: ChoiceState, event: Extract<ChatEvent, { type: "finish" }>): string {
  const { index } = event;
  let text = "";
  for (const [call, { hasArguments, custom }] of known.calls.entries()) {
    // A call without arguments still needs parsable JSON before the choice ends.
    if (!hasArguments) text += argumentsDelta(state, { index, call }, "{}");
    if (custom === undefined) continue;
    const { id, ...body } = custom;
    text += toolDelta(state, { index, call }, { id, type: "custom", custom: body });
  }
  if (known.details.length > 0) text += delta(state, index, { reasoning_details: known.details });
  if (known.annotations.length > 0)
    text += delta(state, index, { annotations: known.annotations.map(renderAnnotation) });
  if (Object.keys(known.messageExtra).length > 0) text += delta(state, index, known.messageExtra);
  const reason = state.head.legacyFunctions && event.reason === "tool_calls" ? "function_call" : event.reason;
  const choice = { index, delta: {}, logprobs: null, ...known.choiceExtra, finish_reason: reason };
  return text + choiceChunk(state, choice, state.answerExtra);
}

function renderUsageChunk(state: ChunkState): string {
  if (!state.head.includeUsage || state.usage === undefined) return "";
  const usage = wholeUsage(state.usage, state.usageExtra, state.head);
  return `${state.prefix}],"usage":${JSON.stringify(usage)}}\n\n`;
}

function toolDelta(state: ChunkState, at: { index: number; call: number }, fragment: object): string {
  return delta(state, at.index, { tool_calls: [{ index: at.call, ...fragment }] });
}

function delta(state: ChunkState, index: number, fields: object): string {
  return choiceChunk(state, { index, delta: fields, logprobs: null, finish_reason: null }, {});
}

function choiceChunk(state: ChunkState, choice: object, answerExtra: JsonObject): string {
  const extra = JSON.stringify(answerExtra).slice(1, -1);
  return `${state.prefix}${JSON.stringify(choice)}]${extra === "" ? "" : `,${extra}`}${state.suffix}`;
}

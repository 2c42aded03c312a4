// The content blocks of an answer as events: opened, filled by deltas, closed.
import type { ChatEvent, JsonObject, ReasoningDetail } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import type { AnswerState, Offsets, OpenBlock } from "./answer-state.ts";
import { annotationOf } from "./citations.ts";

/** Choices do not exist here: everything belongs to choice 0. */
const index = 0;

type OpenText = Extract<OpenBlock, { kind: "text" }>;
type OpenThinking = Extract<OpenBlock, { kind: "thinking" }>;
type OpenTool = Extract<OpenBlock, { kind: "tool" }>;

export function openBlock(state: AnswerState, at: number, block: JsonObject): ChatEvent[] {
  state.committed = true;
  const before = closeBlock(state, at);
  const raw = state.content === undefined ? undefined : { ...block };
  if (raw !== undefined) state.content?.push(raw);
  return [...before, ...openAs(state, at, block, raw)];
}

function openAs(state: AnswerState, at: number, block: JsonObject, raw: JsonObject | undefined): ChatEvent[] {
  switch (block.type) {
    case "text": {
      const citations = objectsIn(block.citations);
      state.blocks.set(at, { kind: "text", raw, startIndex: state.textLength, citations });
      return textEvents(state, firstText(block.text));
    }
    case "thinking": {
      const signature = firstText(block.signature);
      const open: OpenThinking = { kind: "thinking", raw, text: "", signature, detail: offsets(state) };
      state.blocks.set(at, open);
      return thinkingEvents(state, open, firstText(block.thinking));
    }
    case "redacted_thinking": {
      const detail = { type: "reasoning.encrypted" as const, data: firstText(block.data), ...offsets(state) };
      return state.hidesReasoning ? [] : [{ type: "reasoning_detail", index, detail }];
    }
    case "tool_use":
      return openTool(state, at, block, raw);
    default:
      // Server tools and their results are the provider's own business: the caller could not run them. Their JSON must
      // not leak into a caller's call, so the block stays known by its index.
      state.blocks.set(at, { kind: "ignored", raw, json: "" });
      return [];
  }
}

function offsets(state: AnswerState): Offsets {
  const at = { text_offset: state.textLength, tool_offset: state.calls };
  const detail = { format: state.thinkingFormat, index: state.thinkingBlocks, ...at };
  state.thinkingBlocks += 1;
  return detail;
}

function openTool(state: AnswerState, at: number, block: JsonObject, raw: JsonObject | undefined): ChatEvent[] {
  const name = firstText(block.name);
  const isAnswer = name !== "" && name === state.answerTool;
  const call = isAnswer ? undefined : state.calls;
  const isCustom = !isAnswer && state.customTools.has(name);
  state.blocks.set(at, { kind: "tool", raw, call, isCustom, input: block.input, json: "", argumentsSeen: false });
  if (call === undefined) return [];
  // Counts client calls from 0; the block's index counts text and thinking too (BerriAI/litellm#21331).
  state.calls += 1;
  const id = firstText(block.id) || state.call.newId("toolu_");
  return [{ type: "tool_call_start", index, call, id, name, ...(isCustom ? { custom: true } : {}) }];
}

export function blockDelta(state: AnswerState, at: number, delta: JsonObject): ChatEvent[] {
  state.committed = true;
  // Compatible servers stream text without opening a block for it.
  const opened = delta.type === "text_delta" && !state.blocks.has(at) ? openBlock(state, at, { type: "text" }) : [];
  const open = state.blocks.get(at);
  if (open === undefined) return opened;
  switch (delta.type) {
    case "text_delta":
      if (open.kind !== "text") return opened;
      extend(open.raw, "text", firstText(delta.text));
      return [...opened, ...textEvents(state, firstText(delta.text))];
    case "citations_delta":
      if (open.kind === "text" && isObject(delta.citation)) {
        open.citations.push(delta.citation);
        if (open.raw !== undefined) open.raw.citations = open.citations;
      }
      return [];
    case "thinking_delta":
      if (open.kind !== "thinking") return [];
      extend(open.raw, "thinking", firstText(delta.thinking));
      return thinkingEvents(state, open, firstText(delta.thinking));
    case "signature_delta":
      if (open.kind === "thinking") open.signature = firstText(delta.signature);
      return [];
    case "input_json_delta":
      return inputDelta(state, open, firstText(delta.partial_json));
    default:
      return [];
  }
}

function extend(raw: JsonObject | undefined, field: string, text: string): void {
  if (raw !== undefined) raw[field] = firstText(raw[field]) + text;
}

function inputDelta(state: AnswerState, open: OpenBlock, json: string): ChatEvent[] {
  if (open.kind !== "tool" && open.kind !== "ignored") return [];
  if (open.raw !== undefined || (open.kind === "tool" && open.isCustom)) open.json += json;
  return open.kind === "tool" && !open.isCustom ? argumentEvents(state, open, json) : [];
}

function textEvents(state: AnswerState, text: string): ChatEvent[] {
  // The answer is the tool's input; words around it would break the caller's JSON (BerriAI/litellm#8291).
  if (state.answerTool !== undefined) return [];
  return shownText(state, state.fence === undefined ? text : state.fence.push(text));
}

export function shownText(state: AnswerState, text: string): ChatEvent[] {
  if (text === "") return [];
  state.textLength += text.length;
  return [{ type: "text_delta", index, text }];
}

function thinkingEvents(state: AnswerState, open: OpenThinking, text: string): ChatEvent[] {
  if (text === "") return [];
  const separator = open.text === "" && state.hasReasoningText ? "\n\n" : "";
  open.text += text;
  state.hasReasoningText = true;
  return state.hidesReasoning ? [] : [{ type: "reasoning_delta", index, text: separator + text }];
}

function argumentEvents(state: AnswerState, open: OpenTool, text: string): ChatEvent[] {
  if (text === "") return [];
  open.argumentsSeen = true;
  if (open.call === undefined) return shownText(state, text);
  return [{ type: "tool_call_delta", index, call: open.call, argumentsText: text }];
}

export function closeBlock(state: AnswerState, at: number): ChatEvent[] {
  const open = state.blocks.get(at);
  state.blocks.delete(at);
  switch (open?.kind) {
    case "text":
      return closeText(state, open);
    case "thinking":
      return closeThinking(state, open);
    case "tool":
      return closeTool(state, open);
    case "ignored":
      completeInput(open);
      return [];
    default:
      return [];
  }
}

function closeText(state: AnswerState, { startIndex, citations }: OpenText): ChatEvent[] {
  // Words around an answer that is a tool's input were not shown, so there is nothing to annotate.
  if (state.answerTool !== undefined) return [];
  return citations.flatMap((citation) => {
    const annotation = annotationOf(citation, startIndex, state.textLength);
    if (annotation === undefined) state.citations.push(citation);
    return annotation ?? [];
  });
}

function closeThinking(state: AnswerState, { raw, text, signature, detail }: OpenThinking): ChatEvent[] {
  if (raw !== undefined && signature !== "") raw.signature = signature;
  // A block without text is kept: its signature is the payload.
  if (state.hidesReasoning || (text === "" && signature === "")) return [];
  const signed = signature === "" ? {} : { signature };
  const whole: ReasoningDetail = { type: "reasoning.text", text, ...signed, ...detail };
  return [{ type: "reasoning_detail", index, detail: whole }];
}

function closeTool(state: AnswerState, open: OpenTool): ChatEvent[] {
  completeInput(open);
  if (open.isCustom) return argumentEvents(state, open, customInput(open));
  if (open.argumentsSeen) return [];
  // "" is no JSON: a call without arguments says {} (BerriAI/litellm#5063). Input told at the start counts only when no
  // deltas came, else it would stand twice (Wei-Shaw/sub2api#6336).
  return argumentEvents(state, open, JSON.stringify(isObject(open.input) ? open.input : {}));
}

/** Puts the input that came in pieces into the copy of the block. One that was cut off leaves what stood there. */
function completeInput({ raw, json }: Extract<OpenBlock, { json: string }>): void {
  const input = raw === undefined ? undefined : parseJson(json);
  if (raw !== undefined && isObject(input)) raw.input = input;
}

/** The free text a custom tool was called with; of a call that was cut off, what there is of it. */
function customInput({ json, input }: OpenTool): string {
  const given = parseJson(json) ?? (json === "" ? input : undefined);
  if (isObject(given)) {
    const { input: text } = given;
    return typeof text === "string" ? text : text === undefined ? "" : JSON.stringify(text);
  }
  const [, begun] = /^\s*\{\s*"input"\s*:\s*"((?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)/.exec(json) ?? [];
  return firstText(parseJson(`"${begun ?? ""}"`));
}

// An assistant message of the history as blocks: thinking at its old place, text, tool calls.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { markerOf, markLast, withoutBlankText } from "./cache.ts";
import type { HistoryCall } from "./entry.ts";
import { partsOf } from "./parts.ts";
import { replayedThinking, thinkingBlock } from "./replay.ts";
import type { Terms } from "./terms.ts";
import type { Block, ServerBlock, TextBlockParam } from "./wire.ts";

export interface AssistantBlocks {
  blocks: Block[];
  calls: HistoryCall[];
}

export function assistantBlocks(message: ChatMessage, at: number, terms: Terms, report: Report): AssistantBlocks {
  if (objectsIn(message.content_blocks).length > 0) return carriedBlocks(message, at, terms, report);
  if (isObject(message.audio)) report.note("dropped", `messages[${at}].audio`);
  const calls = callsOf(message, at, terms, report);
  const texts = textsOf(message, at, report);
  const signed = replayedThinking(message, terms.thinkingFormat);
  const thinking = keepsThinking(signed.length > 0, terms, report) ? signed : [];
  const blocks: Block[] = [];
  let textBefore = 0;
  let callsBefore = 0;
  for (const { block, textOffset = 0, toolOffset = 0 } of thinking) {
    for (const text of takeText(texts, textOffset - textBefore)) {
      textBefore += text.text.length;
      blocks.push(text);
    }
    for (; callsBefore < Math.min(toolOffset, calls.length); callsBefore += 1) blocks.push(calls[callsBefore]!.block);
    blocks.push(block);
  }
  const rest = calls.slice(callsBefore).map((call) => call.block);
  const whole = withoutBlankText([...blocks, ...texts, ...rest]);
  markLast(whole, markerOf(message));
  return { blocks: whole, calls };
}

/** Models that know no thinking get none; elsewhere it is left out only where the provider refused it before. */
function keepsThinking(hasThinking: boolean, terms: Terms, report: Report): boolean {
  if (hasThinking && !terms.replaysThinking) report.note("repaired", "thinking");
  return terms.thinking !== "none" && terms.replaysThinking;
}

/** Calls and results of the provider's own tools (`server_tool_use`, `web_search_tool_result`, …), and their files. */
export function isServerBlock(block: { type?: unknown }): block is ServerBlock {
  const type = String(block.type);
  return type === "server_tool_use" || type === "container_upload" || /._tool_result$/.test(type);
}

/**
 * An answer the caller got whole, as Anthropic's own blocks (the extension `content_blocks`). It replaces what the
 * message says otherwise: results of web searches and text between tool calls survive only this way.
 */
function carriedBlocks(message: ChatMessage, at: number, terms: Terms, report: Report): AssistantBlocks {
  const calls: HistoryCall[] = [];
  const given = objectsIn(message.content_blocks);
  const keepThinking = keepsThinking(
    given.some((block) => thinkingBlock(block) !== undefined),
    terms,
    report,
  );
  const blocks = given.flatMap((block, k): Block[] => {
    if (block.type === "text") return [{ ...block, type: "text", text: firstText(block.text) }];
    if (isServerBlock(block)) return [{ ...block }];
    if (block.type === "tool_use") {
      const id = firstText(block.id);
      const input = isObject(block.input) ? block.input : {};
      calls.push(toCall(`id:${id}`, id === "" ? `call_${at}_${k}` : id, firstText(block.name), input));
      return [calls.at(-1)!.block];
    }
    const thinking = thinkingBlock(block);
    if (thinking !== undefined) return keepThinking ? [thinking] : [];
    if (block.type !== "thinking" && block.type !== "redacted_thinking") {
      report.note("dropped", `messages[${at}].content_blocks[${k}]`);
    }
    return [];
  });
  const whole = withoutBlankText(blocks);
  markLast(whole, markerOf(message));
  return { blocks: whole, calls };
}

/** Takes `length` UTF-16 units off the front of `texts`, splitting the block they end in. */
function takeText(texts: TextBlockParam[], length: number): TextBlockParam[] {
  const taken: TextBlockParam[] = [];
  let missing = length;
  while (missing > 0) {
    const first = texts.shift();
    if (first === undefined) break;
    if (first.text.length <= missing) taken.push(first);
    else {
      taken.push({ type: "text", text: first.text.slice(0, missing) });
      texts.unshift({ ...first, text: first.text.slice(missing) });
    }
    missing -= first.text.length;
  }
  return taken;
}

/** Part types that are read elsewhere: `tool_use` with the calls, thinking with the replay. */
const READ_ELSEWHERE = ["tool_use", "thinking", "redacted_thinking"];

function textsOf(message: ChatMessage, at: number, report: Report): TextBlockParam[] {
  const texts: TextBlockParam[] = [];
  partsOf(message).forEach((part, j) => {
    if (part.type === "text" || part.type === "refusal") {
      const marker = markerOf(part);
      const block: TextBlockParam = { type: "text", text: firstText(part.text, part.refusal) };
      texts.push(marker === undefined ? block : { ...block, cache_control: marker });
    } else if (!READ_ELSEWHERE.includes(String(part.type))) {
      // Images and audio of an earlier answer: refusing them would end every conversation that ever had one.
      report.note("dropped", `messages[${at}].content[${j}]`);
    }
  });
  const refusal = firstText(message.refusal);
  if (refusal !== "") texts.push({ type: "text", text: refusal });
  return texts;
}

/** One `tool_use` per id, though a call may come as a content block and in `tool_calls` (BerriAI/litellm#23510). */
function callsOf(message: ChatMessage, at: number, { rawInputKey }: Terms, report: Report): HistoryCall[] {
  const calls: HistoryCall[] = [];
  const given = objectsIn(message.content).filter((part) => part.type === "tool_use");
  for (const part of given) {
    const input = isObject(part.input) ? part.input : {};
    calls.push(toCall(`id:${firstText(part.id)}`, firstText(part.id), firstText(part.name), input));
  }
  objectsIn(message.tool_calls).forEach((toolCall, k) => {
    const id = firstText(toolCall.id);
    if (given.some((part) => part.id === id)) return;
    const { name, input } = nameAndInput(toolCall, rawInputKey, report);
    calls.push(toCall(`id:${id}`, id === "" ? `call_${at}_${k}` : id, name, input));
  });
  if (isObject(message.function_call)) {
    const name = firstText(message.function_call.name);
    const input = toolInput(message.function_call.arguments, report, rawInputKey);
    calls.push(toCall(`function:${name}`, `call_${at}_0`, name, input));
  }
  return calls;
}

function toCall(key: string, id: string, name: string, input: JsonObject): HistoryCall {
  return { key, block: { type: "tool_use", id, name, input } };
}

function nameAndInput(toolCall: JsonObject, rawKey: string, report: Report): { name: string; input: JsonObject } {
  if (isObject(toolCall.custom)) {
    return { name: firstText(toolCall.custom.name), input: { input: firstText(toolCall.custom.input) } };
  }
  const body = isObject(toolCall.function) ? toolCall.function : {};
  return { name: firstText(body.name), input: toolInput(body.arguments, report, rawKey) };
}

/**
 * `arguments` as the object Anthropic demands. A string would be a 400 for the rest of the conversation, so what is cut
 * off or hallucinated travels inside an object.
 */
export function toolInput(given: unknown, report: Report, rawKey = "_raw"): JsonObject {
  if (isObject(given)) return given;
  if (given === undefined || given === null) return {};
  const text = typeof given === "string" ? given.trim() : JSON.stringify(given);
  if (text === "" || text === "null") return {};
  const value = parseJson(text);
  if (isObject(value)) return value;
  const inner = typeof value === "string" ? parseJson(value) : undefined;
  if (isObject(inner)) return inner;
  report.note("repaired", "tool_arguments");
  return value === undefined ? { [rawKey]: text } : { _value: value };
}

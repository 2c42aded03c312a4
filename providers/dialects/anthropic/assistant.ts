// An assistant message of the history as blocks: thinking at its old place, text, tool calls.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import { markerOf, markLast, withoutBlankText } from "./cache.ts";
import type { Deviations } from "./deviations.ts";
import type { HistoryCall } from "./entry.ts";
import { partsOf } from "./parts.ts";
import { replayedThinking } from "./replay.ts";
import type { Block, TextBlockParam } from "./wire.ts";

export interface AssistantBlocks {
  blocks: Block[];
  calls: HistoryCall[];
}

/** `keepThinking` is off for models that know no thinking. */
export function assistantBlocks(
  message: ChatMessage,
  at: number,
  keepThinking: boolean,
  deviations: Deviations,
): AssistantBlocks {
  if (isObject(message.audio)) deviations.report("dropped", `messages[${at}].audio`);
  const calls = callsOf(message, at, deviations);
  const texts = textsOf(message, at, deviations);
  const thinking = keepThinking ? replayedThinking(message) : [];
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

function textsOf(message: ChatMessage, at: number, deviations: Deviations): TextBlockParam[] {
  const texts: TextBlockParam[] = [];
  partsOf(message).forEach((part, j) => {
    if (part.type === "text" || part.type === "refusal") {
      const marker = markerOf(part);
      const block: TextBlockParam = { type: "text", text: firstText(part.text, part.refusal) };
      texts.push(marker === undefined ? block : { ...block, cache_control: marker });
    } else if (!READ_ELSEWHERE.includes(String(part.type))) {
      // Images and audio of an earlier answer: refusing them would end every conversation that ever had one.
      deviations.report("dropped", `messages[${at}].content[${j}]`);
    }
  });
  const refusal = firstText(message.refusal);
  if (refusal !== "") texts.push({ type: "text", text: refusal });
  return texts;
}

/** One `tool_use` per id, though a call may come as a content block and in `tool_calls` (BerriAI/litellm#23510). */
function callsOf(message: ChatMessage, at: number, deviations: Deviations): HistoryCall[] {
  const calls: HistoryCall[] = [];
  const given = objectsIn(message.content).filter((part) => part.type === "tool_use");
  for (const part of given) {
    const input = isObject(part.input) ? part.input : {};
    calls.push(toCall(`id:${firstText(part.id)}`, firstText(part.id), firstText(part.name), input));
  }
  objectsIn(message.tool_calls).forEach((toolCall, k) => {
    const id = firstText(toolCall.id);
    if (given.some((part) => part.id === id)) return;
    const { name, input } = nameAndInput(toolCall, deviations);
    calls.push(toCall(`id:${id}`, id === "" ? `call_${at}_${k}` : id, name, input));
  });
  if (isObject(message.function_call)) {
    const name = firstText(message.function_call.name);
    const input = toolInput(message.function_call.arguments, deviations);
    calls.push(toCall(`function:${name}`, `call_${at}_0`, name, input));
  }
  return calls;
}

function toCall(key: string, id: string, name: string, input: JsonObject): HistoryCall {
  return { key, block: { type: "tool_use", id, name, input } };
}

function nameAndInput(toolCall: JsonObject, deviations: Deviations): { name: string; input: JsonObject } {
  if (isObject(toolCall.custom)) {
    return { name: firstText(toolCall.custom.name), input: { input: firstText(toolCall.custom.input) } };
  }
  const body = isObject(toolCall.function) ? toolCall.function : {};
  return { name: firstText(body.name), input: toolInput(body.arguments, deviations) };
}

/**
 * `arguments` as the object Anthropic demands. A string would be a 400 for the rest of the conversation, so what is cut
 * off or hallucinated travels inside an object.
 */
export function toolInput(given: unknown, deviations: Deviations): JsonObject {
  if (isObject(given)) return given;
  if (given === undefined || given === null) return {};
  const text = typeof given === "string" ? given.trim() : JSON.stringify(given);
  if (text === "" || text === "null") return {};
  const value = parseJson(text);
  if (isObject(value)) return value;
  const inner = typeof value === "string" ? parseJson(value) : undefined;
  if (isObject(inner)) return inner;
  deviations.report("repaired", "tool_arguments");
  return value === undefined ? { _raw: text } : { _value: value };
}

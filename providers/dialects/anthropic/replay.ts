// Thinking that callers send back with an assistant message: which of it Anthropic will recognise, and where it goes.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, objectsIn } from "../../../src/json.ts";
import type { ThinkingBlock } from "./wire.ts";

/** `format` of the reasoning details that hold Claude's thinking. */
export const THINKING_FORMAT = "anthropic-claude-v1";

/** Signatures this router makes for other providers' reasoning when it speaks Anthropic's dialect to a caller. */
const ROUTER_SIGNATURE = "rtr1.";

export interface ReplayedThinking {
  block: ThinkingBlock;
  /** UTF-16 length of the message's text before the block; undefined = before everything. */
  textOffset: number | undefined;
  /** Tool calls before the block. */
  toolOffset: number | undefined;
}

/**
 * The signed thinking of a message. What is unsigned, foreign or signed by ourselves is left out: as a thinking block
 * it is a 400, and as text it teaches Claude to write the tag (badlogic/pi-mono#302, #561).
 */
export function replayedThinking(message: ChatMessage, format: string): ReplayedThinking[] {
  const details = mergeByIndex(objectsIn(message.reasoning_details)).flatMap((item) => fromDetail(item, format));
  if (details.length > 0 || format !== THINKING_FORMAT) return details;
  const blocks = [...objectsIn(message.thinking_blocks), ...objectsIn(message.content)];
  return blocks.flatMap((item) => asReplayed(thinkingBlock(item), undefined, undefined));
}

/** Clients that store raw deltas send many items with one `index`; one that has text and signature is the whole. */
function mergeByIndex(items: JsonObject[]): JsonObject[] {
  const merged: JsonObject[] = [];
  const byIndex = new Map<unknown, JsonObject>();
  for (const item of items) {
    const known = typeof item.index === "number" ? byIndex.get(item.index) : undefined;
    if (known === undefined) {
      const own = { ...item };
      merged.push(own);
      byIndex.set(item.index, own);
    } else if (isWhole(item)) Object.assign(known, item);
    else if (!isWhole(known)) Object.assign(known, item, { text: firstText(known.text) + firstText(item.text) });
  }
  return merged;
}

function isWhole(item: JsonObject): boolean {
  return firstText(item.text) !== "" && firstText(item.signature) !== "";
}

function fromDetail(item: JsonObject, known: string): ReplayedThinking[] {
  // Clients that join the strings of repeated deltas send the format twice over.
  const format = item.format ?? THINKING_FORMAT;
  if (typeof format !== "string" || !format.startsWith(known)) return [];
  const block =
    item.type === "reasoning.encrypted"
      ? thinkingBlock({ type: "redacted_thinking", data: item.data })
      : thinkingBlock({ type: "thinking", thinking: item.text, signature: item.signature });
  return asReplayed(block, offsetOf(item.text_offset), offsetOf(item.tool_offset));
}

function asReplayed(
  block: ThinkingBlock | undefined,
  textOffset: number | undefined,
  toolOffset: number | undefined,
): ReplayedThinking[] {
  return block === undefined ? [] : [{ block, textOffset, toolOffset }];
}

/** A signature without text is a valid block: the signature is the payload (BerriAI/litellm#38809). */
export function thinkingBlock(item: JsonObject): ThinkingBlock | undefined {
  const signature = firstText(item.signature);
  const data = firstText(item.data);
  if (item.type === "thinking" && signature !== "" && !signature.startsWith(ROUTER_SIGNATURE)) {
    return { type: "thinking", thinking: firstText(item.thinking), signature };
  }
  if (item.type === "redacted_thinking" && data !== "" && !data.startsWith(ROUTER_SIGNATURE)) {
    return { type: "redacted_thinking", data };
  }
  return undefined;
}

function offsetOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}

// The part of an answer that Anthropic paused in (`pause_turn`), as the assistant turn that makes it go on.
import type { JsonObject } from "../../../src/chat.ts";
import { objectsIn } from "../../../src/json.ts";
import { withoutBlankText } from "./cache.ts";
import { thinkingBlock } from "./replay.ts";
import type { Block } from "./wire.ts";

/**
 * The blocks as they came, but for what the API returns and then refuses: blank text (anthropic-sdk-python#461), and
 * thinking that compatible servers do not sign.
 */
export function pausedContent(given: unknown): Block[] {
  const blocks = objectsIn(given).flatMap((block): Block[] => {
    if (block.type === "thinking" || block.type === "redacted_thinking") {
      const signed = thinkingBlock(block);
      return signed === undefined ? [] : [signed];
    }
    return [asBlock(block)];
  });
  return withoutBlankText(blocks);
}

/** Anthropic's own block of an earlier answer, sent back to where it came from; text is sure to be text. */
function asBlock(block: JsonObject): Block {
  if (block.type === "text") return { ...block, type: "text", text: typeof block.text === "string" ? block.text : "" };
  return { ...block } as unknown as Block;
}

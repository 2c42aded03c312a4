// Turns as Converse's messages. Its rules for conversations are Anthropic's, so the turns are placed already.
import { createHash } from "node:crypto";
import type { JsonObject } from "../../../src/chat.ts";
import { firstText } from "../../../src/json.ts";
import { legalId } from "../anthropic/ids.ts";
import type { Block, TextBlockParam, Turn } from "../anthropic/wire.ts";
import type { Report } from "../report.ts";
import type { Family } from "./families.ts";
import { DocumentNames, mediaBlock } from "./media.ts";
import type { Message } from "./wire.ts";

export interface MessageContext {
  family: Family;
  /**
   * Converse refuses calls and results in a request without tools, and has no way to forbid calls in one with tools. So
   * where none may be made, those of the past are told as text.
   */
  hasTools: boolean;
  names: DocumentNames;
  report: Report;
}

/** Text a document must have beside it ("a text field is required"), where the caller gave none. */
const BESIDE_DOCUMENT = "See the document.";

export function toMessages(turns: Turn[], family: Family, hasTools: boolean, report: Report): Message[] {
  const context = { family, hasTools, names: new DocumentNames(), report };
  return turns.map(({ role, content }) => {
    const blocks = content.flatMap((block) => toBlocks(block, context));
    if (blocks.some((block) => block.document !== undefined) && !blocks.some((block) => block.text !== undefined)) {
      report.note("repaired", "document_without_text");
      blocks.push({ text: BESIDE_DOCUMENT });
    }
    return { role: role === "assistant" ? "assistant" : "user", content: blocks };
  });
}

export function toSystem(blocks: TextBlockParam[], family: Family): JsonObject[] {
  return blocks.flatMap((block) => [{ text: block.text }, ...cachePoint(block, family.cachePoints !== "nowhere")]);
}

/** A cache point is a block of its own, behind what it ends. Lifetimes other than the default cannot be asked for. */
export function cachePoint(holder: object, isTaken: boolean): JsonObject[] {
  const { cache_control: marker } = holder as { cache_control?: unknown };
  return marker && isTaken ? [{ cachePoint: { type: "default" } }] : [];
}

function toBlocks(block: Block, context: MessageContext): JsonObject[] {
  return [...contentOf(block, context), ...cachePoint(block, context.family.cachePoints !== "nowhere")];
}

function contentOf(block: Block, context: MessageContext): JsonObject[] {
  const { family, names, report } = context;
  switch (block.type) {
    case "text":
      return [{ text: block.text }];
    case "image":
    case "document": {
      const media = mediaBlock(block.type, block, names);
      if (media === undefined) {
        report.refuse(
          "unsupported_value",
          "messages",
          "Files must be sent whole for this model; it reads no file ids.",
        );
        return [];
      }
      return [media];
    }
    case "tool_use": {
      const name = legalId(block.name);
      if (!context.hasTools) return [toldCall(name, block.input, report)];
      return [{ toolUse: { toolUseId: callId(block.id, family), name, input: block.input } }];
    }
    case "tool_result": {
      const given = Array.isArray(block.content) ? (block.content as Block[]) : [];
      const content = given.flatMap((inner) => contentOf(inner, context));
      if (!context.hasTools) return [{ text: "[tool result]" }, ...content];
      const status = block.is_error === true && family.resultStatus ? { status: "error" } : {};
      return [{ toolResult: { toolUseId: callId(block.tool_use_id, family), content, ...status } }];
    }
    case "thinking":
      return [{ reasoningContent: { reasoningText: { text: block.thinking, signature: block.signature } } }];
    case "redacted_thinking":
      return [{ reasoningContent: { redactedContent: block.data } }];
    default:
      // Calls of tools that another endpoint ran itself, and their results.
      report.note("dropped", "messages", firstText(block.type));
      return [];
  }
}

function toldCall(name: string, input: unknown, report: Report): JsonObject {
  report.note("folded", "tool_calls");
  return { text: `[called ${name} with ${JSON.stringify(input)}]` };
}

/** The same for a call and its result, without a map. */
function callId(id: string, { nineCharacterIds }: Family): string {
  if (nineCharacterIds !== true || /^[A-Za-z0-9]{9}$/.test(id)) return id;
  return createHash("sha256").update(id).digest("hex").slice(0, 9);
}

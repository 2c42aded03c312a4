// Reasoning of earlier turns: where it was kept, and how a provider wants it back.
import type { ChatEvent, ChatMessage, ContentPart } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import { firstText, objectsIn } from "../../../src/json.ts";
import type { Context } from "./context.ts";
import type { OpenAiChatProfile, Replay } from "./profile.ts";
import { turnsThinkingOn } from "./thinking.ts";

/** Whether this model wants its reasoning back. The catalogue knows better than a pattern. */
export function replayFor(call: Call, profile: OpenAiChatProfile): Replay | undefined {
  const { replay } = profile;
  if (replay === undefined) return undefined;
  const told = call.target.entry?.features?.reasoningReplay;
  if (told ?? replay.models?.test(call.target.model) ?? true) return replay;
  return told === undefined && replay.whenOn && turnsThinkingOn(call, profile) ? replay : undefined;
}

/** `original` is the caller's message: the members with the reasoning are cleaned out of `message` by now. */
export function withReasoning(
  message: ChatMessage,
  original: ChatMessage,
  index: number,
  { call, replay, report }: Context,
): ChatMessage {
  if (replay === undefined) return message;
  if (replay.turns === "tool_calls" && !original.tool_calls?.length) return message;
  const said = reasoningOf(original) || recalled(original, call, replay);
  const text = said || replay.otherwise;
  if (text === undefined) return message;
  // The provider refuses the turn without it, and nobody has it any more.
  if (said === "" && original.tool_calls?.length) report.note("repaired", `messages[${index}].reasoning_content`);
  return written(message, original, text, replay);
}

function reasoningOf(message: ChatMessage): string {
  const details = objectsIn(message.reasoning_details).map((detail) => firstText(detail.text, detail.summary));
  return firstText(message.reasoning_content, message.reasoning, details.join(""));
}

function recalled({ tool_calls: toolCalls }: ChatMessage, { recall }: Call, { remembers }: Replay): string {
  if (!remembers || recall === undefined) return "";
  return firstText(...(toolCalls ?? []).map(({ id }) => (id === undefined ? "" : recall(id)?.reasoning)));
}

function written(message: ChatMessage, original: ChatMessage, text: string, replay: Replay): ChatMessage {
  switch (replay.as) {
    case "reasoning_content":
      return { ...message, reasoning_content: text };
    case "reasoning":
      // Where the provider takes them, details say more.
      return objectsIn(message.reasoning_details).length > 0 ? message : { ...message, reasoning: text };
    case "both":
      return { ...message, reasoning: text, reasoning_content: text };
    case "reasoning_details": {
      const own = objectsIn(original.reasoning_details);
      return { ...message, reasoning_details: own.length > 0 ? own : [{ type: "reasoning.text", text }] };
    }
    case "thinking_parts": {
      const thinking: ContentPart = { type: "thinking", thinking: [{ type: "text", text }] };
      return { ...message, content: [thinking, ...partsOf(message)] };
    }
  }
}

function partsOf({ content }: ChatMessage): ContentPart[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  return content ?? [];
}

/** What a later request needs of this answer, under the id of its first tool call (a turn's calls stay together). */
export function toRemember(call: Call, profile: OpenAiChatProfile, id: string, reasoning: string): ChatEvent[] {
  if (reasoning === "" || !replayFor(call, profile)?.remembers) return [];
  return [{ type: "remember", key: id, value: { reasoning } }];
}

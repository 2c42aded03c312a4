// Turns as one provider takes them: one system message at the start, roles that alternate, no turn without content.
import type { ChatMessage, ContentPart } from "../../../src/chat.ts";
import type { Context } from "./context.ts";

const BETWEEN = "\n\n";

export function toProviderTurns(messages: ChatMessage[], { profile, report }: Context): ChatMessage[] {
  let turns = messages;
  if (profile.emptyTurns === "drop") turns = turns.filter((message) => !isEmptyTurn(message));
  if (profile.systemMessages === "first") {
    for (const index of misplaced(turns)) report.note("moved", `messages[${index}]`);
    turns = systemFirst(turns);
  }
  return profile.alternates ? alternating(turns) : turns;
}

function isEmptyTurn({ role, content, tool_calls: toolCalls }: ChatMessage): boolean {
  const isEmpty = content === undefined || content === null || content.length === 0;
  return role === "assistant" && isEmpty && !toolCalls?.length;
}

/** System messages behind another message. */
function misplaced(messages: ChatMessage[]): number[] {
  const first = messages.findIndex(({ role }) => role !== "system");
  return messages.flatMap(({ role }, index) => (role === "system" && first !== -1 && index > first ? [index] : []));
}

function systemFirst(messages: ChatMessage[]): ChatMessage[] {
  const systems = messages.filter(({ role }) => role === "system");
  if (systems.length === 0 || (systems.length === 1 && messages[0] === systems[0])) return messages;
  return [systems.reduce(merged), ...messages.filter(({ role }) => role !== "system")];
}

function alternating(messages: ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const message of messages) {
    const before = turns.at(-1);
    if (before?.role === message.role && canMerge(message.role)) turns[turns.length - 1] = merged(before, message);
    else turns.push(message);
  }
  return turns;
}

/** Answers of tools belong to one call each. */
function canMerge(role: string): boolean {
  return role !== "tool" && role !== "function";
}

function merged(first: ChatMessage, second: ChatMessage): ChatMessage {
  const calls = [...(first.tool_calls ?? []), ...(second.tool_calls ?? [])];
  const message = { ...first, content: mergedContent(first.content, second.content) };
  return calls.length === 0 ? message : { ...message, tool_calls: calls };
}

function mergedContent(first: ChatMessage["content"], second: ChatMessage["content"]): string | ContentPart[] | null {
  if (!first?.length) return second ?? null;
  if (!second?.length) return first;
  if (typeof first === "string" && typeof second === "string") return first + BETWEEN + second;
  const parts = (content: string | ContentPart[]): ContentPart[] =>
    typeof content === "string" ? [{ type: "text", text: content }] : content;
  return [...parts(first), ...parts(second)];
}

// Messages as Gemini's `systemInstruction` and `contents`.
import type { Content, Part } from "@google/genai";
import type { ChatMessage, ContentPart } from "../../../src/chat.ts";
import { firstText } from "../../../src/json.ts";
import { pastCalls, refuseOrphan, toResults } from "./calls.ts";
import type { Translation } from "./context.ts";
import { pastImages, toPart } from "./media.ts";
import { replayedParts } from "./replay.ts";
import { currentTurn, signedText, signSteps } from "./signatures.ts";

export interface Prompt {
  /** Without a role: only `contents` have one. */
  systemInstruction?: { parts: Part[] };
  contents: Content[];
}

/** `instructions` are put after the caller's own system messages. */
export function toPrompt(instructions: string[], context: Translation): Prompt {
  const system: string[] = [];
  const contents: Content[] = [];
  const { messages } = context.body;
  for (let i = 0; i < messages.length; i += 1) {
    const message = messages[i]!;
    const at = `messages[${i}]`;
    // Gemini knows nobody by name; only results are looked up by it.
    if (message.name != null && message.role !== "function") context.report.note("dropped", `${at}.name`);
    if (message.audio != null) context.report.note("dropped", `${at}.audio`);
    // System messages are hoisted wherever they stand: Gemini has no place for them inside the conversation.
    if (message.role === "system" || message.role === "developer") system.push(...systemTexts(message, at, context));
    else if (message.role === "user") append(contents, "user", userParts(message, at, context));
    else if (message.role === "assistant") i += appendAssistant(contents, messages, i, context);
    else if (message.role === "tool" || message.role === "function") refuseOrphan(at, context);
    else context.report.refuse("invalid_value", `${at}.role`, `Invalid value: '${message.role}'.`);
  }
  system.push(...instructions);
  if (context.repairs.signAll) signSteps(contents);
  else if (context.gates.signatureEnforced) signSteps(currentTurn(contents));
  refuseTrailingModelTurn(contents, context);
  return withSystem(system, contents, context);
}

/** Appends an assistant message with the results that follow it; the answer is how many messages those were. */
function appendAssistant(contents: Content[], messages: ChatMessage[], i: number, context: Translation): number {
  const message = messages[i]!;
  const calls = pastCalls(message, context);
  const at = `messages[${i}]`;
  const parts = replayedParts(message, calls, context) ?? [
    ...assistantText(message, at, context),
    ...pastImages(message, at, context),
    ...calls.map(({ part }) => part),
  ];
  append(contents, "model", parts);
  let end = i + 1;
  while (messages[end]?.role === "tool" || messages[end]?.role === "function") end += 1;
  const results = messages.slice(i + 1, end);
  // Results stand alone in their content, and so does what follows them.
  contents.push(...toResults(calls, results, i + 1, context));
  return results.length;
}

function assistantText(message: ChatMessage, at: string, context: Translation): Part[] {
  const { content, refusal } = message;
  if (Array.isArray(content)) {
    const texts = content.filter((part) => part.type === "text" || part.type === "refusal");
    if (texts.length < content.length) return toParts(content, at, context);
    return signedText(texts.map((part) => firstText(part.text, part.refusal)).join(""), message);
  }
  return signedText(content || refusal || "", message);
}

function userParts(message: ChatMessage, at: string, context: Translation): Part[] {
  if (typeof message.content === "string") return message.content === "" ? [] : [{ text: message.content }];
  return toParts(message.content ?? [], at, context);
}

function toParts(content: ContentPart[], at: string, context: Translation): Part[] {
  return content.map((part, i) => toPart(part, `${at}.content[${i}]`, context)).filter((part) => part !== undefined);
}

function systemTexts(message: ChatMessage, at: string, { report }: Translation): string[] {
  const { content } = message;
  if (typeof content === "string") return content === "" ? [] : [content];
  return (content ?? []).flatMap((part, i) => {
    if (part.type === "text") return part.text || [];
    report.refuse("unsupported_value", `${at}.content[${i}]`, "System messages can only hold text.");
    return [];
  });
}

/** Neighbours of the same role share one content; a content of tool results is never joined. */
function append(contents: Content[], role: "user" | "model", parts: Part[]): void {
  // A message without anything in it has no counterpart: `parts` must not be empty.
  if (parts.length === 0) return;
  const last = contents.at(-1);
  const isJoinable = last?.role === role && !last.parts?.some((part) => part.functionResponse !== undefined);
  if (isJoinable) last.parts?.push(...parts);
  else contents.push({ role, parts });
}

function refuseTrailingModelTurn(contents: Content[], { gates, report }: Translation): void {
  if (gates.trailingModelTurn || contents.at(-1)?.role !== "model") return;
  const message = "This model cannot continue a message that the assistant began: end with a user or tool message.";
  report.refuse("unsupported_value", "messages", message);
}

function withSystem(system: string[], contents: Content[], { gates, report }: Translation): Prompt {
  if (contents.length === 0) {
    if (system.length === 0) report.refuse("invalid_value", "messages", "The messages hold no content.");
    else report.note("repaired", "system_only");
    // `contents` must not be empty, so instructions alone become the question.
    return { contents: [{ role: "user", parts: [{ text: system.join("\n\n") }] }] };
  }
  if (system.length === 0) return { contents };
  if (gates.systemInstruction) return { systemInstruction: { parts: system.map((text) => ({ text })) }, contents };
  const text: Part = { text: `${system.join("\n\n")}\n\n` };
  const first = contents[0];
  if (first?.role === "user") first.parts?.unshift(text);
  else contents.unshift({ role: "user", parts: [text] });
  return { contents };
}

// The caller's messages as the turns Anthropic accepts: roles placed, results paired with calls, neighbours merged.
import type { ChatMessage } from "../../../src/chat.ts";
import { firstText } from "../../../src/json.ts";
import type { Report } from "../report.ts";
import { assistantBlocks, isServerBlock } from "./assistant.ts";
import { marked, markerOf, markLast, withoutBlankText } from "./cache.ts";
import type { Entry, SystemEntry } from "./entry.ts";
import { partsOf, userBlocks } from "./parts.ts";
import type { ModelProfile } from "./profile.ts";
import type { Terms } from "./terms.ts";
import { pairResults } from "./tool-results.ts";
import type { Block, TextBlockParam, ToolResultBlockParam, Turn } from "./wire.ts";

export interface Conversation {
  system: TextBlockParam[];
  turns: Turn[];
}

/** Text the router writes when the API demands a user turn and the caller has none. */
export const CONTINUE = "Continue.";
const CONVERSATION_START = "(conversation start)";

/**
 * Translating the first k messages gives a prefix of translating more of them, so that the provider's prompt cache and
 * bound thinking survive; only repairs of the very last turn break this.
 */
export function toConversation(messages: ChatMessage[], terms: Terms, report: Report): Conversation {
  const entries = messages.flatMap((message, at) => toEntry(message, at, terms, report));
  const lead = entries.findIndex((entry) => entry.kind !== "system");
  const leading = (lead === -1 ? entries : entries.slice(0, lead)) as SystemEntry[];
  const paired = pairResults(lead === -1 ? [] : entries.slice(lead), report);
  const placed = placeSystem(withoutEmpty(paired, messages.length - 1, report), terms, report);
  const turns = mergeTurns(placed);
  if (turns.length === 0) return systemOnly(leading, report);
  if (turns[0]!.role === "assistant") {
    turns.unshift({ role: "user", content: [{ type: "text", text: CONVERSATION_START }] });
    report.note("repaired", "first_message");
  }
  return { system: leading.flatMap((entry) => entry.blocks), turns };
}

function toEntry(message: ChatMessage, at: number, terms: Terms, report: Report): Entry[] {
  switch (message.role) {
    case "system":
    case "developer":
      return [{ kind: "system", at, blocks: systemBlocks(message, at, report) }];
    case "user": {
      if (firstText(message.name) !== "") report.note("dropped", `messages[${at}].name`);
      const blocks = withoutBlankText(userBlocks(message, at, terms, report));
      markLast(blocks, markerOf(message));
      return [{ kind: "user", at, blocks }];
    }
    case "assistant":
      return [{ kind: "assistant", at, ...assistantBlocks(message, at, terms, report) }];
    case "tool":
    case "function":
      return [toResult(message, at, terms, report)];
    default:
      report.refuse("invalid_value", `messages[${at}].role`, `Role '${message.role}' is unknown.`);
      return [];
  }
}

function systemBlocks(message: ChatMessage, at: number, report: Report): TextBlockParam[] {
  const blocks: TextBlockParam[] = partsOf(message).map((part, j) => {
    if (part.type !== "text") {
      const path = `messages[${at}].content[${j}]`;
      report.refuse("unsupported_value", path, "System messages may hold text only.");
    }
    return { type: "text", text: firstText(part.text), ...marked(part) };
  });
  const visible = withoutBlankText(blocks);
  markLast(visible, markerOf(message));
  return visible;
}

function toResult(message: ChatMessage, at: number, terms: Terms, report: Report): Entry {
  const key = message.role === "tool" ? `id:${firstText(message.tool_call_id)}` : `function:${firstText(message.name)}`;
  const content = withoutBlankText(userBlocks(message, at, terms, report));
  const result: ToolResultBlockParam = { type: "tool_result", tool_use_id: "" };
  if (message.is_error === true) result.is_error = true;
  // A marker inside the result would count like any other; on the result itself it caches the same prefix.
  const marker = markerOf(message) ?? content.findLast((block) => block.cache_control)?.cache_control;
  for (const block of content) delete block.cache_control;
  if (content.length > 0) result.content = content;
  if (marker) result.cache_control = marker;
  return { kind: "result", at, key, result };
}

/** Messages without blocks go; a last user message that leaves no user turn behind asks the model to go on. */
function withoutEmpty(entries: Entry[], lastAt: number, report: Report): Entry[] {
  const kept = entries.filter((entry) => entry.kind === "result" || entry.blocks.length > 0);
  const last = entries.at(-1);
  const before = kept.findLast((entry) => entry.kind !== "system");
  if (last?.kind === "user" && last.at === lastAt && last.blocks.length === 0 && before?.kind !== "user") {
    report.note("repaired", "empty_message");
    kept.push({ ...last, blocks: [{ type: "text", text: CONTINUE }] });
  }
  return kept;
}

/**
 * System messages after the first turn. Models that take them want them after a user turn and before an assistant turn
 * or the end; elsewhere they become marked text in the user turn at their place. Moving them all to the top, as many
 * routers do, would rewrite the start of the prompt each turn and empty the cache.
 */
function placeSystem(entries: Entry[], profile: ModelProfile, report: Report): Entry[] {
  const placed: Entry[] = [];
  let held: { entry: SystemEntry; moved: boolean }[] = [];
  const release = () => {
    const afterUser = placed.at(-1)?.kind === "user";
    for (const { entry, moved } of held) {
      if (!afterUser) placed.push(folded(entry, report));
      else {
        if (moved) report.note("moved", `messages[${entry.at}]`);
        placed.push(entry);
      }
    }
    held = [];
  };
  for (const entry of entries) {
    if (entry.kind === "system") {
      if (profile.midSystem) held.push({ entry, moved: false });
      else placed.push(folded(entry, report));
      continue;
    }
    if (entry.kind === "assistant") release();
    else held = held.map(({ entry: waiting }) => ({ entry: waiting, moved: true }));
    placed.push(entry);
  }
  release();
  return placed;
}

function folded(entry: SystemEntry, report: Report): Entry {
  report.note("folded", `messages[${entry.at}]`);
  const text = entry.blocks.map((block) => block.text).join("\n");
  const marker = entry.blocks.findLast((block) => block.cache_control)?.cache_control;
  const block: TextBlockParam = { type: "text", text: `<system>\n${text}\n</system>` };
  return { kind: "user", at: entry.at, blocks: [marker ? { ...block, cache_control: marker } : block] };
}

/** Concatenates the blocks of neighbours of one role; strings are never joined. System messages stay apart. */
function mergeTurns(entries: Entry[]): Turn[] {
  const turns: Turn[] = [];
  for (const entry of entries) {
    if (entry.kind === "result") continue;
    const last = turns.at(-1);
    if (last?.role === entry.kind && entry.kind !== "system") last.content.push(...entry.blocks);
    else turns.push({ role: entry.kind, content: [...entry.blocks] });
  }
  turns.forEach((turn, i) => {
    if (turn.role === "assistant") turn.content = callsLast(turn.content);
    else if (turns[i - 1]?.content.some(isServerBlock)) turn.content = resultsAlone(turn.content);
  });
  return turns;
}

/** After a turn with tools of the provider's own the API wants results and nothing else: text joins the last one. */
function resultsAlone(blocks: Block[]): Block[] {
  const results = blocks.filter((block) => block.type === "tool_result");
  const texts = blocks.filter((block) => block.type === "text");
  const last = results.pop();
  if (last === undefined || texts.length === 0) return blocks;
  const before = Array.isArray(last.content) ? last.content : [];
  const others = blocks.filter((block) => block.type !== "tool_result" && block.type !== "text");
  return [...results, { ...last, content: [...before, ...texts] }, ...others];
}

/** Text after a `tool_use` moves before it: the results must follow the calls directly. */
function callsLast(blocks: Block[]): Block[] {
  const first = blocks.findIndex((block) => block.type === "tool_use");
  if (first === -1) return blocks;
  const after = blocks.slice(first);
  const texts = after.filter((block) => block.type === "text");
  return [...blocks.slice(0, first), ...texts, ...after.filter((block) => block.type !== "text")];
}

function systemOnly(leading: { blocks: TextBlockParam[] }[], report: Report): Conversation {
  const visible = leading.filter((entry) => entry.blocks.length > 0);
  const last = visible.pop();
  if (last === undefined) {
    report.refuse("invalid_value", "messages", "There is no message with content to send.");
    return { system: [], turns: [] };
  }
  report.note("repaired", "system_only");
  return {
    system: visible.flatMap((entry) => entry.blocks),
    turns: [{ role: "user", content: [...last.blocks] }],
  };
}

// What Anthropic refuses about messages: roles, blocks, and the pairing of tool uses with their results.
import type { JsonObject } from "../chat.ts";
import { isObject, objectsIn } from "../json.ts";
import { blockViolations } from "./anthropic-blocks.ts";
import type { ClaudeProfile } from "./anthropic-models.ts";
import { invalid, noExtras, oneOf, required } from "./anthropic-words.ts";
import { isText, type Violations } from "./check.ts";
import { type Call, text } from "./face.ts";

export function* messageViolations(call: Call, profile: ClaudeProfile): Violations {
  const { messages } = call.body;
  if (!Array.isArray(messages)) {
    yield invalid("messages: Input should be a valid list");
    return;
  }
  if (messages.length === 0) yield invalid("messages: at least one message is required");
  for (const [index, message] of messages.entries()) {
    if (!isObject(message)) yield invalid(`messages.${index}: Input should be a valid dictionary`);
    else yield* oneMessage(messages, index, call, profile);
  }
  if (messages[0].role !== "user") yield invalid('messages: first message must use the "user" role');
  yield* pairingViolations(messages);
  if (holdsTools(messages) && objectsIn(call.body.tools).length === 0) {
    yield invalid("Requests which include `tool_use` or `tool_result` blocks must define tools");
  }
  yield* endViolations(messages, call, profile);
}

function* oneMessage(messages: JsonObject[], index: number, call: Call, profile: ClaudeProfile): Violations {
  const message = messages[index] as JsonObject;
  const at = `messages.${index}`;
  yield* required(`${at}.role`, message.role);
  if (message.role === "system") yield* systemTurn(index, messages, profile);
  else yield* oneOf(`${at}.role`, message.role, ["user", "assistant"]);
  yield* noExtras(at, message, ["role", "content"]);
  yield* required(`${at}.content`, message.content);
  const { content } = message;
  const mayBeEmpty = message.role === "assistant" && index === messages.length - 1;
  if (content === "" || (Array.isArray(content) && content.length === 0)) {
    if (mayBeEmpty) return;
    yield invalid(`${at}: all messages must have non-empty content except for the optional final assistant message`);
  }
  if (isText(content)) {
    if (content.trim() === "") yield invalid("messages: text content blocks must contain non-whitespace text");
    return;
  }
  if (!Array.isArray(content)) yield invalid(`${at}.content: Input should be a valid list`);
  for (const [block, value] of objectsIn(content).entries()) {
    yield* blockViolations(value, `${at}.content.${block}`, text(message.role), call);
  }
}

/** Newer models take system messages between turns, never at the start. */
function* systemTurn(index: number, messages: JsonObject[], profile: ClaudeProfile): Violations {
  const at = `messages.${index}`;
  if (index === 0) yield invalid(`${at}: use the top-level 'system' parameter for the initial system prompt`);
  if (!profile.midSystem) yield invalid(`${at}: role 'system' is not supported on this model`);
  const before = messages.slice(0, index).findLast((message) => message.role !== "system");
  const after = messages[index + 1]?.role;
  if (before?.role !== "user") yield invalid(`${at}: a system message must follow a user message`);
  if (after === "user") yield invalid(`${at}: a system message must be last or followed by an assistant message`);
}

function blocksOf(message: JsonObject | undefined, type: string): JsonObject[] {
  return objectsIn(message?.content).filter((block) => block.type === type);
}

function holdsTools(messages: JsonObject[]): boolean {
  return messages.some((message) => [...blocksOf(message, "tool_use"), ...blocksOf(message, "tool_result")].length > 0);
}

/** Every use is answered at the head of the very next message, once, and nothing else is answered. */
function* pairingViolations(messages: JsonObject[]): Violations {
  const seen = new Set<string>();
  for (const [index, message] of messages.entries()) {
    for (const [at, block] of objectsIn(message.content).entries()) {
      if (block.type !== "tool_use") continue;
      const id = text(block.id);
      if (seen.has(id)) yield invalid(`messages.${index}.content.${at}: tool_use ids must be unique`);
      seen.add(id);
    }
    const uses = blocksOf(message, "tool_use").map((block) => text(block.id));
    yield* resultViolations(messages, index, uses);
  }
}

function* resultViolations(messages: JsonObject[], index: number, uses: string[]): Violations {
  const previous = blocksOf(messages[index - 1], "tool_use").map((block) => text(block.id));
  const answered = new Set<string>();
  for (const [at, block] of objectsIn(messages[index]?.content).entries()) {
    if (block.type !== "tool_result") continue;
    const id = text(block.tool_use_id);
    const path = `messages.${index}.content.${at}`;
    if (!previous.includes(id)) {
      const rule = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.";
      yield invalid(`${path}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}. ${rule}`);
    }
    if (answered.has(id)) {
      yield invalid(
        `${path}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${id}`,
      );
    }
    answered.add(id);
  }
  const next = objectsIn(messages[index + 1]?.content);
  const head = next.findIndex((block) => block.type !== "tool_result");
  const results = (head === -1 ? next : next.slice(0, head)).map((block) => text(block.tool_use_id));
  const open = uses.filter((id) => !results.includes(id));
  if (open.length > 0) {
    const rule = "Each `tool_use` block must have a corresponding `tool_result` block in the next message.";
    const found = "`tool_use` ids were found without `tool_result` blocks immediately after:";
    yield invalid(`messages.${index}: ${found} ${open.join(", ")}. ${rule}`);
  }
}

function* endViolations(messages: JsonObject[], call: Call, profile: ClaudeProfile): Violations {
  const last = messages.at(-1);
  const { thinking } = call.body;
  const thinks = isObject(thinking) && thinking.type === "enabled";
  if (last?.role === "assistant") {
    if (!profile.prefill || thinks) {
      yield invalid(
        "This model does not support assistant message prefill. The conversation must end with a user message.",
      );
    }
    const end = isText(last.content) ? last.content : text(objectsIn(last.content).at(-1)?.text);
    if (end !== end.trimEnd()) yield invalid("messages: final assistant content cannot end with trailing whitespace");
  }
  // With manual thinking an open tool loop must still carry the thinking that led to the call.
  const loop = blocksOf(last, "tool_result").length > 0;
  const first = objectsIn(messages.at(-2)?.content)[0]?.type;
  if (thinks && loop && first !== "thinking" && first !== "redacted_thinking") {
    const path = `messages.${messages.length - 2}.content.0.type`;
    yield invalid(`${path}: Expected \`thinking\` or \`redacted_thinking\`, but found \`${first}\``);
  }
}

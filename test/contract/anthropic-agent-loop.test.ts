// An agent loop as callers write it: the OpenAI SDK reads our stream, and the client sends back what OpenAI's format
// holds, plus `reasoning_details`. Claude must get back every block it made, unchanged and in its place.
import fc from "fast-check";
import { ChatCompletionStream } from "openai/lib/ChatCompletionStream";
import { describe, expect, test } from "vitest";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import { openaiChatInbound } from "../../providers/dialects/openai/inbound.ts";
import { type ChatBody, type ChatMessage, fold, type JsonObject } from "../../src/chat.ts";
import type { AnswerHead, Call } from "../../src/dialect.ts";
import { eventsOf, messageOf, turnContent, withIds } from "../dialects/anthropic-answers.ts";
import { anthropicCall, decodeChunks, sseOf, wireOf } from "../dialects/anthropic-calls.ts";

const head: AnswerHead = { createdS: 0, model: "claude-opus-5", includeUsage: false, usageExtras: () => undefined };
const tools = [{ type: "function", function: { name: "f" } }];
const usage = { input_tokens: 1, output_tokens: 9 };

const endingOf = (content: JsonObject[]) => ({
  stop_reason: content.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn",
  usage,
});

/** What the SDK's stream helper makes of the answer. */
async function readBySdk(content: JsonObject[], call: Call): Promise<ChatMessage> {
  const events = decodeChunks([sseOf(eventsOf(content, endingOf(content), 2))], call);
  const chunks = openaiChatInbound.renderer(head).push(events).split("\n\n");
  const lines = chunks.filter((chunk) => chunk.startsWith("data: {")).map((chunk) => `${chunk.slice(6)}\n`);
  const bytes = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(lines.join("")));
      controller.close();
    },
  });
  return (await ChatCompletionStream.fromReadableStream(bytes).finalMessage()) as unknown as ChatMessage;
}

function readWhole(content: JsonObject[], call: Call): ChatMessage {
  const answer = fold(anthropicMessages.decodeBody(messageOf(content, endingOf(content)), call));
  const body = JSON.parse(JSON.stringify(openaiChatInbound.renderBody(answer, head)));
  return body.choices[0].message;
}

/** What a plain client keeps of an answer, and the results of its calls, the last one first. */
function historyOf({ role, content, tool_calls, reasoning_details }: ChatMessage): ChatMessage[] {
  const calls = tool_calls ?? [];
  const results = calls.map((call): ChatMessage => ({ role: "tool", tool_call_id: call.id ?? "", content: "r" }));
  const kept: ChatMessage = { role, content: content ?? null };
  if (calls.length > 0) kept.tool_calls = calls;
  if (reasoning_details !== undefined) kept.reasoning_details = reasoning_details;
  return [kept, ...results.reverse(), ...(calls.length === 0 ? [{ role: "user", content: "next" }] : [])];
}

/** The turn that follows an answer on the wire. */
function replyTo(content: JsonObject[]): JsonObject[] {
  const calls = content.filter(({ type }) => type === "tool_use");
  if (calls.length === 0) return [{ type: "text", text: "next" }];
  return calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: [{ type: "text", text: "r" }] }));
}

async function expectReplayed(answers: JsonObject[][], read: typeof readBySdk | typeof readWhole): Promise<void> {
  const body: ChatBody = {
    model: "claude-opus-5",
    max_tokens: 100,
    tools,
    messages: [{ role: "user", content: "go" }],
  };
  const expected: JsonObject[] = [{ role: "user", content: [{ type: "text", text: "go" }] }];
  for (const content of answers) {
    const message = await read(content, anthropicCall(body));
    body.messages = [...body.messages, ...historyOf(message)];
    expected.push({ role: "assistant", content }, { role: "user", content: replyTo(content) });
    const wire = wireOf(anthropicCall(body));
    expect(wire.body.messages).toEqual(expected);
    expect(wire.warnings).toEqual([]);
  }
}

const think = (thinking: string, signature: string) => ({ type: "thinking", thinking, signature });
const call = (id: string, input: JsonObject) => ({ type: "tool_use", id, name: "f", input });

const LOOP: JsonObject[][] = [
  [think("Two at once.", "S0"), { type: "text", text: "Looking." }, call("toolu_a", { q: 1 }), call("toolu_b", {})],
  [
    think("", "S1"),
    { type: "text", text: "Found \u{1f600} one" },
    { type: "redacted_thinking", data: "R0" },
    { type: "text", text: ", asking on." },
    think("Why?", "S2"),
    call("toolu_c", { q: "\u00e9" }),
    think("Between.", "S3"),
    call("toolu_d", { q: [1] }),
  ],
  [think("Enough.", "S4"), { type: "text", text: "Done." }],
];

describe("thinking of an agent loop reaches the wire unchanged", () => {
  test("through the stream helper of the OpenAI SDK", () => expectReplayed(LOOP, readBySdk));
  test("through buffered answers", () => expectReplayed(LOOP, readWhole));

  test("whatever Claude answers", async () => {
    const turns = fc.array(turnContent, { minLength: 1, maxLength: 3 });
    const loops = turns.map((contents) => contents.map((content, i) => withIds(content, `toolu_${i}`)));
    await fc.assert(
      fc.asyncProperty(loops, fc.boolean(), async (answers, isStreamed) => {
        await expectReplayed(answers, isStreamed ? readBySdk : readWhole);
      }),
      { numRuns: 60 },
    );
  });
});

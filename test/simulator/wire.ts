// Chat Completions as the simulated providers speak it: what a request asks for, and the bytes of answers.
import type { Ask, Course } from "./provider.ts";

/** A prompt that carries what the model will answer: the same request has the same answer wherever it goes. */
export function promptOf(requestId: string, outputTokens: number, plainTokens: number): string {
  const head = `${requestId} ${outputTokens} `;
  return head + TEXT.slice(0, Math.max(0, Math.min(TEXT.length, 4 * plainTokens) - head.length));
}

const SENTENCE =
  "The invoice for March lists nineteen parcels, two of which came back; please say which, and why the carrier kept them. ";
const TEXT = SENTENCE.repeat(2_000);

export function readAsk(json: string): { ask: Ask; stream: boolean } {
  const body = JSON.parse(json) as {
    messages: { content: string }[];
    stream?: boolean;
    max_tokens?: number;
    max_completion_tokens?: number;
  };
  const text = body.messages.map(({ content }) => content).join("\n");
  const [requestId = "", outputTokens = "0"] = text.slice(0, 60).split(" ");
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  const ask = { requestId, plainTokens: text.length / 4, outputTokens: Number(outputTokens), maxTokens };
  return { ask, stream: body.stream === true };
}

/** What a whole answer says: with a part of it missing it is another text. */
export const WHOLE = "Two parcels came back.";
const PARTS = ["Two ", "parcels ", "came back."] as const;

type Answer = Extract<Course, { kind: "answer" }>;

function usageOf({ inputTokens, outputTokens }: Answer) {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

export function bodyOf(answer: Answer): string {
  if (answer.flaw === "malformed") return "<html>Bad gateway</html>";
  const message = { role: "assistant", content: WHOLE };
  return JSON.stringify({
    id: "chatcmpl-simulated",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage: usageOf(answer),
  });
}

const encoder = new TextEncoder();

function frame(choices: unknown[], more: object = {}): string {
  const head = { id: "chatcmpl-simulated", object: "chat.completion.chunk", created: 1, model: "m" };
  return `data: ${JSON.stringify({ ...head, choices, ...more })}\n\n`;
}

function delta(content: string): string {
  return frame([{ index: 0, delta: { content }, finish_reason: null }]);
}

const FIRST = encoder.encode(
  frame([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]) + delta(PARTS[0]),
);
const SECOND = encoder.encode(delta(PARTS[1]));
const GARBAGE = encoder.encode("data: {oops\n\n");
const LAST = delta(PARTS[2]) + frame([{ index: 0, delta: {}, finish_reason: "stop" }]);

/** Few pieces: first content, one more, the end. A truncated answer lacks the last. `at`: share of the time between the
 *  first byte and the end. */
export function piecesOf(answer: Answer): { at: number; bytes: Uint8Array }[] {
  if (answer.flaw === "malformed") return [{ at: 0, bytes: GARBAGE }];
  const begun = [
    { at: 0, bytes: FIRST },
    { at: 0.5, bytes: SECOND },
  ];
  if (answer.flaw === "truncated") return begun;
  const end = `${LAST}${frame([], { usage: usageOf(answer) })}data: [DONE]\n\n`;
  return [...begun, { at: 1, bytes: encoder.encode(end) }];
}

export function errorBody(code: string, message: string): string {
  return JSON.stringify({ error: { message, type: code, param: null, code } });
}

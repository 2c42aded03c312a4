// What must hold for every history and every stream, not only for the recorded ones.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import { type ChatEvent, type ChatMessage, fold } from "../../src/chat.ts";
import type { Call } from "../../src/dialect.ts";
import { isObject, parseJson } from "../../src/json.ts";
import { anyContent, type Ending, eventsOf, messageOf } from "./anthropic-answers.ts";
import { anthropicCall, cutAt, decodeChunks, sseOf, wireOf } from "./anthropic-calls.ts";

interface Turn {
  role: string;
  content: { type: string; id?: string; tool_use_id?: string; text?: string }[];
}

function turnsOf(model: string, messages: ChatMessage[]): Turn[] | undefined {
  const encoded = anthropicMessages.encode(anthropicCall({ model, messages }));
  return encoded.kind === "encoded" ? JSON.parse(encoded.wire.body).messages : undefined;
}

const models = fc.constantFrom("claude-opus-4-6", "claude-opus-5", "claude-sonnet-4-5", "claude-3-haiku", "claude-x");
const texts = fc.constantFrom("a", "b", "", " \n", "c ");
const ids = fc.constantFrom("x", "y:1", "y.1", "", "x-2");
const toolCalls = fc.array(
  fc.record({
    id: ids,
    type: fc.constant("function"),
    function: fc.record({ name: fc.constant("f"), arguments: texts }),
  }),
  { maxLength: 3 },
);
const details = fc.array(
  fc.record({
    type: fc.constantFrom("reasoning.text", "reasoning.encrypted"),
    text: texts,
    signature: texts,
    data: texts,
    index: fc.nat(2),
    text_offset: fc.nat(3),
    tool_offset: fc.nat(3),
  }),
  { maxLength: 3 },
);
const messyMessages: fc.Arbitrary<ChatMessage[]> = fc.array(
  fc.oneof(
    fc.record({ role: fc.constantFrom("user", "system", "developer", "user"), content: texts }),
    fc.record({ role: fc.constant("assistant"), content: texts, tool_calls: toolCalls, reasoning_details: details }),
    fc.record({ role: fc.constant("tool"), tool_call_id: ids, content: texts }),
  ),
  { maxLength: 12 },
);

test("whatever the history, the turns are ones Anthropic accepts", () => {
  fc.assert(
    fc.property(models, messyMessages, (model, messages) => {
      const turns = turnsOf(model, messages);
      if (turns === undefined) return;
      const callIds = turns.flatMap((turn) => callsOf(turn));
      expect(turns[0]?.role).toBe("user");
      expect(new Set(callIds).size).toBe(callIds.length);
      for (const id of callIds) expect(id).toMatch(/^[A-Za-z0-9_-]+$/);
      turns.forEach((turn, i) => {
        expect(turn.content).not.toHaveLength(0);
        for (const block of turn.content) if (block.type === "text") expect(block.text).toMatch(/\S/);
        // No two turns of one role in a row, save system messages.
        if (turn.role !== "system") expect(turns[i + 1]?.role).not.toBe(turn.role);
        expectAnswered(turn, turns[i + 1]);
      });
    }),
    { numRuns: 500 },
  );
});

function callsOf(turn: Turn): string[] {
  return turn.content.flatMap((block) => (block.type === "tool_use" ? [block.id!] : []));
}

/** Each call has exactly one result, in order, at the head of the next turn; nothing follows the calls but thinking. */
function expectAnswered(turn: Turn, next: Turn | undefined): void {
  const calls = callsOf(turn);
  const results = next?.content.filter((block) => block.type === "tool_result").map((block) => block.tool_use_id) ?? [];
  if (turn.role === "assistant") expect(results).toEqual(calls);
  if (calls.length === 0) return;
  expect(next?.content.slice(0, calls.length).every((block) => block.type === "tool_result")).toBe(true);
  const afterFirstCall = turn.content.slice(turn.content.findIndex((block) => block.type === "tool_use"));
  expect(afterFirstCall.filter((block) => block.type === "text")).toEqual([]);
}

/** An exchange as clients send them: what the user says, what the model did, what the tools said. */
const exchange = fc
  .record({ text: fc.constantFrom("u", "v"), system: fc.boolean(), calls: fc.nat(2) })
  .map(({ text, system, calls }): ChatMessage[] => {
    const ids = Array.from({ length: calls }, (_, k) => `call_${k}`);
    const toolCalls = ids.map((id) => ({ id, type: "function", function: { name: "f", arguments: "{}" } }));
    const said: ChatMessage[] = system ? [{ role: "system", content: "S" }] : [];
    const user: ChatMessage[] = [{ role: "user", content: text }, ...said];
    if (calls === 0) return [...user, { role: "assistant", content: "done" }];
    const results = ids.map((id): ChatMessage => ({ role: "tool", tool_call_id: id, content: "r" }));
    const last: ChatMessage = { role: "assistant", content: "done" };
    return [...user, { role: "assistant", content: null, tool_calls: toolCalls }, ...results, last];
  });

test("a longer conversation starts with the turns of the shorter one, so that the prompt cache holds", () => {
  fc.assert(
    fc.property(models, fc.array(exchange, { minLength: 2, maxLength: 5 }), (model, exchanges) => {
      const next: ChatMessage = { role: "user", content: "next" };
      const shorter = turnsOf(model, [...exchanges.slice(0, -1).flat(), next])!;
      const longer = turnsOf(model, [...exchanges.slice(0, -1).flat(), next, ...exchanges.at(-1)!.slice(1), next])!;
      expect(longer.slice(0, shorter.length - 1)).toEqual(shorter.slice(0, -1));
      // System text that follows the user turn may be folded into it, behind what was there.
      expect(longer[shorter.length - 1]?.content[0]).toEqual(shorter.at(-1)?.content[0]);
    }),
  );
});

const ROOT = new URL("./anthropic-messages/", import.meta.url);
const json = (path: string) => {
  const url = new URL(path, ROOT);
  return existsSync(url) ? JSON.parse(readFileSync(url, "utf8")) : undefined;
};
const streams = readdirSync(ROOT)
  .filter((name) => existsSync(new URL(`${name}/upstream.sse`, ROOT)))
  .map((name) => ({
    bytes: readFileSync(new URL(`${name}/upstream.sse`, ROOT)),
    call: anthropicCall(json(`${name}/request.json`), { continuation: json(`${name}/about.json`)?.continuation }),
  }));

test("events do not depend on where the network cuts the bytes", () => {
  const cuts = fc.array(fc.nat(3000), { maxLength: 20 });
  fc.assert(
    fc.property(fc.constantFrom(...streams), cuts, ({ bytes, call }, offsets) => {
      expect(decodeChunks(cutAt(bytes, offsets), call)).toEqual(decodeChunks([bytes], call));
    }),
    { numRuns: 200 },
  );
});

const FORMAT = { type: "json_schema", json_schema: { name: "r", schema: { type: "object" } } };
const custom = { type: "custom", custom: { name: "sh" } };
const ask = { model: "claude-opus-5", messages: [{ role: "user", content: "hi" }] };
/** Requests whose answers are read in different ways. */
const calls = fc.constantFrom<Call>(
  anthropicCall(ask),
  anthropicCall({ ...ask, tools: [custom], content_blocks: true }),
  anthropicCall({ ...ask, web_search_options: {} }),
  anthropicCall({ ...ask, response_format: { type: "json_object" } }),
  anthropicCall({ ...ask, model: "claude-3-haiku", response_format: FORMAT }),
  anthropicCall({ ...ask, reasoning: { exclude: true }, functions: [{ name: "f" }] }),
);

test("a stream folds to what the same answer is when it comes whole", () => {
  const endings: fc.Arbitrary<Ending> = fc.record({
    stop_reason: fc.constantFrom("end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn"),
    stop_sequence: fc.option(fc.constant("END")),
    stop_details: fc.option(fc.constant({ type: "refusal", category: "bio", explanation: null })),
    usage: fc.record({
      input_tokens: fc.nat(),
      output_tokens: fc.nat(),
      service_tier: fc.constantFrom("standard", "priority", null),
    }),
  });
  fc.assert(
    fc.property(calls, anyContent, endings, fc.integer({ min: 1, max: 5 }), (call, content, ending, size) => {
      const whole = anthropicMessages.decodeBody(messageOf(content, ending), call);
      const streamed = decodeChunks([sseOf(eventsOf(content, ending, size))], call);
      expect(fold(streamed)).toEqual(fold(whole));
      expect(streamed.filter(isPause)).toEqual(whole.filter(isPause));
      // A pause is taken up by the next call only when there is something to send back.
      for (const { state } of whole.filter(isPause)) {
        const next = { ...call, continuation: state };
        expect(wireOf(next).body.messages).not.toEqual(wireOf(call).body.messages);
      }
    }),
    { numRuns: 400 },
  );
});

function isPause(event: ChatEvent): event is Extract<ChatEvent, { type: "continue" }> {
  return event.type === "continue";
}

const blockTypes = fc.constantFrom("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "odd", null);
const upstreamEvent = fc.oneof(
  fc.record(
    {
      type: fc.constantFrom(
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "odd",
        "error",
      ),
      index: fc.oneof(fc.nat(2), fc.constant("x")),
      message: fc.oneof(
        fc.constant(null),
        fc.record({ id: fc.constant("m"), content: fc.anything(), usage: fc.anything() }),
      ),
      content_block: fc.oneof(
        fc.record({
          type: blockTypes,
          name: fc.constantFrom("f", "sh", "json_output", 7),
          text: fc.anything(),
          input: fc.anything(),
          citations: fc.anything(),
        }),
        fc.constant(7),
      ),
      delta: fc.record({
        type: fc.constantFrom(
          "text_delta",
          "thinking_delta",
          "signature_delta",
          "input_json_delta",
          "citations_delta",
          3,
        ),
        citation: fc.anything(),
        stop_sequence: fc.anything(),
        stop_details: fc.anything(),
        text: fc.anything(),
        thinking: fc.string(),
        signature: fc.anything(),
        partial_json: fc.string(),
        stop_reason: fc.oneof(fc.constant(null), fc.string()),
      }),
      usage: fc.anything(),
      error: fc.anything(),
    },
    { requiredKeys: ["type"] },
  ),
  fc.anything(),
);

test("whatever the provider sends, the decoder does not throw and ends exactly once", () => {
  fc.assert(
    fc.property(calls, fc.array(upstreamEvent, { maxLength: 12 }), fc.string(), (call, upstream, rest) => {
      const decoder = anthropicMessages.decoder(call);
      const frames = upstream.map((event) => ({ event: undefined, data: jsonOf(event) }));
      const events = [...frames.flatMap((frame) => decoder.push(frame)), ...decoder.end(rest)];
      expect(events.filter(isTerminal)).toHaveLength(1);
      expect(isTerminal(events.at(-1)!)).toBe(true);
      expect(events.filter((event) => event.type === "start").length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 500 },
  );
});

function isTerminal(event: ChatEvent): boolean {
  return event.type === "end" || event.type === "error" || event.type === "continue";
}

test("whatever the bytes, the whole body, the error or the state of a pause, nothing throws", () => {
  const messages = fc.oneof(
    fc.string(),
    fc.constantFrom("max_tokens: 9 > 1", "does not support effort level 'x'. Supported levels: ,", "tool_choice"),
  );
  const all = { call: calls, bytes: fc.uint8Array({ maxLength: 200 }), value: fc.anything(), message: messages };
  fc.assert(
    fc.property(fc.record(all), ({ call, bytes, value, message }) => {
      expect(decodeChunks([Buffer.from(bytes)], call).filter(isTerminal)).toHaveLength(1);
      const body = parseJson(jsonOf(value));
      expect(anthropicMessages.decodeBody(body, call).filter(isTerminal)).toHaveLength(1);
      expect(anthropicMessages.decodeBody({ content: [body, { type: "text", text: body }] }, call)).not.toEqual([]);
      const error = anthropicMessages.decodeError({ status: 400, headers: {}, text: jsonOf(value), nowMs: 0 });
      anthropicMessages.repair!({ ...error, message }, call);
      const continuation = isObject(body) ? body : { content: body };
      const resumed = { ...call, continuation };
      expect(anthropicMessages.encode(resumed).kind).toBe("encoded");
      expect(decodeChunks([Buffer.from('data: {"type":"message_stop"}\n\n')], resumed).at(-1)).toEqual({ type: "end" });
    }),
    { numRuns: 300 },
  );
});

/** fast-check's values may be what JSON cannot say (big integers, cycles). */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return "{";
  }
}

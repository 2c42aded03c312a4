// Answering a 400 that names what a model does not accept: which change is tried, what it does, and what is told of it.
import { describe, expect, test } from "vitest";
import { anthropicMessages } from "../../providers/dialects/anthropic-messages.ts";
import type { ChatBody, ChatMessage, JsonObject, ProviderError } from "../../src/chat.ts";
import { anthropicCall, decodeChunks, sseOf, wireOf } from "./anthropic-calls.ts";

interface Case {
  name: string;
  body: Partial<ChatBody> & { model: string };
  /** Repairs the failed call was already made with. */
  made?: string[];
  message: string;
  token: string | undefined;
  isLasting?: boolean;
  /** Members of the next wire body; `undefined` = absent. */
  next?: JsonObject;
  warnings?: string[];
  header?: string;
  /** What strict mode answers instead of sending. */
  strict?: "sends" | { param: string };
}

const USER: ChatMessage = { role: "user", content: "hi" };
const SIGNED: ChatMessage = {
  role: "assistant",
  content: "b",
  reasoning_details: [{ type: "reasoning.text", text: "T", signature: "SIG", format: "anthropic-claude-v1" }],
};
const TOOLS = [{ type: "function", function: { name: "f" } }];
const SCHEMA = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
const JSON_FORMAT = { type: "json_schema", json_schema: { name: "r", schema: SCHEMA } };
const text = (value: string) => [{ type: "text", text: value }];
const userTurn = (value: string) => ({ role: "user", content: text(value) });
const ADAPTIVE = { type: "adaptive", display: "summarized" };

const CASES: Case[] = [
  {
    name: "an output limit above the model's becomes the model's",
    body: { model: "claude-x", max_tokens: 30_000 },
    message: "max_tokens: 30000 > 8192, which is the maximum allowed number of output tokens for claude-x",
    token: "max_tokens=8192",
    isLasting: true,
    next: { max_tokens: 8192 },
    warnings: ["clamped:max_tokens"],
    strict: { param: "max_tokens" },
  },
  {
    name: "an output limit nobody asked for is lowered as a repair",
    body: { model: "claude-x" },
    message: "max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-x",
    token: "max_tokens=8192",
    isLasting: true,
    next: { max_tokens: 8192 },
    warnings: ["repaired:max_tokens"],
    strict: "sends",
  },
  {
    name: "two sampling parameters become one",
    body: { model: "claude-3-haiku", max_tokens: 9, temperature: 0.5, top_p: 0.9 },
    message: "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    token: "sampling=one",
    isLasting: true,
    next: { temperature: 0.5, top_p: undefined },
    warnings: ["dropped:top_p"],
    strict: { param: "top_p" },
  },
  ...["temperature: Extra inputs are not permitted", "`temperature` is deprecated for this model."].map(
    (message): Case => ({
      name: `sampling goes: ${message}`,
      body: { model: "claude-sonnet-4-5", max_tokens: 9, temperature: 0.5, top_k: 4 },
      message,
      token: "sampling=none",
      isLasting: true,
      next: { temperature: undefined, top_k: undefined },
      warnings: ["dropped:temperature", "dropped:top_k"],
      strict: { param: "temperature" },
    }),
  ),
  {
    name: "thinking with a foreign signature is left out",
    body: { model: "claude-opus-5", max_tokens: 9, messages: [USER, SIGNED, USER] },
    message: "messages.1.content.0: Invalid `signature` in `thinking` block",
    token: "thinking_blocks=strip",
    isLasting: false,
    next: { messages: [userTurn("hi"), { role: "assistant", content: text("b") }, userTurn("hi")], thinking: ADAPTIVE },
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "thinking inside content blocks is left out as well",
    body: {
      model: "claude-opus-5",
      max_tokens: 9,
      messages: [
        USER,
        { role: "assistant", content_blocks: [{ type: "redacted_thinking", data: "R" }, ...text("b")] },
        USER,
      ],
    },
    message: "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
    token: "thinking_blocks=strip",
    isLasting: false,
    next: { messages: [userTurn("hi"), { role: "assistant", content: text("b") }, userTurn("hi")] },
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "on models with budgets a request without the old thinking does not think either",
    body: { model: "claude-sonnet-4-5", max_tokens: 9000, reasoning_effort: "low", messages: [USER, SIGNED, USER] },
    message: "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.",
    token: "thinking_blocks=strip",
    isLasting: false,
    next: { thinking: undefined },
    warnings: ["repaired:thinking", "dropped:reasoning_effort"],
    strict: { param: "reasoning_effort" },
  },
  {
    name: "thinking behind a changed prefix is left to the provider to drop",
    body: { model: "claude-opus-5-5", max_tokens: 9, messages: [USER, SIGNED, USER] },
    message:
      "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation",
    token: "thinking_blocks=drop_unbound",
    isLasting: false,
    next: { thinking: { ...ADAPTIVE, block_binding: { prefix_mismatch_behavior: "drop_block" } } },
    warnings: ["repaired:thinking"],
    header: "thinking-binding-controls-2026-08-01",
    strict: "sends",
  },
  {
    name: "where the request does not think, such thinking is left out by us",
    body: { model: "claude-opus-4-8", max_tokens: 9, messages: [USER, SIGNED, USER] },
    message: "messages.1.content.0: prefix_binding_mismatch: The block is bound to a different conversation",
    token: "thinking_blocks=strip",
    isLasting: false,
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "thinking is left out when dropping it did not help",
    body: { model: "claude-opus-5-5", max_tokens: 9, messages: [USER, SIGNED, USER] },
    made: ["thinking_blocks=drop_unbound"],
    message:
      "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation",
    token: "thinking_blocks=strip",
    isLasting: false,
  },
  {
    name: "a budget becomes adaptive thinking",
    body: { model: "claude-haiku-4-5", max_tokens: 9000, reasoning_effort: "medium" },
    message: '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and …',
    token: "thinking=optional",
    isLasting: true,
    next: { thinking: ADAPTIVE, output_config: { effort: "medium" } },
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "adaptive thinking becomes a budget",
    body: { model: "claude-x", max_tokens: 9000, reasoning_effort: "medium" },
    message: "adaptive thinking is not supported on this model",
    token: "thinking=manual",
    isLasting: true,
    next: { thinking: { type: "enabled", budget_tokens: 4096 }, output_config: undefined },
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "thinking that cannot be turned off stays on at the least",
    body: { model: "claude-opus-5", max_tokens: 9, reasoning_effort: "none" },
    message: '"thinking.type.disabled" is not supported for this model.',
    token: "thinking=always_on",
    isLasting: true,
    next: { thinking: ADAPTIVE, output_config: { effort: "low" } },
    warnings: ["clamped:reasoning_effort=none->low", "repaired:thinking"],
    strict: { param: "reasoning_effort" },
  },
  {
    name: "thinking that may at the least stay between tools stays there",
    body: { model: "claude-opus-5", max_tokens: 9, reasoning_effort: "none" },
    message: '"thinking.type.disabled" is not supported for this model. Use "thinking.type.between_tools".',
    token: "thinking=between_tools",
    isLasting: true,
    next: { thinking: { type: "between_tools" } },
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "an effort becomes the nearest lower one of the list",
    body: { model: "claude-opus-5", max_tokens: 9, reasoning_effort: "max" },
    message: "This model does not support effort level 'max'. Supported levels: high, low, medium.",
    token: "efforts=low,medium,high",
    isLasting: true,
    next: { output_config: { effort: "high" } },
    warnings: ["clamped:reasoning_effort=max->high"],
    strict: { param: "reasoning_effort" },
  },
  {
    name: "an effort refused without a list becomes the nearest lower one",
    body: { model: "claude-opus-5", max_tokens: 9, reasoning_effort: "max" },
    message: "This model does not support effort level 'max'.",
    token: "efforts=low,medium,high,xhigh",
    isLasting: true,
    next: { output_config: { effort: "xhigh" } },
  },
  {
    name: "a conversation that ends with the assistant gets a user turn",
    body: { model: "claude-sonnet-4-5", max_tokens: 9, messages: [USER, { role: "assistant", content: "{" }] },
    message: "This model does not support assistant message prefill. The conversation must end with a user message.",
    token: "prefill=no",
    isLasting: true,
    next: { messages: [userTurn("hi"), { role: "assistant", content: text("{") }, userTurn("Continue.")] },
    warnings: ["repaired:trailing_assistant"],
    strict: "sends",
  },
  ...[
    'tool_choice: type "tool" and "any" are not supported for this model.',
    "tool_choice forces tool use is not compatible with this model.",
  ].map(
    (message): Case => ({
      name: `a forced tool is asked for in words: ${message}`,
      body: { model: "claude-opus-4-8", max_tokens: 9, tools: TOOLS, tool_choice: "required" },
      message,
      token: "forced_tools=no",
      isLasting: true,
      next: { tool_choice: undefined, system: "You must call one of the tools." },
      warnings: ["downgraded:tool_choice=required->auto"],
      strict: { param: "tool_choice" },
    }),
  ),
  {
    name: "beside a forced tool thinking that was asked for is left out",
    body: { model: "claude-opus-5", max_tokens: 9, tools: TOOLS, tool_choice: "required", reasoning_effort: "high" },
    message: "Thinking may not be enabled when tool_choice forces tool use.",
    token: "forced_tool_thinking=no",
    isLasting: true,
    next: { thinking: undefined, output_config: undefined, tool_choice: { type: "any" } },
    warnings: ["dropped:reasoning_effort"],
    strict: { param: "reasoning_effort" },
  },
  {
    name: "beside a forced tool thinking nobody asked for is left out as a repair",
    body: { model: "claude-opus-5", max_tokens: 9, tools: TOOLS, tool_choice: "required" },
    message: "Thinking may not be enabled when tool_choice forces tool use.",
    token: "forced_tool_thinking=no",
    isLasting: true,
    next: { thinking: undefined },
    warnings: ["repaired:thinking"],
    strict: "sends",
  },
  {
    name: "a late system message is folded",
    body: { model: "claude-opus-5", max_tokens: 9, messages: [USER, { role: "system", content: "S" }] },
    message: "messages.1: role 'system' is not supported on this model",
    token: "mid_system=no",
    isLasting: true,
    next: { messages: [{ role: "user", content: [...text("hi"), ...text("<system>\nS\n</system>")] }] },
    warnings: ["folded:messages[1]"],
    strict: "sends",
  },
  {
    name: "a schema that is too complex is asked for in words, this time",
    body: { model: "claude-opus-5", max_tokens: 9, response_format: JSON_FORMAT },
    message: "output_config.format.schema: Schema is too complex for compilation.",
    token: "json=instruct",
    isLasting: false,
    next: {
      output_config: undefined,
      system: `Respond with a single valid JSON object and nothing else. It must match this JSON Schema:\n${JSON.stringify(SCHEMA)}`,
    },
    warnings: ["downgraded:response_format"],
    strict: { param: "response_format" },
  },
  {
    name: "schemas a model does not take are asked for in words from now on",
    body: {
      model: "claude-opus-5",
      max_tokens: 9,
      output_config: { format: { type: "json_schema", schema: SCHEMA } },
    },
    message: "output_config.format is not supported for this model",
    token: "json=instruct",
    isLasting: true,
    next: { output_config: undefined },
    warnings: ["downgraded:response_format"],
    strict: { param: "response_format" },
  },
  {
    name: "nothing is tried twice",
    body: { model: "claude-sonnet-4-5", max_tokens: 9, temperature: 0.5 },
    made: ["sampling=none"],
    message: "temperature: Extra inputs are not permitted",
    token: undefined,
  },
  {
    name: "two refusals that contradict one another end the attempts",
    body: { model: "claude-x", max_tokens: 9000, reasoning_effort: "medium" },
    made: ["thinking=optional", "thinking=manual"],
    message: '"thinking.type.enabled" is not supported for this model.',
    token: undefined,
  },
  {
    name: "nothing is tried that would send the same again",
    body: { model: "claude-opus-5", max_tokens: 9 },
    message: "messages.1.content.0: Invalid `signature` in `thinking` block",
    token: undefined,
  },
  {
    name: "a lower limit replaces one learned before",
    body: { model: "claude-x", max_tokens: 30_000 },
    made: ["max_tokens=8192"],
    message: "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for claude-x",
    token: "max_tokens=4096",
    isLasting: true,
    next: { max_tokens: 4096 },
  },
  {
    name: "an error nobody knows changes nothing",
    body: { model: "claude-opus-5", max_tokens: 9, temperature: 0.5 },
    message: "messages: roles must alternate",
    token: undefined,
  },
];

function callOf({ body, made = [] }: Case, strict = false) {
  return anthropicCall({ messages: [USER], ...body }, { strict, repairs: made });
}

function errorOf({ message }: Case): ProviderError {
  const text = JSON.stringify({ type: "error", error: { type: "invalid_request_error", message } });
  return anthropicMessages.decodeError({ status: 400, headers: {}, text, nowMs: 0 });
}

describe("a refused request", () => {
  test.each(CASES.map((one) => [one.name, one] as const))("%s", (_, one) => {
    const call = callOf(one);
    const repair = anthropicMessages.repair!(errorOf(one), call);
    expect(repair?.token).toBe(one.token);
    if (repair === undefined) return;
    expect(repair.isLasting).toBe(one.isLasting);
    const again = { ...call, repairs: [...(one.made ?? []), repair.token] };
    const { body, warnings, headers } = wireOf(again);
    for (const [field, value] of Object.entries(one.next ?? {})) expect(body[field]).toEqual(value);
    if (one.warnings !== undefined) expect(warnings).toEqual(one.warnings);
    expect(headers["anthropic-beta"]).toBe(one.header);
    expect(anthropicMessages.repair!(errorOf(one), again)?.token).not.toBe(repair.token);
  });

  test.each(CASES.filter(({ strict }) => strict !== undefined).map((one) => [one.name, one] as const))(
    "in strict mode: %s",
    (_, one) => {
      const call = callOf(one, true);
      const encoded = anthropicMessages.encode({ ...call, repairs: [...(one.made ?? []), one.token!] });
      if (one.strict === "sends") expect(encoded.kind).toBe("encoded");
      else expect(encoded).toMatchObject({ kind: "refusal", error: { kind: "unsupported", ...one.strict } });
    },
  );

  test("only an error about the request itself is answered with a change", () => {
    const one = CASES[0]!;
    for (const change of [
      { status: 500 },
      { status: undefined },
      { kind: "context_length" },
    ] as Partial<ProviderError>[]) {
      expect(anthropicMessages.repair!({ ...errorOf(one), ...change }, callOf(one))).toBeUndefined();
    }
  });

  test("tokens nobody knows, or with values nobody knows, change nothing", () => {
    const call = callOf(CASES[1]!);
    for (const token of [
      "x",
      "max_tokens=0",
      "max_tokens=99999999",
      "max_tokens=a",
      "sampling=some",
      "thinking=often",
    ]) {
      expect(wireOf({ ...call, repairs: [token] })).toEqual(wireOf(call));
    }
  });

  test("the answer to a request for JSON in words is read as such", () => {
    const body = { model: "claude-opus-5", messages: [USER], response_format: JSON_FORMAT };
    const call = anthropicCall(body, { repairs: ["json=instruct"] });
    const block = { type: "text", text: '```json\n{"a":"x"}\n```' };
    const stream = sseOf([{ type: "content_block_start", index: 0, content_block: block }, { type: "message_stop" }]);
    const texts = decodeChunks([stream], call).flatMap((event) => (event.type === "text_delta" ? [event.text] : []));
    expect(texts.join("")).toBe('{"a":"x"}');
  });
});

// Whole answers as a compatible provider writes them, and the pieces they share with its streams.
import type { JsonObject } from "../../chat.ts";
import type { Answer, AnswerChoice, Head } from "../face.ts";
import { letters } from "../face.ts";
import type { Flavour } from "./flavour.ts";

export function answerBody(flavour: Flavour, answer: Answer, head: Head): JsonObject {
  const form = flavour.answer;
  return {
    ...opening(flavour, head, "chat.completion"),
    choices: answer.choices.map((choice, index) => ({
      index,
      message: message(flavour, answer, choice, head),
      finish_reason: finishWord(flavour, choice),
      ...form.choiceExtras,
    })),
    usage: usage(flavour, answer),
    ...form.lastExtras,
  };
}

export function opening({ answer }: Flavour, head: Head, object: string): JsonObject {
  const id = `chatcmpl-${letters(head.serial, 0, 24)}`;
  return { id, object, created: Math.floor(head.nowMs / 1000), model: head.call.model, ...answer.extras };
}

export function finishWord({ answer }: Flavour, { finish }: AnswerChoice): string {
  const usual = { stop: "stop", length: "length", tool: "tool_calls", filter: "content_filter" };
  return answer.finish?.[finish] ?? usual[finish];
}

export function usage({ answer: form }: Flavour, answer: Answer): JsonObject {
  const thought = answer.reasoningTokens * answer.choices.length;
  const completion = answer.outputTokens + (form.reasoningApart ? 0 : thought);
  const cached = answer.cachedTokens;
  const own =
    form.cachedAt === undefined
      ? { prompt_tokens_details: { cached_tokens: cached } }
      : { [form.cachedAt]: cached, ...(form.cachedAt === "prompt_cache_hit_tokens" ? missTokens(answer) : {}) };
  return {
    prompt_tokens: answer.promptTokens,
    completion_tokens: completion,
    total_tokens: answer.promptTokens + answer.outputTokens + thought,
    ...own,
    ...(thought === 0 ? {} : { completion_tokens_details: { reasoning_tokens: thought } }),
    ...form.usageExtras,
  };
}

function missTokens({ promptTokens, cachedTokens }: Answer): JsonObject {
  return { prompt_cache_miss_tokens: promptTokens - cachedTokens };
}

/** The whole message of a choice, as buffered answers and some last chunks have it. */
export function message(flavour: Flavour, answer: Answer, choice: AnswerChoice, head: Head): JsonObject {
  const calls = choice.calls.map((call, at) => ({
    id: callId(flavour, head, at, call.name),
    type: "function",
    function: { name: call.name, arguments: call.argumentsText },
  }));
  return {
    role: "assistant",
    ...told(flavour, head, answer.reasoning, choice.text),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

export function callId({ answer }: Flavour, head: Head, at: number, name: string): string {
  return answer.callId?.(head.serial, at, name) ?? `call_${letters(head.serial, 10 + at, 24)}`;
}

/** Reasoning and text in the members this provider has for them. */
export function told(flavour: Flavour, head: Head, reasoning: string, said: string): JsonObject {
  const content = said === "" && reasoning !== "" ? null : said;
  if (reasoning === "") return { content: said };
  switch (reasoningForm(flavour, head)) {
    case "reasoning_content":
      return { reasoning_content: reasoning, content };
    case "reasoning":
      return { reasoning, content };
    case "reasoning_and_details":
      return { reasoning, reasoning_details: [detail(reasoning)], content };
    case "details":
      return {
        reasoning_details: [
          { type: "reasoning.text", id: "reasoning-text-1", format: "MiniMax-response-v1", index: 0, text: reasoning },
        ],
        content,
      };
    case "thinking_parts": {
      const thinking = { type: "thinking", thinking: [{ type: "text", text: reasoning }] };
      return { content: said === "" ? [thinking] : [thinking, { type: "text", text: said }] };
    }
    case "think_tags":
      return { content: `<think>${reasoning}</think>${said}` };
    case undefined:
      return { content: said };
  }
}

function detail(reasoning: string): JsonObject {
  return { type: "reasoning.text", text: reasoning, format: "unknown", index: 0 };
}

type Form = Exclude<Flavour["answer"]["reasoning"], "split_snapshots"> | "details";

/** Snapshots of reasoning apart from the text come only where they were asked for; else it stands in the text. */
export function reasoningForm({ answer }: Flavour, { call }: Head): Form {
  if (answer.reasoning !== "split_snapshots") return answer.reasoning;
  return call.body.reasoning_split === true
    ? "details"
    : /^MiniMax-M3/.test(call.model)
      ? "reasoning_content"
      : "think_tags";
}

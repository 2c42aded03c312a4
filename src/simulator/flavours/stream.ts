// Streams as a compatible provider writes them: where usage stands, how reasoning comes, what tool calls are cut into.
import type { JsonObject } from "../../chat.ts";
import { isObject } from "../../json.ts";
import {
  type Answer,
  type AnswerCall,
  type AnswerChoice,
  countTokens,
  type Frame,
  type Head,
  pieces,
} from "../face.ts";
import { callId, finishWord, message, opening, reasoningForm, told, usage } from "./answer.ts";
import type { Flavour } from "./flavour.ts";

export function* answerFrames(flavour: Flavour, answer: Answer, head: Head): Generator<Frame> {
  const form = flavour.answer;
  const base = opening(flavour, head, "chat.completion.chunk");
  const everyUsage = form.usage === "in_every_chunk" ? { usage: usage(flavour, answer) } : {};
  const frame = (choices: unknown, more: JsonObject, tokens: number, phase: Frame["phase"]): Frame => ({
    bytes: `data: ${JSON.stringify({ ...base, choices, ...everyUsage, ...more })}\n\n`,
    tokens,
    phase,
  });
  for (const bytes of form.opening ?? []) yield { bytes, tokens: 0, phase: "preamble" };
  for (const [index, choice] of answer.choices.entries()) {
    const chunk = (delta: JsonObject, finish: string | null, more: JsonObject = {}) => [
      { index, delta, finish_reason: finish, ...form.choiceExtras, ...more },
    ];
    yield frame(chunk({ role: "assistant", content: "" }, null), {}, 0, "preamble");
    let soFar = "";
    for (const { delta, tokens } of deltas(flavour, answer, choice, head)) {
      soFar += typeof delta.content === "string" ? delta.content : "";
      const whole = form.message === "in_every_chunk" ? { message: { role: "assistant", content: soFar } } : {};
      yield frame(chunk(delta, null, whole), {}, tokens, "content");
    }
    const last = finishing(flavour, answer, choice, head);
    yield frame(chunk({}, finishWord(flavour, choice), last.choice), last.chunk, 0, "end");
  }
  const isOwnChunk = form.usage === "always" || (wantsUsage(head) && isAskable(form.usage));
  if (isOwnChunk) yield frame([], { usage: usage(flavour, answer) }, 0, "end");
  yield { bytes: "data: [DONE]\n\n", tokens: 0, phase: "end" };
}

function wantsUsage({ call }: Head): boolean {
  const options = call.body.stream_options;
  return isObject(options) && options.include_usage === true;
}

function isAskable(where: Flavour["answer"]["usage"]): boolean {
  return where === "when_asked" || where === "in_choice_unless_asked" || where === "x_groq";
}

/** What stands beside the finish reason. */
function finishing(
  flavour: Flavour,
  answer: Answer,
  choice: AnswerChoice,
  head: Head,
): { choice: JsonObject; chunk: JsonObject } {
  const { usage: where, lastExtras, message: whole } = flavour.answer;
  const counted = usage(flavour, answer);
  const chunk: JsonObject = { ...lastExtras };
  if (where === "in_finish_chunk") chunk.usage = counted;
  if (where === "x_groq") chunk.x_groq = { id: "req_simulated", usage: counted };
  const inChoice = where === "in_choice_unless_asked" && !wantsUsage(head) ? { usage: counted } : {};
  const repeated = whole === "in_last_chunk" ? { message: message(flavour, answer, choice, head) } : {};
  return { choice: { ...inChoice, ...repeated }, chunk };
}

interface Delta {
  delta: JsonObject;
  tokens: number;
}

const REASONING_PIECE_TOKENS = 4;

function* deltas(flavour: Flavour, answer: Answer, choice: AnswerChoice, head: Head): Generator<Delta> {
  const form = reasoningForm(flavour, head);
  const thoughts = form === undefined ? [] : [...pieces(answer.reasoning, REASONING_PIECE_TOKENS)];
  let soFar = "";
  for (const [at, piece] of thoughts.entries()) {
    soFar += piece;
    const tagged = `${at === 0 ? "<think>" : ""}${piece}${at === thoughts.length - 1 ? "</think>" : ""}`;
    const delta =
      form === "think_tags" ? { content: tagged } : told(flavour, head, form === "details" ? soFar : piece, "");
    yield { delta, tokens: countTokens(piece) };
  }
  for (const piece of pieces(choice.text, 1, choice.halves)) yield { delta: { content: piece }, tokens: 1 };
  for (const [at, call] of choice.calls.entries()) yield* callDeltas(flavour, head, at, call);
}

function* callDeltas(flavour: Flavour, head: Head, at: number, { name, argumentsText }: AnswerCall): Generator<Delta> {
  const id = callId(flavour, head, at, name);
  const tokens = countTokens(name) + countTokens(argumentsText);
  const cut = flavour.answer.calls;
  const part = (members: JsonObject) => ({ tool_calls: [members] });
  const whole = { id, type: "function", function: { name, arguments: argumentsText } };
  if (cut === "unindexed") yield { delta: part(whole), tokens };
  else if (cut === "whole" || cut === "index_zero") {
    yield { delta: part({ index: cut === "whole" ? at : 0, ...whole }), tokens };
  } else {
    const late = cut === "late_name";
    const first = { id, type: "function", function: late ? { arguments: "" } : { name, arguments: "" } };
    yield { delta: part({ index: at, ...first }), tokens: countTokens(name) };
    const rest = [...pieces(argumentsText, 2)];
    for (const [step, piece] of rest.entries()) {
      yield { delta: part({ index: at, ...continued(cut, name, piece, step === 0) }), tokens: countTokens(piece) };
    }
  }
}

function continued(cut: Flavour["answer"]["calls"], name: string, piece: string, isFirst: boolean): JsonObject {
  if (cut === "blank_ids") return { id: "", type: "function", function: { name: null, arguments: piece } };
  if (cut === "repeated_name" || (cut === "late_name" && isFirst)) return { function: { name, arguments: piece } };
  return { function: { arguments: piece } };
}

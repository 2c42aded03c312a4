// Decides what a simulated model says: the same answer for the same prompt, in no provider's format yet.
import { type Answer, type AnswerCall, type AnswerChoice, countTokens, type Finish, type Prompt } from "./face.ts";
import { sample } from "./sample.ts";
import type { Script } from "./script.ts";

/** Reasoning a model shows when the request asks for it and no directive says how much. */
const reasoningTokensDefault = 16;
const quoteCharsMax = 80;

export function planAnswer(prompt: Prompt, script: Script): Answer {
  const reasoningWanted = script.reasoningTokens ?? (prompt.reasoning ? reasoningTokensDefault : 0);
  const silent = script.empty === true || (script.finish === "filter" && script.text === undefined);
  // Reasoning counts towards the limit, so a small limit may leave nothing for the answer itself.
  const reasoningTokens = silent ? 0 : Math.min(reasoningWanted, prompt.maxTokens ?? reasoningWanted);
  const left = prompt.maxTokens === undefined ? undefined : prompt.maxTokens - reasoningTokens;
  const choices = Array.from({ length: prompt.choices }, (_, index) =>
    silent ? nothing(script.finish) : planChoice(prompt, script, index, left),
  );
  const cachedTokens = script.cachedTokens ?? 0;
  return {
    reasoning: exactly("The simulator thinks this over, step by step. ", reasoningTokens),
    choices,
    promptTokens: Math.max(prompt.tokens, cachedTokens),
    cachedTokens,
    outputTokens: choices.reduce((sum, choice) => sum + choiceTokens(choice), 0),
    reasoningTokens,
  };
}

export function callTokens(call: AnswerCall): number {
  return countTokens(call.name) + countTokens(call.argumentsText);
}

function choiceTokens(choice: AnswerChoice): number {
  return choice.calls.reduce((sum, call) => sum + callTokens(call), countTokens(choice.text));
}

function nothing(finish: Finish | undefined): AnswerChoice {
  return {
    text: "",
    calls: [],
    finish: finish === "filter" ? "filter" : "stop",
    stopSequence: undefined,
    halves: false,
  };
}

function planChoice(prompt: Prompt, script: Script, index: number, tokensMax: number | undefined): AnswerChoice {
  const calls = planCalls(prompt, script);
  if (calls.length > 0) return limitCalls(calls, script.finish ?? "tool", tokensMax);
  const halves = script.halves === true;
  const whole = planText(prompt, script, index);
  const stopped = stopAt(whole, prompt.stop);
  if (tokensMax !== undefined && countTokens(stopped.text) > tokensMax) {
    return { text: firstTokens(stopped.text, tokensMax), calls, finish: "length", stopSequence: undefined, halves };
  }
  return { ...stopped, calls, finish: script.finish ?? "stop", halves };
}

function planCalls(prompt: Prompt, script: Script): AnswerCall[] {
  const { tools, toolChoice } = prompt;
  if (script.finish === "tool") return (tools.length > 0 ? tools.slice(0, 1) : [simulatedTool]).map(toCall);
  if (script.finish !== undefined || script.text !== undefined || script.tokens !== undefined) return [];
  if (tools.length === 0 || toolChoice === "none") return [];
  if (typeof toolChoice === "object") return tools.filter((tool) => tool.name === toolChoice.name).map(toCall);
  if (toolChoice === "auto" && prompt.toolResults !== undefined) return [];
  const many = prompt.parallelTools && /\bparallel\b/i.test(prompt.lastUserText);
  return (many ? tools : tools.slice(0, 1)).map(toCall);
}

const simulatedTool: Prompt["tools"][number] = { name: "simulated_tool", schema: undefined };

function toCall(tool: Prompt["tools"][number]): AnswerCall {
  const value = tool.schema === undefined ? {} : sample({ type: "object", ...tool.schema });
  return { name: tool.name, argumentsText: JSON.stringify(value) };
}

/** Cuts the arguments where the limit falls, as real models do: the last call is then not valid JSON. */
function limitCalls(calls: AnswerCall[], finish: Finish, tokensMax: number | undefined): AnswerChoice {
  const kept: AnswerCall[] = [];
  let left = tokensMax ?? Number.POSITIVE_INFINITY;
  for (const call of calls) {
    if (callTokens(call) <= left) {
      kept.push(call);
      left -= callTokens(call);
      continue;
    }
    const room = left - countTokens(call.name);
    if (room > 0) kept.push({ ...call, argumentsText: firstTokens(call.argumentsText, room) });
    return { text: "", calls: kept, finish: "length", stopSequence: undefined, halves: false };
  }
  return { text: "", calls: kept, finish, stopSequence: undefined, halves: false };
}

function planText(prompt: Prompt, script: Script, index: number): string {
  const said = script.text ?? defaultText(prompt, index);
  return script.tokens === undefined ? said : exactly(`${said} `, script.tokens);
}

function defaultText(prompt: Prompt, index: number): string {
  const { label, model, jsonSchema } = prompt;
  const from = index === 0 ? `from ${label}` : `(number ${index + 1}) from ${label}`;
  if (jsonSchema !== undefined) {
    const free = Object.keys(jsonSchema).length === 0;
    return JSON.stringify(free ? { answer: `This is a simulated answer ${from}.` } : sample(jsonSchema));
  }
  const heard =
    prompt.toolResults === undefined
      ? `You said: "${quote(prompt.lastUserText)}".`
      : `The tool said: "${quote(prompt.toolResults.join(" | "))}".`;
  return (
    `This is a simulated answer ${from}, playing the model ${model}. ${heard} ` +
    "No real model was asked, nothing was paid for, and the same question always gets the same answer."
  );
}

function quote(said: string): string {
  return said.length <= quoteCharsMax ? said : `${firstTokens(said, quoteCharsMax / 4)}…`;
}

function stopAt(whole: string, stops: string[]): { text: string; stopSequence: string | undefined } {
  let end = whole.length;
  let stopSequence: string | undefined;
  for (const stop of stops) {
    const at = whole.indexOf(stop);
    if (at === -1 || at >= end) continue;
    end = at;
    stopSequence = stop;
  }
  return { text: whole.slice(0, end), stopSequence };
}

function exactly(phrase: string, tokens: number): string {
  const length = tokens * 4;
  return firstTokens(phrase.repeat(Math.ceil(length / Math.max(1, phrase.length))), tokens);
}

function firstTokens(whole: string, tokens: number): string {
  const end = tokens * 4;
  const last = whole.charCodeAt(end - 1);
  // Half a surrogate pair is no character; an ASCII one in its place keeps the count.
  return last >= 0xd800 && last < 0xdc00 && end < whole.length ? `${whole.slice(0, end - 1)}.` : whole.slice(0, end);
}

// Tool calls in history, of both of OpenAI's generations.
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import type { Report } from "../report.ts";

/** Only these members, whatever other providers left in a call. */
export function toPastCalls(message: ChatMessage, index: number, report: Report): JsonObject[] {
  const calls = objectsIn(message.tool_calls);
  if (calls.length === 0 && isObject(message.function_call))
    return [pastCall({ id: callIdAt(index), function: message.function_call }, report)];
  return calls.map((call) => pastCall(call, report));
}

function pastCall(call: JsonObject, report: Report): JsonObject {
  const custom = isObject(call.custom) ? call.custom : undefined;
  const described = custom ?? (isObject(call.function) ? call.function : {});
  const args = custom === undefined ? described.arguments : { input: custom.input };
  return {
    id: firstText(call.id),
    type: "function",
    function: { name: firstText(described.name), arguments: argumentsText(args, report) },
  };
}

/** JSON of an object, whatever a model once wrote. */
function argumentsText(value: unknown, report: Report): string {
  if (isObject(value)) return JSON.stringify(value);
  const text = firstText(value);
  if (text.trim() === "" || text.trim() === "null") return "{}";
  if (isObject(parseJson(text))) return text;
  report.note("repaired", "tool_arguments");
  return JSON.stringify({ _raw_arguments: text });
}

function callIdAt(index: number): string {
  return `function_call_${index}`;
}

/** `function` messages answer the latest call of that name. */
export function legacyCallId(messages: ChatMessage[], index: number): string {
  const { name } = messages[index] ?? {};
  const caller = messages
    .slice(0, index)
    .findLastIndex(({ function_call: call }) => isObject(call) && call.name === name);
  return callIdAt(caller);
}

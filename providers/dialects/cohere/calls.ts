// Tool calls put together from the events of a stream.
import type { ChatEvent, JsonObject } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import { firstText, isObject, objectsIn } from "../../../src/json.ts";

interface OpenCall {
  /** Position among the calls of the answer. */
  call: number;
  /** Arguments that may still turn out to be none at all. */
  held: string;
  hasArguments: boolean;
  isClosed: boolean;
}

export interface Calls {
  /** By the index of the event. */
  open: Map<number, OpenCall>;
  count: number;
}

export function newCalls(): Calls {
  return { open: new Map(), count: 0 };
}

/** A list in a whole message, an object in an event. */
export function callIn(toolCalls: unknown): JsonObject {
  return (isObject(toolCalls) ? toolCalls : objectsIn(toolCalls)[0]) ?? {};
}

export function startCall(calls: Calls, at: number, told: JsonObject, { newId }: Pick<Call, "newId">): ChatEvent[] {
  const closed = closeCall(calls, at);
  const started = { call: calls.count, held: "", hasArguments: false, isClosed: false };
  calls.count += 1;
  calls.open.set(at, started);
  const made = isObject(told.function) ? told.function : {};
  const id = firstText(told.id) || newId("call_");
  const start: ChatEvent = { type: "tool_call_start", index: 0, call: started.call, id, name: firstText(made.name) };
  return [...closed, start, ...addArguments(calls, at, told)];
}

/** Words for a call that never began say nothing. */
export function addArguments({ open }: Calls, at: number, told: JsonObject): ChatEvent[] {
  const call = open.get(at);
  const made = isObject(told.function) ? told.function : {};
  const text = isObject(made.arguments) ? JSON.stringify(made.arguments) : firstText(made.arguments);
  if (call === undefined || call.isClosed || text === "") return [];
  const argumentsText = call.held + text;
  call.held = argumentsText;
  // "null" is Cohere's word for no arguments, and it may come in pieces.
  if (!call.hasArguments && NONE.startsWith(argumentsText)) return [];
  call.held = "";
  call.hasArguments = true;
  return [{ type: "tool_call_delta", index: 0, call: call.call, argumentsText }];
}

const NONE = "null";

export function closeCall({ open }: Calls, at: number): ChatEvent[] {
  const call = open.get(at);
  if (call === undefined || call.isClosed) return [];
  call.isClosed = true;
  if (call.hasArguments) return [];
  const argumentsText = call.held === "" || call.held === NONE ? "{}" : call.held;
  return [{ type: "tool_call_delta", index: 0, call: call.call, argumentsText }];
}

export function closeCalls(calls: Calls): ChatEvent[] {
  return [...calls.open.keys()].flatMap((at) => closeCall(calls, at));
}

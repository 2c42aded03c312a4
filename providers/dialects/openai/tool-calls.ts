// Tool calls put together from the fragments of a stream, whatever a provider numbers or names them by.
import type { JsonObject } from "../../../src/chat.ts";
import { firstText, isObject } from "../../../src/json.ts";
import type { At, OpenCall } from "./choice.ts";

/**
 * Assembly of tool calls: by `index`, else by id, else the latest. A new non-empty id on a used index is a new call
 * (Ollama numbers every call 0); ids and names repeated on later deltas are ignored, names that come late are waited for.
 */
export function decodeToolCall(at: At, toolCall: JsonObject): void {
  const { known } = at;
  const body = isObject(toolCall.function) ? toolCall.function : isObject(toolCall.custom) ? toolCall.custom : {};
  const id = firstText(toolCall.id);
  const key = typeof toolCall.index === "number" ? `#${toolCall.index}` : id !== "" ? id : (known.latestKey ?? "#0");
  let open = known.calls.get(key);
  if (open === undefined || (id !== "" && open.id !== "" && id !== open.id)) {
    if (open !== undefined) startCall(at, open, "");
    open = { call: undefined, id: "", extra: undefined, hasArguments: false, held: "" };
    known.calls.set(key, open);
  }
  known.latestKey = key;
  if (open.id === "") open.id = id;
  if (isObject(toolCall.extra_content)) open.extra ??= toolCall.extra_content;
  const name = firstText(body.name);
  if (name !== "") startCall(at, open, name);
  addArguments(at, open, argumentsOf(body.arguments ?? body.input));
}

/** Calls that never got a name are told without one. */
export function startNamelessCalls(at: At): void {
  for (const open of at.known.calls.values()) startCall(at, open, "");
}

function startCall(at: At, open: OpenCall, name: string): void {
  if (open.call !== undefined) return;
  const { known, index, events, call } = at;
  open.call = known.callCount;
  known.callCount += 1;
  const id = open.id === "" ? call.newId("call_") : open.id;
  known.firstCallId ??= id;
  const extra = open.extra === undefined ? {} : { extra: open.extra };
  events.push({ type: "tool_call_start", index, call: open.call, id, name, ...extra });
  const { held } = open;
  open.held = "";
  addArguments(at, open, held);
}

function addArguments({ index, events }: At, open: OpenCall, argumentsText: string): void {
  // Cohere's word for "no arguments".
  if (argumentsText === "" || (argumentsText === "null" && !open.hasArguments && open.held === "")) return;
  if (open.call === undefined) {
    open.held += argumentsText;
    return;
  }
  open.hasArguments = true;
  events.push({ type: "tool_call_delta", index, call: open.call, argumentsText });
}

function argumentsOf(value: unknown): string {
  if (typeof value === "string") return value;
  return isObject(value) ? JSON.stringify(value) : "";
}

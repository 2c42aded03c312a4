// Function calls and their results in history. Gemini wants every result, in call order, in one content of its own.
import type { Content, FunctionCall, FunctionResponse, FunctionResponsePart, Part } from "@google/genai";
import type { ChatMessage, JsonObject } from "../../../src/chat.ts";
import { firstText, isObject, objectsIn, parseJson } from "../../../src/json.ts";
import type { Translation } from "./context.ts";
import { toPart } from "./media.ts";
import { recalledSignature } from "./memory.ts";
import { callSignature } from "./signatures.ts";

/** A call an assistant message made, in either of OpenAI's two generations. */
export interface PastCall {
  /** "" when there is none (`function_call`): such a call is answered by name. */
  id: string;
  name: string;
  part: Part;
}

export function pastCalls(message: ChatMessage, context: Translation): PastCall[] {
  const calls = objectsIn(message.tool_calls);
  const legacy = calls.length === 0 && isObject(message.function_call) ? [{ function: message.function_call }] : [];
  return [...calls, ...legacy].map((call) => toPastCall(call, message, context));
}

function toPastCall(call: JsonObject, message: ChatMessage, context: Translation): PastCall {
  const custom = isObject(call.custom) ? call.custom : undefined;
  const described = custom ?? (isObject(call.function) ? call.function : {});
  const id = firstText(call.id);
  const name = firstText(described.name);
  const args = custom === undefined ? toArgs(described.arguments, context) : { input: custom.input };
  const functionCall: FunctionCall = { ...idFor(id, context), name: context.names.toWire(name), args };
  const signature =
    callSignature(call, message, id) ?? recalledSignature({ id, name, args: described.arguments }, context);
  return { id, name, part: signature === undefined ? { functionCall } : { functionCall, thoughtSignature: signature } };
}

export function idFor(id: string, { gates }: Pick<Translation, "gates">): { id?: string } {
  return gates.functionIds && id !== "" ? { id } : {};
}

/** Arguments must be an object upstream, whatever a model once wrote. */
function toArgs(text: unknown, { report }: Translation): JsonObject {
  if (isObject(text)) return text;
  if (text === undefined || text === null) return {};
  const raw = typeof text === "string" ? text : JSON.stringify(text);
  if (raw.trim() === "" || raw.trim() === "null") return {};
  const parsed = parseJson(raw);
  if (isObject(parsed)) return parsed;
  report.note("repaired", "tool_arguments");
  return { _raw_arguments: raw };
}

interface Result {
  message: ChatMessage;
  at: string;
}

/**
 * The contents that answer `calls`: one with exactly one `functionResponse` per call, and where the model cannot take
 * media inside, a second one with the media. "Please ensure that the number of function response parts is equal to the
 * number of function call parts" is the 400 otherwise (cloudwego/eino-ext#571). `results` are the tool messages that
 * follow; the first of them is messages[`index`].
 */
export function toResults(calls: PastCall[], results: ChatMessage[], index: number, context: Translation): Content[] {
  const open: Result[] = results.map((message, i) => ({ message, at: `messages[${index + i}]` }));
  const responses: Part[] = [];
  const media: Part[] = [];
  const missing: string[] = [];
  for (const call of calls) {
    const found = open.findIndex(({ message }) => answers(message, call));
    const [result] = found === -1 ? [] : open.splice(found, 1);
    if (result === undefined) missing.push(call.id || call.name);
    else responses.push(toResponse(call, result, media, context));
  }
  if (missing.length > 0) {
    const message =
      "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
      `The following tool_call_ids did not have response messages: ${missing.join(", ")}`;
    context.report.refuse("invalid_value", "messages", message);
  }
  for (const { at } of open) refuseOrphan(at, context);
  const contents: Content[] = responses.length === 0 ? [] : [{ role: "user", parts: responses }];
  return media.length === 0 ? contents : [...contents, { role: "user", parts: media }];
}

export function refuseOrphan(at: string, { report }: Translation): void {
  const message = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
  report.refuse("invalid_value", at, message);
}

function answers(message: ChatMessage, call: PastCall): boolean {
  const isLegacy = message.role === "function";
  return isLegacy ? message.name === call.name : firstText(message.tool_call_id) === call.id;
}

function toResponse(call: PastCall, { message, at }: Result, media: Part[], context: Translation): Part {
  const texts: string[] = [];
  const attached: Part[] = [];
  if (typeof message.content === "string") texts.push(message.content);
  else {
    for (const [i, part] of (message.content ?? []).entries()) {
      const converted = toPart(part, `${at}.content[${i}]`, context);
      if (converted?.text !== undefined) texts.push(converted.text);
      else if (converted !== undefined) attached.push(converted);
    }
  }
  // The text stays a string: parsing it would damage big integers, and arrays are not allowed there (vercel/ai#13020).
  const key = message.is_error === true ? "error" : "output";
  const functionResponse: FunctionResponse = {
    ...idFor(call.id, context),
    name: context.names.toWire(call.name),
    response: { [key]: texts.join("\n") },
  };
  if (attached.length > 0 && context.gates.toolResultMedia) functionResponse.parts = attached.map(toResponsePart);
  else if (attached.length > 0) media.push({ text: `Result of tool ${call.name}:` }, ...attached);
  return { functionResponse };
}

function toResponsePart({ inlineData, fileData }: Part): FunctionResponsePart {
  return { ...(inlineData && { inlineData }), ...(fileData && { fileData }) };
}

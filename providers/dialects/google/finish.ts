// How an answer ended, in the words of OpenAI, or why it is no answer.
import type { FinishReason, ProviderError } from "../../../src/chat.ts";

export interface Ending {
  /** As Gemini put it; `undefined` when it said nothing. */
  nativeReason: string | undefined;
  finishMessage: string;
  hasCalls: boolean;
  /** Text, pictures, sound or code that was run. */
  hasOutput: boolean;
}

const FILTERED = new Set([
  ...["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"],
  ...["IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"],
]);

/** The model produced a call nobody can run. As `stop` it would send agents round in circles (hermes-agent#83882). */
const BROKEN: Record<string, string> = {
  MALFORMED_FUNCTION_CALL: "The model produced a malformed function call.",
  UNEXPECTED_TOOL_CALL: "The model called a tool that was not offered.",
  TOO_MANY_TOOL_CALLS: "The model called too many tools in a row.",
  MALFORMED_RESPONSE: "The model produced a malformed response.",
  MISSING_THOUGHT_SIGNATURE: "The model produced a call without its thought signature.",
};

/** True when nothing of the answer may be used, even if a call is in it (hermes-agent#83886). */
export function isBroken(nativeReason: string | undefined): boolean {
  return nativeReason !== undefined && Object.hasOwn(BROKEN, nativeReason);
}

export function finishOf(ending: Ending): FinishReason | ProviderError {
  const { nativeReason, finishMessage, hasCalls, hasOutput } = ending;
  if (nativeReason !== undefined && isBroken(nativeReason))
    return malformed(nativeReason.toLowerCase(), finishMessage || (BROKEN[nativeReason] ?? ""));
  // Even with calls: the last one may be cut, and `tool_calls` would hide it (hermes-agent#43478).
  if (nativeReason === "MAX_TOKENS" || nativeReason === "CONTINUATION") return "length";
  if (nativeReason !== undefined && FILTERED.has(nativeReason)) return "content_filter";
  if (hasCalls) return "tool_calls";
  if (hasOutput) return "stop";
  // An empty answer on purpose is an answer.
  if (nativeReason === "STOP") return "stop";
  return nativeReason === undefined
    ? malformed("empty_response", "The model returned an empty response.")
    : malformed("no_output", finishMessage || `The model produced no output (${nativeReason.slice(0, 100)}).`);
}

export function malformed(code: string, message: string): ProviderError {
  return { kind: "malformed", message, code };
}

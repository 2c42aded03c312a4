// Why an answer ended, in Cohere's words.
import type { FinishReason, ProviderError } from "../../../src/chat.ts";
import { inBandError } from "./errors.ts";

/** `ERROR_TOXIC` and `ERROR_LIMIT` are words of the first version of the API. */
const REASONS = new Map<string, FinishReason>([
  ["COMPLETE", "stop"],
  ["STOP_SEQUENCE", "stop"],
  ["MAX_TOKENS", "length"],
  ["ERROR_LIMIT", "length"],
  ["TOOL_CALL", "tool_calls"],
  ["ERROR_TOXIC", "content_filter"],
]);

export interface Ending {
  told: string;
  /** What the provider says went wrong. */
  reason: string;
  hasCalls: boolean;
  hasOutput: boolean;
  /** The caller declared `functions`, from before there were `tools`. */
  isLegacy: boolean;
}

/** A reason, or the error that the answer amounts to. */
export function finishOf({ told, reason, hasCalls, hasOutput, isLegacy }: Ending): FinishReason | ProviderError {
  const word = told.toUpperCase();
  const mapped = REASONS.get(word);
  if (mapped === undefined && word === "TIMEOUT")
    return { kind: "timeout", message: reason || "The provider ran out of time.", code: "upstream_timeout" };
  const isUnknown = mapped === undefined && (word.startsWith("ERROR") || !hasOutput);
  if (isUnknown || reason !== "")
    return inBandError(reason || `The provider ended the answer with "${told.slice(0, 100)}".`);
  const calls = isLegacy ? "function_call" : "tool_calls";
  if (mapped === "length" || mapped === "content_filter") return mapped;
  return hasCalls ? calls : "stop";
}

export function malformed(message: string): ProviderError {
  return { kind: "malformed", message, code: "upstream_malformed" };
}

export function truncated(): ProviderError {
  const message = "The upstream stream ended before the message was complete.";
  return { kind: "truncated", message, code: "upstream_stream_truncated" };
}

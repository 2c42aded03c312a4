// Why a choice ended, in the words of many providers; and the two ways in which an answer is none.
import type { FinishReason, ProviderError } from "../../../src/chat.ts";

/** By the lower-case spelling. A Map, because providers' words must not reach into an object's prototype. */
const FINISH = new Map<string, FinishReason>([
  ...words("stop", "stop eos eos_token end_turn stop_sequence complete end normal"),
  ...words("length", "length max_tokens model_length model_context_window_exceeded length_limit"),
  ...words("tool_calls", "tool_calls tool_use tool_call tool-calls"),
  ...words("function_call", "function_call"),
  ...words("content_filter", "content_filter content_filtered sensitive safety moderation guardrail_intervened"),
]);
/** The answer failed, whatever came of it. */
const FAILED_FINISH = /^(error|network_error|insufficient_system_resource|timeout|function_call_filter)/i;
const CUT_FINISH = /^(abort|cancelled)/i;

function words(reason: FinishReason, spellings: string): [string, FinishReason][] {
  return spellings.split(" ").map((spelling) => [spelling, reason]);
}

/** What the word means, given what came before it: an error, or a reason. */
export function meaningOf(told: string, hasOutput: boolean): FinishReason | ProviderError {
  if (CUT_FINISH.test(told)) return truncated();
  const mapped = FINISH.get(told.toLowerCase());
  if (FAILED_FINISH.test(told) || (mapped === undefined && !hasOutput)) {
    const word = told.slice(0, 100);
    return { kind: "server", message: `The provider ended the answer with "${word}".`, code: "upstream_error" };
  }
  return mapped ?? "stop";
}

export function malformed(message: string): ProviderError {
  return { kind: "malformed", message, code: "upstream_malformed" };
}

export function truncated(): ProviderError {
  const message = "The upstream stream ended before the message was complete.";
  return { kind: "truncated", message, code: "upstream_stream_truncated" };
}

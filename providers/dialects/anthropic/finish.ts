// Why the model stopped, in OpenAI's words.
import type { FinishReason, JsonObject } from "../../../src/chat.ts";
import { firstText } from "../../../src/json.ts";

const REASONS: Record<string, FinishReason> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  // The server's tool loop paused, and there is nothing to go on with.
  pause_turn: "stop",
  refusal: "content_filter",
  // A compatible server's word (badlogic/pi-mono#978).
  sensitive: "content_filter",
};

/**
 * The stop reason decides, not the presence of text. `calls` corrects servers that say `end_turn` (or nothing) after a
 * tool call, and `tool_use` that was for server tools only. A cut answer stays `length`, calls or not.
 */
export function finishReason(stopReason: string, calls: number): FinishReason {
  const reason = REASONS[stopReason] ?? "stop";
  if (reason === "tool_calls" && calls === 0) return "stop";
  return reason === "stop" && calls > 0 ? "tool_calls" : reason;
}

/** `message.refusal` for `stop_reason: "refusal"`: the vendor's words where there are any. */
export function refusalText(details: JsonObject): string {
  const category = firstText(details.category);
  const reason = category === "" ? "" : ` (category: ${category})`;
  return firstText(details.explanation, `The model declined to answer${reason}.`);
}

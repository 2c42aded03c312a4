// What the files that play Converse share.
import { type ClaudeProfile, claudeProfile } from "./anthropic-models.ts";
import type { Fault } from "./face.ts";

/** Names of tools, and ids of their calls. */
export const NAME = /^[a-zA-Z0-9_-]{1,64}$/;

export function invalid(message: string): Fault {
  return { status: 400, type: "ValidationException", message };
}

/** `us.anthropic.claude-opus-4-6-v1:0` is `claude-opus-4-6`; models of other vendors refuse nothing of what it refuses. */
export function profileOf(model: string): ClaudeProfile {
  return claudeProfile(model.replace(/^.*anthropic\./, "").replace(/(-\d{8})?(-v\d+)?(:\d+)?$/, ""));
}

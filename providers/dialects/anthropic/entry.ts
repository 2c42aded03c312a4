// One message of the caller, converted to blocks but not yet placed in a turn.
import type { Block, TextBlockParam, ToolResultBlockParam, ToolUseBlockParam } from "./wire.ts";

/** `at` is the message's index in the caller's array. */
export type Entry =
  | { kind: "system"; at: number; blocks: TextBlockParam[] }
  | { kind: "user"; at: number; blocks: Block[] }
  | { kind: "assistant"; at: number; blocks: Block[]; calls: HistoryCall[] }
  | { kind: "result"; at: number; key: string; result: ToolResultBlockParam };

export type SystemEntry = Extract<Entry, { kind: "system" }>;
export type ResultEntry = Extract<Entry, { kind: "result" }>;

/** A tool call and the name its result will use for it (`id:…`, or `function:…` of the legacy API). */
export interface HistoryCall {
  key: string;
  block: ToolUseBlockParam;
}

// The vocabulary of flavours: how one OpenAI-compatible provider departs from OpenAI on the wire, as data.
import type { JsonObject } from "../../chat.ts";
import type { Call, Fault, Finish } from "../face.ts";
import type { FaultName } from "../script.ts";

export interface Flavour {
  name: string;
  /** Header of the key; `optional`: servers of one's own answer without one. */
  key?: { header: "authorization" | "api-key"; isOptional?: true };
  request: RequestRules;
  answer: AnswerForm;
  failure: FailureForm;
  /** Rate-limit headers of every answer. */
  limits?(told: Limits): Record<string, string>;
}

export interface Limits {
  limit: number;
  remaining: number;
  resetS: number;
  nowMs: number;
}

/** What the provider takes. Absent members: whatever comes is taken. */
export interface RequestRules {
  /** The only fields it knows, besides `model`, `messages` and `stream`. */
  fields?: readonly string[];
  unknownField?(field: string): Partial<Fault>;
  refused?: readonly Refused[];
  nulls?: "refused";
  emptyTools?: "refused";
  /** `tool_calls: null` in a message. */
  nullCalls?: "refused";
  /** The only members of a message, whatever its role. */
  messageKeys?: readonly string[];
  unknownKey?(at: number, role: string, key: string): Partial<Fault>;
  /** Default: system, user, assistant, tool. */
  roles?: readonly string[];
  /** Content arrays that hold nothing but text. */
  textParts?: "refused";
  systemMessages?: "one_at_the_start";
  /** After system messages user and assistant take turns. */
  alternates?: true;
  /** Roles the last message may have; an assistant message with `prefix: true` may always be the last. */
  lastRoles?: readonly string[];
  toolChoices?: { words: readonly string[]; named: boolean; fault(choice: unknown): Partial<Fault> };
  formats?: { types: readonly string[]; fault(type: string): Partial<Fault> };
  callIds?: { pattern: RegExp; fault(id: string): Partial<Fault> };
  /** Arguments of past calls must be JSON objects, and tools must have parameters. */
  tools?: "checked";
  /** Thinking models insist on the reasoning of earlier turns. */
  reasoningBack?: { turns: "all" | "tool_calls"; isFilled: boolean; fault(at: number): Partial<Fault> };
  images?: "inline" | "none";
}

export interface Refused {
  field: string;
  models?: RegExp;
  /** Absent: every value but `null`. */
  when?(value: unknown, body: JsonObject): boolean;
  fault: Partial<Fault>;
}

export interface AnswerForm {
  /** Absent: the model thinks unseen, as OpenAI's do. `split`: details of snapshots while `reasoning_split` is on. */
  reasoning?:
    | "reasoning_content"
    | "reasoning"
    | "reasoning_and_details"
    | "thinking_parts"
    | "think_tags"
    | "split_snapshots";
  /** The only models that think, whatever they are told; absent: all. */
  thinkers?: RegExp;
  /** Models that think unless they are told not to. */
  thinksUnasked?: RegExp;
  usage:
    | "when_asked"
    | "always"
    | "in_finish_chunk"
    | "in_every_chunk"
    | "x_groq"
    /** In a chunk when asked, else in the choice that finishes. */
    | "in_choice_unless_asked";
  /** Member that tells cached tokens; default: OpenAI's. */
  cachedAt?: "prompt_cache_hit_tokens" | "cached_tokens" | "num_cached_tokens";
  /** Reasoning is counted beside `completion_tokens`. */
  reasoningApart?: true;
  usageExtras?: JsonObject;
  calls:
    | "fragments"
    | "whole"
    /** Whole and without an index. */
    | "unindexed"
    /** Whole, and all of them at index 0. */
    | "index_zero"
    /** Later deltas say `id: ""`, `name: null`. */
    | "blank_ids"
    | "late_name"
    | "repeated_name";
  callId?(serial: number, at: number, name: string): string;
  finish?: Partial<Record<Finish, string>>;
  /** Comments and odd chunks in front of the answer, as bytes. */
  opening?: readonly string[];
  extras?: JsonObject;
  choiceExtras?: JsonObject;
  /** Members of the chunk that ends the answer. */
  lastExtras?: JsonObject;
  /** `in_every_chunk`: beside each delta, the whole text so far; `in_last_chunk`: once more at the end. */
  message?: "in_every_chunk" | "in_last_chunk";
  headers?: Record<string, string>;
}

export interface FailureForm {
  /** The body of an error answer. */
  envelope(fault: Fault): unknown;
  faults: Partial<Record<FaultName, Partial<Fault>>>;
  /** The in-band error of a stream, as bytes; default: the envelope of `server` as a chunk. */
  inStream?: string;
  /** Tells `retry-after` with 429 where the script wants it told; default: yes. */
  retryAfter?: false;
}

/** Whether this request makes the model think. */
export function thinks({ answer }: Flavour, { body, model }: Call): boolean {
  if (answer.thinkers?.test(model) === false) return false;
  const asked = askedToThink(body);
  return asked ?? answer.thinksUnasked?.test(model) ?? false;
}

function askedToThink(body: JsonObject): boolean | undefined {
  const switches = [body.thinking, body.reasoning, body.chat_template_kwargs, body].filter(
    (holder): holder is JsonObject => typeof holder === "object" && holder !== null,
  );
  for (const holder of switches) {
    const { type, effort, enabled, enable_thinking: enable, thinking } = holder;
    if (holder === body.thinking && typeof type === "string") return type !== "disabled";
    for (const flag of [enabled, enable, thinking]) if (typeof flag === "boolean") return flag;
    if (typeof effort === "string") return effort !== "none";
  }
  if (typeof body.reasoning_effort === "string") return body.reasoning_effort !== "none";
  return body.reasoning_split === true ? true : undefined;
}

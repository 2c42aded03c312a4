// What is known of one choice of an answer while it arrives.
import type { ChatEvent, ChatMessage, JsonObject } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import type { OpenAiChatProfile } from "./profile.ts";
import { replayFor } from "./replay.ts";
import { chained, type TextFilter, thinkTagSplitter, withoutEcho } from "./text-filter.ts";

export interface ChoiceState {
  finished: boolean;
  hasOutput: boolean;
  hasText: boolean;
  /** Absent: text is what it looks like. */
  filter: TextFilter | undefined;
  /** The whole text and reasoning so far, where deltas repeat them. */
  textSeen: string;
  reasoningSeen: string;
  /** The whole reasoning, where a later request needs it. */
  toRemember: string | undefined;
  /** Open tool calls by the key the provider uses for them. */
  calls: Map<string, OpenCall>;
  callCount: number;
  latestKey: string | undefined;
  firstCallId: string | undefined;
  logprobs: Map<string, unknown[]>;
  /** Members of the message that are passed on. */
  members: Map<string, unknown>;
  /** The finish event, where more may follow what the provider takes for the end. */
  heldFinish: ChatEvent[];
}

export interface OpenCall {
  /** Position among the calls of the choice, once it has a name and was told. */
  call: number | undefined;
  /** As the provider told it; "" while it has not. */
  id: string;
  extra: JsonObject | undefined;
  hasArguments: boolean;
  /** Arguments that came before the name. */
  held: string;
}

/** Where events of a choice go. */
export interface At {
  known: ChoiceState;
  index: number;
  events: ChatEvent[];
  call: Call;
  profile: OpenAiChatProfile;
  /** The caller sees the provider's own bytes: events that only a rendering needs are left out. */
  isRelayed: boolean;
}

export function newChoice(call: Call, profile: OpenAiChatProfile): ChoiceState {
  return {
    finished: false,
    hasOutput: false,
    hasText: false,
    filter: filterFor(call, profile),
    textSeen: "",
    reasoningSeen: "",
    toRemember: replayFor(call, profile)?.remembers ? "" : undefined,
    calls: new Map(),
    callCount: 0,
    latestKey: undefined,
    firstCallId: undefined,
    logprobs: new Map(),
    members: new Map(),
    heldFinish: [],
  };
}

function filterFor(call: Call, { echoesPrefix, thinkTag }: OpenAiChatProfile): TextFilter | undefined {
  const prefix = echoesPrefix ? prefixOf(call) : "";
  const echo = prefix === "" ? undefined : withoutEcho(prefix);
  const tags = thinkTag && thinkTagSplitter(thinkTag.tag, thinkTag.isOpen === true);
  return echo && tags ? chained(echo, tags) : (echo ?? tags);
}

/** The text of a last message of the assistant, which the answer may begin with. */
function prefixOf({ request }: Call): string {
  const last: ChatMessage | undefined = request.body.messages.at(-1);
  if (last?.role !== "assistant" || last.tool_calls?.length) return "";
  return typeof last.content === "string" ? last.content : "";
}

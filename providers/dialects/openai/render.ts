// Neutral events as the chunks of a Chat Completions stream.
import { type ChatEvent, mergeUsage, type ReasoningDetail, type Usage } from "../../../src/chat.ts";
import type { AnswerHead, StreamRenderer } from "../../../src/dialect.ts";
import { renderUsage } from "./inbound.ts";

interface ChunkState {
  head: AnswerHead;
  /** Everything of a chunk before its `choices`; the same for the whole stream. */
  prefix: string;
  /** With include_usage every chunk but the last carries `"usage":null`, without it none has the key. */
  suffix: string;
  choices: Map<
    number,
    {
      details: ReasoningDetail[];
      callsWithArguments: Set<number>;
      calls: number;
    }
  >;
  usage: Usage | undefined;
}

/**
 * The chunks OpenAI's own stream helper insists on: a role chunk first, then deltas, exactly one finish chunk per
 * choice, then (if asked) one usage chunk without choices, then `[DONE]`. An `error` event renders nothing here: the
 * edge renders it, and nothing follows.
 */
export function chunkRenderer(head: AnswerHead): StreamRenderer {
  const suffix = head.includeUsage ? ',"usage":null}\n\n' : "}\n\n";
  const state: ChunkState = {
    head,
    prefix: "",
    suffix,
    choices: new Map(),
    usage: undefined,
  };
  return {
    push: (events) => events.map((event) => renderEvent(state, event)).join(""),
  };
}

function renderEvent(state: ChunkState, event: ChatEvent): string {
  switch (event.type) {
    case "start": {
      const { createdS, model } = state.head;
      const envelope = {
        id: event.id,
        object: "chat.completion.chunk",
        created: createdS,
        model,
      };
      state.prefix = `data: ${JSON.stringify(envelope).slice(0, -1)},"choices":[`;
      return "";
    }
    case "usage":
      state.usage = mergeUsage(state.usage, event.usage);
      return "";
    case "end":
      return `${renderUsageChunk(state)}data: [DONE]\n\n`;
    case "error":
      return "";
    default:
      return renderChoiceEvent(state, event);
  }
}

type ChoiceEvent = Exclude<ChatEvent, { type: "start" | "usage" | "end" | "error" }>;

function renderChoiceEvent(state: ChunkState, event: ChoiceEvent): string {
  const known = state.choices.get(event.index);
  if (known === undefined) {
    state.choices.set(event.index, {
      details: [],
      callsWithArguments: new Set(),
      calls: 0,
    });
    const role = {
      role: "assistant",
      content: event.type === "tool_call_start" ? null : "",
    };
    return delta(state, event.index, role) + renderChoiceEvent(state, event);
  }
  switch (event.type) {
    case "text_delta":
      return delta(state, event.index, { content: event.text });
    case "refusal_delta":
      return delta(state, event.index, { refusal: event.text });
    case "reasoning_delta":
      return delta(state, event.index, { reasoning_content: event.text });
    case "reasoning_detail":
      // SDKs overwrite unknown delta keys instead of concatenating them, so the list goes out whole, once, at the end.
      known.details.push(event.detail);
      return "";
    case "tool_call_start": {
      known.calls += 1;
      const extra = event.extra === undefined ? {} : { extra_content: event.extra };
      const body = { name: event.name, arguments: "" };
      return toolDelta(state, event, {
        id: event.id,
        type: "function",
        function: body,
        ...extra,
      });
    }
    case "tool_call_delta":
      if (event.argumentsText === "") return "";
      known.callsWithArguments.add(event.call);
      return toolDelta(state, event, {
        function: { arguments: event.argumentsText },
      });
    case "finish":
      return renderFinish(state, event);
  }
}

/** A call without arguments still needs parsable JSON before the choice ends: `{}`. */
function renderFinish(state: ChunkState, event: Extract<ChatEvent, { type: "finish" }>): string {
  const known = state.choices.get(event.index)!;
  let text = "";
  for (let call = 0; call < known.calls; call += 1) {
    if (known.callsWithArguments.has(call)) continue;
    text += toolDelta(state, { index: event.index, call }, { function: { arguments: "{}" } });
  }
  if (known.details.length > 0) text += delta(state, event.index, { reasoning_details: known.details });
  return (
    text +
    choiceChunk(state, {
      index: event.index,
      delta: {},
      logprobs: null,
      finish_reason: event.reason,
    })
  );
}

function renderUsageChunk(state: ChunkState): string {
  if (!state.head.includeUsage || state.usage === undefined) return "";
  const usage = { ...renderUsage(state.usage), ...state.head.usageExtras() };
  return `${state.prefix}],"usage":${JSON.stringify(usage)}}\n\n`;
}

function toolDelta(state: ChunkState, at: { index: number; call: number }, fragment: object): string {
  return delta(state, at.index, {
    tool_calls: [{ index: at.call, ...fragment }],
  });
}

function delta(state: ChunkState, index: number, fields: object): string {
  return choiceChunk(state, {
    index,
    delta: fields,
    logprobs: null,
    finish_reason: null,
  });
}

function choiceChunk(state: ChunkState, choice: object): string {
  return `${state.prefix}${JSON.stringify(choice)}]${state.suffix}`;
}

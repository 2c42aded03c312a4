// What the decoder knows of an answer under way, and what of it survives a pause of the provider.
import type { JsonObject, ReasoningDetail } from "../../../src/chat.ts";
import type { Call } from "../../../src/dialect.ts";
import { isObject, objectsIn } from "../../../src/json.ts";
import { answerForm } from "./answer-form.ts";
import { CodeFence } from "./code-fence.ts";
import { excludesReasoning } from "./reasoning.ts";
import { type Terms, termsOf } from "./terms.ts";
import { customToolNames } from "./tools.ts";

/** Where a thinking block stands in the answer, so that a replay can put it back there. */
export type Offsets = Pick<ReasoningDetail, "format" | "index" | "text_offset" | "tool_offset">;

/** `raw` is the block as the provider sends it, while such copies are kept. */
export type OpenBlock = { raw: JsonObject | undefined } & (
  | { kind: "text"; startIndex: number; citations: JsonObject[] }
  | { kind: "thinking"; text: string; signature: string; detail: Offsets }
  /** `call` is undefined for the tool whose input is the answer itself. `isCustom`: its input is free text. */
  | { kind: "tool"; call: number | undefined; isCustom: boolean; input: unknown; json: string; argumentsSeen: boolean }
  | { kind: "ignored"; json: string }
);

export interface AnswerState {
  readonly call: Call;
  /** Name of the tool whose input is the answer (models without structured outputs). */
  readonly answerTool: string | undefined;
  readonly customTools: ReadonlySet<string>;
  readonly fence: CodeFence | undefined;
  readonly hidesReasoning: boolean;
  readonly thinkingFormat: string;
  readonly showsContent: boolean;
  messageId: string | undefined;
  /** Content has begun: what breaks off now cannot be undone. */
  committed: boolean;
  over: boolean;
  blocks: Map<number, OpenBlock>;
  /**
   * The blocks as they came, those before a pause included. Kept only where somebody needs them (a caller who asked, a
   * tool of the provider's own that may pause), since the memory of a stream is to be constant otherwise.
   */
  content: JsonObject[] | undefined;
  textLength: number;
  calls: number;
  thinkingBlocks: number;
  hasReasoningText: boolean;
  /** Sources without a URL, as Anthropic says them. */
  citations: JsonObject[];
  stopReason: string | undefined;
  stopSequence: string | undefined;
  stopDetails: JsonObject;
  counts: JsonObject;
}

/** A new answer, or the next part of one that paused. */
export function newState(call: Call, terms: Terms = termsOf(call)): AnswerState {
  const { body } = call.request;
  const form = answerForm(body, terms);
  const before = call.continuation ?? {};
  const showsContent = body.content_blocks === true;
  return {
    call,
    answerTool: form.kind === "tool" ? form.name : undefined,
    customTools: customToolNames(body),
    fence: form.kind === "instruct" ? new CodeFence(before.fence) : undefined,
    hidesReasoning: excludesReasoning(body),
    thinkingFormat: terms.thinkingFormat,
    showsContent,
    messageId: undefined,
    committed: false,
    over: false,
    blocks: new Map(),
    content: showsContent || isObject(body.web_search_options) ? objectsIn(before.content) : undefined,
    textLength: countOf(before.textLength),
    calls: countOf(before.calls),
    thinkingBlocks: countOf(before.thinkingBlocks),
    hasReasoningText: before.hasReasoningText === true,
    citations: objectsIn(before.citations),
    stopReason: undefined,
    stopSequence: undefined,
    stopDetails: {},
    counts: {},
  };
}

/** For the call that goes on: the content it must send back, and where this part stopped counting. */
export function pauseState(state: AnswerState): JsonObject {
  const { content, textLength, calls, thinkingBlocks, hasReasoningText, citations, fence } = state;
  const counted = { content, textLength, calls, thinkingBlocks, hasReasoningText, citations };
  return fence === undefined ? counted : { ...counted, fence: fence.state };
}

function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}

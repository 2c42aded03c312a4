// A Chat Completions request as an Anthropic Messages request for one model.
import type { ChatBody } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { Report } from "../report.ts";
import { type AnswerForm, answerForm, jsonInstruction } from "./answer-form.ts";
import { betaHeader } from "./betas.ts";
import { enforceCacheRules, markerOf } from "./cache.ts";
import { CONTINUE, type Conversation, toConversation } from "./conversation.ts";
import { classifyFields } from "./fields.ts";
import { maxTokens, sampling, serviceTier, stopSequences, userId } from "./parameters.ts";
import { urlsToFetch } from "./parts.ts";
import { pausedContent } from "./pause.ts";
import { planReasoning, type ReasoningPlan, thinks } from "./reasoning.ts";
import { type Terms, termsOf } from "./terms.ts";
import { chooseTools } from "./tool-choice.ts";
import { toolsOfHistory, toTools, webSearchTool } from "./tools.ts";
import type { AnyTool, Block, CacheControlEphemeral, MessagesBody, TextBlockParam, ToolChoice, Turn } from "./wire.ts";

/** Under 2026-10-21 no model takes `temperature`; nothing written here is refused by that version otherwise. */
const ANTHROPIC_VERSION = "2023-06-01";
/** Vendor limit of a request body. */
const BODY_BYTES_MAX = 32 * 1024 * 1024;

/** A buffered answer that may be longer is fetched as a stream: long silent calls die in idle timeouts on the way. */
const BUFFERED_TOKENS_MAX = 16_384;

export function encode(call: Call): Encoded | Refusal {
  const { request } = call;
  const report = new Report(request.strict);
  const body = toBody(call, report);
  const streams = !request.stream && body.max_tokens > BUFFERED_TOKENS_MAX;
  if (request.stream || streams) body.stream = true;
  const headers = { "anthropic-version": ANTHROPIC_VERSION, ...betaHeader(request.body, body, report) };
  const text = JSON.stringify(body);
  if (Buffer.byteLength(text) > BODY_BYTES_MAX) {
    report.refuse("request_too_large", "messages", "The request is larger than the 32 MB this provider accepts.");
  }
  const { refusal, warnings } = report;
  if (refusal !== undefined) return refusal;
  const wire = { path: "/v1/messages", headers, body: text };
  return { kind: "encoded", wire, relay: false, warnings, ...(streams ? { streams } : {}) };
}

/** URLs this provider would not fetch: `http://` ones, and all where the catalogue says so. */
export function attachments(call: Call): string[] {
  return urlsToFetch(call.request.body.messages, termsOf(call));
}

function toBody(call: Call, report: Report): MessagesBody {
  const { body: request } = call.request;
  const terms = termsOf(call);
  classifyFields(request, report);
  const limit = maxTokens(request, terms, report);
  const conversation = toConversation(request.messages, terms, report);
  const form = answerForm(request, terms);
  const offer = toOffer(request, terms, form, conversation.turns, report);
  const context = {
    maxTokens: limit,
    forcesTool: offer.choice?.type === "any" || offer.choice?.type === "tool",
    openLoopWithoutThinking: isOpenLoopWithoutThinking(conversation.turns),
  };
  const plan = planReasoning(request, terms, context, report);
  const output = outputConfig(form, plan, report);
  closeTail(conversation.turns, terms.prefill && !thinks(plan) && output?.format === undefined, report);
  goOn(conversation.turns, pausedContent(call.continuation?.content));
  const topLevel = topLevelMarker(request);
  enforceCacheRules({ tools: offer.tools, system: conversation.system, turns: conversation.turns, topLevel }, report);
  const system = toSystem(conversation, [
    offer.instruction,
    form.kind === "instruct" ? jsonInstruction(form.schema) : undefined,
  ]);
  const user = userId(request);
  const stops = stopSequences(request, report);
  return {
    model: call.target.model,
    max_tokens: limit,
    ...(system === undefined ? {} : { system }),
    messages: conversation.turns,
    ...(offer.tools.length === 0 ? {} : { tools: offer.tools }),
    ...(offer.choice === undefined ? {} : { tool_choice: offer.choice }),
    ...(plan.thinking === undefined ? {} : { thinking: plan.thinking }),
    ...(output === undefined ? {} : { output_config: output }),
    ...sampling(request, terms, thinks(plan), report),
    ...(stops.length === 0 ? {} : { stop_sequences: stops }),
    ...(user === undefined ? {} : { metadata: { user_id: user } }),
    ...serviceTier(request, terms, report),
    ...(topLevel === undefined ? {} : { cache_control: topLevel }),
  };
}

interface Offer {
  tools: AnyTool[];
  choice: ToolChoice | undefined;
  instruction: string | undefined;
}

/** All the model may call: the caller's tools, the server's search, the tool whose input is the answer. */
function toOffer(request: ChatBody, terms: Terms, form: AnswerForm, turns: Turn[], report: Report): Offer {
  const own = toTools(request, terms, report);
  const chosen = chooseTools(request, own, terms, report);
  const search = webSearchTool(request.web_search_options, own, report);
  if (form.kind === "tool") {
    report.note("emulated", "response_format");
    const answer = {
      name: form.name,
      description: form.description,
      input_schema: { ...form.schema, type: "object" as const },
    };
    const alone = own.length === 0;
    const choice: ToolChoice = alone
      ? { type: "tool", name: form.name, disable_parallel_tool_use: true }
      : { type: "any", disable_parallel_tool_use: true };
    return { tools: [...chosen.tools, answer, ...search], choice, instruction: undefined };
  }
  const tools = [...chosen.tools, ...search];
  if (tools.length > 0) return { tools, choice: chosen.choice, instruction: chosen.instruction };
  const remembered = toolsOfHistory(turns);
  if (remembered.length === 0) return { tools: [], choice: undefined, instruction: undefined };
  report.note("repaired", "tools");
  return { tools: remembered, choice: { type: "none" }, instruction: undefined };
}

/** The last turn answers tool calls, and the assistant turn that made them starts without thinking. */
export function isOpenLoopWithoutThinking(turns: Turn[]): boolean {
  const [calls, results] = turns.slice(-2);
  if (calls?.role !== "assistant" || results?.content[0]?.type !== "tool_result") return false;
  const first = calls.content[0]?.type;
  return first !== "thinking" && first !== "redacted_thinking";
}

export function outputConfig(
  form: AnswerForm,
  { effort }: ReasoningPlan,
  report: Report,
): MessagesBody["output_config"] {
  if (form.kind === "native" && form.narrowed) report.note("downgraded", "response_format");
  if (form.kind === "instruct") {
    // A schema that cannot be compiled loses its guarantee; plain JSON mode never had more than words here.
    if (form.schema === undefined) report.note("emulated", "response_format");
    else report.note("downgraded", "response_format");
  }
  const format = form.kind === "native" ? { format: { type: "json_schema" as const, schema: form.schema } } : {};
  if (effort === undefined && format.format === undefined) return undefined;
  return { ...(effort === undefined ? {} : { effort }), ...format };
}

/** A conversation that ends with the assistant: continued where the model allows it, else a word from the user. */
export function closeTail(turns: Turn[], mayPrefill: boolean, report: Report): void {
  const last = turns.at(-1);
  if (last?.role !== "assistant") return;
  if (!mayPrefill) {
    turns.push({ role: "user", content: [{ type: "text", text: CONTINUE }] });
    report.note("repaired", "trailing_assistant");
    return;
  }
  // "final assistant content cannot end with trailing whitespace"
  const block = last.content.at(-1);
  if (block?.type === "text") block.text = block.text.trimEnd();
}

/** The part of an answer that the provider paused in: it goes back as it came and is no prefill. */
function goOn(turns: Turn[], content: Block[]): void {
  const last = turns.at(-1);
  if (content.length === 0) return;
  if (last?.role === "assistant") last.content.push(...content);
  else turns.push({ role: "assistant", content });
}

/** Text of the router's own comes last, so that the caller's cached prefix stays what it was. */
function toSystem({ system }: Conversation, additions: (string | undefined)[]): MessagesBody["system"] {
  const added = additions.filter((text) => text !== undefined).map((text): TextBlockParam => ({ type: "text", text }));
  const blocks = [...system, ...added];
  if (blocks.length === 0) return undefined;
  const only = blocks[0]!;
  return blocks.length === 1 && !only.cache_control ? only.text : blocks;
}

/** Automatic caching, asked for by Anthropic's own field or by OpenAI's `prompt_cache_options`. */
export function topLevelMarker(request: ChatBody): CacheControlEphemeral | undefined {
  const options = request.prompt_cache_options;
  const isImplicit = isObject(options) && options.mode === "implicit";
  return markerOf({ cache_control: request.cache_control }) ?? (isImplicit ? { type: "ephemeral" } : undefined);
}

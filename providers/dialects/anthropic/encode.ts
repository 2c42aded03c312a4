// A Chat Completions request as an Anthropic Messages request for one model.
import type { ChatBody } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { type AnswerForm, answerForm, jsonInstruction } from "./answer-form.ts";
import { enforceCacheRules, markerOf } from "./cache.ts";
import { CONTINUE, type Conversation, toConversation } from "./conversation.ts";
import { Deviations } from "./deviations.ts";
import { classifyFields } from "./fields.ts";
import { maxTokens, sampling, serviceTier, stopSequences, userId } from "./parameters.ts";
import { type ModelProfile, profileOf } from "./profile.ts";
import { planReasoning, type ReasoningPlan, thinks } from "./reasoning.ts";
import { chooseTools } from "./tool-choice.ts";
import { toolsOfHistory, toTools, webSearchTool } from "./tools.ts";
import type { AnyTool, CacheControlEphemeral, MessagesBody, TextBlockParam, ToolChoice, Turn } from "./wire.ts";

/** Under 2026-10-21 no model takes `temperature`; nothing written here is refused by that version otherwise. */
const ANTHROPIC_VERSION = "2023-06-01";
/** Vendor limit of a request body. */
const BODY_BYTES_MAX = 32 * 1024 * 1024;

export function encode({ request, target }: Call): Encoded | Refusal {
  const deviations = new Deviations();
  const body = toBody(request.body, target.model, profileOf(target), deviations);
  if (request.stream) body.stream = true;
  const text = JSON.stringify(body);
  if (Buffer.byteLength(text) > BODY_BYTES_MAX) {
    deviations.refuse("request_too_large", "messages", "The request is larger than the 32 MB this provider accepts.");
  }
  const refusal = deviations.refusal(request.strict);
  if (refusal !== undefined) return refusal;
  return {
    kind: "encoded",
    wire: { path: "/v1/messages", headers: { "anthropic-version": ANTHROPIC_VERSION }, body: text },
    relay: false,
    warnings: deviations.warnings(),
  };
}

function toBody(request: ChatBody, model: string, profile: ModelProfile, deviations: Deviations): MessagesBody {
  classifyFields(request, deviations);
  const limit = maxTokens(request, profile, deviations);
  const conversation = toConversation(request.messages, profile, deviations);
  const form = answerForm(request, profile);
  const offer = toOffer(request, profile, form, conversation.turns, deviations);
  const context = {
    maxTokens: limit,
    forcesTool: offer.choice?.type === "any" || offer.choice?.type === "tool",
    openLoopWithoutThinking: isOpenLoopWithoutThinking(conversation.turns),
  };
  const plan = planReasoning(request, profile, context, deviations);
  const output = outputConfig(request, form, plan, deviations);
  closeTail(conversation.turns, profile.prefill && !thinks(plan) && output?.format === undefined, deviations);
  const topLevel = topLevelMarker(request);
  enforceCacheRules(
    { tools: offer.tools, system: conversation.system, turns: conversation.turns, topLevel },
    deviations,
  );
  const system = toSystem(conversation, [
    offer.instruction,
    form.kind === "instruct" ? jsonInstruction(form.schema) : undefined,
  ]);
  const user = userId(request);
  const stops = stopSequences(request, deviations);
  const tier = serviceTier(request, deviations);
  return {
    model,
    max_tokens: limit,
    ...(system === undefined ? {} : { system }),
    messages: conversation.turns,
    ...(offer.tools.length === 0 ? {} : { tools: offer.tools }),
    ...(offer.choice === undefined ? {} : { tool_choice: offer.choice }),
    ...(plan.thinking === undefined ? {} : { thinking: plan.thinking }),
    ...(output === undefined ? {} : { output_config: output }),
    ...sampling(request, profile, thinks(plan), deviations),
    ...(stops.length === 0 ? {} : { stop_sequences: stops }),
    ...(user === undefined ? {} : { metadata: { user_id: user } }),
    ...(tier === undefined ? {} : { service_tier: tier }),
    ...(topLevel === undefined ? {} : { cache_control: topLevel }),
  };
}

interface Offer {
  tools: AnyTool[];
  choice: ToolChoice | undefined;
  instruction: string | undefined;
}

/** All the model may call: the caller's tools, the server's search, the tool whose input is the answer. */
function toOffer(
  request: ChatBody,
  profile: ModelProfile,
  form: AnswerForm,
  turns: Turn[],
  deviations: Deviations,
): Offer {
  const own = toTools(request, profile, deviations);
  const chosen = chooseTools(request, own, profile, deviations);
  const search = webSearchTool(request.web_search_options, own, deviations);
  if (form.kind === "tool") {
    deviations.report("emulated", "response_format");
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
  deviations.report("repaired", "tools");
  return { tools: remembered, choice: { type: "none" }, instruction: undefined };
}

/** The last turn answers tool calls, and the assistant turn that made them starts without thinking. */
function isOpenLoopWithoutThinking(turns: Turn[]): boolean {
  const [calls, results] = turns.slice(-2);
  if (calls?.role !== "assistant" || results?.content[0]?.type !== "tool_result") return false;
  const first = calls.content[0]?.type;
  return first !== "thinking" && first !== "redacted_thinking";
}

function outputConfig(
  request: ChatBody,
  form: AnswerForm,
  { effort }: ReasoningPlan,
  deviations: Deviations,
): MessagesBody["output_config"] {
  const native =
    isObject(request.output_config) && isObject(request.output_config.format)
      ? request.output_config.format
      : undefined;
  if (form.kind === "native" && form.narrowed) deviations.report("downgraded", "response_format");
  if (form.kind === "instruct") {
    // A schema that cannot be compiled loses its guarantee; plain JSON mode never had more than words here.
    if (form.schema === undefined) deviations.report("emulated", "response_format");
    else deviations.report("downgraded", "response_format");
  }
  const schema = form.kind === "native" ? form.schema : form.kind === "text" ? native?.schema : undefined;
  const format = isObject(schema) ? { format: { type: "json_schema" as const, schema } } : {};
  if (effort === undefined && format.format === undefined) return undefined;
  return { ...(effort === undefined ? {} : { effort }), ...format };
}

/** A conversation that ends with the assistant: continued where the model allows it, else a word from the user. */
function closeTail(turns: Turn[], mayPrefill: boolean, deviations: Deviations): void {
  const last = turns.at(-1);
  if (last?.role !== "assistant") return;
  if (!mayPrefill) {
    turns.push({ role: "user", content: [{ type: "text", text: CONTINUE }] });
    deviations.report("repaired", "trailing_assistant");
    return;
  }
  // "final assistant content cannot end with trailing whitespace"
  const block = last.content.at(-1);
  if (block?.type === "text") block.text = block.text.trimEnd();
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
function topLevelMarker(request: ChatBody): CacheControlEphemeral | undefined {
  const options = request.prompt_cache_options;
  const isImplicit = isObject(options) && options.mode === "implicit";
  return markerOf({ cache_control: request.cache_control }) ?? (isImplicit ? { type: "ephemeral" } : undefined);
}

// A Chat Completions request as a Converse request for one model.
import type { ChatBody, JsonObject } from "../../../src/chat.ts";
import type { Call, Encoded, Refusal } from "../../../src/dialect.ts";
import { isObject } from "../../../src/json.ts";
import { answerForm, jsonInstruction } from "../anthropic/answer-form.ts";
import { enforceCacheRules } from "../anthropic/cache.ts";
import { toConversation } from "../anthropic/conversation.ts";
import { closeTail, isOpenLoopWithoutThinking, outputConfig, topLevelMarker } from "../anthropic/encode.ts";
import { maxTokens, sampling, stopSequences } from "../anthropic/parameters.ts";
import { urlsToFetch } from "../anthropic/parts.ts";
import { thinks } from "../anthropic/reasoning.ts";
import type { AnyTool } from "../anthropic/wire.ts";
import { Report } from "../report.ts";
import { type ConverseTerms, converseTerms } from "./families.ts";
import { classifyFields } from "./fields.ts";
import { toMessages, toSystem } from "./messages.ts";
import { type Thinking, toThinking } from "./thinking.ts";
import { toOffer } from "./tools.ts";
import type { ConverseBody } from "./wire.ts";

export function encode(call: Call): Encoded | Refusal {
  const { request, target } = call;
  const report = new Report(request.strict);
  const body = JSON.stringify(toBody(call, report));
  const { refusal, warnings } = report;
  if (refusal !== undefined) return refusal;
  // Slashes of an ARN are encoded too (vercel/ai#17525).
  const model = encodeURIComponent(target.model.toWellFormed());
  const path = `/model/${model}/${request.stream ? "converse-stream" : "converse"}`;
  const headers: Record<string, string> = request.stream ? { accept: "application/vnd.amazon.eventstream" } : {};
  return { kind: "encoded", wire: { path, headers, body }, relay: false, warnings };
}

/** Converse fetches nothing itself. */
export function attachments(call: Call): string[] {
  return urlsToFetch(call.request.body.messages, converseTerms(call));
}

function toBody(call: Call, report: Report): ConverseBody {
  const { body: request } = call.request;
  const terms = converseTerms(call);
  const { family } = terms;
  classifyFields(request, report);
  const limit = maxTokens(request, terms, report);
  const { system, turns } = toConversation(request.messages, terms, report);
  const form = answerForm(request, terms);
  const offer = toOffer(request, terms, form, report);
  const context = {
    maxTokens: limit,
    forcesTool: offer.isForced,
    openLoopWithoutThinking: isOpenLoopWithoutThinking(turns),
  };
  const thinking = toThinking(request, terms, context, report);
  const isClaude = family.thinking === "claude";
  const output = isClaude || form.kind !== "native" ? outputConfig(form, thinking.plan, report) : undefined;
  if (!isClaude && isObject(request.output_config)) report.note("dropped", "output_config");
  const mayPrefill = terms.prefill && !thinks(thinking.plan) && output?.format === undefined;
  closeTail(turns, mayPrefill, report);
  const added = [offer.instruction, form.kind === "instruct" ? jsonInstruction(form.schema) : undefined];
  for (const text of added) if (text !== undefined) system.push({ type: "text", text });
  const tools: AnyTool[] = offer.tools;
  const last = turns.at(-1)?.content.at(-1);
  const automatic = topLevelMarker(request);
  if (automatic !== undefined && last !== undefined) Object.assign(last, { cache_control: automatic });
  enforceCacheRules({ tools, system, turns, topLevel: undefined }, report);
  const { config, fields } = inference(request, terms, limit, thinking, report);
  const own: JsonObject = { ...fields, ...thinking.fields, ...(output === undefined ? {} : { output_config: output }) };
  return {
    ...(system.length === 0 ? {} : { system: toSystem(system, family) }),
    messages: toMessages(turns, family, offer.config !== undefined, report),
    ...(Object.keys(config).length === 0 ? {} : { inferenceConfig: config }),
    ...(offer.config === undefined ? {} : { toolConfig: offer.config }),
    ...(Object.keys(own).length === 0 ? {} : { additionalModelRequestFields: own }),
    ...(isObject(request.guardrailConfig) ? { guardrailConfig: request.guardrailConfig } : {}),
    ...serviceTier(request, report),
  };
}

/** What all models take, and what goes to the model under its own name. */
function inference(request: ChatBody, terms: ConverseTerms, limit: number, { plan }: Thinking, report: Report) {
  const config: NonNullable<ConverseBody["inferenceConfig"]> = {};
  const isLimitTold = request.max_tokens ?? request.max_completion_tokens;
  // A thinking budget must lie below a limit that is written down; without one Bedrock takes the model's maximum anyway.
  if (typeof isLimitTold === "number" || terms.isLimitRepaired || plan.thinking?.type === "enabled") {
    config.maxTokens = limit;
  }
  // The scale ends at 1, which is the default and so is taken by models without sampling too.
  const isCut = typeof request.temperature === "number" && request.temperature > 1 && request.temperature <= 2;
  if (isCut) report.note("clamped", "temperature", `${request.temperature}->1`);
  const sent = sampling(isCut ? { ...request, temperature: null } : request, terms, thinks(plan), report);
  const temperature = isCut && sent.top_p === undefined ? 1 : sent.temperature;
  if (temperature !== undefined) config.temperature = temperature;
  if (sent.top_p !== undefined) config.topP = sent.top_p;
  const stops = stopSequences(request, report);
  if (stops.length > 0) config.stopSequences = stops;
  return { config, fields: topKFields(sent.top_k, terms, report) };
}

function topKFields(topK: number | undefined, { family }: ConverseTerms, report: Report): JsonObject {
  if (topK === undefined) return {};
  if (family.topK !== undefined)
    return family.topK.reduceRight<unknown>((value, key) => ({ [key]: value }), topK) as JsonObject;
  report.note("dropped", "top_k");
  return {};
}

const TIERS = ["default", "flex", "priority"];

function serviceTier({ service_tier: tier }: ChatBody, report: Report): Pick<ConverseBody, "serviceTier"> {
  if (tier === undefined || tier === null || tier === "auto") return {};
  if (typeof tier === "string" && TIERS.includes(tier)) return { serviceTier: { type: tier } };
  report.note("dropped", "service_tier");
  return {};
}
